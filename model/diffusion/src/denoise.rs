//! The denoising loop: a batch of canvases that share one prefix condenses, step by step.
//!
//! Each step: decoder → logits of the hole's rows → temperature → entropy-bound acceptance → accepted rows take their
//! token, *all others are renoised*, also those accepted before (that is the self-correction) → soft embedding for the
//! next step's self-conditioning. Given rows are written back by construction: only the hole's rows ever change.
//! A canvas that has come to rest leaves the batch. Source: the reference's `EntropyBoundSampler` and
//! `StableAndConfidentStoppingCriteria`; the progress guarantee is ours (a model whose noise is a mask would otherwise
//! accept nothing at all where it is unsure).

use crate::accept::{self, StopRule};
use crate::canvas::Canvas;
use crate::config::Noise;
use crate::noise::{Coordinates, NoiseSource};
use lacuna_engine::{CancelToken, EngineError};
use lacuna_kernels::row_stats;
use std::sync::Arc;

/// What the loop needs of the network. Rows are `canvas · canvas_len + row`, logits are softcapped and unscaled.
pub(crate) trait Denoiser {
    /// Logits `[rows.len(), vocabulary]` of a batch of canvases `[batch · len]`; `soft` is `[batch · len, hidden]`.
    fn denoise(&self, step: &Step<'_>, cancel: &CancelToken) -> Result<Vec<f32>, EngineError>;
    /// softmax(scaled) @ E · sqrt(hidden), `[rows, vocabulary]` → `[rows, hidden]`.
    fn soft_embedding(&self, scaled: &[f32]) -> Result<Vec<f32>, EngineError>;
    /// E[ids] · sqrt(hidden), `[ids.len(), hidden]`.
    fn embed(&self, ids: &[u32]) -> Result<Vec<f32>, EngineError>;
    /// Causal log-probabilities after the prompt: for each of `sequences` the rows `[len − skip + 1, vocabulary]` that
    /// predict its tokens from `skip` (> 0) on and the one after its last; all sequences' rows in order.
    fn causal(
        &self,
        sequences: &[Vec<u32>],
        skip: usize,
        cancel: &CancelToken,
    ) -> Result<Vec<f32>, EngineError>;
    /// All of [`condense`] at once, where the network has a loop of its own for these rules.
    fn condense(
        &self,
        _batch: &mut [Condensing],
        _rules: &Rules,
        _cancel: &CancelToken,
        _after_step: &mut dyn FnMut(&[Condensing]),
    ) -> Option<Result<usize, EngineError>> {
        None
    }
    /// Hidden size.
    fn hidden(&self) -> usize;
    /// Vocabulary size.
    fn vocabulary(&self) -> usize;
}

/// The input of one decoder pass.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    /// `[batch · len]` token ids.
    pub tokens: &'a [u32],
    /// Canvases in the batch.
    pub batch: usize,
    /// `[batch · len, hidden]`, or `None` on the first step.
    pub soft: Option<&'a [f32]>,
    /// Rows whose logits are wanted, ascending.
    pub rows: &'a [usize],
}

/// Schedule and rules of one request.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub steps_max: usize,
    pub t_min: f64,
    pub t_max: f64,
    pub entropy_bound: f32,
    pub stability: usize,
    pub confidence: f32,
    pub noise: Noise,
    pub source: NoiseSource,
    /// Weight of the causal pass in every step, see [`guide`]; 0: the canvas alone, as the reference has it.
    pub guidance: f32,
    /// Ids that no row may become: the special tokens of a model that was trained to keep them out of holes.
    pub banned: Arc<[u32]>,
}

