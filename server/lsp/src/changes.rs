//! Changes of settings, one after the other in order of arrival, on a thread of their own: they may read from disk, and who
//! comes behind one waits for it and for nothing else.

use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{io, thread};
use tokio::runtime::Handle;
use tokio::sync::watch;

/// Changes that wait; who brings one more waits too.
const QUEUE_MAX: usize = 256;

type Change = Box<dyn FnOnce() + Send>;

/// The queue.
pub struct Changes {
    queue: SyncSender<Change>,
    /// Changes that ever came.
    queued: Mutex<u64>,
    /// Changes that were made.
    made: watch::Receiver<u64>,
}

impl Changes {
    /// Starts the thread, which ends when the queue is gone. To be called within a runtime, which changes may use.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start() -> io::Result<Self> {
        let (queue, changes) = sync_channel::<Change>(QUEUE_MAX);
        let (done, made) = watch::channel(0);
        let runtime = Handle::current();
        thread::Builder::new().name("lacuna-settings".to_owned()).spawn(move || {
            let _in_runtime = runtime.enter();
            for change in changes {
                // The hook logs it; those behind it are made all the same.
                let _ = panic::catch_unwind(AssertUnwindSafe(change));
                done.send_modify(|count| *count += 1);
            }
        })?;
        Ok(Self { queue, queued: Mutex::default(), made })
    }

    /// Queues a change; the number it is made by.
    pub fn push(&self, change: impl FnOnce() + Send + 'static) -> u64 {
        // Under the lock, so that the numbers are the order.
        let mut queued = self.count();
        if self.queue.send(Box::new(change)).is_ok() {
            *queued += 1;
        }
        *queued
    }

    /// The number of the change that came last.
    #[must_use]
    pub fn latest(&self) -> u64 {
        *self.count()
    }

    /// The number of the change that is being made, or will be next.
    #[must_use]
    pub fn making(&self) -> u64 {
        *self.made.borrow() + 1
    }

    /// Waits until the change of this number was made.
    pub async fn made(&self, number: u64) {
        let mut made = self.made.clone();
        // An error only says that the thread has ended: then nothing changes any more.
        let _ = made.wait_for(|&count| count >= number).await;
    }

    fn count(&self) -> MutexGuard<'_, u64> {
        self.queued.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn changes_are_made_in_their_order_and_waited_for() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _in_runtime = runtime.enter();
        let changes = Changes::start().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (open, gate) = std::sync::mpsc::channel::<()>();
        changes.push(move || gate.recv().unwrap());
        changes.push(|| panic!("a defect"));
        let mut last = 0;
        for number in 0..10 {
            let seen = Arc::clone(&seen);
            last = changes.push(move || seen.lock().unwrap().push(number));
        }
        assert_eq!((last, changes.latest()), (12, 12));
        let early = async { tokio::time::timeout(Duration::from_millis(20), changes.made(1)).await };
        assert!(runtime.block_on(early).is_err(), "the first one has not been made");
        open.send(()).unwrap();
        runtime.block_on(changes.made(last));
        assert_eq!(*seen.lock().unwrap(), (0..10).collect::<Vec<_>>());
    }
}
