//! The server's state, and its life: `initialize`, `initialized`, `shutdown`.

use crate::changes::Changes;
use crate::client::{Abilities, abilities};
use crate::configuration::{Configuration, read_project};
use crate::context::Contexts;
use crate::documents::Documents;
use crate::own::frame::FrameNotification;
use crate::own::status::StatusNotification;
use crate::progress::Progress;
use crate::requests::capabilities;
use crate::settings::{Settings, needs_engine_restart};
use crate::status::{News, Status};
use crate::worker::Worker;
use lacuna_text::Encoding;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tower_lsp::gen_lsp_types::{
    ConfigurationItem, InitializeParams, InitializeResult, InitializedParams, MessageType, ServerInfo, Uri,
};
use tower_lsp::jsonrpc::Result;
use tower_lsp::{Client, LanguageServer};

/// How long the start waits for a client's settings before it goes on without them.
const CONFIGURATION_WAIT: Duration = Duration::from_secs(2);

const SERVING: u8 = 1;
const SHUT_DOWN: u8 = 2;

/// What every handler shares.
pub struct Shared {
    /// The client.
    pub client: Client,
    /// The engine's thread.
    pub worker: Arc<Worker>,
    /// The server's account of itself.
    pub status: Arc<Status>,
    /// Work that a person sees progress of, and may cancel.
    pub progress: Progress,
    /// Context beyond the file, kept while it serves.
    pub contexts: Contexts,
    /// Changes of settings that wait for those before them.
    pub changes: Changes,
    documents: Mutex<Documents>,
    configuration: Mutex<Configuration>,
    /// What was wrong with the settings when the client was last told.
    told: Mutex<Vec<String>>,
    abilities: OnceLock<Abilities>,
    phase: AtomicU8,
    inline_is_used: AtomicBool,
    /// How often the client was asked for its settings, and the question whose answer was taken last.
    asked: AtomicU64,
    answered: AtomicU64,
    /// Called with the parent's process id, once.
    watch_parent: fn(i32),
    on_log: OnLog,
}

/// Takes settings of the log over; what cannot be done of them comes back.
pub type OnLog = Box<dyn Fn(&Settings) -> Option<String> + Send + Sync>;

/// What the world outside lends the server.
pub struct Parts {
    /// The engine's thread.
    pub worker: Arc<Worker>,
    /// The account, and where its news come out.
    pub status: (Arc<Status>, mpsc::Receiver<News>),
    /// Makes changes of settings.
    pub changes: Changes,
    /// Ends the process when the process with this id is gone.
    pub watch_parent: fn(i32),
    /// Takes settings of the log over.
    pub on_log: OnLog,
}

/// The language server; all it has is shared.
pub struct Server {
    /// What every handler shares.
    pub shared: Arc<Shared>,
}

impl Shared {
    /// The state of a server for a client; starts the task that sends its news.
    #[must_use]
    pub fn new(client: Client, parts: Parts) -> Arc<Self> {
        let (status, mut news) = parts.status;
        let (teller, account) = (client.clone(), Arc::clone(&status));
        tokio::spawn(async move {
            while let Some(told) = news.recv().await {
                match told {
                    News::Status(status) => teller.send_notification::<StatusNotification>(status).await,
                    News::Frame(frame) => teller.send_notification::<FrameNotification>(frame).await,
                }
                // The last word on the state is never the one that was lost.
                if news.is_empty()
                    && let Some(missed) = account.take_missed()
                {
                    teller.send_notification::<StatusNotification>(missed).await;
                }
            }
        });
        Arc::new(Self {
            client,
            worker: parts.worker,
            status,
            progress: Progress::default(),
            contexts: Contexts::default(),
            changes: parts.changes,
            documents: Mutex::default(),
            configuration: Mutex::default(),
            told: Mutex::default(),
            abilities: OnceLock::new(),
            phase: AtomicU8::new(0),
            inline_is_used: AtomicBool::new(false),
            asked: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            watch_parent: parts.watch_parent,
            on_log: parts.on_log,
        })
    }

    /// The documents; held for as short as it takes, never across an await.
    pub fn documents(&self) -> MutexGuard<'_, Documents> {
        self.documents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After `initialize`.
    #[must_use]
    pub fn is_initialized(&self) -> bool {
        self.phase.load(Ordering::Acquire) >= SERVING
    }

