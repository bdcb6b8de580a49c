//! Cursors and markers to regions.

use crate::{marked, with_cursor, with_range};
use RegionKind::{Body, Line, Lines, Span};
use lacuna_text::{Document, Language, Marker, Reason, Region, RegionError, RegionKind};

fn check_at(language: Language, text: &str, expected: &str, kind: RegionKind) {
    let (document, offset) = with_cursor(text, language);
    let region = Region::at(&document.snapshot(), offset).unwrap();
    assert_eq!(marked(&document.text().to_string(), &region.range), expected);
    assert_eq!(region.kind, kind, "{text}");
}

#[test]
fn inside_a_line_up_to_its_end() {
    check_at(
        Language::Rust,
        "fn a() {\n    let x = ‸1 + 2;\n}\n",
        "fn a() {\n    let x = «1 + 2;»\n}\n",
        Line,
    );
    check_at(Language::Python, "x = ‸\r\ny = 1\r\n", "x = «»\r\ny = 1\r\n", Line);
    check_at(Language::Rust, "fn a() {\n    let x = ‸;\n}\n", "fn a() {\n    let x = «»;\n}\n", Span);
    check_at(Language::Rust, "fn a() {\n    if ‸ {\n    }\n}\n", "fn a() {\n    if «» {\n    }\n}\n", Span);
    check_at(Language::PlainText, "a ‸b\rc", "a «b»\rc", Line);
    check_at(Language::Rust, "let a = b‸", "let a = b«»", Line);
}

#[test]
fn inside_brackets_up_to_what_closes_them() {
    check_at(Language::Rust, "fn a() {\n    foo(‸);\n}\n", "fn a() {\n    foo(«»);\n}\n", Span);
    check_at(Language::Rust, "fn a() {\n    foo(‸x, (y));\n}\n", "fn a() {\n    foo(«x, (y)»);\n}\n", Span);
    check_at(Language::Python, "x = [a for ‸ in b]\n", "x = [a for « in b»]\n", Span);
    check_at(Language::Rust, "fn a(x: &'a str, ‸) {}\n", "fn a(x: &'a str, «») {}\n", Span);
    check_at(Language::PlainText, "call(\")\", ‸)", "call(\")\", «»)", Span);
    check_at(Language::JavaScript, "f((x) => { ‸ });\n", "f((x) => {«  »});\n", Body);
    check_at(Language::JavaScript, "f((x) => { return ‸ });\n", "f((x) => { return «» });\n", Span);
    check_at(Language::Rust, "fn a() { foo(b) + ‸\n}\n", "fn a() { foo(b) + «»\n}\n", Line);
}

#[test]
fn inside_a_string_up_to_its_quote() {
    check_at(Language::Python, "print(\"hello ‸\")\n", "print(\"hello «»\")\n", Span);
    check_at(Language::Rust, "fn a() { b(\"x ‸ \\\" y\", 1) }\n", "fn a() { b(\"x « \\\" y»\", 1) }\n", Span);
    check_at(Language::Python, "print(f\"a {b‸} c\")\n", "print(f\"a {b«»} c\")\n", Span);
    check_at(Language::JavaScript, "f(`a ${b(‸c)} d`);\n", "f(`a ${b(«c)»} d`);\n", Span);
    check_at(Language::PlainText, "say \"a ‸ b\" end", "say \"a « b»\" end", Span);
}

#[test]
fn an_empty_line_is_its_rest() {
    check_at(Language::Rust, "fn a() {\n    b();\n    ‸\n}\n", "fn a() {\n    b();\n    «»\n}\n", Lines);
    check_at(Language::Rust, "fn a() {\n    b();\n‸    \n}\n", "fn a() {\n    b();\n    «»\n}\n", Lines);
    check_at(Language::Python, "‸", "«»", Lines);
    check_at(Language::Python, "x = 1\r\n‸\r\ny = 2\r\n", "x = 1\r\n«»\r\ny = 2\r\n", Lines);
}

