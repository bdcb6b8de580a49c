//! RMS normalisation of rows, with or without a weight.
//!
//! Idea: four vector sums of squares in a fixed order, then one scaling pass over a row that is still in the first-level
//! cache. Twin: `tests/rows.rs`, in f64. Measured on one Zen 5 core at 64×256: 1.4 µs, 95 GB/s out of the cache.

use crate::isa::Isa;
use crate::parallel;
use crate::simd::{Op, Simd};

/// `out = x / sqrt(mean(x²) + eps) · weight` for each row of `dim`; `x` and `out` are `[rows, dim]`, `weight` `[dim]`.
/// A NaN or an infinity spoils its own row only.
///
/// # Panics
/// When a slice does not have the length its shape says, or `dim` is zero.
pub fn rms_norm(x: &[f32], weight: Option<&[f32]>, eps: f32, dim: usize, out: &mut [f32]) {
    assert!(dim > 0 && x.len().is_multiple_of(dim), "x is made of rows of {dim}");
    assert_eq!(x.len(), out.len(), "x and out have one shape");
    assert!(weight.is_none_or(|w| w.len() == dim), "the weight has {dim} values");
    let isa = Isa::current();
    // Short rows (heads) go many to a task.
    let rows = (4096 / dim).max(1);
    parallel::chunks_mut(out, rows * dim, x.len() / 12, |i, out| {
        let x = &x[i * rows * dim..][..out.len()];
        isa.run(Rows { x, weight, eps, dim, out });
    });
}

struct Rows<'a> {
    x: &'a [f32],
    weight: Option<&'a [f32]>,
    eps: f32,
    dim: usize,
    out: &'a mut [f32],
}

impl Op for Rows<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (x, out) in self.x.chunks_exact(self.dim).zip(self.out.chunks_exact_mut(self.dim)) {
            let mean = sum_of_squares(simd, x) / self.dim as f32;
            normalise(simd, x, self.weight, 1.0 / (mean + self.eps).sqrt(), out);
        }
    }
}

#[inline(always)]
fn sum_of_squares<S: Simd>(simd: S, x: &[f32]) -> f32 {
    let (p, len) = (x.as_ptr(), x.len());
    let mut sums = [simd.splat(0.0); 4];
    let mut i = 0;
    // SAFETY: every load ends at or before `len`.
    unsafe {
        while i + 4 * S::LANES <= len {
            for (s, sum) in sums.iter_mut().enumerate() {
                let v = simd.load(p.add(i + s * S::LANES));
                *sum = simd.fma(v, v, *sum);
            }
            i += 4 * S::LANES;
        }
        while i < len {
            let v = simd.load_upto(p.add(i), len - i, 0.0);
            sums[0] = simd.fma(v, v, sums[0]);
            i += S::LANES;
        }
    }
    simd.sum(simd.add(simd.add(sums[0], sums[1]), simd.add(sums[2], sums[3])))
}

#[inline(always)]
fn normalise<S: Simd>(simd: S, x: &[f32], weight: Option<&[f32]>, factor: f32, out: &mut [f32]) {
    let len = x.len().min(out.len());
    let factor = simd.splat(factor);
    let mut i = 0;
    // SAFETY: whole vectors end at or before `len`, parts hold the `len - i` elements left; the weight has `len` too.
    unsafe {
        while i < len {
            let mut y = simd.mul(simd.load_upto(x.as_ptr().add(i), len - i, 0.0), factor);
            if let Some(w) = weight {
                y = simd.mul(y, simd.load_upto(w.as_ptr().add(i), len - i, 0.0));
            }
            simd.store_upto(out.as_mut_ptr().add(i), len - i, y);
            i += S::LANES;
        }
    }
}
