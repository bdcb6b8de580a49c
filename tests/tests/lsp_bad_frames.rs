//! Bytes that are no message: the specified error, reading goes on behind them, and the next request works.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails loudly")]

use lacuna_tests::client::{Client, Setup};
use lacuna_tests::engine::Script;
use lacuna_tests::servers::{Stage, check_alive};
use lacuna_tests::wire::{frame, frame_json};
use serde_json::json;

const URI: &str = "file:///project/main.rs";
const TEXT: &str = "fn main() {\n    let answer = \n}\n";

const PARSE_ERROR: i64 = -32700;
const INVALID_REQUEST: i64 = -32600;

/// A client with one document open.
fn client() -> Client {
    let stage = Stage::new(env!("CARGO_BIN_EXE_lacuna-scripted"));
    let mut client = stage.ready(&Script::default(), &Setup::default());
    client.open(URI, "rust", TEXT);
    client
}

/// Sends bytes that are no message; the server says so with this code, and lives.
fn check_refused(bytes: &[u8], code: i64) {
    let mut client = client();
    client.raw(bytes.to_vec());
    // A valid message behind the fault, so that reading can go on there.
    let id = client.request("lacuna/document", json!({"uri": URI}));
    let refusal = client.nameless_error();
    assert_eq!(refusal.code, code, "{:?}: {}", String::from_utf8_lossy(bytes), refusal.message);
    assert!(!refusal.message.is_empty());
    assert!(client.response(id).result.is_ok());
    check_alive(client);
}

#[test]
fn malformed_headers() {
    let junk = [&[0xff, 0xfe, 0x00, 0x80][..], &[b'x'; 9000], b"\r\n\r\n"].concat();
    let cases: [&[u8]; 7] = [
        b"hello\r\n\r\n",
        b"Content-Length: many\r\n\r\n{}\r\n",
        b"Content-Length: -5\r\n\r\n{}\r\n",
        b"Content-Length:\r\n\r\n{}\r\n",
        b"Content-Length: 0x10\r\n\r\n{}\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        &junk,
    ];
    for bytes in cases {
        check_refused(bytes, PARSE_ERROR);
    }
}

#[test]
fn a_length_that_is_too_short_costs_that_message_only() {
    check_refused(
        b"Content-Length: 5\r\n\r\n{\"jsonrpc\": \"2.0\", \"method\": \"initialized\"}\r\n",
        PARSE_ERROR,
    );
}

#[test]
fn malformed_json() {
    let cases: [&[u8]; 6] =
        [b"{\"jsonrpc\": \"2.0\",", b"not json", b"", b"{\"a\": \xff\xfe}", b"{} {}", b"\"\\ud800\""];
    for body in cases {
        check_refused(&frame(body), PARSE_ERROR);
    }
}

#[test]
fn json_that_nests_without_end() {
    let deep = format!("{}1{}", "[".repeat(200_000), "]".repeat(200_000));
    check_refused(&frame(deep.as_bytes()), PARSE_ERROR);
}

#[test]
fn json_that_is_no_message() {
    for body in [json!(7), json!(null), json!([]), json!("x"), json!({}), json!({"jsonrpc": "2.0"})] {
        check_refused(&frame_json(&body), INVALID_REQUEST);
    }
}

#[test]
fn a_huge_length_is_refused_and_what_follows_is_read() {
    for length in ["99999999999", "18446744073709551616", "340282366920938463463374607431768211456"] {
        check_refused(format!("Content-Length: {length}\r\n\r\n{{}}\r\n").as_bytes(), INVALID_REQUEST);
    }
}

#[test]
fn other_headers_and_lower_case_names_are_read() {
    let mut client = client();
    let body = json!({"jsonrpc": "2.0", "id": 9001, "method": "lacuna/document", "params": {"uri": URI}})
        .to_string();
    client.expect_id(9001);
    let head = format!(
        "Content-Type: application/vscode-jsonrpc; charset=utf-8\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    client.raw([head.as_bytes(), body.as_bytes()].concat());
    assert_eq!(client.response(9001).result.unwrap()["text"], TEXT);
    check_alive(client);
}
