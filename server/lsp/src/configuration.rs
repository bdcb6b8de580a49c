//! Settings at work: the layers, the workspace folders, and what both come to for each folder.

use crate::settings::{Layers, Problem, Settings, Warning, read_project_file};
use percent_encoding::percent_decode_str;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use tower_lsp::gen_lsp_types::Uri;

/// What reading a `lacuna.toml` brought: its text, nothing where there is none, or why it cannot be read.
pub type ProjectFile = Result<Option<String>, Problem>;

/// Reads the `lacuna.toml` of a folder from disk; `None` where the folder is no local one. To be called under no lock.
#[must_use]
pub fn read_project(uri: &Uri) -> Option<ProjectFile> {
    path_of(&uri.0).map(|path| read_project_file(&path))
}

/// A workspace folder.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Folder {
    /// Its URI without a slash at the end.
    uri: String,
    /// Its path, where it is a local one.
    path: Option<PathBuf>,
    /// What its `lacuna.toml` said when it was read last.
    file: Option<ProjectFile>,
}

/// Everything that settings come from, and the settings.
#[derive(Default)]
pub struct Configuration {
    /// The sources.
    pub layers: Layers,
    folders: Vec<Folder>,
    resolved: HashMap<Option<String>, Arc<Settings>>,
}

impl Configuration {
    /// Takes a folder in, with what its `lacuna.toml` says.
    pub fn add_folder(&mut self, uri: &Uri, file: Option<ProjectFile>) {
        let name = uri.0.trim_end_matches('/').to_owned();
        let folder = Folder { uri: name, path: path_of(&uri.0), file: file.clone() };
        if let Some(file) = file {
            self.layers.take_project(&folder.uri, file);
        }
        self.folders.retain(|other| other.uri != folder.uri);
        self.folders.push(folder);
    }

    /// Forgets a folder.
    pub fn remove_folder(&mut self, uri: &Uri) {
        let uri = uri.0.trim_end_matches('/');
        self.folders.retain(|folder| folder.uri != uri);
        self.layers.remove_project(uri);
    }

    /// The folders whose `lacuna.toml` can be read.
    #[must_use]
    pub fn local_folders(&self) -> Vec<Uri> {
        let local = self.folders.iter().filter(|folder| folder.path.is_some());
        local.map(|folder| Uri::from(folder.uri.clone())).collect()
    }

    /// Takes what the `lacuna.toml` of a folder says now; one that has gone meanwhile is left out.
    pub fn take_project(&mut self, uri: &Uri, file: ProjectFile) {
        if let Some(folder) = self.folders.iter_mut().find(|folder| folder.uri == uri.0) {
            folder.file = Some(file.clone());
            self.layers.take_project(&uri.0, file);
        }
    }

    /// Whether this is something else than what the `lacuna.toml` of a folder said when it was taken last.
    #[must_use]
    pub fn would_change(&self, uri: &Uri, file: &ProjectFile) -> bool {
        let folder = self.folders.iter().find(|folder| folder.uri == uri.0);
        folder.is_some_and(|folder| folder.file.as_ref() != Some(file))
    }

    /// Works the settings out anew; what could not be used comes back.
    pub fn resolve(&mut self) -> Vec<Warning> {
        self.resolved.clear();
        let mut warnings: Vec<Warning> = Vec::new();
        let names = self.folders.iter().map(|folder| Some(folder.uri.clone())).chain([None]);
        for name in names {
            let (settings, told) = self.layers.resolve(name.as_deref());
            self.resolved.insert(name, Arc::new(settings));
            for warning in told {
                if !warnings.contains(&warning) {
                    warnings.push(warning);
                }
            }
        }
        warnings
    }

    /// The settings of the server as a whole: those of the first folder.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        self.of_folder(self.folders.first())
    }

    /// Whether something holds for the settings of any folder, or of what is in none where there is no folder.
    #[must_use]
    pub fn anywhere(&self, holds: impl Fn(&Settings) -> bool) -> bool {
        match self.folders.is_empty() {
            true => holds(&self.of_folder(None)),
            false => self.folders.iter().any(|folder| holds(&self.of_folder(Some(folder)))),
        }
    }

    /// The settings of a document, and its path within its folder (`/` between its parts); the whole path of what is
    /// outside of every folder, `None` for what has no path.
    #[must_use]
    pub fn settings_of(&self, uri: &Uri) -> (Arc<Settings>, Option<String>) {
        let inside = |folder: &&Folder| {
            uri.0.strip_prefix(folder.uri.as_str()).is_some_and(|rest| rest.starts_with('/'))
        };
        // Of nested folders the innermost speaks.
        let folder = self.folders.iter().filter(inside).max_by_key(|folder| folder.uri.len());
        let path = match folder {
            Some(folder) => Some(decode(&uri.0[folder.uri.len() + 1..])),
            None => named_path(&uri.0),
        };
        (self.of_folder(folder), path)
    }

    fn of_folder(&self, folder: Option<&Folder>) -> Arc<Settings> {
        let name = folder.map(|folder| folder.uri.clone());
        self.resolved.get(&name).cloned().unwrap_or_default()
    }
}

