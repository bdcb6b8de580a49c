//! One case through the engine, the way a user would get it: planned, filled, spliced, ranked.

use super::cases::Case;
use super::metrics::{edit_similarity, exact_match, syntax_errors};
use crate::failure::Failure;
use crate::job::Job;
use crate::rank::rank;
use lacuna_engine::{CancelToken, Engine, Infilled, Method, NoFrames, Sampling};
use lacuna_text::{Document, Reason, Region};
use serde::Serialize;
use std::time::Instant;

/// What a case's answer was worth; one line of `--predictions`.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The case's name.
    pub task_id: String,
    /// The case's kind.
    pub kind: String,
    /// The text for `prompt + completion + suffix`; empty when the model offered nothing.
    pub completion: String,
    /// Equal to the known answer, white space at the end aside.
    pub exact_match: bool,
    /// 1 − edit distance / longer length.
    pub edit_similarity: f64,
    /// An answer, and no more ERROR and MISSING nodes in the whole text than with the known one.
    pub syntax_kept: bool,
    /// From the plan to the ranked candidates.
    pub latency_ms: f64,
    /// Steps (tokens, for a causal method) of the chosen candidate.
    pub steps: usize,
    /// Tokens of the chosen candidate.
    pub tokens: usize,
    /// Decoder passes of the whole answer.
    pub forwards: usize,
    /// Candidates offered.
    pub candidates: usize,
}

/// Fills a case's hole by `method`.
///
/// # Errors
/// Whatever the engine answers; a case that cannot be asked is named.
pub fn answer(
    engine: &mut dyn Engine,
    case: &Case,
    method: Method,
    sampling: &Sampling,
    cancel: &CancelToken,
) -> Result<Outcome, Failure> {
    // The hole is empty, so that nothing of the known answer reaches the model or the judgement of candidates.
    let document = Document::new(&format!("{}{}", case.prompt, case.suffix), case.language);
    let at = document.len() - case.suffix.len();
    let region = Region { range: at..at, kind: case.shape, reason: Reason::Cursor };
    let started = Instant::now();
    let job = Job::new(&document, &region, sampling, engine).map_err(|failure| named(case, failure))?;
    let infilled = match method {
        Method::Diffusion => engine.infill(&job.request, cancel, &mut NoFrames),
        control => engine.infill_by(control, &job.request, cancel),
    };
    let Infilled { candidates, stats } = infilled.map_err(|error| named(case, error.into()))?;
    let offers = rank(&document, &job.plan, candidates);
    let latency_ms = started.elapsed().as_secs_f64() * 1e3;
    let best = offers.first();
    let text = best.map_or("", |offer| offer.text());
    Ok(Outcome {
        task_id: case.task_id.clone(),
        kind: case.kind.clone(),
        completion: format!("{text}{}", if case.break_moved { "\n" } else { "" }),
        exact_match: exact_match(text, &case.answer),
        edit_similarity: edit_similarity(text, &case.answer),
        syntax_kept: keeps_syntax(case, text),
        latency_ms,
        steps: best.map_or(0, |offer| offer.candidate.steps),
        tokens: best.map_or(0, |offer| offer.candidate.tokens),
        forwards: stats.forwards,
        candidates: offers.len(),
    })
}

/// A blank answer keeps nothing: the file without the hole may well parse, but nobody wrote that.
fn keeps_syntax(case: &Case, text: &str) -> bool {
    if text.trim().is_empty() {
        return false;
    }
    let errors = |hole: &str| syntax_errors(&format!("{}{hole}{}", case.prompt, case.suffix), case.language);
    errors(text) <= errors(&case.answer)
}

fn named(case: &Case, failure: Failure) -> Failure {
    match failure {
        Failure::Input(message) => Failure::input(format!("case {}: {message}", case.task_id)),
        other => other,
    }
}
