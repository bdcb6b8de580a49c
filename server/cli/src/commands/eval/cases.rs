//! Cases in the shape of HumanEval-Infilling, one JSON object a line, checked field by field.

use crate::failure::Failure;
use lacuna_text::{Language, RegionKind};
use serde_json::{Map, Value};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// One hole with its known answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Its name.
    pub task_id: String,
    /// Code before the hole.
    pub prompt: String,
    /// Code after the hole. The line break that ends a hole of whole lines is moved here from the answer.
    pub suffix: String,
    /// What stood in the hole.
    pub answer: String,
    /// Whether a line break was moved from the answer to the suffix.
    pub break_moved: bool,
    /// The language of the three.
    pub language: Language,
    /// The hole's shape.
    pub shape: RegionKind,
    /// Under which name the case is counted: its `kind`, or its shape.
    pub kind: String,
}

/// Reads the first `limit` cases of a file.
///
/// # Errors
/// A file that cannot be read or holds no case; a line that is no case, by number and field.
pub fn read(path: &Path, limit: Option<usize>) -> Result<Vec<Case>, Failure> {
    let name = path.display();
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::input(format!("{name} does not exist")),
        _ => Failure::input(format!("{name} cannot be read: {error}")),
    };
    if path.is_dir() {
        return Err(Failure::input(format!("{name} is a directory; name a file of cases")));
    }
    let reader = BufReader::new(File::open(path).map_err(unreadable)?);
    parse(&name.to_string(), reader, limit)
}

/// As [`read`], from anything with lines; `name` is for messages.
///
/// # Errors
/// As [`read`].
pub fn parse(name: &str, reader: impl BufRead, limit: Option<usize>) -> Result<Vec<Case>, Failure> {
    let limit = limit.unwrap_or(usize::MAX);
    let mut cases = Vec::new();
    for (index, line) in reader.split(b'\n').enumerate() {
        if cases.len() == limit {
            break;
        }
        let at = |what: String| Failure::input(format!("{name} line {}: {what}", index + 1));
        let line = line.map_err(|error| at(format!("cannot be read: {error}")))?;
        let line = String::from_utf8(line).map_err(|_| at("is not UTF-8".to_owned()))?;
        if !line.trim().is_empty() {
            cases.push(case(line.trim_start_matches('\u{feff}')).map_err(at)?);
        }
    }
    if cases.is_empty() {
        return Err(Failure::input(format!("{name} holds no cases")));
    }
    Ok(cases)
}

/// A case that nobody counts: answered first, it wakes the threads, touches the weights and leaves a prompt in the cache
/// that has nothing in common with a counted one, so that the first of those is read from its start like all others.
pub fn warm_up() -> Case {
    Case {
        task_id: "warm-up".to_owned(),
        prompt: "\"\"\"Areas of plane figures.\"\"\"\n\n\ndef rectangle(width, height):\n".to_owned(),
        suffix: "\n\n\ndef square(side):\n    return rectangle(side, side)\n".to_owned(),
        answer: "    return width * height".to_owned(),
        break_moved: false,
        language: Language::Python,
        shape: RegionKind::Lines,
        kind: "lines".to_owned(),
    }
}

fn case(line: &str) -> Result<Case, String> {
    let value: Value = serde_json::from_str(line).map_err(|error| format!("is not JSON: {error}"))?;
    let Value::Object(fields) = value else {
        return Err(format!("expected a JSON object, found {}", type_name(&value)));
    };
    let task_id = required(&fields, "task_id")?;
    let language = match optional(&fields, "language")? {
        Some(id) => Language::from_id(&id),
        None if task_id.contains("HumanEval") => Language::Python,
        None => Language::PlainText,
    };
    let prompt = required(&fields, "prompt")?;
    let (answer, suffix, break_moved) =
        move_break(required(&fields, "canonical_solution")?, required(&fields, "suffix")?);
    if answer.trim().is_empty() {
        return Err("field canonical_solution is blank; there is nothing to compare with".to_owned());
    }
    let kind = optional(&fields, "kind")?;
    let shape = kind.as_deref().and_then(named_shape).unwrap_or_else(|| shape_of(&answer, &suffix));
    let kind = kind.unwrap_or_else(|| shape_name(shape).to_owned());
    Ok(Case { task_id, prompt, suffix, answer, break_moved, language, shape, kind })
}

