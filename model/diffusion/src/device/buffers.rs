//! The memory that passes work in: allocated once, for as many rows as the plan says; longer inputs go through in pieces.

use super::layer::Layer;
use crate::config::Config;
use crate::plan::{MemoryPlan, WeightFormat};
use crate::sizes::{BufferSizes, LOGIT_ROWS};
use lacuna_kernels::device::ops::{Dtype, Groups, Rows, attention_scratch_bytes};
use lacuna_kernels::device::{Buffer, Device, DeviceError, Slice};

/// Buffers of up to `sizes.rows` rows. Which ones a layer reads and writes, its passes say.
#[derive(Debug)]
pub(crate) struct Buffers {
    sizes: BufferSizes,
    hidden: usize,
    vocabulary: usize,
    act: Dtype,
    x: Buffer,              // f32 [rows, hidden]: the residual stream
    a: Buffer,              // act [rows, hidden]: a normed input
    b: Buffer,              // act [rows, hidden]: another
    y: Buffer,              // f32 [rows, hidden]: what a branch made
    y2: Buffer,             // f32 [rows, hidden]: what the other one made
    soft: Buffer,           // f32 [rows, hidden]: self-conditioning
    joint: Buffer,          // f32 [rows, queries | keys (| values)]
    q: Buffer,              // act [rows, heads · head_dim]
    k: Buffer,              // act [rows, kv_heads · head_dim]
    v: Buffer,              // act [rows, kv_heads · head_dim]
    mixed: Buffer,          // act [rows, heads · head_dim]
    gate_up: Buffer,        // f32 [rows, gate | up]
    active: Buffer,         // act [rows, intermediate]
    expert_active: Buffer,  // act [rows · top, expert_intermediate]
    slots: Buffer,          // f32 [rows · top, hidden]
    expert_ids: Buffer,     // u32 [rows · top]
    expert_weights: Buffer, // f32 [rows · top]
    groups: Groups,
    ids: Buffer,      // u32 [rows]
    picked: Buffer,   // u32 [rows]
    position: Buffer, // u32
    logits: Buffer,   // f32 [LOGIT_ROWS, vocabulary]
    scratch: Option<Buffer>,
}

/// Scratch memory that attention, matrix products and the router make good use of in a denoising step, in bytes; never more
/// than planned. The fewer rows, the more an operation is split, so every number of rows up to the planned one counts: a
/// single canvas wants scratch memory where four side by side want none. Longer passes fill the device without being split.
pub(crate) fn scratch_bytes(
    device: &Device,
    config: &Config,
    layers: &[Layer],
    plan: MemoryPlan,
) -> Result<usize, DeviceError> {
    let mut most = 0;
    // All tiles are multiples of 32 rows, so the needs in between are smaller than at the next multiple.
    for rows in (32..plan.step_rows).step_by(32).chain([plan.step_rows]) {
        for layer in layers {
            let heads = (config.heads, layer.config.kv_heads);
            most = most.max(attention_scratch_bytes(device, rows, heads, layer.config.head_dim));
            most = most.max(layer.scratch_bytes(device, rows)?);
        }
    }
    Ok(most.min(plan.scratch_bytes(config)))
}

impl Buffers {
    pub(crate) fn new(
        device: &Device,
        config: &Config,
        (format, rows): (WeightFormat, usize),
        scratch: usize,
    ) -> Result<Self, DeviceError> {
        let sizes = BufferSizes::of(config, format, rows);
        let (hidden, top, act) = (config.hidden_size, config.experts_per_token, sizes.activation);
        let floats = |width: usize| device.alloc(rows * width * 4);
        let acts = |width: usize| device.alloc(rows * width * act);
        Ok(Self {
            hidden,
            vocabulary: config.vocab_size,
            act: if act == 4 { Dtype::F32 } else { Dtype::Bf16 },
            x: floats(hidden)?,
            a: acts(hidden)?,
            b: acts(hidden)?,
            y: floats(hidden)?,
            y2: floats(hidden)?,
            soft: floats(hidden)?,
            joint: floats(sizes.qkv)?,
            q: acts(sizes.q)?,
            k: acts(sizes.kv)?,
            v: acts(sizes.kv)?,
            mixed: acts(sizes.q)?,
            gate_up: floats(sizes.gate_up)?,
            active: acts(config.intermediate_size)?,
            expert_active: acts(top * config.expert_intermediate_size)?,
            slots: floats(top * hidden)?,
            expert_ids: floats(top)?,
            expert_weights: floats(top)?,
            groups: Groups::new(device, config.experts, rows * top)?,
            ids: floats(1)?,
            picked: floats(1)?,
            position: device.alloc(4)?,
            logits: device.alloc(LOGIT_ROWS.min(rows) * config.vocab_size * 4)?,
            scratch: if scratch == 0 { None } else { Some(device.alloc(scratch)?) },
            sizes,
        })
    }

