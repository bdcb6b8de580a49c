//! What is offered at a caret: what stands on offer already, or what the engine makes of it.

use crate::convert;
use crate::documents::{INFERENCE_BYTES_MAX, View};
use crate::front::Intake;
use crate::infill::{Unfilled, Wish, fill};
use crate::rank::Offer;
use crate::server::Shared;
use crate::settings::Settings;
use crate::standing::Standing;
use crate::turns::Lane;
use lacuna_text::{Change, Edit, Region, Snapshot, trigger};
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;
use tower_lsp::gen_lsp_types::{Position, SelectedCompletionInfo};
use tower_lsp::jsonrpc::{Error, Result};

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

/// Answers a question; `None` where no document is open, or nothing is to be planned in it.
///
/// # Errors
/// `RequestCancelled` when a newer request came or the text moved on, else what the engine says.
pub async fn propose(shared: &Arc<Shared>, intake: Intake, question: Question) -> Result<Option<Proposed>> {
    let Intake { view: Some(view), mut turn, arrived } = intake else { return Ok(None) };
    shared.status.requested();
    let Some(settings) = settings_for(shared, &view) else { return Ok(None) };
    let cancel_work = turn.cancel.clone();
    let work = answer(shared, &settings, &view, question, (&cancel_work, arrived));
    // The turn is dropped with this future, whoever ends it: that cancels the engine's work.
    let answered = tokio::select! {
        biased;
        () = turn.superseded() => Err(Error::request_cancelled()),
        answer = work => answer,
    };
    answered.map(|(caret, changes)| Some(Proposed { view, caret, changes }))
}

/// The settings of a document that may be worked in; of another one the status says why not.
pub fn settings_for(shared: &Shared, view: &View) -> Option<Arc<Settings>> {
    let (settings, path) = shared.settings_of(&view.uri);
    let refusal = refusal(&settings, view, path.as_deref());
    let name = view.uri.0.rsplit('/').next().unwrap_or_default();
    shared.status.note(refusal.as_ref().map(|why| format!("no proposals in {name}: {why}")));
    refusal.is_none().then_some(settings)
}

fn refusal(settings: &Settings, view: &View, path: Option<&str>) -> Option<String> {
    let bytes = view.snapshot.len();
    if !settings.enabled {
        Some("the setting `enabled` is off here".to_owned())
    } else if !settings.allows_language(&view.language_id) {
        Some(format!("the setting `languages` is off for `{}`", view.language_id))
    } else if !settings.allows(&view.language_id, path) {
        Some("the setting `files` leaves it out".to_owned())
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

async fn answer(
    shared: &Arc<Shared>,
    settings: &Settings,
    view: &View,
    question: Question,
    (cancel, arrived): (&lacuna_engine::CancelToken, Instant),
) -> Result<(usize, Vec<Change>)> {
    let caret = Caret::new(shared, &view.snapshot, &question);
    if caret.replaced.is_none()
        && let Some(changes) = standing(shared, view, &caret, question.invoked)
    {
        shared.status.typed_through();
        return Ok((caret.at, changes));
    }
    let taking = caret.taking();
    let taken = taking.clone().and_then(|change| taken(&view.snapshot, change));
    let (snapshot, offset) = taken.as_ref().map_or((&view.snapshot, caret.at), |(text, at)| (text, *at));
    let nothing = (caret.at, Vec::new());
    if shared.worker.model().is_none() {
        return Ok(nothing);
    }
    if !question.invoked {
        if !settings.debounce.is_zero() {
            tokio::time::sleep(settings.debounce).await;
        }
        if trigger::quiet(snapshot, offset).is_some() {
            return Ok(nothing);
        }
    }
    let Ok(region) = Region::insertion(snapshot, offset) else { return Ok(nothing) };
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
        Err(Unfilled::NotReady(_)) => return Ok(nothing),
        Err(other) => return Err(other.into()),
    };
    // An entry of a menu is in nobody's way, and no client says whether a person opened it.
    let unasked = question.lane == Lane::Inline && !question.invoked;
    let offers = believed(shared, filled.offers, if unasked { settings.min_confidence } else { 0.0 });
    let changes = offers.into_iter().filter_map(|offer| offer.outcome.ok()).map(|spliced| spliced.change);
    let changes: Vec<Change> = match &taking {
        None => changes.collect(),
        Some(taking) => changes.filter_map(|change| joined(taking, offset, change)).collect(),
    };
    if caret.replaced.is_some() {
        // Nothing of this stands in the document yet, so nothing can follow what is typed.
        return Ok((caret.at, changes));
    }
    put_up(shared, view, &caret, (changes, question.invoked))
}

/// The usable ones of `offers` of which the model is sure enough, or does not say how sure it is. Where none is left, the status
/// says why.
fn believed(shared: &Shared, mut offers: Vec<Offer>, least: f32) -> Vec<Offer> {
    offers.retain(Offer::is_usable);
    let found = !offers.is_empty();
    offers.retain(|offer| offer.candidate.confidence.is_none_or(|stated| stated >= least));
    if found && offers.is_empty() {
        shared.status.unsure();
    }
    offers
}

/// What stands on offer at the caret, as far as it goes on what is about to be taken.
fn standing(shared: &Shared, view: &View, caret: &Caret, invoked: bool) -> Option<Vec<Change>> {
    let offers = shared.documents().standing(view)?.offers(&view.snapshot, caret.at, invoked)?;
    if caret.ahead.is_empty() {
        return Some(offers);
    }
    let goes_on = |change: &Change| {
        let typed = caret.at - change.range.start;
        change.insert.get(typed..).is_some_and(|rest| rest.starts_with(&caret.ahead))
    };
    let changes: Vec<Change> = offers.into_iter().filter(goes_on).collect();
    (!changes.is_empty()).then_some(changes)
}

/// A change right behind what `taking` wrote, at `offset` of the text with it, as one with it of the text without. What
/// stands between the two would stay, so only a change right there joins.
fn joined(taking: &Change, offset: usize, change: Change) -> Option<Change> {
    let end = change.range.end.checked_sub(offset)?;
    let range = taking.range.start..taking.range.end + end;
    (change.range.start == offset).then(|| Change::new(range, format!("{}{}", taking.insert, change.insert)))
}

/// Puts the changes up in the document; an answer for a text that has moved on is none.
fn put_up(
    shared: &Shared,
    view: &View,
    caret: &Caret,
    (changes, invoked): (Vec<Change>, bool),
) -> Result<(usize, Vec<Change>)> {
    if changes.is_empty() && !caret.ahead.is_empty() {
        // Nothing behind the menu's entry says nothing about the caret without it.
        return Ok((caret.at, changes));
    }
    let standing = Standing::new(&view.snapshot, caret.at, changes, invoked);
    let offers = standing.offers(&view.snapshot, caret.at, invoked).unwrap_or_default();
    if !shared.documents().offer(view, standing) {
        // What was typed since may go on with it: it stands for the next request. This one asked about another text.
        return Err(Error::request_cancelled());
    }
    Ok((caret.at, offers))
}
