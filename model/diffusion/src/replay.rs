//! Replays a recorded denoising run: reads the inputs that the parity script wrote, and writes what this engine makes
//! of them, under the same names, shapes and dtypes, in f32. Nothing is drawn here: every random token is an input.
//!
//! Inputs: prompt_ids `[P]` i64, canvas_0 `[B, C]` i64, renoise `[B, S, C]` i64, clamp_mask `[B, C]` u8, clamp_ids `[B, C]` i64.
//! Outputs: logits `[B, S, C, V]` f32, entropy `[B, S, C]` f32, accepted `[B, S, C]` u8, argmax `[B, S, C]` i64,
//! canvas `[B, S, C]` i64, causal_logits `[P, V]` f32, stop `[B, S]` u8.
//! B blocks, S steps, C canvas length, P prompt length, V vocabulary.

use crate::accept::{StopRule, entropy_bound};
use crate::backend::Backend;
use crate::error::LoadError;
use crate::load::{DeviceChoice, LoadOptions, PrecisionChoice};
use crate::net::Canvases;
use crate::place;
use crate::replay_file::{self, Recording};
use crate::weights::ModelSource;
use lacuna_engine::{CancelToken, EngineError};
use lacuna_kernels::row_stats_all;
use std::path::{Path, PathBuf};

/// Why a replay came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The model cannot be loaded.
    #[error("the model at {dir} cannot be used: {source}")]
    Model {
        /// The model directory.
        dir: PathBuf,
        /// Why.
        source: Box<LoadError>,
    },
    /// The recording is not what it should be.
    #[error("{path}: {reason}")]
    Recording {
        /// The recording.
        path: PathBuf,
        /// Expected and found.
        reason: String,
    },
    /// The computation failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The result cannot be written.
    #[error("{path}: cannot be written: {reason}")]
    Write {
        /// The result's path.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
}

/// What a replay computes; row-major, shapes as in the module's description.
#[derive(Debug, Default)]
pub(crate) struct Results {
    pub logits: Vec<f32>,
    pub entropy: Vec<f32>,
    pub accepted: Vec<u8>,
    pub argmax: Vec<i64>,
    pub canvas: Vec<i64>,
    pub causal_logits: Vec<f32>,
    pub stop: Vec<u8>,
}

/// Replays the recording `input` on the model in `model_dir`, on the processor in f32, and writes the results to `output`,
/// all or nothing.
///
/// # Errors
/// [`ReplayError`], one line naming the file at fault; `output` is then as it was.
pub fn replay(model_dir: &Path, input: &Path, output: &Path) -> Result<(), ReplayError> {
    let options = LoadOptions {
        model: Some(model_dir.to_path_buf()),
        precision: PrecisionChoice::F32,
        device: DeviceChoice::Cpu,
        ..LoadOptions::default()
    };
    replay_on(&options, input, output)
}

/// As [`replay`], with the model, the device and the precision of `options`.
///
/// # Errors
/// As [`replay`]; also a device that cannot be used.
pub fn replay_on(options: &LoadOptions, input: &Path, output: &Path) -> Result<(), ReplayError> {
    let dir = options.model.clone().unwrap_or_default();
    let model = |source| ReplayError::Model { dir: dir.clone(), source: Box::new(source) };
    let net = place::open(options, &ModelSource::Dir(dir.clone()), &|_| ()).map_err(model)?;
    let vocab_size = net.config().vocab_size;
    let recording = replay_file::read(input, vocab_size)?;
    let positions = net.config().positions_max;
    let results = run(&mut *net.into_backend(positions), &recording)?;
    replay_file::write(output, &recording, vocab_size, &results)
}

fn run(net: &mut dyn Backend, recording: &Recording) -> Result<Results, ReplayError> {
    let cancel = CancelToken::new();
    let mut results = Results::default();
    let hidden = net.encode(&recording.prompt, &cancel)?; // [P, hidden]
    results.causal_logits = net.logits(&hidden)?; // [P, V]
    for block in 0..recording.blocks {
        let committed = run_block(net, recording.block(block), &mut results)?;
        if block + 1 < recording.blocks {
            net.encode(&committed, &cancel)?;
        }
    }
    Ok(results)
}

/// One block's slice of a recording.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block<'a> {
    pub canvas: &'a [u32],
    /// [S, C]
    pub renoise: &'a [u32],
    pub clamped: &'a [bool],
    pub clamp_ids: &'a [u32],
    pub sampler: replay_file::Sampler,
}

impl Block<'_> {
    fn clamp(&self, tokens: impl Iterator<Item = u32>) -> Vec<u32> {
        let given = self.clamped.iter().zip(self.clamp_ids);
        tokens.zip(given).map(|(token, (&clamped, &id))| if clamped { id } else { token }).collect()
    }
}

/// Denoises one block and returns the tokens to commit [C].
fn run_block(net: &dyn Backend, block: Block<'_>, results: &mut Results) -> Result<Vec<u32>, ReplayError> {
    let (cancel, vocab_size) = (CancelToken::new(), net.config().vocab_size);
    let sampler = block.sampler;
    let mut stop = StopRule::new(sampler.stability, sampler.confidence);
    let mut canvas = block.clamp(block.canvas.iter().copied());
    let mut soft: Option<Vec<f32>> = None;
    let mut argmax = Vec::new();
    let steps = block.renoise.len() / canvas.len();
    for (step, renoise) in block.renoise.chunks_exact(canvas.len()).enumerate() {
        let canvases = Canvases { tokens: &canvas, batch: 1, soft: soft.as_deref(), rows: None };
        let mut logits = net.denoise(&canvases, &cancel)?; // [C, V]
        results.logits.extend_from_slice(&logits);
        let temperature = sampler.temperature(steps - step, steps);
        logits.iter_mut().for_each(|logit| *logit /= temperature);
        let stats = row_stats_all(&logits, vocab_size, 1.0);
        let entropy: Vec<f32> = stats.iter().map(|row| row.entropy).collect();
        argmax = stats.iter().map(|row| row.argmax as u32).collect();
        let accepted = entropy_bound(&entropy, sampler.entropy_bound);
        let kept = accepted.iter().zip(&argmax).zip(renoise);
        canvas = block.clamp(kept.map(|((&accepted, &token), &noise)| if accepted { token } else { noise }));
        soft = Some(self_conditioning(net, &logits, block)?);
        results.accepted.extend(accepted.iter().map(|&accepted| u8::from(accepted)));
        results.stop.push(u8::from(stop.observe(&argmax, &entropy)));
        results.argmax.extend(argmax.iter().map(|&token| i64::from(token)));
        results.canvas.extend(canvas.iter().map(|&token| i64::from(token)));
        results.entropy.extend(entropy);
    }
    Ok(block.clamp(argmax.into_iter()))
}

/// [C, hidden]: what the scaled logits expect, and on clamped rows the token itself.
fn self_conditioning(net: &dyn Backend, scaled: &[f32], block: Block<'_>) -> Result<Vec<f32>, EngineError> {
    let hidden = net.config().hidden_size;
    let mut soft = net.soft_embedding(scaled)?;
    let given = net.embed(block.clamp_ids)?;
    let rows = soft.chunks_exact_mut(hidden).zip(given.chunks_exact(hidden));
    for ((soft, given), _) in rows.zip(block.clamped).filter(|(_, clamped)| **clamped) {
        soft.copy_from_slice(given);
    }
    Ok(soft)
}
