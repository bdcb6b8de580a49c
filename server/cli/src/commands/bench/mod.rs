//! `lacuna bench`: the engine against its own controls, and its smallest unit of work.

pub mod device;
pub mod generate;
pub mod step;
