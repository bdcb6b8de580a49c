//! Reads settings of unknown quality: keeps what fits, warns about the rest.
//!
//! What comes out is a [`Tree`]: JSON that holds nothing but known keys with valid values, so that layers can be laid over
//! one another key by key before they become [`super::Options`].

use super::options::Options;
use super::schema;
use super::warning::{Origin, Problem, Warning};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Known keys with valid values, in sections.
pub(super) type Tree = Map<String, Value>;

/// Warnings one source may cause before the rest is only counted.
const WARNINGS_MAX: usize = 20;

/// Entries a list may have; the same number stands in the schema.
const LIST_MAX: usize = 256;

/// How alike two names must be, of 1, for one to be suggested for the other.
const LIKENESS_MIN: f64 = 0.6;

/// Characters of a bad value that a warning quotes.
const FOUND_CHARS_MAX: usize = 60;

/// What there is at a key.
enum Node {
    /// Named keys.
    Section(BTreeMap<String, Node>),
    /// Any keys, each with a value of one kind.
    Free(Box<Node>),
    /// A value, and what it takes where its kind says so better than serde.
    Leaf(Option<String>),
}

/// The keys there are, read off the schema.
static KEYS: LazyLock<Node> = LazyLock::new(|| node(&schema::raw()));

fn node(schema: &Value) -> Node {
    match schema.get("properties").and_then(Value::as_object) {
        Some(fields) => {
            Node::Section(fields.iter().map(|(name, field)| (name.clone(), node(field))).collect())
        }
        None if schema["type"] == "object" => Node::Free(Box::new(node(&schema["additionalProperties"]))),
        None => Node::Leaf(expected(schema)),
    }
}

fn expected(schema: &Value) -> Option<String> {
    if let Value::Array(names) = &schema["enum"] {
        let names: Vec<String> =
            names.iter().filter_map(Value::as_str).map(|name| format!("`{name}`")).collect();
        return Some(format!("one of {}", names.join(", ")));
    }
    match schema["type"].as_str() {
        Some("boolean") => Some("true or false".to_owned()),
        Some("array") => Some("a list".to_owned()),
        _ => None,
    }
}

/// Reads the settings in `value`: a bare object, or one that holds it under `lacuna`; keys may be nested or dotted
/// (`engine.device`), and `null` or an empty text stands for a setting that nobody touched.
pub(super) fn read(value: &Value, origin: &Origin) -> (Tree, Vec<Warning>) {
    let mut reader = Reader { origin, warnings: Vec::new(), dropped: 0 };
    let tree = reader.root(value).map(|object| reader.node(&KEYS, &mut Vec::new(), &Value::Object(object)));
    let tree = match tree.flatten() {
        Some(Value::Object(tree)) => tree,
        _ => Tree::new(),
    };
    (tree, reader.finish())
}

struct Reader<'a> {
    origin: &'a Origin,
    warnings: Vec<Warning>,
    dropped: usize,
}

impl Reader<'_> {
    /// The object that holds the settings.
    fn root(&mut self, value: &Value) -> Option<Tree> {
        let mut object = match value {
            Value::Null => return None,
            // Lua and Emacs Lisp have one empty table for both.
            Value::Array(none) if none.is_empty() => return None,
            Value::Object(object) => nested(object),
            other => {
                let reason = format!("expected an object of settings, found {}", quoted(other));
                self.warn(Problem::Unreadable { reason });
                return None;
            }
        };
        match object.remove("lacuna") {
            None => Some(object),
            Some(Value::Object(inner)) => Some(nested(&inner)),
            Some(Value::Null) => None,
            Some(Value::Array(none)) if none.is_empty() => None,
            Some(other) => {
                self.bad_value("lacuna".to_owned(), "an object of settings", &other);
                None
            }
        }
    }

    /// What is usable of `value` at `path`.
    fn node(&mut self, node: &Node, path: &mut Vec<String>, value: &Value) -> Option<Value> {
        if value.is_null() {
            return None;
        }
        let fields = match (node, value) {
            (Node::Leaf(expected), _) => return self.leaf(expected.as_deref(), path, value),
            (_, Value::Object(fields)) => fields,
            (_, Value::Array(none)) if none.is_empty() => return None,
            _ => {
                self.bad_value(path.join("."), "an object", value);
                return None;
            }
        };
        let mut kept = Tree::new();
        for (name, value) in fields {
            path.push(name.clone());
            let known = match node {
                Node::Section(known) => known.get(name),
                Node::Free(each) => Some(&**each),
                Node::Leaf(_) => None,
            };
            let usable = match known {
                Some(_) if self.is_refused(path, value) => None,
                Some(node) => self.node(node, path, value),
                None => self.unknown(path),
            };
            path.pop();
            kept.extend(usable.map(|value| (name.clone(), value)));
        }
        Some(Value::Object(kept))
    }

    fn is_refused(&mut self, path: &[String], value: &Value) -> bool {
        let parts: Vec<&str> = path.iter().map(String::as_str).collect();
        let refused = matches!(self.origin, Origin::Project(_)) && !super::project::may_set(&parts);
        // Of a section, each key is refused by its own name.
        if refused && !value.is_object() {
            self.warn(Problem::NotForProjects { key: path.join(".") });
            return true;
        }
        false
    }

    /// The value in the form the settings write it, or of a list the entries that fit.
    fn leaf(&mut self, expected: Option<&str>, path: &[String], value: &Value) -> Option<Value> {
        if value.as_str() == Some("") {
            return None;
        }
        // An empty list shows whether the setting is a list at all.
        let none = Value::Array(Vec::new());
        let entries = match value {
            Value::Object(fields) if fields.is_empty() && check(path, &none).is_ok() => return Some(none),
            Value::Array(entries) if check(path, &none).is_ok() => entries,
            single => {
                let said = |other: String| expected.map_or(other, str::to_owned);
                let bad = |other| self.bad_value(path.join("."), &said(other), single);
                return check(path, single).map_err(bad).ok();
            }
        };
        if entries.len() > LIST_MAX {
            self.bad_value(
                path.join("."),
                &format!("at most {LIST_MAX} entries"),
                &Value::from(entries.len()),
            );
        }
        let mut kept = Vec::new();
        for (index, entry) in entries.iter().take(LIST_MAX).enumerate() {
            match check(path, &Value::Array(vec![entry.clone()])) {
                Ok(_) => kept.push(entry.clone()),
                Err(expected) => self.bad_value(format!("{}[{index}]", path.join(".")), &expected, entry),
            }
        }
        Some(Value::Array(kept))
    }

    fn unknown(&mut self, path: &[String]) -> Option<Value> {
        let key = path.join(".");
        let nearest = nearest(&key);
        self.warn(Problem::UnknownKey { key: shortened(&key), nearest });
        None
    }

    fn bad_value(&mut self, key: String, expected: &str, found: &Value) {
        let key = shortened(&key);
        self.warn(Problem::BadValue { key, expected: expected.to_owned(), found: quoted(found) });
    }

    fn warn(&mut self, problem: Problem) {
        if self.warnings.len() < WARNINGS_MAX {
            self.warnings.push(Warning { origin: self.origin.clone(), problem });
        } else {
            self.dropped += 1;
        }
    }

    fn finish(mut self) -> Vec<Warning> {
        if self.dropped > 0 {
            let problem = Problem::More { count: self.dropped };
            self.warnings.push(Warning { origin: self.origin.clone(), problem });
        }
        self.warnings
    }
}

