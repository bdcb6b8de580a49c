//! Candidates to changes.

use crate::{with_cursor, with_range};
use lacuna_text::{Document, Edit, Language, PlanSettings, Region, Rejected, Spliced, plan, splice};
use proptest::prelude::*;

fn measure(text: &str) -> usize {
    text.len()
}

fn splice_at(text: &str, language: Language, candidate: &str) -> (Document, Result<Spliced, Rejected>) {
    let (document, region) = if text.contains('‸') {
        let (document, offset) = with_cursor(text, language);
        let region = Region::at(&document.snapshot(), offset).unwrap();
        (document, region)
    } else {
        let (document, range) = with_range(text, language);
        let region = Region::of_range(&document.snapshot(), range).unwrap();
        (document, region)
    };
    let snapshot = document.snapshot();
    let settings =
        PlanSettings { prefix_tokens_max: 4096, suffix_tokens_max: 4096, ..PlanSettings::default() };
    let plan = plan(&snapshot, &region, &settings, &measure).unwrap();
    let spliced = splice(&snapshot, &plan, candidate);
    (document, spliced)
}

fn check(language: Language, text: &str, candidate: &str, expected: &str) {
    let (mut document, spliced) = splice_at(text, language, candidate);
    let spliced = spliced.unwrap_or_else(|why| panic!("{candidate:?} in {text:?}: {why}"));
    document.apply(&Edit::single(spliced.change)).unwrap();
    let found = document.text().to_string();
    assert!(found == expected, "{candidate:?} became {:?}", &found[..found.len().min(400)]);
}

fn check_rejected(language: Language, text: &str, candidate: &str, expected: &Rejected) {
    assert_eq!(splice_at(text, language, candidate).1.as_ref(), Err(expected), "{candidate:?} in {text:?}");
}

#[test]
fn a_candidate_goes_in_as_it_is() {
    check(Language::Rust, "fn a() { let b = ‸; }\n", "1 + 2", "fn a() { let b = 1 + 2; }\n");
    check(
        Language::Rust,
        "fn a() {\n    to‸do!()\n}\n",
        "let b = 1;\n    b",
        "fn a() {\n    let b = 1;\n    b\n}\n",
    );
    check(Language::Python, "x = ‸\ny = 1\n", "2\nz", "x = 2\ny = 1\n");
    check(Language::Python, "x = a «»b\n", "and ", "x = a and b\n");
    check(Language::Python, "def a():\n«»    return b\n", "    b = 1", "def a():\n    b = 1\n    return b\n");
    check(Language::Python, "«a = 1\nb = 2\n»c = 3\n", "d = 4", "d = 4\nc = 3\n");
}

#[test]
fn what_follows_already_is_dropped() {
    check(Language::Rust, "fn a() {\n    b(‸);\n}\n", "c);", "fn a() {\n    b(c);\n}\n");
    check(Language::Rust, "fn a() {\n    b(‸);\n}\n", "c(d)", "fn a() {\n    b(c(d));\n}\n");
    check(Language::Rust, "fn a() {\n    b(c(‸);\n}\n", "d)", "fn a() {\n    b(c(d));\n}\n");
    check(Language::Rust, "fn a() {\n    let b = «c»;\n}\n", "d + 1;", "fn a() {\n    let b = d + 1;\n}\n");
    check(Language::Rust, "fn a() {\n    to‸do!()\n}\n", "b()\n}", "fn a() {\n    b()\n}\n");
    check(Language::Rust, "fn a() {‸}\n", "b()\n}\n", "fn a() {\n    b()\n}\n");
    check(
        Language::Python,
        "def a(b):\n    ‸\n    return total\n",
        "total = sum(b)\n    return total",
        "def a(b):\n    total = sum(b)\n    return total\n",
    );
    check(Language::PlainText, "f(‸)", "x)", "f(x)");
    check(Language::Json, "{\"a\": «1», \"b\": 2}\n", "[3],", "{\"a\": [3], \"b\": 2}\n");
}

#[test]
fn what_precedes_already_is_dropped() {
    check(
        Language::Rust,
        "fn a() {\n    let total = ‸\n}\n",
        "let total = 1;",
        "fn a() {\n    let total = 1;\n}\n",
    );
    check(Language::Python, "def a():\n    ‸\n", "    return 1", "def a():\n    return 1\n");
    check(Language::Python, "def a():\n    ‸...\n", "\n    return 1\n", "def a():\n    return 1\n");
}

