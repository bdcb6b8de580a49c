//! The contract between whoever wants a hole filled and the engine that fills it.
//!
//! Everything here is plain, serialisable data plus one trait, so that the engine can live on a thread, in another
//! process, or be played by the [`scripted`] engine in a test.
//!
//! Invariants: this crate knows nothing of documents, cursors, LSP, tensors or candle. Text crosses the seam as
//! UTF-8 strings; token ids appear only where a caller may want to count or show them.

mod cancel;
mod candidate;
mod error;
mod frame;
mod request;
pub mod scripted;
mod traits;

pub use cancel::CancelToken;
pub use candidate::{Candidate, Infilled, Origin, Stats};
pub use error::EngineError;
pub use frame::{Cell, CellState, Frame, FrameSink, NoFrames};
pub use request::{
    GenerateRequest, HoleKind, InfillRequest, Limits, Method, NEAR_BYTES_MAX, Preset, Sampling, ScoreRequest,
    Start, Template,
};
pub use traits::{Engine, ModelInfo, NoiseInfo, Scored, TokenCounter};
