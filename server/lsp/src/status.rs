//! The server's account of itself: one state, its counters, and the word to the client at every change.

use crate::own::frame::FrameParams;
use crate::own::status::{Counters, Last, ModelSummary, State, StatusParams, Step};
use lacuna_engine::{EngineError, Infilled, ModelInfo};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;

/// News that wait to be sent; with more, a client that does not read misses some.
pub const NEWS_MAX: usize = 128;

/// What the client is told unasked, in the order it happened.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// A change of state.
    Status(StatusParams),
    /// The canvas after a step.
    Frame(FrameParams),
}

/// What is known of the engine; whether the user wants any of it is [`Facts::disabled`].
#[derive(Default)]
struct Facts {
    engine: State,
    /// Why, where the engine is in error.
    reason: String,
    model: Option<ModelSummary>,
    step: Option<Step>,
    counters: Counters,
    last: Option<Last>,
    disabled: bool,
    /// Something to add while ready, such as why a document gets no proposals.
    note: Option<String>,
}

/// Shared by handlers and the engine's thread.
pub struct Status {
    facts: Mutex<Facts>,
    news: mpsc::Sender<News>,
    /// Whether the client may be spoken to: not before it is initialized.
    open: AtomicBool,
    /// Whether the client missed a change.
    missed: AtomicBool,
    /// Panics of handlers; the transport counts them.
    pub panics: Arc<AtomicU64>,
}

impl Status {
    /// A status that says *starting*, and where its news come out.
    #[must_use]
    pub fn new() -> (Arc<Self>, mpsc::Receiver<News>) {
        let (news, receiver) = mpsc::channel(NEWS_MAX);
        (
            Arc::new(Self {
                facts: Mutex::default(),
                news,
                open: AtomicBool::new(false),
                missed: AtomicBool::new(false),
                panics: Arc::default(),
            }),
            receiver,
        )
    }

    /// The model is being loaded.
    pub fn starting(&self) {
        self.update(|facts| {
            facts.engine = State::Starting;
            facts.model = None;
        });
    }

    /// The model is loaded.
    pub fn ready(&self, info: &ModelInfo) {
        self.update(|facts| {
            facts.engine = State::Ready;
            facts.model = Some(info.into());
        });
    }

    /// The model cannot be used.
    pub fn failed(&self, reason: &str) {
        self.update(|facts| {
            facts.engine = State::Error;
            reason.clone_into(&mut facts.reason);
        });
    }

    /// A hole is being filled.
    pub fn busy(&self) {
        self.update(|facts| {
            facts.engine = State::Busy;
            facts.step = None;
            // What it was about is over; else it would be told once more when this is done.
            facts.note = None;
            facts.counters.inferences_started += 1;
        });
    }

    /// A step of it is done.
    pub fn step(&self, step: Step) {
        self.update(|facts| facts.step = Some(step));
    }

    /// The canvas after a step. Who does not keep up misses frames: they are a picture, not the answer, and leave room
    /// for changes of state.
    pub fn frame(&self, frame: FrameParams) {
        if self.news.capacity() > NEWS_MAX / 2 {
            let _ = self.news.try_send(News::Frame(frame));
        }
    }

    /// It is filled, or given up.
    pub fn done(&self, outcome: &Result<Infilled, EngineError>) {
        self.update(|facts| {
            facts.engine = State::Ready;
            facts.step = None;
            match outcome {
                Err(EngineError::Cancelled) => facts.counters.inferences_cancelled += 1,
                _ => facts.counters.inferences_finished += 1,
            }
        });
    }

    /// The engine is started anew.
    pub fn restarted(&self) {
        self.lock().counters.engine_restarts += 1;
    }

    /// A panic was caught.
    pub fn panicked(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }

    /// A request for proposals came.
    pub fn requested(&self) {
        self.lock().counters.requests += 1;
    }

    /// One was answered by what stood on offer.
    pub fn typed_through(&self) {
        self.lock().counters.typed_through += 1;
    }

    /// One was answered by nothing, since the model was not sure enough of what it had.
    pub fn unsure(&self) {
        self.lock().counters.unsure += 1;
    }

    /// What the last inference cost.
    pub fn cost(&self, last: Last) {
        self.lock().last = Some(last);
    }

