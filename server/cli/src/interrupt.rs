//! Ctrl-C: stops the engine through its cancel token, and never in the middle of a write.

use crossterm::{cursor, execute};
use lacuna_engine::CancelToken;
use std::io;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// What the process is doing when the signal comes; 0, where it starts, is nothing that needs care.
const WORKING: u8 = 1;
const WRITING: u8 = 2;

/// Exit code of a command ended by Ctrl-C, as shells have it (128 + SIGINT).
pub const EXIT_INTERRUPTED: i32 = 130;

/// The process's one signal handler and what it does in each phase.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    cancel: CancelToken,
    phase: Arc<AtomicU8>,
}

/// Ends its phase when dropped.
#[must_use]
pub struct PhaseGuard<'a> {
    phase: &'a AtomicU8,
    before: u8,
}

impl Drop for PhaseGuard<'_> {
    fn drop(&mut self) {
        self.phase.store(self.before, Ordering::Release);
    }
}

impl Interrupt {
    /// Installs the handler for the rest of the process.
    pub fn install() -> Self {
        let interrupt = Self::default();
        let handler = interrupt.clone();
        // Without a handler Ctrl-C still ends the process, only less tidily: worth a log line, not an error.
        if let Err(error) = ctrlc::set_handler(move || handler.signal()) {
            tracing::warn!(%error, "no Ctrl-C handler");
        }
        interrupt
    }

    /// The token to hand to the engine.
    pub const fn token(&self) -> &CancelToken {
        &self.cancel
    }

    /// The engine runs: Ctrl-C cancels it; a second one ends the process.
    pub fn working(&self) -> PhaseGuard<'_> {
        self.enter(WORKING)
    }

    /// A file is being replaced: Ctrl-C waits.
    pub fn writing(&self) -> PhaseGuard<'_> {
        self.enter(WRITING)
    }

    fn enter(&self, phase: u8) -> PhaseGuard<'_> {
        let before = self.phase.swap(phase, Ordering::AcqRel);
        PhaseGuard { phase: &self.phase, before }
    }

    fn signal(&self) {
        let again = self.cancel.is_cancelled();
        self.cancel.cancel();
        match self.phase.load(Ordering::Acquire) {
            WRITING => {}
            WORKING if !again => {}
            _ => {
                // The cursor is hidden only while a hole is shown; showing it twice does no harm.
                if io::IsTerminal::is_terminal(&io::stdout()) {
                    let _ = execute!(io::stdout(), cursor::Show);
                }
                process::exit(EXIT_INTERRUPTED);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_nest_and_the_first_signal_only_cancels_the_engine() {
        let interrupt = Interrupt::default();
        let working = interrupt.working();
        let writing = interrupt.writing();
        interrupt.signal();
        interrupt.signal();
        assert!(interrupt.token().is_cancelled());
        drop(writing);
        assert_eq!(interrupt.phase.load(Ordering::Acquire), WORKING);
        drop(working);
        assert_eq!(interrupt.phase.load(Ordering::Acquire), 0);
    }
}
