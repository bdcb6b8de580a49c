//! Text sync: what the server holds is what the client holds, in arrival order, in every encoding.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails loudly")]

use lacuna_tests::client::{Client, Document, Encoding, Setup};
use lacuna_tests::engine::Script;
use lacuna_tests::rng::Rng;
use lacuna_tests::servers::{Stage, shipped_ready};
use serde_json::{Value, json};

const URI: &str = "file:///project/src/main.rs";

/// Line ends of all three kinds, characters of one to four bytes, a combining mark.
const TEXT: &str =
    "fn main() {\r\n    let snowman = \"☃\"; // naïve\n    let crab = \"🦀𝒳\";\r    e\u{301}();\r\n}\n";

const PIECES: &[&str] = &[
    "x",
    " ",
    "_name",
    "é",
    "☃",
    "🦀",
    "𝒳y",
    "\n",
    "\r\n",
    "\r",
    "",
    "e\u{301}",
    "fn f() {\n    1\n}\n",
    "\"",
    "}",
    "\t",
];

fn stage() -> Stage {
    Stage::new(env!("CARGO_BIN_EXE_lacuna-scripted"))
}

/// A random edit of an open document.
fn random_change(client: &mut Client, uri: &str, rng: &mut Rng) {
    let edits = 1 + rng.below(3);
    let mut copy = client.document(uri).clone();
    let mut changes = Vec::new();
    for _ in 0..edits {
        // Deletions grow with the text, so that it stays about as long as it was.
        let longest = if copy.text.len() > 4000 { 60 } else { 3 };
        let bytes = copy.random_span(rng, longest);
        let new = *rng.pick(PIECES);
        copy.replace(bytes.clone(), new, client.encoding());
        changes.push((bytes, new.to_owned()));
    }
    client.change_all(uri, changes);
}

fn inline_params(client: &Client, uri: &str, byte: usize) -> Value {
    json!({"textDocument": {"uri": uri}, "position": client.position(uri, byte), "context": {"triggerKind": 1}})
}

/// 3000 changes in one burst, none of them waited for; then a request sees the last of them.
fn check_burst(encoding: Encoding) {
    let stage = stage();
    let mut client = stage.ready(&Script::default(), &Setup::with_encoding(encoding));
    assert_eq!(client.encoding(), encoding);
    client.open(URI, "rust", TEXT);
    let mut rng = Rng::new(7);
    for _ in 0..2999 {
        random_change(&mut client, URI, &mut rng);
    }
    client.replace_all(URI, &format!("{TEXT}fn seen() {{\n    let crab = \"🦀\"; last_word"));
    let end = client.document(URI).text.len();
    let params = inline_params(&client, URI, end);
    let answer = client.ask("textDocument/inlineCompletion", params);
    client.assert_in_step(URI);
    let seen = stage.inferences();
    let tail = &seen.last().unwrap_or_else(|| panic!("no inference: {answer}")).tail;
    assert!(tail.ends_with("let crab = \"🦀\"; last_word"), "{tail:?}");
}

#[test]
fn a_burst_of_3000_changes_is_seen_whole_in_utf8() {
    check_burst(Encoding::Utf8);
}

#[test]
fn a_burst_of_3000_changes_is_seen_whole_in_utf16() {
    check_burst(Encoding::Utf16);
}

#[test]
fn a_burst_of_3000_changes_is_seen_whole_in_utf32() {
    check_burst(Encoding::Utf32);
}

/// Single edits at every kind of place, each held against the client's copy.
#[test]
fn every_edit_of_a_random_session_is_in_step() {
    for encoding in Encoding::ALL {
        let mut client = shipped_ready(&Setup::with_encoding(encoding));
        client.open(URI, "rust", TEXT);
        let mut rng = Rng::new(encoding.name().len() as u64);
        for _ in 0..150 {
            random_change(&mut client, URI, &mut rng);
            client.assert_in_step(URI);
        }
        assert_eq!(client.shut_down(), Some(0));
    }
}

