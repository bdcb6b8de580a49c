//! What `lacuna bench step` asks of a device: a model (or a shape with made-up weights), the sizes of a step, and what comes
//! back. The measuring itself is `device::bench`, where this build has devices.

use crate::load::{DeviceChoice, PrecisionChoice, Report};
use crate::plan::MemoryPlan;
use crate::shape::Shape;
use lacuna_engine::{CancelToken, EngineError};
use std::path::PathBuf;

/// Whose weights a bench runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BenchModel {
    /// A known shape with made-up weights.
    Shape(Shape),
    /// A checkpoint.
    Dir(PathBuf),
}

/// One step on a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceBench {
    /// The weights.
    pub model: BenchModel,
    /// How they are stored.
    pub precision: PrecisionChoice,
    /// Where.
    pub device: DeviceChoice,
    /// Canvas rows, all of them hole.
    pub canvas: usize,
    /// Canvases side by side.
    pub batch: usize,
    /// Cached prompt tokens.
    pub prefix: usize,
    /// Steps timed, after a warm-up.
    pub repeats: usize,
    /// Tokens to decode left to right with the same weights after the prefix; 0 for none.
    pub causal: usize,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceTimes {
    /// The device's own name.
    pub device: String,
    /// Its driver: 1000 · major + 10 · minor of the CUDA version it knows.
    pub driver: u32,
    /// What was taken of its memory.
    pub plan: MemoryPlan,
    /// What this process took of the device's memory, all in all: its plan, and what the driver adds.
    pub taken_bytes: usize,
    /// Opening the device and its kernels, milliseconds.
    pub open_ms: f64,
    /// From an open device to weights, cache and buffers on it, milliseconds.
    pub load_ms: f64,
    /// Reading the whole prefix, milliseconds; the second time where that is quick, since the first warms up.
    pub prefill_ms: f64,
    /// Reading one more token, and the first step after it: what a typed character costs before anything is seen, with the
    /// recording of the step; milliseconds.
    pub first_frame_ms: f64,
    /// Reading a whole canvas into the cache, as between two blocks of a longer text; milliseconds.
    pub commit_ms: f64,
    /// Each token decoded left to right, as the engine's control does it; milliseconds.
    pub causal_ms: Vec<f64>,
    /// Each timed step, milliseconds: decoder pass, head, sampler and soft embedding, and the host's read of the status.
    pub ms: Vec<f64>,
    /// Rows, over all timed steps, with more survivors than the head has room for. Each sends its step through the exact
    /// path as well; with made-up weights there should be none.
    pub overflowed_rows: usize,
    /// One step without a graph, by part; milliseconds.
    pub parts: Vec<(&'static str, f64)>,
    /// What a step must at least read; see [`crate::traffic::StepWork`].
    pub bytes: usize,
    /// What a step must at least multiply.
    pub flops: f64,
    /// Bytes read and written a second by copies on the device, in GB.
    pub copy_gb_s: f64,
    /// The best of our own matrix products, bf16 where weights are not f32, in TFLOP/s.
    pub matmul_tflop_s: f64,
}

impl DeviceTimes {
    /// The time that reading alone takes at the speed of copies, milliseconds.
    #[must_use]
    pub fn floor_ms(&self) -> f64 {
        self.bytes as f64 / (self.copy_gb_s * 1e6)
    }

    /// The time that the products alone take at the measured ceiling, milliseconds.
    #[must_use]
    pub fn compute_floor_ms(&self) -> f64 {
        self.flops / (self.matmul_tflop_s * 1e9)
    }
}

/// Times one step on a device.
///
/// # Errors
/// [`EngineError::Model`] where the model cannot be used, the device is not there or does not take it;
/// [`EngineError::InvalidRequest`] for a size of zero.
pub fn bench_device(
    bench: &DeviceBench,
    report: &Report<'_>,
    cancel: &CancelToken,
) -> Result<DeviceTimes, EngineError> {
    if bench.canvas == 0 || bench.batch == 0 || bench.repeats == 0 {
        let reason = "canvas, batch and repeats must be at least 1";
        return Err(EngineError::InvalidRequest(reason.to_owned()));
    }
    run(bench, report, cancel)
}

#[cfg(feature = "device")]
fn run(bench: &DeviceBench, report: &Report<'_>, cancel: &CancelToken) -> Result<DeviceTimes, EngineError> {
    crate::device::bench::run(bench, report, cancel)
}

#[cfg(not(feature = "device"))]
fn run(_: &DeviceBench, _: &Report<'_>, _: &CancelToken) -> Result<DeviceTimes, EngineError> {
    Err(EngineError::Unsupported(crate::place::NO_CUDA.to_owned()))
}
