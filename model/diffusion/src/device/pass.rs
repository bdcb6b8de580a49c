//! Passes over the device network: causal reading into the cache, and whole batches that leave it as it is.

use super::DeviceNet;
use super::fault::run_fault;
use super::layer::{Memory, Pass};
use crate::attention::Mode;
use lacuna_engine::{CancelToken, EngineError};
use lacuna_kernels::device::DeviceError;
use lacuna_kernels::device::ops::{Rows, add_scaled, embed, matmul, matmul_gated, rms_norm};

/// What is done with a chunk's final states, and how many there are.
pub(super) type Each<'f> = &'f mut dyn FnMut(&DeviceNet, usize) -> Result<(), DeviceError>;

impl DeviceNet {
    /// Reads `ids` `[T]` after what the cache holds, in chunks. With `each`, every chunk goes through all layers and its
    /// final states lie in `buffers.y` when `each` is called with their number; without, the last layer makes its keys and
    /// values and no more.
    pub(super) fn encode_chunks(
        &mut self,
        ids: &[u32],
        cancel: &CancelToken,
        mut each: Option<Each<'_>>,
    ) -> Result<(), EngineError> {
        self.check_ids(ids)?;
        self.check_room(ids.len())?;
        let before = self.len;
        for chunk in ids.chunks(self.buffers.rows_max()) {
            let (tokens, position) = (chunk.len(), self.len);
            let pass = Pass { mode: Mode::Causal, batch: 1, tokens, position, recorded: false };
            let done =
                self.encode_chunk(chunk, pass, cancel, each.is_some()).and_then(|()| match &mut each {
                    Some(each) => each(self, chunk.len()).map_err(|error| run_fault(&error)),
                    None => Ok(()),
                });
            if let Err(error) = done {
                self.len = before;
                return Err(error);
            }
            self.len += chunk.len();
        }
        Ok(())
    }

    fn encode_chunk(
        &self,
        ids: &[u32],
        pass: Pass,
        cancel: &CancelToken,
        states: bool,
    ) -> Result<(), EngineError> {
        let started = || -> Result<(), DeviceError> {
            self.embed_ids(ids)?;
            self.first_norm(pass.rows())
        };
        started().map_err(|error| run_fault(&error))?;
        for index in 0..self.layers.len() {
            cancel.check()?;
            let own = self.cache.rows(index, pass.position, pass.tokens);
            let last = index + 1 == self.layers.len();
            own.and_then(|own| {
                let memory = self.memory(index, pass, own)?;
                let whole = states || !last;
                self.run_layer(index, pass, &memory, whole)
            })
            .map_err(|error| run_fault(&error))?;
        }
        Ok(())
    }

    /// All layers over the residual stream in `buffers.x`, reading the cache and writing nothing; the final states are in
    /// `buffers.y` then.
    pub(super) fn through(&self, pass: Pass, cancel: &CancelToken) -> Result<(), EngineError> {
        self.first_norm(pass.rows()).map_err(|error| run_fault(&error))?;
        for index in 0..self.layers.len() {
            cancel.check()?;
            self.branch_layer(index, pass).map_err(|error| run_fault(&error))?;
        }
        Ok(())
    }

    /// Layer `index` of a pass whose keys and values the cache does not keep.
    pub(super) fn branch_layer(&self, index: usize, pass: Pass) -> Result<(), DeviceError> {
        let layer = &self.layers[index];
        let own = self.buffers.kv(pass.rows(), layer.config.kv_heads * layer.config.head_dim)?;
        self.run_layer(index, pass, &self.memory(index, pass, own)?, true)
    }

