//! Times held against bounds, on machines that do other things too.

use crate::say;
use std::fmt::Debug;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Another program may have had the processor once or twice; what is slow by itself is slow each time.
const TRIES: usize = 3;

/// Measures `what` up to three times until it stays within `bound`, and says each time that did not.
///
/// # Panics
/// When no measurement stays within `bound`.
#[expect(clippy::panic, reason = "a test helper: failing loudly is its job")]
pub fn within<T: PartialOrd + Debug>(what: &str, bound: T, mut measure: impl FnMut() -> T) {
    for attempt in 1..=TRIES {
        let measured = measure();
        if measured <= bound {
            return;
        }
        say(&format!("{what}: {measured:?}, more than {bound:?} (measurement {attempt} of {TRIES})"));
    }
    panic!("{what}: more than {bound:?} in each of {TRIES} measurements");
}

/// A program that says back each line (`cat`): what a round trip between two processes costs on this machine, now.
pub struct Echo {
    program: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Echo {
    /// `None` where there is no `cat`.
    #[must_use]
    pub fn start() -> Option<Self> {
        let mut program = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
        let (input, output) = (program.stdin.take()?, BufReader::new(program.stdout.take()?));
        Some(Self { program, input, output })
    }

    /// How long one line takes there and back.
    ///
    /// # Panics
    /// When the program has ended.
    #[expect(clippy::expect_used, reason = "a test helper: failing loudly is its job")]
    pub fn round_trip(&mut self) -> Duration {
        let (started, mut line) = (Instant::now(), String::new());
        self.input.write_all(b"a line\n").expect("cat reads");
        self.output.read_line(&mut line).expect("cat writes");
        assert_eq!(line, "a line\n");
        started.elapsed()
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::{TRIES, within};

    #[test]
    fn one_good_measurement_is_enough() {
        let mut times = [9, 7, 5].into_iter();
        within("a time", 5, || times.next().unwrap_or(9));
        assert_eq!(times.next(), None);
    }

    #[test]
    #[should_panic(expected = "a time: more than 5 in each of 3 measurements")]
    fn what_is_always_slow_fails() {
        let mut count = 0;
        within("a time", 5, || {
            count += 1;
            assert!(count <= TRIES);
            6
        });
    }
}