    /// Between `initialize` and `shutdown`.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.phase.load(Ordering::Acquire) == SERVING
    }

    /// Whether `shutdown` was asked for: then `exit` is a success.
    #[must_use]
    pub fn is_shut_down(&self) -> bool {
        self.phase.load(Ordering::Acquire) == SHUT_DOWN
    }

    /// The unit of positions that was agreed on.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.client_abilities().encoding
    }

    /// What the client can do.
    #[must_use]
    pub fn client_abilities(&self) -> &Abilities {
        self.abilities.get_or_init(Abilities::default)
    }

    /// The client asks for inline completions, whatever it said.
    pub fn inline_completion_is_used(&self) {
        self.inline_is_used.store(true, Ordering::Relaxed);
    }

    /// Whether the client shows inline completions.
    #[must_use]
    pub fn shows_inline_completions(&self) -> bool {
        self.client_abilities().inline_completion || self.inline_is_used.load(Ordering::Relaxed)
    }

    /// The settings of a document, and its path within its folder.
    #[must_use]
    pub fn settings_of(&self, uri: &Uri) -> (Arc<Settings>, Option<String>) {
        self.configuration().settings_of(uri)
    }

    /// Whether something holds for the settings of any folder.
    #[must_use]
    pub fn holds_anywhere(&self, holds: impl Fn(&Settings) -> bool) -> bool {
        self.configuration().anywhere(holds)
    }

    /// The settings of the server as a whole.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        self.configuration().settings()
    }

    fn configuration(&self) -> MutexGuard<'_, Configuration> {
        self.configuration.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the sources of settings behind all changes that came before. Where it is to be waited for, the number is that
    /// of [`Changes::made`].
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
        let new: Vec<String> = warnings.iter().filter(|warning| !told.contains(warning)).cloned().collect();
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

impl LanguageServer for Server {
    async fn initialize(&self, params: InitializeParams) -> Result<InitializeResult> {
        let shared = &self.shared;
        let abilities = abilities(&params);
        shared.documents().set_encoding(abilities.encoding);
        tracing::info!(client = ?params.client_info, encoding = ?abilities.encoding, "initialize");
        let result = InitializeResult {
            capabilities: capabilities::of(abilities.encoding),
            server_info: Some(ServerInfo {
                name: "lacuna".to_owned(),
                version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            }),
        };
        let _ = shared.abilities.set(abilities);
        if let Some(parent) = params.process_id {
            (shared.watch_parent)(parent);
        }
        let folders = params.workspace_folders_initialize_params.workspace_folders.map(folders_of);
        #[expect(deprecated, reason = "some clients still send nothing else")]
        let root = params.root_uri.into_iter().collect();
        let folders = folders.filter(|folders| !folders.is_empty()).unwrap_or(root);
        let folders: Vec<_> = folders.into_iter().map(|uri| (read_project(&uri), uri)).collect();
        shared.configure(|configuration| {
            for (file, uri) in folders {
                configuration.add_folder(&uri, file);
            }
            if let Some(options) = &params.initialization_options {
                configuration.layers.set_initialization(options);
            }
        });
        shared.phase.store(SERVING, Ordering::Release);
        Ok(result)
    }

    async fn initialized(&self, _params: InitializedParams) {
        let shared = Arc::clone(&self.shared);
        if shared.worker.is_started() {
            tracing::warn!("a second `initialized` was ignored");
            return;
        }
        // First word to the client: what its user waits for.
        shared.status.open();
        if shared.client_abilities().configuration {
            shared.ask_for_configuration().await;
        } else {
            // Warnings of what `initialize` brought could not be shown before.
            shared.configure(|_| ());
        }
        if let Err(error) = shared.worker.start(shared.settings().engine.clone()) {
            shared.status.failed(&format!("the system gives no thread for the engine: {error}"));
        }
        crate::client::watch_projects(&shared).await;
    }

    async fn shutdown(&self) -> Result<()> {
        self.shared.phase.store(SHUT_DOWN, Ordering::Release);
        self.shared.worker.stop();
        Ok(())
    }
}

/// The URIs of workspace folders; the generated type is a union with null.
fn folders_of(folders: impl serde::Serialize) -> Vec<Uri> {
    let value = serde_json::to_value(folders).unwrap_or_default();
    let uri = |folder: &serde_json::Value| folder["uri"].as_str().map(Uri::from);
    value.as_array().map(|folders| folders.iter().filter_map(uri).collect()).unwrap_or_default()
}
