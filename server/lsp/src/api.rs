//! How a message is handled is a type: a [`Notice`] changes state in order of arrival, a [`Query`] answers at once
//! from what it was given, a [`Work`] may wait for the engine.

use crate::server::{Server, Shared};
use crate::turns::Lane;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::panic::resume_unwind;
use std::sync::Arc;
use tower_lsp::jsonrpc::{Error, ErrorCode, Result};
use tower_lsp::{LspService, LspServiceBuilder};

use crate::front::{Intake, take_intake};

/// A notification. Runs in the front, before anything that came after it is looked at: no waiting here.
pub trait Notice {
    /// The method's name.
    const METHOD: &'static str;
    /// Its parameters.
    type Params: DeserializeOwned;
    /// Does what it says.
    fn apply(shared: &Arc<Shared>, params: Self::Params);
}

/// A request that is answered without waiting.
pub trait Query {
    /// The method's name.
    const METHOD: &'static str;
    /// Its parameters.
    type Params: DeserializeOwned + Send;
    /// Its result.
    type Result: Serialize + Send;
    /// Answers.
    ///
    /// # Errors
    /// What the client is told.
    fn answer(shared: &Arc<Shared>, intake: Intake, params: Self::Params) -> Result<Self::Result>;
}

/// A request that may wait for the engine or the client.
pub trait Work {
    /// The method's name.
    const METHOD: &'static str;
    /// Which other requests of the document it supersedes.
    const LANE: Lane;
    /// Its parameters.
    type Params: DeserializeOwned + Send;
    /// Its result.
    type Result: Serialize + Send;
    /// Answers.
    ///
    /// # Errors
    /// What the client is told.
    fn run(
        shared: Arc<Shared>,
        intake: Intake,
        params: Self::Params,
    ) -> impl Future<Output = Result<Self::Result>> + Send;
}

/// Registers a query.
pub fn query<Q: Query + 'static>(builder: LspServiceBuilder<Server>) -> LspServiceBuilder<Server> {
    builder.custom_method(Q::METHOD, answer_query::<Q>)
}

/// Registers a work.
pub fn work<W: Work + 'static>(builder: LspServiceBuilder<Server>) -> LspServiceBuilder<Server> {
    builder.custom_method(W::METHOD, answer_work::<W>)
}

async fn answer_query<Q: Query>(server: &Server, params: Q::Params) -> Result<Q::Result> {
    Q::answer(&server.shared, settled_intake(server).await, params)
}

async fn answer_work<W: Work>(server: &Server, params: W::Params) -> Result<W::Result> {
    let intake = settled_intake(server).await;
    W::run(Arc::clone(&server.shared), intake, params).await
}

/// The intake of the request that is being handled, once the settings that came before it hold.
async fn settled_intake(server: &Server) -> Intake {
    let intake = take_intake();
    server.shared.changes.made(intake.settings).await;
    intake
}

/// Computes what takes its time on a thread beside those that answer, so that a cancellation is answered meanwhile. Who
/// drops the future has to tell `compute` by a token.
///
/// # Errors
/// `RequestCancelled` when the server ends first.
pub async fn aside<T: Send + 'static>(compute: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(compute).await.map_err(tokio::task::JoinError::try_into_panic) {
        Ok(computed) => Ok(computed),
        // Counted and answered where every other panic is.
        Err(Ok(panic)) => resume_unwind(panic),
        Err(Err(_)) => Err(Error::request_cancelled()),
    }
}

/// `RequestFailed` (LSP 3.17): the request was fine, and could not be done.
#[must_use]
pub fn failed(message: impl Into<String>) -> Error {
    Error { code: ErrorCode::ServerError(-32803), message: message.into().into(), data: None }
}

/// `ContentModified`: the document is not any more what the request was made of.
#[must_use]
pub fn stale(message: impl Into<String>) -> Error {
    Error { code: ErrorCode::ContentModified, message: message.into().into(), data: None }
}

/// The service with a server behind it; the type that [`query`] and [`work`] build up.
pub type Service = LspService<Server>;
