//! From a directory, or from the binary itself, to an engine.

use crate::abilities::Abilities;
use crate::backend::Opened;
use crate::chat::Chat;
use crate::chat_template::ChatError;
use crate::config::{Config, PromptLayout};
use crate::engine::DiffusionEngine;
use crate::place;
use crate::plan::MemoryPlan;
use crate::repeats::TokenCache;
use crate::session::Session;
use crate::shipped;
use crate::tokenizer::Tokenizer;
use crate::weights::ModelSource;
use lacuna_engine::{EngineError, Limits};
use std::path::PathBuf;
use std::sync::Arc;

/// In what precision the matrix work is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PrecisionChoice {
    /// On the processor bf16 where it multiplies that natively, else f32; on a device bf16, or where that does not fit
    /// the largest of the formats below that does.
    #[default]
    Auto,
    /// f32 everywhere: what parity is measured in.
    F32,
    /// bf16 weights, f32 accumulation.
    Bf16,
    /// Weights in blocks of 8 bits, on a device only.
    Q8,
    /// Weights in blocks of 4 bits, on a device only.
    Q4,
}

/// Where the network runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first NVIDIA card where this build and this machine have one and the model fits it, else the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The first NVIDIA card, or an error.
    Cuda,
    /// The kernels for NVIDIA cards on an emulated one: slow, for tests.
    #[cfg(feature = "emulated")]
    Emulated,
}

/// What a load says while it runs.
pub type Report<'a> = dyn Fn(LoadEvent) + Send + Sync + 'a;

/// One thing a load says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadEvent {
    /// What will be taken of a device's memory; comes before anything is read.
    Plan(MemoryPlan),
    /// So many bytes of that plan's weights are on the device.
    Loaded(usize),
}

/// What to load and how to run it.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// A Hugging Face model directory; `None` is the model shipped in the binary.
    pub model: Option<PathBuf>,
    /// Worker threads; `None` is one per core.
    pub threads: Option<usize>,
    /// Precision of the matrix work.
    pub precision: PrecisionChoice,
    /// Where it runs.
    pub device: DeviceChoice,
}

/// The KV cache on the processor never takes more than this; longer prompts lose their oldest tokens.
const KV_BYTES_MAX: usize = 2 << 30;

/// Loads a model and everything that fills holes with it.
///
/// # Errors
/// [`EngineError::Model`] naming the file, key or tensor at fault, what was expected and what was found; or the device,
/// what is wrong with it and what to do.
pub fn load(options: &LoadOptions) -> Result<DiffusionEngine, EngineError> {
    load_with(options, &|_| ())
}

/// As [`load`], and says what it is doing.
///
/// # Errors
/// As [`load`].
pub fn load_with(options: &LoadOptions, report: &Report<'_>) -> Result<DiffusionEngine, EngineError> {
    let name =
        options.model.as_ref().map_or_else(|| "built-in".to_owned(), |path| path.display().to_string());
    let fault = |reason: String| EngineError::Model { path: name.clone(), reason };
    let source = options.model.clone().map_or_else(shipped::source, ModelSource::Dir);
    let pool = pool(options.threads).map_err(|error| fault(format!("no worker threads: {error}")))?;
    let net =
        pool.install(|| place::open(options, &source, report)).map_err(|error| fault(error.to_string()))?;
    let tokenizer = match &options.model {
        None => Tokenizer::from_bytes(shipped::TOKENIZER, "tokenizer.json", net.config().vocab_size),
        Some(folder) => Tokenizer::from_file(&folder.join("tokenizer.json"), net.config().vocab_size),
    };
    let mut tokenizer = tokenizer.map_err(|error| fault(error.to_string()))?;
    let chat = chat(options, &net, &mut tokenizer).map_err(|error| fault(error.to_string()))?;
    let mut abilities = Abilities::resolve(net.config(), net.generation(), &tokenizer)
        .map_err(|error| fault(error.to_string()))?;
    let generation = net.generation().clone();
    let beyond = positions_beyond(net.config());
    let affordable = net.positions_within(KV_BYTES_MAX);
    abilities.prompt_tokens_max = abilities.prompt_tokens_max.min(affordable.saturating_sub(beyond).max(64));
    if let Some(chat) = &chat {
        let (fixed, most) = (chat.tokens_min(&tokenizer)?, abilities.prompt_tokens_max);
        if fixed > most / 2 {
            return Err(fault(format!(
                "its prompt holds {most} tokens (prompt_tokens_max), of which its chat template alone takes {fixed}: \
                 allow more, or take the template out of the directory"
            )));
        }
    }
    let positions = abilities.prompt_tokens_max + beyond;
    Ok(DiffusionEngine {
        session: Session::new(net.into_backend(positions), pool),
        tokenizer: Arc::new(tokenizer),
        generation,
        abilities,
        limits: Limits::default(),
        near: TokenCache::default(),
        source: name,
        chat,
    })
}

/// Positions that the cache needs beyond the prompt: for what is committed or scored there, and one canvas.
pub(crate) fn positions_beyond(config: &Config) -> usize {
    Limits::default().hole_tokens_max + config.canvas_length
}

/// How to ask the model by chat, where its files say that it is asked so: a layout of its own is what it was trained with,
/// and goes before a template.
fn chat(options: &LoadOptions, net: &Opened, tokenizer: &mut Tokenizer) -> Result<Option<Chat>, ChatError> {
    match &options.model {
        Some(folder) if net.config().lacuna.prompt == PromptLayout::default() => {
            Chat::find(folder, &net.generation().eos_token_ids, tokenizer)
        }
        _ => Ok(None),
    }
}

fn pool(threads: Option<usize>) -> Result<rayon::ThreadPool, rayon::ThreadPoolBuildError> {
    let builder = rayon::ThreadPoolBuilder::new().thread_name(|index| format!("lacuna-{index}"));
    builder.num_threads(threads.unwrap_or(0)).build()
}
