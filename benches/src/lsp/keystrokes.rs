//! Keystrokes in a long file while the shipped model works for another document: none waits for the server.

use super::caret::{Caret, ask, send, status_request};
use super::process::Process;
use super::{Figure, Programs, Target, code};
use crate::quantile;
use lacuna_tests::client::{Client, Setup, Trigger};
use serde_json::json;
use std::time::Duration;

const LINES: usize = 20_000;
const KEYSTROKES: usize = 1000;
/// Between two keystrokes, in pauses after which the model gets more to do: faster than anyone types.
const PAUSES: usize = 5;
const PAUSE: Duration = Duration::from_millis(4);
const LONG: Duration = Duration::from_millis(10);
const URI: &str = "file:///project/src/long.rs";

/// Keeps the engine busy: as soon as a request is answered, types a letter and asks again. Two of them leave no pause.
struct Background {
    caret: Caret,
    asked: i64,
}

impl Background {
    fn start(client: &mut Client, name: &str) -> Self {
        let text = "fn main() {\n    let words = \n}\n";
        let mut caret = Caret::open(client, &format!("file:///project/src/{name}.rs"), "rust", text);
        caret.go_to(1, 16);
        let asked = send(client, &[caret.question(Trigger::Invoked)]);
        Self { caret, asked }
    }

    fn go_on(&mut self, client: &mut Client) {
        if client.arrived(self.asked).is_some() {
            let change = self.caret.typed("w");
            self.asked = send(client, &[change, self.caret.question(Trigger::Invoked)]);
        }
    }
}

/// A keystroke.
struct Wait {
    /// From the change to the answer of the request right behind it.
    took: Duration,
    /// Of that, at most so much was spent ready to run, but without a core: in the server, the engine aside, and here.
    without_core: Duration,
    busy: bool,
}

/// With a model that rests, then with one that works.
#[must_use]
pub fn keystrokes(programs: &Programs) -> Vec<Figure> {
    let text = code::long_rust_file(LINES);
    let mut figures = Vec::new();
    for works in [false, true] {
        let options = json!({"invokedPreset": "thorough", "candidates": 8});
        let mut client = programs.shipped(&Setup::with_options(options));
        let mut caret = Caret::open(&mut client, URI, "rust", &text);
        let line = LINES / 2;
        caret.go_to(line, text.lines().nth(line).unwrap_or_default().len());
        ask(&mut client, &[status_request()]);
        let names: &[&str] = if works { &["first", "second"] } else { &[] };
        let mut background: Vec<Background> =
            names.iter().map(|name| Background::start(&mut client, name)).collect();
        let waits = type_lines(&mut client, &mut caret, &mut background);
        figures.extend(told(if works { "model works" } else { "model rests" }, &waits, works));
    }
    figures
}

fn type_lines(client: &mut Client, caret: &mut Caret, background: &mut [Background]) -> Vec<Wait> {
    let server = Process(client.process_id());
    let mut waits = Vec::with_capacity(KEYSTROKES);
    for letter in code::statements().join("\n    ").chars().cycle().take(KEYSTROKES) {
        for _ in 0..PAUSES {
            client.listen(PAUSE);
            for other in &mut *background {
                other.go_on(client);
            }
        }
        client.notifications("lacuna/status");
        let change = caret.typed(&letter.to_string());
        let before = server.without_core();
        let answer = ask(client, &[change, status_request()]);
        let without_core = server.without_core().saturating_sub(before).min(answer.after);
        let busy = answer.result.is_ok_and(|status| status["state"] == "busy");
        waits.push(Wait { took: answer.after, without_core, busy });
    }
    waits
}

fn told(name: &str, waits: &[Wait], works: bool) -> Vec<Figure> {
    let mut took: Vec<Duration> = waits.iter().map(|wait| wait.took).collect();
    let mut own: Vec<Duration> =
        waits.iter().map(|wait| wait.took.saturating_sub(wait.without_core)).collect();
    let longest = works.then_some(10.0);
    let mut figures = Vec::new();
    if works {
        let busy = waits.iter().filter(|wait| wait.busy).count();
        figures.push(Figure::new(
            format!("{name}: keystrokes it was at work"),
            100.0 * busy as f64 / waits.len() as f64,
            "%",
        ));
    }
    let shares = [(0.5, None), (0.99, None), (1.0, longest)];
    figures.extend(Figure::quantiles(&format!("{name}: {KEYSTROKES} keystrokes, wait"), &mut took, &shares));
    let over = waits.iter().filter(|wait| wait.took > LONG).count();
    figures.push(Figure::count(format!("{name}: waits over 10 ms"), over).held(Target::Exactly(0.0)));
    let what = format!("{name}: the wait without the time threads had no core, max");
    figures.push(Figure::ms(what, quantile(&mut own, 1.0)));
    figures
}
