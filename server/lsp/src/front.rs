//! In front of the language service: applies what changes documents, takes the snapshot a request will see and ends
//! the turn of the request it supersedes, all in order of arrival. Nothing else changes the text of documents.

use crate::api::Service as Inner;
use crate::documents::View;
use crate::notifications::{self, Apply};
use crate::server::Shared;
use crate::turns::{Lane, Turn};
use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use tower::Service;
use tower_lsp::ExitedError;
use tower_lsp::gen_lsp_types::Uri;
use tower_lsp::jsonrpc::{Error, ErrorCode, Request, Response};

/// What the front saw when a request came.
#[derive(Debug)]
pub struct Intake {
    /// The document the request names, as it was then; `None` when it names none that is open.
    pub view: Option<View>,
    /// Its turn.
    pub turn: Turn,
    /// When it came.
    pub arrived: Instant,
    /// The change of settings that came last before it.
    pub settings: u64,
}

impl Intake {
    fn without_document() -> Self {
        Self { view: None, turn: Turn::alone(), arrived: Instant::now(), settings: 0 }
    }
}

tokio::task_local! {
    static INTAKE: RefCell<Option<Intake>>;
}

/// The intake of the request that is being handled; once.
#[must_use]
pub fn take_intake() -> Intake {
    let taken = INTAKE.try_with(|intake| intake.borrow_mut().take());
    taken.ok().flatten().unwrap_or_else(Intake::without_document)
}

/// The service that the transport calls.
pub struct Front {
    inner: Inner,
    shared: Arc<Shared>,
    notices: HashMap<&'static str, Apply>,
    lanes: HashMap<&'static str, Lane>,
}

impl Front {
    /// Puts a front before a service; `lanes` says which requests see a document.
    #[must_use]
    pub fn new(inner: Inner, shared: Arc<Shared>, lanes: HashMap<&'static str, Lane>) -> Self {
        Self { inner, shared, notices: notifications::all(), lanes }
    }

    fn intake(&self, lane: Lane, params: Option<&Value>) -> Intake {
        let mut intake = Intake { settings: self.shared.changes.latest(), ..Intake::without_document() };
        if let Some(uri) = params.and_then(document_of) {
            let mut documents = self.shared.documents();
            intake.view = documents.view(&uri);
            if let Some(turns) = documents.turns(&uri) {
                intake.turn = turns.next(lane);
                turns.settings = intake.settings;
            }
        }
        intake
    }
}

/// The document a request is about.
fn document_of(params: &Value) -> Option<Uri> {
    let uri = params
        .pointer("/textDocument/uri")
        .or_else(|| params.pointer("/data/uri"))
        .or_else(|| params.pointer("/arguments/0/uri"))
        .or_else(|| params.pointer("/uri"));
    uri?.as_str().map(Uri::from)
}

/// The answer to requests that the inner service would answer wrongly or, `$/` ones, never.
fn refusal(shared: &Shared, request: &Request) -> Option<Response> {
    let id = request.id()?.clone();
    let error = match request.method() {
        "initialize" | "shutdown" => return None,
        // ServerNotInitialized: no request is served before, not even to say that there is none of that name.
        _ if !shared.is_initialized() => Error::new(ErrorCode::ServerError(-32002)),
        _ if shared.is_shut_down() => Error::invalid_request(),
        method if method.starts_with("$/") => Error::method_not_found(),
        _ => return None,
    };
    Some(Response::from_error(id, error))
}

impl Service<Request> for Front {
    type Response = Option<Response>;
    type Error = ExitedError;
    type Future = BoxFuture<'static, Result<Option<Response>, ExitedError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ExitedError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if let Some(refusal) = refusal(&self.shared, &request) {
            return future::ok(Some(refusal)).boxed();
        }
        if !self.shared.is_serving() {
            return self.inner.call(request);
        }
        self.shared.look_at_projects();
        if let Some(apply) = self.notices.get(request.method()) {
            let (method, id, params) = request.into_parts();
            if let Err(error) = apply(&self.shared, params.unwrap_or_default()) {
                tracing::warn!(%method, %error, "a notification with parameters that cannot be used was ignored");
            }
            // Sent as a request it gets an answer, but no request of that name exists.
            let answer = id.map(|id| Response::from_error(id, Error::invalid_request()));
            return future::ok(answer).boxed();
        }
        match self.lanes.get(request.method()) {
            Some(&lane) => {
                let intake = self.intake(lane, request.params());
                INTAKE.scope(RefCell::new(Some(intake)), self.inner.call(request)).boxed()
            }
            None => self.inner.call(request),
        }
    }
}
