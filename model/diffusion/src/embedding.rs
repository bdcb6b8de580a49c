//! The tied embedding: tokens in, logits out, and probabilities back in as a soft embedding.

use crate::config::Config;
use crate::error::LoadError;
use crate::weights::Weights;
use lacuna_engine::EngineError;
use lacuna_kernels::{PackedWeight, Precision, WeightView, matmul, softcap, softmax_rows};

/// The embedding in the three forms it is used in.
#[derive(Debug)]
pub(crate) struct Embedding {
    /// E · sqrt(hidden), [V, hidden]: what a token contributes.
    scaled: Vec<f32>,
    /// E [V, hidden], for hidden states → logits.
    head: PackedWeight,
    /// E · sqrt(hidden) [V, hidden], for probabilities → soft embeddings.
    soft: PackedWeight,
    softcap: f32,
}

impl Embedding {
    /// Reads the tensor `name` [V, hidden].
    pub(crate) fn load(
        weights: &Weights,
        name: &str,
        config: &Config,
        precision: Precision,
    ) -> Result<Self, LoadError> {
        let (vocabulary, hidden) = (config.vocab_size, config.hidden_size);
        let mut scaled = weights.f32(name, &[vocabulary, hidden])?;
        let head = PackedWeight::pack(WeightView::F32(&scaled), vocabulary, hidden, precision);
        let root = (hidden as f32).sqrt();
        scaled.iter_mut().for_each(|value| *value *= root);
        let soft = PackedWeight::pack_transposed(WeightView::F32(&scaled), vocabulary, hidden, precision);
        Ok(Self { scaled, head, soft, softcap: config.logit_softcap })
    }

    fn hidden(&self) -> usize {
        self.head.depth()
    }

    fn vocabulary(&self) -> usize {
        self.head.out()
    }

    /// `[ids.len(), hidden]`, scaled.
    pub(crate) fn rows(&self, ids: &[u32]) -> Result<Vec<f32>, EngineError> {
        let hidden = self.hidden();
        let mut rows = Vec::with_capacity(ids.len() * hidden);
        for &id in ids {
            let row = self.scaled.get(id as usize * hidden..(id as usize + 1) * hidden).ok_or_else(|| {
                let vocabulary = self.vocabulary();
                EngineError::InvalidRequest(format!("token ids must be below {vocabulary}, found {id}"))
            })?;
            rows.extend_from_slice(row);
        }
        Ok(rows)
    }

    /// `states` `[n, hidden]` → softcapped logits `[n, V]`.
    pub(crate) fn logits(&self, states: &[f32]) -> Vec<f32> {
        let rows = states.len() / self.hidden();
        let mut logits = vec![0.0; rows * self.vocabulary()];
        matmul(states, rows, &self.head, &mut logits);
        softcap(&mut logits, self.softcap);
        logits
    }

    /// `logits` `[n, V]` → `softmax(logits / temperature) @ E · sqrt(hidden)` `[n, hidden]`.
    pub(crate) fn soft(&self, logits: &[f32], temperature: f32) -> Vec<f32> {
        let rows = logits.len() / self.vocabulary();
        let mut probabilities = logits.to_vec(); // [n, V]
        softmax_rows(&mut probabilities, self.vocabulary(), temperature);
        let mut out = vec![0.0; rows * self.hidden()];
        matmul(&probabilities, rows, &self.soft, &mut out);
        out
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.scaled.as_slice()) + self.head.bytes() + self.soft.bytes()
    }
}
