//! Whether a value has the structure that the meta model gives it ("The meta model" in LSP 3.18).

use super::Violation;
use crate::client::Direction;
use serde_json::Value;
use std::collections::BTreeMap;

const FOUND_CHARS_MAX: usize = 60;

/// One place where a value is not what it should be.
#[derive(Clone, Debug)]
pub struct Mismatch {
    path: String,
    expected: String,
    found: String,
}

impl Mismatch {
    pub fn new(path: &str, expected: &str, found: &Value) -> Self {
        let found = found.to_string().chars().take(FOUND_CHARS_MAX).collect();
        Self { path: path.to_owned(), expected: expected.to_owned(), found }
    }

    pub fn into_violation(self, direction: Direction) -> Violation {
        let Self { path, expected, found } = self;
        Violation { direction, path, expected, found }
    }
}

type Checked = Result<(), Vec<Mismatch>>;

/// The named types of the specification.
#[derive(Debug)]
pub struct Structures {
    structures: BTreeMap<String, Value>,
    aliases: BTreeMap<String, Value>,
    enumerations: BTreeMap<String, Value>,
}

/// The entries of one list of the meta model, by a field of theirs.
pub fn by(model: &Value, list: &str, key: &str) -> BTreeMap<String, Value> {
    let entries = model[list].as_array().map_or(&[][..], Vec::as_slice);
    entries.iter().map(|entry| (entry[key].as_str().unwrap_or_default().to_owned(), entry.clone())).collect()
}

impl Structures {
    pub fn new(model: &Value) -> Self {
        Self {
            structures: by(model, "structures", "name"),
            aliases: by(model, "typeAliases", "name"),
            enumerations: by(model, "enumerations", "name"),
        }
    }

    /// Holds `value` against the type `wanted`; `strict`: fields that the type does not name count.
    pub fn check(&self, wanted: &Value, value: &Value, strict: bool, path: &str) -> Checked {
        Check { types: self, strict }.check(wanted, value, path)
    }

    /// The properties of a structure with those it extends or mixes in.
    fn properties(&self, name: &str) -> BTreeMap<String, Value> {
        let Some(structure) = self.structures.get(name) else { return BTreeMap::new() };
        let parents =
            ["extends", "mixins"].into_iter().filter_map(|list| structure[list].as_array()).flatten();
        let mut properties = BTreeMap::new();
        for parent in parents {
            properties.extend(self.properties(text(&parent["name"])));
        }
        properties.extend(properties_of(structure));
        properties
    }
}

/// One check against the named types.
#[derive(Clone, Copy)]
struct Check<'a> {
    types: &'a Structures,
    strict: bool,
}

impl Check<'_> {
    fn check(self, wanted: &Value, value: &Value, path: &str) -> Checked {
        let items = || wanted["items"].as_array().map_or(&[][..], Vec::as_slice);
        match wanted["kind"].as_str().unwrap_or_default() {
            "base" => base(text(&wanted["name"]), value, path),
            "stringLiteral" => hold(*value == wanted["value"], path, text(&wanted["value"]), value),
            "array" => self.array(&wanted["element"], value, path),
            "map" => self.map(&wanted["value"], value, path),
            "tuple" => self.tuple(items(), value, path),
            "or" => self.any(items(), value, path),
            // The parts of an intersection do not name each other's fields.
            "and" => {
                let lax = Self { strict: false, ..self };
                all(items().iter().map(|item| lax.check(item, value, path)))
            }
            "literal" => {
                let properties = properties_of(&wanted["value"]);
                self.object("a literal", &properties, value, path)
            }
            "reference" => self.reference(text(&wanted["name"]), value, path),
            other => Err(vec![Mismatch::new(path, &format!("a known kind, not {other:?}"), value)]),
        }
    }

    fn reference(self, name: &str, value: &Value, path: &str) -> Checked {
        if matches!(name, "LSPAny" | "LSPObject" | "LSPArray") {
            return Ok(());
        }
        if let Some(alias) = self.types.aliases.get(name) {
            return self.check(&alias["type"], value, path);
        }
        if let Some(enumeration) = self.types.enumerations.get(name) {
            let values = enumeration["values"].as_array().map_or(&[][..], Vec::as_slice);
            let custom = enumeration["supportsCustomValues"] == true;
            return hold(custom || values.iter().any(|it| it["value"] == *value), path, name, value);
        }
        self.object(name, &self.types.properties(name), value, path)
    }

    fn object(self, name: &str, properties: &BTreeMap<String, Value>, value: &Value, path: &str) -> Checked {
        let Some(fields) = value.as_object() else { return Err(vec![Mismatch::new(path, name, value)]) };
        let known = properties.iter().map(|(key, property)| {
            let path = format!("{path}.{key}");
            match fields.get(key) {
                Some(field) => self.check(&property["type"], field, &path),
                None if property["optional"] == true => Ok(()),
                None => Err(vec![Mismatch {
                    path,
                    expected: format!("a field that {name} requires"),
                    found: "nothing".to_owned(),
                }]),
            }
        });
        let unknown = fields.iter().filter(|(key, _)| self.strict && !properties.contains_key(*key)).map(
            |(key, field)| {
                Err(vec![Mismatch::new(&format!("{path}.{key}"), &format!("no such field in {name}"), field)])
            },
        );
        all(known.chain(unknown))
    }

    fn array(self, element: &Value, value: &Value, path: &str) -> Checked {
        let Some(items) = value.as_array() else { return Err(vec![Mismatch::new(path, "an array", value)]) };
        all(items.iter().enumerate().map(|(i, item)| self.check(element, item, &format!("{path}[{i}]"))))
    }

    fn map(self, element: &Value, value: &Value, path: &str) -> Checked {
        let Some(fields) = value.as_object() else { return Err(vec![Mismatch::new(path, "a map", value)]) };
        all(fields.iter().map(|(key, field)| self.check(element, field, &format!("{path}.{key}"))))
    }

    fn tuple(self, elements: &[Value], value: &Value, path: &str) -> Checked {
        let Some(items) = value.as_array().filter(|items| items.len() == elements.len()) else {
            return Err(vec![Mismatch::new(path, &format!("a tuple of {}", elements.len()), value)]);
        };
        all(elements.iter().zip(items).map(|(element, item)| self.check(element, item, path)))
    }

    /// One of several types; else what the nearest of them lacks.
    fn any(self, types: &[Value], value: &Value, path: &str) -> Checked {
        let mut nearest: Option<Vec<Mismatch>> = None;
        for wanted in types {
            match self.check(wanted, value, path) {
                Ok(()) => return Ok(()),
                Err(found) if nearest.as_ref().is_none_or(|best| found.len() < best.len()) => {
                    nearest = Some(found)
                }
                Err(_) => {}
            }
        }
        Err(nearest.unwrap_or_default())
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn properties_of(structure: &Value) -> BTreeMap<String, Value> {
    by(structure, "properties", "name")
}

fn base(name: &str, value: &Value, path: &str) -> Checked {
    let good = match name {
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "integer" => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
        "uinteger" => value.as_u64().is_some_and(|number| i32::try_from(number).is_ok()),
        "decimal" => value.is_number(),
        _ => value.is_string(),
    };
    hold(good, path, name, value)
}

fn hold(good: bool, path: &str, expected: &str, value: &Value) -> Checked {
    if good { Ok(()) } else { Err(vec![Mismatch::new(path, expected, value)]) }
}

fn all(checks: impl Iterator<Item = Checked>) -> Checked {
    let found: Vec<Mismatch> = checks.filter_map(Checked::err).flatten().collect();
    if found.is_empty() { Ok(()) } else { Err(found) }
}
