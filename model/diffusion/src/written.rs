//! Drafts that no canvas wrote: continuations by the causal pass of the same weights, and earlier code that began alike.
//!
//! They cost little beside a canvas, know what the left side makes probable, and compete with the canvases under the same
//! score; some start canvases of their own. How many there are, the checkpoint says (`lacuna.drafts`).

use crate::branches::Branches;
use crate::control::stop_at;
use crate::denoise::Denoiser;
use crate::engine::DiffusionEngine;
use crate::infill::Job;
use crate::rank::{Draft, tokenizer_fault};
use crate::watch::Run;
use lacuna_engine::{EngineError, HoleKind, Origin};

/// Most tokens that a continuation of one line may have.
const LINE_TOKENS_MAX: usize = 32;

/// Most places of one continuation where it may end early: each is a text to be scored and parsed.
const ENDS_MAX: usize = 16;

/// How much less probable than the best token, in nats, the suffix's first one may be where a continuation is to stop: a text
/// that the suffix cannot follow never wins.
const STOP_MARGIN: f32 = 12.0;

/// One continuation on its way.
struct Continuation {
    tokens: Vec<u32>,
    /// The token that comes next.
    next: u32,
    /// Whether it expects what the document repeats.
    mixed: bool,
    text: String,
    /// Bytes of the text where it may also end.
    ends: Vec<usize>,
    done: bool,
}

impl Continuation {
    fn new(first: u32, mixed: bool) -> Self {
        Self { tokens: Vec::new(), next: first, mixed, text: String::new(), ends: Vec::new(), done: false }
    }

    /// Its text, and those that end earlier, the longest first.
    fn texts(self) -> Vec<String> {
        let earlier = self.ends.iter().rev().filter(|&&end| end < self.text.len());
        let earlier: Vec<String> =
            earlier.filter_map(|&end| self.text.get(..end).map(str::to_owned)).collect();
        std::iter::once(self.text).chain(earlier).collect()
    }
}

impl DiffusionEngine {
    /// All of them; of equal texts the first keeps its author.
    pub(crate) fn written(&mut self, job: &Job<'_>, run: &mut Run<'_>) -> Result<Vec<Draft>, EngineError> {
        let mut drafts = Vec::new();
        for text in job.request.earlier.iter().take(job.drafts.earlier) {
            drafts.push(self.draft_of(text.clone(), Origin::Earlier)?);
        }
        if job.drafts.causal + job.drafts.causal_alone > 0 {
            drafts.extend(self.continuations(job, run)?);
        }
        Ok(drafts)
    }

    fn draft_of(&self, text: String, origin: Origin) -> Result<Draft, EngineError> {
        let tokens = self.tokenizer.encode(&text).map_err(tokenizer_fault)?.len();
        Ok(Draft { tokens, text, entropy_mean: 0.0, steps: 0, settled: true, origin })
    }

    /// Greedy continuations of the prompt, each begun with another of its most probable tokens. Where code follows on
    /// the hole's line, every place to stop is a draft of its own: the score of what follows decides.
    fn continuations(&mut self, job: &Job<'_>, run: &mut Run<'_>) -> Result<Vec<Draft>, EngineError> {
        let ids = job.prompt.whole();
        let Some((&last, before)) = ids.split_last() else { return Ok(Vec::new()) };
        self.session.read(before, run.cancel)?;
        let mut alone = self.session.next_logits_alone(last, run.cancel)?;
        run.stats.forwards += 1;
        let mut logits = alone.clone();
        let repeats = self.session.mix_next(&[], &mut logits);
        self.forbid_first(&mut logits, &job.prompt);
        self.forbid_first(&mut alone, &job.prompt);
        let begun = |logits: &[f32], count: usize, mixed: bool| {
            largest(logits, count).into_iter().map(move |first| Continuation::new(first, mixed))
        };
        // What the document repeats makes some of these alike; the network alone has other ideas.
        let others = if repeats { job.drafts.causal_alone } else { 0 };
        let mut all: Vec<Continuation> =
            begun(&logits, job.drafts.causal, true).chain(begun(&alone, others, false)).collect();
        self.go_on(job, &mut all, run)?;
        self.session.rollback(job.prompt.ids.len()); // what follows is the canvases'
        all.into_iter()
            .flat_map(Continuation::texts)
            .map(|text| self.draft_of(text, Origin::Causal))
            .collect()
    }

