//! The network on a device: weights, cache and buffers live there, and the host sends token ids and reads what it asked for.
//!
//! Order and shapes are those of [`crate::net`], which stays the twin that every pass is held against. Passes only launch
//! work; the device is waited for where something is read back. A pass that fails or is cancelled leaves the network
//! usable: nothing counts before it ended.

pub(crate) mod bench;
mod buffers;
mod cache;
mod fast;
mod fault;
mod host;
mod layer;
mod store;
#[cfg(all(test, feature = "emulated"))]
mod tests;

use crate::attention::Mode;
use crate::config::{Config, GenerationConfig};
use crate::error::LoadError;
use crate::layer::{DECODER, ENCODER};
use crate::load::{LoadEvent, PrecisionChoice, Report, positions_beyond};
use crate::plan::{DoesNotFit, Load, MemoryPlan, SURVIVORS_MAX, WeightFormat, storable};
use crate::weights::{ModelSource, Weights};
use buffers::{Buffers, scratch_bytes};
use cache::{Cache, Ropes};
use fault::{device_fault, run_fault};
use lacuna_engine::{CancelToken, EngineError};
use lacuna_kernels::device::ops::{Head, Rows, add_scaled, embed, matmul, matmul_gated, rms_norm};
use lacuna_kernels::device::{Device, DeviceError};
use layer::{Layer, Memory, Pass};
use store::{Matrix, Origin, Part, Store, Vector};

/// A DiffusionGemma on a device, with one KV cache.
#[derive(Debug)]
pub(crate) struct DeviceNet {
    device: Device,
    config: Config,
    generation: GenerationConfig,
    plan: MemoryPlan,
    table: Matrix, // the embedding, [V, hidden]
    layers: Vec<Layer>,
    norm: Vector,
    conditioning: Conditioning,
    ropes: Ropes,
    cache: Cache,
    /// Positions of the cache that count.
    len: usize,
    buffers: Buffers,
    /// What the loop on the device makes of a step's states.
    head: Head,
}

/// The self-conditioning block's weights.
#[derive(Debug)]
struct Conditioning {
    norm: Vector,    // [hidden]
    gate_up: Matrix, // [2 · intermediate, hidden]
    down: Matrix,    // [hidden, intermediate]
}

/// Canvases that a request's batch has room for; more go through the host's loop.
const CANVASES: usize = 4;

/// What a device is to hold.
pub(crate) struct Wanted {
    pub config: Config,
    pub generation: GenerationConfig,
    /// Formats that will do, best first.
    pub formats: Vec<WeightFormat>,
    /// Canvases side by side, and the rows of one.
    pub canvases: (usize, usize),
    /// Positions of the cache: at least, and at best.
    pub context: (usize, usize),
}

impl DeviceNet {
    /// Loads a model onto a device.
    ///
    /// # Errors
    /// [`LoadError`]; [`LoadError::Device`] with the numbers where it does not fit.
    pub(crate) fn load(
        device: &Device,
        source: &ModelSource,
        precision: PrecisionChoice,
        report: &Report<'_>,
    ) -> Result<Self, LoadError> {
        let config = Config::parse(&source.config()?)?;
        let generation = match source.generation_config()? {
            Some(json) => GenerationConfig::parse(&json, config.vocab_size)?,
            None => GenerationConfig::default(),
        };
        let weights = Weights::open(source)?;
        let beyond = positions_beyond(&config);
        let wanted = crate::abilities::prompt_tokens_max(&config) + beyond;
        let wanted = Wanted {
            formats: formats(precision),
            canvases: (CANVASES, config.canvas_length),
            context: (beyond + 64, wanted),
            config,
            generation,
        };
        Self::place(device, wanted, Origin::Files(&weights), report)
    }

