//! The kinds of values that settings take on the wire: each knows its bounds, its schema and how to say what it expects.

use super::files;
use lacuna_engine::Preset;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// A whole number from `MIN` to `MAX`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Whole<const MIN: u32, const MAX: u32>(u32);

impl<const MIN: u32, const MAX: u32> Whole<MIN, MAX> {
    /// The number, or the nearest bound.
    pub(super) fn clamped(value: usize) -> Self {
        Self(u32::try_from(value).unwrap_or(MAX).clamp(MIN, MAX))
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for Whole<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        // Lua and Emacs Lisp may write 3 as 3.0.
        let number = value.as_u64().map_or_else(|| value.as_f64(), |whole| Some(whole as f64));
        match number {
            Some(number) if number.fract() == 0.0 && (f64::from(MIN)..=f64::from(MAX)).contains(&number) => {
                Ok(Self(number as u32))
            }
            _ => Err(D::Error::invalid_value(
                unexpected(&value),
                &format!("a whole number from {MIN} to {MAX}").as_str(),
            )),
        }
    }
}

impl<const MIN: u32, const MAX: u32> JsonSchema for Whole<MIN, MAX> {
    fn schema_name() -> Cow<'static, str> {
        format!("WholeFrom{MIN}To{MAX}").into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

/// A share of a whole, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Share(f64);

impl Share {
    /// A share as the settings hold it, without the digits that only the wider type would show.
    pub(super) fn of(value: f32) -> Self {
        Self(value.to_string().parse().unwrap_or(f64::from(value)))
    }

    /// The share.
    #[must_use]
    pub const fn get(self) -> f32 {
        self.0 as f32
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        match value.as_f64() {
            Some(share) if (0.0..=1.0).contains(&share) => Ok(Self(share)),
            _ => Err(D::Error::invalid_value(unexpected(&value), &"a number from 0 to 1")),
        }
    }
}

impl JsonSchema for Share {
    fn schema_name() -> Cow<'static, str> {
        "Share".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": 0, "maximum": 1 })
    }
}

/// An absolute path, or one below the home directory (`~/…`): a relative one would depend on where an editor was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct PathOption(String);

impl PathOption {
    pub(super) fn of(path: &Path) -> Self {
        Self(path.to_string_lossy().into_owned())
    }

    /// The path with `~` replaced; `None` where that needs a home directory and there is none.
    #[must_use]
    pub fn get(&self) -> Option<PathBuf> {
        match home_relative(&self.0) {
            Some(below) => Some(std::env::home_dir()?.join(below)),
            None => Some(PathBuf::from(&self.0)),
        }
    }
}

/// What follows `~/` in a path below the home directory.
fn home_relative(text: &str) -> Option<&str> {
    let below = text.strip_prefix('~')?;
    if below.is_empty() { Some(below) } else { below.strip_prefix(['/', std::path::MAIN_SEPARATOR]) }
}

impl<'de> Deserialize<'de> for PathOption {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        match value.as_str() {
            Some(text)
                if !text.contains('\0')
                    && (home_relative(text).is_some() || Path::new(text).is_absolute()) =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err(D::Error::invalid_value(
                unexpected(&value),
                &"an absolute path or one that starts with ~/",
            )),
        }
    }
}

impl JsonSchema for PathOption {
    fn schema_name() -> Cow<'static, str> {
        "Path".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// A pattern of [`super::FileFilter`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Pattern(String);

/// Bytes a pattern may have: a project's file must not make the server compile for long.
const PATTERN_BYTES_MAX: usize = 512;

impl Pattern {
    pub(super) fn of(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The pattern as written.
    #[must_use]
    pub fn into_text(self) -> String {
        self.0
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let wrong = |expected: &str| D::Error::invalid_value(unexpected(&value), &expected);
        match value.as_str() {
            Some(text) if text.len() <= PATTERN_BYTES_MAX => match files::globs(text) {
                Ok(_) => Ok(Self(text.to_owned())),
                Err(error) => Err(wrong(&format!("a glob pattern ({})", error.reason))),
            },
            _ => Err(wrong(&format!("a glob pattern of at most {PATTERN_BYTES_MAX} bytes"))),
        }
    }
}

impl JsonSchema for Pattern {
    fn schema_name() -> Cow<'static, str> {
        "Pattern".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": PATTERN_BYTES_MAX })
    }
}

/// [`Preset`] as users name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PresetOption {
    /// Few steps, few lengths: for proposals while typing.
    Fast,
    /// The middle between speed and quality.
    Balanced,
    /// More lengths and steps: for a person who waits.
    Thorough,
}

impl From<PresetOption> for Preset {
    fn from(option: PresetOption) -> Self {
        match option {
            PresetOption::Fast => Self::Fast,
            PresetOption::Balanced => Self::Balanced,
            PresetOption::Thorough => Self::Thorough,
        }
    }
}

impl From<Preset> for PresetOption {
    fn from(preset: Preset) -> Self {
        match preset {
            Preset::Fast => Self::Fast,
            Preset::Balanced => Self::Balanced,
            Preset::Thorough => Self::Thorough,
        }
    }
}

/// How serde names a value that was not expected.
fn unexpected(value: &Value) -> Unexpected<'_> {
    match value {
        Value::Null => Unexpected::Unit,
        Value::Bool(bool) => Unexpected::Bool(*bool),
        Value::Number(number) => Unexpected::Float(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => Unexpected::Str(text),
        Value::Array(_) => Unexpected::Seq,
        Value::Object(_) => Unexpected::Map,
    }
}