    /// Continues all of them side by side, each to where its hole ends.
    fn go_on(&self, job: &Job<'_>, all: &mut [Continuation], run: &mut Run<'_>) -> Result<(), EngineError> {
        let ahead = self.beginnings(job);
        let mut branches = Branches::new(all.len());
        let mut active: Vec<&mut Continuation> = all.iter_mut().collect();
        loop {
            for continuation in &mut active {
                self.take_next(job, continuation)?;
            }
            let going: Vec<usize> = (0..active.len()).filter(|&i| !active[i].done).collect();
            if going.is_empty() {
                return Ok(());
            }
            if going.len() < active.len() {
                branches.keep(&going);
                active.retain(|continuation| !continuation.done);
            }
            let ids: Vec<u32> = active.iter().map(|continuation| continuation.next).collect();
            let mut logits = self.session.grow(&mut branches, &ids, run.cancel)?;
            run.stats.forwards += 1;
            let rows = logits.chunks_exact_mut(self.session.vocabulary());
            for ((index, continuation), logits) in active.iter_mut().enumerate().zip(rows) {
                if continuation.mixed {
                    self.session.mix_next(branches.ids(index), logits);
                }
                self.see_ahead(job, continuation, (logits, &ahead));
            }
        }
    }

    /// The next token becomes part of the text; ends it where the hole ends.
    fn take_next(&self, job: &Job<'_>, continuation: &mut Continuation) -> Result<(), EngineError> {
        let (kind, suffix) = (job.request.kind, &job.request.suffix);
        continuation.tokens.push(continuation.next);
        let whole = self.tokenizer.decode(&continuation.tokens).map_err(tokenizer_fault)?;
        whole.strip_prefix(job.prompt.lead_text()).unwrap_or(&whole).clone_into(&mut continuation.text);
        let stop = if kind == HoleKind::Span { HoleKind::Line } else { kind };
        let limit = if kind.is_multiline() { self.causal_limit(job.request) } else { LINE_TOKENS_MAX };
        if let Some(end) =
            stop_at(&continuation.text, stop, suffix).or_else(|| goes_round(&continuation.text))
        {
            continuation.text.truncate(end);
            continuation.done = true;
        } else if continuation.tokens.len() >= limit {
            continuation.done = true;
        }
        Ok(())
    }

    /// Chooses the next token by its `logits` `[vocabulary]`, and notes whether the text may end here, one of the tokens `ahead` being next.
    fn see_ahead(&self, job: &Job<'_>, continuation: &mut Continuation, (logits, ahead): (&[f32], &[u32])) {
        let best = lacuna_kernels::row_stats(logits, 1.0);
        continuation.next = best.argmax as u32;
        let goes_on =
            ahead.is_empty() || ahead.iter().any(|&id| logits[id as usize] > best.max - STOP_MARGIN);
        // Inside a character the text has a stand-in, which is no beginning of what it becomes.
        let whole = !continuation.text.ends_with(char::REPLACEMENT_CHARACTER);
        if job.request.kind == HoleKind::Span && goes_on && whole && continuation.ends.len() < ENDS_MAX {
            continuation.ends.push(continuation.text.len());
        }
        continuation.done = self.abilities.ends_text(continuation.next);
    }

    /// Tokens that what follows the hole on its line may begin with, however it is cut; of a span alone.
    fn beginnings(&self, job: &Job<'_>) -> Vec<u32> {
        let rest = job.request.suffix.split(['\n', '\r']).next().unwrap_or_default();
        if job.request.kind != HoleKind::Span || rest.is_empty() {
            return Vec::new();
        }
        let pieces = self.tokenizer.pieces().iter().zip(0..);
        let begins = |piece: &str| !piece.is_empty() && (rest.starts_with(piece) || piece.starts_with(rest));
        pieces.filter(|(piece, _)| begins(piece)).map(|(_, id)| id).collect()
    }
}

/// Where a text goes on that has come to write one line over and over: the end of the first of three equal ones.
fn goes_round(text: &str) -> Option<usize> {
    let mut lines = text.strip_suffix('\n')?.rsplit('\n');
    let last = lines.next().filter(|line| !line.trim().is_empty())?;
    let again = lines.take(2).take_while(|line| *line == last).count() == 2;
    again.then(|| text.len() - 2 * (last.len() + 1))
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
    fn a_line_that_stands_there_three_times_running_stands_there_once() {
        let cut = |text: &str| goes_round(text).map(|end| text[..end].to_owned());
        assert_eq!(cut("a;\n  f(f);\n  f(f);\n  f(f);\n").as_deref(), Some("a;\n  f(f);\n"));
        assert_eq!(cut("f();\nf();\nf();\n").as_deref(), Some("f();\n"));
        for fine in ["f();\nf();\n", "f();\nf();\nf();", "\n\n\n\n", "}\n}\n  }\n", "g();\nf();\nf();\n", ""]
        {
            assert_eq!(cut(fine), None, "{fine:?}");
        }
    }

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