    /// Brings weights to the device once it is known that everything fits.
    pub(crate) fn place(
        device: &Device,
        wanted: Wanted,
        origin: Origin<'_>,
        report: &Report<'_>,
    ) -> Result<Self, LoadError> {
        let plan = plan(device, &wanted)?;
        report(LoadEvent::Plan(plan));
        let Wanted { config, generation, .. } = wanted;
        let shared = match &origin {
            Origin::Files(weights) if !weights.has(&format!("{DECODER}.embed_tokens.weight")) => ENCODER,
            _ => DECODER,
        };
        let (hidden, dense, format) = (config.hidden_size, config.intermediate_size, plan.format);
        let mut store = Store::new(device, origin, report);
        let name = format!("{shared}.embed_tokens.weight");
        let table = Part { name: &name, shape: &[config.vocab_size, hidden] };
        let table = store.matrix(&[table], format.embedding())?;
        let layer = |index| Layer::load(&mut store, shared, index, &config, format);
        let layers = (0..config.layers.len()).map(layer).collect::<Result<Vec<_>, _>>()?;
        let conditioning = Conditioning::load(&mut store, hidden, dense, format)?;
        let norm = store.vector(&format!("{shared}.norm.weight"), hidden)?;
        let scratch = scratch_bytes(device, &config, &layers, plan).map_err(|error| device_fault(&error))?;
        let memory = || -> Result<_, DeviceError> {
            let cache = Cache::new(device, &config, format, plan.context)?;
            let ropes = Ropes::new(device, &config, plan.positions())?;
            let buffers = Buffers::new(device, &config, (format, plan.rows), scratch)?;
            Ok((cache, ropes, buffers, Head::new(device, plan.step_rows, config.vocab_size, SURVIVORS_MAX)?))
        };
        let (cache, ropes, buffers, head) = memory().map_err(|error| device_fault(&error))?;
        let device = device.clone();
        Ok(Self {
            device,
            config,
            generation,
            plan,
            table,
            layers,
            norm,
            conditioning,
            ropes,
            cache,
            len: 0,
            buffers,
            head,
        })
    }

    pub(crate) fn generation(&self) -> &GenerationConfig {
        &self.generation
    }

    /// What was planned, and taken.
    pub(crate) fn plan(&self) -> MemoryPlan {
        self.plan
    }

    /// Reads `ids` `[T]` after what the cache holds, in chunks. With `each`, every chunk goes through all layers and its
    /// final states lie in `buffers.y` when `each` is called with their number; without, the last layer makes its keys and
    /// values and no more.
    fn encode_chunks(
        &mut self,
        ids: &[u32],
        cancel: &CancelToken,
        mut each: Option<&mut dyn FnMut(&Self, usize) -> Result<(), DeviceError>>,
    ) -> Result<(), EngineError> {
        self.check_ids(ids)?;
        self.check_room(ids.len())?;
        let before = self.len;
        for chunk in ids.chunks(self.buffers.rows_max()) {
            let pass = Pass { mode: Mode::Causal, batch: 1, tokens: chunk.len(), position: self.len };
            let done =
                self.encode_chunk(chunk, pass, cancel, each.is_some()).and_then(|()| match &mut each {
                    Some(each) => each(self, chunk.len()).map_err(|error| run_fault(&error)),
                    None => Ok(()),
                });
            if let Err(error) = done {
                self.len = before;
                return Err(error);
            }
            self.len += chunk.len();
        }
        Ok(())
    }

    fn encode_chunk(
        &self,
        ids: &[u32],
        pass: Pass,
        cancel: &CancelToken,
        states: bool,
    ) -> Result<(), EngineError> {
        let started = || -> Result<(), DeviceError> {
            self.embed_ids(ids)?;
            self.first_norm(pass.rows())
        };
        started().map_err(|error| run_fault(&error))?;
        for index in 0..self.layers.len() {
            cancel.check()?;
            let own = self.cache.rows(index, pass.position, pass.tokens);
            let last = index + 1 == self.layers.len();
            own.and_then(|own| {
                let memory = self.memory(index, pass, own)?;
                let whole = states || !last;
                self.run_layer(index, pass, &memory, whole)
            })
            .map_err(|error| run_fault(&error))?;
        }
        Ok(())
    }

