//! Regions of ghost text: what follows the cursor stays, whatever the candidate repeats of it.

use crate::{marked, with_cursor};
use Language::{C, Go, JavaScript, Json, PlainText, Python, Rust, TypeScript};
use RegionKind::{Body, Line, Lines, Span};
use lacuna_text::{
    Change, Edit, Language, Marker, PlanSettings, Reason, Region, RegionError, RegionKind, Rejected, plan,
    splice,
};
use proptest::prelude::*;

#[track_caller]
fn check(language: Language, text: &str, expected: &str, kind: RegionKind) {
    let (document, offset) = with_cursor(text, language);
    let region = Region::insertion(&document.snapshot(), offset).unwrap();
    assert_eq!(marked(&document.text().to_string(), &region.range), expected);
    assert_eq!(region.kind, kind, "{text}");
    let body = region.reason == Reason::Marker(Marker::EmptyBody);
    assert_eq!(body, kind == Body, "{text}");
    assert!(region.text(&document).trim().is_empty(), "{text}");
}

#[test]
fn blank_lines_ends_of_lines_and_middles() {
    check(Rust, "fn a() {\n    b();\n    ‸\n}\n", "fn a() {\n    b();\n    «»\n}\n", Lines);
    check(Rust, "fn a() {\n    b();\n‸    \n}\n", "fn a() {\n    b();\n    «»\n}\n", Lines);
    check(Python, "‸", "«»", Lines);
    check(Rust, "fn a() {\n    let x = ‸\n}\n", "fn a() {\n    let x = «»\n}\n", Line);
    check(Python, "x = ‸  \r\ny = 1\r\n", "x = «  »\r\ny = 1\r\n", Line);
    check(Rust, "fn a() {\n    let x = ‸1 + 2;\n}\n", "fn a() {\n    let x = «»1 + 2;\n}\n", Span);
    check(Rust, "fn a() {\n    foo(‸x, (y));\n}\n", "fn a() {\n    foo(«»x, (y));\n}\n", Span);
    check(Rust, "fn a() {\n    foo(‸);\n}\n", "fn a() {\n    foo(«»);\n}\n", Span);
    check(PlainText, "a ‸b\rc", "a «»b\rc", Span);
    check(Python, "print(\"hello ‸\")\n", "print(\"hello «»\")\n", Span);
}

#[test]
fn markers_are_not_replaced() {
    check(Rust, "fn a() {\n    to‸do!()\n}\n", "fn a() {\n    to«»do!()\n}\n", Span);
    check(Rust, "fn a() {\n    todo!()‸\n}\n", "fn a() {\n    todo!()«»\n}\n", Line);
    check(Python, "def a():\n    ‸pass\n", "def a():\n    «»pass\n", Span);
    check(PlainText, "one ‹t‸wo› three", "one ‹t«»wo› three", Span);
}

#[test]
fn empty_bodies_are_filled_whole() {
    check(Rust, "fn a() -> u8 {‸}\n", "fn a() -> u8 {«»}\n", Body);
    check(Rust, "fn a() {\n    ‸\n}\n", "fn a() {«\n    \n»}\n", Body);
    check(Rust, "fn a() {\n‸\n}\n", "fn a() {«\n\n»}\n", Body);
    check(JavaScript, "f((x) => { ‸ });\n", "f((x) => {«  »});\n", Body);
    check(Go, "package a\n\nfunc b() {\r\n\t‸\r\n}\r\n", "package a\n\nfunc b() {«\r\n\t\r\n»}\r\n", Body);
    // Several empty lines are more than one gap: only the cursor's is taken.
    check(Rust, "fn a() {\n\n    ‸\n\n}\n", "fn a() {\n\n    «»\n\n}\n", Lines);
    check(Rust, "fn a() {}‸\n", "fn a() {}«»\n", Line);
    check(Rust, "struct A {‸}\n", "struct A {«»}\n", Span);
}

#[test]
fn offsets_are_checked() {
    let (document, _) = with_cursor("é‸", PlainText);
    assert_eq!(Region::insertion(&document, 1), Err(RegionError::InsideCharacter { offset: 1 }));
    assert_eq!(Region::insertion(&document, 9), Err(RegionError::OutOfBounds { start: 9, end: 9, len: 2 }));
}

/// The text with the candidate in it, or why it is not.
fn filled(language: Language, text: &str, candidate: &str) -> (String, Result<Change, Rejected>) {
    let (mut document, offset) = with_cursor(text, language);
    let snapshot = document.snapshot();
    let region = Region::insertion(&snapshot, offset).unwrap();
    let settings =
        PlanSettings { prefix_tokens_max: 4096, suffix_tokens_max: 4096, ..PlanSettings::default() };
    let plan = plan(&snapshot, &region, &settings, &|text: &str| text.len()).unwrap();
    let spliced = splice(&snapshot, &plan, candidate).map(|spliced| spliced.change);
    if let Ok(change) = &spliced {
        document.apply(&Edit::single(change.clone())).unwrap();
    }
    (document.text().to_string(), spliced)
}

