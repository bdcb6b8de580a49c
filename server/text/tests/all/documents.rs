//! Documents: bytes in, bytes out, and trees that edits keep true.

use crate::edits::{TEXT, drawn, edit_of};
use lacuna_text::syntax::{error_count, error_count_in};
use lacuna_text::{
    Change, Document, DocumentError, Edit, EditError, Encoding, Language, LineEnding, Position, TreeState,
};
use proptest::prelude::*;

fn check_round_trip(bytes: &[u8], line_ending: LineEnding, bom: bool) {
    let document = Document::from_bytes(bytes, Language::Rust).unwrap();
    assert_eq!(document.to_bytes(), bytes);
    assert_eq!((document.line_ending(), document.has_bom()), (line_ending, bom));
}

#[test]
fn bytes_come_back_as_they_were() {
    check_round_trip(b"", LineEnding::Lf, false);
    check_round_trip("\u{feff}fn a() {}\r\n".as_bytes(), LineEnding::Crlf, true);
    check_round_trip(b"a\rb\n", LineEnding::Cr, false);
    check_round_trip("é\u{2028}\nb\r\n".as_bytes(), LineEnding::Lf, false);
    check_round_trip(b"no line break", LineEnding::Lf, false);
}

/// A file that is opened empty or converted has the line ends that it got.
#[test]
fn line_ends_are_those_of_the_text_as_it_is() {
    let mut document = Document::new("", Language::Rust);
    assert_eq!(document.line_ending(), LineEnding::Lf);
    document.apply(&Edit::insert(0, "fn a() {\r\n}\r\n")).unwrap();
    assert_eq!(document.line_ending(), LineEnding::Crlf);
    document.apply(&Edit::insert(0, "\n")).unwrap();
    assert_eq!(document.line_ending(), LineEnding::Crlf, "a stray one changes nothing");
    let len = document.len();
    document.apply(&Edit::single(Change::new(0..len, "fn a() {\n}\n"))).unwrap();
    assert_eq!(document.line_ending(), LineEnding::Lf);
}

#[test]
fn bytes_that_are_no_text_are_named() {
    let error = Document::from_bytes(b"ab\xff", Language::Rust).err().unwrap();
    assert_eq!(error, DocumentError::NotUtf8 { offset: 2, byte: 0xff });
    let error = Document::from_bytes(b"a\xc3", Language::Rust).err().unwrap();
    assert_eq!(error, DocumentError::NotUtf8 { offset: 1, byte: 0xc3 });
}

#[test]
fn snapshots_do_not_change_and_travel() {
    let mut document = Document::new("fn a() {}\n", Language::Rust);
    let snapshot = document.snapshot();
    document.apply(&Edit::insert(0, "pub ")).unwrap();
    assert_eq!((document.version(), snapshot.version()), (1, 0));
    let text = std::thread::spawn(move || snapshot.text().to_string()).join().unwrap();
    assert_eq!(text, "fn a() {}\n");
    assert_eq!(document.text().to_string(), "pub fn a() {}\n");
}

#[test]
fn a_bad_edit_changes_nothing() {
    let mut document = Document::new("é", Language::Rust);
    assert!(document.apply(&Edit::insert(1, "x")).is_err());
    assert_eq!((document.version(), document.text().to_string()), (0, "é".to_owned()));
}

#[test]
fn an_edited_snapshot_leaves_the_document_alone() {
    let mut document = Document::new("fn a() {\r\n    b.\r\n}\r\n", Language::Rust);
    let before = document.snapshot();
    assert_eq!(error_count(before.tree().unwrap()), 1);
    let edit = Edit::insert(16, "len()");
    let after = before.edited(&edit).unwrap();
    assert_eq!((after.version(), error_count(after.tree().unwrap())), (1, 0));
    assert_eq!((before.version(), document.version(), document.to_bytes()), (0, 0, before.to_bytes()));
    document.apply(&edit).unwrap();
    assert_eq!(document.to_bytes(), after.to_bytes());
    assert_eq!(sexp(&document), after.tree().unwrap().root_node().to_sexp());
    let error = before.edited(&Edit::delete(0..99)).err().unwrap();
    assert_eq!(error, EditError::OutOfBounds { start: 0, end: 99, len: 21 });
    let plain = Document::new("a", Language::PlainText).edited(&Edit::insert(1, "b")).unwrap();
    assert_eq!((plain.text().to_string(), plain.tree_state()), ("ab".to_owned(), TreeState::NoGrammar));
}

#[test]
fn errors_are_counted_where_they_are() {
    let document = Document::new("fn a() { let = 1; }\nfn b() {}\nfn c( {}\n", Language::Rust);
    let tree = document.tree().unwrap();
    assert!(error_count(tree) >= 2);
    assert_eq!(error_count_in(tree, 21..29), 0);
    assert!(error_count_in(tree, 9..17) >= 1);
    let missing = Document::new("fn a() { let x = 1 }\n", Language::Rust);
    assert_eq!(error_count(missing.tree().unwrap()), 1);
}

/// A file too large to parse whole, of `functions` functions.
fn large(functions: usize) -> String {
    (0..functions)
        .map(|n| format!("fn function_{n}(left: usize) -> usize {{\n    left + {n}\n}}\n\n"))
        .collect()
}

