//! Looking after each folder's `lacuna.toml` where the client does not: while it speaks, at most once a second, and on a
//! thread where nobody waits for the disk.

use super::Shared;
use crate::configuration::read_project;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// From one look to the next.
const EVERY: Duration = Duration::from_secs(1);

/// When it was looked, and whether it has to be.
#[derive(Debug, Default)]
pub struct Look {
    /// The client says when a file changes.
    is_watched: AtomicBool,
    last: Mutex<Option<Instant>>,
    /// Held by the look that is under way: a disk that does not answer keeps one thread, not one a second.
    under_way: Mutex<()>,
}

impl Look {
    /// From now on the client says when a file changes.
    pub fn client_watches(&self) {
        self.is_watched.store(true, Ordering::Relaxed);
    }

    /// Whether it is time for another look; then the next one is a second away.
    fn is_due(&self, now: Instant) -> bool {
        if self.is_watched.load(Ordering::Relaxed) {
            return false;
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| now.saturating_duration_since(last) >= EVERY);
        if due {
            *last = Some(now);
        }
        due
    }
}

impl Shared {
    /// Has the files read again where one of them says something else than it did. For whenever the client speaks.
    pub fn look_at_projects(self: &Arc<Self>) {
        if !self.look.is_due(Instant::now()) {
            return;
        }
        let shared = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let Ok(_under_way) = shared.look.under_way.try_lock() else { return };
            let folders = shared.configuration().local_folders();
            let changed = |uri| {
                let file = read_project(&uri);
                file.is_some_and(|file| shared.configuration().would_change(&uri, &file))
            };
            if folders.into_iter().any(changed) {
                // Read once more, behind the changes of settings that came before: what was seen here may be old by then.
                shared.read_projects();
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_looked_once_a_second_and_not_where_the_client_does() {
        let look = Look::default();
        let start = Instant::now();
        let after = |ms| look.is_due(start + Duration::from_millis(ms));
        assert!(after(0));
        assert!(!after(1) && !after(999));
        assert!(after(1000));
        assert!(!after(1999));
        assert!(after(5000));
        look.client_watches();
        assert!(!after(60_000));
    }
}
