//! A step of the loop on the device, recorded once for every batch of its shape: what changes from one keystroke to the next,
//! the prefix' length, the seed, tokens, holes, masks, is read from device memory when it runs.

use super::DeviceNet;
use super::layer::Pass;
use super::status::Status;
use crate::attention::Mode;
use crate::denoise::{Condensing, Rules};
use lacuna_kernels::device::ops::{
    HeadJob, Masks, Sampler, embed, gather, head, sampler_step, soft_embedding,
};
use lacuna_kernels::device::{Buffer, Device, DeviceError, Graph};
use std::sync::{Arc, Mutex, PoisonError};

/// What the launches of a step depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Canvases, and tokens of each.
    canvases: (usize, usize),
    /// Rows of all holes, and of the longest one.
    pub rows: (usize, usize),
    /// The most positions that the cache may hold.
    position: usize,
    /// Whether tokens are banned, and whether first ones are restricted.
    masks: (bool, bool),
}

/// A longer prefix than this doubles what a recording is for; shorter ones share one.
const PREFIX_MIN: usize = 256;

impl Shape {
    /// Of a batch over what the cache holds now; `masked` is whether its first tokens are restricted.
    pub(super) fn of(net: &DeviceNet, batch: &[Condensing], rules: &Rules, masked: bool) -> Self {
        let holes = batch.iter().map(|c| c.canvas.hole_len);
        let position = net.len.next_power_of_two().max(PREFIX_MIN);
        Self {
            canvases: (batch.len(), batch.first().map_or(0, |c| c.canvas.tokens.len())),
            rows: (holes.clone().sum(), holes.max().unwrap_or(1)),
            position: position.min(net.cache.positions()),
            masks: (!rules.banned.is_empty(), masked),
        }
    }

    /// The pass of a step.
    pub(super) fn pass(&self) -> Pass {
        let (batch, tokens) = self.canvases;
        Pass { mode: Mode::Canvas, batch, tokens, position: self.position, recorded: true }
    }
}

/// The memory that steps of one shape work in, and their launches.
#[derive(Debug)]
pub(super) struct Recording {
    pub shape: Shape,
    pub status: Status,
    pub picked: Buffer,         // u32 [rows]: where each hole row is on the canvases
    pub temperatures: Buffer,   // f32 [rows]
    pub banned: Option<Buffer>, // a bit for each token
    pub allowed: Option<(Buffer, Buffer)>, // u32 [rows]: 0 where first tokens are restricted; bits as above
    graph: Option<Graph>,
}

impl Recording {
    /// Records a step; nothing runs, and what it reads need not be there yet.
    fn new(net: &DeviceNet, shape: Shape) -> Result<Self, DeviceError> {
        let device: &Device = &net.device;
        let (rows, bits) = (shape.rows.0, net.config.vocab_size.div_ceil(32));
        let words = |count: usize| device.alloc(4 * count);
        let mut new = Self {
            status: Status::new(device, shape.canvases.0, rows, shape.pass().rows())?,
            picked: words(rows)?,
            temperatures: words(rows)?,
            banned: if shape.masks.0 { Some(words(bits)?) } else { None },
            allowed: if shape.masks.1 { Some((words(rows)?, words(bits)?)) } else { None },
            graph: None,
            shape,
        };
        new.graph = Some(device.capture(|| new.launch(net))?);
        Ok(new)
    }

    /// Takes a step of what its memory holds.
    pub(super) fn run(&self, net: &DeviceNet) -> Result<(), DeviceError> {
        match &self.graph {
            Some(graph) => graph.replay(),
            None => self.launch(net),
        }
    }

    /// One step, from tokens to tokens, kernel by kernel.
    pub(super) fn launch(&self, net: &DeviceNet) -> Result<(), DeviceError> {
        let (pass, rows) = (self.shape.pass(), self.shape.rows.0);
        let (device, buffers, table) = (&net.device, &net.buffers, net.table.view()?);
        let all = pass.rows();
        let tokens = (self.status.tokens()?, all);
        device.mark("embedding")?;
        embed(device, tokens, table, net.root(), (buffers.x(all)?, None))?;
        net.condition(all, true)?;
        net.first_norm(all)?;
        for index in 0..net.layers.len() {
            net.branch_layer(index, pass)?;
        }
        device.mark("head")?;
        let states = buffers.a(rows)?;
        gather(device, buffers.y(all)?, self.picked.all(), states)?;
        head(
            device,
            &HeadJob {
                states,
                table,
                softcap: net.config.logit_softcap,
                temperatures: Some(self.temperatures.all()),
                masks: self.masks(),
                // What was best at the last step is hardly ever far from it now; before the first it is token 0.
                guesses: Some(self.status.argmax()?),
            },
            &net.head,
        )?;
        device.mark("sampler")?;
        self.sample(net)?;
        device.mark("soft embedding")?;
        embed(device, tokens, table, net.root(), (buffers.soft(all)?, None))?;
        let to = (buffers.soft(all)?, Some(self.picked.all()));
        soft_embedding(device, (&net.head, rows), table, net.root(), to)
    }

    fn sample(&self, net: &DeviceNet) -> Result<(), DeviceError> {
        let (device, status, (rows, hole_max)) = (&net.device, &self.status, self.shape.rows);
        device.copy(net.head.entropy().slice(0, 4 * rows)?, status.entropy()?)?;
        device.copy(net.head.survivors().slice(0, 4 * rows)?, status.survivors()?)?;
        sampler_step(
            device,
            &Sampler {
                canvases: &status.buffer,
                count: status.canvases,
                hole_max,
                vocabulary: net.config.vocab_size,
                head: &net.head,
                tokens: status.tokens()?,
                last_argmax: status.argmax()?,
                accepted: status.accepted()?,
                temperatures: self.temperatures.all(),
            },
        )
    }

    pub(super) fn masks(&self) -> Masks<'_> {
        Masks {
            banned: self.banned.as_ref().map(Buffer::all),
            allowed: self.allowed.as_ref().map(|(which, masks)| (which.all(), masks.all())),
        }
    }
}

/// The recordings used last, the latest at the end. A request needs one or two: its lengths' groups.
#[derive(Debug, Default)]
pub(super) struct Recordings {
    kept: Mutex<Vec<Arc<Recording>>>,
}

/// Recordings kept, at most: each some hundred nodes of a graph and a few words a row.
const KEPT_MAX: usize = 8;

impl Recordings {
    /// The recording of this shape that nobody uses, or a new one.
    pub(super) fn get(&self, net: &DeviceNet, shape: Shape) -> Result<Arc<Recording>, DeviceError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |recording: &Arc<Recording>| recording.shape == shape && Arc::strong_count(recording) == 1;
        let recording = match kept.iter().position(idle) {
            Some(index) => kept.remove(index),
            None => Arc::new(Recording::new(net, shape)?),
        };
        if kept.len() == KEPT_MAX {
            kept.remove(0);
        }
        kept.push(Arc::clone(&recording));
        Ok(recording)
    }
}
