//! The device network behind the host's contract: ids and floats in, floats out. This is the exact path, on which every
//! logit comes to the host; the loop that stays on the device is `super::fast`.

use super::DeviceNet;
use super::fault::run_fault;
use super::layer::Pass;
use crate::attention::Mode;
use crate::backend::Backend;
use crate::config::Config;
use crate::denoise::{Condensing, Rules};
use crate::net::{Canvases, check_batch, check_rows, defect};
use crate::sizes::parameters;
use lacuna_engine::{CancelToken, EngineError};
use lacuna_kernels::device::DeviceError;
use lacuna_kernels::device::ops::{
    ExactSoft, HeadJob, Masks, convert, embed, gather, log_probs, logits, soft_embedding_exact,
};

impl Backend for DeviceNet {
    fn config(&self) -> &Config {
        &self.config
    }

    fn parameters(&self) -> usize {
        parameters(&self.config)
    }

    fn weight_bytes(&self) -> usize {
        self.bytes()
    }

    fn precision(&self) -> &'static str {
        self.plan.format.name()
    }

    fn device(&self) -> String {
        let info = self.device.info();
        if info.emulated { "emulated GPU".to_owned() } else { format!("cuda ({})", info.name) }
    }

    fn read(&mut self, ids: &[u32], cancel: &CancelToken) -> Result<(), EngineError> {
        self.encode_chunks(ids, cancel, None)
    }

    fn encode(&mut self, ids: &[u32], cancel: &CancelToken) -> Result<Vec<f32>, EngineError> {
        let mut states = Vec::with_capacity(ids.len() * self.config.hidden_size);
        self.encode_chunks(
            ids,
            cancel,
            Some(&mut |net: &Self, rows| {
                states.extend(net.states(rows)?);
                Ok(())
            }),
        )?;
        Ok(states)
    }

    fn branch(&self, ids: &[u32], batch: usize, cancel: &CancelToken) -> Result<Vec<f32>, EngineError> {
        check_batch(ids, batch)?;
        self.check_ids(ids)?;
        let tokens = ids.len() / batch;
        let mut states = Vec::with_capacity(ids.len() * self.config.hidden_size);
        for ids in ids.chunks(self.sequences_at_once(tokens)? * tokens) {
            let (batch, position) = (ids.len() / tokens, self.len);
            let pass = Pass { mode: Mode::Causal, batch, tokens, position, recorded: false };
            self.embed_ids(ids).map_err(|error| run_fault(&error))?;
            self.through(pass, cancel)?;
            states.extend(self.states(ids.len()).map_err(|error| run_fault(&error))?);
        }
        Ok(states)
    }

    fn denoise(&self, canvases: &Canvases<'_>, cancel: &CancelToken) -> Result<Vec<f32>, EngineError> {
        let Canvases { tokens, batch, soft, rows } = *canvases;
        check_batch(tokens, batch)?;
        self.check_ids(tokens)?;
        let hidden = self.config.hidden_size;
        if soft.is_some_and(|soft| soft.len() != tokens.len() * hidden) {
            return Err(defect(format!("soft must be [{}, {hidden}]", tokens.len())));
        }
        let all: Vec<usize> = (0..tokens.len()).collect();
        let rows = rows.unwrap_or(&all);
        if let Some(row) = rows.iter().find(|&&row| row >= tokens.len()) {
            return Err(defect(format!("there is no canvas row {row}")));
        }
        let length = tokens.len() / batch;
        let mut out = Vec::with_capacity(rows.len() * self.config.vocab_size);
        let step = self.sequences_at_once(length)? * length;
        for (index, tokens) in tokens.chunks(step).enumerate() {
            let first = index * step;
            let soft = soft.map(|soft| &soft[first * hidden..(first + tokens.len()) * hidden]);
            let wanted = rows.iter().filter(|&&row| (first..first + tokens.len()).contains(&row));
            let wanted: Vec<u32> = wanted.map(|&row| (row - first) as u32).collect();
            let (batch, position) = (tokens.len() / length, self.len);
            let pass = Pass { mode: Mode::Canvas, batch, tokens: length, position, recorded: false };
            self.decode(tokens, soft, pass, cancel)?;
            self.logits_of(&wanted, &mut out).map_err(|error| run_fault(&error))?;
        }
        Ok(out)
    }

    fn logits(&self, states: &[f32]) -> Result<Vec<f32>, EngineError> {
        let hidden = self.config.hidden_size;
        check_rows(states, hidden)?;
        let mut out = Vec::with_capacity(states.len() / hidden * self.config.vocab_size);
        let mut run = || -> Result<(), DeviceError> {
            for states in states.chunks(self.buffers.logit_rows_max() * hidden) {
                self.buffers.y_memory().upload_slice(0, states)?;
                let rows = states.len() / hidden;
                convert(&self.device, self.buffers.y(rows)?, self.buffers.a(rows)?)?;
                self.logits_of_a(rows, &mut out)?;
            }
            Ok(())
        };
        run().map_err(|error| run_fault(&error))?;
        Ok(out)
    }

    fn log_probs(&self, states: &[f32], ids: &[u32]) -> Result<Vec<f32>, EngineError> {
        let hidden = self.config.hidden_size;
        check_rows(states, hidden)?;
        self.check_ids(ids)?;
        if states.len() != ids.len() * hidden {
            return Err(defect(format!(
                "{} values are not the states of {} tokens",
                states.len(),
                ids.len()
            )));
        }
        let mut out = Vec::with_capacity(ids.len());
        let rows_max = self.head.rows_max().min(self.buffers.rows_max());
        let mut run = || -> Result<(), DeviceError> {
            for (states, ids) in states.chunks(rows_max * hidden).zip(ids.chunks(rows_max)) {
                self.buffers.y_memory().upload_slice(0, states)?;
                out.extend(self.log_probs_of_y(ids)?);
            }
            Ok(())
        };
        run().map_err(|error| run_fault(&error))?;
        Ok(out)
    }

    fn soft_embedding(&self, scaled: &[f32]) -> Result<Vec<f32>, EngineError> {
        let (hidden, vocabulary) = (self.config.hidden_size, self.config.vocab_size);
        check_rows(scaled, vocabulary)?;
        let mut out = Vec::with_capacity(scaled.len() / vocabulary * hidden);
        let mut run = || -> Result<(), DeviceError> {
            for scaled in scaled.chunks(self.buffers.logit_rows_max() * vocabulary) {
                let rows = scaled.len() / vocabulary;
                self.buffers.logits_memory().upload_slice(0, scaled)?;
                soft_embedding_exact(
                    &self.device,
                    &ExactSoft {
                        logits: self.buffers.logits(rows)?,
                        temperature: 1.0,
                        masks: Masks::default(),
                        mask_rows: None,
                        table: self.table.view()?,
                        scale: self.root(),
                        out: self.buffers.y(rows)?,
                        to: None,
                        scratch: self.buffers.slots(),
                    },
                )?;
                out.extend(self.states(rows)?);
            }
            Ok(())
        };
        run().map_err(|error| run_fault(&error))?;
        Ok(out)
    }

    fn embed(&self, ids: &[u32]) -> Result<Vec<f32>, EngineError> {
        self.check_ids(ids)?;
        let mut out = Vec::with_capacity(ids.len() * self.config.hidden_size);
        let mut run = || -> Result<(), DeviceError> {
            for ids in ids.chunks(self.buffers.rows_max()) {
                self.buffers.ids().upload_slice(0, ids)?;
                let (from, to) = ((self.buffers.ids().all(), ids.len()), self.buffers.y(ids.len())?);
                embed(&self.device, from, self.table.view()?, self.root(), (to, None))?;
                out.extend(self.states(ids.len())?);
            }
            Ok(())
        };
        run().map_err(|error| run_fault(&error))?;
        Ok(out)
    }

    fn condense(
        &self,
        batch: &mut [Condensing],
        rules: &Rules,
        cancel: &CancelToken,
        after_step: &mut dyn FnMut(&[Condensing]),
    ) -> Option<Result<usize, EngineError>> {
        self.takes(batch, rules).then(|| self.condense_here(batch, rules, cancel, after_step))
    }

    fn positions_max(&self) -> usize {
        self.cache.positions()
    }

    fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    fn hide(&mut self, len: usize) -> usize {
        let held = self.len;
        self.len = held.min(len);
        held
    }

    fn unhide(&mut self, held: usize) {
        self.len = held;
    }
}

