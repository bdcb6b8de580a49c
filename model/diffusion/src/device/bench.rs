//! `lacuna bench step` on a device: a step's time, its parts, and the ceilings it is held against, all in one run.

use super::fast::Loop;
use super::fault::run_fault;
use super::store::{Origin, noise};
use super::{DeviceNet, Wanted, formats};
use crate::backend::Backend as _;
use crate::canvas::Frameset;
use crate::config::{Config, GenerationConfig, Noise};
use crate::denoise::{Condensing, Rules};
use crate::error::LoadError;
use crate::load::{PrecisionChoice, Report};
use crate::noise::{Coordinates, Generator, NoiseSource};
use crate::place;
use crate::plan::WeightFormat;
use crate::step_bench::{BenchModel, DeviceBench, DeviceTimes};
use crate::traffic::StepWork;
use crate::weights::{ModelSource, Weights};
use lacuna_engine::{CancelToken, EngineError};
use lacuna_kernels::device::ops::{Dtype, Rows, Weight, WeightDtype, matmul, matmul_scratch_bytes};
use lacuna_kernels::device::{Device, DeviceError};
use std::sync::Arc;
use std::time::Instant;

const WARM_UP: usize = 3;

pub(crate) fn run(
    bench: &DeviceBench,
    report: &Report<'_>,
    cancel: &CancelToken,
) -> Result<DeviceTimes, EngineError> {
    let name = match &bench.model {
        BenchModel::Shape(shape) => format!("{shape:?} (made-up weights)"),
        BenchModel::Dir(dir) => dir.display().to_string(),
    };
    let fault = |error: LoadError| error.into_engine(&name);
    let started = Instant::now();
    let device = place::device(bench.device).map_err(fault)?;
    let open_ms = ms(started);
    let free = device.memory_free().map_err(|error| run_fault(&error))?;
    // Before the model takes the memory that they need; what they took is free again then.
    let ceilings = Ceilings::of(&device, bench.precision).map_err(|error| run_fault(&error))?;
    let started = Instant::now();
    let net = open(&device, bench, report).map_err(fault)?;
    device.synchronize().map_err(|error| run_fault(&error))?;
    measure(net, bench, &Opening { open_ms, load_ms: ms(started), free, ceilings }, cancel)
}

/// How a device was before anything was measured on it.
struct Opening {
    open_ms: f64,
    load_ms: f64,
    /// Bytes free before anything was loaded.
    free: usize,
    ceilings: Ceilings,
}

/// What this device reaches where nothing is in the way.
struct Ceilings {
    copy_gb_s: f64,
    matmul_tflop_s: f64,
}

impl Ceilings {
    fn of(device: &Device, precision: PrecisionChoice) -> Result<Self, DeviceError> {
        let exact = precision == PrecisionChoice::F32;
        let format = if exact { WeightFormat::F32 } else { WeightFormat::Bf16 };
        Ok(Self { copy_gb_s: copy_ceiling(device)?, matmul_tflop_s: matmul_ceiling(device, format)? })
    }
}

fn open(device: &Device, bench: &DeviceBench, report: &Report<'_>) -> Result<DeviceNet, LoadError> {
    // One more for a typed character.
    let positions = bench.prefix + bench.canvas.max(bench.causal) + 1;
    let wanted = |config: Config| Wanted {
        config,
        generation: GenerationConfig::default(),
        formats: formats(bench.precision),
        canvases: (bench.batch, bench.canvas),
        context: (positions, positions),
    };
    match &bench.model {
        BenchModel::Shape(shape) => DeviceNet::place(device, wanted(shape.config()?), Origin::MadeUp, report),
        BenchModel::Dir(dir) => {
            let source = ModelSource::Dir(dir.clone());
            let config = source.config()?;
            let weights = Weights::open(&source)?;
            DeviceNet::place(device, wanted(config), Origin::Files(&weights), report)
        }
    }
}

