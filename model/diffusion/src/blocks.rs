//! Texts longer than one canvas: block after block, each committed to the KV cache before the next one starts.

use crate::canvas::Frameset;
use crate::denoise::{Condensing, condense};
use crate::engine::DiffusionEngine;
use crate::infill::Job;
use crate::noise::Coordinates;
use crate::rank::{Draft, finish, tokenizer_fault};
use crate::watch::Watch;
use lacuna_engine::{CancelToken, EngineError, Stats};

/// Stream numbers of blocks, apart from those of single canvases.
const BLOCK_STREAM: u64 = 1 << 32;

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
        stats: &mut Stats,
        watch: &mut Watch<'_>,
        cancel: &CancelToken,
    ) -> Result<Draft, EngineError> {
        let count = length.div_ceil(job.hole_max);
        let vocabulary = self.session.config().vocab_size as u32;
        let block = |i: usize| {
            let size = length / count + usize::from(i < length % count);
            let draw = |position| {
                let at = Coordinates { stream: BLOCK_STREAM + i as u64, step: 0, position: position as u64 };
                job.rules.generator.first_noise(at, job.rules.noise, vocabulary)
            };
            let suffix = if i + 1 == count { job.around.suffix.clone() } else { Vec::new() };
            Block { hole: (0..size).map(draw).collect(), suffix }
        };
        self.run_blocks(job, (0..count).map(block).collect(), stats, watch, cancel)
    }

    /// Condenses `blocks` one after the other; the prompt in the cache is as before when this returns.
    pub(crate) fn run_blocks(
        &mut self,
        job: &Job<'_>,
        blocks: Vec<Block>,
        stats: &mut Stats,
        watch: &mut Watch<'_>,
        cancel: &CancelToken,
    ) -> Result<Draft, EngineError> {
        let prompt = self.session.len();
        let ran = self.run_blocks_on(job, blocks, stats, watch, cancel);
        self.session.rollback(prompt);
        ran
    }

    fn run_blocks_on(
        &mut self,
        job: &Job<'_>,
        blocks: Vec<Block>,
        stats: &mut Stats,
        watch: &mut Watch<'_>,
        cancel: &CancelToken,
    ) -> Result<Draft, EngineError> {
        let mut head = job.around.head.clone();
        let mut all = Vec::new();
        let (mut steps, mut entropy, mut settled) = (0, 0.0, true);
        for (i, block) in blocks.into_iter().enumerate() {
            let length = (head.len() + block.hole.len() + block.suffix.len()).min(self.abilities.canvas_length);
            let first_allowed = if i == 0 { job.around.first_allowed.clone() } else { None };
            let (fill, suffix) = (self.abilities.fill, block.suffix);
            let around = Frameset { head: head.clone(), suffix, fill, length, first_allowed };
            let canvas = around.canvas(&block.hole, BLOCK_STREAM + i as u64, false);
            let mut batch = [Condensing::new(canvas, &job.rules)];
            stats.canvases += 1;
            stats.forwards += condense(&self.session, &mut batch, &job.rules, cancel, &mut |b| watch.after_step(b))?;
            watch.next_block();
            let [done] = batch;
            let answer = done.answer();
            steps += done.steps;
            settled &= done.settled;
            entropy += done.entropy.iter().sum::<f32>();
            let ended = answer.iter().position(|id| self.abilities.ends_text(*id));
            all.extend_from_slice(&answer[..ended.unwrap_or(answer.len())]);
            if ended.is_some() {
                break;
            }
            // All but the new head become prompt: the last token stays on the next canvas, as in a first block.
            let mut commit = std::mem::take(&mut head);
            commit.extend_from_slice(&answer);
            head = commit.split_off(commit.len() - self.abilities.head_tokens.min(commit.len()));
            self.session.append(&commit, cancel)?;
        }
        let (tokens, text) = finish(self, job, &all)?;
        let entropy_mean = entropy / all.len().max(1) as f32;
        Ok(Draft { tokens: tokens.len(), text, entropy_mean, steps, settled })
    }

    /// Drafts that start from `text`, of which a share of tokens is noise; the text itself competes as it stands.
    pub(crate) fn from_text(
        &mut self,
        job: &Job<'_>,
        text: &str,
        strength: f32,
        stats: &mut Stats,
        watch: &mut Watch<'_>,
        cancel: &CancelToken,
    ) -> Result<Vec<Draft>, EngineError> {
        // What was taken back from the prefix belongs to the hole now, and so to its text.
        let whole = format!("{}{text}", job.prompt.lead_text());
        let tokens = self.tokenizer.encode(&whole).map_err(tokenizer_fault)?;
        let (count, text) = (tokens.len(), text.to_owned());
        let unchanged = Draft { tokens: count, text, entropy_mean: 0.0, steps: 0, settled: true };
        let mut drafts = vec![unchanged];
        if tokens.is_empty() || strength == 0.0 {
            return Ok(drafts);
        }
        let sequence = [&job.around.head[..], &tokens].concat();
        let log_probs = self.session.log_probs(&[sequence], job.around.head.len(), cancel)?.pop().unwrap_or_default();
        let noised = |round: usize| self.noised(job, &tokens, &log_probs, strength, round as u64);
        let rounds = job.effort.lengths;
        if tokens.len() <= job.hole_max {
            let canvases = (0..rounds).map(|i| job.around.canvas(&noised(i), i as u64, false)).collect();
            drafts.extend(self.condense_batch(job, canvases, stats, watch, cancel)?);
            return Ok(drafts);
        }
        let whole: Vec<Vec<u32>> = (0..rounds).map(noised).collect();
        for noised in whole {
            let blocks = text_blocks(&noised, &tokens, job);
            drafts.push(self.run_blocks(job, blocks, stats, watch, cancel)?);
        }
        Ok(drafts)
    }

    /// `tokens` with a share of `strength` noised. In round 0 those that the causal pass finds least probable, in later
    /// rounds ever more by chance, so that the rounds differ.
    fn noised(&self, job: &Job<'_>, tokens: &[u32], log_probs: &[f32], strength: f32, round: u64) -> Vec<u32> {
        let count = ((tokens.len() as f32 * strength).ceil() as usize).min(tokens.len());
        let at = |row: usize| Coordinates { stream: BLOCK_STREAM * 2 + round, step: 0, position: row as u64 };
        let key = |row: &usize| log_probs[*row] - 4.0 * round as f32 * job.rules.generator.unit(at(*row), 3);
        let mut order: Vec<usize> = (0..tokens.len()).collect();
        order.sort_by(|a, b| key(a).total_cmp(&key(b)));
        let mut noised = tokens.to_vec();
        for &row in &order[..count] {
            noised[row] = job.rules.generator.first_noise(at(row), job.rules.noise, self.session.config().vocab_size as u32);
        }
        noised
    }
}

/// Cuts a noised text into canvas-sized blocks, each with the unnoised rest of the text and the suffix in view.
fn text_blocks(noised: &[u32], tokens: &[u32], job: &Job<'_>) -> Vec<Block> {
    let starts = (0..noised.len()).step_by(job.hole_max);
    let block = |start: usize| {
        let end = (start + job.hole_max).min(noised.len());
        Block { hole: noised[start..end].to_vec(), suffix: [&tokens[end..], &job.around.suffix].concat() }
    };
    starts.map(block).collect()
}