#[track_caller]
fn check_fill(language: Language, text: &str, candidate: &str, expected: &str) {
    let (found, spliced) = filled(language, text, candidate);
    assert_eq!(found, expected, "{candidate:?} in {text:?}: {spliced:?}");
}

#[test]
fn what_follows_the_cursor_is_not_repeated() {
    check_fill(Rust, "fn a() {\n    foo(‸);\n}\n", "a, b)", "fn a() {\n    foo(a, b);\n}\n");
    check_fill(Rust, "fn a() {\n    foo(‸);\n}\n", "a, b);", "fn a() {\n    foo(a, b);\n}\n");
    check_fill(Rust, "fn a() {\n    foo(‸);\n}\n", "b(c)", "fn a() {\n    foo(b(c));\n}\n");
    check_fill(PlainText, "foo(‸)", "a, b)", "foo(a, b)");
    check_fill(PlainText, "foo(‸)", "b(c)", "foo(b(c))");
    check_fill(Python, "foo(‸, c)\n", "a, b, c)", "foo(a, b, c)\n");
    check_fill(Python, "foo(a‸)\n", ", b=[c])", "foo(a, b=[c])\n");
    check_fill(TypeScript, "const a = ‸ + 1;\n", "b + 1;", "const a = b + 1;\n");
    check_fill(JavaScript, "const a = [‸].map(f);\n", "b, c].map(f);", "const a = [b, c].map(f);\n");
    check_fill(Json, "{\"a\": \"‸\"}\n", "b\"}", "{\"a\": \"b\"}\n");
    check_fill(
        C,
        "int a(int b‸) { return b; }\n",
        ", int c) { return b; }",
        "int a(int b, int c) { return b; }\n",
    );
    check_fill(
        Rust,
        "fn a() {\n    if ‸ {\n        b();\n    }\n}\n",
        "c > 1 {",
        "fn a() {\n    if c > 1 {\n        b();\n    }\n}\n",
    );
    check_fill(PlainText, "one ‸ three four", "two three four", "one two three four");
    check_fill(PlainText, "x = ‸ + 1", "b + 1", "x = b + 1");
}

#[test]
fn what_follows_on_the_next_lines_is_not_repeated() {
    check_fill(
        Python,
        "def a(b):\n    ‸\n    return total\n",
        "total = sum(b)\n    return total",
        "def a(b):\n    total = sum(b)\n    return total\n",
    );
    check_fill(Rust, "fn a() {\n    b();\n    ‸\n}\n", "c();\n}\n", "fn a() {\n    b();\n    c();\n}\n");
}

#[test]
fn an_empty_body_opens_properly() {
    let opened = "impl A {\n    fn a() -> u8 {\n        1\n    }\n}\n";
    for body in ["{‸}", "{ ‸ }", "{\n        ‸\n    }", "{\n‸\n    }"] {
        for candidate in ["1", "1\n    }", "\n        1\n    ", "        1"] {
            check_fill(Rust, &format!("impl A {{\n    fn a() -> u8 {body}\n}}\n"), candidate, opened);
        }
    }
    check_fill(Rust, "fn a() {‸}\r\n", "b();\nc();", "fn a() {\r\n    b();\r\n    c();\r\n}\r\n");
}

#[test]
fn in_an_open_body_the_change_stays_on_the_cursors_line() {
    for text in ["fn a() {\n    ‸\n}\n", "fn a() {\n‸\n}\n", "fn a() {\r\n    ‸  \r\n}\r\n"] {
        let (document, offset) = with_cursor(text, Rust);
        let (_, spliced) = filled(Rust, text, "b();\n    c();");
        let change = spliced.unwrap();
        let line = document.text().byte_to_line(offset);
        for at in [change.range.start, change.range.end] {
            assert_eq!(document.text().byte_to_line(at), line, "{change:?} in {text:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// A model that runs on into what follows the cursor gives the same text as one that stops in time.
    #[test]
    fn running_on_changes_nothing(
        language in prop::sample::select(vec![Rust, Python, JavaScript, PlainText]),
        before in "(a = |f\\(|\\[|f\\(b, |a\\.b\\()",
        middle in "(c|d\\(e\\)|f, g|\\[h\\]|x \\+ y)",
        after in "(\\)|\\);|, tail\\)|\\) \\+ rest|\\]|\\]\\[0\\];| \\+ longer)",
        more in "(\nnext line|\nlet z = 1;|)",
    ) {
        let text = format!("{before}‸{after}{more}\n");
        let (stopped, _) = filled(language, &text, &middle);
        prop_assume!(stopped.starts_with(&format!("{before}{middle}{after}")));
        let (ran_on, why) = filled(language, &text, &format!("{middle}{after}"));
        prop_assert_eq!(ran_on, stopped.clone(), "{:?}", why);
        let (ran_far, why) = filled(language, &text, &format!("{middle}{after}{more}"));
        prop_assert_eq!(ran_far, stopped, "{:?}", why);
    }
}
