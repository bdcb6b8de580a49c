//! What is offered at a caret: what stands on offer already, or what the engine makes of it.

use crate::convert;
use crate::documents::{INFERENCE_BYTES_MAX, View};
use crate::front::Intake;
use crate::infill::{Unfilled, Wish, fill};
use crate::rank::{Offer, describe_rejections};
use crate::server::Shared;
use crate::settings::Settings;
use crate::standing::{Asked, Found, Nothing, Standing};
use crate::turns::Lane;
use lacuna_text::{Change, Edit, Region, RegionError, Snapshot, trigger};
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;
use thiserror::Error;
use tower_lsp::gen_lsp_types::{Position, SelectedCompletionInfo};
use tower_lsp::jsonrpc::{self, Result};

/// What a client asks at a caret.
pub struct Question {
    /// The caret.
    pub position: Position,
    /// A person asked, and wants alternatives.
    pub invoked: bool,
    /// Which requests it supersedes.
    pub lane: Lane,
    /// The entry of the client's completion menu that is about to be taken.
    pub selected: Option<SelectedCompletionInfo>,
}

/// The answer to a question.
#[derive(Debug)]
pub struct Proposed {
    /// The document the changes are for.
    pub view: View,
    /// The caret in it, in bytes.
    pub caret: usize,
    /// What accepting each changes, best first.
    pub changes: Vec<Change>,
}

/// Why a question gets no offer.
#[derive(Debug, Error)]
enum Silence {
    /// The model is not ready; the status says so by itself.
    #[error("the model is not ready")]
    NotReady,
    /// Nobody waits for a proposal here, unless a person asks.
    #[error("{0}")]
    Quiet(trigger::Quiet),
    /// Nothing can be filled in.
    #[error(transparent)]
    Region(#[from] RegionError),
    /// The model has nothing.
    #[error(transparent)]
    Nothing(#[from] Nothing),
}

/// Offers at a caret, or why there are none.
type Answer = std::result::Result<Vec<Change>, Silence>;

/// Answers a question; `None` where no document is open, or nothing is to be planned in it. Where there is nothing to offer,
/// the status says why.
///
/// # Errors
/// `RequestCancelled` when a newer request came or the text moved on, else what the engine says.
pub async fn propose(shared: &Arc<Shared>, intake: Intake, question: Question) -> Result<Option<Proposed>> {
    let Intake { view: Some(view), mut turn, arrived, .. } = intake else { return Ok(None) };
    shared.status.requested();
    let settings = match settings_for(shared, &view) {
        Ok(settings) => settings,
        Err(why) => {
            shared.status.note(Some(why));
            return Ok(None);
        }
    };
    let caret = Caret::new(shared, &view.snapshot, &question);
    let at = caret.at;
    let cancel_work = turn.cancel.clone();
    let asking = Asking { shared, settings: &settings, view: &view, question, caret };
    let work = asking.answer(&cancel_work, arrived);
    // The turn is dropped with this future, whoever ends it: that cancels the engine's work.
    let answered = tokio::select! {
        biased;
        () = turn.superseded() => Err(jsonrpc::Error::request_cancelled()),
        answer = work => answer,
    };
    let answer = answered.inspect_err(|error| {
        // A client asks again where it gave up itself; of anything else it may say nothing.
        if error.code != jsonrpc::ErrorCode::RequestCancelled {
            shared.status.note(Some(format!("no proposal here: {}", error.message)));
        }
    })?;
    if let Err(Silence::Nothing(Nothing::Unsure)) = &answer {
        shared.status.unsure();
    }
    shared.status.note(match &answer {
        Ok(_) | Err(Silence::NotReady) => None,
        Err(why) => Some(format!("no proposal here: {why}")),
    });
    Ok(Some(Proposed { caret: at, changes: answer.unwrap_or_default(), view }))
}

/// The settings of a document that may be worked in.
///
/// # Errors
/// Why it may not.
pub fn settings_for(shared: &Shared, view: &View) -> std::result::Result<Arc<Settings>, String> {
    let (settings, path) = shared.settings_of(&view.uri);
    match refusal(&settings, view, path.as_deref()) {
        None => Ok(settings),
        Some(why) => {
            let name = view.uri.0.rsplit('/').next().unwrap_or_default();
            Err(format!("no proposals in {name}: {why}"))
        }
    }
}

fn refusal(settings: &Settings, view: &View, path: Option<&str>) -> Option<String> {
    let bytes = view.snapshot.len();
    if !settings.enabled {
        Some("Lacuna is switched off here (`enabled`); the command `lacuna.toggle` switches it on".to_owned())
    } else if !settings.allows_language(&view.language_id) {
        Some(format!("the setting `languages` is off for `{}`", view.language_id))
    } else if let Some(why) = path.and_then(|path| settings.files.refusal(path)) {
        Some(why)
    } else if bytes > INFERENCE_BYTES_MAX {
        let (is, most) = (bytes >> 20, INFERENCE_BYTES_MAX >> 20);
        Some(format!("it has {is} MB, and only documents up to {most} MB are planned on"))
    } else {
        None
    }
}

/// The caret as the question means it: with the menu's entry taken, where there is one.
struct Caret {
    /// In the document.
    at: usize,
    /// What taking the entry adds right at the caret; empty without one.
    ahead: String,
    /// What the client will replace before that, where it is more than adding.
    replaced: Option<Change>,
}

impl Caret {
    fn new(shared: &Shared, snapshot: &Snapshot, question: &Question) -> Self {
        let encoding = shared.encoding();
        let at = convert::offset(snapshot, question.position, encoding);
        let Some(selected) = &question.selected else {
            return Self { at, ahead: String::new(), replaced: None };
        };
        let Range { start, end } = convert::range(snapshot, selected.range, encoding);
        let there = snapshot.text().byte_slice(start..end).to_string();
        match selected.text.strip_prefix(&there) {
            Some(ahead) if end == at => Self { at, ahead: ahead.to_owned(), replaced: None },
            _ => {
                let replaced = Change::new(start..end, selected.text.clone());
                Self { at, ahead: String::new(), replaced: Some(replaced) }
            }
        }
    }

    /// What taking the entry changes; `None` where nothing is taken.
    fn taking(&self) -> Option<Change> {
        match &self.replaced {
            Some(change) => Some(change.clone()),
            None if self.ahead.is_empty() => None,
            None => Some(Change::new(self.at..self.at, self.ahead.clone())),
        }
    }
}

/// The document with `taking` done, and the caret behind it.
fn taken(snapshot: &Snapshot, taking: Change) -> Option<(Snapshot, usize)> {
    let caret = taking.range.start + taking.insert.len();
    Some((snapshot.edited(&Edit::single(taking)).ok()?, caret))
}

/// A question about a document.
struct Asking<'a> {
    shared: &'a Arc<Shared>,
    settings: &'a Settings,
    view: &'a View,
    question: Question,
    caret: Caret,
}

impl Asking<'_> {
    async fn answer(&self, cancel: &lacuna_engine::CancelToken, arrived: Instant) -> Result<Answer> {
        let Self { shared, settings, view, question, caret } = self;
        if let Some(answer) = self.standing() {
            if !matches!(answer, Err(Nothing::Unsure)) {
                shared.status.typed_through();
            }
            return Ok(answer.map_err(Silence::from));
        }
        let taking = caret.taking();
        let taken = taking.clone().and_then(|change| taken(&view.snapshot, change));
        let (snapshot, offset) = taken.as_ref().map_or((&view.snapshot, caret.at), |(text, at)| (text, *at));
        if shared.worker.model().is_none() {
            return Ok(Err(Silence::NotReady));
        }
        if !question.invoked {
            if !settings.debounce.is_zero() {
                tokio::time::sleep(settings.debounce).await;
            }
            if let Some(quiet) = trigger::quiet(snapshot, offset) {
                return Ok(Err(Silence::Quiet(quiet)));
            }
        }
        let region = match Region::insertion(snapshot, offset) {
            Ok(region) => region,
            Err(error) => return Ok(Err(error.into())),
        };
        let several = question.invoked || shared.client_abilities().never_invokes;
        let wish = Wish {
            view,
            snapshot,
            region,
            lane: question.lane,
            preset: if question.invoked { settings.invoked_preset } else { settings.preset },
            candidates: if several { settings.candidates } else { 1 },
            strength: None,
            instruction: None,
            arrived,
        };
        let filled = match fill(shared, settings, wish, cancel, None).await {
            Ok(filled) => filled,
            // It was ready a moment ago; the status says what happened.
            Err(Unfilled::NotReady(_)) => return Ok(Err(Silence::NotReady)),
            Err(other) => return Err(other.into()),
        };
        let mut found = usable(filled.offers);
        if let Some(taking) = &taking {
            let changes = std::mem::take(&mut found.changes).into_iter();
            let joined = changes.filter_map(|(change, sure)| Some((joined(taking, offset, change)?, sure)));
            found.changes = joined.collect();
        }
        self.put_up(found)
    }

