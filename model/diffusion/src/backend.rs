//! What a session needs of a network and its KV cache, wherever they live: the processor's memory or a device's.
//!
//! Everything above this line (sessions, denoising, infilling, scoring, replay) is the same for all backends. Shapes are
//! those of [`Net`]: T tokens, B sequences, C canvas rows, V vocabulary, hidden the residual width; all f32, row-major.

use crate::branches::Branches;
use crate::config::{Config, GenerationConfig};
use crate::denoise::{Condensing, Rules};
use crate::kv::KvCache;
use crate::net::{Canvases, Net};
use lacuna_engine::{CancelToken, EngineError};
use lacuna_kernels::{Precision, row_stats_all};

/// A network with one KV cache.
pub(crate) trait Backend: std::fmt::Debug + Send + Sync {
    /// The network's sizes.
    fn config(&self) -> &Config;
    /// Parameters in use.
    fn parameters(&self) -> usize;
    /// Bytes of weights held.
    fn weight_bytes(&self) -> usize;
    /// What weights are stored in.
    fn precision(&self) -> &'static str;
    /// Where it runs, for people.
    fn device(&self) -> String;

    /// [`Net::read`] into the cache.
    fn read(&mut self, ids: &[u32], cancel: &CancelToken) -> Result<(), EngineError>;
    /// [`Net::encode`] into the cache.
    fn encode(&mut self, ids: &[u32], cancel: &CancelToken) -> Result<Vec<f32>, EngineError>;
    /// [`Net::branch`] after the cache.
    fn branch(&self, ids: &[u32], batch: usize, cancel: &CancelToken) -> Result<Vec<f32>, EngineError>;
    /// [`Net::grow`] after the cache: one more token of each branch, and their states. Where branches keep nothing, they are
    /// read anew.
    fn grow(
        &self,
        branches: &mut Branches,
        ids: &[u32],
        cancel: &CancelToken,
    ) -> Result<Vec<f32>, EngineError> {
        branches.push(ids);
        let states = self.branch(&branches.all_ids(), branches.len(), cancel)?;
        let (hidden, tokens) = (self.config().hidden_size, branches.tokens());
        let last = states.chunks_exact(hidden).skip(tokens - 1).step_by(tokens);
        Ok(last.flatten().copied().collect())
    }
    /// [`Net::denoise`] after the cache.
    fn denoise(&self, canvases: &Canvases<'_>, cancel: &CancelToken) -> Result<Vec<f32>, EngineError>;
    /// [`Net::logits`].
    fn logits(&self, states: &[f32]) -> Result<Vec<f32>, EngineError>;
    /// ln p(ids[i]) by the logits of each row of `states` `[ids.len(), hidden]` at temperature 1: for scoring, where one
    /// number of a row's whole vocabulary is wanted.
    fn log_probs(&self, states: &[f32], ids: &[u32]) -> Result<Vec<f32>, EngineError> {
        let vocabulary = self.config().vocab_size;
        let logits = self.logits(states)?;
        let totals = row_stats_all(&logits, vocabulary, 1.0);
        let rows = logits.chunks_exact(vocabulary).zip(ids).zip(totals);
        Ok(rows.map(|((row, &id), total)| row[id as usize] - total.log_sum_exp).collect())
    }
    /// [`Net::soft_embedding`] at temperature 1.
    fn soft_embedding(&self, scaled: &[f32]) -> Result<Vec<f32>, EngineError>;
    /// [`Net::embed`].
    fn embed(&self, ids: &[u32]) -> Result<Vec<f32>, EngineError>;

    /// Condenses the whole batch where the backend has a loop of its own for these rules; `None` where it has none, and
    /// then nothing was touched. Otherwise as [`crate::denoise::condense`].
    fn condense(
        &self,
        _batch: &mut [Condensing],
        _rules: &Rules,
        _cancel: &CancelToken,
        _after_step: &mut dyn FnMut(&[Condensing]),
    ) -> Option<Result<usize, EngineError>> {
        None
    }

    /// Positions the cache may hold.
    fn positions_max(&self) -> usize;
    /// Forgets every position from `len` on.
    fn truncate(&mut self, len: usize);
    /// [`KvCache::hide`].
    fn hide(&mut self, len: usize) -> usize;
    /// [`KvCache::unhide`].
    fn unhide(&mut self, held: usize);
}

/// The network on the processor.
#[derive(Debug)]
pub(crate) struct Cpu {
    net: Net,
    cache: KvCache,
    /// Why it is not a device, where one was looked for.
    remark: Option<String>,
}

impl Cpu {
    /// With an empty cache of at most `positions_max` positions.
    pub(crate) fn new(net: Net, positions_max: usize) -> Self {
        let cache =
            KvCache::bounded(net.config(), net.precision(), positions_max.min(net.config().positions_max));
        Self { net, cache, remark: None }
    }

