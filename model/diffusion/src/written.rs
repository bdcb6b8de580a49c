//! Drafts that no canvas wrote: continuations by the causal pass of the same weights, and earlier code that began alike.
//!
//! They cost little beside a canvas, know what the left side makes probable, and compete with the canvases under the same
//! score; some start canvases of their own. How many there are, the checkpoint says (`lacuna.drafts`).

use crate::control::stop_at;
use crate::engine::DiffusionEngine;
use crate::infill::Job;
use crate::rank::{Draft, tokenizer_fault};
use crate::watch::Run;
use lacuna_engine::{EngineError, HoleKind, Origin};

/// Most tokens that a continuation of one line may have.
const LINE_TOKENS_MAX: usize = 32;

/// How much less probable than the best token, in nats, the suffix's first one may be where a continuation is to stop: a text
/// that the suffix cannot follow never wins.
const STOP_MARGIN: f32 = 12.0;

impl DiffusionEngine {
    /// All of them; of equal texts the first keeps its author.
    pub(crate) fn written(&mut self, job: &Job<'_>, run: &mut Run<'_>) -> Result<Vec<Draft>, EngineError> {
        let wanted = job.drafts;
        let mut drafts = Vec::new();
        for text in job.request.earlier.iter().take(wanted.earlier) {
            drafts.push(self.draft_of(text.clone(), Origin::Earlier)?);
        }
        let ahead = self.beginnings(job);
        if wanted.causal > 0 {
            drafts.extend(self.continuations(job, (wanted.causal, &ahead), run)?);
        }
        // What the document repeats makes some of these alike; the network alone has other ideas.
        if wanted.causal_alone > 0
            && let Some(repeats) = self.session.expect(None)
        {
            let alone = self.continuations(job, (wanted.causal_alone, &ahead), run);
            self.session.expect(Some(repeats));
            drafts.extend(alone?);
        }
        Ok(drafts)
    }

    fn draft_of(&self, text: String, origin: Origin) -> Result<Draft, EngineError> {
        let tokens = self.tokenizer.encode(&text).map_err(tokenizer_fault)?.len();
        Ok(Draft { tokens, text, entropy_mean: 0.0, steps: 0, settled: true, origin })
    }

    /// Greedy continuations of the prompt, each begun with another of its `count` most probable tokens. Where code follows on
    /// the hole's line, every place to stop is a draft of its own: the score of what follows decides.
    fn continuations(
        &mut self,
        job: &Job<'_>,
        (count, ahead): (usize, &[u32]),
        run: &mut Run<'_>,
    ) -> Result<Vec<Draft>, EngineError> {
        let ids = job.prompt.whole();
        let Some((&last, before)) = ids.split_last() else { return Ok(Vec::new()) };
        self.session.read(before, run.cancel)?;
        let mut logits = self.session.next_logits(last, run.cancel)?;
        run.stats.forwards += 1;
        let read = self.session.len();
        self.forbid_first(&mut logits, &job.prompt);
        let mut drafts = Vec::new();
        for first in largest(&logits, count) {
            self.session.rollback(read);
            let texts = self.continuation(job, (first, ahead), run)?;
            for text in texts {
                drafts.push(self.draft_of(text, Origin::Causal)?);
            }
        }
        self.session.rollback(job.prompt.ids.len()); // what follows is the canvases'
        Ok(drafts)
    }

    /// Tokens that what follows the hole on its line may begin with, however it is cut; of a span alone, and where continuations
    /// are wanted.
    fn beginnings(&self, job: &Job<'_>) -> Vec<u32> {
        let rest = job.request.suffix.split(['\n', '\r']).next().unwrap_or_default();
        if job.drafts.causal + job.drafts.causal_alone == 0
            || job.request.kind != HoleKind::Span
            || rest.is_empty()
        {
            return Vec::new();
        }
        let pieces = self.tokenizer.pieces().iter().zip(0..);
        let begins = |piece: &str| !piece.is_empty() && (rest.starts_with(piece) || piece.starts_with(rest));
        pieces.filter(|(piece, _)| begins(piece)).map(|(_, id)| id).collect()
    }

    /// One continuation that begins with the token `first`: its text, and where it may also end, one of the tokens `ahead`
    /// being next.
    fn continuation(
        &mut self,
        job: &Job<'_>,
        (first, ahead): (u32, &[u32]),
        run: &mut Run<'_>,
    ) -> Result<Vec<String>, EngineError> {
        let (kind, suffix) = (job.request.kind, &job.request.suffix);
        let limit = if kind.is_multiline() { self.causal_limit(job.request) } else { LINE_TOKENS_MAX };
        let (mut tokens, mut next, mut ends, mut text) = (Vec::new(), first, Vec::new(), String::new());
        while tokens.len() < limit {
            tokens.push(next);
            let whole = self.tokenizer.decode(&tokens).map_err(tokenizer_fault)?;
            whole.strip_prefix(job.prompt.lead_text()).unwrap_or(&whole).clone_into(&mut text);
            let stop = if kind == HoleKind::Span { HoleKind::Line } else { kind };
            if let Some(end) = stop_at(&text, stop, suffix) {
                text.truncate(end);
                break;
            }
            let logits = self.session.next_logits(next, run.cancel)?;
            run.stats.forwards += 1;
            let best = lacuna_kernels::row_stats(&logits, 1.0);
            next = best.argmax as u32;
            let goes_on =
                ahead.is_empty() || ahead.iter().any(|&id| logits[id as usize] > best.max - STOP_MARGIN);
            // Inside a character the text has a stand-in, which is no beginning of what it becomes.
            if goes_on && !text.ends_with(char::REPLACEMENT_CHARACTER) {
                ends.push(text.len());
            }
            if self.abilities.ends_text(next) {
                break;
            }
        }
        let mut texts = vec![text.clone()];
        if kind == HoleKind::Span {
            texts.extend(
                (ends.into_iter().rev().filter(|&end| end < text.len()))
                    .filter_map(|end| text.get(..end).map(str::to_owned)),
            );
        }
        Ok(texts)
    }
}

/// The indices of the `count` largest values, largest first, without what is forbidden (-inf): a word that was begun leaves few
/// tokens to go on with.
fn largest(values: &[f32], count: usize) -> Vec<u32> {
    let allowed = |&index: &u32| values[index as usize] > f32::NEG_INFINITY;
    let mut order: Vec<u32> = (0..values.len() as u32).filter(allowed).collect();
    let by_value = |a: &u32, b: &u32| values[*b as usize].total_cmp(&values[*a as usize]);
    if count < order.len() {
        order.select_nth_unstable_by(count, by_value);
        order.truncate(count);
    }
    order.sort_by(by_value);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_come_first() {
        assert_eq!(largest(&[0.1, 3.0, f32::NEG_INFINITY, 2.0], 2), [1, 3]);
        assert_eq!(largest(&[1.0], 4), [0]);
        assert_eq!(
            largest(&[f32::NEG_INFINITY, 1.0, f32::NEG_INFINITY, 2.0], 3),
            [3, 1],
            "never a forbidden one"
        );
    }
}