impl DeviceNet {
    /// The first `rows` rows of `buffers.y` on the host.
    fn states(&self, rows: usize) -> Result<Vec<f32>, DeviceError> {
        self.buffers.y_memory().download_vec(0, rows * self.config.hidden_size)
    }

    /// How many sequences of `tokens` tokens the buffers take.
    pub(super) fn sequences_at_once(&self, tokens: usize) -> Result<usize, EngineError> {
        let rows = self.buffers.rows_max();
        if tokens <= rows {
            return Ok(rows / tokens.max(1));
        }
        Err(EngineError::InvalidRequest(format!(
            "a sequence must be at most {rows} tokens on this device, found {tokens}"
        )))
    }

    /// One decoder pass; the final states are in `buffers.y` then.
    fn decode(
        &self,
        tokens: &[u32],
        soft: Option<&[f32]>,
        pass: Pass,
        cancel: &CancelToken,
    ) -> Result<(), EngineError> {
        let started = || -> Result<(), DeviceError> {
            self.embed_ids(tokens)?;
            if let Some(soft) = soft {
                self.buffers.soft_memory().upload_slice(0, soft)?;
            }
            self.condition(tokens.len(), soft.is_some())
        };
        started().map_err(|error| run_fault(&error))?;
        self.through(pass, cancel)
    }

