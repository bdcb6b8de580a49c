//! What the machine says about itself, where it says anything.

use serde::Serialize;
use std::collections::HashMap;
use std::env;
use std::fs;
use std::thread;

/// The processor.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// Cores this process may use.
    pub cores: usize,
    /// Such as `x86_64`.
    pub architecture: &'static str,
    /// The processor's own name; `null` where the system does not tell.
    pub processor: Option<String>,
    /// Instruction sets that matter to matrix work.
    pub instructions: Vec<&'static str>,
}

/// Memory in bytes; `null` where the system does not tell.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Held by this process now.
    pub resident_bytes: Option<u64>,
    /// The most it held.
    pub peak_bytes: Option<u64>,
    /// Free for more, system-wide.
    pub available_bytes: Option<u64>,
}

impl Machine {
    /// This machine.
    pub fn this() -> Self {
        let processor = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        });
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self { cores, architecture: env::consts::ARCH, processor, instructions: instructions() }
    }
}

#[cfg(target_arch = "x86_64")]
fn instructions() -> Vec<&'static str> {
    let known = [
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512bf16", is_x86_feature_detected!("avx512bf16")),
        ("avx512vnni", is_x86_feature_detected!("avx512vnni")),
    ];
    // The standard library cannot ask for AMX yet; the system lists it.
    let flags = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let amx = ("amx_bf16", flags.split_whitespace().any(|flag| flag == "amx_bf16"));
    known.into_iter().chain([amx]).filter(|(_, present)| *present).map(|(name, _)| name).collect()
}

#[cfg(target_arch = "aarch64")]
fn instructions() -> Vec<&'static str> {
    let known = [
        ("neon", std::arch::is_aarch64_feature_detected!("neon")),
        ("bf16", std::arch::is_aarch64_feature_detected!("bf16")),
        ("i8mm", std::arch::is_aarch64_feature_detected!("i8mm")),
        ("sve", std::arch::is_aarch64_feature_detected!("sve")),
    ];
    known.into_iter().filter(|(_, present)| *present).map(|(name, _)| name).collect()
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn instructions() -> Vec<&'static str> {
    Vec::new()
}

impl Memory {
    /// As things stand.
    pub fn now() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Self::of(&read("/proc/self/status"), &read("/proc/meminfo"))
    }

    /// Reads the two files of Linux's `/proc`, whose sizes are in units of 1024 bytes.
    fn of(status: &str, meminfo: &str) -> Self {
        let (status, meminfo) = (kilobytes(status), kilobytes(meminfo));
        Self {
            resident_bytes: status.get("VmRSS").copied(),
            peak_bytes: status.get("VmHWM").copied(),
            available_bytes: meminfo.get("MemAvailable").copied(),
        }
    }
}

fn kilobytes(text: &str) -> HashMap<&str, u64> {
    let size = |line: &'_ str| line.trim().strip_suffix(" kB").and_then(|number| number.parse::<u64>().ok());
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .filter_map(|(name, rest)| Some((name, size(rest)? * 1024)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes_and_absent_where_it_is_not_told() {
        let memory = Memory::of("VmHWM:\t  2048 kB\nVmRSS:\t 1024 kB\nThreads:\t3\n", "");
        let expected =
            Memory { resident_bytes: Some(1 << 20), peak_bytes: Some(2 << 20), available_bytes: None };
        assert_eq!(memory, expected);
    }
}
