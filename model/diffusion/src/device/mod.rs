//! The network on a device: weights, cache and buffers live there, and the host sends token ids and reads what it asked for.
//!
//! Order and shapes are those of [`crate::net`], which stays the twin that every pass is held against. Passes only launch
//! work; the device is waited for where something is read back. A pass that fails or is cancelled leaves the network
//! usable: nothing counts before it ended.

pub(crate) mod bench;
mod buffers;
mod cache;
#[cfg(all(test, feature = "emulated"))]
mod emulated_tests;
mod fast;
mod fault;
mod host;
mod layer;
#[cfg(test)]
mod loop_tests;
mod pass;
mod recording;
mod status;
mod store;
#[cfg(test)]
mod tests;

use crate::config::{Config, GenerationConfig};
use crate::error::LoadError;
use crate::layer::{DECODER, ENCODER};
use crate::load::{LoadEvent, PrecisionChoice, Report, positions_beyond};
use crate::plan::{DoesNotFit, Load, MemoryPlan, WeightFormat};
use crate::sizes::{SURVIVORS_MAX, storable};
use crate::weights::{ModelSource, Weights};
use buffers::{Buffers, scratch_bytes};
use cache::{Cache, Ropes};
use fault::device_fault;
use lacuna_kernels::device::ops::Head;
use lacuna_kernels::device::{Device, DeviceError};
use layer::Layer;
use recording::Recordings;
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
    recordings: Recordings,
}

/// The self-conditioning block's weights.
#[derive(Debug)]
struct Conditioning {
    norm: Vector,    // [hidden]
    gate_up: Matrix, // [2 · intermediate, hidden]
    down: Matrix,    // [hidden, intermediate]
}

/// Canvases side by side that there is room for; more go through one group after another.
const CANVASES: usize = 4;

/// Final norm weight of made-up weights: with 1, logits are so flat that every row has more survivors than the head keeps.
const MADE_UP_NORM: f32 = 7.0;

/// Bytes left to the driver, which rounds allocations up and keeps recorded sequences of launches.
const RESERVE: usize = 256 << 20;

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
        let config = source.config()?;
        let generation = source.generation_config(config.vocab_size)?;
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
        let norm = store.vector_or(&format!("{shared}.norm.weight"), hidden, MADE_UP_NORM)?;
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
            recordings: Recordings::default(),
        })
    }

    pub(crate) fn generation(&self) -> &GenerationConfig {
        &self.generation
    }

    /// What was planned, and taken.
    pub(crate) fn plan(&self) -> MemoryPlan {
        self.plan
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
    let free = if device.info().emulated { free } else { free.saturating_sub(RESERVE) };
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
