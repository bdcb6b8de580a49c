//! Lacuna's language server: LSP 3.18 over stdio in front of an engine.
//!
//! Invariants: this crate never knows which engine it drives, nor any tensor library; no handler waits for an engine
//! while it holds a lock; only `front` changes documents; only `planned` makes engine requests; every queue has a
//! bound.

pub mod convert;
pub mod documents;
pub mod log;
pub mod model;
pub mod own;
pub mod planned;
pub mod rank;
pub mod scheduler;
pub mod settings;
pub mod standing;
pub mod status;
pub mod transport;
pub mod turns;
pub mod worker;
mod front;
