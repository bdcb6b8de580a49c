//! The engine's thread: loads the engine, runs job after job, and starts anew when the engine panics or has lost what it ran on.

use crate::model::Model;
use crate::scheduler::{Answer, Job, Next, Scheduler};
use crate::settings::EngineSettings;
use crate::status::Status;
use lacuna_engine::{Engine, EngineError, Frame, FrameSink, NoFrames};
use std::any::Any;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;
use std::time::Instant;

/// Loads an engine; called on the engine's thread.
pub type Loader = Box<dyn Fn(&EngineSettings) -> Result<Box<dyn Engine>, EngineError> + Send + Sync>;

/// The handlers' end of the engine's thread.
pub struct Worker {
    scheduler: Scheduler,
    status: Arc<Status>,
    loader: Loader,
    settings: Mutex<EngineSettings>,
    started: AtomicBool,
    model: RwLock<Option<Arc<Model>>>,
}

impl Worker {
    /// A worker that has not been started.
    pub fn new(loader: Loader, status: Arc<Status>) -> Arc<Self> {
        Arc::new(Self {
            scheduler: Scheduler::default(),
            status,
            loader,
            settings: Mutex::default(),
            started: AtomicBool::new(false),
            model: RwLock::default(),
        })
    }

    /// Starts the thread, once; it loads the engine first.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(self: &Arc<Self>, settings: EngineSettings) -> std::io::Result<()> {
        if self.is_started() {
            return Ok(());
        }
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = settings;
        // Of two that come here at once one starts.
        if self.started.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let worker = Arc::clone(self);
        let run = move || {
            // What an engine does besides filling holes (telling what it is, being dropped) may panic too.
            while panic::catch_unwind(AssertUnwindSafe(|| worker.run())).is_err() {
                worker.status.panicked();
                worker.status.restarted();
            }
        };
        thread::Builder::new().name("lacuna-engine".to_owned()).spawn(run)?;
        Ok(())
    }

    /// Whether the thread was started.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.started.load(Ordering::Acquire)
    }

    /// Loads the engine anew with these settings, and gives up the job that runs; nothing before the start.
    pub fn restart(&self, settings: EngineSettings) {
        if self.is_started() {
            *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = settings;
            self.scheduler.reload();
        }
    }

    /// Ends the thread after the job that runs.
    pub fn stop(&self) {
        self.scheduler.stop();
    }

    /// Queues a job.
    pub fn push(&self, job: Job) {
        self.scheduler.push(job);
    }

    /// The loaded model; `None` while there is none.
    #[must_use]
    pub fn model(&self) -> Option<Arc<Model>> {
        self.model.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_model(&self, model: Option<Model>) {
        *self.model.write().unwrap_or_else(PoisonError::into_inner) = model.map(Arc::new);
    }

    fn run(&self) {
        let mut engine = self.load();
        loop {
            match self.scheduler.next() {
                Next::Stop => return,
                Next::Reload => {
                    // The old engine goes first: two large models do not fit.
                    drop(engine.take());
                    engine = self.load();
                }
                Next::Job(job) => {
                    let Some(loaded) = engine.as_mut() else {
                        let _ = job.reply.send(Err(self.not_loaded()));
                        continue;
                    };
                    match self.answer(loaded.as_mut(), *job) {
                        End::Answered => {}
                        End::Superseded => self.scheduler.settle(),
                        End::Broken => {
                            drop(engine.take());
                            self.status.restarted();
                            engine = self.load();
                        }
                    }
                }
            }
        }
    }

    /// Loads the engine; says in the status what came of it.
    fn load(&self) -> Option<Box<dyn Engine>> {
        self.set_model(None);
        self.status.starting();
        let settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let start = Instant::now();
        let loaded = panic::catch_unwind(AssertUnwindSafe(|| (self.loader)(&settings)));
        match loaded {
            Ok(Ok(engine)) => {
                let model = Model::of(&*engine);
                tracing::info!(ms = start.elapsed().as_millis(), model = ?model.info, "engine loaded");
                let info = model.info.clone();
                // First the model: who is told *ready* may ask at once.
                self.set_model(Some(model));
                self.status.ready(&info);
                Some(engine)
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "the engine cannot be loaded");
                self.status.failed(&error.to_string());
                None
            }
            Err(payload) => {
                self.status.panicked();
                self.status.failed(&format!("loading the model failed: {}", describe(&*payload)));
                None
            }
        }
    }

    fn not_loaded(&self) -> EngineError {
        EngineError::Compute { while_doing: "starting".to_owned(), reason: self.status.message() }
    }

    /// Runs a job and answers it.
    fn answer(&self, engine: &mut dyn Engine, job: Job) -> End {
        let Job { request, cancel, on_frame, reply, queued, .. } = job;
        let start = Instant::now();
        let wait_ms = ms(start - queued);
        self.status.busy();
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| match on_frame {
            None => engine.infill(&request, &cancel, &mut NoFrames),
            Some(on_frame) => engine.infill(&request, &cancel, &mut Watched(on_frame)),
        }));
        let engine_ms = ms(start.elapsed());
        let (outcome, end) = match outcome {
            Ok(Err(EngineError::Cancelled)) => (Err(EngineError::Cancelled), End::Superseded),
            Ok(Err(error @ EngineError::Lost(_))) => {
                tracing::error!(%error, "the engine is started anew");
                (Err(error), End::Broken)
            }
            Ok(outcome) => (outcome, End::Answered),
            Err(payload) => {
                self.status.panicked();
                let reason = describe(&*payload);
                // The message may quote code: the panic hook logs the place only.
                tracing::error!("the engine panicked; it is started anew");
                let error = EngineError::Compute { while_doing: "filling a hole".to_owned(), reason };
                (Err(error), End::Broken)
            }
        };
        match end {
            End::Broken => self.status.starting(),
            End::Answered | End::Superseded => self.status.done(&outcome),
        }
        // Nobody may wait for it any more: the client cancelled, or went on.
        let _ = reply.send(outcome.map(|infilled| Answer { infilled, wait_ms, engine_ms }));
        end
    }
}

/// How a job ended.
enum End {
    Answered,
    /// Nobody waited for it any more; as a rule because something newer came.
    Superseded,
    /// The engine cannot be trusted any more.
    Broken,
}

struct Watched(crate::scheduler::OnFrame);

impl FrameSink for Watched {
    fn frame(&mut self, frame: Frame) {
        (self.0)(frame);
    }
}

/// What a panic said.
fn describe(payload: &(dyn Any + Send)) -> String {
    let said = payload.downcast_ref::<String>().map(String::as_str);
    said.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message").to_owned()
}

/// Milliseconds, as the status gives them.
pub fn ms(duration: std::time::Duration) -> f32 {
    duration.as_secs_f32() * 1e3
}
