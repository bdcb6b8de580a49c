//! Pieces of other documents for a hole.

use crate::with_cursor;
use Language::{Cpp, Go, Java, JavaScript, Json, PlainText, Python, Rust, Toml, TypeScript};
use lacuna_text::context::{Index, Neighbour, Query, Snippet, render, snippets};
use lacuna_text::{Document, Edit, Language, Snapshot};
use proptest::prelude::*;

/// A token is a word or a line break.
fn words(text: &str) -> usize {
    text.split_whitespace().count() + text.matches('\n').count()
}

/// What is found for the `‸` in `text`, a document named `here`.
fn found(language: Language, text: &str, others: &[(&str, &Snapshot)], tokens_max: usize) -> Vec<Snippet> {
    let (document, offset) = with_cursor(text, language);
    let query = Query { name: "here", snapshot: &document.snapshot(), hole: offset..offset };
    let neighbours: Vec<Neighbour<'_>> =
        others.iter().map(|(name, snapshot)| Neighbour { name, snapshot }).collect();
    snippets(&query, &neighbours, tokens_max, &words)
}

#[track_caller]
fn check(language: Language, text: &str, others: &[(&str, Language, &str)], expected: &[(&str, &str)]) {
    let snapshots: Vec<(&str, Snapshot)> = others
        .iter()
        .map(|(name, language, text)| (*name, Document::new(text, *language).snapshot()))
        .collect();
    let others: Vec<(&str, &Snapshot)> = snapshots.iter().map(|(name, snapshot)| (*name, snapshot)).collect();
    let found = found(language, text, &others, 200);
    let found: Vec<(&str, &str)> =
        found.iter().map(|snippet| (snippet.name.as_str(), snippet.text.as_str())).collect();
    assert_eq!(found, expected);
}

const RUST: &str = "use std::fmt;\n\n/// Reads the header of a frame.\npub fn parse_header(bytes: &[u8]) -> Option<Header> {\n    \
     let magic = bytes.get(..4)?;\n    Some(Header { magic: magic.to_vec() })\n}\n\nfn unrelated(paint: Colour) {\n    \
     paint.mix();\n    paint.dry();\n    paint.frame();\n    paint.hang();\n}\n";

#[test]
fn the_function_that_shares_names() {
    let parse_header = "/// Reads the header of a frame.\npub fn parse_header(bytes: &[u8]) -> Option<Header> {\n    \
         let magic = bytes.get(..4)?;\n    Some(Header { magic: magic.to_vec() })\n}";
    let query = "fn main() {\n    let header = parse_header(‸\n}\n";
    check(Rust, query, &[("src/a.rs", Rust, RUST)], &[("src/a.rs", parse_header)]);
    // Whatever the style of the names, and the line breaks.
    let crlf = RUST.replace('\n', "\r\n");
    check(TypeScript, "const header = parseHeader(‸\n", &[("a", Rust, &crlf)], &[("a", parse_header)]);
}

#[test]
fn the_member_of_a_long_type() {
    let member = |name: &str| {
        format!(
            "    def {name}_total(self, {name}):\n        self.{name} = {name}\n        {name}.close()\n        return {name}\n\n"
        )
    };
    let text = format!(
        "class Store:\n    {}\n{}",
        "kind = 1\n",
        ["alpha", "beta", "gamma", "delta", "epsilon", "zeta"].map(member).concat()
    );
    check(
        Python,
        "store = Store()\nstore.gamma_total(‸\n",
        &[("store.py", Python, &text)],
        &[(
            "store.py",
            "def gamma_total(self, gamma):\n    self.gamma = gamma\n    gamma.close()\n    return gamma",
        )],
    );
}

#[test]
fn windows_without_a_tree() {
    let lines: String = (0..100).map(|n| format!("  line{n} says word{n} and thing{n}\n")).collect();
    let (document, offset) = with_cursor("word50 thing50 line50 ‸", PlainText);
    let snapshot = Document::new(&lines, PlainText).snapshot();
    let query = Query { name: "here", snapshot: &document.snapshot(), hole: offset..offset };
    let found = snippets(&query, &[Neighbour { name: "notes", snapshot: &snapshot }], 500, &words);
    assert_eq!(found.len(), 1);
    assert!(
        found[0].text.starts_with("line40 says") && found[0].text.ends_with("thing59"),
        "{}",
        found[0].text
    );
}

