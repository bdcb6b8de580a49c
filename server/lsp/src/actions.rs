//! What a person can have done: fill here, refine, repair, complete a body. Found cheaply, done when chosen.

use crate::api::{failed, stale};
use crate::convert;
use crate::documents::View;
use crate::infill::{Filled, Wish, fill};
use crate::own::status::Step;
use crate::progress::{Reporter, Watched};
use crate::propose::settings_for;
use crate::rank::{Offer, describe_rejections};
use crate::server::Shared;
use crate::settings::Settings;
use crate::turns::{Lane, Turn};
use lacuna_text::{Change, Edit, Region, Snapshot, Spliced, syntax};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;
use tower_lsp::gen_lsp_types::{Range, Uri};
use tower_lsp::jsonrpc::{Error, Result};

/// Steps that wait to be reported.
const STEPS_MAX: usize = 16;

/// Bytes of a selection that is looked through for a marker: nobody selects more of a text to have one hole filled.
const SELECTION_BYTES_MAX: usize = 64 << 10;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ActionKind {
    /// Fill the marker, the empty body or the selection.
    Fill,
    /// Correct the selection, starting from its present text.
    Refine,
    /// Write the code under a diagnostic anew, with both sides in view.
    Repair,
    /// Write the rest of the body around the caret.
    Body,
}

impl ActionKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Fill, Self::Refine, Self::Repair, Self::Body];

    /// The kind of code action a client filters by.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Fill => "refactor.rewrite.lacuna.fill",
            Self::Refine => "refactor.rewrite.lacuna.refine",
            Self::Repair => "quickfix.lacuna.repair",
            Self::Body => "refactor.rewrite.lacuna.body",
        }
    }

    /// What a person reads.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Fill => "Lacuna: fill here",
            Self::Refine => "Lacuna: refine selection",
            Self::Repair => "Lacuna: repair",
            Self::Body => "Lacuna: complete this body",
        }
    }

    /// What to tell a person who asked where there is nothing to do.
    const fn nothing_there(self) -> &'static str {
        match self {
            Self::Fill => {
                "there is nothing to fill here: put the caret on a line with one marker (todo!(), ..., pass, ‹›) or an \
                 empty body, or select the code that is meant"
            }
            Self::Refine => "there is nothing to refine here: select the code to correct",
            Self::Repair => {
                "there is no code here that could be written anew: repair works on up to 20 lines"
            }
            Self::Body => "there is no body to complete here: put the caret into a function's",
        }
    }

    /// What would change, if there is something to do at `range`.
    #[must_use]
    pub fn region(self, snapshot: &Snapshot, range: std::ops::Range<usize>) -> Option<Region> {
        let selected = || Region::of_range(snapshot, range.clone()).ok();
        match self {
            Self::Fill => {
                let marker = Region::at(snapshot, range.start).ok().filter(is_marker);
                let caret = is_caret(snapshot, &range);
                match marker {
                    Some(marker) if caret || is_within(&range, &marker.range) => Some(marker),
                    // A person who jumped to the line means what is missing in it, wherever in it the caret is.
                    _ if caret => Region::sole_marker_of_line(snapshot, range.start),
                    _ => sole_marker(snapshot, &range).or_else(selected),
                }
            }
            Self::Refine if is_caret(snapshot, &range) => None,
            Self::Refine => selected().filter(|region| !region.text(snapshot).trim().is_empty()),
            Self::Repair => Region::repair(snapshot, range),
            Self::Body => Region::body(snapshot, range.start),
        }
    }
}

/// Whether the loaded model's files say that it follows instructions.
#[must_use]
pub fn follows_instructions(shared: &Shared) -> bool {
    shared.worker.model().is_some_and(|model| model.info.instruct)
}

/// Whether a region is a place that says of itself that code is missing.
#[must_use]
pub const fn is_marker(region: &Region) -> bool {
    matches!(region.reason, lacuna_text::Reason::Marker(_))
}

/// The marker of a selection that holds one and more code: an editor may ask for all of an expression when a person
/// means the hole in it (Eglot does), and to fill in never means to lose what is there.
fn sole_marker(snapshot: &Snapshot, range: &std::ops::Range<usize>) -> Option<Region> {
    if range.len() > SELECTION_BYTES_MAX {
        return None;
    }
    let markers = Region::find_markers_in(snapshot, range);
    let mut markers = markers.into_iter().filter(|region| !region.range.is_empty());
    markers.next().filter(|_| markers.next().is_none())
}

