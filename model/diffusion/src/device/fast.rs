//! The denoising loop that stays on the device: one recorded sequence of launches a step, and one small read by the host.
//!
//! Taken where noise is uniform, nothing guides and no row inside a hole is given ([`DeviceNet::takes`]); everything else
//! goes through the host's loop, its twin ([`crate::denoise::condense`]). A step: token embeddings, self-conditioning, the
//! layers, the fused head over the holes' rows, the sampler, and the soft embedding for the next step. Self-conditioning of
//! given rows is the token's own embedding: the tokens are embedded once more behind the sampler, and the holes' rows are
//! written over. Rows with too many survivors take the exact path between two steps, unless nobody reads what it makes. Where
//! a canvas asks for samples, they are drawn from the survivors, all that is within ten nats of the best: the host draws from
//! the whole vocabulary. Batches larger than the buffers go through in groups.

use super::DeviceNet;
use super::fault::run_fault;
use super::recording::{Recording, Shape};
use super::status::{STATE, Seen};
use crate::accept;
use crate::config::Noise;
use crate::denoise::{Condensing, Rules};
use crate::noise::{Generator, NoiseSource};
use crate::plan::ENCODE_ROWS;
use lacuna_engine::{CancelToken, EngineError};
use lacuna_kernels::device::DeviceError;
use lacuna_kernels::device::ops::{CanvasState, ExactSoft, gather, logits, soft_embedding_exact};
use std::sync::Arc;

/// A batch on the device, and how to take its next step.
pub(crate) struct Loop<'n> {
    net: &'n DeviceNet,
    recording: Arc<Recording>,
    schedule: (f64, f64, usize),
    places: Vec<u32>,  // where each hole row is on the canvases
    holes: Vec<usize>, // rows of each canvas' hole
}

impl DeviceNet {
    /// Whether the loop on the device takes this batch.
    pub(crate) fn takes(&self, batch: &[Condensing], rules: &Rules) -> bool {
        let Some(first) = batch.first() else { return false };
        let length = first.canvas.tokens.len();
        let alike = |c: &Condensing| {
            let masks = (&c.canvas.first_allowed, &first.canvas.first_allowed);
            let same_mask = match masks {
                (None, None) => true,
                (Some(a), Some(b)) => Arc::ptr_eq(a, b),
                _ => false,
            };
            c.steps == 0
                && c.canvas.tokens.len() == length
                && c.steps_max == first.steps_max
                && (1..=self.head.rows_max()).contains(&c.canvas.hole_len)
                && c.canvas.given.iter().all(|&given| !given)
                && same_mask
        };
        rules.noise == Noise::Uniform
            && rules.guidance == 0.0
            && generator(rules).is_some()
            && batch.iter().all(alike)
            && length <= self.buffers.rows_max()
    }

    /// How many canvases from the first one on have room side by side, in the buffers and in the head; at least one.
    fn group(&self, batch: &[Condensing]) -> usize {
        let length = batch.first().map_or(1, |c| c.canvas.tokens.len().max(1));
        // Where prompts are read in larger chunks, steps stay as large as they were: the first frame is not to wait for more.
        let rows = self.plan.step_rows.max(ENCODE_ROWS).min(self.buffers.rows_max());
        let most = (rows / length).max(1);
        let holes = batch.iter().take(most).scan(0, |rows, c| {
            *rows += c.canvas.hole_len;
            Some(*rows)
        });
        holes.take_while(|&rows| rows <= self.head.rows_max()).count().max(1)
    }

    /// Condenses a batch that [`DeviceNet::takes`], one group after another where it is larger than the plan's rows: the
    /// host's loop would bring every logit to the host instead. The leading canvas is in the first group.
    pub(crate) fn condense_here(
        &self,
        batch: &mut [Condensing],
        rules: &Rules,
        cancel: &CancelToken,
        after_step: &mut dyn FnMut(&[Condensing]),
    ) -> Result<usize, EngineError> {
        for condensing in batch.iter() {
            self.check_ids(&condensing.canvas.tokens)?;
        }
        let (mut forwards, mut first) = (0, 0);
        while first < batch.len() {
            let group = first..first + self.group(&batch[first..]);
            let mut condensing =
                Loop::new(self, &batch[group.clone()], rules).map_err(|error| run_fault(&error))?;
            while !batch[group.clone()].iter().all(Condensing::done) {
                let seen = condensing.step(cancel)?;
                forwards += 1;
                seen.write_to(&mut batch[group.clone()]);
                after_step(batch);
            }
            first = group.end;
        }
        Ok(forwards)
    }
}

fn generator(rules: &Rules) -> Option<Generator> {
    match &rules.source {
        NoiseSource::Drawn(generator) => Some(*generator),
        #[cfg(test)]
        NoiseSource::Recorded(..) => None,
    }
}

