//! The network in one sitting: a causal encoder that fills a KV cache, and a bidirectional decoder that reads it.
//!
//! Shapes: T tokens, B sequences, C canvas rows, V vocabulary, `hidden` the residual width. Everything is f32, row-major,
//! on the CPU. Each entry point runs inside the current rayon pool; results have the same bits on any number of threads.
//! Source: `modeling_diffusion_gemma.py` of transformers 5.23.0.

use crate::attention::{Context, Mode};
use crate::branches::Branches;
use crate::config::{Config, GenerationConfig, LayerConfig};
use crate::embedding::Embedding;
use crate::error::LoadError;
use crate::kv::KvCache;
use crate::layer::{DECODER, ENCODER, Layer};
use crate::mlp::{GatedMlp, MlpSize};
use crate::rope::{Rope, Table};
use crate::weights::{ModelSource, Weights};
use lacuna_engine::{CancelToken, EngineError};
use lacuna_kernels::{Precision, add, rms_norm};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// Tokens the encoder reads at once: bounds its working memory on long prompts.
const ENCODE_CHUNK: usize = 256;

/// A loaded DiffusionGemma.
#[derive(Debug)]
pub struct Net {
    config: Config,
    generation: GenerationConfig,
    precision: Precision,
    embedding: Embedding,
    layers: Vec<Layer>,
    /// Rotary tables, and which one each layer uses.
    ropes: Vec<Rope>,
    rope_of: Vec<usize>,
    norm: Vec<f32>,
    conditioning: GatedMlp,
    conditioning_norm: Vec<f32>,
}

/// A batch of canvases that share one prefix.
#[derive(Clone, Copy, Debug)]
pub struct Canvases<'a> {
    /// Token ids `[B · C]`.
    pub tokens: &'a [u32],
    /// B.
    pub batch: usize,
    /// Self-conditioning `[B · C, hidden]` as [`Net::soft_embedding`] and [`Net::embed`] make it; `None` on the first
    /// step, which means zeros.
    pub soft: Option<&'a [f32]>,
    /// Rows of `[B · C]` whose logits are wanted; `None` is all.
    pub rows: Option<&'a [usize]>,
}

impl Net {
    /// Loads a model and packs its weights; bf16, f16 and f32 files alike.
    ///
    /// # Errors
    /// [`LoadError`], naming the file, key or tensor at fault.
    pub fn load(source: &ModelSource, precision: Precision) -> Result<Self, LoadError> {
        let config = source.config()?;
        let generation = source.generation_config(config.vocab_size)?;
        let weights = Weights::open(source)?;
        let shared = if weights.has(&format!("{DECODER}.embed_tokens.weight")) { DECODER } else { ENCODER };
        let hidden = config.hidden_size;
        let layer = |index| Layer::load(&weights, shared, index, &config, precision);
        let layers = (0..config.layers.len()).into_par_iter().map(layer).collect::<Result<Vec<_>, _>>()?;
        let conditioning = format!("{DECODER}.self_conditioning");
        let size = MlpSize { hidden, width: config.intermediate_size, precision };
        let (ropes, rope_of) = ropes(&config);
        Ok(Self {
            embedding: Embedding::load(
                &weights,
                &format!("{shared}.embed_tokens.weight"),
                &config,
                precision,
            )?,
            norm: weights.f32(&format!("{shared}.norm.weight"), &[hidden])?,
            conditioning: GatedMlp::load(&weights, &conditioning, size)?,
            conditioning_norm: weights.f32(&format!("{conditioning}.pre_norm.weight"), &[hidden])?,
            layers,
            ropes,
            rope_of,
            precision,
            generation,
            config,
        })
    }

    /// The network's sizes.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The sampler's numbers.
    #[must_use]
    pub fn generation(&self) -> &GenerationConfig {
        &self.generation
    }

    /// What the matrix products are computed in.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Parameters in use (without unused towers).
    #[must_use]
    pub fn parameters(&self) -> usize {
        let layers: usize = self.layers.iter().map(Layer::parameters).sum();
        let vocabulary = self.config.vocab_size * self.config.hidden_size;
        vocabulary + layers + self.conditioning.parameters() + 2 * self.config.hidden_size
    }

