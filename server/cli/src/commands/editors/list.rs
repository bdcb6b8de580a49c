//! The editors: what works in each, what it was run with, and the files that set it up.

use super::places::Base;

/// An editor that Lacuna is set up for.
#[derive(Debug)]
pub struct Editor {
    /// Its name on the command line.
    pub name: &'static str,
    /// What its program is called; a user may say so, too.
    pub programs: &'static [&'static str],
    /// Its folder in the repository's `editors`.
    pub folder: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// How a proposal is shown.
    pub shown: &'static str,
    /// The versions that were run, or that none was.
    pub tested: &'static str,
    /// What works, in a few words.
    pub works: &'static str,
    /// Where the printed text goes, and what it takes.
    pub goes: &'static str,
    /// What is left to do once it is written.
    pub then: &'static str,
    /// What is printed and written.
    pub setup: Setup,
}

/// How an editor is set up.
#[derive(Debug)]
pub enum Setup {
    /// Files of Lacuna's own, all below one folder.
    Own {
        /// The folder.
        folder: (Base, &'static str),
        /// Path and text of each.
        files: &'static [(&'static str, &'static str)],
        /// What is printed.
        printed: &'static str,
    },
    /// One file that may hold other things of the user's, too.
    Shared {
        /// The file.
        file: (Base, &'static str),
        /// Its text.
        text: &'static str,
    },
    /// Nothing that a command could write: commands to run, in a page of the folder.
    Commands {
        /// The page; its first `sh` block is what is printed.
        page: &'static str,
    },
}

impl Editor {
    /// The configuration, exactly as it is to be pasted.
    pub fn config(&self) -> &'static str {
        match self.setup {
            Setup::Own { printed, .. } => printed,
            Setup::Shared { text, .. } => text,
            Setup::Commands { page } => first_block(page),
        }
    }

    /// The files of Lacuna's own that `--write` writes.
    #[cfg(test)]
    pub const fn files(&self) -> &'static [(&'static str, &'static str)] {
        match self.setup {
            Setup::Own { files, .. } => files,
            Setup::Shared { .. } | Setup::Commands { .. } => &[],
        }
    }
}

