//! Ghost text end to end with the shipped model, in real files: at a new place, typed through, and after a letter that
//! departs from it.

use super::caret::{Caret, ask, status_request};
use super::process::Process;
use super::{Figure, Programs, Target, code};
use crate::quantile;
use lacuna_tests::client::{Client, Response, Setup, Trigger};
use lacuna_tests::workspace_root;
use serde_json::{Value, json};
use std::time::Duration;

const FILES: [&str; 3] =
    ["server/text/src/splice.rs", "server/lsp/src/documents.rs", "model/diffusion/src/session.rs"];
const OTHERS: usize = 6;
/// Letters of a proposal typed before another one is.
const THROUGH: usize = 3;
/// Places from one to the next in the pass that jumps about; no divisor of any file's number of them.
const JUMP: usize = 37;

#[derive(Default)]
struct Measured {
    /// The first request at a place.
    place: Vec<Duration>,
    /// A request whose proposal stood on offer.
    through: Vec<Duration>,
    /// The same less the time that threads of server and client had no core.
    with_core: Vec<Duration>,
    /// A request after a letter that no proposal has.
    departed: Vec<Duration>,
    /// Tokens the encoder read for that: of the prompt, not in the cache.
    read: Vec<usize>,
    /// Departures at which the window of the prompt moved, so that all of it was read.
    moved: usize,
    /// Answers that were another item although the text followed it.
    flickers: usize,
    /// First requests with something to offer.
    offers: usize,
}

/// The measures of one file's editing.
#[must_use]
pub fn warm(programs: &Programs) -> Vec<Figure> {
    let mut client = programs.shipped(&Setup::default());
    for (number, path) in code::files(&["rs"]).iter().take(OTHERS).enumerate() {
        client.open(&format!("file:///project/src/other{number}.rs"), "rust", &code::read(path));
    }
    let (mut on, mut far) = (Measured::default(), Measured::default());
    for (number, file) in FILES.iter().enumerate() {
        let text = code::read(&workspace_root().join(file));
        let mut caret =
            Caret::open(&mut client, &format!("file:///project/src/work{number}.rs"), "rust", &text);
        let lines: Vec<&str> = text.lines().collect();
        let places = places(&text);
        for &(line, kept) in &places {
            place(&mut client, &mut caret, (line, kept, lines[line]), &mut on);
        }
        for index in 0..places.len() {
            let (line, kept) = places[index * JUMP % places.len()];
            place(&mut client, &mut caret, (line, kept, lines[line]), &mut far);
        }
    }
    let mut figures = told("going on", on);
    figures.extend(told("jumping about", far));
    figures
}

/// Lines of code with so much of each that a reader could go on: up to its last opening or operator.
fn places(text: &str) -> Vec<(usize, usize)> {
    let in_code =
        |line: &str| line.starts_with("    ") && line.is_ascii() && !line.trim_start().starts_with("//");
    let kept = |(number, line): (usize, &str)| {
        let at = line.rfind(['(', '=', '.', ' ']).filter(|_| in_code(line))?;
        let long_enough = at > 12 && at + 2 < line.len();
        long_enough.then_some((number, at + 1))
    };
    text.lines().enumerate().filter_map(kept).collect()
}