    /// Bytes of weights held.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        let layers: usize = self.layers.iter().map(Layer::bytes).sum();
        layers + self.embedding.bytes() + self.conditioning.bytes()
    }

    /// Reads `ids` `[T]` left to right after what the cache holds, and appends their keys and values.
    /// Returns the hidden states after the final norm, `[T, hidden]`.
    ///
    /// # Errors
    /// [`EngineError::Cancelled`] (the cache then holds what it held) and [`EngineError::InvalidRequest`] for an id
    /// outside the vocabulary or more positions than the cache may hold.
    pub fn encode(
        &self,
        cache: &mut KvCache,
        ids: &[u32],
        cancel: &CancelToken,
    ) -> Result<Vec<f32>, EngineError> {
        let mut states = Vec::with_capacity(ids.len() * self.config.hidden_size);
        self.encode_chunks(cache, ids, cancel, Some(&mut states))?;
        Ok(states)
    }

    /// As [`Net::encode`] where only the cache is wanted: the last layer makes its keys and values and no more.
    ///
    /// # Errors
    /// As [`Net::encode`].
    pub fn read(&self, cache: &mut KvCache, ids: &[u32], cancel: &CancelToken) -> Result<(), EngineError> {
        self.encode_chunks(cache, ids, cancel, None)
    }

    fn encode_chunks(
        &self,
        cache: &mut KvCache,
        ids: &[u32],
        cancel: &CancelToken,
        mut states: Option<&mut Vec<f32>>,
    ) -> Result<(), EngineError> {
        cache.check_room(ids.len())?;
        let before = cache.len();
        for chunk in ids.chunks(ENCODE_CHUNK) {
            let states = states.as_deref_mut();
            if let Err(error) = in_pool(|| self.encode_chunk(cache, chunk, cancel, states)) {
                cache.truncate(before);
                return Err(error);
            }
        }
        Ok(())
    }

    fn encode_chunk(
        &self,
        cache: &mut KvCache,
        ids: &[u32],
        cancel: &CancelToken,
        states: Option<&mut Vec<f32>>,
    ) -> Result<(), EngineError> {
        let mut x = self.embedding.rows(ids)?; // [T, hidden]
        let pass = self.pass(Mode::Causal, 1, cache.next(ids.len()));
        for (index, layer) in self.layers.iter().enumerate() {
            cancel.check()?;
            let context = self.context(index, cache, &pass);
            let new = if states.is_none() && index + 1 == self.layers.len() {
                layer.keys_values(&x, &context)
            } else {
                let new = layer.attend(&mut x, &context);
                layer.feed_forward(&mut x, Mode::Causal);
                new
            };
            cache.append(index, &new.k, &new.v);
        }
        cache.commit(ids.len());
        if let Some(states) = states {
            states.extend(self.final_norm(&x));
        }
        Ok(())
    }

    /// Reads a batch of equally long continuations `ids` `[B · T]` of what the cache holds, left to right, and writes
    /// nothing: for scoring. Returns the hidden states after the final norm, `[B · T, hidden]`.
    ///
    /// # Errors
    /// As [`Net::encode`].
    pub fn branch(
        &self,
        cache: &KvCache,
        ids: &[u32],
        batch: usize,
        cancel: &CancelToken,
    ) -> Result<Vec<f32>, EngineError> {
        check_batch(ids, batch)?;
        in_pool(|| {
            let x = self.embedding.rows(ids)?; // [B · T, hidden]
            let pass = self.pass(Mode::Causal, batch, cache.next(ids.len() / batch));
            self.through(x, cache, &pass, cancel)
        })
    }

    /// Reads one more token `ids` `[branches]` of each of `branches`, left to right. Returns their hidden states after the
    /// final norm, `[branches, hidden]`, with the bits that [`Net::branch`] gives them.
    ///
    /// # Errors
    /// As [`Net::encode`]; `branches` are then good for nothing more.
    pub(crate) fn grow(
        &self,
        cache: &KvCache,
        branches: &mut Branches,
        ids: &[u32],
        cancel: &CancelToken,
    ) -> Result<Vec<f32>, EngineError> {
        check_batch(ids, branches.len())?;
        cache.check_room(branches.tokens() + 1)?;
        in_pool(|| {
            let mut x = self.embedding.rows(ids)?; // [branches, hidden]
            branches.reserve(&self.config);
            let position = cache.len() + branches.tokens();
            let pass = self.pass(Mode::Causal, branches.len(), position..position + 1);
            for (index, layer) in self.layers.iter().enumerate() {
                cancel.check()?;
                layer.attend_next(&mut x, &self.context(index, cache, &pass), (branches, index));
                layer.feed_forward(&mut x, Mode::Causal);
            }
            branches.push(ids);
            Ok(self.final_norm(&x))
        })
    }

    /// One decoder pass over a batch of canvases that stand where the cache ends. Returns softcapped logits before any
    /// temperature, `[B · C, V]`, or only the rows asked for.
    ///
    /// # Errors
    /// As [`Net::encode`]; also when the shapes do not fit each other.
    pub fn denoise(
        &self,
        cache: &KvCache,
        canvases: &Canvases<'_>,
        cancel: &CancelToken,
    ) -> Result<Vec<f32>, EngineError> {
        let Canvases { tokens, batch, soft, rows } = *canvases;
        check_batch(tokens, batch)?;
        let hidden = self.config.hidden_size;
        if soft.is_some_and(|soft| soft.len() != tokens.len() * hidden) {
            return Err(defect(format!("soft must be [{}, {hidden}]", tokens.len())));
        }
        in_pool(|| {
            let x = self.condition(self.embedding.rows(tokens)?, soft); // [B · C, hidden]
            let pass = Pass { rows, ..self.pass(Mode::Canvas, batch, cache.next(tokens.len() / batch)) };
            let states = self.through(x, cache, &pass, cancel)?; // [rows, hidden]
            Ok(self.embedding.logits(&states)) // [rows, V]
        })
    }

    /// Softcapped logits of hidden states: `[n, hidden]` → `[n, V]`.
    ///
    /// # Errors
    /// When `states` is not whole rows.
    pub fn logits(&self, states: &[f32]) -> Result<Vec<f32>, EngineError> {
        check_rows(states, self.config.hidden_size)?;
        Ok(in_pool(|| self.embedding.logits(states)))
    }

    /// softmax(logits / temperature) @ E · sqrt(hidden): `[n, V]` → `[n, hidden]`, for self-conditioning.
    ///
    /// # Errors
    /// When `logits` is not whole rows.
    pub fn soft_embedding(&self, logits: &[f32], temperature: f32) -> Result<Vec<f32>, EngineError> {
        check_rows(logits, self.config.vocab_size)?;
        Ok(in_pool(|| self.embedding.soft(logits, temperature)))
    }

    /// `E[ids] · sqrt(hidden)`, `[n, hidden]`: the input embedding, and the self-conditioning of a given token.
    ///
    /// # Errors
    /// [`EngineError::InvalidRequest`] for an id outside the vocabulary.
    pub fn embed(&self, ids: &[u32]) -> Result<Vec<f32>, EngineError> {
        self.embedding.rows(ids)
    }

    /// The self-conditioning block: norm(x + mlp(norm(soft))), `[rows, hidden]`. Zeros pass through the MLP as zeros.
    fn condition(&self, mut x: Vec<f32>, soft: Option<&[f32]>) -> Vec<f32> {
        let (hidden, eps) = (self.config.hidden_size, self.config.norm_eps);
        if let Some(soft) = soft {
            let mut normed = vec![0.0; soft.len()]; // [rows, hidden]
            rms_norm(soft, Some(&self.conditioning_norm), eps, hidden, &mut normed);
            let mut signal = vec![0.0; soft.len()]; // [rows, hidden]
            self.conditioning.forward(&normed, soft.len() / hidden, &mut signal);
            add(&mut x, &signal);
        }
        let mut out = vec![0.0; x.len()]; // [rows, hidden]
        rms_norm(&x, None, eps, hidden, &mut out);
        out
    }

    /// All layers and the final norm over `x` `[B · T, hidden]`, reading the cache and writing nothing. Where only some
    /// rows are wanted, the others end with the last layer's attention.
    fn through(
        &self,
        mut x: Vec<f32>,
        cache: &KvCache,
        pass: &Pass<'_>,
        cancel: &CancelToken,
    ) -> Result<Vec<f32>, EngineError> {
        for (index, layer) in self.layers.iter().enumerate() {
            cancel.check()?;
            layer.attend(&mut x, &self.context(index, cache, pass));
            if let Some(rows) = pass.rows
                && index + 1 == self.layers.len()
            {
                x = pick(&x, rows, self.config.hidden_size)?; // [rows, hidden]
            }
            layer.feed_forward(&mut x, pass.mode);
        }
        Ok(self.final_norm(&x))
    }

    fn pass(&self, mode: Mode, batch: usize, positions: Range<usize>) -> Pass<'static> {
        let tables = self.ropes.iter().map(|rope| rope.table(positions.end)).collect();
        Pass { mode, batch, positions, tables, rows: None }
    }

    /// What `pass` means to layer `index`.
    fn context<'a>(&self, index: usize, cache: &'a KvCache, pass: &'a Pass<'_>) -> Context<'a> {
        Context {
            mode: pass.mode,
            batch: pass.batch,
            positions: pass.positions.clone(),
            prefix: cache.layer(index),
            rope: &pass.tables[self.rope_of[index]],
        }
    }

    fn final_norm(&self, x: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; x.len()];
        rms_norm(x, Some(&self.norm), self.config.norm_eps, self.config.hidden_size, &mut out);
        out
    }
}

