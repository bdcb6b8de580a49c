//! Settings that change while the server runs: from where they come, and what follows from them.

use super::Shared;
use crate::configuration::{Configuration, read_project};
use crate::settings::needs_engine_restart;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tower_lsp::gen_lsp_types::{ConfigurationItem, MessageType, Uri};

/// How long the start waits for a client's settings before it goes on without them.
const CONFIGURATION_WAIT: Duration = Duration::from_secs(2);

impl Shared {
    /// Changes the sources of settings behind all changes that came before. Where it is to be waited for, the number is that
    /// of [`Changes::made`](crate::changes::Changes::made).
    pub fn reconfigure(self: &Arc<Self>, change: impl FnOnce(&mut Configuration) + Send + 'static) -> u64 {
        let shared = Arc::clone(self);
        self.changes.push(move || shared.configure(change))
    }

    /// Reads the `lacuna.toml` of every folder again, behind all changes that came before.
    pub fn read_projects(self: &Arc<Self>) -> u64 {
        let shared = Arc::clone(self);
        self.changes.push(move || {
            let folders = shared.configuration().local_folders();
            let read = folders.into_iter().filter_map(|uri| Some((read_project(&uri)?, uri)));
            let read: Vec<_> = read.collect();
            shared.configure(|configuration| {
                for (file, uri) in read {
                    configuration.take_project(&uri, file);
                }
            });
        })
    }

    /// Lets workspace folders go and takes others in, behind all changes that came before.
    pub fn change_folders(self: &Arc<Self>, removed: Vec<Uri>, added: Vec<Uri>) -> u64 {
        let shared = Arc::clone(self);
        self.changes.push(move || {
            let added: Vec<_> = added.into_iter().map(|uri| (read_project(&uri), uri)).collect();
            shared.configure(|configuration| {
                for uri in removed {
                    configuration.remove_folder(&uri);
                }
                for (file, uri) in added {
                    configuration.add_folder(&uri, file);
                }
            });
        })
    }

    /// Changes the sources of settings and lets what follows from them take effect: warnings are shown, the log and
    /// the status follow, another engine is loaded.
    pub fn configure<T>(&self, change: impl FnOnce(&mut Configuration) -> T) -> T {
        let mut configuration = self.configuration();
        let before = configuration.settings();
        let out = change(&mut configuration);
        let warnings = configuration.resolve();
        let after = configuration.settings();
        let works = configuration.anywhere(|settings| settings.enabled);
        drop(configuration);
        let mut warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        warnings.extend((self.on_log)(&after).map(|problem| format!("log: {problem}")));
        self.tell(warnings);
        self.status.set_disabled(!works);
        // Why a document got nothing may have changed; the next request says.
        self.status.note(None);
        self.let_go();
        if needs_engine_restart(&before, &after) {
            self.worker.restart(after.engine.clone());
        }
        out
    }

    /// Ends what is under way in documents that settings now keep Lacuna out of, and forgets what it took from them and
    /// what was found by the settings before.
    fn let_go(&self) {
        self.contexts.forget_all();
        let mut documents = self.documents();
        documents.take_down();
        documents.end_turns(self.changes.making(), |uri, language_id| {
            let (settings, path) = self.settings_of(uri);
            settings.allows(language_id, path.as_deref())
        });
    }

    /// Shows what is wrong with settings, each fault once.
    fn tell(&self, warnings: Vec<String>) {
        if !self.is_serving() {
            // The client is not to be spoken to yet; the next change of settings tells.
            return;
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let mut new: Vec<String> = Vec::new();
        for warning in &warnings {
            if !told.contains(warning) && !new.contains(warning) {
                new.push(warning.clone());
            }
        }
        *told = warnings;
        drop(told);
        for warning in &new {
            tracing::warn!(%warning, "settings");
        }
        if !new.is_empty() {
            let client = self.client.clone();
            let message = format!("Lacuna: {}", new.join("\n"));
            tokio::spawn(async move { client.show_message(MessageType::Warning, message).await });
        }
    }

    /// Takes the client's answer to the question of this number, unless that to a later one was taken.
    async fn take_configuration(self: &Arc<Self>, number: u64, value: serde_json::Value) {
        let shared = Arc::clone(self);
        let made = self.changes.push(move || {
            if shared.answered.fetch_max(number, Ordering::Relaxed) < number {
                shared.configure(|configuration| configuration.layers.set_configuration(&value));
            }
        });
        self.changes.made(made).await;
    }

    /// Asks the client for the section `lacuna` of its settings; done when it has answered, or too slowly to wait for.
    /// A late answer still counts when it comes.
    pub async fn ask_for_configuration(self: &Arc<Self>) {
        let shared = Arc::clone(self);
        let number = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let asking = tokio::spawn(async move {
            let item = ConfigurationItem { scope_uri: None, section: Some("lacuna".to_owned()) };
            match shared.client.configuration(vec![item]).await {
                Ok(values) => {
                    if let Some(value) = values.into_iter().next() {
                        shared.take_configuration(number, value).await;
                    }
                }
                Err(error) => tracing::warn!(%error, "the client does not tell its settings"),
            }
        });
        if tokio::time::timeout(CONFIGURATION_WAIT, asking).await.is_err() {
            tracing::warn!("the client is slow to answer workspace/configuration; going on without");
        }
    }
}
