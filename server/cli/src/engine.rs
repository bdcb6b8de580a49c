//! The one place where the command line meets an engine: which one is loaded, and with what.

use crate::args::{BenchStep, DeviceArg, ModelArgs, PrecisionArg, Replay, at_least_one};
use crate::failure::Failure;
use crate::loading::Loading;
use lacuna_diffusion::shape::Shape;
use lacuna_diffusion::{
    BenchModel, DeviceBench, DeviceChoice, DeviceTimes, DiffusionEngine, GpuInfo, LoadOptions,
    PrecisionChoice, StepBench,
};
use lacuna_engine::{CancelToken, Engine, EngineError};
use lacuna_lsp::settings::{Device, EngineSettings, Precision};
use std::num::NonZero;
use std::path::{Path, PathBuf};

/// Loads the model that the command line names, or the built-in one.
///
/// # Errors
/// Zero threads, or a model or a device that cannot be used.
pub fn load(args: &ModelArgs) -> Result<DiffusionEngine, Failure> {
    let threads = at_least_one("--threads", args.threads)?;
    check_directory(args.model.as_deref())?;
    let options = LoadOptions {
        model: args.model.clone(),
        threads,
        precision: args.precision.into(),
        device: args.device.into(),
    };
    let loading = Loading::new(false);
    let engine = lacuna_diffusion::load_with(&options, &|event| loading.event(event))?;
    tracing::debug!(model = ?engine.info(), "loaded");
    Ok(engine)
}

/// The name of a model on a hub looks like a path, and would be a missing file in it.
fn check_directory(model: Option<&Path>) -> Result<(), EngineError> {
    match model {
        Some(path) if !path.exists() => Err(EngineError::Model {
            path: path.display().to_string(),
            reason: "there is no such directory; it takes one with config.json, tokenizer.json and model.safetensors, and \
                     downloads nothing (`hf download NAME --local-dir DIR` does)"
                .to_owned(),
        }),
        _ => Ok(()),
    }
}

impl From<PrecisionArg> for PrecisionChoice {
    fn from(precision: PrecisionArg) -> Self {
        match precision {
            PrecisionArg::Auto => Self::Auto,
            PrecisionArg::F32 => Self::F32,
            PrecisionArg::Bf16 => Self::Bf16,
            PrecisionArg::Q8 => Self::Q8,
            PrecisionArg::Q4 => Self::Q4,
        }
    }
}

impl From<DeviceArg> for DeviceChoice {
    fn from(device: DeviceArg) -> Self {
        match device {
            DeviceArg::Auto => Self::Auto,
            DeviceArg::Cpu => Self::Cpu,
            DeviceArg::Cuda => Self::Cuda,
            #[cfg(feature = "emulated")]
            DeviceArg::Emulated => Self::Emulated,
        }
    }
}

/// Loads the model that an editor's settings name.
///
/// # Errors
/// A device that this build cannot use, or a model that cannot be used.
pub fn load_for_server(settings: &EngineSettings) -> Result<Box<dyn Engine>, EngineError> {
    let device = match settings.device {
        Device::Auto => DeviceChoice::Auto,
        Device::Cpu => DeviceChoice::Cpu,
        Device::Cuda if !cfg!(feature = "cuda") => {
            return Err(EngineError::Unsupported(
                "engine.device is `cuda`, and this build runs on the CPU only; build it with `--features cuda`, or set it to `auto` or `cpu`"
                    .to_owned(),
            ));
        }
        Device::Cuda => DeviceChoice::Cuda,
    };
    let precision = match settings.precision {
        Precision::Auto => PrecisionChoice::Auto,
        Precision::F32 => PrecisionChoice::F32,
        Precision::Bf16 => PrecisionChoice::Bf16,
        Precision::Q8 => PrecisionChoice::Q8,
        Precision::Q4 => PrecisionChoice::Q4,
    };
    check_directory(settings.model.as_deref())?;
    let threads = settings.threads.map(NonZero::get);
    let engine =
        lacuna_diffusion::load(&LoadOptions { model: settings.model.clone(), threads, precision, device })?;
    Ok(Box::new(engine))
}

