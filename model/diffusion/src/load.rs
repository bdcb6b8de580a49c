//! From a directory, or from the binary itself, to an engine.

use crate::abilities::Abilities;
use crate::chat::Chat;
use crate::chat_template::ChatError;
use crate::config::PromptLayout;
use crate::engine::DiffusionEngine;
use crate::kv::KvCache;
use crate::net::Net;
use crate::session::Session;
use crate::shipped;
use crate::tokenizer::Tokenizer;
use crate::weights::ModelSource;
use lacuna_engine::{EngineError, Limits};
use lacuna_kernels::Precision;
use std::path::PathBuf;
use std::sync::Arc;

/// In what precision the matrix work is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PrecisionChoice {
    /// bf16 where the processor multiplies it natively, else f32.
    #[default]
    Auto,
    /// f32 everywhere: what parity is measured in.
    F32,
    /// bf16 weights, f32 accumulation.
    Bf16,
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
}

/// The KV cache never takes more than this; longer prompts lose their oldest tokens.
const KV_BYTES_MAX: usize = 2 << 30;

/// Loads a model and everything that fills holes with it.
///
/// # Errors
/// [`EngineError::Model`] naming the file, key or tensor at fault, what was expected and what was found.
pub fn load(options: &LoadOptions) -> Result<DiffusionEngine, EngineError> {
    let name =
        options.model.as_ref().map_or_else(|| "built-in".to_owned(), |path| path.display().to_string());
    let fault = |reason: String| EngineError::Model { path: name.clone(), reason };
    let source = options.model.clone().map_or_else(shipped::source, ModelSource::Dir);
    let precision = match options.precision {
        PrecisionChoice::Auto => Precision::best(),
        PrecisionChoice::F32 => Precision::F32,
        PrecisionChoice::Bf16 => Precision::Bf16,
    };
    let pool = pool(options.threads).map_err(|error| fault(format!("no worker threads: {error}")))?;
    let net = pool.install(|| Net::load(&source, precision)).map_err(|error| error.into_engine(&name))?;
    let tokenizer = match &options.model {
        None => Tokenizer::from_bytes(shipped::TOKENIZER, "tokenizer.json", net.config().vocab_size),
        Some(folder) => Tokenizer::from_file(&folder.join("tokenizer.json"), net.config().vocab_size),
    };
    let mut tokenizer = tokenizer.map_err(|error| fault(error.to_string()))?;
    let chat = chat(options, &net, &mut tokenizer).map_err(|error| fault(error.to_string()))?;
    let mut abilities = Abilities::resolve(net.config(), net.generation(), &tokenizer)
        .map_err(|error| fault(error.to_string()))?;
    let generation = net.generation().clone();
    // Room for the prompt, for what is committed or scored beyond it, and one canvas.
    let beyond = Limits::default().hole_tokens_max + abilities.canvas_length;
    let affordable = KV_BYTES_MAX / KvCache::bytes_per_position(net.config()).max(1);
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
        session: Session::new(net, positions, pool),
        tokenizer: Arc::new(tokenizer),
        generation,
        abilities,
        limits: Limits::default(),
        source: name,
        chat,
    })
}

/// How to ask the model by chat, where its files say that it is asked so: a layout of its own is what it was trained with,
/// and goes before a template.
fn chat(options: &LoadOptions, net: &Net, tokenizer: &mut Tokenizer) -> Result<Option<Chat>, ChatError> {
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
