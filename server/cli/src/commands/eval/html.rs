//! The page of `lacuna eval --html`: cases side by side, with the canvas's history, in one file that needs no network.
//!
//! The cases travel as JSON in a script element that is no script; the page's own code puts every text into the document
//! as text, never as markup.

use super::board::Run;
use super::cases::Case;
use crate::failure::Failure;
use lacuna_engine::{CellState, Frame};
use serde::Serialize;

const PAGE: &str = include_str!("page.html");
/// Where the data goes.
const MARK: &str = "/*DATA*/";
/// Lines of context shown.
const LINES_BEFORE: usize = 8;
const LINES_AFTER: usize = 5;

#[derive(Serialize)]
struct Shown<'a> {
    id: &'a str,
    kind: &'a str,
    language: &'a str,
    origin: &'a str,
    before: &'a str,
    after: &'a str,
    known: &'a str,
    answers: Vec<Answer<'a>>,
}

#[derive(Serialize)]
struct Answer<'a> {
    method: &'a str,
    text: &'a str,
    answered: bool,
    exact: bool,
    syntax: bool,
    repeats: bool,
    similarity: f64,
    confidence: f64,
    steps: usize,
    ms: f64,
    /// One list of [state, text] a step; a state is n(oise), a(ccepted) or c(lamped).
    frames: Vec<Vec<(char, &'a str)>>,
}

/// The whole page.
///
/// # Errors
/// Never in practice: texts and numbers are JSON.
pub fn page(cases: &[Case], runs: &[Run]) -> Result<String, Failure> {
    let shown: Vec<Shown<'_>> =
        cases.iter().enumerate().map(|(number, case)| shown(number, case, runs)).collect();
    let data = serde_json::to_string(&shown)
        .map_err(|error| Failure::input(format!("cannot write the page's data: {error}")))?;
    // No text can end the element that holds it, or begin a comment in it.
    Ok(PAGE.replacen(MARK, &data.replace('<', "\\u003c"), 1))
}

fn shown<'a>(number: usize, case: &'a Case, runs: &'a [Run]) -> Shown<'a> {
    let before = case.prompt.rmatch_indices('\n').nth(LINES_BEFORE).map_or(0, |(at, _)| at + 1);
    let after = case.suffix.match_indices('\n').nth(LINES_AFTER).map_or(case.suffix.len(), |(at, _)| at);
    Shown {
        id: &case.task_id,
        kind: &case.kind,
        language: case.language.id(),
        origin: &case.origin,
        before: &case.prompt[before..],
        after: &case.suffix[..after],
        known: &case.answer,
        answers: runs.iter().map(|run| answer(number, run)).collect(),
    }
}

fn answer(number: usize, run: &Run) -> Answer<'_> {
    let outcome = &run.outcomes[number];
    let rounded = |value: f64| (value * 1000.0).round() / 1000.0;
    Answer {
        method: run.way.name(),
        text: &outcome.completion,
        answered: outcome.answered,
        exact: outcome.exact_match,
        syntax: outcome.syntax_kept,
        repeats: outcome.repeats_suffix,
        similarity: rounded(outcome.edit_similarity),
        confidence: rounded(outcome.confidence),
        steps: outcome.steps,
        ms: outcome.latency_ms.round(),
        frames: run.frames.get(number).into_iter().flatten().map(cells).collect(),
    }
}

fn cells(frame: &Frame) -> Vec<(char, &str)> {
    let state = |state: CellState| match state {
        CellState::Noise => 'n',
        CellState::Accepted => 'a',
        CellState::Clamped => 'c',
    };
    frame.cells.iter().map(|cell| (state(cell.state), cell.text.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::eval::answer::tests::outcome;
    use crate::commands::eval::cases::warm_up;
    use crate::commands::eval::methods::Way;
    use lacuna_engine::Cell;

    #[test]
    fn no_text_of_a_case_can_leave_its_element() {
        let hostile = "</script><script>alert(1)</script><!-- /*DATA*/";
        let mut case = warm_up();
        case.prompt = format!("{hostile}\n").repeat(40);
        case.answer = hostile.to_owned();
        let mut given = outcome("line", false, 1.0);
        given.completion = hostile.to_owned();
        let cell = Cell { text: hostile.to_owned(), state: CellState::Accepted, entropy: 0.0 };
        let frame = Frame { canvas: 0, block: 0, step: 1, steps_max: 1, cells: vec![cell] };
        let run = Run { way: Way::Diffusion, outcomes: vec![given], frames: vec![vec![frame]] };
        let page = page(&[case], &[run]).unwrap();
        assert!(!page.contains("</script><script>alert") && !page.contains("<!-- /*DATA*/"));
        assert_eq!(page.matches("</script>").count(), PAGE.matches("</script>").count());
        assert_eq!(page.matches("\\u003c/script>\\u003cscript>alert(1)").count(), LINES_BEFORE + 3);
    }

    #[test]
    fn the_page_asks_no_network() {
        assert_eq!(PAGE.matches(MARK).count(), 1);
        assert!(PAGE.contains("default-src 'none'") && !PAGE.contains("http:") && !PAGE.contains("https:"));
        assert!(!PAGE.contains("innerHTML"), "texts are put in as texts");
    }
}
