//! The one place where the command line meets an engine: which one is loaded, and with what.

use crate::args::{ModelArgs, PrecisionArg, at_least_one};
use crate::failure::Failure;
use lacuna_diffusion::{DiffusionEngine, LoadOptions, PrecisionChoice, StepBench};
use lacuna_engine::{CancelToken, Engine, EngineError};
use lacuna_lsp::settings::{Device, EngineSettings, Precision};
use std::num::NonZero;
use std::path::Path;

/// Loads the model that the command line names, or the built-in one.
///
/// # Errors
/// Zero threads, or a model that cannot be used.
pub fn load(args: &ModelArgs) -> Result<DiffusionEngine, Failure> {
    let precision = match args.precision {
        PrecisionArg::Auto => PrecisionChoice::Auto,
        PrecisionArg::F32 => PrecisionChoice::F32,
        PrecisionArg::Bf16 => PrecisionChoice::Bf16,
    };
    let threads = at_least_one("--threads", args.threads)?;
    let engine = lacuna_diffusion::load(&LoadOptions { model: args.model.clone(), threads, precision })?;
    tracing::debug!(model = ?engine.info(), "loaded");
    Ok(engine)
}

/// Loads the model that an editor's settings name.
///
/// # Errors
/// A device that this build cannot use, or a model that cannot be used.
pub fn load_for_server(settings: &EngineSettings) -> Result<Box<dyn Engine>, EngineError> {
    if settings.device == Device::Cuda {
        return Err(EngineError::Unsupported(
            "engine.device is `cuda`, and this build runs on the CPU only; set it to `auto` or `cpu`"
                .to_owned(),
        ));
    }
    let precision = match settings.precision {
        Precision::Auto => PrecisionChoice::Auto,
        Precision::F32 => PrecisionChoice::F32,
        Precision::Bf16 => PrecisionChoice::Bf16,
    };
    let threads = settings.threads.map(NonZero::get);
    let engine = lacuna_diffusion::load(&LoadOptions { model: settings.model.clone(), threads, precision })?;
    Ok(Box::new(engine))
}

/// Recomputes recorded tensors; see `lacuna replay`.
///
/// # Errors
/// A model or a recording that cannot be used, an output that cannot be written.
pub fn replay(model: &Path, recorded: &Path, out: &Path) -> Result<(), Failure> {
    lacuna_diffusion::replay(model, recorded, out).map_err(|error| Failure::input(error.to_string()))
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