/// A canvas while it condenses.
#[derive(Clone, Debug)]
pub(crate) struct Condensing {
    pub canvas: Canvas,
    /// Last argmax of the hole.
    pub argmax: Vec<u32>,
    /// Entropy of each hole row at the last step, nats.
    pub entropy: Vec<f32>,
    /// Which hole rows the last step accepted.
    pub accepted: Vec<bool>,
    /// Steps this canvas may take, and has taken.
    pub steps_max: usize,
    pub steps: usize,
    /// Whether it came to rest by itself.
    pub settled: bool,
    soft: Vec<f32>,
    stop: StopRule,
}

impl Condensing {
    /// A canvas about to take its first step; a short hole of mask noise needs no more steps than tokens.
    pub(crate) fn new(canvas: Canvas, rules: &Rules) -> Self {
        let steps_max = match rules.noise {
            Noise::Uniform => rules.steps_max,
            Noise::Mask { .. } => rules.steps_max.min(canvas.free_len() + 1),
        };
        let rows = canvas.hole_len;
        Self {
            canvas,
            argmax: Vec::new(),
            entropy: vec![0.0; rows],
            accepted: vec![false; rows],
            steps_max: steps_max.max(1),
            steps: 0,
            settled: false,
            soft: Vec::new(),
            stop: StopRule::new(rules.stability, rules.confidence),
        }
    }

    pub(crate) fn done(&self) -> bool {
        self.settled || self.steps >= self.steps_max
    }

    /// The hole's tokens as the last step believed them: sampled ones where they were accepted, else the argmax.
    pub(crate) fn answer(&self) -> Vec<u32> {
        let choose = |(row, &argmax): (usize, &u32)| {
            if self.canvas.sampled && self.accepted[row] { self.canvas.hole_tokens()[row] } else { argmax }
        };
        self.argmax.iter().enumerate().map(choose).collect()
    }

    /// Mean entropy of what was to be filled at the last step, nats.
    pub(crate) fn entropy_mean(&self) -> f32 {
        self.entropy.iter().sum::<f32>() / self.canvas.free_len().max(1) as f32
    }
}

/// Condenses `batch` (all canvases of one length) until each is done; `after_step` sees the batch after every step.
/// Returns how many decoder passes were run.
pub(crate) fn condense(
    net: &dyn Denoiser,
    batch: &mut [Condensing],
    rules: &Rules,
    cancel: &CancelToken,
    after_step: &mut dyn FnMut(&[Condensing]),
) -> Result<usize, EngineError> {
    if let Some(done) = net.condense(batch, rules, cancel, after_step) {
        return done;
    }
    let mut forwards = 0;
    loop {
        let mut active: Vec<&mut Condensing> = batch.iter_mut().filter(|c| !c.done()).collect();
        if active.is_empty() {
            return Ok(forwards);
        }
        cancel.check()?;
        one_step(net, &mut active, rules, cancel)?;
        forwards += 1;
        after_step(batch);
    }
}

fn one_step(
    net: &dyn Denoiser,
    active: &mut [&mut Condensing],
    rules: &Rules,
    cancel: &CancelToken,
) -> Result<(), EngineError> {
    let tokens: Vec<u32> = active.iter().flat_map(|c| c.canvas.tokens.iter().copied()).collect();
    let rows = hole_rows(active);
    let soft = gather_soft(net, active)?;
    let step = Step { tokens: &tokens, batch: active.len(), soft: soft.as_deref(), rows: &rows };
    let mut logits = net.denoise(&step, cancel)?;
    let vocabulary = net.vocabulary();
    if rules.guidance > 0.0 {
        guide(net, active, rules.guidance, &mut logits, cancel)?;
    }
    let mut first = 0;
    for condensing in active.iter_mut() {
        let count = condensing.canvas.hole_len;
        advance(condensing, &mut logits[first * vocabulary..(first + count) * vocabulary], rules);
        first += count;
    }
    if active.iter().all(|c| c.done()) {
        return Ok(()); // nobody will read the soft embedding
    }
    cancel.check()?;
    let soft = net.soft_embedding(&logits)?;
    let mut first = 0;
    for condensing in active.iter_mut() {
        let end = first + condensing.canvas.hole_len * net.hidden();
        condensing.soft = soft[first..end].to_vec();
        first = end;
    }
    Ok(())
}

