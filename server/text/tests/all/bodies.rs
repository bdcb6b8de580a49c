//! Cursors to what completes the body around them.

use crate::{marked, with_cursor};
use Language::{C, Go, Java, JavaScript, Lua, PlainText, Python, Rust, TypeScript};
use RegionKind::{Body, Lines};
use lacuna_text::{Document, Edit, Language, Marker, PlanSettings, Reason, Region, RegionKind, plan, splice};
use proptest::prelude::*;

#[track_caller]
fn check(language: Language, text: &str, expected: &str, kind: RegionKind, reason: Reason) {
    let (document, offset) = with_cursor(text, language);
    let region = Region::body(&document.snapshot(), offset).unwrap_or_else(|| panic!("nothing for {text}"));
    assert_eq!(marked(&document.text().to_string(), &region.range), expected);
    assert_eq!((region.kind, region.reason), (kind, reason), "{text}");
}

#[track_caller]
fn check_none(language: Language, text: &str) {
    let (document, offset) = with_cursor(text, language);
    assert_eq!(Region::body(&document.snapshot(), offset), None, "{text}");
}

const EMPTY: Reason = Reason::Marker(Marker::EmptyBody);

#[test]
fn an_unwritten_body_as_a_whole() {
    check(Rust, "fn a() -> u8 {‸}\n", "fn a() -> u8 {«»}\n", Body, EMPTY);
    check(Rust, "fn ‸a() -> u8 {\n}\n", "fn a() -> u8 {«\n»}\n", Body, EMPTY);
    check(
        Rust,
        "fn a() {\n    to‸do!()\n}\n",
        "fn a() {\n    «todo!()»\n}\n",
        Body,
        Reason::Marker(Marker::Todo),
    );
    check(Rust, "fn ‸a() { todo!() }\n", "fn a() {« todo!() »}\n", Body, EMPTY);
    check(
        Rust,
        "fn a() {\n    // Adds.‸\n    todo!();\n}\n",
        "fn a() {\n    // Adds.\n    «todo!();»\n}\n",
        Lines,
        Reason::Marker(Marker::Todo),
    );
    check(
        Rust,
        "fn a() {\n    ‹the ‸sum›\n}\n",
        "fn a() {\n    «‹the sum›»\n}\n",
        Body,
        Reason::Marker(Marker::Angle),
    );
    check(Python, "def a‸():\n    pass\n", "def a():\n    «pass»\n", Body, Reason::Marker(Marker::Pass));
    check(Python, "def a(): ‸...\n", "def a(): «...»\n", Body, Reason::Marker(Marker::Ellipsis));
    check(
        Python,
        "def a():\n    \"\"\"Says.\"\"\"‸\n    ...\n",
        "def a():\n    \"\"\"Says.\"\"\"\n    «...»\n",
        Lines,
        Reason::Marker(Marker::Ellipsis),
    );
    check(JavaScript, "f((x) => { ‸ });\n", "f((x) => {«  »});\n", Body, EMPTY);
    check(Lua, "function a()‸ end\n", "function a()« »end\n", Body, EMPTY);
}

