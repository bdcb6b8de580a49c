//! Exponential, hyperbolic tangent and friends on vectors, by polynomial: relative error below 1e-6.
//!
//! NaN goes in and comes out. Results below the smallest normal number are zero.

use crate::simd::Simd;

/// 1.5 · 2^23: adding it leaves the nearest integer in the low mantissa bits.
const ROUND: f32 = 12_582_912.0;
/// Above this, e^x is infinite in f32.
const EXP_MAX: f32 = 88.722_84;
/// Below this, e^x is subnormal; it becomes zero.
const EXP_MIN: f32 = -87.336_54;

/// `e^x`: infinite above 88.7228, zero below -87.3365.
#[inline(always)]
pub(crate) fn exp<S: Simd>(simd: S, x: S::V) -> S::V {
    let clamped = simd.min(simd.splat(EXP_MAX), simd.max(simd.splat(EXP_MIN), x));
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
    let y = simd.scale_by_exponent(p, t);
    let y = simd.select_lt(x, simd.splat(EXP_MIN), simd.splat(0.0), y);
    let y = simd.select_lt(simd.splat(EXP_MAX), x, simd.splat(f32::INFINITY), y);
    simd.select_nan(x, x, y)
}

/// `tanh x`: ±1 for large |x|.
#[inline(always)]
pub(crate) fn tanh<S: Simd>(simd: S, x: S::V) -> S::V {
    let one = simd.splat(1.0);
    let magnitude = simd.copysign(x, one);
    // Large: 1 - 2 / (e^2|x| + 1), in relative terms exact enough from 0.625 on.
    let e = exp(simd, simd.add(magnitude, magnitude));
    let large = simd.sub(one, simd.div(simd.splat(2.0), simd.add(e, one)));
    let large = simd.copysign(large, x);
    // Small: x + x³·P(x²), Cephes' tanhf.
    let z = simd.mul(x, x);
    let mut p = simd.splat(-5.704_988_6e-3);
    for c in [2.063_909e-2, -5.373_971_7e-2, 1.333_144_3e-1, -3.333_328e-1] {
        p = simd.fma(p, z, simd.splat(c));
    }
    let small = simd.fma(simd.mul(p, z), x, x);
    simd.select_lt(magnitude, simd.splat(0.625), small, large)
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