    /// Switched on or off.
    pub fn set_disabled(&self, disabled: bool) {
        self.update(|facts| facts.disabled = disabled);
    }

    /// Says why there is no proposal, or that there is one again.
    pub fn note(&self, note: Option<String>) {
        if self.lock().note != note {
            self.update(|facts| facts.note = note);
        }
    }

    /// The state, if a change of it found no room among the news.
    #[must_use]
    pub fn take_missed(&self) -> Option<StatusParams> {
        self.missed.swap(false, Ordering::AcqRel).then(|| self.params())
    }

    /// Everything.
    #[must_use]
    pub fn params(&self) -> StatusParams {
        self.lock().params(&self.panics)
    }

    /// The state for a person.
    #[must_use]
    pub fn message(&self) -> String {
        self.lock().message()
    }

    /// From here on the client may be told, and is told how things stand.
    pub fn open(&self) {
        let facts = self.lock();
        self.open.store(true, Ordering::Release);
        self.tell(&facts);
    }

    fn update(&self, change: impl FnOnce(&mut Facts)) {
        let mut facts = self.lock();
        let before = (facts.state(), facts.message());
        change(&mut facts);
        if self.open.load(Ordering::Acquire) && before != (facts.state(), facts.message()) {
            self.tell(&facts);
        }
    }

    /// Called under the lock, so that news come out in their order; a full channel drops, it never waits.
    fn tell(&self, facts: &Facts) {
        if self.news.try_send(News::Status(facts.params(&self.panics))).is_err() {
            self.missed.store(true, Ordering::Release);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Facts {
    fn state(&self) -> State {
        match (self.disabled, self.engine) {
            (_, State::Error) => State::Error,
            (true, _) => State::Disabled,
            (false, state) => state,
        }
    }

    fn message(&self) -> String {
        match self.state() {
            State::Starting => "loading the model".to_owned(),
            State::Busy => match self.step {
                Some(Step { step, steps_max }) => {
                    format!("filling a hole: step {step} of at most {steps_max}")
                }
                None => "filling a hole".to_owned(),
            },
            State::Disabled => {
                "disabled: nothing is planned or inferred; `lacuna.toggle` switches it on".to_owned()
            }
            State::Error => self.reason.clone(),
            State::Ready => match (&self.note, &self.model) {
                (Some(note), _) => note.clone(),
                (None, Some(model)) => format!(
                    "ready: {} ({:.1} M parameters, {}, {})",
                    model.source,
                    model.parameters as f64 / 1e6,
                    model.precision,
                    model.device
                ),
                (None, None) => "ready".to_owned(),
            },
        }
    }

    fn params(&self, panics: &AtomicU64) -> StatusParams {
        StatusParams {
            state: self.state(),
            message: self.message(),
            model: self.model.clone(),
            step: self.step,
            counters: Counters { panics: panics.load(Ordering::Relaxed), ..self.counters },
            last: self.last,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_of_state_is_told_in_order() {
        let (status, mut changes) = Status::new();
        status.failed("nobody hears this");
        status.starting();
        status.open();
        status.starting();
        status.busy();
        status.done(&Err(EngineError::Cancelled));
        status.set_disabled(true);
        status.failed("no such directory");
        let mut told = Vec::new();
        while let Ok(News::Status(change)) = changes.try_recv() {
            told.push(change);
        }
        let states: Vec<State> = told.iter().map(|change| change.state).collect();
        assert_eq!(states, [State::Starting, State::Busy, State::Ready, State::Disabled, State::Error]);
        let last = told.last().unwrap();
        assert_eq!(last.message, "no such directory");
        assert_eq!((last.counters.inferences_started, last.counters.inferences_cancelled), (1, 1));
    }

    #[test]
    fn a_client_that_does_not_read_holds_nobody_up() {
        let (status, changes) = Status::new();
        status.open();
        for _ in 0..NEWS_MAX {
            status.busy();
            status.done(&Err(EngineError::Cancelled));
        }
        assert_eq!(changes.len(), NEWS_MAX);
        assert_eq!(status.take_missed().map(|missed| missed.state), Some(State::Ready));
        assert_eq!(status.take_missed(), None, "told once");
        assert_eq!(status.params().counters.inferences_started, NEWS_MAX as u64);
    }
}
