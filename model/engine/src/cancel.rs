//! Cancellation as a generation counter: a newer generation supersedes every token of an older one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Says whether the work it was given to is still wanted. Cheap to clone, cheap to poll (one relaxed load).
#[derive(Clone, Debug)]
pub struct CancelToken {
    current: Arc<AtomicU64>,
    generation: u64,
}

impl CancelToken {
    /// A token of a fresh counter; nothing cancels it but [`CancelToken::cancel`].
    #[must_use]
    pub fn new() -> Self {
        Self { current: Arc::new(AtomicU64::new(0)), generation: 0 }
    }

    /// Starts the next generation of the same counter: every earlier token of it is cancelled from here on.
    #[must_use]
    pub fn supersede(&self) -> Self {
        let generation = self.current.fetch_add(1, Ordering::AcqRel) + 1;
        Self { current: Arc::clone(&self.current), generation }
    }

    /// Cancels this token and all older ones of its counter; a newer one lives on.
    pub fn cancel(&self) {
        self.current.fetch_max(self.generation + 1, Ordering::AcqRel);
    }

    /// Whether the work should stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.current.load(Ordering::Relaxed) > self.generation
    }

    /// `Err(EngineError::Cancelled)` once cancelled; for `?` between layers.
    ///
    /// # Errors
    /// [`crate::EngineError::Cancelled`].
    pub fn check(&self) -> Result<(), crate::EngineError> {
        if self.is_cancelled() { Err(crate::EngineError::Cancelled) } else { Ok(()) }
    }
}

impl Default for CancelToken {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_generation_cancels_the_older_ones_only() {
        let first = CancelToken::new();
        let second = first.supersede();
        assert!(first.is_cancelled());
        assert!(!second.is_cancelled());
        first.cancel();
        assert!(!second.is_cancelled(), "cancelling an old token must not reach a newer one");
        second.cancel();
        assert!(second.is_cancelled());
        assert!(matches!(second.check(), Err(crate::EngineError::Cancelled)));
    }
}