    /// Says why it is not a device.
    pub(crate) fn because(self, remark: Option<String>) -> Self {
        Self { remark, ..self }
    }
}

impl Backend for Cpu {
    fn config(&self) -> &Config {
        self.net.config()
    }
    fn parameters(&self) -> usize {
        self.net.parameters()
    }
    fn weight_bytes(&self) -> usize {
        self.net.weight_bytes()
    }
    fn precision(&self) -> &'static str {
        match self.net.precision() {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
        }
    }
    fn device(&self) -> String {
        let cpu = format!("cpu ({})", lacuna_kernels::Isa::detect().name());
        match &self.remark {
            Some(remark) => format!("{cpu}; not the GPU: {remark}"),
            None => cpu,
        }
    }
    fn read(&mut self, ids: &[u32], cancel: &CancelToken) -> Result<(), EngineError> {
        self.net.read(&mut self.cache, ids, cancel)
    }
    fn encode(&mut self, ids: &[u32], cancel: &CancelToken) -> Result<Vec<f32>, EngineError> {
        self.net.encode(&mut self.cache, ids, cancel)
    }
    fn branch(&self, ids: &[u32], batch: usize, cancel: &CancelToken) -> Result<Vec<f32>, EngineError> {
        self.net.branch(&self.cache, ids, batch, cancel)
    }
    fn grow(
        &self,
        branches: &mut Branches,
        ids: &[u32],
        cancel: &CancelToken,
    ) -> Result<Vec<f32>, EngineError> {
        self.net.grow(&self.cache, branches, ids, cancel)
    }
    fn denoise(&self, canvases: &Canvases<'_>, cancel: &CancelToken) -> Result<Vec<f32>, EngineError> {
        self.net.denoise(&self.cache, canvases, cancel)
    }
    fn logits(&self, states: &[f32]) -> Result<Vec<f32>, EngineError> {
        self.net.logits(states)
    }
    fn soft_embedding(&self, scaled: &[f32]) -> Result<Vec<f32>, EngineError> {
        self.net.soft_embedding(scaled, 1.0)
    }
    fn embed(&self, ids: &[u32]) -> Result<Vec<f32>, EngineError> {
        self.net.embed(ids)
    }
    fn positions_max(&self) -> usize {
        self.cache.positions_max()
    }
    fn truncate(&mut self, len: usize) {
        self.cache.truncate(len);
    }
    fn hide(&mut self, len: usize) -> usize {
        self.cache.hide(len)
    }
    fn unhide(&mut self, held: usize) {
        self.cache.unhide(held);
    }
}

/// A loaded network, before it is known how much it has to remember.
#[derive(Debug)]
pub(crate) enum Opened {
    /// On the processor, and why not on a device, where one was looked for.
    Cpu(Box<Net>, Option<String>),
    /// On a device, where its cache is already.
    #[cfg(feature = "device")]
    Device(Box<crate::device::DeviceNet>),
}

impl Opened {
    pub(crate) fn config(&self) -> &Config {
        match self {
            Self::Cpu(net, _) => net.config(),
            #[cfg(feature = "device")]
            Self::Device(net) => net.config(),
        }
    }

    pub(crate) fn generation(&self) -> &GenerationConfig {
        match self {
            Self::Cpu(net, _) => net.generation(),
            #[cfg(feature = "device")]
            Self::Device(net) => net.generation(),
        }
    }

    /// Positions that a cache of at most `bytes` holds; on a device, where the plan has decided it, those.
    pub(crate) fn positions_within(&self, bytes: usize) -> usize {
        match self {
            Self::Cpu(net, _) => bytes / KvCache::bytes_per_position(net.config(), net.precision()).max(1),
            #[cfg(feature = "device")]
            Self::Device(net) => net.positions_max(),
        }
    }

    /// The network with a cache of at most `positions_max` positions.
    pub(crate) fn into_backend(self, positions_max: usize) -> Box<dyn Backend> {
        match self {
            Self::Cpu(net, remark) => Box::new(Cpu::new(*net, positions_max).because(remark)),
            #[cfg(feature = "device")]
            Self::Device(net) => net,
        }
    }
}