fn measure(
    mut net: DeviceNet,
    bench: &DeviceBench,
    opening: &Opening,
    cancel: &CancelToken,
) -> Result<DeviceTimes, EngineError> {
    let device = &net.device.clone();
    let fault = |error: DeviceError| run_fault(&error);
    let vocabulary = net.config.vocab_size as u32;
    let draw =
        |stream, position| Generator::new(0).below(Coordinates { stream, step: 0, position }, 0, vocabulary);
    let prompt: Vec<u32> = (0..bench.prefix as u64).map(|i| draw(u64::MAX, i)).collect();
    let prefill_ms = prefill(&mut net, &prompt, cancel)?;
    let steps = WARM_UP + bench.repeats + 1;
    let rules = rules(steps, matches!(bench.model, BenchModel::Shape(_)));
    let around =
        Frameset { head: Vec::new(), suffix: Vec::new(), fill: 0, length: bench.canvas, first_allowed: None };
    let canvas = |i: u64| {
        let hole: Vec<u32> = (0..bench.canvas as u64).map(|p| draw(i, p)).collect();
        Condensing::new(around.canvas(&hole, i, false), &rules)
    };
    let batch: Vec<Condensing> = (0..bench.batch as u64).map(canvas).collect();
    let first_frame_ms = first_frame(&mut net, &batch, &rules, cancel)?;
    let commit_ms = reading(&mut net, &batch[0].canvas.tokens, cancel)?;
    let causal_ms = decode(&mut net, bench.causal, cancel)?;
    let mut condensing = Loop::new(&net, &batch, &rules).map_err(fault)?;
    let (mut times, mut overflowed_rows) = (Vec::with_capacity(bench.repeats), 0);
    for step in 0..WARM_UP + bench.repeats {
        cancel.check()?;
        let started = Instant::now();
        let seen = condensing.step(cancel)?;
        if step >= WARM_UP {
            times.push(ms(started));
            overflowed_rows += seen.states.iter().map(|state| state.overflow as usize).sum::<usize>();
        }
    }
    let parts = condensing.parts(cancel)?;
    drop(condensing);
    let taken_bytes = opening.free.saturating_sub(device.memory_free().map_err(fault)?);
    let work = StepWork { canvas: bench.canvas, batch: bench.batch, prefix: bench.prefix };
    let plan = net.plan();
    Ok(DeviceTimes {
        device: device.info().name.clone(),
        driver: device.info().driver_version,
        plan,
        taken_bytes,
        open_ms: opening.open_ms,
        load_ms: opening.load_ms,
        prefill_ms,
        first_frame_ms,
        commit_ms,
        causal_ms,
        ms: times,
        overflowed_rows,
        parts,
        bytes: work.bytes(&net.config, plan.format),
        flops: work.flops(&net.config),
        copy_gb_s: opening.ceilings.copy_gb_s,
        matmul_tflop_s: opening.ceilings.matmul_tflop_s,
    })
}

/// Times of what is short are the median of so many.
const READINGS: usize = 3;
/// Prefixes up to this long are read twice.
const READ_TWICE_MAX: usize = 8192;

/// Milliseconds of reading `prompt`, which the cache then holds.
fn prefill(net: &mut DeviceNet, prompt: &[u32], cancel: &CancelToken) -> Result<f64, EngineError> {
    let once = |net: &mut DeviceNet| timed(net, |net| net.encode_chunks(prompt, cancel, None));
    let first = once(net)?;
    if prompt.len() > READ_TWICE_MAX {
        return Ok(first);
    }
    net.truncate(0);
    once(net)
}

/// Milliseconds of reading `ids` after what the cache holds, and keeps holding.
fn reading(net: &mut DeviceNet, ids: &[u32], cancel: &CancelToken) -> Result<f64, EngineError> {
    let before = net.len;
    median(|| {
        let took = timed(net, |net| net.encode_chunks(ids, cancel, None));
        net.truncate(before);
        took
    })
}

/// Milliseconds from one more token to the first step after it. The first of the readings records the step, which the others
/// take again, as the keystrokes of a user do.
fn first_frame(
    net: &mut DeviceNet,
    batch: &[Condensing],
    rules: &Rules,
    cancel: &CancelToken,
) -> Result<f64, EngineError> {
    let before = net.len;
    median(|| {
        let started = Instant::now();
        net.encode_chunks(&batch[0].canvas.tokens[..1], cancel, None)?;
        let mut condensing = Loop::new(net, batch, rules).map_err(|error| run_fault(&error))?;
        condensing.step(cancel)?;
        net.device.synchronize().map_err(|error| run_fault(&error))?;
        let took = ms(started);
        net.truncate(before);
        Ok(took)
    })
}

/// Milliseconds of every token of a text decoded left to right: a pass, the row's logits on the host, the best of them. That is
/// what the engine's own left-to-right control does.
fn decode(net: &mut DeviceNet, tokens: usize, cancel: &CancelToken) -> Result<Vec<f64>, EngineError> {
    let (before, mut next, mut times) = (net.len, 0, Vec::with_capacity(tokens));
    for _ in 0..tokens {
        times.push(timed(net, |net| {
            let states = net.encode(&[next], cancel)?;
            next = lacuna_kernels::row_stats(&net.logits(&states)?, 1.0).argmax as u32;
            Ok(())
        })?);
    }
    net.truncate(before);
    Ok(times)
}

/// Milliseconds until everything that `run` launched has ended.
fn timed(
    net: &mut DeviceNet,
    run: impl FnOnce(&mut DeviceNet) -> Result<(), EngineError>,
) -> Result<f64, EngineError> {
    let started = Instant::now();
    run(net)?;
    net.device.synchronize().map_err(|error| run_fault(&error))?;
    Ok(ms(started))
}