    /// The device they lie on.
    pub(crate) fn device(&self) -> &Device {
        self.x.device()
    }

    /// Rows it has room for.
    pub(crate) fn rows_max(&self) -> usize {
        self.sizes.rows
    }

    /// Rows of logits it has room for.
    pub(crate) fn logit_rows_max(&self) -> usize {
        LOGIT_ROWS.min(self.sizes.rows)
    }

    pub(crate) fn x(&self, rows: usize) -> Result<Rows<'_>, DeviceError> {
        Rows::new(&self.x, Dtype::F32, rows, self.hidden)
    }
    pub(crate) fn a(&self, rows: usize) -> Result<Rows<'_>, DeviceError> {
        Rows::new(&self.a, self.act, rows, self.hidden)
    }
    pub(crate) fn b(&self, rows: usize) -> Result<Rows<'_>, DeviceError> {
        Rows::new(&self.b, self.act, rows, self.hidden)
    }
    pub(crate) fn y(&self, rows: usize) -> Result<Rows<'_>, DeviceError> {
        Rows::new(&self.y, Dtype::F32, rows, self.hidden)
    }
    pub(crate) fn y2(&self, rows: usize) -> Result<Rows<'_>, DeviceError> {
        Rows::new(&self.y2, Dtype::F32, rows, self.hidden)
    }
    pub(crate) fn soft(&self, rows: usize) -> Result<Rows<'_>, DeviceError> {
        Rows::new(&self.soft, Dtype::F32, rows, self.hidden)
    }
    pub(crate) fn joint(&self, rows: usize, width: usize) -> Result<Rows<'_>, DeviceError> {
        Rows::new(&self.joint, Dtype::F32, rows, width)
    }
    pub(crate) fn q(&self, rows: usize, width: usize) -> Result<Rows<'_>, DeviceError> {
        Rows::new(&self.q, self.act, rows, width)
    }
    /// Keys and values of a pass that the cache does not keep.
    pub(crate) fn kv(&self, rows: usize, width: usize) -> Result<(Rows<'_>, Rows<'_>), DeviceError> {
        Ok((Rows::new(&self.k, self.act, rows, width)?, Rows::new(&self.v, self.act, rows, width)?))
    }
    pub(crate) fn mixed(&self, rows: usize, width: usize) -> Result<Rows<'_>, DeviceError> {
        Rows::new(&self.mixed, self.act, rows, width)
    }
    pub(crate) fn gate_up(&self, rows: usize) -> Result<Rows<'_>, DeviceError> {
        Rows::new(&self.gate_up, Dtype::F32, rows, self.sizes.gate_up)
    }
    pub(crate) fn active(&self, rows: usize) -> Result<Rows<'_>, DeviceError> {
        Rows::new(&self.active, self.act, rows, self.sizes.gate_up / 2)
    }
    /// The experts' inner activations, a row for every slot.
    pub(crate) fn expert_active(&self, slots: usize) -> Result<Rows<'_>, DeviceError> {
        let width = self.expert_active.len() / self.act.size() / (self.expert_ids.len() / 4).max(1);
        Rows::new(&self.expert_active, self.act, slots, width)
    }
    pub(crate) fn slots(&self) -> Slice<'_> {
        self.slots.all()
    }
    /// Expert numbers and weights of every slot.
    pub(crate) fn routing(&self) -> (Slice<'_>, Slice<'_>) {
        (self.expert_ids.all(), self.expert_weights.all())
    }
    pub(crate) fn groups(&self) -> &Groups {
        &self.groups
    }
    /// Token ids of a pass.
    pub(crate) fn ids(&self) -> &Buffer {
        &self.ids
    }
    /// Row numbers.
    pub(crate) fn picked(&self) -> &Buffer {
        &self.picked
    }
    /// Position of a recorded pass' first token.
    pub(crate) fn position(&self) -> &Buffer {
        &self.position
    }
    pub(crate) fn logits(&self, rows: usize) -> Result<Rows<'_>, DeviceError> {
        Rows::new(&self.logits, Dtype::F32, rows, self.vocabulary)
    }
    /// The memory behind [`Buffers::soft`], [`Buffers::y`] and [`Buffers::logits`], to copy to and from the host.
    pub(crate) fn soft_memory(&self) -> &Buffer {
        &self.soft
    }
    pub(crate) fn y_memory(&self) -> &Buffer {
        &self.y
    }
    pub(crate) fn logits_memory(&self) -> &Buffer {
        &self.logits
    }
    pub(crate) fn scratch(&self) -> Option<Slice<'_>> {
        self.scratch.as_ref().map(Buffer::all)
    }
}
