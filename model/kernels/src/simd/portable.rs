//! Plain Rust lanes: what every target can run, left to the compiler to vectorise.

use super::Simd;
use crate::tile::{Element, Tiles};

/// The token of portable code; always available.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

const N: usize = 8;

/// `a * b + c`: fused where that is one instruction, never a library call.
#[inline(always)]
pub(crate) fn fused(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(any(target_arch = "aarch64", target_feature = "fma")) { a.mul_add(b, c) } else { a * b + c }
}

#[inline(always)]
fn zip(a: [f32; N], b: [f32; N], f: impl Fn(f32, f32) -> f32) -> [f32; N] {
    std::array::from_fn(|i| f(a[i], b[i]))
}

#[inline(always)]
pub(crate) fn even(pair: u32) -> f32 {
    f32::from_bits(pair << 16)
}

#[inline(always)]
pub(crate) fn odd(pair: u32) -> f32 {
    f32::from_bits(pair & 0xffff_0000)
}

impl Simd for Portable {
    type V = [f32; N];
    type P = [u32; N];
    const LANES: usize = N;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::V {
        [x; N]
    }
    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> Self::V {
        // SAFETY: the caller's promise; the read does not need alignment beyond f32's.
        unsafe { p.cast::<[f32; N]>().read() }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: Self::V) {
        // SAFETY: the caller's promise.
        unsafe { p.cast::<[f32; N]>().write(v) };
    }
    #[inline(always)]
    unsafe fn load_part(self, p: *const f32, n: usize, fill: f32) -> Self::V {
        // SAFETY: the caller's promise covers lanes below `n`.
        std::array::from_fn(|i| if i < n { unsafe { *p.add(i) } } else { fill })
    }
    #[inline(always)]
    unsafe fn store_part(self, p: *mut f32, n: usize, v: Self::V) {
        for (i, x) in v.into_iter().enumerate().take(n) {
            // SAFETY: the caller's promise covers lanes below `n`.
            unsafe { *p.add(i) = x };
        }
    }

    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| a / b)
    }
    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        std::array::from_fn(|i| fused(a[i], b[i], c[i]))
    }
    #[inline(always)]
    fn select_lt(self, a: Self::V, b: Self::V, yes: Self::V, no: Self::V) -> Self::V {
        std::array::from_fn(|i| if a[i] < b[i] { yes[i] } else { no[i] })
    }
    #[inline(always)]
    fn select_nan(self, x: Self::V, yes: Self::V, no: Self::V) -> Self::V {
        std::array::from_fn(|i| if x[i].is_nan() { yes[i] } else { no[i] })
    }
    #[inline(always)]
    fn scale_by_exponent(self, p: Self::V, t: Self::V) -> Self::V {
        zip(p, t, |p, t| f32::from_bits(p.to_bits().wrapping_add(t.to_bits() << 23)))
    }
    #[inline(always)]
    fn eq_mask(self, a: Self::V, b: Self::V) -> u32 {
        let mut mask = 0;
        for i in 0..N {
            mask |= u32::from(a[i] == b[i]) << i;
        }
        mask
    }
    #[inline(always)]
    fn lt_mask(self, a: Self::V, b: Self::V) -> u32 {
        let mut mask = 0;
        for i in 0..N {
            mask |= u32::from(a[i] < b[i]) << i;
        }
        mask
    }

    #[inline(always)]
    unsafe fn load_pairs(self, p: *const u32) -> Self::P {
        // SAFETY: the caller's promise.
        unsafe { p.cast::<[u32; N]>().read() }
    }
    #[inline(always)]
    fn splat_pair(self, pair: u32) -> Self::P {
        [pair; N]
    }
    #[inline(always)]
    fn dot_pairs(self, acc: Self::V, a: Self::P, b: Self::P) -> Self::V {
        std::array::from_fn(|i| fused(odd(a[i]), odd(b[i]), fused(even(a[i]), even(b[i]), acc[i])))
    }

    #[inline(always)]
    unsafe fn tiles<E: Element>(self, job: Tiles<E>) {
        for row in 0..job.rows {
            for col in (0..job.cols).step_by(STRIP) {
                // SAFETY: the caller's promise; a strip ends at or before the next multiple of 16 columns.
                unsafe { strip(job, row, col) };
            }
        }
    }
}

/// Columns that [`strip`] takes at once.
const STRIP: usize = 16;

/// One row of a product, for sixteen columns: a plain loop over an array, which compilers turn into vectors where they
/// break up anything cleverer. The order of operations is the tile's.
///
/// # Safety
/// As [`crate::tile::run`], for a row and a column of the job.
#[inline(always)]
unsafe fn strip<E: Element>(job: Tiles<E>, row: usize, col: usize) {
    let here = STRIP.min(job.cols - col);
    let mut sums = [0.0_f32; STRIP];
    // SAFETY: the caller's promise bounds every access.
    unsafe {
        let out = std::slice::from_raw_parts_mut(job.c.add(row * job.ldc + col), here);
        if job.accumulate {
            sums[..here].copy_from_slice(out);
        }
        for k in 0..job.depth {
            let a = *job.a.add(row * job.lda + k);
            let b = &*job.b.add(k * job.ldb + col).cast::<[E; STRIP]>();
            for j in 0..STRIP {
                sums[j] = E::multiply_add_one(sums[j], a, b[j]);
            }
        }
        out.copy_from_slice(&sums[..here]);
    }
}