/// Whether a selection is but a caret: in some editors (Helix, Kakoune) it covers the character it is on.
fn is_caret(snapshot: &Snapshot, range: &std::ops::Range<usize>) -> bool {
    snapshot.text().byte_slice(range.clone()).len_chars() <= 1
}

const fn is_within(inner: &std::ops::Range<usize>, outer: &std::ops::Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

/// What a code action carries until it is resolved, and what the commands take.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Action {
    /// What to do.
    pub kind: ActionKind,
    /// In which document.
    pub uri: Uri,
    /// Of which version; `None` takes it as it is.
    pub version: Option<i32>,
    /// Where.
    pub range: Range,
    /// What the new code is to do, in words. Needs a model that follows instructions: offered, and done, with no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instruction: Option<String>,
    /// How much of a selection refining gives up; `None` is the setting's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strength: Option<f32>,
}

/// What came of an action.
#[derive(Debug)]
pub struct Done {
    /// The document the change is for.
    pub view: View,
    /// `None`: the text is best as it is.
    pub change: Option<Change>,
}

/// Does an action, with progress for the person who waits.
///
/// # Errors
/// `ContentModified` when the document is not any more what the action was offered for, `RequestCancelled`, or
/// `RequestFailed` with the reason.
pub async fn perform(
    shared: &Arc<Shared>,
    action: &Action,
    view: Option<View>,
    turn: &mut Turn,
) -> Result<Done> {
    let arrived = Instant::now();
    let view = view.ok_or_else(|| failed("the document is not open here: open it in the editor first"))?;
    let (settings, region) = check(shared, action, &view)?;
    let strength = action.strength.unwrap_or(settings.refine_strength);
    let wish = Wish {
        view: &view,
        snapshot: &view.snapshot,
        region,
        lane: Lane::Action,
        preset: settings.invoked_preset,
        candidates: settings.candidates,
        strength: (action.kind == ActionKind::Refine).then_some(strength),
        instruction: action.instruction.clone(),
        arrived,
    };
    let filled = fill_watched(shared, &settings, wish, action.kind.title(), turn).await;
    if !shared.documents().is_current(&view) {
        return Err(moved_on());
    }
    let filled = filled?;
    let serves = |offer: &&Offer| match (&offer.outcome, action.kind) {
        (Ok(spliced), ActionKind::Repair) => parses(&view.snapshot, spliced),
        _ => offer.answers(&filled.planned),
    };
    match filled.offers.iter().find(serves).map(|offer| &offer.outcome) {
        None if action.kind == ActionKind::Repair => Err(failed("no candidate for this place parses")),
        None => Err(failed(describe_rejections(&filled.offers))),
        Some(Err(_)) => Ok(Done { view, change: None }),
        Some(Ok(spliced)) => Ok(Done { change: Some(spliced.change.clone()), view }),
    }
}

/// What an action may change, with the settings it is done by.
fn check(shared: &Shared, action: &Action, view: &View) -> Result<(Arc<Settings>, Region)> {
    if action.version.is_some_and(|version| version != view.version) {
        return Err(moved_on());
    }
    let settings = settings_for(shared, view).map_err(failed)?;
    if action.instruction.is_some() && !follows_instructions(shared) {
        return Err(failed(
            "the model does not follow instructions (its directory holds no chat template); ask without one",
        ));
    }
    let range = convert::range(&view.snapshot, action.range, shared.encoding());
    let region = action.kind.region(&view.snapshot, range);
    Ok((settings, region.ok_or_else(|| failed(action.kind.nothing_there()))?))
}

/// Fills with progress. A newer text, the end of the document and the person who waits can each end it, at once.
async fn fill_watched(
    shared: &Arc<Shared>,
    settings: &Settings,
    wish: Wish<'_>,
    title: &'static str,
    turn: &mut Turn,
) -> Result<Filled> {
    let mut watched = Watched::begin(shared, title);
    let (steps, reports) = mpsc::channel(STEPS_MAX);
    let cancel = turn.cancel.clone();
    let (documents, seen, moved) = (Arc::clone(shared), wish.view.clone(), cancel.clone());
    let on_step = Box::new(move |step| {
        if !documents.documents().is_current(&seen) {
            moved.cancel();
        }
        // Steps come faster than a client draws; those it has no time for are not worth waiting for.
        let _ = steps.try_send(step);
    });
    let reporter = watched.reporter();
    let work = async {
        let work = fill(shared, settings, wish, &cancel, Some(on_step));
        tokio::join!(work, report(reporter, reports)).0
    };
    tokio::select! {
        biased;
        () = turn.superseded() => {}
        () = watched.cancelled() => {}
        filled = work => return Ok(filled?),
    }
    cancel.cancel();
    Err(Error::request_cancelled())
}

