//! The vector vocabulary that kernels are written in, with one implementation per instruction set.
//!
//! A [`Simd`] value is a token: it exists only where its instructions do, so its arithmetic is safe to call; only memory
//! access through pointers is `unsafe`. Everything is `inline(always)`, because a vector instruction is worth having only
//! inside a function compiled for its instruction set ([`crate::isa::Isa::run`] is that function).

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub(crate) mod portable;

#[cfg(target_arch = "x86_64")]
pub(crate) use self::avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) use self::avx512::Avx512;
pub(crate) use self::portable::Portable;
use crate::math;
use crate::pack;
use crate::tile::{Element, Tiles};

#[cfg(target_endian = "big")]
compile_error!("bf16 pairs are read as little-endian 32-bit words");

/// A kernel body, compiled once for each instruction set. `run` must be `#[inline(always)]`.
pub(crate) trait Op {
    type Output;
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Vectors of `LANES` floats. Comparisons with NaN are false.
pub(crate) trait Simd: Copy {
    /// A vector of `LANES` f32.
    type V: Copy;
    /// A vector of `LANES` pairs of bf16, the even one in the low half.
    type P: Copy;
    /// Floats in a vector; divides 16.
    const LANES: usize;

    fn splat(self, x: f32) -> Self::V;
    /// # Safety
    /// `LANES` floats are readable at `p`.
    unsafe fn load(self, p: *const f32) -> Self::V;
    /// # Safety
    /// `LANES` floats are writable at `p`.
    unsafe fn store(self, p: *mut f32, v: Self::V);
    /// The first `n < LANES` lanes from memory, the others `fill`.
    /// # Safety
    /// `n` floats are readable at `p`.
    unsafe fn load_part(self, p: *const f32, n: usize, fill: f32) -> Self::V;
    /// # Safety
    /// `n < LANES` floats are writable at `p`.
    unsafe fn store_part(self, p: *mut f32, n: usize, v: Self::V);

    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a > b ? a : b`, so `b` where either is NaN.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a < b ? a : b`, so `b` where either is NaN.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, with one rounding where the processor has it.
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `a < b ? yes : no`
    fn select_lt(self, a: Self::V, b: Self::V, yes: Self::V, no: Self::V) -> Self::V;
    /// `x` is NaN `? yes : no`
    fn select_nan(self, x: Self::V, yes: Self::V, no: Self::V) -> Self::V;
    /// The last step of [`crate::math::exp`]: `p · 2^n`, right where that leaves the range of normal numbers. `n` is also
    /// in the low mantissa bits of `t`, and `x` is the argument.
    #[inline(always)]
    fn finish_exp(self, x: Self::V, p: Self::V, _n: Self::V, t: Self::V) -> Self::V {
        let y = self.scale_by_exponent(p, t);
        let y = self.select_lt(x, self.splat(math::EXP_MIN), self.splat(0.0), y);
        let y = self.select_lt(self.splat(math::EXP_MAX), x, self.splat(f32::INFINITY), y);
        self.select_nan(x, x, y)
    }
    /// `p · 2^n`, where `n` stands in the low mantissa bits of `t`; the exponent must stay in range.
    fn scale_by_exponent(self, p: Self::V, t: Self::V) -> Self::V;
    /// Bit `i` is set where lane `i` of `a` equals that of `b`.
    fn eq_mask(self, a: Self::V, b: Self::V) -> u32;
    /// Bit `i` is set where lane `i` of `a` is less than that of `b`.
    fn lt_mask(self, a: Self::V, b: Self::V) -> u32;

    /// # Safety
    /// `LANES` pairs are readable at `p`.
    unsafe fn load_pairs(self, p: *const u32) -> Self::P;
    fn splat_pair(self, pair: u32) -> Self::P;
    /// `acc + a.even · b.even + a.odd · b.odd` in each lane.
    fn dot_pairs(self, acc: Self::V, a: Self::P, b: Self::P) -> Self::V;

    /// Thirty-two floats rounded to bf16 (to nearest, ties to even), as sixteen pairs. NaN stays NaN.
    /// # Safety
    /// Sixteen words are writable at `to`.
    #[inline(always)]
    unsafe fn round_pairs(self, floats: &[f32; 32], to: *mut u32) {
        for i in 0..16 {
            // SAFETY: the caller's promise.
            unsafe { *to.add(i) = pack::round_pair(floats[2 * i], floats[2 * i + 1]).0 };
        }
    }

    /// Runs a block product with this instruction set's register tile.
    /// # Safety
    /// As [`crate::tile::run`].
    unsafe fn tiles<E: Element>(self, job: Tiles<E>);

    /// Writes the transpose of a 16×16 block: `dst[c · dst_stride + r] = src[r · src_stride + c]`.
    /// # Safety
    /// Both blocks are in bounds.
    #[inline(always)]
    unsafe fn transpose_16x16(self, src: *const f32, src_stride: usize, dst: *mut f32, dst_stride: usize) {
        for c in 0..16 {
            for r in 0..16 {
                // SAFETY: the caller's promise.
                unsafe { *dst.add(c * dst_stride + r) = *src.add(r * src_stride + c) };
            }
        }
    }

    /// The first `min(n, LANES)` lanes from memory, the others `fill`.
    /// # Safety
    /// That many floats are readable at `p`.
    #[inline(always)]
    unsafe fn load_upto(self, p: *const f32, n: usize, fill: f32) -> Self::V {
        // SAFETY: the caller's promise.
        unsafe { if n >= Self::LANES { self.load(p) } else { self.load_part(p, n, fill) } }
    }

    /// Stores the first `min(n, LANES)` lanes.
    /// # Safety
    /// That many floats are writable at `p`.
    #[inline(always)]
    unsafe fn store_upto(self, p: *mut f32, n: usize, v: Self::V) {
        // SAFETY: the caller's promise.
        unsafe { if n >= Self::LANES { self.store(p, v) } else { self.store_part(p, n, v) } }
    }

    /// The sum of the lanes, always added in the same order.
    #[inline(always)]
    fn sum(self, v: Self::V) -> f32 {
        let mut lanes = [0.0_f32; 16];
        // SAFETY: `LANES` divides 16.
        unsafe { self.store(lanes.as_mut_ptr(), v) };
        let mut width = Self::LANES;
        while width > 1 {
            width /= 2;
            for i in 0..width {
                lanes[i] += lanes[i + width];
            }
        }
        lanes[0]
    }

    /// The largest lane.
    #[inline(always)]
    fn max_lane(self, v: Self::V) -> f32 {
        let mut lanes = [f32::NEG_INFINITY; 16];
        // SAFETY: `LANES` divides 16.
        unsafe { self.store(lanes.as_mut_ptr(), v) };
        lanes.into_iter().fold(f32::NEG_INFINITY, |a, b| if b > a { b } else { a })
    }
}
