//! What the server adds in a long file with a warm tree, one edit before each request: from the arrival of the request to
//! the moment the engine is asked, and to the answer of an engine that takes no time. The edit is timed by an echo.

use super::caret::{Caret, ask, status_request};
use super::{Figure, Programs, code};
use lacuna_tests::client::{Client, Response, Setup, Trigger};
use lacuna_tests::engine::{Inference, Script};
use lacuna_tests::servers::Stage;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const LINES: usize = 20_000;
const REQUESTS: usize = 500;
/// Other open documents, so that context beyond the file is at work.
const OTHERS: usize = 8;
const URI: &str = "file:///project/src/long.rs";

struct Sample {
    /// From an edit to the answer of the echo behind it.
    edit: Duration,
    /// When the request was sent and answered, since the Unix epoch.
    sent: Duration,
    answered: Duration,
    response: Response,
    plan_ms: f64,
}

/// A way to work in the file.
struct Way {
    name: &'static str,
    work: fn(&mut Client, &mut Caret, &str) -> Vec<Sample>,
    /// Most milliseconds from the request to the engine that half of them and 99 in 100 may take; only where the tree
    /// and the context are those of the keystroke before.
    most: [Option<f64>; 2],
}

const WAYS: [Way; 2] = [
    Way { name: "typing on", work: typing_on, most: [Some(1.0), Some(5.0)] },
    Way { name: "elsewhere each time", work: elsewhere, most: [None, None] },
];

/// Typing on at one place, and at another place each time.
#[must_use]
pub fn overhead(programs: &Programs) -> Vec<Figure> {
    let text = code::long_rust_file(LINES);
    let mut figures =
        vec![Figure::count("lines of the file", LINES), Figure::count("bytes of the file", text.len())];
    for way in &WAYS {
        figures.extend(run(programs, &text, way));
    }
    figures
}

fn run(programs: &Programs, text: &str, way: &Way) -> Vec<Figure> {
    let stage = programs.stage();
    let script = Script { candidates: vec!["offered".to_owned()], ..Script::default() };
    let mut client = stage.ready(&script, &Setup::default());
    let others = code::files(&["rs"]);
    for (number, path) in others.iter().rev().take(OTHERS).enumerate() {
        client.open(&format!("file:///project/src/other{number}.rs"), "rust", &code::read(path));
    }
    let mut caret = Caret::open(&mut client, URI, "rust", text);
    let samples = (way.work)(&mut client, &mut caret, text);
    figures(way, &samples, &stage)
}

/// Types lines of code in the middle of the file, letter by letter, and asks after each.
fn typing_on(client: &mut Client, caret: &mut Caret, text: &str) -> Vec<Sample> {
    let middle = LINES / 2;
    let brace = text.lines().skip(middle).position(|line| line.ends_with('{')).unwrap_or_default();
    let line = middle + brace;
    caret.go_to(line, text.lines().nth(line).unwrap_or_default().len());
    let mut samples = Vec::new();
    for statement in code::statements() {
        for (index, letter) in statement.char_indices() {
            let typed = if index == 0 { format!("\n        {letter}") } else { letter.to_string() };
            samples.push(sample(client, caret, &typed));
        }
        // Those at which it stays quiet are no inferences, hence some more.
        if samples.len() > REQUESTS + REQUESTS / 4 {
            break;
        }
    }
    samples
}

/// Begins a statement at places spread over the file, from its end to its start so that earlier lines stay.
fn elsewhere(client: &mut Client, caret: &mut Caret, text: &str) -> Vec<Sample> {
    let ends: Vec<(usize, usize)> = text
        .lines()
        .enumerate()
        .filter(|(_, line)| line.starts_with("    ") && line.ends_with(';') && line.is_ascii())
        .map(|(number, line)| (number, line.len()))
        .collect();
    let every = (ends.len() / REQUESTS).max(1);
    let places = ends.into_iter().rev().step_by(every).take(REQUESTS);
    places
        .map(|(line, columns)| {
            caret.go_to(line, columns);
            let start = caret.position();
            let sample = sample(client, caret, "\n    let value = ");
            // Statements without an end would add up to a broken file.
            let end = caret.position();
            let restored = caret.replaced(&start, &end, "");
            ask(client, &[restored, status_request()]);
            sample
        })
        .collect()
}

fn sample(client: &mut Client, caret: &mut Caret, typed: &str) -> Sample {
    let change = caret.typed(typed);
    let edit = ask(client, &[change, status_request()]).after;
    let question = caret.question(Trigger::Automatic);
    let sent = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let response = ask(client, &[question]);
    let answered = sent + response.after;
    let status = ask(client, &[status_request()]);
    let plan_ms = status.result.ok().and_then(|status| status["last"]["planMs"].as_f64()).unwrap_or_default();
    client.notifications("lacuna/status");
    Sample { edit, sent, answered, response, plan_ms }
}

fn figures(way: &Way, samples: &[Sample], stage: &Stage) -> Vec<Figure> {
    let inferences = stage.inferences();
    let mut inferences = inferences.iter().peekable();
    let mut edits: Vec<Duration> = samples.iter().map(|sample| sample.edit).collect();
    let (mut asked, mut answered, mut planned) = (Vec::new(), Vec::new(), Vec::new());
    for sample in samples {
        let before = |inference: &&Inference| inference.started < sample.sent;
        while inferences.next_if(before).is_some() {}
        if let Some(inference) = inferences.next_if(|inference| inference.started <= sample.answered) {
            asked.push(inference.started - sample.sent);
            answered.push(sample.response.after);
            planned.push(Duration::from_secs_f64(sample.plan_ms / 1e3));
        }
    }
    let (name, [half, most]) = (way.name, way.most);
    let shares = [(0.5, half), (0.99, most), (1.0, None)];
    let mut figures = vec![Figure::count(format!("{name}: requests with an inference"), asked.len())];
    figures.extend(Figure::quantiles(&format!("{name}: request in, engine asked"), &mut asked, &shares));
    let plain = [(0.5, None), (0.99, None), (1.0, None)];
    figures.extend(Figure::quantiles(&format!("{name}: of that planning"), &mut planned, &plain));
    figures.extend(Figure::quantiles(&format!("{name}: request in, answer out"), &mut answered, &plain));
    figures.extend(Figure::quantiles(&format!("{name}: edit in, echo out"), &mut edits, &plain));
    figures
}