/// Takes the end of a line away, asks, types what is offered, then departs from it; leaves the line as it was.
fn place(
    client: &mut Client,
    caret: &mut Caret,
    (line, kept, was): (usize, usize, &str),
    measured: &mut Measured,
) {
    let server = Process(client.process_id());
    let at = |column: usize| json!({"line": line, "character": column});
    let cut = caret.replaced(&at(kept), &at(was.len()), "");
    let first = propose(client, caret, cut);
    measured.place.push(first.after);
    let offered = item(&first);
    let mut typed = kept;
    if let Some((start, text)) = &offered {
        measured.offers += 1;
        let rest = text.get(kept.saturating_sub(*start)..).unwrap_or_default();
        // One letter stays untyped: then there is still something to offer.
        let most = THROUGH.min(rest.chars().count().saturating_sub(1));
        for letter in rest.chars().take(most).take_while(|letter| letter.is_ascii() && *letter != '\n') {
            let change = caret.typed(&letter.to_string());
            typed += 1;
            let waited = server.without_core();
            let answer = propose(client, caret, change);
            let waited = server.without_core().saturating_sub(waited);
            measured.through.push(answer.after);
            measured.with_core.push(answer.after.saturating_sub(waited));
            measured.flickers += usize::from(item(&answer) != offered);
        }
    }
    let change = caret.typed("q");
    typed += 1;
    let before = status(client);
    let departed = propose(client, caret, change);
    let now = status(client);
    if inferences(&now) > inferences(&before) && departed.code() == 0 {
        measured.departed.push(departed.after);
        let tokens = |status: &Value, name: &str| status["last"][name].as_u64().unwrap_or_default() as usize;
        let prompt = tokens(&now, "promptTokens");
        if prompt < tokens(&before, "promptTokens") {
            measured.moved += 1;
        } else {
            measured.read.push(prompt - tokens(&now, "cachedTokens"));
        }
    }
    let restored = caret.replaced(&at(kept), &at(typed), &was[kept..]);
    ask(client, &[restored, status_request()]);
    client.notifications("lacuna/status");
}

fn propose(client: &mut Client, caret: &Caret, change: Value) -> Response {
    ask(client, &[change, caret.question(Trigger::Automatic)])
}

/// Where the first item starts, and its text.
fn item(answer: &Response) -> Option<(usize, String)> {
    let item = &answer.result.as_ref().ok()?["items"][0];
    let start = item["range"]["start"]["character"].as_u64()?;
    Some((start as usize, item["insertText"].as_str()?.to_owned()))
}

fn status(client: &mut Client) -> Value {
    ask(client, &[status_request()]).result.unwrap_or_default()
}

fn inferences(status: &Value) -> u64 {
    status["counters"]["inferencesStarted"].as_u64().unwrap_or_default()
}

fn told(way: &str, mut measured: Measured) -> Vec<Figure> {
    let mut figures = vec![
        Figure::count(format!("{way}: places with something to offer"), measured.offers),
        Figure::count(
            format!("{way}: answers that changed the item although the text followed it"),
            measured.flickers,
        )
        .held(Target::Exactly(0.0)),
    ];
    let name = format!("{way}: at a new place, {} requests", measured.place.len());
    figures.extend(Figure::quantiles(&name, &mut measured.place, &[(0.5, Some(200.0)), (0.95, None)]));
    let name = format!("{way}: typed through, {} requests", measured.through.len());
    figures.extend(Figure::quantiles(&name, &mut measured.through, &[(0.5, Some(2.0)), (0.99, Some(2.0))]));
    let what = format!("{way}: typed through less the time threads had no core, p99");
    figures.push(Figure::ms(what, quantile(&mut measured.with_core, 0.99)));
    let name = format!("{way}: one letter on, with an inference, {} requests", measured.departed.len());
    figures.extend(Figure::quantiles(&name, &mut measured.departed, &[(0.5, Some(200.0)), (0.95, None)]));
    // Counts have quantiles as times have.
    let mut read: Vec<Duration> =
        measured.read.iter().map(|&tokens| Duration::from_secs(tokens as u64)).collect();
    for (share, name) in [(0.5, "p50"), (1.0, "max")] {
        let tokens = quantile(&mut read, share).as_secs() as usize;
        let what = format!("{way}: one letter on, tokens the encoder read, {name}");
        figures.push(Figure::count(what, tokens).held(Target::AtMost(32.0)));
    }
    figures.push(Figure::count(
        format!("{way}: letters at which the prompt's window moved on, all read"),
        measured.moved,
    ));
    figures
}
