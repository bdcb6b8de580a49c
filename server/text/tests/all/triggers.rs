//! Where an automatic completion stays quiet, and where it must not.

use crate::with_cursor;
use Language::{Bash, C, Cpp, Go, JavaScript, Json, Lua, PlainText, Python, Rust, Toml, Tsx, TypeScript};
use lacuna_text::trigger::{Quiet, quiet};
use lacuna_text::{Document, Edit, Language};

#[track_caller]
fn check(language: Language, text: &str, expected: Option<Quiet>) {
    let (document, offset) = with_cursor(text, language);
    assert_eq!(quiet(&document.snapshot(), offset), expected, "{language}: {text}");
}

#[track_caller]
fn check_all(languages: &[Language], text: &str, expected: Option<Quiet>) {
    for &language in languages {
        check(language, text, expected);
    }
}

const FOUR: [Language; 4] = [Rust, Python, TypeScript, PlainText];

#[test]
fn inside_and_before_a_word() {
    check_all(&FOUR, "let va‸lue = 1\n", Some(Quiet::InsideWord));
    check_all(&FOUR, "let ‸value = 1\n", Some(Quiet::BeforeWord));
    check_all(&FOUR, "foo(‸bar)\n", Some(Quiet::BeforeWord));
    check_all(&FOUR, "übe‸rall\n", Some(Quiet::InsideWord));
    check_all(&FOUR, "x = 1‸0\n", Some(Quiet::InsideWord));
    check_all(&FOUR, "_‸_\n", Some(Quiet::InsideWord));
}

#[test]
fn in_the_string_of_an_import() {
    let path = Some(Quiet::Path);
    check_all(&[TypeScript, Tsx, JavaScript], "import a from 'rea‸';\n", path);
    check_all(&[TypeScript, Tsx, JavaScript], "import a from './x‸\nlet b = 1;\n", path);
    check_all(&[TypeScript, JavaScript], "import {\n  a,\n} from \"‸\";\n", path);
    check_all(&[TypeScript, JavaScript], "import '‸'\n", path);
    check_all(&[TypeScript, JavaScript], "const fs = require('‸');\n", path);
    check_all(&[TypeScript, JavaScript], "const fs = await import('f‸');\n", path);
    check(JavaScript, "export { a } from 'b‸';\n", path);
    check(Rust, "const A: &str = include_str!(\"a‸\");\n", path);
    check(Rust, "const A: &str = include_str!(\"‸\n", path);
    check(Rust, "#[path = \"a‸\"]\nmod a;\n", path);
    check(Go, "package a\n\nimport (\n\t\"os\"\n\t\"f‸\"\n)\n", path);
    check(Go, "package a\n\nimport \"‸\"\n", path);
    check_all(&[C, Cpp], "#include \"a‸\"\n", path);
    check_all(&[C, Cpp], "#include <std‸>\n", path);
    check_all(&[C, Cpp], "#include <std‸\nint a;\n", path);
    check(Lua, "local a = require \"b‸\"\n", path);
    check(Lua, "local a = require('b‸')\n", path);
}

#[test]
fn in_a_string_that_is_a_path() {
    let path = Some(Quiet::Path);
    check_all(&FOUR, "a = open(\"src/‸\")\n", path);
    check_all(&FOUR, "a = open(\"/‸\")\n", path);
    check_all(&FOUR, "a = open(\"../lib/a‸.rs\")\n", path);
    check_all(&FOUR, "a = open(\"src/‸\n", path);
    check_all(&[Python, TypeScript], "a = open('src/‸')\n", path);
    check(Python, "a = open(r\"C:\\dir‸\")\n", path);
    check(Rust, "fn a() { b(\"C:\\\\dir‸\"); }\n", path);
    check(PlainText, "see \"C:\\dir‸\"\n", path);
    check(TypeScript, "const a = `${base}/b‸`;\n", path);
    check(Json, "{\"main\": \"./src/‸\"}\n", path);
    check(Toml, "path = \"../a‸\"\n", path);
}

#[test]
fn in_other_strings_it_speaks() {
    check_all(&FOUR, "a = say(\"hello ‸\")\n", None);
    check_all(&FOUR, "a = say(\"‸\")\n", None);
    check_all(&FOUR, "a = say(\"this and/or ‸\")\n", None);
    check_all(&FOUR, "a = say(\"a/b is ‸\")\n", None);
    check_all(&FOUR, "a = say(\"a ‸ b/c\")\n", None);
    check(Rust, "fn a() { b(\"\\n‸\"); }\n", None);
    check(Rust, "fn a() { b(\"one\\ttwo‸\"); }\n", None);
    check(Python, "a = re.match(r\"\\d+‸\")\n", None);
    check(TypeScript, "const a = b(\"<p></p>‸\");\n", None);
    check(TypeScript, "const a = `${b / ‸}`;\n", None);
    check(Python, "\"\"\"Opens src/main.py\n\nand ‸\n\"\"\"\n", None);
    check(Rust, "fn a() {\n    // see \"src/‸\n}\n", None);
    check(Rust, "fn a<'a>(b: &'a str) -> &'a str { c(‸) }\n", None);
    check_all(&FOUR, "a = b / c(‸\n", None);
    check_all(&FOUR, "a = \"x/y\" + ‸\n", None);
    check(TypeScript, "const transform = '‸'\n", None);
}