    /// All layers over the residual stream in `buffers.x`, reading the cache and writing nothing; the final states are in
    /// `buffers.y` then.
    fn through(&self, pass: Pass, cancel: &CancelToken) -> Result<(), EngineError> {
        self.first_norm(pass.rows()).map_err(|error| run_fault(&error))?;
        for index in 0..self.layers.len() {
            cancel.check()?;
            self.branch_layer(index, pass).map_err(|error| run_fault(&error))?;
        }
        Ok(())
    }

    /// Layer `index` of a pass whose keys and values the cache does not keep.
    fn branch_layer(&self, index: usize, pass: Pass) -> Result<(), DeviceError> {
        let layer = &self.layers[index];
        let own = self.buffers.kv(pass.rows(), layer.config.kv_heads * layer.config.head_dim)?;
        self.run_layer(index, pass, &self.memory(index, pass, own)?, true)
    }

    fn memory<'a>(
        &'a self,
        index: usize,
        pass: Pass,
        own: (Rows<'a>, Rows<'a>),
    ) -> Result<Memory<'a>, DeviceError> {
        let (rope, pairs) = self.ropes.of(index);
        Ok(Memory { prefix: self.cache.rows(index, 0, pass.position)?, own, rope, pairs })
    }

    /// One layer; `whole` or its keys and values alone. Its input's norm is in `buffers.a`, and so is the next one's after
    /// it; after the last layer the final states are in `buffers.y`.
    fn run_layer(
        &self,
        index: usize,
        pass: Pass,
        memory: &Memory<'_>,
        whole: bool,
    ) -> Result<(), DeviceError> {
        let (device, buffers, layer) = (&self.device, &self.buffers, &self.layers[index]);
        device.mark("projections")?;
        layer.project(device, buffers, pass, memory, whole)?;
        if !whole {
            return Ok(());
        }
        layer.attend(device, buffers, pass, memory)?;
        let next = match self.layers.get(index + 1) {
            Some(next) => (next.input.view(), buffers.a(pass.rows())?),
            // `y` is read before the norm writes it: each row is one block's, from start to end.
            None => (self.norm.view(), buffers.y(pass.rows())?),
        };
        layer.feed_forward(device, buffers, pass, next)
    }

    /// Token ids to the device, and their embeddings to the residual stream.
    fn embed_ids(&self, ids: &[u32]) -> Result<(), DeviceError> {
        self.device.mark("embedding")?;
        self.buffers.ids().upload_slice(0, ids)?;
        self.embed_uploaded(ids.len())
    }

    /// As [`DeviceNet::embed_ids`] of the `count` ids that are on the device already.
    fn embed_uploaded(&self, count: usize) -> Result<(), DeviceError> {
        let ids = (self.buffers.ids().all(), count);
        embed(&self.device, ids, self.table.view()?, self.root(), (self.buffers.x(count)?, None))
    }

    fn root(&self) -> f32 {
        (self.config.hidden_size as f32).sqrt()
    }

    fn first_norm(&self, rows: usize) -> Result<(), DeviceError> {
        self.device.mark("norms")?;
        let Some(first) = self.layers.first() else { return Ok(()) };
        let (x, a) = (self.buffers.x(rows)?, self.buffers.a(rows)?);
        rms_norm(&self.device, x, Some(first.input.view()), self.config.norm_eps, a)
    }

    /// The self-conditioning block over the residual stream, by the soft embeddings in `buffers.soft` where there are any.
    fn condition(&self, rows: usize, soft: bool) -> Result<(), DeviceError> {
        let (device, buffers, eps) = (&self.device, &self.buffers, self.config.norm_eps);
        device.mark("conditioning")?;
        let x = buffers.x(rows)?;
        if soft {
            let (a, y) = (buffers.a(rows)?, buffers.y(rows)?);
            let (gate_up, active) = (buffers.gate_up(rows)?, buffers.active(rows)?);
            rms_norm(device, buffers.soft(rows)?, Some(self.conditioning.norm.view()), eps, a)?;
            let operands = (a, self.conditioning.gate_up.view()?, active);
            matmul_gated(device, operands, gate_up, buffers.scratch())?;
            matmul(device, active, self.conditioning.down.view()?, y, buffers.scratch())?;
            add_scaled(device, x, y, 1.0)?;
        }
        rms_norm(device, x, None, eps, x)
    }

    fn check_ids(&self, ids: &[u32]) -> Result<(), EngineError> {
        let vocabulary = self.config.vocab_size;
        match ids.iter().find(|&&id| id as usize >= vocabulary) {
            None => Ok(()),
            Some(id) => {
                Err(EngineError::InvalidRequest(format!("token ids must be below {vocabulary}, found {id}")))
            }
        }
    }

    fn check_room(&self, count: usize) -> Result<(), EngineError> {
        let most = self.cache.positions();
        if count <= most.saturating_sub(self.len) {
            return Ok(());
        }
        Err(EngineError::InvalidRequest(format!(
            "the prompt must be at most {most} tokens, found {}",
            self.len.saturating_add(count)
        )))
    }

    /// Bytes of weights on the device.
    fn bytes(&self) -> usize {
        let layers: usize = self.layers.iter().map(Layer::bytes).sum();
        let conditioning = &self.conditioning;
        layers
            + self.table.bytes()
            + self.norm.bytes()
            + conditioning.norm.bytes()
            + conditioning.gate_up.bytes()
            + conditioning.down.bytes()
    }
}

