//! Keys and values packed by blocks of 64 positions, in the precision they are multiplied in.
//!
//! A block holds its keys transposed, `[depth, 64]`, then its values, `[64 / VALUES, width]`, both in whole lines. Blocks
//! that lie wholly inside the prefix are packed once, the others for each sequence.

use std::marker::PhantomData;

use super::{AttentionArgs, BLOCK, Shape};
use crate::isa::Isa;
use crate::pack::{self, LINE};
use crate::parallel::{self, SharedMut};
use crate::scratch::Scratch;
use crate::simd::{Op, Simd};
use crate::tile::{Element, Pair};

/// What attention multiplies: floats, or pairs of bf16 along the summed dimension.
pub(super) trait Operand: Element + Send + Sync {
    /// Values in an element.
    const VALUES: usize;
    /// Writes `from · factor` to `to`, whose last elements become zero where `from` ends before.
    fn narrow<S: Simd>(simd: S, from: &[f32], factor: f32, to: &mut [Self]);
    /// Replaces `len` floats by `len / VALUES` elements at the same place.
    ///
    /// # Safety
    /// `p` is readable and writable for `len` floats, a multiple of 64.
    unsafe fn narrow_in_place<S: Simd>(simd: S, p: *mut f32, len: usize);
    /// Writes one row of values: `VALUES` positions' rows stacked, zero for what is past the end.
    fn stack(rows: [Option<&[f32]>; 2], to: &mut [Self]);
}

impl Operand for f32 {
    const VALUES: usize = 1;
    #[inline(always)]
    fn narrow<S: Simd>(_: S, from: &[f32], factor: f32, to: &mut [Self]) {
        let (to, rest) = to.split_at_mut(from.len());
        for (to, from) in to.iter_mut().zip(from) {
            *to = from * factor;
        }
        rest.fill(0.0);
    }
    #[inline(always)]
    unsafe fn narrow_in_place<S: Simd>(_: S, _: *mut f32, _: usize) {}
    #[inline(always)]
    fn stack(rows: [Option<&[f32]>; 2], to: &mut [Self]) {
        match rows[0] {
            Some(row) => to[..row.len()].copy_from_slice(row),
            None => to.fill(0.0),
        }
    }
}

impl Operand for Pair {
    const VALUES: usize = 2;
    #[inline(always)]
    fn narrow<S: Simd>(simd: S, from: &[f32], factor: f32, to: &mut [Self]) {
        let (mut from, mut to) = (from.chunks(2 * LINE), to.chunks_exact_mut(LINE));
        for to in &mut to {
            let mut floats = [0.0; 2 * LINE];
            for (float, x) in floats.iter_mut().zip(from.next().unwrap_or_default()) {
                *float = x * factor;
            }
            // SAFETY: `to` has 16 places.
            unsafe { pack::round_line(simd, &floats, to.as_mut_ptr()) };
        }
    }
    #[inline(always)]
    unsafe fn narrow_in_place<S: Simd>(simd: S, p: *mut f32, len: usize) {
        for line in 0..len / (2 * LINE) {
            // SAFETY: the floats are read before their place, or one further down, is written.
            unsafe {
                let floats = p.add(line * 2 * LINE).cast::<[f32; 2 * LINE]>().read();
                pack::round_line(simd, &floats, p.cast::<Self>().add(line * LINE));
            }
        }
    }
    #[inline(always)]
    fn stack(rows: [Option<&[f32]>; 2], to: &mut [Self]) {
        match rows {
            [Some(even), Some(odd)] => {
                for ((to, &even), &odd) in to.iter_mut().zip(even).zip(odd) {
                    *to = pack::round_pair(even, odd);
                }
            }
            [Some(even), None] => {
                for (to, &even) in to.iter_mut().zip(even) {
                    *to = pack::round_pair(even, 0.0);
                }
            }
            [None, _] => to.fill(Self(0)),
        }
    }
}

/// The blocks from `shape.start` on. Key columns past the last position hold anything (nothing sees them), values zero.
pub(super) struct Panels<E> {
    shared: Scratch,
    own: Scratch,
    layout: Layout,
    element: PhantomData<E>,
}

#[derive(Clone, Copy)]
struct Layout {
    /// Blocks of the prefix, and of a sequence, for each head.
    shared_blocks: usize,
    own_blocks: usize,
    kv_heads: usize,
    /// Elements along the keys' summed dimension, in whole lines.
    depth: usize,
    /// Columns of the values, in whole lines.
    width: usize,
    /// Elements in a block.
    size: usize,
}

