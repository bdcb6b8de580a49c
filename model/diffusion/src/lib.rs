//! DiffusionGemma on the CPU or a GPU: from a model directory to filled holes.
//!
//! Reading order: [`net`] is the network in one sitting; `denoise` is the loop that condenses canvases; `infill` is one
//! request from prompt to ranked candidates; `engine` puts that behind the contract of `lacuna-engine`. Where the network runs
//! is `backend`; `device` is the one on a GPU, and `plan` says what it takes of its memory.
//!
//! Invariants: this crate knows tokens, canvases and candidates, and never a document, a cursor or a protocol. What a
//! checkpoint can do is read from its files, never from its name. The same seed gives the same answer on any number of
//! threads and in any batch.

mod abilities;
pub mod accept;
mod attention;
mod backend;
mod bench;
mod blocks;
mod branches;
mod canvas;
mod chat;
mod chat_prompt;
mod chat_template;
mod clock;
mod confidence;
pub mod config;
mod config_lacuna;
mod control;
mod denoise;
#[cfg(feature = "device")]
mod device;
mod embedding;
mod engine;
pub mod error;
mod experts;
mod generate;
mod heal;
mod infill;
mod json;
pub mod kv;
mod layer;
mod lengths;
mod load;
mod mlp;
pub mod net;
mod noise;
mod place;
#[cfg_attr(not(feature = "device"), allow(dead_code, reason = "some of it is for devices alone"))]
pub mod plan;
mod preset;
mod prompt;
mod rank;
mod repeats;
pub mod replay;
mod replay_file;
mod rope;
mod safetensors_header;
mod session;
pub mod shape;
mod shipped;
#[cfg_attr(not(feature = "device"), allow(dead_code, reason = "some of it is for devices alone"))]
mod sizes;
mod step_bench;
mod template;
mod tokenizer;
pub mod traffic;
mod watch;
pub mod weights;
mod written;

pub use bench::{StepBench, StepTimes};
pub use engine::DiffusionEngine;
pub use load::{DeviceChoice, LoadEvent, LoadOptions, PrecisionChoice, Report, load, load_with};
pub use place::{GpuInfo, device_report};
pub use replay::{replay, replay_on};
pub use step_bench::{BenchModel, DeviceBench, DeviceTimes, bench_device};