#[test]
fn the_rest_of_a_body() {
    let rest = Reason::RestOfBody;
    check(Rust, "fn a() {\n    b();\n    ‸\n}\n", "fn a() {\n    b();\n    «»\n}\n", Lines, rest);
    check(
        Rust,
        "fn a() {\n    b();\n    ‸\n    c();\n\n    d()\n}\nfn e() {}\n",
        "fn a() {\n    b();\n    «\n    c();\n\n    d()»\n}\nfn e() {}\n",
        Lines,
        rest,
    );
    check(
        Rust,
        "fn a() {\n    let b = ‸c();\n    d\n}\n",
        "fn a() {\n    let b = «c();\n    d»\n}\n",
        Lines,
        rest,
    );
    check(Rust, "fn a() {\n    b();\n    c();‸\n}\n", "fn a() {\n    b();\n    c();«»\n}\n", Lines, rest);
    check(Rust, "fn a() { b(); ‸c() }\n", "fn a() { b(); «c()» }\n", Lines, rest);
    check(Rust, "fn a() { b(); ‸}\n", "fn a() { b(); «»}\n", Lines, rest);
    check(Rust, "fn a() {\n    b();\n  ‸}\n", "fn a() {\n    b();«»\n  }\n", Lines, rest);
    check(Rust, "fn a() {‸\n    b();\n}\n", "fn a() {\n    «b();»\n}\n", Body, rest);
    check(
        Rust,
        "fn a() {\n    if b {\n        ‸\n    }\n    c()\n}\n",
        "fn a() {\n    if b {\n        «\n    }\n    c()»\n}\n",
        Lines,
        rest,
    );
    check(
        TypeScript,
        "class A {\n  b() {\n    c();\n    ‸\n  }\n}\n",
        "class A {\n  b() {\n    c();\n    «»\n  }\n}\n",
        Lines,
        rest,
    );
    check(
        Go,
        "package a\n\nfunc b() {\n\tc()\n\t‸\n}\n",
        "package a\n\nfunc b() {\n\tc()\n\t«»\n}\n",
        Lines,
        rest,
    );
    check(
        C,
        "int a(void) {\n  int b = 1;\n  ‸\n  return b;\n}\n",
        "int a(void) {\n  int b = 1;\n  «\n  return b;»\n}\n",
        Lines,
        rest,
    );
    check(Java, "class A { void b() { c(); ‸ } }\n", "class A { void b() { c(); «» } }\n", Lines, rest);
    check(Lua, "function a()\n  b()\n  ‸\nend\n", "function a()\n  b()\n  «»\nend\n", Lines, rest);
    check(
        Rust,
        "fn a() {\r\n    b();\r\n    ‸\r\n}\r\n",
        "fn a() {\r\n    b();\r\n    «»\r\n}\r\n",
        Lines,
        rest,
    );
}

#[test]
fn bodies_by_indentation() {
    let rest = Reason::RestOfBody;
    check(
        Python,
        "def a():\n    b = 1\n    ‸\n\nc = 2\n",
        "def a():\n    b = 1\n    «»\n\nc = 2\n",
        Lines,
        rest,
    );
    check(Python, "def a():\n    b = 1\n    ‸", "def a():\n    b = 1\n    «»", Lines, rest);
    check(
        Python,
        "def a():\n    b = 1\n    ‸\n    return b\n",
        "def a():\n    b = 1\n    «\n    return b»\n",
        Lines,
        rest,
    );
    check(
        Python,
        "def a():\n    def b():\n        c()\n    ‸\n    d()\n",
        "def a():\n    def b():\n        c()\n    «\n    d()»\n",
        Lines,
        rest,
    );
    check(
        Python,
        "def a():\n    def b():\n        c()\n        ‸\n    d()\n",
        "def a():\n    def b():\n        c()\n        «»\n    d()\n",
        Lines,
        rest,
    );
    check(Python, "def a():\n    b = ‸1\n    c\n", "def a():\n    b = «1\n    c»\n", Lines, rest);
    check_none(Python, "def a():\n    b = 1\n\n‸\n");
    check_none(Python, "def a():\n    b = 1\n\n‸\nc = 2\n");
    check_none(Python, "class A:\n    b = 1\n    ‸\n");
}

#[test]
fn bodies_that_only_a_colon_opens() {
    let rest = Reason::RestOfBody;
    check(Python, "def a():\n    ‸\n\nb = 1\n", "def a():\n    «»\n\nb = 1\n", Body, rest);
    check(Python, "def a():‸\n", "def a():«»\n", Body, rest);
    check(
        Python,
        "class B:\n    def a(self):\n        ‸\n\n    def c(self):\n        pass\n",
        "class B:\n    def a(self):\n        «»\n\n    def c(self):\n        pass\n",
        Body,
        rest,
    );
    check_fill(Python, "def a():‸\n", "\n    return 1\n", "def a():\n    return 1\n");
    check_fill(Python, "def a():\n    ‸\n", "return 1\n", "def a():\n    return 1\n");
}