#[test]
fn on_a_marker_the_marker() {
    check_at(Language::Rust, "fn a() {\n    to‸do!()\n}\n", "fn a() {\n    «todo!()»\n}\n", Body);
    check_at(Language::Rust, "fn a() {\n    todo!();‸\n}\n", "fn a() {\n    «todo!();»\n}\n", Body);
    check_at(Language::Rust, "fn a() { let b = ‸todo!(); }\n", "fn a() { let b = «todo!()»; }\n", Span);
    check_at(Language::Rust, "fn a() -> u8 {‸}\n", "fn a() -> u8 {«»}\n", Body);
    check_at(Language::Rust, "fn a() {\n‸\n}\n", "fn a() {«\n\n»}\n", Body);
    check_at(Language::Python, "def a():\n    pass‸\n", "def a():\n    «pass»\n", Body);
    check_at(Language::Python, "def a():\n    ‸...\n", "def a():\n    «...»\n", Body);
    check_at(Language::PlainText, "one ‹t‸wo› three", "one «‹two›» three", Span);
}

#[test]
fn offsets_are_checked() {
    let document = Document::new("é", Language::PlainText).snapshot();
    assert_eq!(Region::at(&document, 1), Err(RegionError::InsideCharacter { offset: 1 }));
    assert_eq!(Region::at(&document, 3), Err(RegionError::OutOfBounds { start: 3, end: 3, len: 2 }));
    let reversed = std::ops::Range { start: 2, end: 0 };
    assert_eq!(
        Region::of_range(&document, reversed),
        Err(RegionError::OutOfBounds { start: 2, end: 0, len: 2 })
    );
}

fn check_range(text: &str, kind: RegionKind) {
    let (document, range) = with_range(text, Language::Rust);
    let region = Region::of_range(&document.snapshot(), range.clone()).unwrap();
    assert_eq!(region, Region { range, kind, reason: Reason::Selection }, "{text}");
}

#[test]
fn a_range_by_its_shape() {
    check_range("let a = «b + c»;", Span);
    check_range("let a = «b + c;»\n", Line);
    check_range("let a = b;\n«»let c = d;\n", Lines);
    check_range("let a = «»b;\n", Span);
    check_range("    «let a = b;»\nlet c = d;", Lines);
    check_range("«    let a = b;\n»", Lines);
    check_range("let «a = b;\nlet» c = d;", Lines);
}

/// Every marker in order, each with its kind; or only the texts.
fn check_markers(language: Language, text: &str, expected: &[(&str, Marker, RegionKind)]) {
    let document = Document::new(text, language).snapshot();
    let found: Vec<(String, Reason, RegionKind)> = Region::find_markers(&document)
        .iter()
        .map(|region| (region.text(&document), region.reason, region.kind))
        .collect();
    let expected: Vec<(String, Reason, RegionKind)> = expected
        .iter()
        .map(|(text, marker, kind)| ((*text).to_owned(), Reason::Marker(*marker), *kind))
        .collect();
    assert_eq!(found, expected, "{text}");
}

#[test]
fn rust_markers() {
    check_markers(
        Language::Rust,
        "fn a() {\n    todo!(\"why\")\n}\nfn b() { unimplemented!() }\nfn c() {}\nstruct D {}\nimpl D {}\n\
         fn e() { let x = todo!(); }\nfn f() {\n    a();\n    todo!();\n}\n// todo!()\nconst G: &str = \"todo!()\";\n",
        &[
            ("todo!(\"why\")", Marker::Todo, Body),
            ("unimplemented!()", Marker::Unimplemented, Span),
            ("", Marker::EmptyBody, Body),
            ("todo!()", Marker::Todo, Span),
            ("todo!();", Marker::Todo, Lines),
        ],
    );
}

#[test]
fn python_markers() {
    check_markers(
        Language::Python,
        "def a():\n    ...\n\nx = y[..., 1]\nz: tuple[int, ...] = ...\n\nclass B:\n    pass\n\ndef c():\n    x = 1\n    pass\n\n\
         def d(): pass\n\ndef e():\n    raise NotImplementedError(\"later\")\n\ns = '...'\n# pass ...\n\
         def f():\n    \"\"\"Says.\"\"\"\n    ...\n",
        &[
            ("...", Marker::Ellipsis, Body),
            ("pass", Marker::Pass, Body),
            ("pass", Marker::Pass, Line),
            ("raise NotImplementedError(\"later\")", Marker::NotImplemented, Body),
            ("...", Marker::Ellipsis, Lines),
        ],
    );
}

