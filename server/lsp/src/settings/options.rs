//! The wire form of the settings: what an editor sends and what `lacuna.toml` holds, with every key optional.
//!
//! Names are camelCase everywhere, in JSON and in TOML, so that what a settings UI shows is what a file holds. The doc
//! comments of the fields are the descriptions that users read there.

use super::values::{PathOption, Pattern, PresetOption, Share, Whole};
use super::{
    Completion, Device, EngineSettings, FileFilter, LogLevel, LogSettings, PatternError, Precision, Settings,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::num::NonZero;
use std::time::Duration;

/// Settings of Lacuna, the language server that fills the gap.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[schemars(title = "Lacuna")]
pub struct Options {
    /// Whether Lacuna works at all; when off, nothing is planned and the model does not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Turns Lacuna on or off by language id; `*` speaks for every language that is not listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub languages: Option<BTreeMap<String, bool>>,
    /// In which files Lacuna works.
    pub files: FilesOptions,
    /// Which model runs, and on what; a change loads the model anew.
    pub engine: EngineOptions,
    /// Quality against time for proposals that come by themselves while typing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<PresetOption>,
    /// Quality against time for what you ask for: an invoked completion, a code action or a command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invoked_preset: Option<PresetOption>,
    /// How many proposals you can cycle through when you ask for them; while typing there is one, or in Neovim as many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidates: Option<Whole<1, 64>>,
    /// Least probability of being exactly right, by the model's own account, at which ghost text comes by itself (what you ask for and the completion menu hold all); 0 for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_confidence: Option<Share>,
    /// Milliseconds without a keystroke before a proposal is computed, on top of what the editor itself waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debounce_ms: Option<Whole<0, 5000>>,
    /// Whether proposals also appear in the completion menu.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion: Option<Completion>,
    /// Most tokens of code from other open documents, where the prompt has room beyond `prefixTokens`; 0 for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<Whole<0, 32768>>,
    /// Most tokens before the hole that the model reads; fewer is faster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix_tokens: Option<Whole<16, 32768>>,
    /// Most tokens after the hole that the model reads; fewer is faster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suffix_tokens: Option<Whole<0, 32768>>,
    /// Sends the text after each denoising step, so that an editor can show it condense.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames: Option<bool>,
    /// Share of a selection that refining gives up before it corrects it: 0 keeps all of it, 1 forgets it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refine_strength: Option<Share>,
    /// What the server logs, and where.
    pub log: LogOptions,
}

/// In which files Lacuna works.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct FilesOptions {
    /// Patterns of the files that Lacuna works in, relative to the workspace folder; empty means all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub include: Option<Vec<Pattern>>,
    /// Patterns of the files that Lacuna stays out of; by default secrets, lock files and what tools write.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub exclude: Option<Vec<Pattern>>,
}

/// Which model runs, and on what.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct EngineOptions {
    /// Directory of a model in Hugging Face layout, absolute or starting with `~/`; without it the built-in model runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<PathOption>,
    /// Where the model runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
    /// Number format that the model computes in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<Precision>,
    /// Worker threads of the model; without it the server chooses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<Whole<1, 1024>>,
}

/// What the server logs, and where.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct LogOptions {
    /// How much is logged; the environment variable `LACUNA_LOG` overrides it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<LogLevel>,
    /// A file that gets the log as well, absolute or starting with `~/`; it is rotated and stays small.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathOption>,
    /// Allows source code and whole protocol messages in logs; leave it off unless you hunt a bug.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<bool>,
}

/// Names that people write for languages in `languages`, and the ids that editors send.
const LANGUAGE_NAMES: [(&str, &str); 11] = [
    ("bash", "shellscript"),
    ("c++", "cpp"),
    ("golang", "go"),
    ("js", "javascript"),
    ("jsx", "javascriptreact"),
    ("py", "python"),
    ("rs", "rust"),
    ("sh", "shellscript"),
    ("ts", "typescript"),
    ("tsx", "typescriptreact"),
    ("zsh", "shellscript"),
];

