//! Typing into a big file while the engine works: no message waits for the server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails loudly")]

use lacuna_tests::client::{Client, Setup, Trigger};
use lacuna_tests::engine::Script;
use lacuna_tests::servers::Stage;
use lacuna_tests::timing::{Echo, within};
use serde_json::json;
use std::time::Duration;

const URI: &str = "file:///project/big.rs";
const LINES: usize = 20_000;
const KEYS: usize = 1000;

/// What a person does not notice. The machine that runs the tests does other things too, so a few messages may wait longer,
/// and what a round trip to `cat` takes at the same time is not counted.
const WAIT_P99_MAX: Duration = Duration::from_millis(10);

/// The same for an answer that takes no inference.
const TYPED_THROUGH_P50_MAX: Duration = Duration::from_millis(2);

/// A key, the request that an editor sends with it, and how long a message right behind them waits for its answer.
fn key(client: &mut Client, caret: usize) -> Duration {
    client.type_at(URI, caret, "a");
    client.request_inline(URI, caret + 1, Trigger::Automatic);
    let response = client.call("lacuna/document", json!({"uri": "file:///not/open.rs"}));
    assert!(response.result.is_ok());
    response.after
}

/// The median and the 99th percentile; printed past the test runner's capture.
fn percentiles(what: &str, waits: &mut [Duration]) -> (Duration, Duration) {
    waits.sort();
    let last = waits.len() - 1;
    let (p50, p99, most) = (waits[last / 2], waits[last * 99 / 100], waits[last]);
    lacuna_tests::say(&format!("{what} {p50:?} (p50), {p99:?} (p99), {most:?} (most)"));
    (p50, p99)
}

#[test]
fn a_thousand_keys_wait_for_nothing_while_the_engine_works() {
    let stage = Stage::new(env!("CARGO_BIN_EXE_lacuna-scripted"));
    let script = Script { step_ms: 600_000.0, ..Script::default() };
    let mut client = stage.ready(&script, &Setup::default());
    let text: String =
        (0..LINES / 4).map(|i| format!("fn f{i}(a: u32) -> u32 {{\n    a + {i}\n}}\n\n")).collect();
    // Near the start, so that the client's own plain search for positions is no part of what is measured.
    client.open(URI, "rust", &text);
    let start = client.after(URI, "    a + 0");
    let mut echo = Echo::start();
    within("p99 of the waits", WAIT_P99_MAX, || {
        let (mut waits, mut trips) = (Vec::new(), Vec::new());
        for number in 0..KEYS {
            waits.push(key(&mut client, start + number % 40));
            trips.push(echo.as_mut().map_or(Duration::ZERO, Echo::round_trip));
        }
        let trip = percentiles("a round trip to another program takes", &mut trips).1;
        percentiles("typing: a message waits", &mut waits).1.saturating_sub(trip)
    });
    assert_eq!(client.shut_down(), Some(0));
}

#[test]
fn what_is_typed_of_an_offer_is_answered_without_a_wait() {
    let offer = format!("compute({});", "argument_of_it, ".repeat(20));
    within("p50 of the answers", TYPED_THROUGH_P50_MAX, || {
        let mut waits = typed_through(&offer);
        percentiles("typed through: an answer takes", &mut waits).0
    });
}

/// How long each answer took while an offer was typed letter by letter, all of them from one inference.
fn typed_through(offer: &str) -> Vec<Duration> {
    let stage = Stage::new(env!("CARGO_BIN_EXE_lacuna-scripted"));
    let script = Script { candidates: vec![offer.to_owned()], ..Script::default() };
    let mut client = stage.ready(&script, &Setup::default());
    client.open(URI, "rust", "fn f() {\n    let a = \n}\n");
    let mut caret = client.after(URI, "let a = ");
    assert_eq!(client.inline(URI, caret, Trigger::Automatic).len(), 1);
    let mut waits = Vec::new();
    for letter in offer[..offer.len() - 3].chars() {
        client.type_at(URI, caret, &letter.to_string());
        caret += 1;
        let id = client.request_inline(URI, caret, Trigger::Automatic);
        let response = client.response(id);
        waits.push(response.after);
        assert_eq!(response.result.unwrap()["items"][0]["insertText"], offer);
    }
    assert_eq!(stage.inferences().len(), 1);
    waits
}
