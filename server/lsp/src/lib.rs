//! Lacuna's language server: LSP 3.18 over stdio in front of an engine.
//!
//! Invariants: this crate never knows which engine it drives, nor any tensor library; no handler waits for an engine
//! while it holds a lock; only `front` changes documents; only `plan` makes engine requests.

pub mod settings;