impl<'n> Loop<'n> {
    /// Puts the batch on the device, with the recorded step of its shape.
    pub(crate) fn new(net: &'n DeviceNet, batch: &[Condensing], rules: &Rules) -> Result<Self, DeviceError> {
        let (device, length) = (&net.device, batch[0].canvas.tokens.len());
        let (mut states, mut picked, mut which) = (Vec::new(), Vec::new(), Vec::new());
        for (index, c) in batch.iter().enumerate() {
            let first_row = picked.len() as u32;
            states.push(state(c, rules, (first_row, (index * length + c.canvas.hole_start) as u32)));
            picked.extend(c.canvas.hole().map(|row| (index * length + row) as u32));
            which.extend((0..c.canvas.hole_len).map(|row| if row == 0 { 0 } else { u32::MAX }));
        }
        let tokens: Vec<u32> = batch.iter().flat_map(|c| c.canvas.tokens.iter().copied()).collect();
        let first_allowed = batch[0].canvas.first_allowed.as_ref();
        let first_allowed = first_allowed.filter(|allowed| possible(allowed, &rules.banned));
        let recording = net.recordings.get(net, Shape::of(net, batch, rules, first_allowed.is_some()))?;
        let (status, rows, vocabulary) = (&recording.status, picked.len(), net.config.vocab_size);
        net.buffers.position().upload_slice(0, &[net.len as u32])?;
        status.buffer.upload_slice(0, &states)?;
        device.zero(&status.buffer, batch.len() * STATE, 16 * rows)?;
        status.buffer.upload_slice(status.tokens_at(), &tokens)?;
        recording.picked.upload_slice(0, &picked)?;
        let t_max = vec![accept::temperature(rules.t_min, rules.t_max, 1, 1); rows];
        recording.temperatures.upload_slice(0, &t_max)?;
        if let Some(banned) = &recording.banned {
            banned.upload_slice(0, &bits(vocabulary, |id| rules.banned.contains(&(id as u32))))?;
        }
        if let (Some((restricted, masks)), Some(allowed)) = (&recording.allowed, first_allowed) {
            restricted.upload_slice(0, &which)?;
            masks.upload_slice(0, &bits(vocabulary, |id| allowed[id]))?;
        }
        let all = batch.len() * length;
        device.zero(net.buffers.soft_memory(), 0, all * net.config.hidden_size * 4)?;
        let schedule = (rules.t_min, rules.t_max, batch[0].steps_max);
        let holes = batch.iter().map(|c| c.canvas.hole_len).collect();
        Ok(Self { net, recording, schedule, places: picked, holes })
    }

    /// Takes the next step of every canvas that is not done, and reads what came of it. A cancelled loop has taken no
    /// half step: the step that runs goes to its end.
    pub(super) fn step(&mut self, cancel: &CancelToken) -> Result<Seen, EngineError> {
        cancel.check()?;
        let run = || -> Result<Seen, DeviceError> {
            self.recording.run(self.net)?;
            let seen = self.recording.status.read()?;
            self.exactly(&seen)?;
            Ok(seen)
        };
        run().map_err(|error| run_fault(&error))
    }

    /// Milliseconds of one more step, launched kernel by kernel, by part.
    pub(crate) fn parts(&self, cancel: &CancelToken) -> Result<Vec<(&'static str, f64)>, EngineError> {
        cancel.check()?;
        let device = &self.net.device;
        device.timing_start();
        let launched = self.recording.launch(self.net);
        let timings = device.timing_stop();
        launched
            .and(timings)
            .map_err(|error| run_fault(&error))
            .map(|timings| timings.into_iter().map(|timing| (timing.label, timing.ms)).collect())
    }

    /// The soft embeddings of rows that overflowed, from all their logits; of canvases that take another step, since nobody
    /// reads the others'. The states of the step are still where the head read them.
    fn exactly(&self, seen: &Seen) -> Result<(), DeviceError> {
        let (t_min, t_max, steps_max) = self.schedule;
        let (rows, taken) = seen.flat_rows(&self.holes, steps_max);
        if rows.is_empty() {
            return Ok(());
        }
        let temperature = accept::temperature(t_min, t_max, steps_max + 1 - taken, steps_max);
        rows.chunks(self.net.buffers.logit_rows_max()).try_for_each(|rows| self.exact_rows(rows, temperature))
    }

    fn exact_rows(&self, rows: &[u32], temperature: f32) -> Result<(), DeviceError> {
        let net = self.net;
        let (device, buffers, table, count) = (&net.device, &net.buffers, net.table.view()?, rows.len());
        let to: Vec<u32> = rows.iter().map(|&row| self.places[row as usize]).collect();
        buffers.picked().upload_slice(0, rows)?;
        buffers.ids().upload_slice(0, &to)?;
        let (states, all) = (buffers.b(count)?, buffers.logits(count)?);
        gather(device, buffers.a(self.recording.shape.rows.0)?, buffers.picked().all(), states)?;
        logits(device, states, table, net.config.logit_softcap, all)?;
        soft_embedding_exact(
            device,
            &ExactSoft {
                logits: all,
                temperature,
                masks: self.recording.masks(),
                mask_rows: Some(buffers.picked().all()),
                table,
                scale: net.root(),
                out: buffers.soft(self.recording.shape.pass().rows())?,
                to: Some(buffers.ids().all()),
                scratch: buffers.slots(),
            },
        )
    }
}

/// A canvas before its first step.
fn state(c: &Condensing, rules: &Rules, (first_row, first_token): (u32, u32)) -> CanvasState {
    CanvasState {
        seed: generator(rules).map_or(0, Generator::seed),
        stream: c.canvas.stream,
        t_min: rules.t_min,
        t_max: rules.t_max,
        first_row,
        hole_len: c.canvas.hole_len as u32,
        first_token,
        steps_max: c.steps_max as u32,
        sampled: u32::from(c.canvas.sampled),
        stability: rules.stability as u32,
        entropy_bound: rules.entropy_bound,
        confidence: rules.confidence,
        ..CanvasState::default()
    }
}

/// A bit for each token.
fn bits(vocabulary: usize, set: impl Fn(usize) -> bool) -> Vec<u32> {
    let mut words = vec![0; vocabulary.div_ceil(32)];
    for id in (0..vocabulary).filter(|&id| set(id)) {
        words[id / 32] |= 1 << (id % 32);
    }
    words
}

/// Whether a mask leaves anything; one that does not is no mask, as on the host.
fn possible(allowed: &[bool], banned: &[u32]) -> bool {
    allowed.iter().enumerate().any(|(id, &allowed)| allowed && !banned.contains(&(id as u32)))
}
