//! The two servers that are measured: the shipped binary, and the same server around an engine that plays a script.

use lacuna_tests::client::{Client, Launch, Setup};
use lacuna_tests::servers::Stage;
use lacuna_tests::workspace_root;
use std::io;
use std::path::PathBuf;
use std::process::Command;

/// Where they are.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The shipped binary.
    pub lacuna: PathBuf,
    /// The server with the scripted engine.
    pub scripted: PathBuf,
}

impl Programs {
    /// Builds both with the profile of this program.
    ///
    /// # Errors
    /// When they do not build.
    pub fn build() -> io::Result<Self> {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "-p", "lacuna-cli", "-p", "lacuna-tests", "--bins"]);
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        if !cargo.current_dir(workspace_root()).status()?.success() {
            return Err(io::Error::other("the servers do not build"));
        }
        // Cargo puts what it builds beside what it runs.
        let own = std::env::current_exe()?;
        let beside = |name: &str| own.with_file_name(format!("{name}{}", std::env::consts::EXE_SUFFIX));
        Ok(Self { lacuna: beside("lacuna"), scripted: beside("lacuna-scripted") })
    }

    /// A client of the shipped binary, its model loaded.
    #[must_use]
    pub fn shipped(&self, setup: &Setup) -> Client {
        let launch = Launch {
            program: self.lacuna.clone(),
            args: vec!["lsp".to_owned()],
            env: Vec::new(),
            folder: None,
        };
        let mut client = Client::start(&launch);
        client.ready(setup);
        client
    }

    /// Where servers with scripted engines start.
    #[must_use]
    pub fn stage(&self) -> Stage {
        Stage::new(&self.scripted.to_string_lossy())
    }
}
