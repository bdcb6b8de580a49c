//! One case through the engine, the way a user would get it: planned, filled, spliced, ranked.

use super::calibration::confidence;
use super::cases::Case;
use super::methods::Way;
use super::metrics::{edit_similarity, exact_match, repeats_suffix, syntax_errors};
use crate::failure::Failure;
use lacuna_engine::{CancelToken, Engine, FrameSink, Infilled, Origin, Sampling};
use lacuna_lsp::model::Model;
use lacuna_lsp::planned::{Budgets, Planned};
use lacuna_lsp::rank::{Offer, rank};
use lacuna_text::{Document, Reason, Region};
use serde::Serialize;
use std::time::Instant;

/// How every case is asked.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// Diffusion, or one of its controls.
    pub way: Way,
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
    /// The case's language, as LSP names it.
    pub language: &'static str,
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
    /// Whether that is exact.
    pub engine_best_exact: bool,
    /// Place of the first exact candidate in the list a user would see, from 0; rejected ones come last. `None`: none is.
    pub exact_at: Option<usize>,
    /// The stated probability that the answer is exact, see [`confidence`]; 0 without one.
    pub confidence: f64,
    /// What `lacuna.confidence` is fitted by (model/training/fit.py): ln p of the answer's hole and of the next suffix tokens by the
    /// causal pass; null without an answer.
    pub log_prob_hole: Option<f32>,
    /// See above.
    pub log_prob_suffix: Option<f32>,
    /// Not exact, and ends with what stands after the hole, see [`repeats_suffix`].
    pub repeats_suffix: bool,
    /// All candidates as a user would see them, best first; rejected ones come last.
    pub offers: Vec<Made>,
}

/// One candidate of a case: what is needed to study how the answer was chosen.
#[derive(Clone, Debug, Serialize)]
pub struct Made {
    /// The text that would stand in the hole.
    pub text: String,
    /// Whether a user would be offered it.
    pub usable: bool,
    /// Who wrote its first version.
    pub origin: Origin,
    /// ln p of the hole by the causal pass.
    pub log_prob_hole: f32,
    /// ln p of the next suffix tokens by the causal pass.
    pub log_prob_suffix: f32,
    /// The stated probability that it is exact, where the model says how.
    pub confidence: Option<f32>,
}

impl Made {
    fn of(offer: &Offer) -> Self {
        let candidate = &offer.candidate;
        Self {
            text: offer.text().to_owned(),
            usable: offer.is_usable(),
            origin: candidate.origin,
            log_prob_hole: candidate.log_prob_hole,
            log_prob_suffix: candidate.log_prob_suffix,
            confidence: candidate.confidence,
        }
    }
}

impl Outcome {
    /// Whether any of the first `count` candidates is exact.
    pub fn exact_within(&self, count: usize) -> bool {
        self.exact_at.is_some_and(|at| at < count)
    }
}

/// Fills a case's hole as `asking` says; `frames` sees the canvas condense.
///
/// # Errors
/// Whatever the engine answers; a case that cannot be asked is named.
pub fn answer(
    engine: &mut dyn Engine,
    case: &Case,
    asking: &Asking<'_>,
    frames: Option<&mut dyn FrameSink>,
) -> Result<Outcome, Failure> {
    let Asking { way, sampling, cancel } = *asking;
    let sampling = way.sampling(sampling, case, engine);
    // The hole is empty, so that nothing of the known answer reaches the model or the judgement of candidates.
    let document = Document::new(&format!("{}{}", case.prompt, case.suffix), case.language);
    let at = document.len() - case.suffix.len();
    let region = Region { range: at..at, kind: case.shape, reason: Reason::Cursor };
    let started = Instant::now();
    let planned = Planned::new(&document, &region, &sampling, &Model::of(engine), &Budgets::default())
        .map_err(|unplanned| named(case, unplanned.into()))?;
    let infilled = way.fill(engine, &planned.request, cancel, frames);
    let infilled = infilled.map_err(|error| named(case, error.into()))?;
    let offers = rank(&document, &planned, infilled.candidates.clone());
    let latency_ms = started.elapsed().as_secs_f64() * 1e3;
    Ok(judge(case, &infilled, &offers, latency_ms))
}

fn judge(case: &Case, infilled: &Infilled, offers: &[Offer], latency_ms: f64) -> Outcome {
    let best = offers.first().filter(|offer| offer.is_usable());
    let text = best.map_or("", |offer| offer.text());
    let engine_best = infilled.candidates.first().map_or("", |candidate| &candidate.text);
    let exact = exact_match(text, &case.answer);
    Outcome {
        task_id: case.task_id.clone(),
        kind: case.kind.clone(),
        language: case.language.id(),
        completion: format!("{text}{}", if case.break_moved { "\n" } else { "" }),
        answered: best.is_some(),
        exact_match: exact,
        edit_similarity: edit_similarity(text, &case.answer),
        syntax_kept: keeps_syntax(case, text),
        latency_ms,
        steps: best.map_or(0, |offer| offer.candidate.steps),
        tokens: best.map_or(0, |offer| offer.candidate.tokens),
        forwards: infilled.stats.forwards,
        candidates: offers.len(),
        engine_best: engine_best.to_owned(),
        engine_best_exact: exact_match(engine_best, &case.answer),
        exact_at: offers.iter().position(|offer| exact_match(offer.text(), &case.answer)),
        confidence: best.map_or(0.0, |offer| confidence(&offer.candidate)),
        log_prob_hole: best.map(|offer| offer.candidate.log_prob_hole),
        log_prob_suffix: best.map(|offer| offer.candidate.log_prob_suffix),
        repeats_suffix: !exact && repeats_suffix(text, &case.suffix),
        offers: offers.iter().map(Made::of).collect(),
    }
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

#[cfg(test)]
pub mod tests {
    use super::*;

    /// An answer of four steps and six tokens.
    pub fn outcome(kind: &str, exact_match: bool, latency_ms: f64) -> Outcome {
        Outcome {
            task_id: "t".to_owned(),
            kind: kind.to_owned(),
            language: "rust",
            completion: String::new(),
            answered: true,
            exact_match,
            edit_similarity: if exact_match { 1.0 } else { 0.5 },
            syntax_kept: true,
            latency_ms,
            steps: 4,
            tokens: 6,
            forwards: 8,
            candidates: 1,
            engine_best: "x".to_owned(),
            engine_best_exact: exact_match,
            exact_at: exact_match.then_some(0),
            confidence: 0.5,
            log_prob_hole: Some(-1.0),
            log_prob_suffix: Some(-1.0),
            repeats_suffix: false,
            offers: Vec::new(),
        }
    }
}
