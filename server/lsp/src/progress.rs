//! Work a person watches: begun, reported and ended through `$/progress`, and cancelled from the client's UI.

use crate::server::Shared;
use lacuna_engine::CancelToken;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use tower_lsp::gen_lsp_types::ProgressToken;
use tower_lsp::{Bounded, Cancellable, OngoingProgress};

/// What is under way, by token.
#[derive(Debug, Default)]
pub struct Progress {
    running: Mutex<HashMap<String, CancelToken>>,
    count: AtomicU64,
}

/// One piece of work; its entry goes when it is dropped.
pub struct Watched<'a> {
    shared: &'a Shared,
    token: String,
    /// `None` where the client shows no progress.
    shown: Option<OngoingProgress<Bounded, Cancellable>>,
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
    pub async fn begin(shared: &'a Shared, title: &str, cancel: CancelToken) -> Self {
        let number = shared.progress.count.fetch_add(1, Ordering::Relaxed);
        let token = format!("lacuna/{number}");
        let mut watched = Self { shared, token: token.clone(), shown: None };
        if !shared.client_abilities().progress {
            return watched;
        }
        let progress_token = ProgressToken::String(token.clone());
        if shared.client.create_work_done_progress(progress_token.clone()).await.is_err() {
            return watched;
        }
        shared.progress.running.lock().unwrap_or_else(PoisonError::into_inner).insert(token, cancel);
        let progress = shared.client.progress(progress_token, title).with_percentage(0).with_cancel_button();
        watched.shown = Some(progress.begin().await);
        watched
    }

    /// Says how far it is.
    pub async fn report(&self, message: String, percentage: u32) {
        if let Some(shown) = &self.shown {
            shown.report_with_message(message, percentage, None).await;
        }
    }

    /// Ends it.
    pub async fn end(mut self, message: &str) {
        if let Some(shown) = self.shown.take() {
            shown.finish_with_message(message).await;
        }
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.shared.progress.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.token);
        // Whoever waited has gone; the client must not show the work for ever.
        if let Some(shown) = self.shown.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(shown.finish());
        }
    }
}