    fn asked(&self) -> Asked<'_> {
        // An entry of a menu is in nobody's way, and no client says whether a person opened it.
        let unasked = self.question.lane == Lane::Inline && !self.question.invoked;
        Asked {
            caret: self.caret.at,
            ahead: &self.caret.ahead,
            invoked: self.question.invoked,
            least: if unasked { self.settings.min_confidence } else { 0.0 },
        }
    }

    /// What stands on offer at the caret, as far as it goes on what is about to be taken.
    fn standing(&self) -> Option<std::result::Result<Vec<Change>, Nothing>> {
        if self.caret.replaced.is_some() {
            return None;
        }
        self.shared.documents().standing(self.view)?.offers(&self.view.snapshot, &self.asked())
    }

    /// Puts up in the document what was found; an answer for a text that has moved on is none.
    fn put_up(&self, found: Found) -> Result<Answer> {
        let asked = self.asked();
        if self.caret.replaced.is_some() || (found.changes.is_empty() && !asked.ahead.is_empty()) {
            // Nothing of the one stands in the document yet, so nothing can follow what is typed; and nothing behind the
            // menu's entry says nothing about the caret without it.
            return Ok(found.believed(asked.least).map_err(Silence::from));
        }
        let standing = Standing::new(&self.view.snapshot, &asked, found);
        let answer = standing.offers(&self.view.snapshot, &asked);
        if !self.shared.documents().offer(self.view, standing) {
            // What was typed since may go on with it: it stands for the next request. This one asked about another text.
            return Err(jsonrpc::Error::request_cancelled());
        }
        Ok(answer.unwrap_or_else(|| Ok(Vec::new())).map_err(Silence::from))
    }
}

/// The offers that can be used.
fn usable(offers: Vec<Offer>) -> Found {
    let unusable = describe_rejections(&offers);
    let change = |offer: Offer| Some((offer.outcome.ok()?.change, offer.candidate.confidence));
    Found { changes: offers.into_iter().filter_map(change).collect(), unusable }
}

/// A change right behind what `taking` wrote, at `offset` of the text with it, as one with it of the text without. What
/// stands between the two would stay, so only a change right there joins.
fn joined(taking: &Change, offset: usize, change: Change) -> Option<Change> {
    let end = change.range.end.checked_sub(offset)?;
    let range = taking.range.start..taking.range.end + end;
    (change.range.start == offset).then(|| Change::new(range, format!("{}{}", taking.insert, change.insert)))
}
