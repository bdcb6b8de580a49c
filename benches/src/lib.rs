//! What the benches share: a large source file made of plausible code, percentiles, and the measures of the language server.

pub mod lsp;

use std::fmt::Write as _;
use std::time::Duration;

/// At least `bytes` of Rust: functions of different names and bodies, so that no parser shortcut applies.
#[must_use]
pub fn large_rust_file(bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 1024);
    let mut n = 0_u64;
    while text.len() < bytes {
        let (a, b) = (n % 97, (n * 7919) % 1013);
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "/// Item {n} of the table, weighted by {b}.\npub fn item_{n}(input: &[u32], scale: usize) -> Option<u32> {{\n    \
             let mut total = {a}u32;\n    for (index, value) in input.iter().enumerate() {{\n        \
             if index % {} == 0 {{\n            total = total.wrapping_add(*value * scale as u32);\n        }} else {{\n            \
             total ^= value.rotate_left({});\n        }}\n    }}\n    (total > {b}).then_some(total)\n}}\n\n",
            a + 2,
            b % 31,
        );
        n += 1;
    }
    text
}

/// The `share` quantile (0..=1) of unsorted samples; zero for none.
#[must_use]
pub fn quantile(samples: &mut [Duration], share: f64) -> Duration {
    samples.sort_unstable();
    let last = samples.len().saturating_sub(1);
    samples.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
}

/// Resident memory of this process in bytes, where the system says it.
#[must_use]
pub fn resident_bytes() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kilobytes: usize = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}
