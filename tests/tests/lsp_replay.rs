//! Hours of editing at speed: every request is answered, and memory does not grow.
//!
//! `LACUNA_REPLAY_MESSAGES` says how many messages (20 000 by default; eight hours of typing are about 200 000).
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails loudly")]

use lacuna_tests::client::{Client, Setup, Trigger};
use lacuna_tests::engine::Script;
use lacuna_tests::rng::Rng;
use lacuna_tests::servers::Stage;

const DOCUMENTS: usize = 40;
/// Messages until every document has a tree and has been asked about: memory is taken from there on at the earliest.
const WARM: usize = 10_000;
/// Bytes that documents are kept at, about.
const BYTES: usize = 4000;
const LANGUAGES: [(&str, &str); 4] =
    [("rs", "rust"), ("py", "python"), ("ts", "typescript"), ("txt", "plaintext")];
const PIECES: [&str; 8] = ["a", "b_c", " ", "(x)", " = ", "\n", "\n    let value = ", "☃"];

/// One person at many documents.
struct Session {
    client: Client,
    rng: Rng,
    /// Requests that have not been answered yet.
    open: Vec<i64>,
    sent: usize,
    answered: usize,
}

impl Session {
    fn new(stage: &Stage) -> Self {
        let mut client = stage.ready(&Script::default(), &Setup::default());
        for number in 0..DOCUMENTS {
            open(&mut client, number);
        }
        Self { client, rng: Rng::new(3), open: Vec::new(), sent: DOCUMENTS, answered: 0 }
    }

    /// A few keys in one document, a request after most of them, sometimes a document closed and opened again.
    fn step(&mut self) {
        let number = self.rng.below(DOCUMENTS);
        let uri = uri(number);
        if self.rng.chance(2) {
            self.client.close(&uri);
            open(&mut self.client, number);
            self.sent += 2;
        }
        let document = self.client.document(&uri);
        let longest = if document.text.len() > BYTES { 200 } else { 0 };
        let bytes = document.random_span(&mut self.rng, longest);
        let mut caret = bytes.start;
        self.client.change(&uri, bytes, "");
        for _ in 0..=self.rng.below(5) {
            let piece = *self.rng.pick(&PIECES);
            self.client.type_at(&uri, caret, piece);
            caret += piece.len();
            let trigger = if self.rng.chance(10) { Trigger::Invoked } else { Trigger::Automatic };
            self.open.push(self.client.request_inline(&uri, caret, trigger));
            self.sent += 2;
        }
        self.sent += 1;
    }

    /// Waits for every answer; each is a list or says that a newer request came.
    fn settle(&mut self) {
        for id in self.open.drain(..) {
            let code = self.client.response(id).code();
            assert!(code == 0 || code == -32800, "{code}");
            self.answered += 1;
        }
        for method in ["lacuna/status", "window/logMessage"] {
            self.client.notifications(method);
        }
    }

    /// Goes on until so many messages are sent; the memory the server then holds, in KiB.
    fn run_to(&mut self, messages: usize) -> u64 {
        while self.sent < messages {
            for _ in 0..20 {
                self.step();
            }
            self.settle();
        }
        resident_kib(self.client.process_id())
    }
}

fn uri(number: usize) -> String {
    format!("file:///project/{number}.{}", LANGUAGES[number % LANGUAGES.len()].0)
}

fn open(client: &mut Client, number: usize) {
    let line = format!("let value_{number} = compute(value, {number});\n");
    client.open(&uri(number), LANGUAGES[number % LANGUAGES.len()].1, &line.repeat(BYTES / line.len()));
}

/// Resident memory of a process (`man 5 proc`, `VmRSS`).
fn resident_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn memory_ends_where_it_was_after_the_first_tenth() {
    let messages = std::env::var("LACUNA_REPLAY_MESSAGES").map_or(20_000, |number| number.parse().unwrap());
    let stage = Stage::new(env!("CARGO_BIN_EXE_lacuna-scripted"));
    let mut session = Session::new(&stage);
    let early = session.run_to(WARM.max(messages / 10));
    let late = session.run_to(messages);
    let Session { sent, answered, .. } = session;
    lacuna_tests::say(&format!(
        "replay: {sent} messages over {DOCUMENTS} documents, {answered} answers, {early} KiB warm, {late} KiB at the end"
    ));
    for number in 0..DOCUMENTS {
        session.client.assert_in_step(&uri(number));
    }
    assert!(late * 10 <= early * 11, "memory grew from {early} to {late} KiB");
    assert_eq!(session.client.shut_down(), Some(0));
}
