//! From a region of a document to candidates spliced and ranked: plan, queue, wait, rank.

use crate::convert;
use crate::documents::View;
use crate::own::frame::FrameParams;
use crate::own::status::{Last, Step};
use crate::planned::{Budgets, Planned, Unplanned};
use crate::rank::{Offer, rank};
use crate::scheduler::{Answer, Job, OnFrame};
use crate::server::Shared;
use crate::settings::Settings;
use crate::turns::Lane;
use crate::worker::ms;
use lacuna_engine::{CancelToken, EngineError, Frame, Preset, Sampling};
use lacuna_text::{Region, Snapshot};
use std::sync::Arc;
use std::time::Instant;
use thiserror::Error;
use tokio::sync::oneshot;
use tower_lsp::jsonrpc;

/// A hole, and how it is to be filled.
pub struct Wish<'a> {
    /// The document as the request saw it.
    pub view: &'a View,
    /// What is planned on: the document's text, or that with a change the client is about to make.
    pub snapshot: &'a Snapshot,
    /// What may change.
    pub region: Region,
    /// Who asks.
    pub lane: Lane,
    /// Quality against time.
    pub preset: Preset,
    /// How many offers are wanted.
    pub candidates: usize,
    /// Start from the text that is there, and give up this share of it.
    pub strength: Option<f32>,
    /// What the new code is to do, in words, for a model that follows instructions.
    pub instruction: Option<String>,
    /// When the request came.
    pub arrived: Instant,
}

/// What came of it.
#[derive(Debug)]
pub struct Filled {
    /// The plan that was asked.
    pub planned: Planned,
    /// Best first; those that cannot be used, with the reason, last.
    pub offers: Vec<Offer>,
}

/// Why nothing came of it.
#[derive(Debug, Error)]
pub enum Unfilled {
    /// The model is still loading, or cannot be used; the status says which.
    #[error("the model is not ready: {0}")]
    NotReady(String),
    /// The region cannot be filled.
    #[error(transparent)]
    Unplanned(#[from] Unplanned),
    /// A newer request took its place, or the client cancelled.
    #[error("superseded by a newer request")]
    Superseded,
    /// The engine.
    #[error(transparent)]
    Engine(EngineError),
}

impl From<Unfilled> for jsonrpc::Error {
    fn from(unfilled: Unfilled) -> Self {
        match unfilled {
            Unfilled::Superseded => Self::request_cancelled(),
            Unfilled::Engine(error @ (EngineError::Compute { .. } | EngineError::Lost(_))) => Self {
                code: jsonrpc::ErrorCode::InternalError,
                message: error.to_string().into(),
                data: None,
            },
            other => crate::api::failed(other.to_string()),
        }
    }
}

/// Fills a hole. Cancelled by `cancel`; each step goes to `on_step`.
///
/// # Errors
/// [`Unfilled`].
pub async fn fill(
    shared: &Arc<Shared>,
    settings: &Settings,
    wish: Wish<'_>,
    cancel: &CancelToken,
    on_step: Option<Box<dyn FnMut(Step) + Send>>,
) -> Result<Filled, Unfilled> {
    let Some(model) = shared.worker.model() else {
        return Err(Unfilled::NotReady(shared.status.message()));
    };
    let planning = Instant::now();
    let budgets = Budgets {
        prefix_tokens: settings.prefix_tokens,
        suffix_tokens: settings.suffix_tokens,
        context: shared.contexts.of(shared, settings, (wish.view, wish.region.range.start), &model),
    };
    let sampling = Sampling {
        preset: wish.preset,
        candidates: Some(wish.candidates),
        // Who asked for frames wants to see canvases condense.
        canvases: settings.frames.then_some(true),
        ..Sampling::default()
    };
    let mut planned = Planned::new(wish.snapshot, &wish.region, &sampling, &model, &budgets)?;
    if let Some(strength) = wish.strength {
        planned = planned.refining(strength);
    }
    if let Some(instruction) = &wish.instruction {
        planned = planned.instructed(instruction);
    }
    let (reply, answer) = oneshot::channel();
    let on_frame = on_frame(shared, settings, &wish, on_step);
    let queued = Instant::now();
    shared.worker.push(Job {
        key: (wish.view.uri.clone(), wish.lane),
        request: planned.request.clone(),
        cancel: cancel.clone(),
        on_frame,
        reply,
        queued,
    });
    let plan_ms = ms(queued - planning);
    let Answer { infilled, wait_ms, engine_ms } = match answer.await {
        Ok(Ok(answer)) => answer,
        Ok(Err(EngineError::Cancelled)) | Err(_) => return Err(Unfilled::Superseded),
        Ok(Err(error)) => return Err(Unfilled::Engine(error)),
    };
    let stats = infilled.stats;
    let offers = rank(wish.snapshot, &planned, infilled.candidates);
    shared.status.cost(Last {
        prompt_tokens: stats.prompt_tokens,
        cached_tokens: stats.cached_tokens,
        plan_ms,
        wait_ms,
        engine_ms,
        total_ms: ms(wish.arrived.elapsed()),
    });
    Ok(Filled { planned, offers })
}

/// What the engine is given to show its work; `None` when nobody looks.
fn on_frame(
    shared: &Arc<Shared>,
    settings: &Settings,
    wish: &Wish<'_>,
    mut on_step: Option<Box<dyn FnMut(Step) + Send>>,
) -> Option<OnFrame> {
    if !settings.frames && on_step.is_none() {
        return None;
    }
    let encoding = shared.encoding();
    let range = convert::lsp_range(wish.snapshot, &wish.region.range, encoding);
    let (uri, version) = (wish.view.uri.clone(), wish.view.version);
    // With a menu's entry taken, which the client has not done yet, the hole is at no place of the document.
    let frames = settings.frames && wish.snapshot.version() == wish.view.snapshot.version();
    let (steps, status) = (settings.frames, Arc::clone(&shared.status));
    Some(Box::new(move |frame: Frame| {
        let step = Step { step: frame.step, steps_max: frame.steps_max };
        if let Some(on_step) = &mut on_step {
            on_step(step);
        }
        if steps {
            status.step(step);
        }
        if frames {
            status.frame(FrameParams::new(uri.clone(), version, range, frame));
        }
    }))
}