#[test]
fn nested_functions_and_none() {
    check(
        JavaScript,
        "function a() {\n  b(() => {\n    c();‸\n  });\n}\n",
        "function a() {\n  b(() => {\n    c();«»\n  });\n}\n",
        Lines,
        Reason::RestOfBody,
    );
    check(
        JavaScript,
        "function a() {\n  b((c) => c‸ + 1);\n  d();\n}\n",
        "function a() {\n  b((c) => c« + 1);\n  d();»\n}\n",
        Lines,
        Reason::RestOfBody,
    );
    check_none(Rust, "fn ‸a() {\n    b();\n}\n");
    check_none(Rust, "fn a() {\n    b();\n}\n‸\n");
    check_none(Rust, "fn a() {\n    b();\n}‸\n");
    check_none(Rust, "struct A {\n    ‸\n}\n");
    check_none(PlainText, "fn a() {\n    ‸\n}\n");
    let (document, _) = with_cursor("é‸", Rust);
    assert_eq!((Region::body(&document, 1), Region::body(&document, 9)), (None, None));
}

#[track_caller]
fn check_fill(language: Language, text: &str, candidate: &str, expected: &str) {
    let (mut document, offset) = with_cursor(text, language);
    let snapshot = document.snapshot();
    let region = Region::body(&snapshot, offset).unwrap();
    let plan = plan(&snapshot, &region, &PlanSettings::default(), &|text: &str| text.len() / 3).unwrap();
    let spliced = splice(&snapshot, &plan, candidate).unwrap_or_else(|why| panic!("{why}"));
    document.apply(&Edit::single(spliced.change)).unwrap();
    assert_eq!(document.text().to_string(), expected);
}

#[test]
fn what_fills_them_fits() {
    check_fill(Rust, "fn a() { todo!(‸) }\n", "b()", "fn a() {\n    b()\n}\n");
    check_fill(
        Rust,
        "fn a() {\n    b();\n    ‸\n    c()\n}\n",
        "d();\n    e()\n}\n",
        "fn a() {\n    b();\n    d();\n    e()\n}\n",
    );
    check_fill(Rust, "fn a() {\n    b();‸\n    c()\n}\n", "\n    d()", "fn a() {\n    b();\n    d()\n}\n");
    check_fill(Python, "def a():\n    b = 1\n    ‸\n", "return b", "def a():\n    b = 1\n    return b\n");
    check_fill(Lua, "function a()‸ end\n", "return 1", "function a()\n  return 1\nend\n");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever the text, what is found is inside it, can be planned and holds what it is for.
    #[test]
    fn regions_of_any_text_can_be_planned(
        language in prop::sample::select(Language::ALL.to_vec()),
        text in "([a-b]{1,3}|[(){};:,=+ ]|\n    |\r\n|\r|\t|\"|'|#|é|𝄞|‹›|todo!\\(\\)|pass|fn a\\(\\) \\{|def a\\(\\):\n|function a\\(\\) |end|import |/){0,24}",
        (at, length) in (any::<prop::sample::Index>(), 0_usize..6),
    ) {
        let snapshot = Document::new(&text, language).snapshot();
        let boundaries: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let index = at.index(boundaries.len());
        let range = boundaries[index]..boundaries[(index + length).min(boundaries.len() - 1)];
        let repair = Region::repair(&snapshot, range.clone());
        if let Some(repair) = &repair {
            let named = text[range.clone()].trim();
            prop_assert!(repair.text(&snapshot).contains(named), "{repair:?} lacks {named:?}");
            prop_assert!(!repair.text(&snapshot).is_empty());
        }
        let insertion = Region::insertion(&snapshot, range.start).unwrap();
        prop_assert!(insertion.text(&snapshot).trim().is_empty());
        for region in [Some(insertion), repair, Region::body(&snapshot, range.start)].into_iter().flatten() {
            plan(&snapshot, &region, &PlanSettings::default(), &|text: &str| text.len()).unwrap();
        }
        let before_word = text[range.start..].starts_with(|c: char| c.is_alphanumeric());
        prop_assert!(!before_word || lacuna_text::quiet(&snapshot, range.start).is_some());
    }
}