#[test]
fn after_a_closing_brace() {
    check(Rust, "fn a() {\n    b()\n}‸\n", Some(Quiet::ClosingBrace));
    check(Rust, "fn a() {\n    if b {\n    }‸  \n}\n", Some(Quiet::ClosingBrace));
    check(TypeScript, "const a = { b: 1 }‸\n", Some(Quiet::ClosingBrace));
    check(Json, "{\"a\": 1}‸", Some(Quiet::ClosingBrace));
    check(PlainText, "a {\n}‸\r\nb\n", Some(Quiet::ClosingBrace));
    check(TypeScript, "const a = `x\n${b}‸\n`;\n", None);
    check(Python, "a = f\"{b}‸\n", None);
    check(Rust, "fn a() {\n    // {b}‸\n}\n", None);
    check(Rust, "fn a() { b(c {}‸) }\n", None);
    check(TypeScript, "f(() => { a() }‸);\n", None);
}

#[test]
fn after_a_finished_statement() {
    check(Rust, "fn a() {\n    let b = c();‸\n}\n", Some(Quiet::StatementEnd));
    check(TypeScript, "const a = b();‸ \n", Some(Quiet::StatementEnd));
    check(PlainText, "$a = 1;‸\n", Some(Quiet::StatementEnd));
    check(TypeScript, "for (let i = 0;‸\n", None);
    check(C, "int a(void) {\n  for (int i = 0; i < n;‸\n}\n", None);
    check(Rust, "fn a() {\n    let b = [0_u8;‸\n}\n", None);
    check(Rust, "fn a() {\n    // one thing;‸\n}\n", None);
    check(TypeScript, "const a = `x;‸\ny`;\n", None);
    check(Bash, "for a in b;‸\n", None);
    check(Rust, "fn a() {\n    b(); ‸c();\n}\n", Some(Quiet::BeforeWord));
}

#[test]
fn ordinary_typing_is_never_silenced() {
    check_all(&FOUR, "‸", None);
    check_all(&FOUR, "let x = ‸\n", None);
    check_all(&FOUR, "let x = ‸;\n", None);
    check_all(&FOUR, "foo(‸\n", None);
    check_all(&FOUR, "foo(‸)\n", None);
    check_all(&FOUR, "foo(a, ‸)\n", None);
    check_all(&FOUR, "foo[‸]\n", None);
    check_all(&FOUR, "foo.‸\n", None);
    check_all(&FOUR, "foo.ba‸\n", None);
    check_all(&FOUR, "foo.bar‸(x)\n", None);
    check_all(&FOUR, "return ‸\n", None);
    check_all(&FOUR, "if a {‸\n", None);
    check_all(&FOUR, "// what this does‸\n", None);
    check_all(&FOUR, "} else ‸\n", None);
    check(Rust, "fn a() {‸}\n", None);
    check(Rust, "fn a() {\n    ‸\n}\n", None);
    check(Rust, "fn a() {\n    b();\n    ‸\n}\n", None);
    check(Rust, "fn a() {\n    b.c()\n        .‸\n}\n", None);
    check(Rust, "fn a(b: &‸\n", None);
    check(Python, "def a(b):\n    ‸\n", None);
    check(Python, "def a(b):‸\n", None);
    check(TypeScript, "function a() {\n  return ‸\n}\n", None);
    check(TypeScript, "import { ‸ } from './a';\n", None);
    check(Rust, "use std::‸\n", None);
    check(Python, "from os import ‸\n", None);
    check(Rust, "fn a() -> ‸ {\n}\n", None);
}

#[test]
fn odd_offsets_and_endless_lines() {
    let document = Document::new("é", PlainText).snapshot();
    assert_eq!(quiet(&document, 1), Some(Quiet::BeforeWord));
    assert_eq!(quiet(&document, usize::MAX), None);
    for language in [JavaScript, Json, PlainText] {
        let mut document = Document::new(&"f(\"a b\",[1]);".repeat(80_000), language);
        let middle = document.len() / 2 / 13 * 13;
        document.apply(&Edit::insert(middle + 2, " ")).unwrap();
        assert_eq!(quiet(&document.snapshot(), middle + 3), None);
        assert_eq!(quiet(&document.snapshot(), middle), Some(Quiet::BeforeWord));
    }
}

#[test]
fn every_reason_reads_as_one_line() {
    let all = [Quiet::InsideWord, Quiet::BeforeWord, Quiet::Path, Quiet::ClosingBrace, Quiet::StatementEnd];
    let mut said: Vec<String> = all.iter().map(ToString::to_string).collect();
    assert!(said.iter().all(|line| !line.is_empty() && !line.contains('\n')));
    said.sort();
    said.dedup();
    assert_eq!(said.len(), all.len());
}
