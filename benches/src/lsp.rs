//! The measures of the language server: real processes, real pipes, the shipped model or an engine that plays a script.
//!
//! Each measure is a file with one function that answers [`Figure`]s. The clock runs from the moment a message is handed
//! to the pipe to the moment its answer was read from it, so the client's own threads are part of every time.

pub mod burst;
pub mod cancel;
pub mod caret;
pub mod code;
pub mod figure;
pub mod keystrokes;
pub mod machine;
pub mod overhead;
pub mod pairs;
pub mod process;
pub mod programs;
pub mod soak;
pub mod warm;

pub use figure::{Figure, Report, Target};
pub use programs::Programs;
