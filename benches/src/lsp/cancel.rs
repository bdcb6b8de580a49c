//! Cancelling while the engine works: the answer comes at once, and the processor comes to rest.

use super::caret::{Caret, send};
use super::process::Process;
use super::{Figure, Programs, Target};
use lacuna_tests::client::{Client, Setup, Trigger};
use lacuna_tests::engine::Script;
use lacuna_tests::rng::Rng;
use serde_json::json;
use std::time::{Duration, Instant};

const ROUNDS: usize = 40;
const CANCELLED: i64 = -32800;
const URI: &str = "file:///project/cancel.rs";
const CODE: &str = "use std::collections::HashMap;\n\n/// Counts words.\nfn count(text: &str) -> HashMap<String, usize> {\n    \
                    let mut counts = HashMap::new();\n    \n    counts\n}\n";
/// Line and columns of the empty statement in it.
const HOLE: (usize, usize) = (5, 4);
/// A result that comes so soon after a cancel had been sent before.
const AT_ONCE: Duration = Duration::from_millis(5);
/// One look at the processor.
const WINDOW: Duration = Duration::from_millis(10);
/// What a process that does nothing may use of a window.
const IDLE: Duration = Duration::from_millis(1);

#[derive(Default)]
struct Times {
    answer: Vec<Duration>,
    idle: Vec<Duration>,
    /// Answers with another code than the one of a cancelled request.
    wrong: usize,
    /// Rounds in which the job was done before it was cancelled.
    done: usize,
}

/// Cancels a job of a scripted engine and one of the shipped model.
#[must_use]
pub fn cancel(programs: &Programs) -> Vec<Figure> {
    let stage = programs.stage();
    let slow = Script { step_ms: 3000.0, ..Script::default() };
    let mut figures = rounds("scripted engine", &mut stage.ready(&slow, &Setup::default()));
    // What takes the shipped model long: many candidates, most steps.
    let options = json!({"invokedPreset": "thorough", "candidates": 32});
    let mut client = programs.shipped(&Setup::with_options(options));
    figures.extend(rounds("shipped model", &mut client));
    figures
}

fn rounds(engine: &str, client: &mut Client) -> Vec<Figure> {
    let mut caret = Caret::open(client, URI, "rust", CODE);
    caret.go_to(HOLE.0, HOLE.1);
    let question = caret.question(Trigger::Invoked);
    let id = send(client, &[question]);
    let whole = client.response(id).after;
    let mut times = Times::default();
    let mut rng = Rng::new(7);
    for _ in 0..ROUNDS {
        round(client, &mut caret, whole.mul_f64(rng.below(70) as f64 / 100.0), &mut times);
    }
    let mut figures = vec![Figure::ms(format!("{engine}: the job when it is let be"), whole)];
    let answer = format!("{engine}: cancel to answer, {} rounds", times.answer.len());
    figures.extend(Figure::quantiles(
        &answer,
        &mut times.answer,
        &[(0.5, None), (0.95, None), (1.0, Some(50.0))],
    ));
    let idle = format!("{engine}: cancel to a processor at rest");
    figures.extend(Figure::quantiles(
        &idle,
        &mut times.idle,
        &[(0.5, None), (0.95, Some(100.0)), (1.0, None)],
    ));
    figures.push(
        Figure::count(format!("{engine}: answers that are not {CANCELLED}"), times.wrong)
            .held(Target::Exactly(0.0)),
    );
    figures.push(Figure::count(format!("{engine}: jobs done before the cancel"), times.done));
    figures
}

/// Types a letter, asks, lets the engine work for a while, cancels.
fn round(client: &mut Client, caret: &mut Caret, works: Duration, times: &mut Times) {
    client.notifications("lacuna/status");
    let change = caret.typed("x");
    let question = caret.question(Trigger::Invoked);
    let id = send(client, &[change, question]);
    let is_done = !is_at_work(client, id) || {
        client.listen(works.min(Duration::from_secs(1)));
        client.arrived(id).is_some()
    };
    if is_done {
        times.done += 1;
        return;
    }
    let start = Instant::now();
    client.cancel(id);
    let answer = client.response(id);
    let took = start.elapsed();
    if answer.code() == 0 && took < AT_ONCE {
        // The result was on its way already.
        times.done += 1;
        return;
    }
    times.answer.push(took);
    times.wrong += usize::from(answer.code() != CANCELLED);
    times.idle.push(rest(Process(client.process_id()), start));
}

/// Waits until the engine works for a request; `false` when that was answered without.
fn is_at_work(client: &mut Client, id: i64) -> bool {
    loop {
        client.listen(Duration::from_millis(1));
        if client.notifications("lacuna/status").iter().any(|status| status["state"] == "busy") {
            return true;
        }
        if client.arrived(id).is_some() {
            return false;
        }
    }
}

/// From `start` to the first window in which the process does nothing.
fn rest(process: Process, start: Instant) -> Duration {
    let mut ran = process.ran();
    loop {
        let from = start.elapsed();
        std::thread::sleep(WINDOW);
        let now = process.ran();
        if now.saturating_sub(ran) < IDLE || from > Duration::from_secs(10) {
            return from;
        }
        ran = now;
    }
}
