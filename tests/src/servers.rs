//! The two servers that tests talk to: the shipped binary, and the same server around an engine that plays a script.

use crate::client::{Client, Launch, Setup, Trigger};
use crate::engine::{Inference, SCRIPT_VARIABLE, Script, read_record};
use crate::lacuna_binary;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;

/// The shipped binary with its built-in model.
#[must_use]
pub fn shipped() -> Launch {
    Launch {
        program: lacuna_binary().to_path_buf(),
        args: vec!["lsp".to_owned()],
        env: Vec::new(),
        folder: None,
    }
}

/// A client of the shipped binary, its model loaded.
#[must_use]
pub fn shipped_ready(setup: &Setup) -> Client {
    let mut client = Client::start(&shipped());
    client.ready(setup);
    client
}

/// A folder where engines that play scripts write down what they were asked.
#[derive(Debug)]
pub struct Stage {
    program: PathBuf,
    folder: Arc<TempDir>,
    records: AtomicUsize,
}

impl Stage {
    /// A stage for the program `lacuna-scripted`, which cargo builds for the integration tests of this package.
    ///
    /// # Panics
    /// When there is no temporary folder.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test helper: failing loudly is its job")]
    pub fn new(program: &str) -> Self {
        let folder = Arc::new(TempDir::new().expect("a temporary folder"));
        Self { program: PathBuf::from(program), folder, records: AtomicUsize::new(0) }
    }

    /// Where the inferences of the latest server are written down.
    #[must_use]
    pub fn record(&self) -> PathBuf {
        self.folder.path().join(format!("record-{}.jsonl", self.records.load(Ordering::Relaxed)))
    }

    /// The inferences of the latest server so far.
    #[must_use]
    pub fn inferences(&self) -> Vec<Inference> {
        read_record(&self.record())
    }

    /// How to start the server with a script.
    ///
    /// # Panics
    /// Never: a script is plain data.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a script is plain data")]
    pub fn launch(&self, script: &Script) -> Launch {
        self.records.fetch_add(1, Ordering::Relaxed);
        let script = Script { record: Some(self.record()), ..script.clone() };
        let text = serde_json::to_string(&script).expect("plain data");
        let env = vec![(SCRIPT_VARIABLE.to_owned(), text)];
        Launch {
            program: self.program.clone(),
            args: Vec::new(),
            env,
            folder: Some(Arc::clone(&self.folder)),
        }
    }

    /// A client of a server with this script, its engine loaded.
    #[must_use]
    pub fn ready(&self, script: &Script, setup: &Setup) -> Client {
        let mut client = Client::start(&self.launch(script));
        client.ready(setup);
        client
    }

    /// The folder itself, for files of a test.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// A server whose engine echoes still follows documents, infers, and ends as it should.
///
/// # Panics
/// When it does not.
pub fn check_alive(mut client: Client) {
    // Python: a name alone ends the line there, so the echo breaks no syntax.
    let uri = "file:///project/alive.py";
    client.open(uri, "python", "def alive():\n    total = \n");
    let caret = client.after(uri, "total = ");
    let items = client.inline(uri, caret, Trigger::Automatic);
    assert_eq!(items[0]["insertText"], "total", "{items:?}");
    client.assert_in_step(uri);
    assert_eq!(client.shut_down(), Some(0));
}
