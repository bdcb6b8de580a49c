//! Work a person watches: begun, reported and ended through `$/progress`, and cancelled from the client's UI.
//!
//! Nothing here waits for the client: some (Helix) answer no request of ours while they wait for the answer to theirs.

use crate::server::Shared;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use tokio::sync::{mpsc, oneshot};
use tower_lsp::Client;
use tower_lsp::gen_lsp_types::ProgressToken;

/// Reports that wait to be sent; with more, some are left out.
const REPORTS_MAX: usize = 16;

/// What is under way, by token.
#[derive(Debug, Default)]
pub struct Progress {
    running: Mutex<HashMap<String, oneshot::Sender<()>>>,
    count: AtomicU64,
}

/// How far a piece of work is.
struct Report {
    message: String,
    percentage: u32,
}

/// One piece of work; it ends for the client when this and its reporters are dropped.
pub struct Watched<'a> {
    progress: &'a Progress,
    token: String,
    cancelled: oneshot::Receiver<()>,
    /// `None` where the client shows no progress.
    reporter: Option<Reporter>,
}

/// Says how far a piece of work is.
#[derive(Clone)]
pub struct Reporter(mpsc::Sender<Report>);

impl Reporter {
    /// Says it; left out where the client does not keep up.
    pub fn report(&self, message: String, percentage: u32) {
        let _ = self.0.try_send(Report { message, percentage });
    }
}

impl Progress {
    /// Cancels the work with this token; unknown ones are over already.
    pub fn cancel(&self, token: &ProgressToken) {
        let ProgressToken::String(token) = token else { return };
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(token);
        if let Some(cancel) = running {
            let _ = cancel.send(());
        }
    }
}

impl<'a> Watched<'a> {
    /// Begins a piece of work.
    #[must_use]
    pub fn begin(shared: &'a Shared, title: &'static str) -> Self {
        let progress = &shared.progress;
        let token = format!("lacuna/{}", progress.count.fetch_add(1, Ordering::Relaxed));
        let (cancel, cancelled) = oneshot::channel();
        progress.running.lock().unwrap_or_else(PoisonError::into_inner).insert(token.clone(), cancel);
        let reporter = shared.client_abilities().progress.then(|| {
            let (reports, told) = mpsc::channel(REPORTS_MAX);
            tokio::spawn(tell(shared.client.clone(), ProgressToken::String(token.clone()), title, told));
            Reporter(reports)
        });
        Self { progress, token, cancelled, reporter }
    }

    /// Who says how far it is; `None` where the client shows no progress.
    #[must_use]
    pub fn reporter(&self) -> Option<Reporter> {
        self.reporter.clone()
    }

    /// Comes to an end when the person who waits cancels.
    pub async fn cancelled(&mut self) {
        let _ = (&mut self.cancelled).await;
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.progress.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.token);
    }
}

/// Tells the client, from the word that it takes the token to the end of the reports.
async fn tell(client: Client, token: ProgressToken, title: &str, mut reports: mpsc::Receiver<Report>) {
    if client.create_work_done_progress(token.clone()).await.is_err() {
        return;
    }
    // What was over before the client answered needs no telling.
    if reports.is_closed() {
        return;
    }
    let shown = client.progress(token, title).with_percentage(0).with_cancel_button().begin().await;
    while let Some(Report { message, percentage }) = reports.recv().await {
        shown.report_with_message(message, percentage, None).await;
    }
    shown.finish().await;
}
