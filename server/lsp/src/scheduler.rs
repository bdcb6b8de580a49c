//! What the engine does next: one running, at most one waiting per document and lane, the latest wins; what types
//! goes before what waits. Every queue here has a bound.

use crate::turns::Lane;
use lacuna_engine::{CancelToken, EngineError, Frame, InfillRequest, Infilled};
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tower_lsp::gen_lsp_types::Uri;

/// Jobs that wait, over all documents; the oldest gives way.
const WAITING_MAX: usize = 64;

/// Two requests of a person are further apart than this, those of a program in a burst are not.
const REST: Duration = Duration::from_millis(5);
/// A burst that never rests is served all the same.
const BURST: Duration = Duration::from_millis(250);

/// What became of a job.
pub type Reply = Result<Answer, EngineError>;

/// An engine's answer and the time it took.
#[derive(Debug)]
pub struct Answer {
    /// The candidates.
    pub infilled: Infilled,
    /// From queueing to the start, in milliseconds.
    pub wait_ms: f32,
    /// From the start to the end, in milliseconds.
    pub engine_ms: f32,
}

/// Called with each frame on the engine's thread; must return at once.
pub type OnFrame = Box<dyn FnMut(Frame) + Send>;

/// A hole to fill.
pub struct Job {
    /// Whose it is.
    pub key: (Uri, Lane),
    /// What the engine is asked.
    pub request: InfillRequest,
    /// Whether the answer is still wanted.
    pub cancel: CancelToken,
    /// Who wants to see the canvas.
    pub on_frame: Option<OnFrame>,
    /// Where the answer goes; dropped unanswered when a newer job takes the place.
    pub reply: oneshot::Sender<Reply>,
    /// When it was queued.
    pub queued: Instant,
}

impl Job {
    /// Whether somebody still waits for it.
    fn is_wanted(&self) -> bool {
        !self.cancel.is_cancelled() && !self.reply.is_closed()
    }

    const fn waits_behind_typing(&self) -> bool {
        matches!(self.key.1, Lane::Action)
    }
}

/// What the worker is told.
pub enum Next {
    /// Run this.
    Job(Box<Job>),
    /// Load the engine again: its settings changed, or a person asked for it.
    Reload,
    /// End.
    Stop,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    /// Jobs that ever came, to tell a queue at rest from one in a burst.
    pushes: u64,
    /// Of the job that was given out last.
    running: CancelToken,
    reload: bool,
    stop: bool,
}

/// The queue between handlers and the engine's thread.
#[derive(Default)]
pub struct Scheduler {
    state: Mutex<State>,
    changed: Condvar,
}

impl Scheduler {
    /// Queues a job. One of the same document and lane that still waits is dropped.
    pub fn push(&self, job: Job) {
        let mut state = self.lock();
        // Handlers plan side by side: an older request may come here after the one that superseded it.
        if state.stop || job.cancel.is_cancelled() {
            return;
        }
        // Actions are several things a person asked for; each is done.
        if !job.waits_behind_typing() {
            state.waiting.retain(|other| other.key != job.key);
        }
        state.waiting.retain(Job::is_wanted);
        if state.waiting.len() >= WAITING_MAX {
            state.waiting.pop_front();
        }
        state.waiting.push_back(job);
        state.pushes += 1;
        drop(state);
        self.changed.notify_one();
    }

    /// Has the engine loaded again before the next job. The one that runs is given up: it may be why a person asks.
    pub fn reload(&self) {
        let mut state = self.lock();
        state.reload = true;
        state.running.cancel();
        drop(state);
        self.changed.notify_one();
    }

    /// Ends the worker; what waits is dropped.
    pub fn stop(&self) {
        let mut state = self.lock();
        state.stop = true;
        state.waiting.clear();
        drop(state);
        self.changed.notify_one();
    }

    /// Waits for the end of a burst: until no job came for a few milliseconds, at most a quarter of a second.
    ///
    /// For the time after a superseded job. Its successor may well be superseded next, and starting each only to stop it
    /// again helps nobody.
    pub fn settle(&self) {
        let end = Instant::now() + BURST;
        let mut state = self.lock();
        loop {
            let before = state.pushes;
            let waited = self.changed.wait_timeout(state, REST).unwrap_or_else(PoisonError::into_inner);
            state = waited.0;
            if state.stop || (waited.1.timed_out() && state.pushes == before) || Instant::now() >= end {
                return;
            }
        }
    }

