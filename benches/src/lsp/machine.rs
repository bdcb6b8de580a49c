//! The machine the numbers are from, and how busy it is.

use serde::Serialize;
use std::fs;

/// What decides how fast anything can be here.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The processor's name for itself.
    pub processor: String,
    /// Cores the system gives.
    pub cores: usize,
    /// The profile the servers were built with.
    pub profile: &'static str,
}

impl Machine {
    /// This one.
    #[must_use]
    pub fn here() -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let name = info.lines().find(|line| line.starts_with("model name"));
        let processor = name.and_then(|line| line.split_once(": ")).map_or("unknown", |(_, name)| name);
        Self {
            processor: processor.to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            profile: if cfg!(debug_assertions) { "debug" } else { "release" },
        }
    }
}

/// Processes that run or wait for a core, over the last minute; not a number where the system does not say.
#[must_use]
pub fn load() -> f64 {
    let told = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    told.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(f64::NAN)
}
