//! The handshake: what a test's client says of itself.

use super::{Client, Encoding};
use serde_json::{Value, json};

/// What `initialize` is sent with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// What the client calls itself.
    pub name: &'static str,
    /// Whether it says that it shows inline completions.
    pub inline_completion: bool,
    /// Encodings the client offers, best first; empty: it does not say (then it is utf-16).
    pub encodings: Vec<&'static str>,
    /// `initializationOptions`.
    pub options: Value,
    /// What `workspace/configuration` is answered with for the section `lacuna`; `None`: the client cannot be asked.
    pub configuration: Option<Value>,
    /// Whether it watches files for the server.
    pub watches_files: bool,
    /// URIs of workspace folders.
    pub folders: Vec<String>,
    /// The process the server belongs to.
    pub process_id: Option<u32>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            name: "lacuna-tests",
            inline_completion: true,
            encodings: vec!["utf-8", "utf-16", "utf-32"],
            options: json!({}),
            configuration: None,
            watches_files: false,
            folders: Vec::new(),
            process_id: Some(std::process::id()),
        }
    }
}

impl Setup {
    /// The default client with these `initializationOptions`.
    #[must_use]
    pub fn with_options(options: Value) -> Self {
        Self { options, ..Self::default() }
    }

    /// The default client that offers one encoding only.
    #[must_use]
    pub fn with_encoding(encoding: Encoding) -> Self {
        Self { encodings: vec![encoding.name()], ..Self::default() }
    }

    fn params(&self) -> Value {
        let folders: Vec<Value> = self.folders.iter().map(|uri| json!({"uri": uri, "name": uri})).collect();
        json!({
            "processId": self.process_id,
            "clientInfo": {"name": self.name},
            "rootUri": self.folders.first(),
            "workspaceFolders": if folders.is_empty() { Value::Null } else { json!(folders) },
            "initializationOptions": self.options,
            "capabilities": {
                "general": if self.encodings.is_empty() { json!({}) } else { json!({"positionEncodings": self.encodings}) },
                "window": {"workDoneProgress": true},
                "workspace": {
                    "applyEdit": true,
                    "workspaceEdit": {"documentChanges": true},
                    "configuration": self.configuration.is_some(),
                    "workspaceFolders": true,
                    "didChangeConfiguration": {"dynamicRegistration": true},
                    "didChangeWatchedFiles": {"dynamicRegistration": self.watches_files},
                },
                "textDocument": {
                    "synchronization": {"dynamicRegistration": false},
                    "inlineCompletion": if self.inline_completion { json!({"dynamicRegistration": false}) } else { Value::Null },
                    "codeAction": {
                        "dataSupport": true,
                        "resolveSupport": {"properties": ["edit"]},
                        "codeActionLiteralSupport": {"codeActionKind": {"valueSet": ["quickfix", "refactor.rewrite"]}},
                    },
                },
            },
        })
    }
}

impl Client {
    /// Shakes hands; the server's answer.
    ///
    /// # Panics
    /// When the server picks an encoding that was not offered.
    pub fn initialize(&mut self, setup: &Setup) -> Value {
        self.replies.configuration.clone_from(&setup.configuration);
        let answer = self.ask("initialize", setup.params());
        let encoding = answer["capabilities"]["positionEncoding"].as_str().unwrap_or("utf-16");
        assert!(
            setup.encodings.contains(&encoding) || encoding == "utf-16",
            "{encoding} was not offered in {:?}",
            setup.encodings
        );
        let picked = Encoding::ALL.into_iter().find(|it| it.name() == encoding);
        self.encoding = picked.unwrap_or_else(|| panic!("an unknown encoding: {encoding}"));
        self.notify("initialized", json!({}));
        answer
    }

    /// Shakes hands and waits until the model is loaded.
    pub fn ready(&mut self, setup: &Setup) {
        self.initialize(setup);
        self.state("ready");
    }

    /// Waits for the server to say that it is in a state; the whole status.
    pub fn state(&mut self, state: &str) -> Value {
        self.notification("lacuna/status", |status| status["state"] == state)
    }

    /// What the server says of itself now.
    pub fn status(&mut self) -> Value {
        self.command("lacuna.status", json!([]))
    }

    /// One of the counters of the status.
    pub fn counter(&mut self, name: &str) -> u64 {
        let status = self.status();
        status["counters"][name]
            .as_u64()
            .unwrap_or_else(|| panic!("the status has no counter {name}: {status}"))
    }
}
