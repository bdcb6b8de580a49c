//! Texts longer than one canvas: block after block, each committed to the KV cache before the next one starts.

use crate::canvas::{Canvas, Frameset};
use crate::config::Noise;
use crate::denoise::{Condensing, condense};
use crate::engine::DiffusionEngine;
use crate::infill::Job;
use crate::noise::{Coordinates, Generator};
use crate::rank::{Draft, finish, tokenizer_fault};
use crate::watch::Run;
use lacuna_engine::{Candidate, EngineError, Origin, Start};

/// Stream numbers of blocks, apart from those of single canvases.
const BLOCK_STREAM: u64 = 1 << 32;

/// Stream numbers of canvases that begin as a draft.
const SEED_STREAM: u64 = 1 << 34;

/// What one block starts from and what it can see to its right.
pub(crate) struct Block {
    /// The hole's first content (noise already drawn in).
    pub hole: Vec<u32>,
    /// The suffix in view.
    pub suffix: Vec<u32>,
}

impl DiffusionEngine {
    /// Fills a hole of `length` tokens that one canvas cannot hold: equal blocks, only the last one sees the suffix.
    pub(crate) fn fill_in_blocks(
        &mut self,
        job: &Job<'_>,
        length: usize,
        run: &mut Run<'_>,
    ) -> Result<Draft, EngineError> {
        let count = length.div_ceil(job.hole_max);
        let vocabulary = self.session.config().vocab_size as u32;
        let block = |i: usize| {
            let size = length / count + usize::from(i < length % count);
            let stream = BLOCK_STREAM + i as u64;
            let suffix = if i + 1 == count { job.around.suffix.clone() } else { Vec::new() };
            Block { hole: job.generator.fresh_hole(stream, size, job.rules.noise, vocabulary), suffix }
        };
        self.run_blocks(job, (0..count).map(block).collect(), run)
    }

    /// Condenses `blocks` one after the other; the prompt in the cache is as before when this returns.
    pub(crate) fn run_blocks(
        &mut self,
        job: &Job<'_>,
        blocks: Vec<Block>,
        run: &mut Run<'_>,
    ) -> Result<Draft, EngineError> {
        let prompt = self.session.len();
        // Each block but the last is committed; the last one stands on a canvas.
        let committed = blocks.iter().rev().skip(1).map(|block| block.hole.len()).sum::<usize>();
        self.session.check_room(committed + self.abilities.canvas_length)?;
        run.watch.begin_draft();
        let ran = self.run_blocks_on(job, blocks, run);
        self.session.rollback(prompt);
        ran
    }

    fn run_blocks_on(
        &mut self,
        job: &Job<'_>,
        blocks: Vec<Block>,
        run: &mut Run<'_>,
    ) -> Result<Draft, EngineError> {
        let mut head = job.around.head.clone();
        let mut all = Vec::new();
        let (mut steps, mut entropy, mut settled) = (0, 0.0, true);
        let refining = matches!(job.request.start, Start::Text { .. });
        let last = blocks.len() - 1;
        for (i, block) in blocks.into_iter().enumerate() {
            let length =
                (head.len() + block.hole.len() + block.suffix.len()).min(self.abilities.canvas_length);
            let first_allowed = if i == 0 { job.around.first_allowed.clone() } else { None };
            let (fill, suffix) = (self.abilities.fill, block.suffix);
            let around = Frameset { head: head.clone(), suffix, fill, length, first_allowed };
            let canvas = around.canvas(&block.hole, BLOCK_STREAM + i as u64, false);
            let mut batch = [Condensing::new(canvas, &job.rules)];
            run.stats.canvases += 1;
            run.stats.forwards += condense(&self.session, &mut batch, &job.rules, run.cancel, &mut |b| {
                run.watch.after_step(b)
            })?;
            run.watch.next_block();
            let [done] = batch;
            let answer = done.answer();
            steps += done.steps;
            settled &= done.settled;
            entropy += done.entropy.iter().sum::<f32>();
            let ended = answer.iter().position(|id| self.abilities.ends_text(*id)).filter(|_| !refining);
            all.extend_from_slice(&answer[..ended.unwrap_or(answer.len())]);
            if i == last || ended.is_some() {
                break;
            }
            // All but the new head become prompt: the last token stays on the next canvas, as in a first block.
            let mut commit = std::mem::take(&mut head);
            commit.extend_from_slice(&answer);
            head = commit.split_off(commit.len() - self.abilities.head_tokens.min(commit.len()));
            self.session.append(&commit, run.cancel)?;
        }
        let (tokens, text) = finish(self, job, &all)?;
        let entropy_mean = entropy / all.len().max(1) as f32;
        Ok(Draft { tokens: tokens.len(), text, entropy_mean, steps, settled, origin: Origin::Noise })
    }

    /// Canvases that begin as the best `count` of `candidates`, noised where the causal pass doubts them.
    pub(crate) fn seeded(
        &mut self,
        job: &Job<'_>,
        candidates: &[Candidate],
        (count, round): (usize, u64),
        run: &mut Run<'_>,
    ) -> Result<Vec<Canvas>, EngineError> {
        let mut texts = Vec::new();
        for candidate in candidates.iter().take(count) {
            let whole = format!("{}{}", job.prompt.lead_text(), candidate.text);
            let tokens = self.tokenizer.encode(&whole).map_err(tokenizer_fault)?;
            if (1..=job.hole_max).contains(&tokens.len()) {
                texts.push((tokens, candidate.origin));
            }
        }
        let head = &job.around.head;
        let sequences: Vec<Vec<u32>> = texts.iter().map(|(tokens, _)| [&head[..], tokens].concat()).collect();
        let log_probs = self.session.log_probs(&sequences, head.len(), run.cancel)?;
        let vocabulary = self.session.config().vocab_size as u32;
        let (noise, strength) = (job.rules.noise, job.drafts.strength);
        let mut canvases = Vec::with_capacity(texts.len());
        for (i, ((tokens, origin), log_probs)) in texts.iter().zip(&log_probs).enumerate() {
            let present = Present { tokens, log_probs, strength, noise, vocabulary };
            let stream = SEED_STREAM * (round + 1) + i as u64;
            let canvas = job.around.canvas(&present.noised(job.generator, 0), stream, false);
            canvases.push(Canvas { origin: *origin, ..canvas });
        }
        Ok(canvases)
    }

