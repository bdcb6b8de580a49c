//! Work a person watches: begun, reported and ended through `$/progress`, and cancelled from the client's UI.
//!
//! Nothing here waits for the client: some (Helix) answer no request of ours while they wait for the answer to theirs.

use crate::server::Shared;
use lacuna_engine::CancelToken;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use tokio::sync::mpsc;
use tower_lsp::Client;
use tower_lsp::gen_lsp_types::ProgressToken;

/// Reports that wait to be sent; with more, some are left out.
const REPORTS_MAX: usize = 16;

/// What is under way, by token.
#[derive(Debug, Default)]
pub struct Progress {
    running: Mutex<HashMap<String, CancelToken>>,
    count: AtomicU64,
}

/// How far a piece of work is.
struct Report {
    message: String,
    percentage: u32,
}

/// One piece of work; it ends for the client when this is dropped.
pub struct Watched<'a> {
    progress: &'a Progress,
    token: String,
    /// `None` where the client shows no progress.
    reports: Option<mpsc::Sender<Report>>,
}

impl Progress {
    /// Cancels the work with this token; unknown ones are over already.
    pub fn cancel(&self, token: &ProgressToken) {
        let ProgressToken::String(token) = token else { return };
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cancel) = running.get(token) {
            cancel.cancel();
        }
    }
}

impl<'a> Watched<'a> {
    /// Begins a piece of work that `cancel` ends.
    #[must_use]
    pub fn begin(shared: &'a Shared, title: &'static str, cancel: CancelToken) -> Self {
        let progress = &shared.progress;
        let token = format!("lacuna/{}", progress.count.fetch_add(1, Ordering::Relaxed));
        if !shared.client_abilities().progress {
            return Self { progress, token, reports: None };
        }
        progress.running.lock().unwrap_or_else(PoisonError::into_inner).insert(token.clone(), cancel);
        let (reports, told) = mpsc::channel(REPORTS_MAX);
        tokio::spawn(tell(shared.client.clone(), ProgressToken::String(token.clone()), title, told));
        Self { progress, token, reports: Some(reports) }
    }

    /// Says how far it is.
    pub fn report(&self, message: String, percentage: u32) {
        if let Some(reports) = &self.reports {
            let _ = reports.try_send(Report { message, percentage });
        }
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