async fn report(reporter: Option<Reporter>, mut steps: mpsc::Receiver<Step>) {
    let mut most = 0;
    while let Some(Step { step, steps_max }) = steps.recv().await {
        // A long text is made block by block, and each counts from 1: the bar does not go back.
        most = most.max(u32::try_from(100 * step / steps_max.max(1)).unwrap_or(100).min(100));
        if let Some(reporter) = &reporter {
            reporter.report(format!("step {step} of at most {steps_max}"), most);
        }
    }
}

/// Whether what a candidate writes parses where it stands.
fn parses(snapshot: &Snapshot, spliced: &Spliced) -> bool {
    let Change { range, insert } = &spliced.change;
    let written = range.start..range.start + insert.len();
    let Ok(after) = snapshot.edited(&Edit::single(spliced.change.clone())) else { return false };
    after.tree_near(&written).is_none_or(|tree| syntax::error_count_in(&tree, written.clone()) == 0)
}

fn moved_on() -> Error {
    stale("the document has changed since this was offered; ask again")
}

#[cfg(test)]
mod tests {
    use super::*;
    use lacuna_text::{Document, Language};

    /// What `kind` would change where `[` and `]` mark a selection.
    fn region(kind: ActionKind, marked: &str) -> Option<String> {
        let start = marked.find('[').unwrap();
        let end = marked.find(']').unwrap() - 1;
        let text = marked.replacen('[', "", 1).replacen(']', "", 1);
        let document = Document::new(&text, Language::Rust);
        kind.region(&document, start..end).map(|region| region.text(&document))
    }

    #[test]
    fn a_caret_means_the_marker_it_is_on() {
        let fill = |marked| region(ActionKind::Fill, marked);
        assert_eq!(fill("fn f() { []todo!() }").as_deref(), Some("todo!()"));
        assert_eq!(fill("fn f() { to[]do!() }").as_deref(), Some("todo!()"));
        assert_eq!(
            fill("fn f() { [t]odo!() }").as_deref(),
            Some("todo!()"),
            "a caret that is one character wide"
        );
        assert_eq!(fill("fn f() { [tod]o!() }").as_deref(), Some("todo!()"));
        assert_eq!(fill("fn f() { g([‹]›) }").as_deref(), Some("‹›"));
        assert_eq!(fill("fn f() {[]}").as_deref(), Some(""));
        assert_eq!(fill("fn f() { let a = []1; }"), None);
        assert_eq!(fill("[]    todo!(); // later"), Some("todo!();".to_owned()), "the only one of the line");
        assert_eq!(fill("fn f() {\n[]    g(‹›)\n}").as_deref(), Some("‹›"));
        assert_eq!(fill("[]fn f() {\n}\nfn g() { todo!() }").as_deref(), Some("\n"), "a body begins here");
        assert_eq!(fill("[]fn f() { (todo!(), todo!()) }"), None, "which of the two?");
        assert_eq!(fill("[]fn f() {\n    todo!()\n}"), None, "that is another line");
        assert_eq!(fill("fn f() { let a = [1]; }"), None);
        assert_eq!(fill("fn f() { let a = [1 + 2]; }").as_deref(), Some("1 + 2"));
        assert_eq!(
            fill("fn f() { [let a = 1; todo!()] }").as_deref(),
            Some("todo!()"),
            "what is there stays"
        );
        assert_eq!(fill("[fn f() { g(‹›) }]").as_deref(), Some("‹›"));
        assert_eq!(fill("fn f() { [todo!(); todo!()] }").as_deref(), Some("todo!(); todo!()"));
    }

    #[test]
    fn only_a_selection_with_code_is_refined() {
        let refine = |marked| region(ActionKind::Refine, marked);
        assert_eq!(refine("fn f() { [let a = 1;] }").as_deref(), Some("let a = 1;"));
        assert_eq!(refine("fn f() { [  ] }"), None);
        assert_eq!(refine("fn f() { l[e]t a = 1; }"), None);
    }
}
