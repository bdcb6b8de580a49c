//! What the system says of a process (Linux): memory, processor time, and time spent waiting for a core.

use std::fs;
use std::time::Duration;

/// A running process, by its id.
#[derive(Clone, Copy, Debug)]
pub struct Process(pub u32);

/// Processor time and time on a run queue, summed over threads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scheduled {
    /// On a core.
    pub ran: Duration,
    /// Ready to run, but without a core.
    pub waited: Duration,
}

impl Process {
    /// This process.
    #[must_use]
    pub fn own() -> Self {
        Self(std::process::id())
    }

    /// Resident memory in bytes; 0 when it has ended.
    #[must_use]
    pub fn resident_bytes(self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<usize>().ok());
        kilobytes.unwrap_or_default() * 1024
    }

    /// What its living threads were given so far; `of` picks threads by name. From `/proc/PID/task/TID/schedstat`, which
    /// counts nanoseconds where `/proc/PID/stat` counts 10 ms.
    #[must_use]
    pub fn scheduled(self, of: impl Fn(&str) -> bool) -> Scheduled {
        let mut sum = Scheduled::default();
        let tasks = fs::read_dir(format!("/proc/{}/task", self.0)).into_iter().flatten().flatten();
        for task in tasks {
            let read = |file: &str| fs::read_to_string(task.path().join(file)).unwrap_or_default();
            if of(read("comm").trim()) {
                let told = read("schedstat");
                let mut numbers = told.split_whitespace().map(|number| number.parse().unwrap_or(0));
                sum.ran += Duration::from_nanos(numbers.next().unwrap_or(0));
                sum.waited += Duration::from_nanos(numbers.next().unwrap_or(0));
            }
        }
        sum
    }

    /// Time that the threads between a pipe and an answer waited for a core so far: those of this server, the engine's
    /// aside, and those of this client. What a busy machine adds to a wait is at most this.
    #[must_use]
    pub fn without_core(self) -> Duration {
        // The model's pool has no name but that of the program, which the thread that reads has too.
        let serves = |name: &str| name.starts_with("tokio") || name == "lacuna-writer" || name == "lacuna";
        self.scheduled(serves).waited + Self::own().scheduled(|_| true).waited
    }

    /// Processor time of all its threads.
    #[must_use]
    pub fn ran(self) -> Duration {
        self.scheduled(|_| true).ran
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells_of_this_process() {
        let own = Process::own();
        assert!(own.resident_bytes() > 1 << 20);
        let before = own.ran();
        let mut sum = 0_u64;
        while own.ran() < before + Duration::from_millis(5) {
            sum = std::hint::black_box(sum + 1);
        }
        assert_eq!(own.scheduled(|_| false).ran, Duration::ZERO);
    }
}