/// Dotted keys of an object as nested ones, one level: some clients send `"engine.device": "cpu"`.
fn nested(object: &Tree) -> Tree {
    let mut result: Tree =
        object.iter().filter(|(name, _)| !name.contains('.')).map(|(k, v)| (k.clone(), v.clone())).collect();
    for (name, value) in object {
        let Some((section, key)) = name.split_once('.') else { continue };
        let section = result.entry(section).or_insert_with(|| Value::Object(Tree::new()));
        match section {
            Value::Object(section) => section.insert(key.to_owned(), value.clone()),
            _ => result.insert(name.clone(), value.clone()),
        };
    }
    result
}

/// The value as the options write it, or what they expect instead. The options themselves decide: they read an object
/// that holds nothing else.
fn check(path: &[String], value: &Value) -> Result<Value, String> {
    let nest = |value, name: &String| Value::Object(Map::from_iter([(name.clone(), value)]));
    let options: Options = serde_json::from_value(path.iter().rev().fold(value.clone(), nest))
        .map_err(|error| expectation(&error.to_string()))?;
    let written = serde_json::to_value(options).map_err(|error| error.to_string())?;
    let written = path.iter().try_fold(&written, |value, name| value.get(name));
    written.cloned().ok_or_else(|| "another value".to_owned())
}

/// What comes after the last `expected` of a message such as ``unknown variant `x`, expected `a` or `b` ``.
fn expectation(message: &str) -> String {
    message.rsplit_once("expected ").map_or(message, |(_, expected)| expected).to_owned()
}

/// The known key most like `key`, compared as a whole and by its last part, whatever the spelling of word breaks.
fn nearest(key: &str) -> Option<String> {
    let plain = |name: &str| name.replace(['-', '_'], "").to_lowercase();
    // A name longer than any key is like none, and comparing it would only take time.
    if key.chars().count() > FOUND_CHARS_MAX {
        return None;
    }
    let key = plain(key);
    let last = key.rsplit('.').next().unwrap_or_default();
    let mut paths = Vec::new();
    collect_paths(&KEYS, "", &mut paths);
    let depth = |path: &str| path.matches('.').count();
    // A section is no answer to a key inside it.
    paths.retain(|(path, is_section)| !is_section || depth(path) >= depth(&key));
    let likeness = |path: &str| {
        let path = plain(path);
        let path_last = path.rsplit('.').next().unwrap_or_default();
        let contained = last.len() >= 4 && path_last.contains(last);
        let by_last =
            strsim::normalized_damerau_levenshtein(last, path_last).max(if contained { 0.7 } else { 0.0 });
        // Of two settings with the same last name, the one whose section fits too.
        strsim::normalized_damerau_levenshtein(&key, &path).max(by_last * 0.95)
    };
    let scored = paths.into_iter().map(|(path, _)| (likeness(&path), path));
    let best = scored.filter(|(score, _)| *score >= LIKENESS_MIN).max_by(|a, b| a.0.total_cmp(&b.0));
    best.map(|(_, path)| path)
}

/// Every path, and whether it is a section.
fn collect_paths(node: &Node, prefix: &str, paths: &mut Vec<(String, bool)>) {
    if let Node::Section(fields) = node {
        for (name, field) in fields {
            let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            collect_paths(field, &path, paths);
            paths.push((path, matches!(field, Node::Section(_))));
        }
    }
}

fn quoted(value: &Value) -> String {
    match value {
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        other => shortened(&other.to_string()),
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(FOUND_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