impl Options {
    /// The settings that these options and the defaults make. `languages` is laid over the default, key by key.
    ///
    /// # Errors
    /// The patterns of `files` are too many to compile together.
    pub fn resolve(self) -> Result<Settings, PatternError> {
        let default = Settings::default();
        let mut languages = default.languages;
        for (id, on) in self.languages.unwrap_or_default() {
            let canonical = LANGUAGE_NAMES.iter().find(|(name, _)| *name == id).map(|(_, id)| *id);
            if let Some(canonical) = canonical {
                languages.entry(canonical.to_owned()).or_insert(on);
            }
            languages.insert(id, on);
        }
        Ok(Settings {
            engine: self.engine.resolve(),
            enabled: self.enabled.unwrap_or(default.enabled),
            languages,
            files: self.files.resolve(default.files)?,
            preset: self.preset.map_or(default.preset, Into::into),
            invoked_preset: self.invoked_preset.map_or(default.invoked_preset, Into::into),
            candidates: self.candidates.map_or(default.candidates, Whole::get),
            debounce: self.debounce_ms.map_or(default.debounce, |ms| Duration::from_millis(ms.get() as u64)),
            completion: self.completion.unwrap_or(default.completion),
            context_tokens: self.context_tokens.map_or(default.context_tokens, Whole::get),
            prefix_tokens: self.prefix_tokens.map_or(default.prefix_tokens, Whole::get),
            suffix_tokens: self.suffix_tokens.map_or(default.suffix_tokens, Whole::get),
            frames: self.frames.unwrap_or(default.frames),
            min_confidence: self.min_confidence.map_or(default.min_confidence, Share::get),
            refine_strength: self.refine_strength.map_or(default.refine_strength, Share::get),
            log: self.log.resolve(),
        })
    }
}

impl FilesOptions {
    fn resolve(self, default: FileFilter) -> Result<FileFilter, PatternError> {
        let texts = |patterns: Option<Vec<Pattern>>, default: &[String]| {
            patterns.map_or_else(
                || default.to_vec(),
                |patterns| patterns.into_iter().map(Pattern::into_text).collect(),
            )
        };
        if self == Self::default() {
            return Ok(default);
        }
        FileFilter::new(texts(self.include, default.include()), texts(self.exclude, default.exclude()))
    }
}

impl EngineOptions {
    fn resolve(self) -> EngineSettings {
        EngineSettings {
            model: self.model.and_then(|path| path.get()),
            device: self.device.unwrap_or_default(),
            precision: self.precision.unwrap_or_default(),
            threads: self.threads.and_then(|threads| NonZero::new(threads.get())),
        }
    }
}

impl LogOptions {
    fn resolve(self) -> LogSettings {
        LogSettings {
            level: self.level.unwrap_or_default(),
            file: self.file.and_then(|path| path.get()),
            code: self.code.unwrap_or_default(),
        }
    }
}

/// What a client would have to send to get these settings.
impl From<&Settings> for Options {
    fn from(settings: &Settings) -> Self {
        let patterns = |texts: &[String]| Some(texts.iter().map(|text| Pattern::of(text)).collect());
        Self {
            enabled: Some(settings.enabled),
            languages: Some(settings.languages.clone()),
            files: FilesOptions {
                include: patterns(settings.files.include()),
                exclude: patterns(settings.files.exclude()),
            },
            engine: EngineOptions {
                model: settings.engine.model.as_deref().map(PathOption::of),
                device: Some(settings.engine.device),
                precision: Some(settings.engine.precision),
                threads: settings.engine.threads.map(|threads| Whole::clamped(threads.get())),
            },
            preset: Some(settings.preset.into()),
            invoked_preset: Some(settings.invoked_preset.into()),
            candidates: Some(Whole::clamped(settings.candidates)),
            debounce_ms: Some(Whole::clamped(
                usize::try_from(settings.debounce.as_millis()).unwrap_or(usize::MAX),
            )),
            completion: Some(settings.completion),
            context_tokens: Some(Whole::clamped(settings.context_tokens)),
            prefix_tokens: Some(Whole::clamped(settings.prefix_tokens)),
            suffix_tokens: Some(Whole::clamped(settings.suffix_tokens)),
            frames: Some(settings.frames),
            min_confidence: Some(Share::of(settings.min_confidence)),
            refine_strength: Some(Share::of(settings.refine_strength)),
            log: LogOptions {
                level: Some(settings.log.level),
                file: settings.log.file.as_deref().map(PathOption::of),
                code: Some(settings.log.code),
            },
        }
    }
}