/// What all layers of one pass share.
struct Pass<'a> {
    mode: Mode,
    batch: usize,
    /// Of each sequence's tokens.
    positions: Range<usize>,
    tables: Vec<Arc<Table>>,
    /// Rows of the batch that are wanted, if not all.
    rows: Option<&'a [usize]>,
}

/// Runs `work` on a thread of the current rayon pool, so that its kernels do not cross into the pool one by one.
fn in_pool<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| work())
}

/// One rotary table for every distinct embedding, and which one each layer uses.
pub(crate) fn ropes(config: &Config) -> (Vec<Rope>, Vec<usize>) {
    let mut kinds: Vec<LayerConfig> = Vec::new();
    let mut rope_of = Vec::with_capacity(config.layers.len());
    for layer in &config.layers {
        let same = |kind: &LayerConfig| kind.head_dim == layer.head_dim && kind.rope == layer.rope;
        rope_of.push(kinds.iter().position(same).unwrap_or(kinds.len()));
        if rope_of.last() == Some(&kinds.len()) {
            kinds.push(*layer);
        }
    }
    (kinds.iter().map(Rope::new).collect(), rope_of)
}

fn pick(states: &[f32], rows: &[usize], hidden: usize) -> Result<Vec<f32>, EngineError> {
    let mut picked = Vec::with_capacity(rows.len() * hidden);
    for &row in rows {
        let state = states.get(row * hidden..(row + 1) * hidden);
        picked.extend_from_slice(state.ok_or_else(|| defect(format!("there is no canvas row {row}")))?);
    }
    Ok(picked)
}

pub(crate) fn check_batch(ids: &[u32], batch: usize) -> Result<(), EngineError> {
    if batch > 0 && !ids.is_empty() && ids.len().is_multiple_of(batch) {
        return Ok(());
    }
    Err(defect(format!("{} tokens do not make {batch} equally long sequences", ids.len())))
}

pub(crate) fn check_rows(values: &[f32], width: usize) -> Result<(), EngineError> {
    if values.len().is_multiple_of(width) {
        return Ok(());
    }
    Err(defect(format!("{} values do not make rows of {width}", values.len())))
}

pub(crate) fn defect(reason: String) -> EngineError {
    EngineError::Compute { while_doing: "preparing a pass".to_owned(), reason }
}
