//! Cases in the shape of HumanEval-Infilling, one JSON object a line, checked field by field.
//!
//! The published files are read as they are. HumanEval-Infilling (single-line, multi-line, random-span): Python, an answer of
//! whole lines ends with its line break; a random span of white space alone is passed over. SantaCoder-FIM: `name` stands for
//! `task_id` and is that of a problem with many holes, so the line's number is added; `language` is py, js or java.

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
    /// Where the text is from: package, version, path and licence; empty where the case does not say.
    pub origin: String,
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
            cases.extend(case(line.trim_start_matches('\u{feff}'), index + 1).map_err(at)?);
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
        origin: String::new(),
    }
}

/// The case of a line; `None` where a published file has a hole that nobody would fill.
fn case(line: &str, number: usize) -> Result<Option<Case>, String> {
    let value: Value = serde_json::from_str(line).map_err(|error| format!("is not JSON: {error}"))?;
    let Value::Object(fields) = value else {
        return Err(format!("expected a JSON object, found {}", type_name(&value)));
    };
    let task_id = match (fields.get("task_id"), optional(&fields, "name")?) {
        (None, Some(name)) => format!("{name}#{number}"),
        _ => required(&fields, "task_id")?,
    };
    let language = match optional(&fields, "language")? {
        Some(id) => Language::from_id(&id),
        None if task_id.contains("HumanEval") => Language::Python,
        None => Language::PlainText,
    };
    let prompt = required(&fields, "prompt")?;
    let (answer, suffix, break_moved) =
        move_break(required(&fields, "canonical_solution")?, required(&fields, "suffix")?);
    if answer.trim().is_empty() && task_id.starts_with("RandomSpan") {
        return Ok(None);
    }
    if answer.trim().is_empty() {
        return Err("field canonical_solution is blank; there is nothing to compare with".to_owned());
    }
    let kind = optional(&fields, "kind")?;
    let shape = kind.as_deref().and_then(named_shape).unwrap_or_else(|| shape_of(&answer, &suffix));
    let kind = kind.unwrap_or_else(|| shape_name(shape).to_owned());
    let origin = origin(&fields);
    Ok(Some(Case { task_id, prompt, suffix, answer, break_moved, language, shape, kind, origin }))
}

fn origin(fields: &Map<String, Value>) -> String {
    let of = |name: &str| fields.get("origin").and_then(|origin| origin.get(name)).and_then(Value::as_str);
    ["package", "version", "path", "licence"]
        .iter()
        .filter_map(|name| of(name))
        .collect::<Vec<_>>()
        .join(" · ")
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
    fn published_files_are_read_as_they_are() {
        let human_eval = concat!(
            r#"{"task_id":"SingleLineInfilling/HumanEval/0/L0","entry_point":"f","prompt":"def f():\n","#,
            r#""suffix":"","canonical_solution":"    return 1\n","test":"def check(candidate): pass"}"#,
            "\n",
            r#"{"task_id":"MultiLineInfilling/HumanEval/0/L0_L1","entry_point":"f","prompt":"def f():\n","#,
            r#""suffix":"    return x\n","canonical_solution":"    x = 1\n    x += 1\n","test":""}"#,
            "\n",
            r#"{"task_id":"RandomSpanInfilling/HumanEval/0/1","entry_point":"f","prompt":"def f(","#,
            r#""suffix":"): pass","canonical_solution":" ","test":""}"#,
        );
        let cases = read_text(human_eval, None).unwrap();
        let kinds: Vec<_> = cases.iter().map(|case| (case.kind.as_str(), case.language)).collect();
        assert_eq!(
            kinds,
            [("line", Language::Python), ("lines", Language::Python)],
            "a blank span is no hole"
        );
        let santa_coder = concat!(
            r#"{"name":"HumanEval_0_f","language":"java","prompt":"int f() {\n","suffix":"}\n","#,
            r#""canonical_solution":"    return 1;\n","tests":"","stop_tokens":["\n"],"original":"doc"}"#,
        );
        let cases = read_text(&format!("{santa_coder}\n{santa_coder}"), None).unwrap();
        let names: Vec<_> = cases.iter().map(|case| (case.task_id.as_str(), case.language)).collect();
        assert_eq!(names, [("HumanEval_0_f#1", Language::Java), ("HumanEval_0_f#2", Language::Java)]);
    }

    #[test]
    fn the_origin_is_one_line() {
        let origin = r#","origin":{"package":"p","version":"1.0","path":"src/a.rs","licence":"MIT"}"#;
        assert_eq!(read_text(&line("1", "", origin), None).unwrap()[0].origin, "p · 1.0 · src/a.rs · MIT");
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

    /// What fixtures/infill/README.md promises of the scorecard's cases.
    #[test]
    fn the_committed_cases_are_as_many_and_as_different_as_promised() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/infill/cases");
        let mut seen = std::collections::HashSet::new();
        for (file, language, count) in [
            ("rust", Language::Rust, 240),
            ("python", Language::Python, 240),
            ("typescript", Language::TypeScript, 160),
        ] {
            let cases = read(&folder.join(format!("{file}.jsonl")), None).unwrap();
            assert_eq!(cases.len(), count);
            let of = |kind: &str| cases.iter().filter(|case| case.kind == kind).count();
            assert_eq!((of("line") * 5, of("span") * 10), (count * 2, count * 3), "{file}");
            assert!(of("lines") * 100 >= count * 18 && of("body") * 100 >= count * 11, "{file}");
            for case in cases {
                let line = case.prompt.rsplit('\n').next().unwrap_or_default().to_owned();
                let after = case.suffix.split('\n').next().unwrap_or_default().to_owned();
                assert!(seen.insert((line, case.answer.clone(), after)), "{} is there twice", case.task_id);
                assert!(seen.insert((case.task_id.clone(), String::new(), String::new())));
                assert_eq!((case.language, case.break_moved), (language, false), "{}", case.task_id);
                assert_eq!(case.origin.split(" · ").count(), 4, "{}: {}", case.task_id, case.origin);
                assert!(case.prompt.chars().count() <= 4000 && case.suffix.chars().count() <= 1500);
            }
        }
    }
}
