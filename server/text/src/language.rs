//! The languages Lacuna knows: how a file names its language, its grammar, its comments and the nodes that hold bodies.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;

/// A language by its LSP identifier; everything unknown is [`Language::PlainText`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the variants name themselves")]
pub enum Language {
    Rust,
    Python,
    TypeScript,
    #[serde(rename = "typescriptreact")]
    Tsx,
    JavaScript,
    Go,
    C,
    Cpp,
    Java,
    Lua,
    Json,
    Toml,
    #[serde(rename = "shellscript")]
    Bash,
    #[default]
    PlainText,
}

impl Language {
    /// Every language, in the order of the enum.
    pub const ALL: [Self; 14] = [
        Self::Rust,
        Self::Python,
        Self::TypeScript,
        Self::Tsx,
        Self::JavaScript,
        Self::Go,
        Self::C,
        Self::Cpp,
        Self::Java,
        Self::Lua,
        Self::Json,
        Self::Toml,
        Self::Bash,
        Self::PlainText,
    ];

    /// The language a path names by its file name or extension; [`Language::PlainText`] when it names none.
    #[must_use]
    pub fn from_path(path: &Path) -> Self {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match name {
            "Cargo.lock" | "Pipfile" | "poetry.lock" | "uv.lock" => return Self::Toml,
            ".bashrc" | ".bash_profile" | ".bash_aliases" | ".profile" | "PKGBUILD" => return Self::Bash,
            "SConstruct" | "SConscript" | "wscript" => return Self::Python,
            ".prettierrc" | ".eslintrc" | ".babelrc" => return Self::Json,
            _ => {}
        }
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        match extension.to_ascii_lowercase().as_str() {
            "rs" => Self::Rust,
            "py" | "pyi" | "pyw" => Self::Python,
            "ts" | "mts" | "cts" => Self::TypeScript,
            "tsx" => Self::Tsx,
            "js" | "jsx" | "mjs" | "cjs" => Self::JavaScript,
            "go" => Self::Go,
            "c" => Self::C,
            // A .h file may be either; the C++ grammar reads nearly all of C.
            "h" | "cc" | "cpp" | "cxx" | "c++" | "hh" | "hpp" | "hxx" | "h++" | "ipp" => Self::Cpp,
            "java" => Self::Java,
            "lua" => Self::Lua,
            "json" | "jsonc" | "webmanifest" | "geojson" => Self::Json,
            "toml" => Self::Toml,
            "sh" | "bash" | "zsh" | "ksh" | "bats" => Self::Bash,
            _ => Self::PlainText,
        }
    }

    /// As [`Language::from_path`]; a file that its name does not settle is asked for its `#!` line.
    #[must_use]
    pub fn detect(path: &Path, first_line: &str) -> Self {
        match Self::from_path(path) {
            Self::PlainText if path.extension().is_none() => Self::from_shebang(first_line),
            language => language,
        }
    }

