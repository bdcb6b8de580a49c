//! The network with what it has read: one KV cache, re-encoded only past the longest common prefix with a new prompt.

use crate::backend::Backend;
use crate::branches::Branches;
use crate::config::Config;
use crate::denoise::{Condensing, Denoiser, Rules, Step};
use crate::net::Canvases;
use crate::repeats::{Repeats, Seen};
use lacuna_engine::{CancelToken, EngineError};
use std::collections::HashMap;

/// Rows of logits made at once when scoring.
const HEAD_ROWS: usize = 128;

/// Rows of one batch when scoring: what a cancelled request may still cost, and how much memory.
const BRANCH_ROWS: usize = 384;

/// A network and its cache. Every pass runs on the session's own threads.
#[derive(Debug)]
pub(crate) struct Session {
    backend: Box<dyn Backend>,
    /// The tokens that the cache holds.
    ids: Vec<u32>,
    /// What causal predictions are mixed with, until the next request.
    repeats: Option<Repeats>,
    pool: rayon::ThreadPool,
}

impl Session {
    /// A session whose cache holds nothing yet.
    pub(crate) fn new(backend: Box<dyn Backend>, pool: rayon::ThreadPool) -> Self {
        Self { backend, ids: Vec::new(), repeats: None, pool }
    }

    pub(crate) fn config(&self) -> &Config {
        self.backend.config()
    }

    pub(crate) fn backend(&self) -> &dyn Backend {
        &*self.backend
    }

    pub(crate) fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Positions held.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Makes the cache hold exactly `ids`; returns how many of them it held already.
    pub(crate) fn read(&mut self, ids: &[u32], cancel: &CancelToken) -> Result<usize, EngineError> {
        let common = self.ids.iter().zip(ids).take_while(|(a, b)| a == b).count();
        self.rollback(common);
        self.append(&ids[common..], cancel)?;
        Ok(common)
    }

    /// Reads `ids` after what the cache holds. When cancelled, the cache holds what it held.
    pub(crate) fn append(&mut self, ids: &[u32], cancel: &CancelToken) -> Result<(), EngineError> {
        if !ids.is_empty() {
            self.pool.install(|| self.backend.read(ids, cancel))?;
            self.ids.extend_from_slice(ids);
        }
        Ok(())
    }

    /// From now on every causal prediction is mixed with `repeats`; returns what was expected before.
    pub(crate) fn expect(&mut self, repeats: Option<Repeats>) -> Option<Repeats> {
        std::mem::replace(&mut self.repeats, repeats)
    }

    /// The last tokens of the cache that repeats are looked for by, then `sequence`; and how many of the former there are.
    fn context(&self, len: usize, sequence: &[u32], repeats: &Repeats) -> (Vec<u32>, usize) {
        let tail = &self.ids[len.saturating_sub(repeats.longest())..len];
        ([tail, sequence].concat(), tail.len())
    }

    /// Reads one token and returns the logits `[vocabulary]` of the next one; log-probabilities, where repeats are expected.
    pub(crate) fn next_logits(&mut self, id: u32, cancel: &CancelToken) -> Result<Vec<f32>, EngineError> {
        let mut logits = self.next_logits_alone(id, cancel)?;
        self.mix_next(&[], &mut logits);
        Ok(logits)
    }

    /// [`Session::next_logits`] by the network alone.
    pub(crate) fn next_logits_alone(
        &mut self,
        id: u32,
        cancel: &CancelToken,
    ) -> Result<Vec<f32>, EngineError> {
        let logits = self.pool.install(|| {
            let hidden = self.backend.encode(&[id], cancel)?;
            self.backend.logits(&hidden)
        })?;
        self.ids.push(id);
        Ok(logits)
    }

    /// Where repeats are expected, makes logits `[vocabulary]` of what follows the cache and then `ids` log-probabilities,
    /// mixed; says whether.
    pub(crate) fn mix_next(&self, ids: &[u32], logits: &mut [f32]) -> bool {
        let Some(repeats) = &self.repeats else { return false };
        let total = lacuna_kernels::row_stats(logits, 1.0).log_sum_exp;
        logits.iter_mut().for_each(|logit| *logit -= total);
        let near = &ids[ids.len().saturating_sub(repeats.longest())..];
        repeats.seen(&self.context(self.len(), near, repeats).0).mix(logits);
        true
    }

    /// Reads one more token of each of `branches` after the cache; returns the logits `[branches, vocabulary]` of the next ones, by
    /// the network alone.
    pub(crate) fn grow(
        &self,
        branches: &mut Branches,
        ids: &[u32],
        cancel: &CancelToken,
    ) -> Result<Vec<f32>, EngineError> {
        self.pool.install(|| {
            let hidden = self.backend.grow(branches, ids, cancel)?;
            self.backend.logits(&hidden)
        })
    }

