//! Lacuna's language server: LSP 3.18 over stdio in front of an engine.
//!
//! Invariants: this crate never knows which engine it drives, nor any tensor library; no handler waits for an engine
//! while it holds a lock; only `front` changes the text of documents; only `planned` makes engine requests; what waits
//! for the engine or for the client's eyes has a bound.

pub mod actions;
pub mod api;
pub mod changes;
pub mod client;
pub mod configuration;
pub mod context;
pub mod convert;
pub mod distance;
pub mod documents;
pub mod edits;
pub mod front;
pub mod infill;
pub mod log;
pub mod model;
pub mod notifications;
pub mod own;
pub mod planned;
pub mod progress;
pub mod propose;
pub mod rank;
pub mod requests;
pub mod scheduler;
pub mod serve;
pub mod server;
pub mod settings;
pub mod standing;
pub mod status;
pub mod transport;
pub mod turns;
pub mod worker;

pub use serve::serve;
pub use worker::Loader;
