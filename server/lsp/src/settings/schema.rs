//! The JSON schema of the settings, made from [`Options`]: what editors show in their settings pages and check files against.

use super::{Options, Settings};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// The schema of the bare settings object (what stands under `lacuna` in an editor, or in `lacuna.toml`), with defaults and
/// descriptions. Choices are an `enum` with `enumDescriptions`, as VS Code's settings page wants them.
#[must_use]
pub fn schema() -> Value {
    let mut schema = raw();
    let defaults = serde_json::to_value(Options::from(&Settings::default())).unwrap_or_default();
    add_defaults(&mut schema, &defaults);
    schema
}

/// The schema without the defaults.
pub(super) fn raw() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Options>().to_value();
    simplify(&mut schema);
    schema
}

/// Makes of each nullable choice a plain one, of each list of documented constants an `enum`, and drops what the options'
/// own `Default` says: a key that is not there.
fn simplify(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    object.remove("default");
    collapse_nullable(object);
    collapse_constants(object);
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    for key in ["properties", "items", "additionalProperties"] {
        match object.get_mut(key) {
            Some(Value::Object(fields)) if key == "properties" => fields.values_mut().for_each(simplify),
            Some(inner) => simplify(inner),
            None => {}
        }
    }
}

/// `anyOf: [X, null]` becomes X, under the outer description.
fn collapse_nullable(object: &mut Map<String, Value>) {
    let Some(Value::Array(choices)) = object.remove("anyOf") else { return };
    let is_null = |choice: &Value| choice.get("type").is_some_and(|kind| kind == "null");
    for choice in choices.into_iter().filter(|choice| !is_null(choice)) {
        let Value::Object(fields) = choice else { continue };
        for (name, value) in fields {
            object.entry(name).or_insert(value);
        }
    }
}

/// `oneOf` of constants becomes `enum`, their descriptions `enumDescriptions`.
fn collapse_constants(object: &mut Map<String, Value>) {
    let Some(Value::Array(choices)) = object.remove("oneOf") else { return };
    let column =
        |key: &str| choices.iter().map(|choice| choice.get(key).cloned().unwrap_or_default()).collect();
    let (names, descriptions): (Vec<Value>, Vec<Value>) = (column("const"), column("description"));
    object.insert("type".to_owned(), json!("string"));
    object.insert("enum".to_owned(), Value::Array(names));
    object.insert("enumDescriptions".to_owned(), Value::Array(descriptions));
}

/// Writes to each value what a user gets who does not set it; `null`, and `null` among its types, where that is nothing.
fn add_defaults(schema: &mut Value, defaults: &Value) {
    let Some(Value::Object(fields)) = schema.get_mut("properties") else { return };
    for (name, field) in fields {
        let default = defaults.get(name).cloned().unwrap_or_default();
        if field.get("properties").is_some() {
            add_defaults(field, &default);
            continue;
        }
        if default.is_null()
            && let Some(kind) = field.get("type").cloned()
        {
            field["type"] = json!([kind, "null"]);
        }
        field["default"] = default;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPDATE: &str = "LACUNA_UPDATE_SCHEMA";

    /// `schema.json` is what editors are built with; it must be what the server understands.
    #[test]
    fn the_committed_schema_is_the_one_that_the_options_make() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema.json");
        let made = format!("{}\n", serde_json::to_string_pretty(&schema()).unwrap());
        if std::env::var_os(UPDATE).is_some() {
            std::fs::write(path, &made).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            made == committed,
            "server/lsp/schema.json is not what the options make; write it anew with\n    \
             {UPDATE}=1 cargo test -p lacuna-lsp committed_schema"
        );
    }

    #[test]
    fn every_setting_has_one_sentence_a_plain_type_and_a_default() {
        fn walk(path: &str, schema: &Value, seen: &mut usize) {
            let description = schema["description"].as_str().unwrap_or_default();
            assert!(description.ends_with('.') && !description.contains('\n'), "{path}: {description:?}");
            for key in ["anyOf", "oneOf", "$ref"] {
                assert!(schema.get(key).is_none(), "{path} has {key}");
            }
            let Some(fields) = schema.get("properties") else {
                *seen += 1;
                assert!(schema.get("default").is_some() && schema.get("type").is_some(), "{path}: {schema}");
                return;
            };
            assert_eq!(schema["additionalProperties"], false, "{path}");
            fields
                .as_object()
                .unwrap()
                .iter()
                .for_each(|(name, field)| walk(&format!("{path}.{name}"), field, seen));
        }
        let mut seen = 0;
        walk("lacuna", &schema(), &mut seen);
        assert!(seen >= 20, "only {seen} settings");
    }
}