#[test]
fn one_line_holes_take_one_line() {
    check(
        Language::Rust,
        "fn a() {\n    let b = ‸\n}\n",
        "1;\n    let c = 2;",
        "fn a() {\n    let b = 1;\n}\n",
    );
    check(Language::Rust, "fn a() { b(‸) }\n", "1,\n2", "fn a() { b(1,) }\n");
}

#[test]
fn line_ends_and_indentation_are_the_documents() {
    check(
        Language::Rust,
        "fn a() {\r\n    ‸todo!()\r\n}\r\n",
        "b();\n    c()",
        "fn a() {\r\n    b();\r\n    c()\r\n}\r\n",
    );
    check(
        Language::Python,
        "def a():\r    ‸...\r",
        "b = 1\n    return b",
        "def a():\r    b = 1\r    return b\r",
    );
    check(
        Language::Go,
        "package a\n\nfunc b() {\n\t‸\n\tc()\n}\n",
        "if d {\n        e()\n    }",
        "package a\n\nfunc b() {\n\tif d {\n\t\te()\n\t}\n\tc()\n}\n",
    );
    check(
        Language::Rust,
        "fn a() {\n    ‸todo!()\n}\n",
        "let b = 1;\nb",
        "fn a() {\n    let b = 1;\n    b\n}\n",
    );
    check(
        Language::Rust,
        "fn a() {\n    ‸todo!()\n}\n",
        "if b {\n        c()\n    }",
        "fn a() {\n    if b {\n        c()\n    }\n}\n",
    );
    check(
        Language::Rust,
        "impl A {\n    fn a() {‸}\n}\n",
        "b();\n        c()",
        "impl A {\n    fn a() {\n        b();\n        c()\n    }\n}\n",
    );
}

#[test]
fn changes_are_minimal() {
    let (_, spliced) = splice_at("fn a() { «foo(b, c)» }\n", Language::Rust, "foo(d, c)");
    let change = spliced.unwrap().change;
    assert_eq!((change.range, change.insert.as_str()), (13..14, "d"));
    let (_, spliced) = splice_at("x = «éa»\n", Language::Python, "éb");
    assert_eq!(spliced.unwrap().change.range, 6..7);
}

#[test]
fn rejected_with_a_reason() {
    check_rejected(Language::Rust, "fn a() { ‸\n}\n", " \n\t", &Rejected::Blank);
    check_rejected(Language::Rust, "fn a() { to‸do!() }\n", "todo!()", &Rejected::Unchanged);
    for again in ["ado!()", "(todo!())", "to", "do!();", "todo!(\"later\")"] {
        check_rejected(Language::Rust, "fn a() { to‸do!() }\n", again, &Rejected::Unchanged);
    }
    let raise = "def f():\n    raise Not‸ImplementedError\n";
    check_rejected(Language::Python, raise, "raise NotImplementedError(1)", &Rejected::Unchanged);
    check_rejected(Language::Python, raise, "raise", &Rejected::Unchanged);
    check(Language::Rust, "fn a() { to‸do!() }\n", "t", "fn a() { t }\n");
    check(Language::Rust, "fn a() { to‸do!() }\n", "todo()", "fn a() { todo() }\n");
    check_rejected(Language::Rust, "fn a() {\n    ‸\n    total + 1\n}\n", "total + 1", &Rejected::Repeats);
    check_rejected(Language::Python, "total = ‸\n", "total = ", &Rejected::Repeats);
    let (mut document, offset) = with_cursor("a ‸", Language::PlainText);
    let region = Region::at(&document.snapshot(), offset).unwrap();
    let plan = plan(&document.snapshot(), &region, &PlanSettings::default(), &measure).unwrap();
    document.apply(&Edit::insert(0, "b")).unwrap();
    let stale = Rejected::Stale { expected: 0, found: 1 };
    assert_eq!(splice(&document.snapshot(), &plan, "c"), Err(stale));
}

/// The first byte of a document is where tree-sitter overlooks what is inserted.
#[test]
fn syntax_counts_at_the_beginning_of_a_document_too() {
    for text in ["‸", "‸\n", "‸\n\nfn a() {}\n"] {
        for candidate in ["}", "fn a(", "let x = ;"] {
            check_syntax(Language::Rust, text, candidate);
        }
        let (_, spliced) = splice_at(text, Language::Rust, "fn b() {}");
        assert!(spliced.is_ok(), "{text:?}: {spliced:?}");
    }
    check_syntax(Language::Python, "‸\n", "def f(");
    let large = format!("‸\n\n{}", "fn a() {}\n\n".repeat(20_000));
    check_syntax(Language::Rust, &large, "}");
}