impl<E: Operand> Panels<E> {
    pub(super) fn pack(isa: Isa, args: &AttentionArgs<'_>, shape: Shape) -> Self {
        let boundary = (shape.prefix / BLOCK * BLOCK).max(shape.start);
        let depth = args.dim.div_ceil(E::VALUES).next_multiple_of(LINE);
        let width = args.dim.next_multiple_of(LINE);
        let layout = Layout {
            shared_blocks: (boundary - shape.start) / BLOCK,
            own_blocks: (shape.total() - boundary).div_ceil(BLOCK),
            kv_heads: args.kv_heads,
            depth,
            width,
            size: depth * BLOCK + BLOCK / E::VALUES * width,
        };
        let shared_count = args.kv_heads * layout.shared_blocks;
        let own_count = args.batch * args.kv_heads * layout.own_blocks;
        let mut shared = Scratch::take(shared_count * layout.size);
        let mut own = Scratch::take(own_count * layout.size);
        let (to_shared, to_own) = (SharedMut::new(shared.as_mut_slice()), SharedMut::new(own.as_mut_slice()));
        let count = shared_count + own_count;
        parallel::for_each(count, count * layout.size / 8, |i| {
            let mut block =
                Block { args, shape, layout, sequence: 0, kv_head: 0, position: 0, to: to_shared.get() };
            if i < shared_count {
                block.kv_head = i / layout.shared_blocks;
                block.position = shape.start + i % layout.shared_blocks * BLOCK;
                block.to = block.to.wrapping_add(i * layout.size);
            } else {
                let i = i - shared_count;
                (block.sequence, block.kv_head) =
                    (i / layout.own_blocks / args.kv_heads, i / layout.own_blocks % args.kv_heads);
                block.position = boundary + i % layout.own_blocks * BLOCK;
                block.to = to_own.get().wrapping_add(i * layout.size);
            }
            isa.run(Pack { block, element: PhantomData::<E> });
        });
        Self { shared, own, layout, element: PhantomData }
    }

    /// Elements along the keys' summed dimension.
    pub(super) fn key_depth(&self) -> usize {
        self.layout.depth
    }

    /// Columns in a row of values.
    pub(super) fn value_width(&self) -> usize {
        self.layout.width
    }

    /// Keys of the block from `block · 64` past the start, `[key_depth, 64]`.
    pub(super) fn keys(&self, sequence: usize, kv_head: usize, block: usize) -> *const E {
        let Layout { shared_blocks, own_blocks, kv_heads, size, .. } = self.layout;
        let (panels, index) = if block < shared_blocks {
            (&self.shared, kv_head * shared_blocks + block)
        } else {
            (&self.own, (sequence * kv_heads + kv_head) * own_blocks + block - shared_blocks)
        };
        panels.as_slice()[index * size..][..size].as_ptr().cast()
    }

    /// Values of the same block, `[64 / VALUES, value_width]`.
    pub(super) fn values(&self, sequence: usize, kv_head: usize, block: usize) -> *const E {
        // SAFETY: the values follow the keys within the block.
        unsafe { self.keys(sequence, kv_head, block).add(self.layout.depth * BLOCK) }
    }
}

/// `floats` as elements of the same size.
pub(super) fn elements_mut<E: Operand>(floats: &mut [f32]) -> &mut [E] {
    // SAFETY: an `Operand` is an f32 or a transparent u32: same size, alignment, and every bit pattern is valid.
    unsafe { std::slice::from_raw_parts_mut(floats.as_mut_ptr().cast(), floats.len()) }
}

/// One block to pack, and where.
#[derive(Clone, Copy)]
struct Block<'a> {
    args: &'a AttentionArgs<'a>,
    shape: Shape,
    layout: Layout,
    sequence: usize,
    kv_head: usize,
    position: usize,
    to: *mut f32,
}

impl<'a> Block<'a> {
    /// This head's row for position `at` of the block, in `cached` or in the sequence's `own`.
    #[inline(always)]
    fn row(&self, cached: &'a [f32], own: &'a [f32], at: usize) -> Option<&'a [f32]> {
        let (Shape { prefix, tokens, .. }, p) = (self.shape, self.position + at);
        let (source, token) = if p < prefix {
            (cached, p)
        } else if p < prefix + tokens {
            (own, self.sequence * tokens + p - prefix)
        } else {
            return None;
        };
        let dim = self.args.dim;
        Some(&source[(token * self.args.kv_heads + self.kv_head) * dim..][..dim])
    }
}

struct Pack<'a, E> {
    block: Block<'a>,
    element: PhantomData<E>,
}

impl<E: Operand> Op for Pack<'_, E> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Block { args, layout: Layout { depth, width, size, .. }, to, .. } = self.block;
        let mut rows = Scratch::take(LINE * depth); // [16, depth]
        for group in (0..BLOCK).step_by(LINE) {
            for (at, row) in elements_mut::<E>(rows.as_mut_slice()).chunks_exact_mut(depth).enumerate() {
                match self.block.row(args.prefix_k, args.k, group + at) {
                    Some(key) => E::narrow(simd, key, 1.0, row),
                    None => break,
                }
            }
            for d in (0..depth).step_by(LINE) {
                // SAFETY: `rows` is [16, depth]; columns `group..` of the panel's `depth` rows are in bounds.
                unsafe {
                    let from = rows.as_slice().as_ptr().add(d);
                    simd.transpose_16x16(from, depth, to.add(d * BLOCK + group), BLOCK);
                }
            }
        }
        // SAFETY: the block has `size` elements at `to`, which this task alone writes; the values follow the keys.
        let values = unsafe {
            std::slice::from_raw_parts_mut(to.cast::<E>().add(depth * BLOCK), size - depth * BLOCK)
        };
        for (i, row) in values.chunks_exact_mut(width).enumerate() {
            let at = i * E::VALUES;
            let odd = if E::VALUES == 2 { self.block.row(args.prefix_v, args.v, at + 1) } else { None };
            E::stack([self.block.row(args.prefix_v, args.v, at), odd], row);
        }
    }
}