#[test]
fn large_texts_have_a_tree_where_they_are_edited() {
    let text = large(10_000);
    let mut document = Document::new(&text, Language::Rust);
    assert_eq!(document.tree_state(), TreeState::Window);
    for place in [0, text.len() / 2, text.len()] {
        let at = text[..place].rfind("left +").unwrap_or_else(|| text.find("left +").unwrap());
        document.apply(&Edit::insert(at, "1 + ")).unwrap();
        let tree = document.tree().unwrap();
        assert_eq!(error_count(tree), 0, "windows are cut between items");
        let node = lacuna_text::syntax::node_at(tree, at..at + 1).unwrap();
        assert_eq!(node.kind(), "integer_literal");
        document.apply(&Edit::delete(at..at + 3)).unwrap();
        assert!(error_count(document.tree().unwrap()) == 0);
        document.apply(&Edit::insert(at, ") ")).unwrap();
        assert!(error_count(document.tree().unwrap()) > 0);
        document.apply(&Edit::delete(at..at + 3)).unwrap();
        assert_eq!(document.text().len_bytes(), text.len());
    }
    assert_eq!(document.text().to_string(), text);
    let far = document.snapshot();
    let near = far.tree_near(&(9..9)).unwrap();
    assert_eq!(lacuna_text::syntax::node_at(&near, 3..4).unwrap().kind(), "identifier");
}

#[test]
fn texts_that_cross_the_limit_change_their_kind_of_tree() {
    let text = large(1_000);
    let mut document = Document::new(&text, Language::Rust);
    assert_eq!(document.tree_state(), TreeState::Whole);
    document.apply(&Edit::insert(text.len(), large(3_000))).unwrap();
    assert_eq!(document.tree_state(), TreeState::Window);
    document.apply(&Edit::delete(text.len()..document.len())).unwrap();
    assert_eq!(document.tree_state(), TreeState::Whole);
    let fresh = Document::new(&text, Language::Rust);
    assert_eq!(sexp(&document), sexp(&fresh));
}

fn sexp(document: &Document) -> String {
    document.tree().unwrap().root_node().to_sexp()
}

/// Every node with its kind and bytes, anonymous ones too.
fn nodes(document: &Document) -> Vec<(&str, std::ops::Range<usize>)> {
    let mut nodes = Vec::new();
    lacuna_text::syntax::walk(document.tree().unwrap(), |node| {
        nodes.push((node.kind(), node.byte_range()));
        true
    });
    nodes
}

/// Sources in which edits are drawn; short, with nesting, strings, comments, wide characters and each line break.
const SEEDS: [(Language, &str); 5] = [
    (
        Language::Rust,
        "fn a(b: u8) -> u8 {\n    // é𝄞\n    let c = \"{(\"; // c\n    if b > 1 { b } else { c.len() as u8 }\n}\n",
    ),
    (
        Language::Python,
        "def a(b):\r\n    if b:\r\n        return '''é\r\n𝄞'''\r\n    c = [b, (b)]\r\n    return c\r\n\r\na(1)\r\n",
    ),
    (Language::JavaScript, "const a = (b) => {\r  return `c${b + 1}` + /x/.test(b); // é\r};\ra({b: 1});\n"),
    (Language::Json, "{\"a\": [1, 2, {\"b\": null}], \"𝄞\": \"é\"}\n"),
    (Language::Bash, "a() {\n  if [ \"$1\" ]; then echo 'b'; fi\n  cat <<EOF\nc\nEOF\n}\n"),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn any_sequence_of_edits_keeps_text_tree_and_positions(
        seed in 0..SEEDS.len(),
        noise in TEXT,
        edits in prop::collection::vec(drawn(), 1..6),
    ) {
        let (language, source) = SEEDS[seed];
        let mut model = format!("{source}{noise}");
        let mut document = Document::new(&model, language);
        let mut undo = Vec::new();
        for drawn in &edits {
            let edit = edit_of(&model, drawn);
            undo.push(edit.invert(document.text()).unwrap());
            document.apply(&edit).unwrap();
            for change in edit.changes().iter().rev() {
                model.replace_range(change.range.clone(), &change.insert);
            }
            prop_assert_eq!(document.text().to_string(), model.clone());
            check_tree(&document, &model)?;
            check_positions(&document, &model)?;
        }
        for edit in undo.iter().rev() {
            document.apply(edit).unwrap();
        }
        prop_assert_eq!(document.text().to_string(), format!("{source}{noise}"));
        check_tree(&document, &format!("{source}{noise}"))?;
    }
}

/// The incremental tree is that of a fresh parse. Where the text has errors tree-sitter may recover in another way
/// from another start, so there only that it is an error is compared, and that the nodes tile the text.
fn check_tree(document: &Document, model: &str) -> Result<(), TestCaseError> {
    let fresh = Document::new(model, document.language());
    let tree = document.tree().unwrap();
    prop_assert_eq!(tree.root_node().has_error(), fresh.tree().unwrap().root_node().has_error());
    prop_assert!(tree.root_node().end_byte() <= model.len());
    if tree.root_node().has_error() {
        for (kind, range) in nodes(document) {
            prop_assert!(model.get(range.clone()).is_some(), "{kind} at {range:?} is no slice of the text");
        }
    } else {
        prop_assert_eq!(nodes(document), nodes(&fresh));
        prop_assert_eq!(sexp(document), sexp(&fresh));
    }
    Ok(())
}

fn check_positions(document: &Document, model: &str) -> Result<(), TestCaseError> {
    for encoding in [Encoding::Utf8, Encoding::Utf16, Encoding::Utf32] {
        for (offset, _) in model.char_indices() {
            let at = document.position(offset, encoding);
            let inside_break = model[..offset].ends_with('\r') && model[offset..].starts_with('\n');
            prop_assert_eq!(document.offset(at, encoding), offset - usize::from(inside_break));
        }
        prop_assert_eq!(document.offset(Position::new(usize::MAX, 0), encoding), model.len());
    }
    Ok(())
}