    fn memory<'a>(
        &'a self,
        index: usize,
        pass: Pass,
        own: (Rows<'a>, Rows<'a>),
    ) -> Result<Memory<'a>, DeviceError> {
        let (rope, pairs) = self.ropes.of(index);
        Ok(Memory { prefix: self.cache.rows(index, 0, pass.position)?, own, rope, pairs })
    }

    /// One layer; `whole` or its keys and values alone. Its input's norm is in `buffers.a`, and so is the next one's after
    /// it; after the last layer the final states are in `buffers.y`.
    fn run_layer(
        &self,
        index: usize,
        pass: Pass,
        memory: &Memory<'_>,
        whole: bool,
    ) -> Result<(), DeviceError> {
        let (buffers, layer) = (&self.buffers, &self.layers[index]);
        self.device.mark("projections")?;
        layer.project(buffers, pass, memory, whole)?;
        if !whole {
            return Ok(());
        }
        layer.attend(buffers, pass, memory)?;
        let next = match self.layers.get(index + 1) {
            Some(next) => (next.input.view(), buffers.a(pass.rows())?),
            // `y` is read before the norm writes it: each row is one block's, from start to end.
            None => (self.norm.view(), buffers.y(pass.rows())?),
        };
        layer.feed_forward(buffers, pass, next)
    }

    /// Token ids to the device, and their embeddings to the residual stream.
    pub(super) fn embed_ids(&self, ids: &[u32]) -> Result<(), DeviceError> {
        self.device.mark("embedding")?;
        self.buffers.ids().upload_slice(0, ids)?;
        self.embed_uploaded(ids.len())
    }

    /// As [`DeviceNet::embed_ids`] of the `count` ids that are on the device already.
    fn embed_uploaded(&self, count: usize) -> Result<(), DeviceError> {
        let ids = (self.buffers.ids().all(), count);
        embed(&self.device, ids, self.table.view()?, self.root(), (self.buffers.x(count)?, None))
    }

    pub(super) fn root(&self) -> f32 {
        (self.config.hidden_size as f32).sqrt()
    }

    pub(super) fn first_norm(&self, rows: usize) -> Result<(), DeviceError> {
        self.device.mark("norms")?;
        let Some(first) = self.layers.first() else { return Ok(()) };
        let (x, a) = (self.buffers.x(rows)?, self.buffers.a(rows)?);
        rms_norm(&self.device, x, Some(first.input.view()), self.config.norm_eps, a)
    }

    /// The self-conditioning block over the residual stream, by the soft embeddings in `buffers.soft` where there are any.
    pub(super) fn condition(&self, rows: usize, soft: bool) -> Result<(), DeviceError> {
        let (device, buffers, eps) = (&self.device, &self.buffers, self.config.norm_eps);
        device.mark("conditioning")?;
        let x = buffers.x(rows)?;
        if soft {
            let (a, y) = (buffers.a(rows)?, buffers.y(rows)?);
            let (gate_up, active) = (buffers.gate_up(rows)?, buffers.active(rows)?);
            rms_norm(device, buffers.soft(rows)?, Some(self.conditioning.norm.view()), eps, a)?;
            let operands = (a, self.conditioning.gate_up.view()?, active);
            matmul_gated(device, operands, gate_up, buffers.scratch())?;
            matmul(device, active, self.conditioning.down.view()?, y, buffers.scratch())?;
            add_scaled(device, x, y, 1.0)?;
        }
        rms_norm(device, x, None, eps, x)
    }

    pub(super) fn check_ids(&self, ids: &[u32]) -> Result<(), EngineError> {
        let vocabulary = self.config.vocab_size;
        match ids.iter().find(|&&id| id as usize >= vocabulary) {
            None => Ok(()),
            Some(id) => {
                Err(EngineError::InvalidRequest(format!("token ids must be below {vocabulary}, found {id}")))
            }
        }
    }

    fn check_room(&self, count: usize) -> Result<(), EngineError> {
        let most = self.cache.positions();
        if count <= most.saturating_sub(self.len) {
            return Ok(());
        }
        Err(EngineError::InvalidRequest(format!(
            "the prompt must be at most {most} tokens, found {}",
            self.len.saturating_add(count)
        )))
    }
}