    /// Whether `count` more positions can be held.
    ///
    /// # Errors
    /// [`EngineError::InvalidRequest`] naming what fits.
    pub(crate) fn check_room(&self, count: usize) -> Result<(), EngineError> {
        let (room, held) = (self.backend.positions_max(), self.len());
        if count <= room.saturating_sub(held) {
            return Ok(());
        }
        Err(EngineError::InvalidRequest(format!(
            "the prompt and the text after it must be at most {room} tokens together, found {}",
            held.saturating_add(count)
        )))
    }

    /// Forgets everything from position `len` on.
    pub(crate) fn rollback(&mut self, len: usize) {
        self.backend.truncate(len);
        self.ids.truncate(len);
    }

    /// As [`Session::log_probs`], but after the first `len` positions of the cache, which keeps them all.
    pub(crate) fn log_probs_after(
        &mut self,
        len: usize,
        sequences: &[Vec<u32>],
        skip: usize,
        cancel: &CancelToken,
    ) -> Result<Vec<Vec<f32>>, EngineError> {
        let held = self.backend.hide(len);
        let log_probs = self.network_log_probs(sequences, skip, cancel);
        self.backend.unhide(held);
        self.mixed((len, skip), sequences, log_probs?, cancel)
    }

    /// Causal log-probabilities of `sequences` after the cache, all in one batch, nothing written: for each sequence
    /// ln p of its tokens from `skip` (> 0) on.
    pub(crate) fn log_probs(
        &self,
        sequences: &[Vec<u32>],
        skip: usize,
        cancel: &CancelToken,
    ) -> Result<Vec<Vec<f32>>, EngineError> {
        let log_probs = self.network_log_probs(sequences, skip, cancel)?;
        self.mixed((self.len(), skip), sequences, log_probs, cancel)
    }

    /// `log_probs` of `sequences`, from `skip` on, after `len` positions of the cache, mixed with what is repeated. Sequences share
    /// most of what they say, so each context is looked up once.
    fn mixed(
        &self,
        (len, skip): (usize, usize),
        sequences: &[Vec<u32>],
        mut log_probs: Vec<Vec<f32>>,
        cancel: &CancelToken,
    ) -> Result<Vec<Vec<f32>>, EngineError> {
        let Some(repeats) = &self.repeats else { return Ok(log_probs) };
        let texts: Vec<_> = sequences.iter().map(|sequence| self.context(len, sequence, repeats)).collect();
        let mut known: HashMap<&[u32], Seen> = HashMap::new();
        for ((tokens, tail), log_probs) in texts.iter().zip(&mut log_probs) {
            cancel.check()?;
            for (at, log_prob) in (tail + skip..).zip(log_probs) {
                let context = &tokens[at.saturating_sub(repeats.longest())..at];
                let seen = known.entry(context).or_insert_with(|| repeats.seen(context));
                *log_prob = seen.log_prob(tokens[at], *log_prob);
            }
        }
        Ok(log_probs)
    }

    /// Mixes rows of log-probabilities, of what follows each position of `sequences` from `skip` - 1 on.
    fn mix_rows(
        &self,
        sequences: &[Vec<u32>],
        skip: usize,
        rows: &mut [f32],
        cancel: &CancelToken,
    ) -> Result<(), EngineError> {
        let Some(repeats) = &self.repeats else { return Ok(()) };
        let mut rows = rows.chunks_exact_mut(self.config().vocab_size);
        for sequence in sequences {
            cancel.check()?;
            let (tokens, tail) = self.context(self.len(), sequence, repeats);
            for (end, row) in (tail + skip..=tokens.len()).zip(rows.by_ref()) {
                repeats.seen(&tokens[end.saturating_sub(repeats.longest())..end]).mix(row);
            }
        }
        Ok(())
    }

    /// As [`Session::log_probs`], by the network alone.
    fn network_log_probs(
        &self,
        sequences: &[Vec<u32>],
        skip: usize,
        cancel: &CancelToken,
    ) -> Result<Vec<Vec<f32>>, EngineError> {
        // Like lengths side by side: a batch is as wide as its longest.
        let mut order: Vec<usize> = (0..sequences.len()).filter(|&i| sequences[i].len() > skip).collect();
        order.sort_by_key(|&i| sequences[i].len());
        let mut found = vec![Vec::new(); sequences.len()];
        let mut left = &order[..];
        while let Some(&longest) = left.last() {
            let most = (BRANCH_ROWS / sequences[longest].len()).max(1);
            let (shorter, batch) = left.split_at(left.len().saturating_sub(most));
            let batched: Vec<&[u32]> = batch.iter().map(|&i| &sequences[i][..]).collect();
            for (&i, log_probs) in batch.iter().zip(self.batch_log_probs(&batched, skip, cancel)?) {
                found[i] = log_probs;
            }
            left = shorter;
        }
        Ok(found)
    }

