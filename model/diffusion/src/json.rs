//! A JSON object that remembers where it stands, so that every complaint names file, key, expected and found.

use crate::error::LoadError;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::ops::RangeInclusive;

/// A view of one object of a file.
pub(crate) struct Object<'a> {
    file: &'a str,
    /// Dotted path with a trailing dot, or empty at the root.
    path: String,
    map: Cow<'a, Map<String, Value>>,
}

impl<'a> Object<'a> {
    /// Parses a whole file; `file` is what complaints call it.
    pub(crate) fn parse(file: &'a str, json: &[u8]) -> Result<Self, LoadError> {
        let fault = |reason: String| LoadError::Json { file: file.to_owned(), reason };
        match serde_json::from_slice(json).map_err(|error| fault(error.to_string()))? {
            Value::Object(map) => Ok(Self { file, path: String::new(), map: Cow::Owned(map) }),
            other => Err(fault(format!("found {}", show(Some(&other))))),
        }
    }

    /// The complaint about `key`.
    pub(crate) fn wrong(&self, key: &str, expected: &str, found: &str) -> LoadError {
        LoadError::Value {
            file: self.file.to_owned(),
            key: format!("{}{key}", self.path),
            expected: expected.to_owned(),
            found: found.to_owned(),
        }
    }

    fn unexpected(&self, key: &str, expected: &str) -> LoadError {
        self.wrong(key, expected, &show(self.map.get(key)))
    }

    /// The value of `key`; null counts as absent.
    fn get(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// All keys, in order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &String> {
        self.map.keys()
    }

    /// Whether the key holds anything but null.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    pub(crate) fn optional_object(&self, key: &str) -> Result<Option<Object<'a>>, LoadError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Object {
                file: self.file,
                path: format!("{}{key}.", self.path),
                map: Cow::Owned(map.clone()),
            })),
            Some(_) => Err(self.unexpected(key, "an object")),
        }
    }

    pub(crate) fn object(&self, key: &str) -> Result<Object<'a>, LoadError> {
        self.optional_object(key)?.ok_or_else(|| self.unexpected(key, "an object"))
    }

    /// A whole number in 0..=`max`.
    pub(crate) fn count(&self, key: &str, default: usize, max: usize) -> Result<usize, LoadError> {
        self.whole(key, Some(default), 0..=max)
    }

    /// A whole number in 1..=`max`; without a default the key is needed.
    pub(crate) fn size(&self, key: &str, default: Option<usize>, max: usize) -> Result<usize, LoadError> {
        self.whole(key, default, 1..=max)
    }

    fn whole(
        &self,
        key: &str,
        default: Option<usize>,
        range: RangeInclusive<usize>,
    ) -> Result<usize, LoadError> {
        let complaint =
            || self.unexpected(key, &format!("a whole number in {}..={}", range.start(), range.end()));
        let Some(value) = self.get(key) else { return default.ok_or_else(complaint) };
        let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
        number.filter(|number| range.contains(number)).ok_or_else(complaint)
    }

    /// A finite number in `range`; without a default the key is needed.
    pub(crate) fn number(
        &self,
        key: &str,
        default: Option<f64>,
        range: RangeInclusive<f64>,
    ) -> Result<f64, LoadError> {
        let complaint = || self.unexpected(key, &format!("a number in {}..={}", range.start(), range.end()));
        let Some(value) = self.get(key) else { return default.ok_or_else(complaint) };
        value.as_f64().filter(|number| range.contains(number)).ok_or_else(complaint)
    }

    pub(crate) fn string(&self, key: &str) -> Result<Option<String>, LoadError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(self.unexpected(key, "a string")),
        }
    }

    /// A list of strings; empty when absent.
    pub(crate) fn strings(&self, key: &str) -> Result<Vec<String>, LoadError> {
        self.list(key, "a list of strings", |value| value.as_str().map(str::to_owned))
    }

    /// A list of whole numbers in 1..=`max`; empty when absent.
    pub(crate) fn sizes(&self, key: &str, max: usize) -> Result<Vec<usize>, LoadError> {
        self.list(key, &format!("a list of whole numbers in 1..={max}"), |value| {
            value.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|n| (1..=max).contains(n))
        })
    }

    /// A list of finite numbers in `range`; empty when absent.
    pub(crate) fn numbers(&self, key: &str, range: RangeInclusive<f64>) -> Result<Vec<f64>, LoadError> {
        let expected = format!("a list of numbers in {}..={}", range.start(), range.end());
        self.list(key, &expected, |value| value.as_f64().filter(|number| range.contains(number)))
    }

    fn list<T>(
        &self,
        key: &str,
        expected: &str,
        element: impl Fn(&Value) -> Option<T>,
    ) -> Result<Vec<T>, LoadError> {
        match self.get(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => values
                .iter()
                .map(|value| element(value).ok_or_else(|| self.wrong(key, expected, &show(Some(value)))))
                .collect(),
            Some(_) => Err(self.unexpected(key, expected)),
        }
    }

    /// Pairs of a string map, in the file's order of keys; empty when absent.
    pub(crate) fn string_pairs(&self, key: &str) -> Result<Vec<(String, String)>, LoadError> {
        let Some(object) = self.optional_object(key)? else { return Ok(Vec::new()) };
        let keys: Vec<String> = object.map.keys().cloned().collect();
        let pairs = keys.into_iter().map(|name| match object.string(&name)? {
            Some(text) => Ok((name, text)),
            None => Err(object.unexpected(&name, "a string")),
        });
        pairs.collect()
    }

    /// A token id below `vocab_size`, if the key is there.
    pub(crate) fn optional_token(&self, key: &str, vocab_size: usize) -> Result<Option<u32>, LoadError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match token(value, vocab_size) {
            Some(id) => Ok(Some(id)),
            None => Err(self.unexpected(key, &format!("a token id below vocab_size = {vocab_size}"))),
        }
    }

    /// One token id or a list of them; empty when absent.
    pub(crate) fn tokens(&self, key: &str, vocab_size: usize) -> Result<Vec<u32>, LoadError> {
        let expected = format!("token ids below vocab_size = {vocab_size}");
        match self.get(key) {
            Some(Value::Array(_)) => self.list(key, &expected, |value| token(value, vocab_size)),
            _ => Ok(self.optional_token(key, vocab_size)?.into_iter().collect()),
        }
    }

    /// Refuses any value of `key` but `expected`; an absent key passes.
    pub(crate) fn require(&self, key: &str, expected: impl Into<Value>) -> Result<(), LoadError> {
        let expected = expected.into();
        match self.get(key) {
            Some(value) if *value != expected => {
                Err(self.unexpected(key, &format!("{expected} (all this engine supports)")))
            }
            _ => Ok(()),
        }
    }
}

fn token(value: &Value, vocab_size: usize) -> Option<u32> {
    let id = value.as_u64().and_then(|id| u32::try_from(id).ok())?;
    ((id as usize) < vocab_size).then_some(id)
}

/// A value as a message shows it, cut to a readable length.
fn show(value: Option<&Value>) -> String {
    let Some(value) = value else { return "nothing".to_owned() };
    let text = value.to_string();
    if text.chars().count() <= 60 { text } else { text.chars().take(60).chain("…".chars()).collect() }
}
