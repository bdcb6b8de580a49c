//! Every operation of `lacuna_kernels::device` against its twin on the CPU: on the emulated card in three orders of
//! execution (feature `emulated`), and on a real one (feature `cuda`) where there is one.
//!
//! Outputs start poisoned (the emulated card's memory does; on a real one the tests poison it), so what is not written
//! shows; what must not be written is checked by red zones.
#![cfg(feature = "device")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod attention;
mod experts;
mod head;
mod layer;
mod matmul;
mod rows;
mod sampler;
mod support;
