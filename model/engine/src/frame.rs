//! Frames: what the canvas holds after each denoising step, so that a person can watch it condense.

use serde::{Deserialize, Serialize};

/// How settled one canvas position is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CellState {
    /// Still noise: the text is the model's present best guess.
    Noise,
    /// Accepted in this step.
    Accepted,
    /// Given by the caller, never changed.
    Clamped,
}

/// One token of the hole as it stands after a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The token's text (may be a partial character shown as U+FFFD).
    pub text: String,
    /// How settled it is.
    pub state: CellState,
    /// Entropy of the model's distribution here, in nats, after temperature.
    pub entropy: f32,
}

/// The hole of the leading canvas after one denoising step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// Which canvas of the batch this is (0 = the one shown while denoising).
    pub canvas: usize,
    /// Block of a text longer than one canvas, from 0.
    pub block: usize,
    /// Denoising step, from 1.
    pub step: usize,
    /// The most steps this block may take.
    pub steps_max: usize,
    /// The hole's tokens, in order.
    pub cells: Vec<Cell>,
}

/// Receives frames while the engine works; must return quickly, it runs on the engine's thread.
pub trait FrameSink {
    /// Called once a step and canvas shown. Not called at all when [`FrameSink::wants_frames`] is false.
    fn frame(&mut self, frame: Frame);
    /// Whether the engine should spend the time to decode frames.
    fn wants_frames(&self) -> bool {
        true
    }
}

/// A sink for callers that only want the result.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFrames;

impl FrameSink for NoFrames {
    fn frame(&mut self, _frame: Frame) {}
    fn wants_frames(&self) -> bool {
        false
    }
}

impl<F: FnMut(Frame)> FrameSink for F {
    fn frame(&mut self, frame: Frame) {
        self(frame);
    }
}