    /// Drafts that start from `text`, of which a share of tokens is noise; the text itself competes as it stands.
    pub(crate) fn drafts_from_text(
        &mut self,
        job: &Job<'_>,
        text: &str,
        strength: f32,
        run: &mut Run<'_>,
    ) -> Result<Vec<Draft>, EngineError> {
        // What was taken back from the prefix belongs to the hole now, and so to its text.
        let whole = format!("{}{text}", job.prompt.lead_text());
        let tokens = self.tokenizer.encode(&whole).map_err(tokenizer_fault)?;
        let (count, text) = (tokens.len(), text.to_owned());
        let unchanged =
            Draft { tokens: count, text, entropy_mean: 0.0, steps: 0, settled: true, origin: Origin::Given };
        let mut drafts = vec![unchanged];
        if tokens.is_empty() || strength == 0.0 {
            return Ok(drafts);
        }
        let sequence = [&job.around.head[..], &tokens].concat();
        let log_probs =
            self.session.log_probs(&[sequence], job.around.head.len(), run.cancel)?.pop().unwrap_or_default();
        let vocabulary = self.session.config().vocab_size as u32;
        let (noise, tokens_now) = (job.rules.noise, &tokens[..]);
        let present = Present { tokens: tokens_now, log_probs: &log_probs, strength, noise, vocabulary };
        let noised = |round: usize| present.noised(job.generator, round as u64);
        let rounds = job.effort.lengths;
        if tokens.len() <= job.hole_max {
            let canvases = (0..rounds).map(|i| job.around.canvas(&noised(i), i as u64, false)).collect();
            drafts.extend(self.condense_batch(job, canvases, run)?);
            return Ok(drafts);
        }
        let whole: Vec<Vec<u32>> = (0..rounds).map(noised).collect();
        for noised in whole {
            let blocks = text_blocks(&noised, &tokens, job);
            drafts.push(self.run_blocks(job, blocks, run)?);
        }
        Ok(drafts)
    }
}

/// A text that is there, about to be refined.
struct Present<'a> {
    tokens: &'a [u32],
    /// Causal log-probability of each token.
    log_probs: &'a [f32],
    /// Share of tokens to noise.
    strength: f32,
    noise: Noise,
    vocabulary: u32,
}

impl Present<'_> {
    /// The tokens with their share noised. In round 0 those that the causal pass finds least probable, in later rounds
    /// ever more by chance, so that the rounds differ.
    fn noised(&self, generator: Generator, round: u64) -> Vec<u32> {
        let mut noised = self.tokens.to_vec();
        let count = ((noised.len() as f32 * self.strength).ceil() as usize).min(noised.len());
        let at = |row: usize| Coordinates { stream: BLOCK_STREAM * 2 + round, step: 0, position: row as u64 };
        let key = |row: &usize| self.log_probs[*row] - 4.0 * round as f32 * generator.unit(at(*row), 3);
        let mut order: Vec<usize> = (0..noised.len()).collect();
        order.sort_by(|a, b| key(a).total_cmp(&key(b)));
        for &row in &order[..count] {
            noised[row] = generator.first_noise(at(row), self.noise, self.vocabulary);
        }
        noised
    }
}

/// Cuts a noised text into canvas-sized blocks, each with the unnoised rest of the text and the suffix in view.
fn text_blocks(noised: &[u32], tokens: &[u32], job: &Job<'_>) -> Vec<Block> {
    let starts = (0..noised.len()).step_by(job.hole_max);
    let block = |start: usize| {
        let end = (start + job.hole_max).min(noised.len());
        let behind = tokens[end..].iter().chain(&job.around.suffix);
        // No canvas shows more.
        let suffix = behind.copied().take(job.around.length).collect();
        Block { hole: noised[start..end].to_vec(), suffix }
    };
    starts.map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOISE: Noise = Noise::Mask { mask_token_id: 9, uniform_share: 0.0, uniform_first_id: 0 };

    fn present<'a>(tokens: &'a [u32], log_probs: &'a [f32], strength: f32) -> Present<'a> {
        Present { tokens, log_probs, strength, noise: NOISE, vocabulary: 10 }
    }

    #[test]
    fn the_first_round_noises_what_the_causal_pass_doubts_most() {
        let present = present(&[1, 2, 3, 4], &[-0.1, -5.0, -0.2, -3.0], 0.5);
        assert_eq!(present.noised(Generator::new(3), 0), [1, 9, 3, 9]);
    }

    #[test]
    fn strength_is_the_share_that_is_noised_in_every_round() {
        for (strength, expected) in [(0.0, 0), (0.1, 1), (0.5, 3), (1.0, 5)] {
            for round in 0..4 {
                let present = present(&[1, 2, 3, 4, 5], &[-1.0; 5], strength);
                let count = present.noised(Generator::new(3), round).iter().filter(|&&id| id == 9).count();
                assert_eq!(count, expected, "strength {strength}, round {round}");
            }
        }
    }
}
