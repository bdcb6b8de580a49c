//! What a plan shows under a budget.

use crate::{with_cursor, with_range};
use lacuna_text::{Document, Language, Plan, PlanError, PlanSettings, Region, plan};

/// A token is a word or a line break.
fn words(text: &str) -> usize {
    text.split([' ', '\n']).filter(|word| !word.is_empty()).count() + text.matches('\n').count()
}

fn settings(prefix: usize, suffix: usize) -> PlanSettings {
    PlanSettings { prefix_tokens_max: prefix, suffix_tokens_max: suffix, ..PlanSettings::default() }
}

fn planned(text: &str, language: Language, settings: &PlanSettings) -> Plan {
    let (document, offset) = with_cursor(text, language);
    let snapshot = document.snapshot();
    plan(&snapshot, &Region::at(&snapshot, offset).unwrap(), settings, &words).unwrap()
}

fn check(text: &str, language: Language, expected: (&str, &str, &str), indent: &str) {
    let plan = planned(text, language, &PlanSettings::default());
    assert_eq!((plan.prefix.as_str(), plan.hole.as_str(), plan.suffix.as_str()), expected);
    assert_eq!(plan.indent, indent);
}

#[test]
fn a_small_file_is_seen_whole() {
    check("a = 1\nb = ‸2\nc = 3\n", Language::Python, ("a = 1\nb = ", "2", "\nc = 3\n"), "");
    check("fn a() {\n    to‸do!()\n}\n", Language::Rust, ("fn a() {\n    ", "todo!()", "\n}\n"), "    ");
    check("x(‸)", Language::Python, ("x(", "", ")"), "");
}

#[test]
fn line_breaks_are_line_feeds() {
    check("a = 1\r\nb = ‸\r\nc = 3\r\n", Language::Python, ("a = 1\nb = ", "", "\nc = 3\n"), "");
    check("a\rb ‸\rc", Language::PlainText, ("a\nb ", "", "\nc"), "");
}

#[test]
fn an_empty_body_is_opened() {
    let plan = planned("impl A {\n  fn a() {‸}\n}\n", Language::Rust, &PlanSettings::default());
    assert_eq!((plan.prefix.as_str(), plan.suffix.as_str()), ("impl A {\n  fn a() {\n    ", "\n  }\n}\n"));
    assert_eq!((plan.lead.as_str(), plan.tail.as_str(), plan.hole.as_str()), ("\n    ", "\n  ", ""));
    let plan = planned("\tfn a() {\n‸\n\t}\n", Language::Rust, &PlanSettings::default());
    assert_eq!((plan.prefix.as_str(), plan.suffix.as_str()), ("\tfn a() {\n\t\t", "\n\t}\n"));
}

/// Lines `line 0`, `line 1`, … with the cursor at the end of line `at`.
fn numbered(lines: usize, at: usize) -> String {
    (0..lines).map(|n| format!("line {n}{}\n", if n == at { " ‸" } else { "" })).collect()
}

#[test]
fn budgets_hold_and_cut_at_lines() {
    let plan = planned(&numbered(400, 200), Language::PlainText, &settings(60, 9));
    assert!(plan.prefix.starts_with("line 18"), "{}", plan.prefix);
    assert!(words(&plan.prefix) <= 60 && words(&plan.prefix) > 30);
    assert_eq!(plan.suffix, "\nline 201\nline 202\n");
    let plan = planned(&numbered(400, 200), Language::PlainText, &settings(0, 0));
    assert_eq!((plan.prefix.as_str(), plan.suffix.as_str()), ("", ""));
}

#[test]
fn the_start_of_the_window_moves_in_big_steps() {
    let starts: Vec<usize> = (0..2000)
        .map(|at| planned(&numbered(2000, at), Language::PlainText, &settings(1000, 0)).window.start)
        .collect();
    let jumps = starts.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(starts.is_sorted(), "typing on never moves the window back");
    assert!(jumps > 20 && jumps < 2000 / 16, "{jumps} jumps");
}

#[test]
fn one_endless_line_costs_and_shows_no_more() {
    let text = format!("{}‸{}", "a b, ".repeat(200_000), "c d; ".repeat(200_000));
    let plan = planned(&text, Language::Json, &settings(100, 20));
    assert!((50..=101).contains(&words(&plan.prefix)), "{}", words(&plan.prefix));
    assert!((10..=20).contains(&words(&plan.suffix)), "{}", words(&plan.suffix));
    let wide = format!("{}‸{}", "𝄞".repeat(4000), "é".repeat(4000));
    let plan = planned(&wide, Language::PlainText, &PlanSettings::default());
    assert!(!plan.prefix.is_empty() && !plan.suffix.is_empty());
}

#[test]
fn far_context_is_the_head_of_the_file() {
    let settings = PlanSettings { context_tokens_max: 10, ..settings(60, 0) };
    let plan = planned(&numbered(400, 200), Language::PlainText, &settings);
    assert_eq!(plan.context, "line 0\nline 1\nline 2\n");
    let plan = planned(&numbered(4, 2), Language::PlainText, &settings);
    assert_eq!(plan.context, "", "what the prefix shows is not shown twice");
}

#[test]
fn regions_that_cannot_be_planned() {
    let (document, range) = with_range("a «b c d e» f", Language::PlainText);
    let snapshot = document.snapshot();
    let region = Region::of_range(&snapshot, range).unwrap();
    let tight = PlanSettings { hole_tokens_max: 3, ..PlanSettings::default() };
    assert_eq!(plan(&snapshot, &region, &tight, &words), Err(PlanError::HoleTooLarge { bytes: 7, max: 3 }));
    let other = Document::new("é", Language::PlainText).snapshot();
    let error = plan(&other, &region, &tight, &words);
    assert_eq!(error, Err(PlanError::OutOfBounds { start: 2, end: 9, len: 2 }));
    let cut = Region { range: 1..1, ..region };
    assert_eq!(plan(&other, &cut, &tight, &words), Err(PlanError::InsideCharacter { offset: 1 }));
}

#[test]
fn plans_are_plain_data() {
    let plan = planned("fn a() {‸}", Language::Rust, &PlanSettings::default());
    let json = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
}
