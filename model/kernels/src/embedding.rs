//! The soft embedding of self-conditioning: the mean of the embedding under a row's probabilities, over its survivors.
//!
//! Idea: after a few steps a row's mass sits on a handful of tokens, so only tokens with p ≥ e^-10 · max p are added
//! (the rest weighs under e^-10 each, and the survivors are renormalised). Exact twin: [`crate::softmax_rows`] and
//! [`crate::matmul`] with [`crate::PackedWeight::pack_transposed`].

use half::{bf16, f16};

use crate::isa::Isa;
use crate::pack::WeightView;
use crate::simd::{Op, Simd};
use crate::softmax;

/// Tokens this many nats below the best are left out.
const CUT: f32 = -10.0;

/// `out = softmax(logits / temperature) · E` over the tokens within 10 nats of the best, renormalised; adds rows of `E`
/// in rising token order. `logits` is `[vocabulary]`, `embedding` `[vocabulary, hidden]`, `out` `[hidden]`. Returns how
/// many tokens took part (0 when every logit is -∞, and then `out` is zero; a NaN or +∞ makes `out` NaN).
///
/// # Panics
/// When the shapes do not fit or the temperature is not positive.
pub fn soft_embedding_sparse(
    logits: &[f32],
    temperature: f32,
    embedding: WeightView<'_>,
    out: &mut [f32],
) -> usize {
    assert!(temperature > 0.0, "a temperature is positive, not {temperature}");
    assert_eq!(
        embedding.len(),
        logits.len() * out.len(),
        "the embedding is [{}, {}]",
        logits.len(),
        out.len()
    );
    let isa = Isa::current();
    let survivors = isa.run(Survivors { logits, inverse: 1.0 / temperature });
    out.fill(0.0);
    for &(token, weight) in &survivors {
        let row = token * out.len()..(token + 1) * out.len();
        match embedding {
            WeightView::F32(e) => isa.run(Add { out, row: &e[row], weight }),
            WeightView::Bf16(e) => isa.run(Add { out, row: &e[row], weight }),
            WeightView::F16(e) => isa.run(Add { out, row: &e[row], weight }),
        }
    }
    survivors.len()
}

/// Finds the tokens that take part, with their probabilities.
struct Survivors<'a> {
    logits: &'a [f32],
    inverse: f32,
}

impl Op for Survivors<'_> {
    type Output = Vec<(usize, f32)>;
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Vec<(usize, f32)> {
        let top = softmax::row_max(simd, self.logits);
        // Not `>=`: a NaN survives, and then shows in the output.
        let gone = |x: f32| x == f32::NEG_INFINITY || (x - top) * self.inverse < CUT;
        let mut kept: Vec<(usize, f32)> =
            self.logits.iter().enumerate().filter(|&(_, &x)| !gone(x)).map(|(i, &x)| (i, x)).collect();
        let mut sum = 0.0;
        for (_, x) in &mut kept {
            *x = ((*x - top) * self.inverse).exp();
            sum += *x;
        }
        for (_, x) in &mut kept {
            *x /= sum;
        }
        kept
    }
}

/// A stored float that widens to f32.
trait Stored: Copy {
    fn widen(self) -> f32;
}
impl Stored for f32 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }
}
impl Stored for bf16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
}
impl Stored for f16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self.to_f32()
    }
}

/// `out += weight · row`, element by element, for the compiler to vectorise.
struct Add<'a, E> {
    out: &'a mut [f32],
    row: &'a [E],
    weight: f32,
}

impl<E: Stored> Op for Add<'_, E> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for (out, x) in self.out.iter_mut().zip(self.row) {
            *out += self.weight * x.widen();
        }
    }
}
