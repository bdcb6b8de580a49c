//! Context beyond the file: similar code of other documents, chosen anew only when the caret has gone far or another
//! document was worked on, so that the encoder keeps what it has read.

use crate::documents::{Other, View};
use crate::model::Model;
use crate::server::Shared;
use crate::settings::Settings;
use lacuna_text::Snapshot;
use lacuna_text::context::{Index, Neighbour, Query, render};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tower_lsp::gen_lsp_types::Uri;

/// Other documents that are looked at.
const NEIGHBOURS_MAX: usize = 32;
/// As long as the caret stays within so many lines of where the context was chosen, it stays.
const LINES_NEAR: usize = 40;
/// Documents whose context is kept.
const KEPT_MAX: usize = 64;

/// The context each document was last given.
#[derive(Default)]
pub struct Contexts {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    index: Index,
    kept: HashMap<Uri, Kept>,
}

struct Kept {
    opening: u64,
    /// How often the user had gone from one document to another.
    switches: u64,
    line: usize,
    tokens_max: usize,
    text: String,
}

impl Contexts {
    /// Forgets a document that was closed.
    pub fn forget(&self, shared: &Shared, uri: &Uri) {
        let mut state = self.lock();
        state.kept.remove(uri);
        state.index.forget(&name(shared, uri));
    }

    /// Forgets every context that was chosen: settings may now keep a document out of it.
    pub fn forget_all(&self) {
        self.lock().kept.clear();
    }

    /// The context for a hole at `offset`: what the model can read beyond the budget of the file itself, at most what
    /// the settings allow. A model that reads no more than that budget is shown the file alone.
    pub fn of(
        &self,
        shared: &Shared,
        settings: &Settings,
        (view, offset): (&View, usize),
        model: &Model,
    ) -> String {
        let beyond = model.info.prompt_tokens_max.saturating_sub(settings.prefix_tokens);
        let tokens_max = settings.context_tokens.min(beyond);
        if tokens_max == 0 {
            return String::new();
        }
        let (others, switches) = {
            let documents = shared.documents();
            (documents.others(&view.uri, NEIGHBOURS_MAX), documents.switches())
        };
        let line = view.snapshot.text().byte_to_line(offset.min(view.snapshot.len()));
        let mut state = self.lock();
        let holds = |kept: &&Kept| {
            kept.opening == view.opening
                && kept.switches == switches
                && kept.tokens_max == tokens_max
                && kept.line.abs_diff(line) <= LINES_NEAR
        };
        if let Some(kept) = state.kept.get(&view.uri).filter(holds) {
            return kept.text.clone();
        }
        // What the settings keep Lacuna out of is shown to no model, not even as context.
        let others: Vec<(String, Snapshot)> = others
            .into_iter()
            .filter_map(|Other { uri, language_id, snapshot }| {
                let (settings, path) = shared.settings_of(&uri);
                let allowed = settings.allows(&language_id, path.as_deref());
                allowed.then(|| (path.unwrap_or_else(|| uri.0.clone()), snapshot))
            })
            .collect();
        let neighbours: Vec<Neighbour<'_>> =
            others.iter().map(|(name, snapshot)| Neighbour { name, snapshot }).collect();
        let own = name(shared, &view.uri);
        let query = Query { name: &own, snapshot: &view.snapshot, hole: offset..offset };
        let snippets = state.index.snippets(&query, &neighbours, tokens_max, model);
        let text = render(&snippets, view.snapshot.language());
        if state.kept.len() >= KEPT_MAX {
            state.kept.clear();
        }
        let kept = Kept { opening: view.opening, switches, line, tokens_max, text: text.clone() };
        state.kept.insert(view.uri.clone(), kept);
        text
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a reader calls a document.
fn name(shared: &Shared, uri: &Uri) -> String {
    shared.settings_of(uri).1.unwrap_or_else(|| uri.0.clone())
}
