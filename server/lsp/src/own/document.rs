//! `lacuna/document`: what the server believes a document holds, for tests and for reports of a broken sync.

use crate::documents::View;
use serde::{Deserialize, Serialize};
use tower_lsp::gen_lsp_types::Uri;

/// The method's name.
pub const METHOD: &str = "lacuna/document";

/// Its parameters.
#[derive(Debug, Deserialize)]
pub struct DocumentParams {
    /// Which document.
    pub uri: Uri,
}

/// Its result; `null` when the document is not open.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DocumentState {
    /// Which document.
    pub uri: Uri,
    /// The language as the client named it.
    pub language_id: String,
    /// The version the client gave last.
    pub version: i32,
    /// The text, a byte order mark included.
    pub text: String,
}

impl DocumentState {
    /// The state of a document.
    #[must_use]
    pub fn of(view: &View) -> Self {
        Self {
            uri: view.uri.clone(),
            language_id: view.language_id.to_string(),
            version: view.version,
            text: String::from_utf8_lossy(&view.snapshot.to_bytes()).into_owned(),
        }
    }
}
