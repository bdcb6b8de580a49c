//! One case through the engine, the way a user would get it: planned, filled, spliced, ranked.

use super::cases::Case;
use super::metrics::{edit_similarity, exact_match, syntax_errors};
use crate::failure::Failure;
use lacuna_engine::{CancelToken, Engine, Infilled, Method, NoFrames, Sampling};
use lacuna_lsp::model::Model;
use lacuna_lsp::planned::{Budgets, Planned};
use lacuna_lsp::rank::rank;
use lacuna_text::{Document, Reason, Region};
use serde::Serialize;
use std::time::Instant;

/// How every case is asked.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// Diffusion, or one of its controls.
    pub method: Method,
    /// How to sample.
    pub sampling: &'a Sampling,
    /// Ends the work.
    pub cancel: &'a CancelToken,
}

/// What a case's answer was worth; one line of `--predictions`. The answer is the first usable candidate; where a user
/// would get none it is blank, and counts as neither exact nor keeping the syntax.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The case's name.
    pub task_id: String,
    /// The case's kind.
    pub kind: String,
    /// The text for `prompt + completion + suffix`; blank when there was nothing to use.
    pub completion: String,
    /// Whether there was a usable candidate.
    pub answered: bool,
    /// Equal to the known answer, white space at the end aside.
    pub exact_match: bool,
    /// 1 − edit distance / longer length.
    pub edit_similarity: f64,
    /// An answer, and no more ERROR and MISSING nodes in the whole text than with the known one.
    pub syntax_kept: bool,
    /// From the plan to the ranked candidates.
    pub latency_ms: f64,
    /// Steps (tokens, for a causal method) of the answer; 0 without one.
    pub steps: usize,
    /// Tokens of the answer; 0 without one.
    pub tokens: usize,
    /// Decoder passes of the whole answer.
    pub forwards: usize,
    /// Candidates offered, usable or not.
    pub candidates: usize,
    /// What the engine alone scores best, as it said it; empty when it offered nothing.
    pub engine_best: String,
}

/// Fills a case's hole as `asking` says.
///
/// # Errors
/// Whatever the engine answers; a case that cannot be asked is named.
pub fn answer(engine: &mut dyn Engine, case: &Case, asking: &Asking<'_>) -> Result<Outcome, Failure> {
    let Asking { method, sampling, cancel } = *asking;
    // The hole is empty, so that nothing of the known answer reaches the model or the judgement of candidates.
    let document = Document::new(&format!("{}{}", case.prompt, case.suffix), case.language);
    let at = document.len() - case.suffix.len();
    let region = Region { range: at..at, kind: case.shape, reason: Reason::Cursor };
    let started = Instant::now();
    let planned = Planned::new(&document, &region, sampling, &Model::of(engine), &Budgets::default())
        .map_err(|unplanned| named(case, unplanned.into()))?;
    let infilled = match method {
        Method::Diffusion => engine.infill(&planned.request, cancel, &mut NoFrames),
        control => engine.infill_by(control, &planned.request, cancel),
    };
    let Infilled { candidates, stats } = infilled.map_err(|error| named(case, error.into()))?;
    let engine_best = candidates.first().map_or_else(String::new, |candidate| candidate.text.clone());
    let offers = rank(&document, &planned, candidates);
    let latency_ms = started.elapsed().as_secs_f64() * 1e3;
    let best = offers.first().filter(|offer| offer.is_usable());
    let text = best.map_or("", |offer| offer.text());
    Ok(Outcome {
        task_id: case.task_id.clone(),
        kind: case.kind.clone(),
        completion: format!("{text}{}", if case.break_moved { "\n" } else { "" }),
        answered: best.is_some(),
        exact_match: exact_match(text, &case.answer),
        edit_similarity: edit_similarity(text, &case.answer),
        syntax_kept: keeps_syntax(case, text),
        latency_ms,
        steps: best.map_or(0, |offer| offer.candidate.steps),
        tokens: best.map_or(0, |offer| offer.candidate.tokens),
        forwards: stats.forwards,
        candidates: offers.len(),
        engine_best,
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
