//! Settings: what an editor or a project may choose, resolved once into what the server works with.
//!
//! Handlers see [`Settings`] only: every field is valid, no field is optional for lack of an answer.

mod files;
mod keys;
mod layers;
mod options;
mod project;
mod schema;
#[cfg(test)]
mod tests;
mod values;
mod warning;

pub use files::{DEFAULT_EXCLUDE, FileFilter, PatternError};
pub use layers::Layers;
pub use options::Options;
pub use project::{FILE_NAME as PROJECT_FILE_NAME, read as read_project_file};
pub use schema::schema;
pub use warning::{Origin, Problem, Warning};

use crate::rank::REFINE_STRENGTH;
use lacuna_engine::Preset;
use lacuna_text::language::Language;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

/// Of 960 development cases, asked in the balanced preset, the shipped model then has ghost text for 60 % in place of 97 %, of
/// which 39 % is exactly right in place of 26 %: 6 % of the right ones are kept back (`model/training/README.md`).
const MIN_CONFIDENCE: f32 = 0.1;

/// Everything that can be chosen, resolved. [`Settings::default`] is what a user who sets nothing gets.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Which model runs, and on what. A change restarts the engine: [`needs_engine_restart`].
    pub engine: EngineSettings,
    /// Whether Lacuna works at all. Disabled means no planning and no inference; documents are still followed.
    pub enabled: bool,
    /// Whether it works in a language, by LSP `languageId`; `*` speaks for every language that has no entry.
    pub languages: BTreeMap<String, bool>,
    /// Which files it works in, by path.
    pub files: FileFilter,
    /// Quality against time for proposals that come by themselves while typing.
    pub preset: Preset,
    /// The same for what a person asks for: an invoked completion, a code action, a command.
    pub invoked_preset: Preset,
    /// Proposals to cycle through when a person asks, 1 to 64. Automatic proposals are always one.
    pub candidates: usize,
    /// Least stated probability of being exactly right at which ghost text comes by itself, 0 to 1; 0 shows all. What a person
    /// asks for is always shown, and so are entries of a menu, and what a model proposes that states no probability.
    pub min_confidence: f32,
    /// How long an automatic request waits for the next keystroke before it runs. Zero by default: every client
    /// waits by itself (30 ms to 2 s), and a superseded request costs nothing more than the steps it has run.
    pub debounce: Duration,
    /// Whether `textDocument/completion` offers the proposal too.
    pub completion: Completion,
    /// Most tokens of context beyond the file (similar snippets of other documents); 0 for none.
    pub context_tokens: usize,
    /// Most tokens before the hole that the model reads, at least 16.
    pub prefix_tokens: usize,
    /// Most tokens after the hole that the model reads.
    pub suffix_tokens: usize,
    /// Whether the canvas is sent as `lacuna/frame` after each denoising step.
    pub frames: bool,
    /// Share of a selection that refining gives up first: 0 keeps it, 1 forgets it. The default is [`REFINE_STRENGTH`].
    pub refine_strength: f32,
    /// What is logged, and where.
    pub log: LogSettings,
}

impl Settings {
    /// Whether Lacuna may plan and infer in a document of this language at this path.
    ///
    /// `path_in_folder` is relative to the workspace folder, with `/` between its parts. Of a file outside of every folder,
    /// pass the absolute path: patterns without a `/` still apply to it. `None` is a document without a file.
    #[must_use]
    pub fn allows(&self, language_id: &str, path_in_folder: Option<&str>) -> bool {
        self.enabled
            && self.allows_language(language_id)
            && path_in_folder.is_none_or(|path| self.files.allows(path))
    }

    /// The entry of `languages` that speaks for `language_id`: its own, else that of the language it is a name or a
    /// dialect of (`sh` of `shellscript`, `jsonc` of `json`, `typescriptreact` of `typescript`), else `*`.
    #[must_use]
    pub fn allows_language(&self, language_id: &str) -> bool {
        let language = Language::from_id(language_id);
        let canonical = (language != Language::PlainText).then(|| language.id());
        let base = (language == Language::Tsx).then(|| Language::TypeScript.id());
        [Some(language_id), canonical, base, Some("*")]
            .into_iter()
            .flatten()
            .find_map(|id| self.languages.get(id).copied())
            .unwrap_or(true)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            engine: EngineSettings::default(),
            enabled: true,
            languages: default_languages(),
            files: FileFilter::default(),
            preset: Preset::Fast,
            invoked_preset: Preset::Balanced,
            candidates: 3,
            min_confidence: MIN_CONFIDENCE,
            debounce: Duration::ZERO,
            completion: Completion::Auto,
            context_tokens: 256,
            prefix_tokens: 512,
            suffix_tokens: 128,
            frames: false,
            refine_strength: REFINE_STRENGTH,
            log: LogSettings::default(),
        }
    }
}

/// Every language, except input boxes, messages and records, where nobody expects code, and files of secrets.
fn default_languages() -> BTreeMap<String, bool> {
    let off =
        ["dotenv", "git-commit", "git-rebase", "gitcommit", "gitrebase", "log", "scminput", "search-result"];
    let mut languages: BTreeMap<_, _> = off.into_iter().map(|id| (id.to_owned(), false)).collect();
    languages.insert("*".to_owned(), true);
    languages
}

/// Whether going from `old` to `new` takes another engine. Everything else takes effect with the next request.
#[must_use]
pub fn needs_engine_restart(old: &Settings, new: &Settings) -> bool {
    old.engine != new.engine
}

/// Which model runs, and on what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineSettings {
    /// Directory of the model in Hugging Face layout; `None` is the built-in model.
    pub model: Option<PathBuf>,
    /// Where it runs.
    pub device: Device,
    /// Number format of the matrix work.
    pub precision: Precision,
    /// Worker threads; `None` leaves the choice to the engine.
    pub threads: Option<NonZero<usize>>,
}

/// Where the model runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// The GPU where this build and this machine have one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The first NVIDIA GPU; an error where there is none.
    Cuda,
}

/// Number format of the matrix work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// What is fastest on the device: 16 bits, on a GPU the widest format that fits its memory.
    #[default]
    Auto,
    /// 32-bit floats.
    F32,
    /// 16-bit brain floats.
    Bf16,
    /// Weights in 8 bits, on a GPU only.
    Q8,
    /// Weights in 4 bits, on a GPU only.
    Q4,
}

/// Whether `textDocument/completion` offers proposals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Completion {
    /// Only for clients that do not ask for inline completions.
    #[default]
    Auto,
    /// For every client.
    On,
    /// For none.
    Off,
}

/// What is logged, and where. Standard error always gets the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSettings {
    /// The least important level that is logged.
    pub level: LogLevel,
    /// A file that gets the log as well; it is rotated, see `log`.
    pub file: Option<PathBuf>,
    /// Whether logs may hold source code and whole protocol messages.
    pub code: bool,
}

/// How much is logged.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What failed.
    Error,
    /// What a user should know as well. The default: some editors keep every line of a server's standard error.
    #[default]
    Warn,
    /// Starts, stops and changes of settings as well.
    Info,
    /// Each request as well.
    Debug,
    /// Everything.
    Trace,
}
