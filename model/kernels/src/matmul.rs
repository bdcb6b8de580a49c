//! Dense products with packed weights: `y = x · Wᵀ`, in f32 or bf16, from one row (decoding) to thousands.
//!
//! Idea: every (panel of 64 outputs, block of rows) is a task; a task streams its panel through the register tile of
//! [`crate::tile`]. bf16 activations are rounded once, up front. Twin: `tests/matmul.rs`, in f64.
//!
//! Measured on two Zen 5 cores (peaks 460 GFLOP/s in f32 and about 900 in bf16 for both, so about 230 and 450 for one),
//! GFLOP/s of one thread; two threads with both cores free reach 487 and 907 at 64×256×640. That is the peak:
//!
//! | rows × depth × out | f32 | bf16 |
//! |---|---|---|
//! | 64×256×256 | 249 | 480 |
//! | 64×256×640 | 246 | 492 |
//! | 64×256×4096 | 244 | 493 |
//! | 512×256×384 | 241 | 481 |
//! | 64×2048×2048 | 213 | 468 |
//! | 8×256×640 | 241 | 446 |
//! | 1×2048×2048, bound by memory | 111 GB/s | 116 GB/s |

use crate::isa::Isa;
use crate::pack::{self, LINE, Line, PANEL, PackedWeight, Panels};
use crate::parallel::{self, SharedMut};
use crate::scratch::Scratch;
use crate::simd::{Op, Simd};
use crate::tile::{Element, Pair, Tiles};

/// Rows in a task: enough to keep a panel in the second-level cache busy.
const ROW_BLOCK: usize = 96;

/// `y = x · Wᵀ`: `x` is `[rows, depth]`, `y` is `[rows, out]`. A row of `y` has the same bits for any number of rows.
///
/// # Panics
/// When a slice does not have the length its shape says.
pub fn matmul(x: &[f32], rows: usize, weight: &PackedWeight, y: &mut [f32]) {
    assert_eq!(x.len(), rows * weight.depth(), "x must be [{rows}, {}]", weight.depth());
    assert_eq!(y.len(), rows * weight.out(), "y must be [{rows}, {}]", weight.out());
    let isa = Isa::current();
    match &weight.panels {
        Panels::F32(panels) => product(isa, x, weight.depth(), panels, rows, weight, y),
        Panels::Bf16(panels) => {
            let pairs = weight.depth().div_ceil(2);
            let mut rounded = Scratch::take(rows * pairs);
            let rounded = round_to_pairs(isa, x, weight.depth(), rounded.as_mut_slice());
            product(isa, rounded, pairs, panels, rows, weight, y);
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "one call site, and the names say it")]
fn product<E: Element + Send + Sync>(
    isa: Isa,
    a: &[E],
    depth: usize,
    panels: &[Line<E>],
    rows: usize,
    weight: &PackedWeight,
    y: &mut [f32],
) {
    let out = weight.out();
    let count = out.div_ceil(PANEL);
    let row_blocks = rows.div_ceil(ROW_BLOCK);
    let serial_ns = 2 * rows * weight.depth() * out / parallel::FLOPS_PER_NS + weight.bytes() / 32;
    let c = SharedMut::new(y);
    parallel::for_each(count * row_blocks, serial_ns, |task| {
        let (panel, row) = (task / row_blocks, task % row_blocks * ROW_BLOCK);
        // SAFETY: `a` has `rows` rows of `depth`, panel `panel` has `depth` rows of 64; the task alone writes columns
        // `panel · 64 ..` of its rows of `c`.
        unsafe {
            isa.run(Block(Tiles {
                a: a.as_ptr().add(row * depth),
                lda: depth,
                b: pack::elements(panels).add(panel * depth * PANEL),
                ldb: PANEL,
                c: c.get().add(row * out + panel * PANEL),
                ldc: out,
                rows: ROW_BLOCK.min(rows - row),
                depth,
                cols: PANEL.min(out - panel * PANEL),
                accumulate: false,
            }));
        }
    });
}

/// One task's tiles. Built only by [`product`], which keeps them in bounds.
struct Block<E>(Tiles<E>);

impl<E: Element> Op for Block<E> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // SAFETY: `product` builds jobs inside its slices.
        unsafe { simd.tiles(self.0) };
    }
}

/// `x` rounded to bf16 in `memory`, rows of `depth` padded with a zero to whole pairs.
fn round_to_pairs<'a>(isa: Isa, x: &[f32], depth: usize, memory: &'a mut [f32]) -> &'a [Pair] {
    // SAFETY: `Pair` is a transparent u32: every bit pattern of an f32 is one, and the other way round.
    let pairs = unsafe { std::slice::from_raw_parts_mut(memory.as_mut_ptr().cast::<Pair>(), memory.len()) };
    if depth > 0 {
        for (from, to) in x.chunks_exact(depth).zip(pairs.chunks_exact_mut(depth.div_ceil(2))) {
            isa.run(Round { from, to });
        }
    }
    pairs
}

struct Round<'a> {
    from: &'a [f32],
    to: &'a mut [Pair],
}

impl Op for Round<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (lines, rest) = self.from.as_chunks::<{ 2 * LINE }>();
        let (to, to_rest) = self.to.split_at_mut(lines.len() * LINE);
        for (floats, to) in lines.iter().zip(to.chunks_exact_mut(LINE)) {
            // SAFETY: `to` has sixteen places.
            unsafe { pack::round_line(simd, floats, to.as_mut_ptr()) };
        }
        let (pairs, last) = rest.as_chunks::<2>();
        for (to, [even, odd]) in to_rest.iter_mut().zip(pairs) {
            *to = pack::round_pair(*even, *odd);
        }
        if let ([even], Some(to)) = (last, to_rest.last_mut()) {
            *to = pack::round_pair(*even, 0.0);
        }
    }
}