/// Sends a random mix of changes and questions without waiting, then holds every answer against the text at the time
/// its question was sent.
fn interleave(client: &mut Client, uris: &[&str], rng: &mut Rng) {
    let mut asked: Vec<(i64, Document, &str)> = Vec::new();
    for _ in 0..40 {
        let uri = *rng.pick(uris);
        if rng.chance(60) {
            random_change(client, uri, rng);
        } else {
            let id = client.request("lacuna/document", json!({"uri": uri}));
            asked.push((id, client.document(uri).clone(), uri));
        }
    }
    for (id, expected, uri) in asked {
        let held = client.response(id).result.unwrap();
        assert_eq!(held["version"], expected.version, "an inversion in {uri}");
        assert_eq!(held["text"], expected.text.as_str(), "an inversion in {uri}");
    }
}

#[test]
fn a_hundred_random_interleavings_hold_no_inversion() {
    let mut client = shipped_ready(&Setup::default());
    let uris = ["file:///a/one.rs", "file:///a/two.py", "file:///b/three.txt", "untitled:Untitled-1"];
    for (uri, language) in uris.iter().zip(["rust", "python", "plaintext", "typescript"]) {
        client.open(uri, language, TEXT);
    }
    let mut rng = Rng::new(11);
    for _ in 0..100 {
        interleave(&mut client, &uris, &mut rng);
    }
}

#[test]
fn a_byte_order_mark_counts_as_the_character_it_is() {
    for encoding in Encoding::ALL {
        let mut client = shipped_ready(&Setup::with_encoding(encoding));
        client.open(URI, "rust", "\u{feff}fn main() {}\n");
        client.assert_in_step(URI);
        let name = client.after(URI, "fn ");
        client.change(URI, name..name + 4, "main2");
        client.assert_in_step(URI);
        // Taking the mark away and putting it back is an edit like any other.
        client.change(URI, 0..3, "");
        client.change(URI, 0..2, "pub fn");
        client.change(URI, 0..0, "\u{feff}");
        client.assert_in_step(URI);
        client.replace_all(URI, "\u{feff}mod a;\r\n");
        client.type_at(URI, 3, "pub ");
        client.assert_in_step(URI);
    }
}

#[test]
fn the_encoding_is_the_best_one_offered() {
    let offers: [(&[&'static str], Encoding); 5] = [
        (&["utf-16", "utf-8"], Encoding::Utf8),
        (&["utf-32", "utf-16"], Encoding::Utf16),
        (&["utf-32"], Encoding::Utf32),
        (&[], Encoding::Utf16),
        (&["utf-7"], Encoding::Utf16),
    ];
    for (encodings, expected) in offers {
        let stage = stage();
        let mut client = Client::start(&stage.launch(&Script::default()));
        client.initialize(&Setup { encodings: encodings.to_vec(), ..Setup::default() });
        assert_eq!(client.encoding(), expected, "{encodings:?}");
    }
}

#[test]
fn documents_are_followed_whatever_they_are() {
    let folders = vec!["file:///first".to_owned(), "file:///second%20folder".to_owned()];
    let mut client = shipped_ready(&Setup { folders, ..Setup::default() });
    let documents = [
        ("file:///first/src/lib.rs", "rust"),
        ("file:///second%20folder/tool.py", "python"),
        ("file:///elsewhere/notes.txt", "plaintext"),
        ("file:///first/LICENSE", ""),
        ("file:///first/a.xyz", "no-such-language"),
        ("untitled:Untitled-1", "rust"),
        ("vscode-notebook-cell:/first/n.ipynb#W0", "python"),
    ];
    for (uri, language) in documents {
        client.open(uri, language, TEXT);
        let end = client.document(uri).text.len();
        client.type_at(uri, end, "☃\r\n");
        client.assert_in_step(uri);
        let params = inline_params(&client, uri, end);
        client.ask("textDocument/inlineCompletion", params);
    }
    let change = json!({"event": {
        "added": [{"uri": "file:///third", "name": "third"}],
        "removed": [{"uri": "file:///first", "name": "first"}],
    }});
    client.notify("workspace/didChangeWorkspaceFolders", change);
    for (uri, _) in documents {
        client.assert_in_step(uri);
        client.close(uri);
        assert_eq!(client.ask("lacuna/document", json!({"uri": uri})), Value::Null, "{uri} is closed");
    }
}

#[test]
fn a_document_opened_again_starts_anew() {
    let mut client = shipped_ready(&Setup::default());
    client.open(URI, "rust", "fn one() {}\n");
    client.type_at(URI, 0, "pub ");
    client.close(URI);
    client.open(URI, "python", "two = 2\n");
    client.assert_in_step(URI);
    assert_eq!(client.shut_down(), Some(0));
}
