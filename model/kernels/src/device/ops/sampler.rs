//! One denoising step's decisions on the device: accept, renoise, stop, cool down.

use super::super::{Arg, Buffer, Device, DeviceError, Pod, Slice};
use super::{Head, ensure, ensure_len};

/// One canvas' schedule and state, as the kernel reads and writes it. 80 bytes without padding.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub struct CanvasState {
    /// Of the random generator.
    pub seed: u64,
    /// Of the random generator: what tells canvases apart.
    pub stream: u64,
    /// Temperature of the last step.
    pub t_min: f64,
    /// Temperature of the first step.
    pub t_max: f64,
    /// First of this canvas' rows in the head's outputs, and in `last_argmax`, `accepted` and `temperatures`.
    pub first_row: u32,
    /// Rows of the hole.
    pub hole_len: u32,
    /// The hole's first token in `tokens`.
    pub first_token: u32,
    /// Steps it may take.
    pub steps_max: u32,
    /// 1: accepted rows take a sample; 0: the argmax.
    pub sampled: u32,
    /// For how many earlier steps the argmax must have been what it is, for the canvas to come to rest.
    pub stability: u32,
    /// Nats that may be accepted before a row.
    pub entropy_bound: f32,
    /// Mean entropy below which it may come to rest.
    pub confidence: f32,
    /// Steps taken.
    pub steps: u32,
    /// 1: came to rest.
    pub settled: u32,
    /// For how many earlier steps in a row the argmax has been what it is.
    pub unchanged: u32,
    /// Rows whose survivors overflowed at the last step: their soft embedding is the previous step's, and where such a
    /// row was accepted it took the argmax.
    pub overflow: u32,
}
// SAFETY: numbers without padding: 4 · 8 + 12 · 4 bytes.
unsafe impl Pod for CanvasState {}

/// What [`sampler_step`] reads and writes.
#[derive(Clone, Copy, Debug)]
pub struct Sampler<'a> {
    /// [`CanvasState`] `[canvases]`.
    pub canvases: &'a Buffer,
    /// How many.
    pub count: usize,
    /// The longest hole.
    pub hole_max: usize,
    /// Noise is drawn below this.
    pub vocabulary: usize,
    /// What the head made of all canvases' rows.
    pub head: &'a Head,
    /// All canvases' tokens, u32; only holes change.
    pub tokens: Slice<'a>,
    /// The last step's argmax, u32 `[rows]`; need not be set before the first.
    pub last_argmax: Slice<'a>,
    /// 1 where the last step accepted a row, u32 `[rows]`.
    pub accepted: Slice<'a>,
    /// The next step's temperature of each row, f32 `[rows]`; before the first the host writes `t_max`.
    pub temperatures: Slice<'a>,
}

/// Takes one step for every canvas that has not come to rest and has steps left; the others stay as they are. Decides as
/// the host does, from the same entropies with the same bits.
///
/// # Errors
/// [`DeviceError::Shape`] and [`DeviceError::Launch`].
pub fn sampler_step(device: &Device, job: &Sampler<'_>) -> Result<(), DeviceError> {
    const OP: &str = "sampler_step";
    ensure_len(OP, "canvases", job.canvases.all(), job.count, size_of::<CanvasState>())?;
    ensure(OP, (1..=4096).contains(&job.hole_max), || format!("holes of {} rows", job.hole_max))?;
    ensure(OP, u32::try_from(job.vocabulary).is_ok_and(|v| v > 0), || format!("{} tokens", job.vocabulary))?;
    let sort = job.hole_max.next_power_of_two();
    let args = [
        Arg::Slice(job.canvases.all()),
        Arg::U32(job.vocabulary as u32),
        Arg::U32(sort as u32),
        Arg::Slice(job.head.argmax().all()),
        Arg::Slice(job.head.entropy().all()),
        Arg::Slice(job.head.survivors().all()),
        Arg::Slice(job.head.ids().all()),
        Arg::Slice(job.head.weights().all()),
        Arg::U32(job.head.capacity() as u32),
        Arg::Slice(job.tokens),
        Arg::Slice(job.last_argmax),
        Arg::Slice(job.accepted),
        Arg::Slice(job.temperatures),
    ];
    let shared = sort * 16 + 16;
    device.launch("sampler_step", [job.count as u32, 1, 1], [256, 1, 1], shared, &args)
}
