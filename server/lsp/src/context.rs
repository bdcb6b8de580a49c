//! Context beyond the file: similar code of other documents, chosen anew only when the text before it moves anyway,
//! so that the encoder keeps what it has read.

use crate::documents::View;
use crate::server::Shared;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use tower_lsp::gen_lsp_types::Uri;

/// The context each document was last given.
#[derive(Default)]
pub struct Contexts {
    kept: Mutex<HashMap<Uri, Kept>>,
}

struct Kept {
    opening: u64,
    text: String,
}

impl Contexts {
    /// Forgets a document.
    pub fn forget(&self, uri: &Uri) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).remove(uri);
    }

    /// The context for a hole at `offset` of a document.
    pub fn of(&self, _shared: &Shared, view: &View, _offset: usize, _tokens_max: usize) -> String {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(&view.uri)
            .filter(|kept| kept.opening == view.opening)
            .map(|kept| kept.text.clone())
            .unwrap_or_default()
    }
}