/// Adds `weight` · log p(token | prompt, what the last step believed to the left of it) to the hole's logits. Each row's
/// marginal cannot see what its neighbours decide; the causal pass of the same weights can, from the left. On the first
/// step nothing is believed yet, and only the hole's first row is guided.
fn guide(
    net: &dyn Denoiser,
    active: &[&mut Condensing],
    weight: f32,
    logits: &mut [f32],
    cancel: &CancelToken,
) -> Result<(), EngineError> {
    let believed = |c: &Condensing| c.argmax.len().saturating_sub(1);
    let sequence =
        |c: &&mut Condensing| [&c.canvas.tokens[..c.canvas.hole_start], &c.argmax[..believed(c)]].concat();
    let sequences: Vec<Vec<u32>> = active.iter().map(sequence).collect();
    let Some(head) = active.first().map(|c| c.canvas.hole_start).filter(|&head| head > 0) else {
        return Ok(());
    };
    let log_probs = net.causal(&sequences, head, cancel)?;
    let (vocabulary, mut first, mut from) = (net.vocabulary(), 0, 0);
    for c in active {
        let values = (believed(c) + 1).min(c.canvas.hole_len) * vocabulary;
        let rows = logits[first..first + values].iter_mut().zip(&log_probs[from..from + values]);
        rows.for_each(|(logit, log_prob)| *logit += weight * log_prob);
        first += c.canvas.hole_len * vocabulary;
        from += (believed(c) + 1) * vocabulary;
    }
    Ok(())
}

fn hole_rows(active: &[&mut Condensing]) -> Vec<usize> {
    let length = active.first().map_or(0, |c| c.canvas.tokens.len());
    active.iter().enumerate().flat_map(|(b, c)| c.canvas.hole().map(move |row| b * length + row)).collect()
}

/// Self-conditioning of the whole batch `[batch · len, hidden]`: on given rows the token itself, in the hole what the
/// last step believed. `None` on the first step, when no canvas has believed anything yet.
fn gather_soft(net: &dyn Denoiser, active: &[&mut Condensing]) -> Result<Option<Vec<f32>>, EngineError> {
    if active.iter().all(|c| c.soft.is_empty()) {
        return Ok(None);
    }
    let hidden = net.hidden();
    let mut soft = Vec::with_capacity(active.iter().map(|c| c.canvas.tokens.len() * hidden).sum());
    for condensing in active {
        let canvas = &condensing.canvas;
        soft.extend(net.embed(&canvas.tokens[..canvas.hole_start])?);
        soft.extend_from_slice(&condensing.soft);
        soft.extend(net.embed(&canvas.tokens[canvas.hole().end..])?);
    }
    Ok(Some(soft))
}

/// One canvas takes the step: scales `logits` in place, accepts, renoises, and decides whether it has come to rest.
fn advance(c: &mut Condensing, logits: &mut [f32], rules: &Rules) {
    let hole_len = c.canvas.hole_len;
    let vocabulary = logits.len() / hole_len.max(1);
    let temperature = accept::temperature(rules.t_min, rules.t_max, c.steps_max - c.steps, c.steps_max);
    c.argmax.clear();
    for (row, logits) in logits.chunks_exact_mut(vocabulary).enumerate() {
        logits.iter_mut().for_each(|x| *x /= temperature);
        for &id in rules.banned.iter() {
            logits[id as usize] = f32::NEG_INFINITY;
        }
        if c.canvas.is_given(row) {
            be_certain(logits, c.canvas.tokens[c.canvas.hole_start + row]);
        } else if let (0, Some(allowed)) = (row, &c.canvas.first_allowed) {
            forbid(logits, allowed);
        }
        let stats = row_stats(logits, 1.0);
        c.entropy[row] = stats.entropy;
        c.argmax.push(stats.argmax as u32);
    }
    c.steps += 1;
    let progress = (c.canvas.free_len() * c.steps).div_ceil(c.steps_max);
    accept_rows(c, rules, progress);
    let unchanged = renoise(c, logits, rules);
    let may_end = c.stop.observe(&c.argmax, &c.entropy);
    // Where noise is a mask, a canvas that is all accepted and did not change would only repeat itself.
    let masked = matches!(rules.noise, Noise::Mask { .. });
    let at_rest = masked && unchanged && c.accepted.iter().all(|&a| a);
    c.settled = may_end || at_rest;
}

