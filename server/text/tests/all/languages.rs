//! Files to languages.

use lacuna_text::{Document, Language, TreeState};
use std::path::Path;

fn check(path: &str, first_line: &str, expected: Language) {
    assert_eq!(Language::detect(Path::new(path), first_line), expected, "{path} {first_line}");
}

#[test]
fn names_extensions_and_first_lines() {
    check("src/main.rs", "", Language::Rust);
    check("a/B.PY", "", Language::Python);
    check("x.tsx", "", Language::Tsx);
    check("x.mts", "", Language::TypeScript);
    check("x.hpp", "", Language::Cpp);
    check("Cargo.lock", "", Language::Toml);
    check("Makefile", "all:", Language::PlainText);
    check("tool", "#!/usr/bin/env python3", Language::Python);
    check("tool", "#!/usr/bin/env -S FOO=1 python3.12 -u", Language::Python);
    check("tool", "#!/bin/sh -e", Language::Bash);
    check("notes.txt", "#!/bin/sh", Language::PlainText);
    check(".bashrc", "", Language::Bash);
}

#[test]
fn ids_round_trip_and_every_grammar_loads() {
    for language in Language::ALL {
        assert_eq!(Language::from_id(language.id()), language);
        let json = serde_json::to_string(&language).unwrap();
        assert_eq!(json, format!("\"{}\"", language.id()));
        let document = Document::new("", language);
        let whole = document.tree_state() == TreeState::Whole;
        assert_eq!(whole, language != Language::PlainText, "{language}");
    }
    assert_eq!(Language::from_id("sh"), Language::Bash);
    assert_eq!(Language::from_id("javascriptreact"), Language::JavaScript);
    assert_eq!(Language::from_id("cobol"), Language::PlainText);
}

#[test]
fn every_grammar_parses_its_language() {
    let samples = [
        (Language::Rust, "fn main() { let x: Vec<u8> = vec![]; }\n"),
        (Language::Python, "def f(x):\n    return [y for y in x]\n"),
        (Language::TypeScript, "const f = (x: number): string => `${x}`;\n"),
        (Language::Tsx, "const a = <div className=\"x\">{y}</div>;\n"),
        (Language::JavaScript, "class A { #x = 1; get y() { return this.#x; } }\n"),
        (Language::Go, "package main\n\nfunc main() {\n\tx := 1\n\t_ = x\n}\n"),
        (Language::C, "int main(void) { return 0; }\n"),
        (Language::Cpp, "template <class T> auto f(T x) { return [=] { return x; }; }\n"),
        (Language::Java, "class A { void f() { var x = 1; } }\n"),
        (Language::Lua, "local function f(x) return x + 1 end\n"),
        (Language::Json, "{\"a\": [1, 2, null]}\n"),
        (Language::Toml, "[a]\nb = 1\n"),
        (Language::Bash, "f() { echo \"$1\"; }\n"),
    ];
    for (language, text) in samples {
        let document = Document::new(text, language);
        let tree = document.tree().unwrap();
        assert_eq!(lacuna_text::syntax::error_count(tree), 0, "{language}: {}", tree.root_node().to_sexp());
        let broken = Document::new(&text.replace(['}', ']', ')'], ""), language);
        assert_ne!(lacuna_text::syntax::error_count(broken.tree().unwrap()), 0, "{language}");
    }
}

#[test]
fn ids_that_editors_send() {
    let ids = [
        ("javascriptreact", Language::JavaScript),
        ("javascript.jsx", Language::JavaScript),
        ("typescript.tsx", Language::Tsx),
        ("cuda-cpp", Language::Cpp),
        ("jsonc", Language::Json),
        ("C++", Language::Cpp),
        ("zsh", Language::Bash),
        ("haskell", Language::PlainText),
        ("", Language::PlainText),
    ];
    for (id, expected) in ids {
        assert_eq!(Language::from_id(id), expected, "{id}");
    }
}