    /// Logits of the rows `wanted` of `buffers.y`, appended to `out`.
    fn logits_of(&self, wanted: &[u32], out: &mut Vec<f32>) -> Result<(), DeviceError> {
        let (states, picked) = (self.buffers.y(self.buffers.rows_max())?, self.buffers.picked());
        for wanted in wanted.chunks(self.buffers.logit_rows_max()) {
            picked.upload_slice(0, wanted)?;
            gather(&self.device, states, picked.all(), self.buffers.a(wanted.len())?)?;
            self.logits_of_a(wanted.len(), out)?;
        }
        Ok(())
    }

    /// ln p of `ids`, one for each of the first rows of `buffers.y`, by the head's statistics: no logit is stored, and one
    /// number a row comes to the host.
    fn log_probs_of_y(&self, ids: &[u32]) -> Result<Vec<f32>, DeviceError> {
        let rows = ids.len();
        let (states, wanted) = (self.buffers.a(rows)?, self.buffers.picked());
        wanted.upload_slice(0, ids)?;
        convert(&self.device, self.buffers.y(rows)?, states)?;
        let job = HeadJob {
            states,
            table: self.table.view()?,
            softcap: self.config.logit_softcap,
            temperatures: None,
            masks: Masks::default(),
            guesses: None,
        };
        let found = self.buffers.logits_memory();
        log_probs(&self.device, &job, wanted.all(), (&self.head, found.all()))?;
        found.download_vec(0, rows)
    }

    /// Logits of the first `rows` rows of `buffers.a`, appended to `out`.
    fn logits_of_a(&self, rows: usize, out: &mut Vec<f32>) -> Result<(), DeviceError> {
        self.device.mark("head")?;
        let (states, to) = (self.buffers.a(rows)?, self.buffers.logits(rows)?);
        logits(&self.device, states, self.table.view()?, self.config.logit_softcap, to)?;
        out.extend(self.buffers.logits_memory().download_vec::<f32>(0, rows * self.config.vocab_size)?);
        Ok(())
    }
}
