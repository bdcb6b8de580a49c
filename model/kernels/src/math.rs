//! Exponential, hyperbolic tangent and friends on vectors, by polynomial: relative error below 1e-6.
//!
//! NaN goes in and comes out.

use crate::simd::Simd;

/// 1.5 · 2^23: adding it leaves the nearest integer in the low mantissa bits.
const ROUND: f32 = 12_582_912.0;
/// Above this, e^x is infinite in f32.
pub(crate) const EXP_MAX: f32 = 88.722_84;
/// Below this, e^x is subnormal.
pub(crate) const EXP_MIN: f32 = -87.336_54;

/// `e^x`: infinite above 88.7228, below -87.3365 less than the smallest normal number, and exactly 0 from -110 on.
#[inline(always)]
pub(crate) fn exp<S: Simd>(simd: S, x: S::V) -> S::V {
    // Past these ends the result is certain, and the arithmetic below stays finite.
    let clamped = simd.min(simd.splat(90.0), simd.max(simd.splat(-120.0), x));
    // x = n·ln 2 + r with |r| ≤ ln 2 / 2, ln 2 split in two so that n·hi is exact.
    let t = simd.fma(clamped, simd.splat(std::f32::consts::LOG2_E), simd.splat(ROUND));
    let n = simd.sub(t, simd.splat(ROUND));
    let r = simd.fma(n, simd.splat(-0.693_359_4), clamped);
    let r = simd.fma(n, simd.splat(2.121_944_4e-4), r);
    // Minimax polynomial of Cephes' expf.
    let mut p = simd.splat(1.987_569_1e-4);
    for c in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = simd.fma(p, r, simd.splat(c));
    }
    let p = simd.fma(simd.mul(p, r), r, simd.add(r, simd.splat(1.0)));
    simd.finish_exp(x, p, n, t)
}

/// `tanh x`, within two units in the last place of ±1 from |x| = 7.91 on: Eigen's rational approximation, odd over even.
#[inline(always)]
pub(crate) fn tanh<S: Simd>(simd: S, x: S::V) -> S::V {
    let x = simd.min(simd.splat(7.905_311), simd.max(simd.splat(-7.905_311), x));
    let z = simd.mul(x, x);
    let mut p = simd.splat(-2.760_768_5e-16);
    for c in [2.000_188e-13, -8.604_672e-11, 5.122_297e-8, 1.485_722_4e-5, 6.372_619e-4, 4.893_524_6e-3] {
        p = simd.fma(p, z, simd.splat(c));
    }
    let mut q = simd.splat(1.198_258_4e-6);
    for c in [1.185_347_1e-4, 2.268_434_6e-3, 4.893_525e-3] {
        q = simd.fma(q, z, simd.splat(c));
    }
    simd.div(simd.mul(x, p), q)
}

/// `0.5 · g · (1 + tanh(√(2/π)·(g + 0.044715·g³)))`, written as `g / (1 + e^-2u)`, which loses nothing for negative g.
#[inline(always)]
pub(crate) fn gelu_tanh<S: Simd>(simd: S, g: S::V) -> S::V {
    let cubic = simd.mul(simd.mul(g, g), g);
    let inner = simd.fma(cubic, simd.splat(0.044_715), g);
    // 2·√(2/π)
    let e = exp(simd, simd.mul(inner, simd.splat(-1.595_769)));
    simd.div(g, simd.add(simd.splat(1.0), e))
}