/// The first block of shell commands in a page.
fn first_block(page: &'static str) -> &'static str {
    let after = page.split_once("```sh\n").map_or("", |(_, after)| after);
    after.split_once("```").map_or("", |(block, _)| block)
}

/// A file of the repository's folder `editors`.
macro_rules! editor_file {
    ($path:expr) => {
        include_str!(concat!("../../../../../editors/", $path))
    };
}

/// Files of a folder there, each with its path in it.
macro_rules! editor_files {
    ($folder:literal: $($path:literal),+ $(,)?) => {
        &[$(($path, editor_file!(concat!($folder, "/", $path)))),+]
    };
}

/// All of them, those that were run first.
pub const EDITORS: &[Editor] = &[
    Editor {
        name: "neovim",
        programs: &["nvim"],
        folder: "neovim",
        title: "Neovim",
        shown: "ghost text",
        tested: "0.12.4",
        works: "accept whole, by word, by line; cycle; actions, commands, canvas, :checkhealth",
        goes: "goes into init.lua; the plugin itself is the folder editors/neovim, or comes with --write",
        then: "now `require('lacuna').setup()` in init.lua; keys and commands are in :h lacuna",
        setup: Setup::Own {
            folder: (Base::Neovim, "site/pack/lacuna/start/lacuna"),
            files: editor_files!("neovim":
                "README.md", "doc/lacuna.txt", "doc/tags", "lsp/lacuna.lua", "lua/lacuna/commands.lua", "lua/lacuna/frames.lua",
                "lua/lacuna/health.lua", "lua/lacuna/init.lua", "plugin/lacuna.lua"),
            printed: "require('lacuna').setup()\n",
        },
    },
    Editor {
        name: "vscode",
        programs: &["code", "codium", "code-server"],
        folder: "vscode",
        title: "VS Code",
        shown: "ghost text",
        tested: "code-server 4.139.1",
        works: "accept whole, by word, by line; cycle; actions, commands, status bar, canvas, settings",
        goes: "run this at the root of the repository",
        then: "",
        setup: Setup::Commands { page: editor_file!("vscode/README.md") },
    },
    Editor {
        name: "helix",
        programs: &["hx"],
        folder: "helix",
        title: "Helix",
        shown: "menu",
        tested: "25.07.1",
        works: "a completion item, actions, commands, progress",
        goes: "goes into languages.toml beside config.toml; a language that is there already gets \"lacuna\" at the end of \
               its language-servers",
        then: "`hx --health rust` lists lacuna; space a has the actions",
        setup: Setup::Shared {
            file: (Base::Config, "helix/languages.toml"),
            text: editor_file!("helix/languages.toml"),
        },
    },
    Editor {
        name: "emacs",
        programs: &["emacs"],
        folder: "emacs",
        title: "Emacs, lsp-mode 10",
        shown: "ghost text",
        tested: "Emacs 30.2, lsp-mode 10.0.0",
        works: "accept whole; cycle; actions, switched off and on",
        goes: "goes into init.el, or is loaded from there; needs lsp-mode 10 (package-install)",
        then: "now `(load (locate-user-emacs-file \"lacuna-lsp-mode\"))` in init.el; M-RET accepts the ghost text",
        setup: Setup::Own {
            folder: (Base::Emacs, ""),
            files: editor_files!("emacs": "lacuna-lsp-mode.el"),
            printed: editor_file!("emacs/lacuna-lsp-mode.el"),
        },
    },
    Editor {
        name: "eglot",
        programs: &["emacs"],
        folder: "emacs",
        title: "Emacs, Eglot",
        shown: "menu",
        tested: "Emacs 30.2, Eglot 1.17.30",
        works: "a completion item, actions; beside another server through rass only",
        goes: "goes into init.el, or is loaded from there; `pip install rassumfrassum` keeps the language's own server",
        then: "now `(load (locate-user-emacs-file \"lacuna-eglot\"))` in init.el, then M-x eglot",
        setup: Setup::Own {
            folder: (Base::Emacs, ""),
            files: editor_files!("emacs": "lacuna-eglot.el"),
            printed: editor_file!("emacs/lacuna-eglot.el"),
        },
    },
    Editor {
        name: "kakoune",
        programs: &["kak"],
        folder: "kakoune",
        title: "Kakoune, kakoune-lsp",
        shown: "menu",
        tested: "Kakoune 2026.05.21, kakoune-lsp 22.0.0",
        works: "a completion item, actions",
        goes: "goes into kakrc, below `eval %sh{kak-lsp}`",
        then: "now `source \"%val{config}/lacuna.kak\"` in kakrc, below `eval %sh{kak-lsp}`",
        setup: Setup::Own {
            folder: (Base::Config, "kak"),
            files: editor_files!("kakoune": "lacuna.kak"),
            printed: editor_file!("kakoune/lacuna.kak"),
        },
    },
    Editor {
        name: "zed",
        programs: &["zed", "zeditor"],
        folder: "zed",
        title: "Zed",
        shown: "menu",
        tested: "not run",
        works: "a completion item, actions",
        goes: "settings.json, and optional; what starts the server is the extension editors/zed, or --write puts it down",
        then: "now `zed: install dev extension` in Zed's command palette, and choose that folder",
        setup: Setup::Own {
            folder: (Base::Data, "lacuna/zed"),
            files: editor_files!("zed": "README.md", "Cargo.toml", "extension.toml", "src/lib.rs"),
            printed: editor_file!("zed/settings.json"),
        },
    },
    Editor {
        name: "kate",
        programs: &["kate"],
        folder: "kate",
        title: "Kate",
        shown: "menu",
        tested: "not run",
        works: "a completion item, actions; instead of the language's own server, not beside it",
        goes: "goes into Settings > Configure Kate > LSP Client > User Server Settings; Kate has one server a language, so \
               this takes the place of rust-analyzer and pylsp",
        then: "restart Kate, and allow `lacuna lsp` when it asks",
        setup: Setup::Shared {
            file: (Base::LinuxConfig, "kate/lspclient/settings.json"),
            text: editor_file!("kate/settings.json"),
        },
    },
    Editor {
        name: "sublime",
        programs: &["subl"],
        folder: "sublime",
        title: "Sublime Text, LSP 2.10",
        shown: "menu",
        tested: "not run",
        works: "a completion item, actions, commands",
        goes: "goes into Preferences > Package Settings > LSP > Server Configurations; needs the package LSP, 2.10 or newer",
        then: "Sublime takes it at once; the actions are in the context menu",
        setup: Setup::Shared {
            file: (Base::LinuxConfig, "sublime-text/Packages/User/LanguageServers.sublime-settings"),
            text: editor_file!("sublime/LanguageServers.sublime-settings"),
        },
    },
    Editor {
        name: "jetbrains",
        programs: &["idea", "pycharm", "rustrover"],
        folder: "jetbrains",
        title: "JetBrains IDEs, LSP4IJ",
        shown: "ghost text",
        tested: "not run",
        works: "accept whole; actions",
        goes: "is lacuna/template.json, a template of LSP4IJ: Language Servers > [+] > Import from custom template",
        then: "now Settings > Languages & Frameworks > Language Servers > [+] > Import from custom template, and choose that \
               folder",
        setup: Setup::Own {
            folder: (Base::Data, "lacuna/jetbrains/lacuna"),
            files: editor_files!("jetbrains/lacuna": "template.json"),
            printed: editor_file!("jetbrains/lacuna/template.json"),
        },
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_printed_starts_lacuna_or_says_how() {
        for editor in EDITORS {
            let text = editor.config();
            assert!(text.contains("lacuna") && text.ends_with('\n'), "{}: {text}", editor.name);
        }
    }

    #[test]
    fn what_editors_read_as_json_is_json() {
        for name in ["kate", "sublime", "zed", "jetbrains"] {
            let editor = EDITORS.iter().find(|editor| editor.name == name).unwrap();
            let value: serde_json::Value = serde_json::from_str(editor.config()).unwrap();
            assert!(value.is_object(), "{name}");
        }
    }
}
