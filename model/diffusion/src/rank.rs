//! Ranking: every candidate is read left to right by the causal pass of the same weights.
//!
//! The causal score is log p(the hole's line so far, hole, next suffix tokens | what is before the line). All candidates go on to the
//! same suffix tokens, so scores of different lengths compare, and a blend of two spellings, which the denoiser's entropy cannot see, costs what it
//! should. Source: the encoder is an ordinary language model (trained with a next-token loss of weight 1).

use crate::engine::DiffusionEngine;
use crate::infill::Job;
use crate::tokenizer::Units;
use lacuna_engine::{CancelToken, Candidate, EngineError, Origin};

/// How many suffix tokens a candidate must also explain.
pub(crate) const SUFFIX_TOKENS_SCORED: usize = 8;

/// How much of the hole's own line is read again: a file without line breaks must not make scoring slow.
const LINE_TOKENS_MAX: usize = 48;

/// A filled hole before it is scored.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub tokens: usize,
    pub text: String,
    pub entropy_mean: f32,
    pub steps: usize,
    pub settled: bool,
    pub origin: Origin,
}

/// Turns hole tokens into text: without the lead, up to the first special token, and up to the line's end where the hole
/// has no line breaks. Returns the tokens that count, and the text.
pub(crate) fn finish(
    engine: &DiffusionEngine,
    job: &Job<'_>,
    tokens: &[u32],
) -> Result<(Vec<u32>, String), EngineError> {
    let end = tokens.iter().position(|&id| engine.abilities.ends_text(id)).unwrap_or(tokens.len());
    let text = engine.tokenizer.decode(&tokens[..end]).map_err(tokenizer_fault)?;
    let text = text.strip_prefix(job.prompt.lead_text()).unwrap_or(&text);
    match text.find(['\n', '\r']) {
        Some(line_end) if !job.request.kind.is_multiline() => {
            let line = text[..line_end].to_owned();
            Ok((engine.tokenizer.encode(&line).map_err(tokenizer_fault)?, line))
        }
        _ => Ok((tokens[..end].to_vec(), text.to_owned())),
    }
}

pub(crate) fn tokenizer_fault(error: impl std::fmt::Display) -> EngineError {
    EngineError::Compute {
        while_doing: "turning text into tokens or back".to_owned(),
        reason: error.to_string(),
    }
}

/// Scores `drafts` in one batch.
///
/// The line that holds the hole is read anew as running text, from the last line break of the prompt on, so that no
/// score suffers from a token that the cursor cut. The cache keeps what it holds of that line for the next request.
pub(crate) fn score(
    engine: &mut DiffusionEngine,
    job: &Job<'_>,
    drafts: &[Draft],
    cancel: &CancelToken,
) -> Result<Vec<Candidate>, EngineError> {
    if drafts.is_empty() {
        return Ok(Vec::new());
    }
    let prompt = job.prompt.whole();
    let line_break = prompt.iter().rposition(|&id| engine.tokenizer.piece(id).contains('\n')).unwrap_or(0);
    // The token before the line is read again, so it must not lie beyond what the cache holds.
    let near = prompt.len().saturating_sub(LINE_TOKENS_MAX);
    let line_start = line_break.max(job.prompt.header).max(near).clamp(1, job.prompt.ids.len() + 1);
    let line =
        engine.tokenizer.decode(&prompt[line_start..]).map_err(tokenizer_fault)? + job.prompt.lead_text();
    let (known, at) = as_read(engine, &line, &prompt[line_start..=job.prompt.ids.len()])?;
    let (line, line_start) = (&line[at..], line_start + known);
    let suffix = &job.around.suffix[..job.around.suffix.len().min(SUFFIX_TOKENS_SCORED)];
    let ahead = engine.tokenizer.decode(suffix).map_err(tokenizer_fault)?;
    // A text has no token for its end.
    let end = engine.abilities.end_of_document.filter(|id| suffix.contains(id));
    let mut sequences = Vec::with_capacity(drafts.len());
    let mut starts = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let text = format!("{line}{}{ahead}", draft.text);
        let (ids, mut offsets) = engine.tokenizer.encode_offsets(&text).map_err(tokenizer_fault)?;
        sequences.push([&prompt[line_start - 1..line_start], &ids[..], end.as_slice()].concat());
        offsets.push(text.len());
        starts.push(offsets);
    }
    let log_probs = engine.session.log_probs_after(line_start - 1, &sequences, 1, cancel)?;
    let mut candidates: Vec<Candidate> = Vec::with_capacity(drafts.len());
    for ((draft, log_probs), starts) in drafts.iter().zip(log_probs).zip(starts) {
        let suffix_at = line.len() + draft.text.len();
        let after: f32 =
            log_probs.iter().zip(&starts).filter(|&(_, &at)| at >= suffix_at).map(|(p, _)| p).sum();
        // A token that the cursor cut is the hole's: it reaches into it.
        let hole: f32 = (log_probs.iter().zip(starts.windows(2)))
            .filter(|(_, span)| span[0] < suffix_at && span[1] > line.len())
            .map(|(p, _)| p)
            .sum();
        candidates.push(Candidate {
            tokens: draft.tokens,
            text: draft.text.clone(),
            score: log_probs.iter().sum::<f32>(),
            log_prob_hole: hole,
            log_prob_suffix: after,
            confidence: None,
            entropy_mean: draft.entropy_mean,
            origin: draft.origin,
            steps: draft.steps,
            settled: draft.settled,
        });
    }
    Ok(candidates)
}

/// How many of the tokens `held`, which the cache holds, `line` begins with whatever is written after it, and the byte of
/// `line` where they end. They are the same for all candidates, so nothing is gained by reading them again. The last unit of
/// the tokenizer may grow.
fn as_read(engine: &DiffusionEngine, line: &str, held: &[u32]) -> Result<(usize, usize), EngineError> {
    let Units { ids, starts, units } = engine.tokenizer.encode_units(line).map_err(tokenizer_fault)?;
    let last = units.iter().position(|unit| Some(unit) == units.last()).unwrap_or(0);
    let mut same = ids[..last].iter().zip(held).take_while(|(a, b)| a == b).count();
    while same > 0 && units[same] == units[same - 1] {
        same -= 1;
    }
    Ok((same, starts.get(same).copied().unwrap_or(0)))
}

/// Best first.
pub(crate) fn sort(candidates: &mut [Candidate]) {
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
}

/// Those of `drafts` that hold something and no half of a character (a hole's last token may end inside one), and what neither an earlier one nor one of `known` holds.
pub(crate) fn distinct(drafts: Vec<Draft>, known: &[Candidate]) -> Vec<Draft> {
    let mut kept: Vec<Draft> = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let twice = kept.iter().map(|other| &other.text).chain(known.iter().map(|other| &other.text));
        let whole = !draft.text.is_empty() && !draft.text.contains(char::REPLACEMENT_CHARACTER);
        if whole && twice.into_iter().all(|text| *text != draft.text) {
            kept.push(draft);
        }
    }
    kept
}