fn check_syntax(language: Language, text: &str, candidate: &str) {
    let (_, spliced) = splice_at(text, language, candidate);
    assert!(matches!(spliced, Err(Rejected::Syntax { before, after }) if after > before), "{spliced:?}");
}

#[test]
fn syntax_errors_are_not_added() {
    check_syntax(Language::Rust, "fn a() { to‸do!() }\n", "b(]");
    check_syntax(Language::Rust, "fn a() { let b = ‸; }\n", "+ *");
    check_syntax(Language::Python, "def a():\n    ‸...\n", "return (1");
    check_syntax(Language::Json, "{\"a\": «1»}\n", "{");
    check_syntax(Language::JavaScript, "f(‸);\n", "a b");
    check(Language::PlainText, "a ‸", "(]", "a (]");
}

#[test]
fn what_the_line_left_open_is_to_be_closed() {
    let text = "fn a() {\n    let b = c(‸\n}\n";
    check_syntax(Language::Rust, text, "1, 2");
    check(Language::Rust, text, "1, 2);", "fn a() {\n    let b = c(1, 2);\n}\n");
    check_syntax(Language::TypeScript, "if (a(‸\n  b();\n}\n", "c) {");
    check(Language::TypeScript, "if (a(‸\n  b();\n}\n", "c)) {", "if (a(c)) {\n  b();\n}\n");
    check(Language::Python, "def a(‸\n    return b\n", "b):", "def a(b):\n    return b\n");
    // What follows may close it too.
    check(Language::Python, "a = [‸\n    b,\n]\n", "c,", "a = [c,\n    b,\n]\n");
}

#[test]
fn a_document_broken_elsewhere_can_be_filled() {
    let broken = "fn z( {\n    let = ;\n}\n\nfn a() {\n    let b = ‸;\n}\n";
    check(Language::Rust, broken, "1", &broken.replace('‸', "1"));
    check_syntax(Language::Rust, broken, "+ *");
    check(
        Language::Rust,
        "fn a() {\n    if b {\n        c(‸\n",
        "1);",
        "fn a() {\n    if b {\n        c(1);\n",
    );
}

#[test]
fn a_large_document_is_judged_by_the_window_of_the_hole() {
    let one = "fn a() -> usize {\n    let left = 1;\n    left\n}\n\n";
    let many = one.repeat((300 << 10) / one.len());
    let text = format!("{many}fn b() {{ let c = ‸; }}\n\n{many}");
    check(Language::Rust, &text, "2", &text.replace('‸', "2"));
    check_syntax(Language::Rust, &text, "2 }");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever comes, only the region changes, and what is said of the result is true.
    #[test]
    fn nothing_outside_the_region_changes(
        language in prop::sample::select(vec![Language::Rust, Language::Python, Language::JavaScript, Language::PlainText]),
        text in "([a-b]{1,3}|[(){};:,=+ ]|\n    |\r\n|\t|\"|é|𝄞|‹›|todo!\\(\\)|pass|fn a\\(\\) ){0,16}",
        candidate in "([a-b]{1,3}|[(){};:,=+ ]|\n    |\r\n|\t|é|𝄞){0,8}",
        (at, length) in (any::<prop::sample::Index>(), 0_usize..4),
        select in any::<bool>(),
    ) {
        let document = Document::new(&text, language);
        let snapshot = document.snapshot();
        let boundaries: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let index = at.index(boundaries.len());
        let end = boundaries[(index + length).min(boundaries.len() - 1)];
        let region = if select { Region::of_range(&snapshot, boundaries[index]..end) } else { Region::at(&snapshot, boundaries[index]) };
        let region = region.unwrap();
        let settings = PlanSettings::default();
        let plan = plan(&snapshot, &region, &settings, &measure).unwrap();
        let Ok(spliced) = splice(&snapshot, &plan, &candidate) else { return Ok(()) };
        prop_assert!(spliced.errors_after <= spliced.errors_before);
        prop_assert!(region.range.start <= spliced.change.range.start && spliced.change.range.end <= region.range.end);
        prop_assert!(region.kind.is_multiline() || !spliced.text.contains('\n'));
        let mut after = document;
        after.apply(&Edit::single(spliced.change)).unwrap();
        let after = after.text().to_string();
        prop_assert!(after.starts_with(&text[..region.range.start]) && after.ends_with(&text[region.range.end..]));
        prop_assert_ne!(after, text);
    }
}
