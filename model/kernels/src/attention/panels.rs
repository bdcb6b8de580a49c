//! Keys and values packed by blocks of 64 positions, in the precision they are multiplied in.
//!
//! A block holds its keys transposed, `[depth, 64]`, then its values, `[64 / VALUES, width]`, both in whole lines. Blocks
//! that lie wholly inside the prefix are packed once, and kept between calls by who wants it; the others for each sequence.

use std::marker::PhantomData;
use std::ops::Range;

use super::{AttentionArgs, BLOCK, Shape};
use crate::isa::Isa;
use crate::pack::{self, LINE, Line, Precision, floats, floats_mut};
use crate::parallel::{self, SharedMut};
use crate::scratch::Scratch;
use crate::simd::{Op, Simd};
use crate::tile::{Element, Pair};

/// What attention multiplies: floats, or pairs of bf16 along the summed dimension.
pub(super) trait Operand: Element + Send + Sync {
    /// Values in an element.
    const VALUES: usize;
    /// What it stands for.
    const PRECISION: Precision;
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
    const PRECISION: Precision = Precision::F32;
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
    const PRECISION: Precision = Precision::Bf16;
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

/// Sizes of a block, in elements.
#[derive(Clone, Copy, Debug)]
struct Layout {
    /// Along the keys' summed dimension, in whole lines.
    depth: usize,
    /// Columns of the values, in whole lines.
    width: usize,
    /// All of it.
    size: usize,
}

impl Layout {
    fn of<E: Operand>(dim: usize) -> Self {
        let depth = dim.div_ceil(E::VALUES).next_multiple_of(LINE);
        let width = dim.next_multiple_of(LINE);
        Self { depth, width, size: depth * BLOCK + BLOCK / E::VALUES * width }
    }
}

/// The whole blocks of a prefix, kept between calls: a cache that grows by a token need not be packed anew for each.
#[derive(Clone, Debug)]
pub struct PrefixPanels {
    precision: Precision,
    kv_heads: usize,
    dim: usize,
    blocks: usize,
    /// `[blocks, kv_heads]` blocks.
    memory: Vec<Line<f32>>,
}

impl PrefixPanels {
    /// Without any block; for prefixes of `kv_heads` heads of `dim`, read in `precision`.
    #[must_use]
    pub fn new(kv_heads: usize, dim: usize, precision: Precision) -> Self {
        Self { precision, kv_heads, dim, blocks: 0, memory: Vec::new() }
    }

    /// Packs what is new of the prefix `k` and `v`, `[positions, kv_heads, dim]` each.
    ///
    /// # Panics
    /// When a slice does not have the length its shape says.
    pub fn extend(&mut self, k: &[f32], v: &[f32]) {
        match self.precision {
            Precision::F32 => self.extend_in::<f32>(k, v),
            Precision::Bf16 => self.extend_in::<Pair>(k, v),
        }
    }

    /// Forgets what was packed of positions from `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.blocks = self.blocks.min(len / BLOCK);
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.memory.capacity() * size_of::<Line<f32>>()
    }

    /// Bytes that one position takes.
    #[must_use]
    pub fn bytes_per_position(kv_heads: usize, dim: usize, precision: Precision) -> usize {
        let layout = match precision {
            Precision::F32 => Layout::of::<f32>(dim),
            Precision::Bf16 => Layout::of::<Pair>(dim),
        };
        kv_heads * layout.size * size_of::<f32>() / BLOCK
    }

    fn extend_in<E: Operand>(&mut self, k: &[f32], v: &[f32]) {
        let row = self.kv_heads * self.dim;
        assert!(k.len().is_multiple_of(row), "k is [positions, {}, {}]", self.kv_heads, self.dim);
        assert_eq!(v.len(), k.len(), "v has the shape of k");
        let prefix = k.len() / row;
        let (first, blocks) = (self.blocks, prefix / BLOCK);
        if blocks <= first {
            return;
        }
        let layout = Layout::of::<E>(self.dim);
        self.memory.resize(self.memory.len().max(blocks * self.kv_heads * layout.size / LINE), Line::ZERO);
        let source = Source {
            prefix: [k, v],
            own: [&[], &[]],
            positions: prefix..prefix,
            room: 0,
            kv_heads: self.kv_heads,
            dim: self.dim,
        };
        let to = SharedMut::new(floats_mut(&mut self.memory));
        source.pack_shared::<E>(Isa::current(), first * self.kv_heads..blocks * self.kv_heads, layout, to);
        self.blocks = blocks;
    }
}

/// The blocks from `shape.start` on. Key columns past the last position hold anything (nothing sees them), values zero.
pub(super) struct Panels<'a, E> {
    shared: Shared<'a>,
    own: Scratch,
    layout: Layout,
    /// Blocks that all sequences share, and those of each sequence.
    shared_blocks: usize,
    own_blocks: usize,
    kv_heads: usize,
    element: PhantomData<E>,
}

/// Whole blocks of the prefix, `[blocks, kv_heads]`.
enum Shared<'a> {
    /// From position 0 on; `skipped` blocks lie before the first that is seen.
    Kept { panels: &'a PrefixPanels, skipped: usize },
    /// From the first that is seen on.
    Made(Scratch),
}