    /// [`Session::network_log_probs`] of sequences that are all longer than `skip`, in one batch.
    fn batch_log_probs(
        &self,
        sequences: &[&[u32]],
        skip: usize,
        cancel: &CancelToken,
    ) -> Result<Vec<Vec<f32>>, EngineError> {
        let longest = sequences.iter().map(|s| s.len()).max().unwrap_or(1);
        let width = longest - 1; // the last token predicts nothing
        let ids = padded(sequences, width);
        let size = self.config().hidden_size;
        self.pool.install(|| {
            let hidden = self.backend.branch(&ids, sequences.len(), cancel)?;
            let predicts = |(b, s): (usize, &&[u32])| (skip..s.len()).map(move |i| b * width + i - 1);
            let rows: Vec<usize> = sequences.iter().enumerate().flat_map(predicts).collect();
            let wanted: Vec<u32> = sequences.iter().flat_map(|s| s.iter().copied().skip(skip)).collect();
            let mut found = Vec::with_capacity(rows.len());
            // A large vocabulary makes logits that dwarf everything else: never all rows at once.
            for (rows, ids) in rows.chunks(HEAD_ROWS).zip(wanted.chunks(HEAD_ROWS)) {
                cancel.check()?;
                let states: Vec<f32> =
                    rows.iter().flat_map(|&row| &hidden[row * size..(row + 1) * size]).copied().collect();
                found.extend(self.backend.log_probs(&states, ids)?);
            }
            let mut found = found.into_iter();
            Ok(sequences.iter().map(|s| found.by_ref().take(s.len() - skip).collect()).collect())
        })
    }
}

impl Denoiser for Session {
    fn denoise(&self, step: &Step<'_>, cancel: &CancelToken) -> Result<Vec<f32>, EngineError> {
        let canvases =
            Canvases { tokens: step.tokens, batch: step.batch, soft: step.soft, rows: Some(step.rows) };
        self.pool.install(|| self.backend.denoise(&canvases, cancel))
    }

    fn soft_embedding(&self, scaled: &[f32]) -> Result<Vec<f32>, EngineError> {
        self.pool.install(|| self.backend.soft_embedding(scaled))
    }

    fn embed(&self, ids: &[u32]) -> Result<Vec<f32>, EngineError> {
        self.backend.embed(ids)
    }

    fn causal(
        &self,
        sequences: &[Vec<u32>],
        skip: usize,
        cancel: &CancelToken,
    ) -> Result<Vec<f32>, EngineError> {
        let width = sequences.iter().map(Vec::len).max().unwrap_or(0);
        let ids = padded(sequences, width);
        let (size, vocabulary) = (self.config().hidden_size, self.config().vocab_size);
        self.pool.install(|| {
            let hidden = self.backend.branch(&ids, sequences.len(), cancel)?;
            let rows = |(b, s): (usize, &Vec<u32>)| (skip - 1..s.len()).map(move |i| b * width + i);
            let rows = sequences.iter().enumerate().flat_map(rows);
            let states: Vec<f32> =
                rows.flat_map(|row| &hidden[row * size..(row + 1) * size]).copied().collect();
            let mut logits = self.backend.logits(&states)?;
            let totals = lacuna_kernels::row_stats_all(&logits, vocabulary, 1.0);
            for (row, total) in logits.chunks_exact_mut(vocabulary).zip(totals) {
                row.iter_mut().for_each(|logit| *logit -= total.log_sum_exp);
            }
            self.mix_rows(sequences, skip, &mut logits, cancel)?;
            Ok(logits)
        })
    }

    fn condense(
        &self,
        batch: &mut [Condensing],
        rules: &Rules,
        cancel: &CancelToken,
        after_step: &mut dyn FnMut(&[Condensing]),
    ) -> Option<Result<usize, EngineError>> {
        self.backend.condense(batch, rules, cancel, after_step)
    }

    fn hidden(&self) -> usize {
        self.config().hidden_size
    }

    fn vocabulary(&self) -> usize {
        self.config().vocab_size
    }
}

/// `[sequences, width]` token ids. Causal rows never see what follows them, so any token serves as padding.
fn padded<S: AsRef<[u32]>>(sequences: &[S], width: usize) -> Vec<u32> {
    let row =
        |s: &S| s.as_ref().iter().copied().chain(std::iter::repeat(0)).take(width).collect::<Vec<u32>>();
    sequences.iter().flat_map(row).collect()
}