#[test]
fn empty_bodies_of_functions() {
    let body = |text: &'static str| (text, Marker::EmptyBody, Body);
    check_markers(
        Language::TypeScript,
        "const a = (...b: any[]) => {};\nif (c) {}\nf({...d});\n",
        &[body("")],
    );
    check_markers(Language::JavaScript, "class A { b() {\n} }\nfunction c() { /* d */ }\n", &[body("\n")]);
    check_markers(Language::Go, "package a\n\nfunc B() {\n}\n\ntype C struct{}\n", &[body("\n")]);
    check_markers(Language::C, "int a(void) {}\nint b[] = {};\n", &[body("")]);
    check_markers(Language::Cpp, "void a() { }\nstruct B {};\n", &[body(" ")]);
    check_markers(Language::Java, "class A { A() {} void b() {} }\n", &[body(""), body("")]);
    check_markers(Language::Bash, "a() { b; }\n", &[]);
}

#[test]
fn angles_count_everywhere() {
    let span = |text: &'static str| (text, Marker::Angle, Span);
    check_markers(Language::PlainText, "a ‹› b ‹c d› ‹e\n› ›", &[span("‹›"), span("‹c d›")]);
    check_markers(Language::Rust, "// ‹why›, that\n", &[span("‹why›")]);
    check_markers(Language::Rust, "fn a() {\n    ‹the sum›\n}\n", &[("‹the sum›", Marker::Angle, Body)]);
    check_markers(Language::Json, "{\"a\": \"‹›\"}\n", &[span("‹›")]);
    check_markers(Language::Python, "x = ‹›\n", &[("‹›", Marker::Angle, Line)]);
}

#[test]
fn the_surest_marker_is_the_hole() {
    let document = Document::new("fn a() {}\nfn b() { todo!() }\nfn c() { ‹› }\n", Language::Rust).snapshot();
    assert_eq!(Region::find_hole(&document).unwrap().text(&document), "‹›");
    let document = Document::new("fn a() {}\nfn b() { todo!() }\n", Language::Rust).snapshot();
    assert_eq!(Region::find_hole(&document).unwrap().text(&document), "todo!()");
    assert_eq!(Region::find_hole(&Document::new("fn a() { b() }\n", Language::Rust).snapshot()), None);
}

#[test]
fn markers_of_a_large_text_are_found_in_pieces() {
    let one = "fn a() -> usize {\n    let left = 1;\n    todo!()\n}\n\n// todo!() is no marker here\n\n";
    let text = one.repeat((400 << 10) / one.len());
    let document = Document::new(&text, Language::Rust).snapshot();
    let found = Region::find_markers(&document);
    assert_eq!(found.len(), text.matches("    todo!()").count());
    assert!(found.iter().all(|region| region.text(&document) == "todo!()" && region.kind == Lines));
}

/// In a text too large for one tree: the same markers as a search of all of it finds, for less.
#[test]
fn markers_of_a_range_are_those_of_all_that_lie_in_it() {
    let item = |n: usize| {
        let filler = "    let value = compute(first, second);\n".repeat(20);
        format!("fn f{n}() {{\n    todo!();\n{filler}    g(‹x›);\n}}\n\n")
    };
    let text: String = (0..200).map(item).collect();
    let document = Document::new(&text, Language::Rust);
    assert!(text.len() > 150_000, "{}", text.len());
    let all = Region::find_markers(&document);
    assert_eq!(all.len(), 400);
    for range in [0..text.len(), 0..0, 40_000..40_900, 33_000..99_000, text.len() - 900..text.len()] {
        let inside = |region: &&Region| range.start <= region.range.start && region.range.end <= range.end;
        let expected: Vec<Region> = all.iter().filter(inside).cloned().collect();
        assert_eq!(Region::find_markers_in(&document, &range), expected, "{range:?}");
    }
}