fn median(mut run: impl FnMut() -> Result<f64, EngineError>) -> Result<f64, EngineError> {
    let mut times = (0..READINGS).map(|_| run()).collect::<Result<Vec<_>, _>>()?;
    times.sort_by(f64::total_cmp);
    Ok(times[READINGS / 2])
}

/// Temperature of steps with made-up weights. Their logits are normal, of deviation 7.5 before the softcap: at this
/// temperature about 64 tokens of 262144 lie within ten nats of the best (288 in the worst of 128 simulated rows, every row
/// of the table 16 times over), so no row takes the exact path that a trained model's rows hardly ever take.
const MADE_UP_TEMPERATURE: f64 = 0.15;

/// Nothing comes to rest, so every timed step does the full work.
fn rules(steps: usize, made_up: bool) -> Rules {
    let generation = GenerationConfig::default();
    let temperature = |trained: f64| if made_up { MADE_UP_TEMPERATURE } else { trained };
    Rules {
        steps_max: steps,
        t_min: temperature(generation.t_min),
        t_max: temperature(generation.t_max),
        entropy_bound: generation.entropy_bound as f32,
        stability: generation.stability_threshold,
        confidence: -1.0,
        noise: Noise::Uniform,
        source: NoiseSource::Drawn(Generator::new(0)),
        guidance: 0.0,
        banned: Arc::from([]),
    }
}

/// GB/s read and written by the best of some copies of a buffer that no cache holds.
fn copy_ceiling(device: &Device) -> Result<f64, DeviceError> {
    let emulated = device.info().emulated;
    let most = if emulated { 1 << 20 } else { 1 << 30 };
    let bytes = (device.memory_free()? / 4).min(most);
    let (from, to) = (device.alloc(bytes)?, device.alloc(bytes)?);
    device.zero(&from, 0, bytes)?;
    let repeats = if emulated { 1 } else { 8 };
    let seconds = best(device, repeats, || device.copy(from.all(), to.all()))?;
    Ok(2.0 * bytes as f64 / seconds / 1e9)
}

/// TFLOP/s of our own product at a size that keeps every core busy.
fn matmul_ceiling(device: &Device, format: WeightFormat) -> Result<f64, DeviceError> {
    let emulated = device.info().emulated;
    let size = matmul_ceiling_size(device);
    let (act, stored) = match format {
        WeightFormat::F32 => (Dtype::F32, WeightDtype::F32),
        _ => (Dtype::Bf16, WeightDtype::Bf16),
    };
    let bytes = size * size * act.size();
    let (a, w, out) = (device.alloc(bytes)?, device.alloc(bytes)?, device.alloc(size * size * 4)?);
    // On zeros a card draws little power and so clocks higher than it does on a model's numbers.
    let bits = noise(if act == Dtype::F32 { WeightFormat::F32 } else { WeightFormat::Bf16 });
    let bits = device.buffer_of(&bits)?;
    for buffer in [&a, &w] {
        for first in (0..bytes).step_by(bits.len()) {
            let count = bits.len().min(bytes - first);
            device.copy(bits.slice(0, count)?, buffer.slice(first, count)?)?;
        }
    }
    let weight = Weight::new(&w, stored, size, size)?;
    let scratch = match matmul_scratch_bytes(device, size, weight) {
        0 => None,
        bytes => Some(device.alloc(bytes)?),
    };
    let rows = (Rows::new(&a, act, size, size)?, Rows::new(&out, Dtype::F32, size, size)?);
    let repeats = if emulated { 1 } else { 8 };
    let seconds = best(device, repeats, || {
        matmul(device, rows.0, weight, rows.1, scratch.as_ref().map(|scratch| scratch.all()))
    })?;
    Ok(2.0 * (size as f64).powi(3) / seconds / 1e12)
}

/// Sixty-four rows and columns for each multiprocessor, in a power of two: 8192 on a card of 128 to 255.
fn matmul_ceiling_size(device: &Device) -> usize {
    let info = device.info();
    if info.emulated { 64 } else { 1 << (64 * info.multiprocessors.max(1)).ilog2() }
}

/// Seconds of the fastest of `repeats` runs, after one that does not count.
fn best(
    device: &Device,
    repeats: usize,
    mut run: impl FnMut() -> Result<(), DeviceError>,
) -> Result<f64, DeviceError> {
    run()?;
    let mut best = f64::INFINITY;
    for _ in 0..repeats {
        device.synchronize()?;
        let started = Instant::now();
        run()?;
        device.synchronize()?;
        best = best.min(started.elapsed().as_secs_f64());
    }
    Ok(best)
}

fn ms(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1e3
}
