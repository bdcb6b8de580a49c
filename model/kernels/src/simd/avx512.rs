//! AVX-512: sixteen floats; bf16 pairs by `vdpbf16ps` where `BF16`, else widened to f32.

use std::arch::x86_64::*;

use super::Simd;
use crate::pack;
use crate::tile::{self, Element, Tiles};

/// The token of AVX-512 F, BW, DQ, VL and FMA, with BF16 if the parameter says so.
#[derive(Clone, Copy)]
pub(crate) struct Avx512<const BF16: bool>(());

impl<const BF16: bool> Avx512<BF16> {
    /// # Safety
    /// The processor has the features that the type names.
    #[inline(always)]
    pub(crate) unsafe fn new() -> Self {
        Self(())
    }
}

/// The first `n` of 16 lanes.
#[inline(always)]
fn first(n: usize) -> __mmask16 {
    (1_u16 << n).wrapping_sub(1)
}

/// The even values of bf16 pairs as floats.
#[inline(always)]
fn even(pairs: __m512i) -> __m512 {
    // SAFETY: called with a token in hand only.
    unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<16>(pairs)) }
}

/// The odd values of bf16 pairs as floats.
#[inline(always)]
fn odd(pairs: __m512i) -> __m512 {
    // SAFETY: called with a token in hand only.
    unsafe { _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(0xffff_0000_u32.cast_signed()))) }
}