#[test]
fn nothing_similar_is_nothing() {
    check(Rust, "fn main() {\n    let invoice = total‸\n}\n", &[("a", Rust, RUST)], &[]);
    check(Rust, "fn main() {\n    if true { return None; } else { self.‸ }\n}\n", &[("a", Rust, RUST)], &[]);
    check(Rust, "‸", &[("a", Rust, RUST)], &[]);
    check(Rust, "let header = parse_header(‸", &[("a", Rust, "")], &[]);
    check(Rust, "let header = parse_header(‸", &[], &[]);
}

#[test]
fn never_the_document_itself() {
    let query = format!("{RUST}\nfn main() {{\n    let header = parse_header(‸\n}}\n");
    let itself = query.replace('‸', "");
    check(Rust, &query, &[("here", Rust, &itself)], &[]);
    // Nor a copy of what it holds under another name.
    check(Rust, &query, &[("copy", Rust, RUST)], &[]);
    let (document, offset) = with_cursor(&query, Rust);
    let snapshot = document.snapshot();
    let query = Query { name: "here", snapshot: &snapshot, hole: offset..offset };
    assert_eq!(snippets(&query, &[Neighbour { name: "again", snapshot: &snapshot }], 500, &words), []);
}

/// Functions that each share something with [`MANY_QUERY`], the later ones more.
fn many() -> Vec<Document> {
    let calls = ["open_archive", "read_entry", "write_entry", "close_archive", "verify_checksum"];
    let text = |n: usize| {
        let body: String =
            calls[..=n % calls.len()].iter().map(|call| format!("    {call}(archive_{n});\n")).collect();
        format!(
            "fn step_{n}(archive_{n}: Archive) {{\n{body}    other_{n}();\n}}\n\nfn apart_{n}() {{\n    colour_{n}();\n}}\n"
        )
    };
    (0..20).map(|n| Document::new(&text(n), Rust)).collect()
}

const MANY_QUERY: &str = "fn repack() {\n    open_archive(a);\n    read_entry(a);\n    write_entry(a);\n    close_archive(a);\n    verify_checksum(‸\n}\n";

#[test]
fn the_budget_holds_and_the_best_comes_last() {
    let documents = many();
    let others: Vec<(String, &Snapshot)> =
        documents.iter().enumerate().map(|(n, document)| (format!("src/{n}.rs"), &**document)).collect();
    let others: Vec<(&str, &Snapshot)> =
        others.iter().map(|(name, snapshot)| (name.as_str(), *snapshot)).collect();
    for tokens_max in [0, 1, 5, 10, 20, 50, 100, 300] {
        let found = found(Rust, MANY_QUERY, &others, tokens_max);
        assert!(words(&render(&found, Rust)) <= tokens_max, "{tokens_max}");
        assert!(found.iter().map(|snippet| snippet.score).is_sorted(), "{found:?}");
        assert!(found.len() <= 8);
        if tokens_max >= 50 {
            let best = found.last().unwrap();
            assert!(best.text.contains("verify_checksum") && best.name == "src/4.rs", "{best:?}");
        }
    }
    // Of equals the one used last comes first, so nearest to the code.
    let mut turned = others.clone();
    turned.reverse();
    assert_eq!(found(Rust, MANY_QUERY, &turned, 100).last().unwrap().name, "src/19.rs");
}

#[test]
fn what_does_not_fit_is_cut_to_its_first_lines() {
    let snapshot = Document::new(RUST, Rust).snapshot();
    let query = "fn main() {\n    let header = parse_header(magic‸\n}\n";
    let found = found(Rust, query, &[("a", &snapshot)], 24);
    assert_eq!(found, [], "a head of two lines says too little");
    let long = RUST.replace("    let magic", &format!("{}    let magic", "    check(bytes);\n".repeat(9)));
    let snapshot = Document::new(&long, Rust).snapshot();
    let (document, offset) = with_cursor(query, Rust);
    let query = Query { name: "here", snapshot: &document, hole: offset..offset };
    let found = snippets(&query, &[Neighbour { name: "a", snapshot: &snapshot }], 40, &words);
    assert_eq!(found.len(), 1);
    assert!(found[0].text.starts_with("pub fn parse_header") && found[0].text.ends_with("check(bytes);"));
    assert!(words(&render(&found, Rust)) <= 40);
}

