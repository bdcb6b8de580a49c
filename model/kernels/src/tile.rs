//! The register tile under every matrix product: `MR` rows by `NV` vectors of accumulators, the whole depth in one pass.
//!
//! Idea: the right-hand side is read as vectors, the left-hand side is broadcast one value at a time, and the sums never
//! leave the registers. Each output element is a single chain of fused multiply-adds in rising `k`, so its bits do not
//! depend on the tile it falls into, and rows may be grouped freely. AVX-512 holds 6×4 vectors (24 of 32 registers), so a
//! step in `k` is 10 loads for 24 multiply-adds: the loads hide, even from the second-level cache. Blocking the depth was
//! tried and gained nothing up to 4096. Share of the peak: see `matmul.rs`;
//! AVX2 reaches 121 GFLOP/s on the same core, its peak too, and portable code 40.

use crate::simd::{Simd, portable};

/// What is multiplied: single floats, or pairs of bf16 taken two at a time.
pub(crate) trait Element: Copy {
    type Vector<S: Simd>: Copy;
    fn broadcast<S: Simd>(self, simd: S) -> Self::Vector<S>;
    /// # Safety
    /// `LANES` elements are readable at `p`.
    unsafe fn load<S: Simd>(simd: S, p: *const Self) -> Self::Vector<S>;
    fn multiply_add<S: Simd>(simd: S, acc: S::V, a: Self::Vector<S>, b: Self::Vector<S>) -> S::V;
    /// The same for one element, in portable code.
    fn multiply_add_one(acc: f32, a: Self, b: Self) -> f32;
}

impl Element for f32 {
    type Vector<S: Simd> = S::V;
    #[inline(always)]
    fn broadcast<S: Simd>(self, simd: S) -> S::V {
        simd.splat(self)
    }
    #[inline(always)]
    unsafe fn load<S: Simd>(simd: S, p: *const Self) -> S::V {
        // SAFETY: the caller's promise.
        unsafe { simd.load(p) }
    }
    #[inline(always)]
    fn multiply_add<S: Simd>(simd: S, acc: S::V, a: S::V, b: S::V) -> S::V {
        simd.fma(a, b, acc)
    }
    #[inline(always)]
    fn multiply_add_one(acc: f32, a: Self, b: Self) -> f32 {
        portable::fused(a, b, acc)
    }
}

/// Two bf16 values in a word, the one of even `k` in the low half.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(crate) struct Pair(pub u32);

impl Element for Pair {
    type Vector<S: Simd> = S::P;
    #[inline(always)]
    fn broadcast<S: Simd>(self, simd: S) -> S::P {
        simd.splat_pair(self.0)
    }
    #[inline(always)]
    unsafe fn load<S: Simd>(simd: S, p: *const Self) -> S::P {
        // SAFETY: the caller's promise; `Pair` is a transparent u32.
        unsafe { simd.load_pairs(p.cast()) }
    }
    #[inline(always)]
    fn multiply_add<S: Simd>(simd: S, acc: S::V, a: S::P, b: S::P) -> S::V {
        simd.dot_pairs(acc, a, b)
    }
    #[inline(always)]
    fn multiply_add_one(acc: f32, a: Self, b: Self) -> f32 {
        let first = portable::fused(portable::even(a.0), portable::even(b.0), acc);
        portable::fused(portable::odd(a.0), portable::odd(b.0), first)
    }
}

/// A product of blocks: `c[r][j] = Σ_k a[r][k] · b[k][j]` for `r < rows`, `j < cols`; `depth` and strides in elements.
#[derive(Clone, Copy)]
pub(crate) struct Tiles<E> {
    /// Left-hand side, `rows` rows of `depth`, `lda` apart.
    pub a: *const E,
    pub lda: usize,
    /// Right-hand side, `depth` rows, `ldb` apart, each readable up to the next multiple of 16 from `cols`.
    pub b: *const E,
    pub ldb: usize,
    /// Output, `rows` rows of `cols` floats, `ldc` apart.
    pub c: *mut f32,
    pub ldc: usize,
    pub rows: usize,
    pub depth: usize,
    pub cols: usize,
    /// Start the sums from what `c` holds instead of zero.
    pub accumulate: bool,
}

/// Runs the product in tiles of `MR` rows (2 to 6) by `NV` (2 or 4) vectors.
///
/// # Safety
/// The blocks of `job` are in bounds, `b` up to the next multiple of 16 columns, and nothing else touches `c` meanwhile.
#[inline(always)]
pub(crate) unsafe fn run<S: Simd, E: Element, const MR: usize, const NV: usize>(simd: S, job: Tiles<E>) {
    let mut col = 0;
    while col < job.cols {
        let vectors = (job.cols - col).div_ceil(S::LANES);
        // SAFETY: the vectors counted lie below the next multiple of 16 from `cols`.
        unsafe {
            if vectors >= NV {
                down::<S, E, MR, NV>(simd, job, col);
                col += NV * S::LANES;
            } else if NV > 2 && vectors >= 2 {
                down::<S, E, MR, 2>(simd, job, col);
                col += 2 * S::LANES;
            } else {
                down::<S, E, MR, 1>(simd, job, col);
                col += S::LANES;
            }
        }
    }
}

/// One strip of `NV` vectors from `col`, down all rows.
///
/// # Safety
/// As [`run`].
#[inline(always)]
unsafe fn down<S: Simd, E: Element, const MR: usize, const NV: usize>(simd: S, job: Tiles<E>, col: usize) {
    let mut row = 0;
    // SAFETY: each tile covers rows below `job.rows`.
    unsafe {
        while row + MR <= job.rows {
            tile::<S, E, MR, NV>(simd, job, row, col);
            row += MR;
        }
        match job.rows - row {
            1 => tile::<S, E, 1, NV>(simd, job, row, col),
            2 => tile::<S, E, 2, NV>(simd, job, row, col),
            3 => tile::<S, E, 3, NV>(simd, job, row, col),
            4 => tile::<S, E, 4, NV>(simd, job, row, col),
            5 => tile::<S, E, 5, NV>(simd, job, row, col),
            _ => {}
        }
    }
}

/// # Safety
/// As [`run`], for `MR` rows from `row` and `NV` vectors from `col`.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "constant bounds unroll into registers")]
unsafe fn tile<S: Simd, E: Element, const MR: usize, const NV: usize>(
    simd: S,
    job: Tiles<E>,
    row: usize,
    col: usize,
) {
    // SAFETY: the caller's promise bounds every access below.
    unsafe {
        let left = job.a.add(row * job.lda);
        let mut right = job.b.add(col);
        let mut sums = [[simd.splat(0.0); NV]; MR];
        if job.accumulate {
            for r in 0..MR {
                for v in 0..NV {
                    let at = col + v * S::LANES;
                    sums[r][v] = simd.load_upto(job.c.add((row + r) * job.ldc + at), job.cols - at, 0.0);
                }
            }
        }
        for k in 0..job.depth {
            let mut columns = [E::load(simd, right); NV];
            for v in 1..NV {
                columns[v] = E::load(simd, right.add(v * S::LANES));
            }
            for r in 0..MR {
                let a = (*left.add(r * job.lda + k)).broadcast(simd);
                for v in 0..NV {
                    sums[r][v] = E::multiply_add(simd, sums[r][v], a, columns[v]);
                }
            }
            right = right.add(job.ldb);
        }
        for r in 0..MR {
            for v in 0..NV {
                let at = col + v * S::LANES;
                simd.store_upto(job.c.add((row + r) * job.ldc + at), job.cols - at, sums[r][v]);
            }
        }
    }
}
