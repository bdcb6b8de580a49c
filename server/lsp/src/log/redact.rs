//! What keeps source code out of logs.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether logs of this process may hold source code.
static CODE_ALLOWED: AtomicBool = AtomicBool::new(false);

pub(super) fn allow_code(allowed: bool) {
    CODE_ALLOWED.store(allowed, Ordering::Relaxed);
}

/// Source code as a log line may show it: the text itself when `log.code` is set, else how long it is (`<12 bytes>`).
/// Everything that a user wrote goes through here on its way to a log.
#[must_use]
pub fn code(text: &str) -> impl fmt::Display {
    Code(text)
}

struct Code<'a>(&'a str);

impl fmt::Display for Code<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if CODE_ALLOWED.load(Ordering::Relaxed) {
            formatter.write_str(self.0)
        } else {
            write!(formatter, "<{} bytes>", self.0.len())
        }
    }
}

/// Sends panics to the log, with their place. Their message goes through [`code`], since the standard library's own quote
/// the text they were about (a slice that ends inside a character does), and the default hook prints that to standard
/// error. A backtrace comes along where `RUST_BACKTRACE` asks for it. To be called once, after [`super::Log::start`].
pub fn hook_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("unnamed");
        let message = panic.payload_as_str().unwrap_or_default();
        tracing::error!("thread {thread} panicked at {place}: {}", code(message));
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            tracing::error!("{backtrace}");
        }
    }));
}