// SAFETY (of every block below): the token's existence vouches for the instructions; pointers are the caller's promise.
impl<const BF16: bool> Simd for Avx512<BF16> {
    type V = __m512;
    type P = __m512i;
    const LANES: usize = 16;

    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(self, p: *const f32) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32, v: __m512) {
        // SAFETY: see the impl.
        unsafe { _mm512_storeu_ps(p, v) }
    }
    #[inline(always)]
    unsafe fn load_part(self, p: *const f32, n: usize, fill: f32) -> __m512 {
        // SAFETY: see the impl; masked lanes are not touched.
        unsafe { _mm512_mask_loadu_ps(_mm512_set1_ps(fill), first(n), p) }
    }
    #[inline(always)]
    unsafe fn store_part(self, p: *mut f32, n: usize, v: __m512) {
        // SAFETY: see the impl; masked lanes are not touched.
        unsafe { _mm512_mask_storeu_ps(p, first(n), v) }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_div_ps(a, b) }
    }
    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_max_ps(a, b) }
    }
    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_min_ps(a, b) }
    }
    #[inline(always)]
    fn fma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn select_lt(self, a: __m512, b: __m512, yes: __m512, no: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b), no, yes) }
    }
    #[inline(always)]
    fn select_nan(self, x: __m512, yes: __m512, no: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_UNORD_Q>(x, x), no, yes) }
    }
    #[inline(always)]
    fn finish_exp(self, _x: __m512, p: __m512, n: __m512, _t: __m512) -> __m512 {
        // SAFETY: see the impl. `vscalefps` itself overflows to infinity, underflows to zero and keeps NaN.
        unsafe { _mm512_scalef_ps(p, n) }
    }
    #[inline(always)]
    fn scale_by_exponent(self, p: __m512, t: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe {
            let n = _mm512_slli_epi32::<23>(_mm512_castps_si512(t));
            _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), n))
        }
    }
    #[inline(always)]
    fn eq_mask(self, a: __m512, b: __m512) -> u32 {
        // SAFETY: see the impl.
        u32::from(unsafe { _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(a, b) })
    }
    #[inline(always)]
    fn lt_mask(self, a: __m512, b: __m512) -> u32 {
        // SAFETY: see the impl.
        u32::from(unsafe { _mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b) })
    }

    #[inline(always)]
    unsafe fn load_pairs(self, p: *const u32) -> __m512i {
        // SAFETY: see the impl.
        unsafe { _mm512_loadu_si512(p.cast()) }
    }
    #[inline(always)]
    fn splat_pair(self, pair: u32) -> __m512i {
        // SAFETY: see the impl.
        unsafe { _mm512_set1_epi32(pair.cast_signed()) }
    }
    #[inline(always)]
    fn dot_pairs(self, acc: __m512, a: __m512i, b: __m512i) -> __m512 {
        if BF16 {
            // SAFETY: see the impl; `BF16` says the instruction is there; both types are 64 plain bytes.
            unsafe {
                _mm512_dpbf16_ps(
                    acc,
                    std::mem::transmute::<__m512i, __m512bh>(a),
                    std::mem::transmute::<__m512i, __m512bh>(b),
                )
            }
        } else {
            self.fma(odd(a), odd(b), self.fma(even(a), even(b), acc))
        }
    }

    #[inline(always)]
    unsafe fn round_pairs(self, floats: &[f32; 32], to: *mut u32) {
        if BF16 {
            // SAFETY: see the impl; `BF16` says the instruction is there; sixteen words are writable.
            unsafe {
                let (low, high) =
                    (_mm512_loadu_ps(floats.as_ptr()), _mm512_loadu_ps(floats.as_ptr().add(16)));
                let pairs = std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low));
                _mm512_storeu_si512(to.cast(), pairs);
            }
        } else {
            for i in 0..16 {
                // SAFETY: the caller's promise.
                unsafe { *to.add(i) = pack::round_pair(floats[2 * i], floats[2 * i + 1]).0 };
            }
        }
    }

    #[inline(always)]
    unsafe fn tiles<E: Element>(self, job: Tiles<E>) {
        // SAFETY: the caller's promise.
        unsafe { tile::run::<Self, E, 6, 4>(self, job) };
    }

    #[inline(always)]
    unsafe fn transpose_16x16(self, src: *const f32, src_stride: usize, dst: *mut f32, dst_stride: usize) {
        // SAFETY: see the impl; rows and columns below 16 are in bounds by the caller's promise.
        unsafe {
            let mut rows = [_mm512_setzero_ps(); 16];
            for (r, row) in rows.iter_mut().enumerate() {
                *row = _mm512_loadu_ps(src.add(r * src_stride));
            }
            // Each step doubles the run of rows that stand side by side: pairs, then fours within 128-bit lanes.
            let mut fours = [_mm512_setzero_ps(); 16];
            for g in [0, 4, 8, 12] {
                let low = _mm512_castps_pd(_mm512_unpacklo_ps(rows[g], rows[g + 1]));
                let high = _mm512_castps_pd(_mm512_unpackhi_ps(rows[g], rows[g + 1]));
                let low2 = _mm512_castps_pd(_mm512_unpacklo_ps(rows[g + 2], rows[g + 3]));
                let high2 = _mm512_castps_pd(_mm512_unpackhi_ps(rows[g + 2], rows[g + 3]));
                fours[g] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, low2));
                fours[g + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, low2));
                fours[g + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high, high2));
                fours[g + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high, high2));
            }
            // Lane `l` of `fours[g + j]` is column `4l + j` of rows `g..g + 4`: gather the lanes of one column.
            for j in 0..4 {
                let even = _mm512_shuffle_f32x4::<0x88>(fours[j], fours[4 + j]);
                let odd = _mm512_shuffle_f32x4::<0xdd>(fours[j], fours[4 + j]);
                let even2 = _mm512_shuffle_f32x4::<0x88>(fours[8 + j], fours[12 + j]);
                let odd2 = _mm512_shuffle_f32x4::<0xdd>(fours[8 + j], fours[12 + j]);
                _mm512_storeu_ps(dst.add(j * dst_stride), _mm512_shuffle_f32x4::<0x88>(even, even2));
                _mm512_storeu_ps(dst.add((4 + j) * dst_stride), _mm512_shuffle_f32x4::<0x88>(odd, odd2));
                _mm512_storeu_ps(dst.add((8 + j) * dst_stride), _mm512_shuffle_f32x4::<0xdd>(even, even2));
                _mm512_storeu_ps(dst.add((12 + j) * dst_stride), _mm512_shuffle_f32x4::<0xdd>(odd, odd2));
            }
        }
    }
}