/// Recomputes recorded tensors; see `lacuna replay`.
///
/// # Errors
/// A model, a device or a recording that cannot be used, an output that cannot be written.
pub fn replay(args: &Replay) -> Result<(), Failure> {
    let options = LoadOptions {
        model: Some(args.model.clone()),
        threads: None,
        precision: args.precision.into(),
        device: args.device.into(),
    };
    let done = lacuna_diffusion::replay_on(&options, &args.replay, &args.out);
    done.map_err(|error| Failure::input(error.to_string()))
}

/// What one denoising step is timed on; see `lacuna bench step`.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Canvas length in tokens.
    pub canvas: usize,
    /// Cached prompt tokens.
    pub prefix: usize,
    /// Canvases side by side.
    pub batch: usize,
    /// Steps timed.
    pub repeats: usize,
}

/// Times denoising steps; milliseconds of each.
///
/// # Errors
/// A canvas, prefix or batch that the model cannot take.
pub fn step_times(
    engine: &mut DiffusionEngine,
    step: Step,
    cancel: &CancelToken,
) -> Result<Vec<f64>, Failure> {
    let Step { canvas, prefix, batch, repeats } = step;
    Ok(engine.bench_step(StepBench { canvas, prefix, batch, repeats }, cancel)?.ms)
}

/// Whether a bench runs on a device: where it is asked for, and where this build has one and the processor is not.
///
/// # Errors
/// Made-up weights without a device.
pub fn on_device(args: &BenchStep) -> Result<bool, Failure> {
    let device = match args.model.device {
        DeviceArg::Cpu => false,
        DeviceArg::Auto => cfg!(feature = "cuda") && gpu().is_ok(),
        _ => true,
    };
    let huge = args.shape.as_ref().is_some_and(|shape| shape.as_os_str() == SHAPE_26B);
    if huge && !device {
        return Err(Failure::input(
            "--shape 26b has made-up weights, which only a GPU can hold here; use --device cuda with a build that has it \
             (--features cuda), or a checkpoint with --shape DIR",
        ));
    }
    Ok(device)
}

/// The directory of the checkpoint that a bench on the processor loads; `None` is the built-in one.
pub fn checkpoint(args: &BenchStep) -> Option<PathBuf> {
    match &args.shape {
        Some(shape) if shape.as_os_str() == SHAPE_MINI => None,
        Some(dir) => Some(dir.clone()),
        None => args.model.model.clone(),
    }
}

const SHAPE_26B: &str = "26b";
const SHAPE_MINI: &str = "mini";

/// Times denoising steps on a device.
///
/// # Errors
/// A model or a device that cannot be used.
pub fn device_times(args: &BenchStep, cancel: &CancelToken) -> Result<DeviceTimes, Failure> {
    let model = match args.shape.as_ref().or(args.model.model.as_ref()) {
        Some(shape) if shape.as_os_str() == SHAPE_26B => BenchModel::Shape(Shape::Full26b),
        Some(shape) if shape.as_os_str() != SHAPE_MINI => BenchModel::Dir(shape.clone()),
        _ => BenchModel::Shape(Shape::Mini),
    };
    let bench = DeviceBench {
        model,
        precision: args.weights.unwrap_or(args.model.precision).into(),
        device: args.model.device.into(),
        canvas: args.canvas,
        batch: args.batch,
        prefix: args.prefix,
        repeats: args.repeats,
        causal: args.causal,
    };
    let loading = Loading::new(true);
    Ok(lacuna_diffusion::bench_device(&bench, &|event| loading.event(event), cancel)?)
}

/// The GPU that could be used.
///
/// # Errors
/// Why there is none.
pub fn gpu() -> Result<GpuInfo, String> {
    lacuna_diffusion::device_report()
}
