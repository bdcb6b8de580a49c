//! A checkpoint's own chat template: found beside its weights, rendered as `transformers` renders it.
//!
//! Source: `transformers.utils.chat_template_utils` (Jinja with `trim_blocks` and `lstrip_blocks`, `raise_exception`,
//! `strftime_now`, loop controls, the `generation` tag; Python's methods on strings and dictionaries). Templates come
//! from strangers, so they run on limited fuel and reach nothing outside of themselves.

use crate::clock::strftime;
use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Value};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Instructions one rendering may take; templates in the wild take thousands for a short chat.
const FUEL: u64 = 1_000_000;

const TEMPLATE_FILE: &str = "chat_template.jinja";
const CONFIG_FILE: &str = "tokenizer_config.json";

/// Why a chat template cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "{file}: {}{reason}; fetch the file again, or take the template out of the directory and the model is prompted \
     without instructions", line.map(|line| format!("line {line}: ")).unwrap_or_default()
)]
pub(crate) struct ChatError {
    /// The file that holds the template, with its directory as that was given.
    pub file: String,
    /// Where in the template, if it is known.
    pub line: Option<usize>,
    /// What is wrong.
    pub reason: String,
}

/// Who speaks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Turn<'a> {
    User(&'a str),
    Model(&'a str),
}

/// A compiled template.
#[derive(Debug)]
pub(crate) struct ChatTemplate {
    environment: Environment<'static>,
    /// The file that holds it.
    pub file: String,
    /// Its text.
    pub source: String,
    /// `bos_token` and its like, by name.
    tokens: BTreeMap<String, String>,
}

impl ChatTemplate {
    /// The template of a model directory, if it holds one: `chat_template.jinja`, else `chat_template` of
    /// `tokenizer_config.json`.
    pub(crate) fn find(folder: &Path) -> Result<Option<Self>, ChatError> {
        let config = tokenizer_config(folder)?;
        let tokens = config.as_ref().map(named_tokens).unwrap_or_default();
        if let Some(source) = read(folder, TEMPLATE_FILE)? {
            return Self::compile(name(folder, TEMPLATE_FILE), &source, tokens).map(Some);
        }
        let file = name(folder, CONFIG_FILE);
        let Some(template) = config.as_ref().and_then(|config| config.get("chat_template")) else {
            return Ok(None);
        };
        match template {
            Json::Null => Ok(None),
            Json::String(source) => Self::compile(file, source, tokens).map(Some),
            // Several templates for several uses; the one for a plain chat is called default.
            Json::Array(named) => match named.iter().find(|one| one["name"] == "default") {
                Some(one) => {
                    Self::compile(file, one["template"].as_str().unwrap_or_default(), tokens).map(Some)
                }
                None => Ok(None),
            },
            _ => Err(fault(file, "chat_template: expected a string or a list of named templates".to_owned())),
        }
    }

    /// Compiles a template's text; `tokens` are the names it may know.
    pub(crate) fn compile(
        file: String,
        source: &str,
        tokens: BTreeMap<String, String>,
    ) -> Result<Self, ChatError> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| described(&file, &error))?);
        // By default a template's file name chooses how values are escaped.
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_fuel(Some(FUEL));
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        environment.add_function("strftime_now", strftime_now);
        environment
            .add_template_owned(file.clone(), without_generation_tags(source))
            .map_err(|error| described(&file, &error))?;
        Ok(Self { environment, file, source: source.to_owned(), tokens })
    }

    /// The text of a chat; `answer_next` adds what opens the model's answer. Thinking is off.
    pub(crate) fn render(&self, turns: &[Turn<'_>], answer_next: bool) -> Result<String, ChatError> {
        let message = |turn: &Turn<'_>| {
            let (role, content) = match *turn {
                Turn::User(content) => ("user", content),
                Turn::Model(content) => ("assistant", content),
            };
            Value::from_pairs([("role", role), ("content", content)])
        };
        let mut context: BTreeMap<String, Value> =
            self.tokens.iter().map(|(name, token)| (name.clone(), Value::from(token.as_str()))).collect();
        context.insert("messages".to_owned(), turns.iter().map(message).collect::<Vec<_>>().into());
        context.insert("add_generation_prompt".to_owned(), answer_next.into());
        context.insert("enable_thinking".to_owned(), false.into());
        context.insert("tools".to_owned(), Value::from(()));
        context.insert("documents".to_owned(), Value::from(()));
        self.environment
            .get_template(&self.file)
            .and_then(|template| template.render(Value::from_pairs(context)))
            .map_err(|error| described(&self.file, &error))
    }
}

fn strftime_now(format: String) -> Result<String, Error> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    strftime(&format, now).map_err(|unknown| {
        Error::new(
            ErrorKind::InvalidOperation,
            format!("strftime_now: the conversion {unknown} is not known"),
        )
    })
}

/// `{% generation %}` marks what a training counts as answer; here it is a block like any other.
fn without_generation_tags(source: &str) -> String {
    let mut plain = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let Some(len) = rest[start..].find("%}") else { break };
        let (before, tag) = (&rest[..start], &rest[start..start + len + 2]);
        plain.push_str(before);
        match tag.trim_matches(|c: char| "{%-+}".contains(c) || c.is_whitespace()) {
            "generation" => plain.push_str(&tag.replace("generation", "if true")),
            "endgeneration" => plain.push_str(&tag.replace("endgeneration", "endif")),
            _ => plain.push_str(tag),
        }
        rest = &rest[start + len + 2..];
    }
    plain + rest
}

fn tokenizer_config(folder: &Path) -> Result<Option<Json>, ChatError> {
    let Some(text) = read(folder, CONFIG_FILE)? else { return Ok(None) };
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|error| fault(name(folder, CONFIG_FILE), format!("not JSON: {error}")))
}

/// Every `…_token` of `tokenizer_config.json`, spelled out or as an object with its `content`.
fn named_tokens(config: &Json) -> BTreeMap<String, String> {
    let spelled = |(name, value): (&String, &Json)| {
        let token = value.as_str().or_else(|| value["content"].as_str())?;
        name.ends_with("_token").then(|| (name.clone(), token.to_owned()))
    };
    config.as_object().into_iter().flatten().filter_map(spelled).collect()
}

fn read(folder: &Path, file: &'static str) -> Result<Option<String>, ChatError> {
    match std::fs::read_to_string(folder.join(file)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(fault(name(folder, file), error.to_string())),
    }
}

/// What messages call a file.
fn name(folder: &Path, file: &str) -> String {
    folder.join(file).display().to_string()
}

fn fault(file: String, reason: String) -> ChatError {
    ChatError { file, line: None, reason }
}

fn described(file: &str, error: &Error) -> ChatError {
    let reason = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    ChatError { file: file.to_owned(), line: error.line(), reason }
}