impl Conditioning {
    fn load(
        store: &mut Store<'_>,
        hidden: usize,
        dense: usize,
        format: WeightFormat,
    ) -> Result<Self, LoadError> {
        let name = |rest: &str| format!("{DECODER}.self_conditioning.{rest}.weight");
        let (gate, up, down) = (name("gate_proj"), name("up_proj"), name("down_proj"));
        let inner = [dense, hidden];
        let parts = [Part { name: &gate, shape: &inner }, Part { name: &up, shape: &inner }];
        Ok(Self {
            gate_up: store.matrix(&parts, format)?,
            down: store.matrix(&[Part { name: &down, shape: &[hidden, dense] }], format)?,
            norm: store.vector(&name("pre_norm"), hidden)?,
        })
    }
}

/// The formats that a choice of precision allows, best first.
fn formats(precision: PrecisionChoice) -> Vec<WeightFormat> {
    match precision {
        PrecisionChoice::Auto => vec![WeightFormat::Bf16, WeightFormat::Q8, WeightFormat::Q4],
        PrecisionChoice::F32 => vec![WeightFormat::F32],
        PrecisionChoice::Bf16 => vec![WeightFormat::Bf16],
        PrecisionChoice::Q8 => vec![WeightFormat::Q8],
        PrecisionChoice::Q4 => vec![WeightFormat::Q4],
    }
}

/// The first of the formats that fits, with as much context as does.
fn plan(device: &Device, wanted: &Wanted) -> Result<MemoryPlan, LoadError> {
    let free = device.memory_free().map_err(|error| device_fault(&error))?;
    let (batch, canvas) = wanted.canvases;
    let mut refusal: Option<DoesNotFit> = None;
    let chosen = wanted.formats.len() == 1; // a format asked for by name is tried, and its refusal names the tensor
    for &format in wanted.formats.iter().filter(|format| chosen || storable(&wanted.config, **format)) {
        match MemoryPlan::fit(&wanted.config, Load { format, batch, canvas }, wanted.context, free) {
            Ok(plan) => return Ok(plan),
            Err(error) => refusal = Some(error),
        }
    }
    Err(LoadError::Device(refusal.map_or_else(String::new, |refusal| refusal.to_string())))
}