/// A given row inside the hole is a row that the model is certain of: it is accepted for nothing, keeps its token, and its
/// self-conditioning is the token itself.
fn be_certain(logits: &mut [f32], token: u32) {
    logits.fill(f32::NEG_INFINITY);
    logits[token as usize] = 0.0;
}

/// Leaves only the allowed tokens, unless that leaves none.
pub(crate) fn forbid(logits: &mut [f32], allowed: &[bool]) {
    let possible = logits.iter().zip(allowed).any(|(&logit, &allowed)| allowed && logit > f32::NEG_INFINITY);
    if possible {
        for (logit, _) in logits.iter_mut().zip(allowed).filter(|(_, allowed)| !**allowed) {
            *logit = f32::NEG_INFINITY;
        }
    }
}

/// Accepts by the entropy bound, and where noise is a mask at least `progress` rows: the surest first, or the leftmost
/// where the causal pass guides (it knows the left side best).
fn accept_rows(c: &mut Condensing, rules: &Rules, progress: usize) {
    if matches!(rules.noise, Noise::Uniform) {
        c.accepted = accept::entropy_bound(&c.entropy, rules.entropy_bound);
        return;
    }
    let mut order: Vec<usize> = (0..c.entropy.len()).filter(|&row| !c.canvas.is_given(row)).collect();
    if rules.guidance == 0.0 {
        order.sort_by(|&a, &b| c.entropy[a].total_cmp(&c.entropy[b]));
    }
    let mut entropy = c.entropy.clone();
    if rules.guidance > 0.0 {
        order.iter().take(progress).for_each(|&row| entropy[row] = 0.0); // what is due does not use up the bound
    }
    c.accepted = accept::entropy_bound(&entropy, rules.entropy_bound);
    order.iter().take(progress).for_each(|&row| c.accepted[row] = true);
}

/// Accepted rows take their token, all others fresh noise. True when nothing on the canvas changed.
fn renoise(c: &mut Condensing, scaled: &[f32], rules: &Rules) -> bool {
    let vocabulary = scaled.len() / c.canvas.hole_len.max(1);
    let mut unchanged = true;
    for row in 0..c.canvas.hole_len {
        let at = Coordinates { stream: c.canvas.stream, step: c.steps as u64, position: row as u64 };
        let token = if !c.accepted[row] {
            rules.source.noise(at, rules.noise, vocabulary as u32)
        } else if c.canvas.sampled {
            sample(&scaled[row * vocabulary..(row + 1) * vocabulary], rules.source.unit(at))
        } else {
            c.argmax[row]
        };
        let place = c.canvas.hole_start + row;
        unchanged &= c.canvas.tokens[place] == token;
        c.canvas.tokens[place] = token;
    }
    unchanged
}

/// Inverse-transform sample from softmax(scaled) at the quantile `u` in [0, 1).
pub(crate) fn sample(scaled: &[f32], u: f32) -> u32 {
    let max = scaled.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f32 = scaled.iter().map(|&x| (x - max).exp()).sum();
    let mut left = u * total;
    for (id, &x) in scaled.iter().enumerate() {
        left -= (x - max).exp();
        if left < 0.0 {
            return id as u32;
        }
    }
    scaled.len().saturating_sub(1) as u32
}

#[cfg(test)]
#[path = "denoise_tests.rs"]
mod tests;