#[test]
fn an_index_answers_as_without_one() {
    let mut documents = many();
    let (here, offset) = with_cursor(MANY_QUERY, Rust);
    let mut index = Index::default();
    for round in 0..6 {
        documents[round]
            .apply(&Edit::insert(0, "fn verify_checksum(write_entry: u8) { read_entry() }\n"))
            .unwrap();
        let names: Vec<String> = (0..documents.len()).map(|n| n.to_string()).collect();
        let neighbours: Vec<Neighbour<'_>> = names
            .iter()
            .zip(&documents)
            .map(|(name, document)| Neighbour { name, snapshot: document })
            .collect();
        let query = Query { name: "here", snapshot: &here, hole: offset..offset };
        let once = snippets(&query, &neighbours, 200, &words);
        assert_eq!(index.snippets(&query, &neighbours, 200, &words), once);
        assert_eq!(index.snippets(&query, &neighbours, 200, &words), once);
        assert!(!once.is_empty());
        index.forget("3");
    }
    // Another document under a known name is not taken for the one before.
    let (old, new) = (Document::new(RUST, Rust), Document::new("fn f() {}\n", Rust));
    let (here, offset) = with_cursor("let header = parse_header(‸", Rust);
    let query = Query { name: "here", snapshot: &here, hole: offset..offset };
    assert_eq!(index.snippets(&query, &[Neighbour { name: "a", snapshot: &old }], 200, &words).len(), 1);
    assert_eq!(index.snippets(&query, &[Neighbour { name: "a", snapshot: &new }], 200, &words), []);
}

#[test]
fn rendered_under_comments() {
    let snippet =
        |name: &str, text: &str| Snippet { name: name.to_owned(), text: text.to_owned(), score: 1.0 };
    let two = [snippet("src/a.rs", "fn a() {\n}"), snippet("b\n.py", "b = 1")];
    assert_eq!(render(&two, Rust), "// from src/a.rs\nfn a() {\n}\n\n// from b .py\nb = 1\n\n");
    for (language, comment) in [(Python, "#"), (Toml, "#"), (Language::Lua, "--"), (Json, "//"), (Cpp, "//")]
    {
        assert!(render(&two, language).starts_with(&format!("{comment} from src/a.rs\n")), "{language}");
    }
    assert_eq!(render(&[], Rust), "");
}

#[test]
fn items_of_every_language() {
    let check = |language, query: &str, text: &str, expected: &str| {
        check(language, query, &[("a", language, text)], &[("a", expected)]);
    };
    check(
        Go,
        "total := sumInvoices(‸\n",
        "package a\n\n// Sums.\nfunc sumInvoices(all []Invoice) int {\n\treturn 1\n}\n\nfunc other(colour int) {\n\tpaint(colour)\n}\n",
        "// Sums.\nfunc sumInvoices(all []Invoice) int {\n\treturn 1\n}",
    );
    check(
        JavaScript,
        "const total = sumInvoices(‸\n",
        "import a from 'b';\n\nexport function sumInvoices(all) {\n  return all.length;\n}\n\nexport const colour = () => {\n  paint();\n  dry();\n};\n",
        "export function sumInvoices(all) {\n  return all.length;\n}",
    );
    check(
        Java,
        "int total = sumInvoices(‸\n",
        "class A {\n  int sumInvoices(int[] all) {\n    return 1;\n  }\n}\n\nclass Colour {\n  void paint() {\n    dry();\n  }\n}\n",
        "class A {\n  int sumInvoices(int[] all) {\n    return 1;\n  }\n}",
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Any text in any language: lines of the neighbour, under the budget, the same twice.
    #[test]
    fn any_neighbour_is_quoted_truly(
        language in prop::sample::select(Language::ALL.to_vec()),
        text in "([a-b]{1,3}|fooBar|baz_qux|quux|[(){};:,=+ ]|\n    |\n\n|\r\n|\r|\t|\"|#|é|𝄞|fn a\\(\\) \\{|class A:\n|def a\\(\\):\n|\\}\n){0,80}",
        (start, end) in (0_usize..60, 0_usize..60),
        tokens_max in 0_usize..60,
    ) {
        let here = Document::new("fooBar baz_qux\nquux(é)\n", language).snapshot();
        let other = Document::new(&text, language).snapshot();
        let query = Query { name: "here", snapshot: &here, hole: start..end };
        let neighbours = [Neighbour { name: "other", snapshot: &other }];
        let found = snippets(&query, &neighbours, tokens_max, &words);
        prop_assert!(words(&render(&found, language)) <= tokens_max);
        let unbroken = text.replace("\r\n", "\n").replace('\r', "\n");
        let known: Vec<&str> = unbroken.split('\n').map(str::trim).collect();
        for line in found.iter().flat_map(|snippet| snippet.text.split('\n')) {
            prop_assert!(known.contains(&line.trim()), "{line:?} of {known:?}");
        }
        prop_assert_eq!(snippets(&query, &neighbours, tokens_max, &words), found);
    }
}
