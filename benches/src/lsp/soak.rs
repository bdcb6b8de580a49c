//! A long day of editing at speed: edits, openings and closings, requests of all kinds and cancels over many documents.
//! Every request is answered exactly once (the client fails on an answer that nobody waits for), and memory stays.

use super::process::Process;
use super::{Figure, Programs, Target, code};
use lacuna_tests::client::{Client, Edits, Setup, Trigger};
use lacuna_tests::engine::Script;
use lacuna_tests::rng::Rng;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::time::Instant;

const DOCUMENTS: usize = 40;
/// Lines of each.
const LINES: usize = 150;
/// Messages after which the work goes on to the next document: a quarter of a minute of an eight-hour day.
const STAY: usize = 100;
/// Documents that are worked on at a time.
const AT_ONCE: usize = 4;
/// Requests without an answer at a time.
const IN_FLIGHT_MAX: usize = 24;
/// What is typed: words, brackets, line breaks, characters of all widths.
const PIECES: [&str; 12] =
    ["x", "let y = ", "(", ")", "self.", "\n    ", "é", "🦀", "value", " + ", "{\n}\n", "todo!()"];

struct Day {
    client: Client,
    rng: Rng,
    /// Name, language and first text.
    documents: Vec<(String, &'static str, String)>,
    open: Vec<bool>,
    waiting: VecDeque<i64>,
    messages: usize,
    requests: usize,
    answered: usize,
    errors: Vec<i64>,
}

/// So many messages.
#[must_use]
pub fn soak(programs: &Programs, messages: usize) -> Vec<Figure> {
    let stage = programs.stage();
    let script =
        Script { candidates: vec!["{last}".to_owned(), "value + 1".to_owned()], ..Script::default() };
    let mut day = Day::new(stage.ready(&script, &Setup::default()));
    let server = Process(day.client.process_id());
    let start = Instant::now();
    let mut tenths = Vec::new();
    while tenths.len() < 10 {
        while day.messages * 10 < messages * (tenths.len() + 1) {
            day.step();
        }
        day.drain(0);
        tenths.push(server.resident_bytes());
    }
    let seconds = start.elapsed().as_secs_f64();
    let in_step = (0..DOCUMENTS).filter(|&n| day.open[n] && !day.is_in_step(n)).count();
    let status = day.client.status();
    let growth = 100.0 * (tenths[9] as f64 / tenths[0] as f64 - 1.0);
    let panics = status["counters"]["panics"].as_u64().unwrap_or(u64::MAX);
    let inferences = status["counters"]["inferencesStarted"].as_u64().unwrap_or_default();
    let megabytes = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    let mut figures = vec![
        Figure::count("messages sent", day.messages),
        Figure::new(
            "messages per second, client and server on one machine",
            day.messages as f64 / seconds,
            "1/s",
        ),
        Figure::count("requests", day.requests),
        Figure::count("requests not answered exactly once", day.requests - day.answered)
            .held(Target::Exactly(0.0)),
        Figure::count(
            "requests refused for another reason than being cancelled, late or without a use",
            day.unexpected(),
        )
        .held(Target::Exactly(0.0)),
        Figure::count("inferences started", inferences as usize),
        Figure::count("documents unlike the client's copy at the end", in_step).held(Target::Exactly(0.0)),
        Figure::count("panics", panics as usize).held(Target::Exactly(0.0)),
        Figure::new("growth since the first tenth", growth, "%").held(Target::AtMost(10.0)),
    ];
    figures.extend(
        (1..).zip(&tenths).map(|(tenth, &bytes)| {
            Figure::new(format!("memory after {tenth} tenths"), megabytes(bytes), "MiB")
        }),
    );
    figures
}

impl Day {
    fn new(mut client: Client) -> Self {
        // An edit that is applied would change texts while later messages are already written for the older ones.
        client.replies().edits = Edits::Refuse;
        let named =
            [("rs", "rust"), ("py", "python"), ("toml", "toml"), ("json", "json"), ("md", "markdown")];
        let texts = code::files(&named.map(|(ending, _)| ending));
        let step = (texts.len() / DOCUMENTS).max(1);
        let documents: Vec<(String, &'static str, String)> = texts
            .iter()
            .step_by(step)
            .take(DOCUMENTS)
            .enumerate()
            .map(|(number, path)| {
                let ending = path.extension().unwrap_or_default().to_string_lossy().into_owned();
                let language = named.iter().find(|(it, _)| *it == ending).map_or("plaintext", |(_, id)| *id);
                let text: Vec<String> = code::read(path).lines().take(LINES).map(str::to_owned).collect();
                (format!("file:///project/src/file{number}.{ending}"), language, text.join("\n"))
            })
            .collect();
        let mut open = Vec::new();
        for (uri, language, text) in &documents {
            client.open(uri, language, text);
            open.push(true);
        }
        Self {
            client,
            rng: Rng::new(17),
            documents,
            open,
            waiting: VecDeque::new(),
            messages: DOCUMENTS,
            requests: 0,
            answered: 0,
            errors: Vec::new(),
        }
    }

    /// One thing a person or an editor does.
    fn step(&mut self) {
        // Work stays with a few documents and wanders over all of them.
        let number = (self.messages / STAY + self.rng.below(AT_ONCE)) % self.documents.len();
        if !self.open[number] {
            let (uri, language, text) = &self.documents[number];
            self.client.open(uri, language, text);
            self.open[number] = true;
            self.messages += 1;
        }
        match self.rng.below(100) {
            0..55 => self.edit(number),
            55..93 => self.ask(number),
            93..98 => self.cancel(),
            _ => {
                self.client.close(&self.documents[number].0);
                self.open[number] = false;
                self.messages += 1;
            }
        }
        self.drain(IN_FLIGHT_MAX);
    }

    /// Types, deletes, replaces; a document stays about as long as it was.
    fn edit(&mut self, number: usize) {
        let (uri, _, first) = &self.documents[number];
        let document = self.client.document(uri);
        let mut span = document.random_span(&mut self.rng, 6);
        let new = if document.text.len() > first.len() {
            ""
        } else {
            span.end = span.start;
            *self.rng.pick(&PIECES)
        };
        self.client.change(uri, span, new);
        self.messages += 1;
    }

    fn ask(&mut self, number: usize) {
        let (uri, ..) = self.documents[number].clone();
        let span = self.client.document(&uri).random_span(&mut self.rng, 60);
        let range = self.client.document(&uri).range(&span, self.client.encoding());
        let position = range["start"].clone();
        let document = json!({"uri": uri});
        let diagnostic = json!([{"range": range, "message": "mismatched types", "severity": 1}]);
        let (method, params) = match self.rng.below(100) {
            0..55 => (
                "textDocument/inlineCompletion",
                self.client.inline_params(&uri, span.start, Trigger::Automatic),
            ),
            55..63 => (
                "textDocument/inlineCompletion",
                self.client.inline_params(&uri, span.start, Trigger::Invoked),
            ),
            63..71 => ("textDocument/completion", json!({"textDocument": document, "position": position})),
            71..80 => {
                let context = json!({"diagnostics": diagnostic, "triggerKind": 2});
                (
                    "textDocument/codeAction",
                    json!({"textDocument": document, "range": range, "context": context}),
                )
            }
            80..85 => return self.resolve(&uri, span, &diagnostic),
            85..89 => command("lacuna.fill", json!([{"uri": uri, "position": position}])),
            89..92 => command("lacuna.refine", json!([{"uri": uri, "range": range}])),
            92..96 => command("lacuna.status", json!([])),
            _ => ("lacuna/document", document),
        };
        let id = self.client.request(method, params);
        self.requested(id);
    }

    /// Asks for code actions, waits for them, and has one worked out.
    fn resolve(&mut self, uri: &str, span: std::ops::Range<usize>, diagnostics: &Value) {
        let actions = self.client.actions(uri, span, diagnostics);
        self.requests += 1;
        self.answered += 1;
        self.messages += 1;
        if !actions.is_empty() {
            let action = self.rng.pick(&actions).clone();
            let id = self.client.request("codeAction/resolve", action);
            self.requested(id);
        }
    }

    fn requested(&mut self, id: i64) {
        self.waiting.push_back(id);
        self.requests += 1;
        self.messages += 1;
    }

    fn cancel(&mut self) {
        if let Some(&id) = self.waiting.get(self.rng.below(self.waiting.len())) {
            self.client.cancel(id);
            self.messages += 1;
        }
    }

    /// Waits until no more than so many requests are without an answer.
    fn drain(&mut self, most: usize) {
        while self.waiting.len() > most {
            let Some(id) = self.waiting.pop_front() else { return };
            let answer = self.client.response(id);
            self.answered += 1;
            self.errors.extend(answer.result.is_err().then(|| answer.code()));
        }
        self.client.notifications("lacuna/status");
        self.client.notifications("$/progress");
        self.client.notifications("window/showMessage");
        self.client.replies().seen.clear();
    }

    /// Refusals that are not those of a cancelled request, of a changed document, or of nothing usable.
    fn unexpected(&self) -> usize {
        const EXPECTED: [i64; 3] = [-32800, -32801, -32803];
        self.errors.iter().filter(|code| !EXPECTED.contains(code)).count()
    }

    fn is_in_step(&mut self, number: usize) -> bool {
        let (uri, ..) = self.documents[number].clone();
        let held = self.client.ask("lacuna/document", json!({"uri": uri}));
        held["text"] == self.client.document(&uri).text.as_str()
    }
}

fn command(name: &str, arguments: Value) -> (&'static str, Value) {
    ("workspace/executeCommand", json!({"command": name, "arguments": arguments}))
}
