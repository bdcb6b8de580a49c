//! Which files Lacuna works in: include and exclude patterns over paths inside a workspace folder.
//!
//! Patterns read like lines of a `.gitignore`: `*` stays within one name and `**` crosses folders; one without a `/`
//! matches that name at any depth and in any case (`*.pem`), one with a `/` starts at the workspace folder (`gen/*.rs`);
//! one that matches a folder covers all that is in it.

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};
use std::sync::Arc;

/// What is left out unless the user says otherwise: secrets, lock files, and what tools write.
pub const DEFAULT_EXCLUDE: &[&str] = &[
    // Secrets.
    ".env*",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.keystore",
    "*.kdbx",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    ".netrc",
    ".npmrc",
    ".pypirc",
    ".pgpass",
    ".git-credentials",
    "**/.ssh/**",
    "**/.gnupg/**",
    "**/.aws/**",
    // Lock files.
    "*.lock",
    "package-lock.json",
    "npm-shrinkwrap.json",
    "pnpm-lock.yaml",
    "go.sum",
    // What tools write.
    "target/**",
    "**/node_modules/**",
    "**/.git/**",
    "**/.venv/**",
    "**/__pycache__/**",
    "*.min.js",
    "*.min.css",
    "*.map",
];

/// A pattern that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pattern {pattern:?} cannot be used: {reason}")]
pub struct PatternError {
    /// As the user wrote it.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Include and exclude patterns, compiled. A file passes when an include pattern matches it, or there is none, and no
/// exclude pattern does. Clones share what is compiled.
#[derive(Clone, Debug)]
pub struct FileFilter {
    include: Vec<String>,
    exclude: Vec<String>,
    included: Arc<GlobSet>,
    excluded: Arc<GlobSet>,
}

impl FileFilter {
    /// Compiles the patterns.
    ///
    /// # Errors
    /// The first pattern that cannot be used.
    pub fn new(include: Vec<String>, exclude: Vec<String>) -> Result<Self, PatternError> {
        let (included, excluded) = (compile(&include)?, compile(&exclude)?);
        Ok(Self { include, exclude, included, excluded })
    }

    /// Whether the file at `path` passes; see [`super::Settings::allows`] for what a path is.
    #[must_use]
    pub fn allows(&self, path: &str) -> bool {
        let path = path.trim_start_matches('/');
        (self.include.is_empty() || self.included.is_match(path)) && !self.excluded.is_match(path)
    }

    /// Why the file at `path` does not pass, by the pattern that keeps it out.
    #[must_use]
    pub fn refusal(&self, path: &str) -> Option<String> {
        if self.allows(path) {
            return None;
        }
        let matched = self.excluded.matches(path.trim_start_matches('/'));
        // Each pattern is two globs, see [`globs`].
        let pattern = matched.first().and_then(|glob| self.exclude.get(glob / 2));
        Some(match pattern {
            Some(pattern) => format!("the setting `files.exclude` has `{pattern}`"),
            None => "the setting `files.include` has no pattern for it".to_owned(),
        })
    }

    /// The include patterns, as written.
    #[must_use]
    pub fn include(&self) -> &[String] {
        &self.include
    }

    /// The exclude patterns, as written.
    #[must_use]
    pub fn exclude(&self) -> &[String] {
        &self.exclude
    }
}

impl Default for FileFilter {
    fn default() -> Self {
        let exclude = DEFAULT_EXCLUDE.iter().map(|&pattern| pattern.to_owned()).collect();
        #[expect(
            clippy::expect_used,
            reason = "the default patterns are constants, and a test compiles them"
        )]
        Self::new(Vec::new(), exclude).expect("the default patterns compile")
    }
}

/// Two filters are the same when their patterns are.
impl PartialEq for FileFilter {
    fn eq(&self, other: &Self) -> bool {
        (&self.include, &self.exclude) == (&other.include, &other.exclude)
    }
}

/// The globs that one pattern stands for: what it matches, and all below it.
///
/// # Errors
/// A pattern that is empty, negated or malformed.
pub(super) fn globs(pattern: &str) -> Result<[Glob; 2], PatternError> {
    let wrong = |reason: &str| PatternError { pattern: pattern.to_owned(), reason: reason.to_owned() };
    if pattern.starts_with('!') {
        return Err(wrong(
            "it starts with !, which has no meaning here; use files.include and files.exclude",
        ));
    }
    let (anchored, body) = match pattern.strip_prefix('/') {
        Some(rest) => (true, rest.trim_end_matches('/')),
        None => (pattern.trim_end_matches('/').contains('/'), pattern.trim_end_matches('/')),
    };
    if body.is_empty() {
        return Err(wrong("it is empty"));
    }
    let itself = if anchored { body.to_owned() } else { format!("**/{body}") };
    let build = |text: &str| {
        let glob = GlobBuilder::new(text)
            .literal_separator(true)
            .backslash_escape(true)
            .case_insensitive(!anchored)
            .build();
        glob.map_err(|error| wrong(&error.kind().to_string()))
    };
    Ok([build(&itself)?, build(&format!("{itself}/**"))?])
}

fn compile(patterns: &[String]) -> Result<Arc<GlobSet>, PatternError> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        for glob in globs(pattern)? {
            set.add(glob);
        }
    }
    let built = set.build();
    built
        .map(Arc::new)
        .map_err(|error| PatternError { pattern: patterns.join(", "), reason: error.kind().to_string() })
}