    /// What to do next; waits for it. The newest job of those that type comes first: its user waits now.
    pub fn next(&self) -> Next {
        let mut state = self.lock();
        loop {
            if state.stop {
                return Next::Stop;
            }
            if std::mem::take(&mut state.reload) {
                return Next::Reload;
            }
            // What nobody waits for any more was cancelled while it waited.
            state.waiting.retain(Job::is_wanted);
            let typing = state.waiting.iter().rposition(|job| !job.waits_behind_typing());
            let at = typing.or_else(|| (!state.waiting.is_empty()).then_some(0));
            if let Some(job) = at.and_then(|at| state.waiting.remove(at)) {
                state.running = job.cancel.clone();
                return Next::Job(Box::new(job));
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock; after a poisoning the queue is still a queue.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lacuna_engine::HoleKind;

    fn push(scheduler: &Scheduler, uri: &str, lane: Lane, prefix: &str) -> oneshot::Receiver<Reply> {
        let (reply, answer) = oneshot::channel();
        scheduler.push(Job {
            key: (Uri::from(uri), lane),
            request: InfillRequest::new(prefix, "", HoleKind::Line),
            cancel: CancelToken::new(),
            on_frame: None,
            reply,
            queued: Instant::now(),
        });
        answer
    }

    fn next(scheduler: &Scheduler) -> String {
        match scheduler.next() {
            Next::Job(job) => job.request.prefix,
            Next::Reload => "reload".to_owned(),
            Next::Stop => "stop".to_owned(),
        }
    }

    #[test]
    fn the_latest_of_a_document_and_lane_wins() {
        let scheduler = Scheduler::default();
        let mut first = push(&scheduler, "a", Lane::Inline, "a1");
        let _second = push(&scheduler, "a", Lane::Inline, "a2");
        let _other = push(&scheduler, "a", Lane::Completion, "a3");
        assert!(first.try_recv().is_err(), "its sender is gone");
        assert_eq!([next(&scheduler), next(&scheduler)], ["a3", "a2"]);
    }

    #[test]
    fn typing_goes_before_actions_and_a_reload_before_all() {
        let scheduler = Scheduler::default();
        let _kept = [
            push(&scheduler, "a", Lane::Action, "act 1"),
            push(&scheduler, "a", Lane::Action, "act 2"),
            push(&scheduler, "b", Lane::Inline, "type"),
        ];
        scheduler.reload();
        let order: Vec<String> = (0..4).map(|_| next(&scheduler)).collect();
        assert_eq!(order, ["reload", "type", "act 1", "act 2"]);
    }

    #[test]
    fn what_nobody_waits_for_is_not_run() {
        let scheduler = Scheduler::default();
        drop(push(&scheduler, "a", Lane::Inline, "gone"));
        let _kept = push(&scheduler, "b", Lane::Inline, "kept");
        assert_eq!(next(&scheduler), "kept");
        scheduler.stop();
        assert_eq!(next(&scheduler), "stop");
    }

    #[test]
    fn an_older_job_that_comes_late_does_not_take_the_place() {
        let scheduler = Scheduler::default();
        let job = |prefix: &str, cancel: CancelToken| {
            let (reply, answer) = oneshot::channel();
            let request = InfillRequest::new(prefix, "", HoleKind::Line);
            let key = (Uri::from("a"), Lane::Inline);
            (Job { key, request, cancel, on_frame: None, reply, queued: Instant::now() }, answer)
        };
        let older = CancelToken::new();
        let newer = older.supersede();
        let ((newer, _kept), (older, _gone)) = (job("newer", newer), job("older", older));
        scheduler.push(newer);
        scheduler.push(older);
        assert_eq!(next(&scheduler), "newer");
    }

    #[test]
    fn a_burst_that_never_rests_is_served_all_the_same() {
        let scheduler = std::sync::Arc::new(Scheduler::default());
        let (done, ended) = std::sync::mpsc::channel();
        let settling = std::sync::Arc::clone(&scheduler);
        let waiting = std::thread::spawn(move || {
            settling.settle();
            done.send(()).unwrap();
        });
        let start = Instant::now();
        while ended.try_recv().is_err() {
            drop(push(&scheduler, "a", Lane::Inline, "x"));
            assert!(start.elapsed() < 100 * BURST, "it never ends");
        }
        waiting.join().unwrap();
    }

    #[test]
    fn the_queue_is_bounded() {
        let scheduler = Scheduler::default();
        let kept: Vec<_> =
            (0..WAITING_MAX + 3).map(|n| push(&scheduler, "a", Lane::Action, &n.to_string())).collect();
        assert_eq!(next(&scheduler), "3");
        drop(kept);
    }
}