/// The path of a `file` URI.
pub(crate) fn path_of(uri: &str) -> Option<PathBuf> {
    let path = decode(uri.strip_prefix("file://")?);
    let bytes = path.as_bytes();
    // `/c:/x` is `c:/x` where drives have letters.
    let drive = bytes.len() > 2 && bytes[0] == b'/' && bytes[1].is_ascii_alphabetic() && bytes[2] == b':';
    Some(PathBuf::from(if drive { path[1..].to_owned() } else { path }))
}

/// The path in any URI that has one: an archive's member, a file on another machine and an older version are files, too.
fn named_path(uri: &str) -> Option<String> {
    if let Some(path) = path_of(uri) {
        return Some(path.to_string_lossy().replace('\\', "/"));
    }
    let (_, rest) = uri.split_once(':')?;
    let rest = rest.split(['?', '#']).next()?;
    let path = match rest.strip_prefix("//") {
        Some(rest) => rest.get(rest.find('/')?..)?,
        None => rest,
    };
    path.starts_with('/').then(|| decode(path))
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn add(configuration: &mut Configuration, uri: &Uri) {
        configuration.add_folder(uri, read_project(uri));
    }

    #[test]
    fn a_document_belongs_to_the_innermost_folder() {
        let mut configuration = Configuration::default();
        for uri in ["file:///w/", "file:///w/a%20b", "file:///x"] {
            add(&mut configuration, &Uri::from(uri));
        }
        configuration.resolve();
        let path = |uri: &str| configuration.settings_of(&Uri::from(uri)).1;
        assert_eq!(path("file:///w/s/m.rs").as_deref(), Some("s/m.rs"));
        assert_eq!(path("file:///w/a%20b/c%C3%A9.rs").as_deref(), Some("cé.rs"));
        assert_eq!(path("file:///wide/m.rs").as_deref(), Some("/wide/m.rs"));
        assert_eq!(path("file:///c%3A/m.rs").as_deref(), Some("c:/m.rs"));
        assert_eq!(path("untitled:Untitled-1"), None);
        assert_eq!(path("scp://host/srv/.env").as_deref(), Some("/srv/.env"));
        assert_eq!(path("git:/srv/.env?%7B%22ref%22%3A%22HEAD%22%7D").as_deref(), Some("/srv/.env"));
        assert_eq!(path("memory://host"), None);
    }

    #[test]
    fn each_folder_has_its_own_lacuna_toml() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(one.path().join("lacuna.toml"), "candidates = 7\n").unwrap();
        let uri = |folder: &tempfile::TempDir| format!("file://{}", folder.path().display());
        let mut configuration = Configuration::default();
        add(&mut configuration, &Uri::from(uri(&one)));
        add(&mut configuration, &Uri::from(uri(&two)));
        assert_eq!(configuration.resolve(), []);
        let candidates = |configuration: &Configuration, folder: &tempfile::TempDir| {
            configuration.settings_of(&Uri::from(format!("{}/m.rs", uri(folder)))).0.candidates
        };
        assert_eq!(candidates(&configuration, &one), 7);
        assert_eq!(candidates(&configuration, &two), Settings::default().candidates);
        fs::write(one.path().join("lacuna.toml"), "candidates = 5\n").unwrap();
        for uri in configuration.local_folders() {
            let file = read_project(&uri).unwrap();
            assert_eq!(
                configuration.would_change(&uri, &file),
                *uri.0 == *format!("file://{}", one.path().display()),
                "{uri:?}"
            );
            configuration.take_project(&uri, file.clone());
            assert!(!configuration.would_change(&uri, &file), "{uri:?}");
        }
        configuration.resolve();
        assert_eq!(candidates(&configuration, &one), 5);
        configuration.remove_folder(&Uri::from(uri(&one)));
        configuration.resolve();
        assert_eq!(candidates(&configuration, &one), Settings::default().candidates);
    }
}