    /// The language of the interpreter in a `#!` line.
    #[must_use]
    pub fn from_shebang(line: &str) -> Self {
        let Some(command) = line.strip_prefix("#!") else { return Self::PlainText };
        let mut words = command.split_whitespace().map(|word| word.rsplit('/').next().unwrap_or(word));
        let interpreter = match words.next() {
            Some("env") => words.find(|word| !word.starts_with('-') && !word.contains('=')),
            other => other,
        };
        let interpreter = interpreter.unwrap_or_default();
        match interpreter.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.') {
            "python" | "pypy" => Self::Python,
            "sh" | "bash" | "dash" | "zsh" | "ksh" => Self::Bash,
            "node" | "nodejs" | "bun" => Self::JavaScript,
            "deno" | "ts-node" | "tsx" => Self::TypeScript,
            "lua" | "luajit" => Self::Lua,
            _ => Self::PlainText,
        }
    }

    /// The language of an LSP `languageId` or of a common name for it; unknown ids are plain text.
    #[must_use]
    pub fn from_id(id: &str) -> Self {
        match id.to_ascii_lowercase().as_str() {
            "rust" | "rs" => Self::Rust,
            "python" | "py" => Self::Python,
            "typescript" | "ts" => Self::TypeScript,
            "typescriptreact" | "tsx" | "typescript.tsx" => Self::Tsx,
            "javascript" | "javascriptreact" | "js" | "jsx" | "javascript.jsx" => Self::JavaScript,
            "go" | "golang" => Self::Go,
            "c" => Self::C,
            "cpp" | "c++" | "objective-cpp" | "cuda" | "cuda-cpp" | "arduino" => Self::Cpp,
            "java" => Self::Java,
            "lua" => Self::Lua,
            "json" | "jsonc" | "jsonl" | "geojson" => Self::Json,
            "toml" => Self::Toml,
            "shellscript" | "sh" | "bash" | "zsh" | "ksh" => Self::Bash,
            _ => Self::PlainText,
        }
    }

    /// The LSP `languageId`.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Python => "python",
            Self::TypeScript => "typescript",
            Self::Tsx => "typescriptreact",
            Self::JavaScript => "javascript",
            Self::Go => "go",
            Self::C => "c",
            Self::Cpp => "cpp",
            Self::Java => "java",
            Self::Lua => "lua",
            Self::Json => "json",
            Self::Toml => "toml",
            Self::Bash => "shellscript",
            Self::PlainText => "plaintext",
        }
    }

    /// The tree-sitter grammar; `None` for plain text.
    #[must_use]
    pub fn grammar(self) -> Option<tree_sitter::Language> {
        let grammar = match self {
            Self::Rust => tree_sitter_rust::LANGUAGE,
            Self::Python => tree_sitter_python::LANGUAGE,
            Self::TypeScript => tree_sitter_typescript::LANGUAGE_TYPESCRIPT,
            Self::Tsx => tree_sitter_typescript::LANGUAGE_TSX,
            Self::JavaScript => tree_sitter_javascript::LANGUAGE,
            Self::Go => tree_sitter_go::LANGUAGE,
            Self::C => tree_sitter_c::LANGUAGE,
            Self::Cpp => tree_sitter_cpp::LANGUAGE,
            Self::Java => tree_sitter_java::LANGUAGE,
            Self::Lua => tree_sitter_lua::LANGUAGE,
            Self::Json => tree_sitter_json::LANGUAGE,
            Self::Toml => tree_sitter_toml_ng::LANGUAGE,
            Self::Bash => tree_sitter_bash::LANGUAGE,
            Self::PlainText => return None,
        };
        Some(grammar.into())
    }

    /// What opens a comment that runs to the end of the line, where the language has one.
    #[must_use]
    pub const fn line_comment(self) -> Option<&'static str> {
        match self {
            Self::Rust
            | Self::TypeScript
            | Self::Tsx
            | Self::JavaScript
            | Self::Go
            | Self::C
            | Self::Cpp
            | Self::Java => Some("//"),
            Self::Python | Self::Toml | Self::Bash => Some("#"),
            Self::Lua => Some("--"),
            Self::Json | Self::PlainText => None,
        }
    }

    /// The indentation step where the file itself shows none.
    #[must_use]
    pub const fn indent_unit(self) -> &'static str {
        match self {
            Self::Go => "\t",
            Self::TypeScript | Self::Tsx | Self::JavaScript | Self::Json | Self::Lua | Self::Bash => "  ",
            _ => "    ",
        }
    }

    /// Kinds of the nodes that hold the statements of a function or a block, braces included where there are any.
    #[must_use]
    pub const fn body_kinds(self) -> &'static [&'static str] {
        match self {
            Self::Rust | Self::Python | Self::Go => &["block"],
            Self::TypeScript | Self::Tsx | Self::JavaScript => &["statement_block"],
            Self::C | Self::Cpp | Self::Bash => &["compound_statement"],
            Self::Java => &["block", "constructor_body"],
            Self::Lua => &["block"],
            Self::Json | Self::Toml | Self::PlainText => &[],
        }
    }

    /// Kinds of the nodes whose braced body is a hole when it is empty.
    #[must_use]
    pub const fn function_kinds(self) -> &'static [&'static str] {
        match self {
            Self::Rust => &["function_item"],
            Self::Python | Self::C => &["function_definition"],
            Self::TypeScript | Self::Tsx | Self::JavaScript => &[
                "function_declaration",
                "function_expression",
                "generator_function",
                "generator_function_declaration",
                "arrow_function",
                "method_definition",
            ],
            Self::Go => &["function_declaration", "method_declaration", "func_literal"],
            Self::Cpp => &["function_definition", "lambda_expression"],
            Self::Java => &["method_declaration", "constructor_declaration", "lambda_expression"],
            Self::Lua => &["function_declaration", "function_definition"],
            Self::Bash => &["function_definition"],
            Self::Json | Self::Toml | Self::PlainText => &[],
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.id())
    }
}
