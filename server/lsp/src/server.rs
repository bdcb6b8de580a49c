//! The server's state, and its life: `initialize`, `initialized`, `shutdown`.

mod look;
mod reconfigure;

use crate::changes::Changes;
use crate::client::{Abilities, abilities};
use crate::configuration::{Configuration, read_project};
use crate::context::Contexts;
use crate::documents::Documents;
use crate::own::frame::FrameNotification;
use crate::own::status::StatusNotification;
use crate::progress::Progress;
use crate::requests::capabilities;
use crate::settings::Settings;
use crate::status::{News, Status};
use crate::worker::Worker;
use lacuna_text::Encoding;
use look::Look;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::mpsc;
use tower_lsp::gen_lsp_types::{InitializeParams, InitializeResult, InitializedParams, ServerInfo, Uri};
use tower_lsp::jsonrpc::Result;
use tower_lsp::{Client, LanguageServer};

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
    /// Looks after `lacuna.toml` where the client does not.
    pub look: Look,
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
            look: Look::default(),
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
