//! Diagnostics to the regions that are written anew for them.

use crate::{marked, with_range};
use Language::{C, Go, Java, Json, Lua, PlainText, Python, Rust, TypeScript};
use RegionKind::{Line, Lines, Span};
use lacuna_text::{Document, Language, Reason, Region, RegionKind};

/// The region for the range between `«` and `»`, marked the same way.
#[track_caller]
fn check(language: Language, text: &str, expected: &str, kind: RegionKind) {
    let (document, range) = with_range(text, language);
    let region = Region::repair(&document.snapshot(), range).unwrap_or_else(|| panic!("nothing for {text}"));
    assert_eq!(marked(&document.text().to_string(), &region.range), expected);
    assert_eq!((region.kind, region.reason), (kind, Reason::Diagnostic), "{text}");
}

#[track_caller]
fn check_none(language: Language, text: &str) {
    let (document, range) = with_range(text, language);
    let found = Region::repair(&document.snapshot(), range);
    assert!(found.is_none(), "{:?} for {text}", found.map(|region| region.text(&document)));
}

#[test]
fn an_expression_as_a_whole() {
    check(Rust, "fn a() { let b = «c»; }\n", "fn a() { let b = «c»; }\n", Span);
    check(Rust, "fn a() { b(«c», d); }\n", "fn a() { b(«c», d); }\n", Span);
    check(Rust, "fn a() { let b = «c»(d); }\n", "fn a() { let b = «c(d)»; }\n", Span);
    check(Rust, "fn a() { let b = c.«d»(e) + 1; }\n", "fn a() { let b = «c.d(e)» + 1; }\n", Span);
    check(Rust, "fn a() { if «b» == 1 { c(); } }\n", "fn a() { if «b» == 1 { c(); } }\n", Span);
    check(Rust, "fn a() { b(c::«D»::new(), e) }\n", "fn a() { b(«c::D::new()», e) }\n", Span);
    check(Rust, "fn a() { let b = vec![«c».d]; }\n", "fn a() { let b = «vec![c.d]»; }\n", Span);
    check(Python, "b = [c.«d», e]\n", "b = [«c.d», e]\n", Span);
    check(Python, "b = c(d=«e», f=1)\n", "b = c(d=«e», f=1)\n", Span);
    check(TypeScript, "const b: number = «\"c\"»;\n", "const b: number = «\"c\"»;\n", Span);
    check(TypeScript, "const b = { c: «d», e };\n", "const b = { c: «d», e };\n", Span);
    check(Json, "{\"a\": «1», \"b\": 2}\n", "{\"a\": «1», \"b\": 2}\n", Span);
}

#[test]
fn a_statement_parameter_or_field() {
    check(Rust, "fn a() {\n    «b».c();\n    d();\n}\n", "fn a() {\n    «b.c();»\n    d();\n}\n", Lines);
    check(Rust, "fn a() {\n    let «b»: u8 = c;\n}\n", "fn a() {\n    «let b: u8 = c;»\n}\n", Lines);
    check(Rust, "fn a(b: «C», d: u8) {}\n", "fn a(«b: C», d: u8) {}\n", Span);
    check(Rust, "struct A {\n    b: «C»,\n}\n", "struct A {\n    «b: C»,\n}\n", Span);
    check(Rust, "use a::«b»;\n", "use «a::b»;\n", Span);
    check(Rust, "fn a() -> «B» { c() }\n", "fn a() -> «B» { c() }\n", Span);
    check(Python, "def a():\n    return «b»\n", "def a():\n    «return b»\n", Lines);
    check(Python, "import «os»\n", "«import os»\n", Lines);
    check(
        Go,
        "package a\n\nfunc b() {\n\t«c» := d()\n}\n",
        "package a\n\nfunc b() {\n\t«c := d()»\n}\n",
        Lines,
    );
    check(
        Go,
        "package a\n\nfunc b() {\n\tc := «d»()\n}\n",
        "package a\n\nfunc b() {\n\tc := «d()»\n}\n",
        Line,
    );
    check(C, "int a(void) {\n  return «b»;\n}\n", "int a(void) {\n  «return b;»\n}\n", Lines);
    check(Java, "class A { int «b» = 1; }\n", "class A { «int b = 1;» }\n", Span);
    check(Lua, "function a()\n  «b»(c)\nend\n", "function a()\n  «b(c)»\nend\n", Lines);
    check(TypeScript, "interface A {\n  b: «C»;\n}\n", "interface A {\n  «b: C»;\n}\n", Span);
}

#[test]
fn broken_syntax_takes_the_statement() {
    check(
        Rust,
        "fn a() {\n    let b = c(«»;\n    d();\n}\n",
        "fn a() {\n    «let b = c(;»\n    d();\n}\n",
        Lines,
    );
    check(Rust, "fn a() {\n    let b = 1«»\n}\n", "fn a() {\n    «let b = 1»\n}\n", Lines);
    check(Rust, "fn a() {\n    let «=» 1;\n    d();\n}\n", "fn a() {\n    «let = 1;»\n    d();\n}\n", Lines);
    check(Python, "a = 1\nb = (2 +«»\nc = 3\n", "a = 1\n«b = (2 +»\nc = 3\n", Lines);
    check(TypeScript, "f();\nconst b = «;»\ng();\n", "f();\n«const b = ;»\ng();\n", Lines);
    check(
        Rust,
        "fn a() {\n    if b {\n        c(«»;\n    }\n}\n",
        "fn a() {\n    if b {\n        «c(;»\n    }\n}\n",
        Lines,
    );
}

#[test]
fn several_statements_and_blanks() {
    check(
        Rust,
        "fn a() {\n    b(«c);\n    d»();\n    e();\n}\n",
        "fn a() {\n    «b(c);\n    d();»\n    e();\n}\n",
        Lines,
    );
    check(Python, "a = b«\n»c = d\n", "a = «b»\nc = d\n", Line);
    check(Rust, "fn a() {\n    let b = « c »;\n}\n", "fn a() {\n    let b =  «c» ;\n}\n", Span);
}

#[test]
fn never_a_function_a_type_or_a_file() {
    check_none(Rust, "«fn a() {\n    b();\n}»\n");
    check_none(Rust, "«struct A;\n\nfn b() {}\n»");
    check_none(Python, "«class A:\n    b = 1»\n");
    check_none(TypeScript, "«const a = () => {\n  b();\n};»\n");
    check(Rust, "fn «a»(b: u8) {}\n", "fn «a»(b: u8) {}\n", Span);
    let many = "    b();\n".repeat(30);
    check_none(Rust, &format!("fn a() {{\n«{many}»}}\n"));
    let long = format!(
        "fn a() {{\n    b(\n{}    );\n}}\n",
        "        «c»,\n".to_owned() + &"        d,\n".repeat(30)
    );
    let (document, range) = with_range(&long, Rust);
    assert_eq!(Region::repair(&document, range).unwrap().text(&document), "c");
}

#[test]
fn without_a_tree_the_lines() {
    check(PlainText, "a b\n  c «d» e\nf\n", "a b\n  «c d e»\nf\n", Lines);
    check(PlainText, "a «b\nc» d\ne\n", "«a b\nc d»\ne\n", Lines);
    check_none(PlainText, "a\n«»\nb\n");
    check_none(PlainText, &format!("«{}»", "a\n".repeat(21)));
    check_none(PlainText, &format!("{}«b»", "a ".repeat(5000)));
    let document = Document::new("é", PlainText).snapshot();
    assert_eq!(Region::repair(&document, 1..2), None);
    assert_eq!(Region::repair(&document, 0..9), None);
}
