//! Ranking: every candidate is read left to right by the causal pass of the same weights.
//!
//! score = log p(hole, next suffix tokens | prefix). All candidates go on to the same suffix tokens, so scores of
//! different lengths compare, and a blend of two spellings, which the denoiser's entropy cannot see, costs what it
//! should. Source: the encoder is an ordinary language model (trained with a next-token loss of weight 1).

use crate::session::Session;
use crate::tokenizer::Tokenizer;
use lacuna_engine::{CancelToken, Candidate, EngineError, HoleKind};

/// How many suffix tokens a candidate must also explain.
pub(crate) const SUFFIX_TOKENS_SCORED: usize = 8;

/// A filled hole before it is scored.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub tokens: Vec<u32>,
    pub text: String,
    pub entropy_mean: f32,
    pub steps: usize,
    pub settled: bool,
}

/// Turns hole tokens into text: ends at the first special token, and at the line's end where the hole has no line breaks.
pub(crate) fn finish(
    tokenizer: &Tokenizer,
    special: &[u32],
    tokens: &[u32],
    kind: HoleKind,
) -> Result<(Vec<u32>, String), EngineError> {
    let end = tokens.iter().position(|id| special.binary_search(id).is_ok()).unwrap_or(tokens.len());
    let text = tokenizer.decode(&tokens[..end]).map_err(tokenizer_fault)?;
    match text.find(['\n', '\r']) {
        Some(line_end) if !kind.is_multiline() => {
            let line = text[..line_end].to_owned();
            Ok((tokenizer.encode(&line).map_err(tokenizer_fault)?, line))
        }
        _ => Ok((tokens[..end].to_vec(), text)),
    }
}

pub(crate) fn tokenizer_fault(error: impl std::fmt::Display) -> EngineError {
    EngineError::Compute { while_doing: "turning text into tokens or back".to_owned(), reason: error.to_string() }
}

/// Scores `drafts` in one batch and sorts them, best first; equal texts are kept once.
pub(crate) fn rank(
    session: &Session,
    head: &[u32],
    drafts: Vec<Draft>,
    suffix: &[u32],
    cancel: &CancelToken,
) -> Result<Vec<Candidate>, EngineError> {
    let drafts = distinct(drafts);
    let suffix = &suffix[..suffix.len().min(SUFFIX_TOKENS_SCORED)];
    let sequences: Vec<Vec<u32>> = drafts.iter().map(|draft| [head, &draft.tokens, suffix].concat()).collect();
    let log_probs = session.log_probs(&sequences, head.len(), cancel)?;
    let scored = drafts.into_iter().zip(log_probs).map(|(draft, log_probs)| {
        let (hole, after) = log_probs.split_at(draft.tokens.len());
        let (log_prob_hole, log_prob_suffix) = (hole.iter().sum::<f32>(), after.iter().sum::<f32>());
        Candidate {
            tokens: draft.tokens.len(),
            text: draft.text,
            score: log_prob_hole + log_prob_suffix,
            log_prob_hole,
            log_prob_suffix,
            entropy_mean: draft.entropy_mean,
            steps: draft.steps,
            settled: draft.settled,
        }
    });
    let mut candidates: Vec<Candidate> = scored.collect();
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    Ok(candidates)
}

fn distinct(drafts: Vec<Draft>) -> Vec<Draft> {
    let mut kept: Vec<Draft> = Vec::with_capacity(drafts.len());
    for draft in drafts {
        if !draft.text.is_empty() && kept.iter().all(|other| other.text != draft.text) {
            kept.push(draft);
        }
    }
    kept
}
