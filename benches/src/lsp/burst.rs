//! Thousands of changes in one burst, then a request: it sees the last version, whatever the unit of positions is.

use super::caret::{request, send};
use super::{Figure, Programs, Target};
use lacuna_tests::client::{Document, Encoding, Setup};
use lacuna_tests::engine::Script;
use lacuna_tests::rng::Rng;
use lacuna_tests::wire::frame_json;
use serde_json::{Value, json};
use std::time::Duration;

const CHANGES: i64 = 3000;
const URI: &str = "file:///project/burst.rs";
/// One, two, three and four bytes of UTF-8, the last two units of UTF-16; and a line break.
const PIECES: [&str; 6] = ["x", "é", "語", "🦀", "ab ", "\n"];

/// The burst in each encoding.
#[must_use]
pub fn burst(programs: &Programs) -> Vec<Figure> {
    let mut figures = Vec::new();
    let mut wrong = 0;
    for encoding in Encoding::ALL {
        let (took, right) = one(programs, encoding);
        wrong += usize::from(!right);
        figures.push(Figure::ms(format!("{CHANGES} changes and a request, {}", encoding.name()), took));
    }
    figures.push(
        Figure::count("encodings in which not the last version was seen", wrong).held(Target::Exactly(0.0)),
    );
    figures
}

/// The time from the first change to the answer; whether engine and document saw the last version.
fn one(programs: &Programs, encoding: Encoding) -> (Duration, bool) {
    let stage = programs.stage();
    let mut client = stage.ready(&Script::default(), &Setup::with_encoding(encoding));
    let mut document =
        Document { language: "rust".to_owned(), version: 1, text: "// 🦀 notes\n".to_owned() };
    client.open(URI, "rust", &document.text);
    let mut rng = Rng::new(3);
    let mut changes: Vec<Value> = (1..CHANGES)
        .map(|_| {
            let span = document.random_span(&mut rng, 3);
            let piece = PIECES[rng.below(PIECES.len())];
            did_change(&mut document, span, piece, encoding)
        })
        .collect();
    let end = document.text.len();
    changes.push(did_change(&mut document, end..end, "\n// 🦀\nlet last_version = ", encoding));
    let position = document.position(document.text.len(), encoding);
    changes.push(request(
        "textDocument/inlineCompletion",
        json!({"textDocument": {"uri": URI}, "position": position, "context": {"triggerKind": 1}}),
    ));
    let bytes: usize = changes.iter().map(|change| frame_json(change).len()).sum();
    assert!(bytes > 100_000, "a burst of {bytes} bytes");
    let id = send(&mut client, &changes);
    let answer = client.response(id);
    let held = client.ask("lacuna/document", json!({"uri": URI}));
    let seen = stage.inferences();
    let engine_saw = seen.len() == 1 && document.text.ends_with(seen[0].tail.as_str());
    let right = answer.code() == 0 && engine_saw && held["text"] == document.text.as_str();
    (answer.after, right && held["version"] == document.version)
}

fn did_change(document: &mut Document, span: std::ops::Range<usize>, new: &str, encoding: Encoding) -> Value {
    let change = document.replace(span, new, encoding);
    document.version += 1;
    let params =
        json!({"textDocument": {"uri": URI, "version": document.version}, "contentChanges": [change]});
    json!({"jsonrpc": "2.0", "method": "textDocument/didChange", "params": params})
}
