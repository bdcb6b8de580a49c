//! Cancelling and superseding: answered at once, and the engine stops.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails loudly")]

use lacuna_tests::client::{Client, Setup, Trigger};
use lacuna_tests::engine::{End, Script};
use lacuna_tests::servers::{Stage, shipped_ready};
use lacuna_tests::timing::within;
use serde_json::json;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const URI: &str = "file:///project/main.rs";
const TEXT: &str = "fn main() {\n    let total = \n}\n";
const CANCELLED: i64 = -32800;

/// From the wish to stop to the answer.
const ANSWER_MAX: Duration = Duration::from_millis(50);

/// These tests measure times, so they take turns.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn stage() -> Stage {
    Stage::new(env!("CARGO_BIN_EXE_lacuna-scripted"))
}

/// An engine that works far longer than any test waits.
fn endless() -> Script {
    Script { step_ms: 600_000.0, ..Script::default() }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// A request that runs in the engine.
fn running(client: &mut Client, uri: &str) -> i64 {
    let caret = client.after(uri, "total = ");
    let id = client.request_inline(uri, caret, Trigger::Automatic);
    client.state("busy");
    id
}

/// A client whose one request runs in an engine that does not end by itself.
fn busy() -> (Stage, Client, i64) {
    let stage = stage();
    let mut client = stage.ready(&endless(), &Setup::default());
    client.open(URI, "rust", TEXT);
    let id = running(&mut client, URI);
    (stage, client, id)
}

/// How long after `asked` the engine stopped, by its own account of its first inference, once the worker has gone on to
/// say that it is ready.
fn engine_stopped_after(stage: &Stage, client: &mut Client, asked: Duration) -> Duration {
    client.state("ready");
    let first = &stage.inferences()[0];
    assert_eq!(first.end, Some(End::Cancelled), "{first:?}");
    first.ended.unwrap().saturating_sub(asked)
}

#[test]
fn a_cancelled_request_is_answered_at_once_and_its_engine_stops() {
    let _turn = alone();
    within("cancelled: the answer, and the engine's stop", ANSWER_MAX, || {
        let (stage, mut client, id) = busy();
        let asked = now();
        client.cancel(id);
        let answer = client.response(id);
        let answered = now() - asked;
        assert_eq!(answer.code(), CANCELLED);
        let stopped = engine_stopped_after(&stage, &mut client, asked);
        assert_eq!(client.counter("inferencesCancelled"), 1);
        answered.max(stopped)
    });
}

#[test]
fn a_newer_request_supersedes_the_one_that_runs_without_a_cancel() {
    let _turn = alone();
    within("superseded: the answer", ANSWER_MAX, || {
        let (_stage, mut client, first) = busy();
        let asked = now();
        client.type_at(URI, client.after(URI, "total = "), "n");
        let second = client.request_inline(URI, client.after(URI, "total = n"), Trigger::Automatic);
        assert_eq!(client.response(first).code(), CANCELLED);
        let after = now() - asked;
        client.cancel(second);
        assert_eq!(client.response(second).code(), CANCELLED);
        after
    });
}

#[test]
fn requests_of_different_documents_do_not_supersede_each_other() {
    let _turn = alone();
    let stage = stage();
    let script = Script { step_ms: 30.0, ..Script::default() };
    let mut client = stage.ready(&script, &Setup::default());
    let uris: Vec<String> = (0..4).map(|number| format!("file:///project/{number}.rs")).collect();
    for uri in &uris {
        client.open(uri, "rust", TEXT);
    }
    let caret = client.after(&uris[0], "total = ");
    let ids: Vec<i64> =
        uris.iter().map(|uri| client.request_inline(uri, caret, Trigger::Automatic)).collect();
    for id in ids {
        assert!(client.response(id).result.is_ok());
    }
}

#[test]
fn a_request_that_waits_is_cancelled_without_an_inference() {
    let _turn = alone();
    let other = "file:///project/other.rs";
    within("cancelled while it waits: the answer", ANSWER_MAX, || {
        let (stage, mut client, runs) = busy();
        client.open(other, "rust", TEXT);
        let waits = client.request_inline(other, client.after(other, "total = "), Trigger::Automatic);
        client.cancel(waits);
        let answer = client.response(waits);
        assert_eq!(answer.code(), CANCELLED);
        client.cancel(runs);
        assert_eq!(client.response(runs).code(), CANCELLED);
        client.state("ready");
        assert_eq!(stage.inferences().len(), 1);
        answer.after
    });
}

/// Closing a document takes the work for it along.
#[test]
fn a_closed_document_is_not_worked_for() {
    let _turn = alone();
    within("closed: the engine's stop", ANSWER_MAX, || {
        let (stage, mut client, id) = busy();
        let asked = now();
        client.close(URI);
        client.response(id);
        engine_stopped_after(&stage, &mut client, asked)
    });
}

/// What Neovim does: it never cancels what a newer request replaces.
#[test]
fn thirty_changes_with_a_request_each_are_answered_and_infer_twice_at_most() {
    let _turn = alone();
    let stage = stage();
    let script = Script { steps: 10, step_ms: 20.0, ..Script::default() };
    let mut client = stage.ready(&script, &Setup::default());
    client.open(URI, "rust", TEXT);
    let ids: Vec<i64> = (0..30)
        .map(|number| {
            let caret = client.after(URI, "total = ") + number;
            client.type_at(URI, caret, "a");
            client.request_inline(URI, caret + 1, Trigger::Automatic)
        })
        .collect();
    let answers: Vec<i64> = ids.into_iter().map(|id| client.response(id).code()).collect();
    assert_eq!(answers.last(), Some(&0), "the last one is a result: {answers:?}");
    assert!(answers[..29].iter().all(|&code| code == CANCELLED), "{answers:?}");
    let seen = stage.inferences();
    let last = &seen.last().unwrap().tail;
    assert!(last.ends_with(&format!("total = {}", "a".repeat(30))), "{last:?}");
    let tails: Vec<usize> =
        seen.iter().map(|it| it.tail.len() - it.tail.trim_end_matches('a').len()).collect();
    assert!(seen.len() <= 2, "inferences started after so many of the 30 letters: {tails:?}");
}

/// Ticks of 10 ms that a process has computed so far (`man 5 proc`, `utime` and `stime`).
#[cfg(target_os = "linux")]
fn cpu_ticks(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// What an editor asks with diagnostics far apart in a large text: each has a part of it parsed.
#[cfg(target_os = "linux")]
fn actions_of_a_large_text(client: &mut Client) -> serde_json::Value {
    let item = "fn f(a: i32) -> i32 {\n    g(a, |x| x.iter().map(|y| y + 1).sum())\n}\n\n";
    let text = item.repeat((4 << 20) / item.len());
    client.open(URI, "rust", &text);
    let range = |bytes| client.document(URI).range(&bytes, client.encoding());
    let places =
        (0..5).map(|part| item.len() * (text.len() / item.len() * part / 5) + item.find("|x|").unwrap());
    let diagnostics: Vec<_> =
        places.map(|at| json!({"range": range(at..at + 3), "message": "a fault"})).collect();
    let context = json!({"diagnostics": diagnostics, "triggerKind": 1});
    json!({"textDocument": {"uri": URI}, "range": range(0..text.len()), "context": context})
}

/// Nothing is inferred for them, and still a large text takes long enough for a person to have gone on.
#[test]
#[cfg(target_os = "linux")]
fn code_actions_are_cancelled_while_they_are_looked_for() {
    const REQUESTS: usize = 20;
    let _turn = alone();
    within("percent computed of what the same takes without a cancel", 50, || {
        let stage = stage();
        let mut client = stage.ready(&endless(), &Setup::default());
        let params = actions_of_a_large_text(&mut client);
        let process = client.process_id();
        let request = |client: &mut Client| -> Vec<i64> {
            (0..REQUESTS).map(|_| client.request("textDocument/codeAction", params.clone())).collect()
        };
        let before = cpu_ticks(process);
        for id in request(&mut client) {
            let found = client.response(id).result.unwrap();
            assert!(found.as_array().unwrap().len() >= 5, "{found}");
        }
        let whole = cpu_ticks(process) - before;
        let before = cpu_ticks(process);
        let ids = request(&mut client);
        client.listen(Duration::from_millis(5));
        for id in &ids {
            client.cancel(*id);
        }
        let answers: Vec<i64> = ids.into_iter().map(|id| client.response(id).code()).collect();
        // It comes behind all that is still computed for nobody.
        assert!(client.call("textDocument/codeAction", params).result.is_ok());
        let computed = cpu_ticks(process) - before;
        assert_eq!(client.shut_down(), Some(0));
        if answers.iter().all(|&code| code == CANCELLED) { 100 * computed / whole.max(1) } else { 100 }
    });
}

/// The shipped model, made to think for long: what it computes after the cancel is 100 ms of each of its threads at
/// most. Time on the processor, not on the clock, so that a machine with other work changes nothing.
#[test]
#[cfg(target_os = "linux")]
fn the_processor_idles_when_a_long_job_is_cancelled() {
    const COMPUTED_MS_MAX: u64 = 200;
    let _turn = alone();
    let options = json!({"invokedPreset": "thorough", "candidates": 64});
    within("milliseconds computed after the cancel", COMPUTED_MS_MAX, || {
        let mut client = shipped_ready(&Setup::with_options(options.clone()));
        client.open(
            URI,
            "rust",
            "/// Adds all numbers of a list.\nfn sum(numbers: &[i32]) -> i32 {\n    \n}\n",
        );
        let process = client.process_id();
        let before = cpu_ticks(process);
        let id = client.request_inline(URI, client.after(URI, "-> i32 {\n    "), Trigger::Invoked);
        client.state("busy");
        client.listen(Duration::from_millis(100));
        assert!(client.arrived(id).is_none(), "the job is too short to be cancelled");
        let asked = cpu_ticks(process);
        assert!(asked > before, "the job does not compute");
        client.cancel(id);
        assert_eq!(client.response(id).code(), CANCELLED);
        client.listen(Duration::from_secs(1));
        let computed = cpu_ticks(process) - asked;
        assert_eq!(client.shut_down(), Some(0));
        computed * 10
    });
}