impl<'a, E: Operand> Panels<'a, E> {
    pub(super) fn pack(isa: Isa, args: &AttentionArgs<'a>, shape: Shape) -> Self {
        let boundary = (shape.prefix / BLOCK * BLOCK).max(shape.start);
        let layout = Layout::of::<E>(args.dim);
        let skipped = shape.start / BLOCK;
        let shared_blocks = boundary / BLOCK - skipped;
        let own_blocks = (shape.prefix + shape.tokens - boundary).div_ceil(BLOCK);
        let source = Source {
            prefix: [args.prefix_k, args.prefix_v],
            own: [args.k, args.v],
            positions: shape.prefix..shape.prefix + shape.tokens,
            room: shape.room,
            kv_heads: args.kv_heads,
            dim: args.dim,
        };
        let holds_all = |panels: &&PrefixPanels| {
            let same = (panels.precision, panels.kv_heads, panels.dim);
            same == (E::PRECISION, args.kv_heads, args.dim) && panels.blocks >= boundary / BLOCK
        };
        let shared = match args.panels.filter(holds_all) {
            Some(panels) => Shared::Kept { panels, skipped },
            None => {
                let mut made = Scratch::take(shared_blocks * args.kv_heads * layout.size);
                let to = SharedMut::new(made.as_mut_slice()).before(skipped * args.kv_heads * layout.size);
                let blocks = skipped * args.kv_heads..boundary / BLOCK * args.kv_heads;
                source.pack_shared::<E>(isa, blocks, layout, to);
                Shared::Made(made)
            }
        };
        let own_count = args.batch * args.kv_heads * own_blocks;
        let mut own = Scratch::take(own_count * layout.size);
        let to = SharedMut::new(own.as_mut_slice());
        parallel::for_each(own_count, own_count * layout.size / 8, |i| {
            let (pair, block) = (i / own_blocks, i % own_blocks);
            source.pack_block::<E>(
                isa,
                Block {
                    sequence: pair / args.kv_heads,
                    kv_head: pair % args.kv_heads,
                    position: boundary + block * BLOCK,
                    layout,
                    to: to.get().wrapping_add(i * layout.size),
                },
            );
        });
        Self { shared, own, layout, shared_blocks, own_blocks, kv_heads: args.kv_heads, element: PhantomData }
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
        let (memory, index) = if block < self.shared_blocks {
            match &self.shared {
                Shared::Kept { panels, skipped } => {
                    (floats(&panels.memory), (skipped + block) * self.kv_heads + kv_head)
                }
                Shared::Made(made) => (made.as_slice(), block * self.kv_heads + kv_head),
            }
        } else {
            let pair = sequence * self.kv_heads + kv_head;
            (self.own.as_slice(), pair * self.own_blocks + block - self.shared_blocks)
        };
        memory[index * self.layout.size..][..self.layout.size].as_ptr().cast()
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

/// Keys and values where they lie.
struct Source<'a> {
    /// `[prefix, kv_heads, dim]` each.
    prefix: [&'a [f32]; 2],
    /// `[batch, room, kv_heads, dim]` each.
    own: [&'a [f32]; 2],
    /// Absolute positions of a sequence's own tokens: the prefix ends where they begin.
    positions: Range<usize>,
    room: usize,
    kv_heads: usize,
    dim: usize,
}

/// One block to pack, and where.
#[derive(Clone, Copy)]
struct Block {
    sequence: usize,
    kv_head: usize,
    /// Its first absolute position.
    position: usize,
    layout: Layout,
    to: *mut f32,
}

impl<'a> Source<'a> {
    /// Packs the `blocks` (block · kv_heads + head) of the prefix; block 0 of head 0 goes to `to`.
    fn pack_shared<E: Operand>(&self, isa: Isa, blocks: Range<usize>, layout: Layout, to: SharedMut) {
        let count = blocks.len();
        parallel::for_each(count, count * layout.size / 8, |i| {
            let i = blocks.start + i;
            let (block, kv_head) = (i / self.kv_heads, i % self.kv_heads);
            let to = to.get().wrapping_add(i * layout.size);
            self.pack_block::<E>(isa, Block { sequence: 0, kv_head, position: block * BLOCK, layout, to });
        });
    }

    fn pack_block<E: Operand>(&self, isa: Isa, block: Block) {
        isa.run(Pack { source: self, block, element: PhantomData::<E> });
    }

    /// The row of keys (`part` 0) or values (1) at absolute `position`.
    #[inline(always)]
    fn row(&self, part: usize, block: &Block, position: usize) -> Option<&'a [f32]> {
        let (source, token) = if position < self.positions.start {
            (self.prefix[part], position)
        } else if position < self.positions.end {
            (self.own[part], block.sequence * self.room + position - self.positions.start)
        } else {
            return None;
        };
        Some(&source[(token * self.kv_heads + block.kv_head) * self.dim..][..self.dim])
    }
}

struct Pack<'a, E> {
    source: &'a Source<'a>,
    block: Block,
    element: PhantomData<E>,
}

impl<E: Operand> Op for Pack<'_, E> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { source, block, .. } = self;
        let Block { layout: Layout { depth, width, size }, to, position, .. } = block;
        let mut rows = Scratch::take(LINE * depth); // [16, depth]
        for group in (0..BLOCK).step_by(LINE) {
            for (at, row) in elements_mut::<E>(rows.as_mut_slice()).chunks_exact_mut(depth).enumerate() {
                match source.row(0, &block, position + group + at) {
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
            let at = position + i * E::VALUES;
            let odd = if E::VALUES == 2 { source.row(1, &block, at + 1) } else { None };
            E::stack([source.row(1, &block, at), odd], row);
        }
    }
}