/// HumanEval-Infilling's answers are whole lines with their line break; a hole in an editor ends before it.
fn move_break(answer: String, suffix: String) -> (String, String, bool) {
    match answer.strip_suffix('\n').map(|rest| rest.strip_suffix('\r').unwrap_or(rest)) {
        Some(rest) if !rest.is_empty() => (rest.to_owned(), format!("\n{suffix}"), true),
        _ => (answer, suffix, false),
    }
}

fn named_shape(kind: &str) -> Option<RegionKind> {
    match kind {
        "line" => Some(RegionKind::Line),
        "span" => Some(RegionKind::Span),
        "lines" => Some(RegionKind::Lines),
        "body" => Some(RegionKind::Body),
        _ => None,
    }
}

const fn shape_name(shape: RegionKind) -> &'static str {
    match shape {
        RegionKind::Line => "line",
        RegionKind::Span => "span",
        RegionKind::Lines => "lines",
        RegionKind::Body => "body",
    }
}

fn shape_of(answer: &str, suffix: &str) -> RegionKind {
    if answer.contains('\n') {
        RegionKind::Lines
    } else if suffix.is_empty() || suffix.starts_with(['\n', '\r']) {
        RegionKind::Line
    } else {
        RegionKind::Span
    }
}

fn required(fields: &Map<String, Value>, name: &str) -> Result<String, String> {
    optional(fields, name)?.ok_or_else(|| format!("field {name} is missing"))
}

fn optional(fields: &Map<String, Value>, name: &str) -> Result<Option<String>, String> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(format!("field {name} must be a string, found {}", type_name(other))),
    }
}

const fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str, limit: Option<usize>) -> Result<Vec<Case>, String> {
        parse("c.jsonl", text.as_bytes(), limit).map_err(|failure| failure.to_string())
    }

    fn line(answer: &str, suffix: &str, more: &str) -> String {
        let (answer, suffix) = (serde_json::json!(answer), serde_json::json!(suffix));
        format!(
            r#"{{"task_id":"HumanEval/0","prompt":"x = ","suffix":{suffix},"canonical_solution":{answer}{more}}}"#
        )
    }

    #[track_caller]
    fn check_shape(answer: &str, suffix: &str, more: &str, shape: RegionKind, kind: &str) {
        let case = read_text(&line(answer, suffix, more), None).unwrap().remove(0);
        assert_eq!((case.shape, case.kind.as_str()), (shape, kind));
        let moved = if case.break_moved { "\n" } else { "" };
        assert_eq!(format!("{}{}", case.answer, case.suffix), format!("{answer}{suffix}"), "{moved:?}");
    }

    #[test]
    fn the_shape_follows_the_kind_or_the_text() {
        check_shape("1", "\n", "", RegionKind::Line, "line");
        check_shape("1\n", "y", "", RegionKind::Line, "line");
        check_shape("1", ")\n", "", RegionKind::Span, "span");
        check_shape("1\ny\n", "", "", RegionKind::Lines, "lines");
        check_shape("1\ny", "", r#","kind":"body""#, RegionKind::Body, "body");
        check_shape("1", ")", r#","kind":"single-line""#, RegionKind::Span, "single-line");
    }

    #[test]
    fn the_language_is_named_or_humaneval_s() {
        let language = |more: &str| read_text(&line("1", "", more), None).unwrap()[0].language;
        assert_eq!(language(""), Language::Python);
        assert_eq!(language(r#","language":"rust""#), Language::Rust);
    }

    #[test]
    fn a_limit_stops_before_later_lines_are_looked_at() {
        let text = format!("{}\n\nnot json\n", line("1", "", ""));
        assert_eq!(read_text(&text, Some(1)).unwrap().len(), 1);
        assert!(read_text(&text, None).unwrap_err().starts_with("c.jsonl line 3: is not JSON"));
    }

    #[test]
    fn bad_lines_name_their_number_and_field() {
        let error = |text: &str| read_text(text, None).unwrap_err();
        assert_eq!(error(r#"{"task_id":"a"}"#), "c.jsonl line 1: field prompt is missing");
        assert_eq!(
            error(r#"{"task_id":7}"#),
            "c.jsonl line 1: field task_id must be a string, found a number"
        );
        assert_eq!(error("[1]"), "c.jsonl line 1: expected a JSON object, found an array");
        assert!(error(&line(" \n", "", "")).contains("canonical_solution is blank"));
        assert_eq!(error("\n\n"), "c.jsonl holds no cases");
        assert!(parse("c", &b"\xff\n"[..], None).unwrap_err().to_string().contains("c line 1: is not UTF-8"));
    }
}
