//! Tells Zed how to start `lacuna lsp`; everything else is the server's or Zed's own.

use zed_extension_api::{self as zed, settings::LspSettings, LanguageServerId, Worktree};

const SERVER: &str = "lacuna";

struct Lacuna;

impl zed::Extension for Lacuna {
    fn new() -> Self {
        Self
    }

    fn language_server_command(
        &mut self,
        _server: &LanguageServerId,
        worktree: &Worktree,
    ) -> zed::Result<zed::Command> {
        let command = worktree.which(SERVER).ok_or(
            "lacuna is not on the PATH: install it (cargo install --path server/cli in its repository) or name it in \
             lsp.lacuna.binary.path",
        )?;
        Ok(zed::Command { command, args: vec!["lsp".to_owned()], env: worktree.shell_env() })
    }

    fn language_server_workspace_configuration(
        &mut self,
        _server: &LanguageServerId,
        worktree: &Worktree,
    ) -> zed::Result<Option<zed::serde_json::Value>> {
        let settings = LspSettings::for_worktree(SERVER, worktree)?.settings;
        Ok(settings.map(|settings| zed::serde_json::json!({ "lacuna": settings })))
    }
}

zed::register_extension!(Lacuna);
