"""Tests of what the scorecard's cases may be cut from, and where.

    python -m pytest -q test_scorecard.py       (or: python test_scorecard.py)
"""
import random

import scorecard_cases as cutting
import scorecard_sources as packages
from tokenizer import COMMENT, STRING

TYPESCRIPT = '''import { a,
  b } from "./a"
// a comment
export function first(x: Map<string, number>): number {
  const name = `x ${"y"}` // why
  return x.get(name)
}
'''


def source(text, language):
    return cutting.source_of({"text": text, "origin": {}}, language)


def test_typescript_comments_strings_and_imports_are_marked():
    made = source(TYPESCRIPT, "typescript")
    at = TYPESCRIPT.index
    assert made.bits[at("a comment")] & COMMENT and made.bits[at("why")] & COMMENT
    assert made.bits[at("y\"}")] & STRING
    assert made.bits[at("b } from")] & COMMENT, "the whole import, not its first line"
    assert [made.is_code(n) for n in range(7)] == [False, False, False, True, False, True, False]


def test_a_body_is_cut_in_all_three_languages():
    rust = "fn f(a: u8) -> u8 {\n    let b = a;\n    b + 1\n}\n"
    python = "def f(a):\n    \"\"\"Doc.\"\"\"\n    b = a\n    return b\n\n\nx = 1\n"
    typescript = "class A {\n  get size(): number {\n    return this.map.size\n  }\n}\n"
    for text, language, line, body in (
        (rust, "rust", 0, "let b = a;\n    b + 1"),
        (python, "python", 0, "b = a\n    return b"),
        (typescript, "typescript", 1, "return this.map.size"),
    ):
        start, end = cutting.function_body(source(text, language), random.Random(0), line)
        assert text[start:end] == body, language


def test_a_condition_is_no_function():
    text = "function f(a) {\n  if (a) {\n    return 1\n  }\n}\n"
    assert cutting.function_body(source(text, "typescript"), random.Random(0), 1) is None


def test_no_span_leaves_type_arguments_half_open():
    made = source("let a: Map<Key, Vec<Value>> = Map::<Key, Vec<Value>>::new(first, second);\n", "rust")
    for seed in range(300):
        span = cutting.span_of_generics(made, random.Random(seed), 0)
        text = made.row["text"][span[0] : span[1]] if span else ""
        assert text.count("<") == text.count(">"), text


def test_unit_tests_of_a_rust_file_have_no_holes():
    made = source("fn f() {\n    one();\n}\n\n#[cfg(test)]\nmod tests {\n    fn g() {\n        two();\n    }\n}\n", "rust")
    assert made.is_code(1) and not made.is_code(7)


def test_only_source_written_by_hand_is_read():
    text = "".join(f"export function name{chr(97 + n % 26)}(a: string) {{\n  return other(a)\n}}\n" for n in range(20))
    keeps = lambda path, raw=text: packages.hand_written(path, raw.encode(), "typescript") is not None
    assert keeps("src/core.ts")
    assert not keeps("src/core.d.ts") and not keeps("src/core.test.ts") and not keeps("src/__tests__/core.ts")
    assert not keeps("src/core.ts", "// @generated\n" + text) and not keeps("src/core.ts", text[:200])
    assert not keeps("src/core.ts", text.replace("\n", "\r\n"))


def test_shared_code_is_found_whatever_the_comments():
    code = [f"value_{n} = compute(value_{n - 1}, {n})" for n in range(8)]
    commented = "\n".join(f"# step\n    {line}" for line in code)
    assert packages.shingles("\n".join(code)) == packages.shingles(commented)
    assert not packages.shingles("\n".join(code)) & packages.shingles("\n".join(reversed(code)))


if __name__ == "__main__":
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print("ok", name)
