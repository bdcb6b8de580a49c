//! Candidates as they would stand in the file: spliced, then ranked by syntax first and the engine's order second.

use crate::distance::differing;
use crate::planned::Planned;
use lacuna_engine::{Candidate, Start};
use lacuna_text::{Rejected, Snapshot, Spliced, Splicer};
use std::cmp::Reverse;

/// Share of a text that refining gives up where nobody says how much: the command line's and the server's default.
///
/// Chosen of 0.1, 0.2, 0.3, 0.4, 0.5 and 0.7 with the foundation's model, on 63 lines with a fault and 28 without of other
/// cases than those of `benches/refine.csv` (`lacuna eval --refine`): it repaired as much as any, and made nothing worse.
pub const REFINE_STRENGTH: f32 = 0.4;

/// What a change of the text that is refined must win for every code token in which it differs from that text, in nats of
/// the score.
///
/// A score alone says how likely a text is, and the likeliest one is seldom what the author of the present one meant: with
/// no cost, most refinements of right code made it wrong. Read as a noisy channel, log p(meant | present) is log p(meant),
/// the score, and log p(present | meant), which falls with each token that would have to be a slip. Chosen with `lacuna eval
/// --refine` on the same lines as [`REFINE_STRENGTH`]: below 8 more than a tenth as many lines are made worse as are repaired,
/// above 11 fewer are repaired.
pub const CHANGE_COST: f32 = 10.0;

/// A candidate and what becomes of it in the file.
#[derive(Clone, Debug)]
pub struct Offer {
    /// What the engine said.
    pub candidate: Candidate,
    /// The change it makes, or why it is not offered.
    pub outcome: Result<Spliced, Rejected>,
}

impl Offer {
    /// The text that would stand in the hole; the engine's own text where it is rejected.
    #[must_use]
    pub fn text(&self) -> &str {
        self.outcome.as_ref().map_or(&self.candidate.text, |spliced| &spliced.text)
    }

    /// Whether it can be used.
    #[must_use]
    pub const fn is_usable(&self) -> bool {
        self.outcome.is_ok()
    }

    /// Whether it is the text that is there.
    #[must_use]
    pub const fn is_unchanged(&self) -> bool {
        matches!(self.outcome, Err(Rejected::Unchanged))
    }

    /// Whether it may be the answer to `planned`: it can be used, or a text is refined and this is the text as it is.
    #[must_use]
    pub const fn answers(&self, planned: &Planned) -> bool {
        self.is_usable() || (planned.refines() && self.is_unchanged())
    }
}

/// Splices every candidate, sorts them (those that answer the job first, then in the engine's order; where a text is refined by
/// score less [`CHANGE_COST`]) and cuts the list to what was asked for. The cut comes last: a candidate with syntax errors takes no other one's place. Of candidates that
/// trimming made equal the better one stays; at equal scores the present text comes before a change of it.
#[must_use]
pub fn rank(snapshot: &Snapshot, planned: &Planned, candidates: Vec<Candidate>) -> Vec<Offer> {
    let mut splicer = Splicer::new(snapshot, &planned.plan);
    let mut offers: Vec<Offer> = candidates
        .into_iter()
        .map(|candidate| Offer { outcome: outcome(&mut splicer, planned, &candidate), candidate })
        .collect();
    if !planned.refines() {
        reject_broken(&mut offers);
        if !planned.request.kind.is_multiline() {
            trust_the_sure(&mut offers, &mut splicer);
        }
    }
    offers.sort_by_cached_key(|offer| {
        let value = cost_of_change(planned, offer).map(|cost| Score(offer.candidate.score - cost));
        (!offer.answers(planned), Reverse(value), !offer.is_unchanged() && value.is_some())
    });
    let mut kept: Vec<Offer> = Vec::with_capacity(offers.len());
    for offer in offers {
        let equal = |other: &Offer| match (offer.is_unchanged(), other.is_unchanged()) {
            (false, false) => other.is_usable() == offer.is_usable() && other.text() == offer.text(),
            (mine, its) => mine && its,
        };
        if !kept.iter().any(equal) {
            kept.push(offer);
        }
    }
    kept.truncate(planned.request.sampling.candidates.unwrap_or(usize::MAX));
    kept
}

/// Rejects what has more syntax errors than another candidate: that one shows how many there need not be.
fn reject_broken(offers: &mut [Offer]) {
    let errors = |offer: &Offer| offer.outcome.as_ref().ok().map(|spliced| spliced.errors_after);
    let Some(before) = offers.iter().filter_map(errors).min() else { return };
    for offer in offers {
        if let Some(after) = errors(offer).filter(|&after| after > before) {
            offer.outcome = Err(Rejected::Syntax { before, after });
        }
    }
}

/// A candidate that is at least this sure and [`TRUSTED_BEFORE`] times as sure as all that can be used is trusted where the
/// document's syntax is broken anyway. Chosen on development cases (`model/training/README.md`).
const TRUSTED_MIN: f32 = 0.3;

/// See [`TRUSTED_MIN`].
const TRUSTED_BEFORE: f32 = 20.0;

/// Offers what was rejected for its syntax where the model is sure of it and of nothing else. Where a document does not parse
/// without the candidate either (half of it is being written, or it is a fragment), its errors tell little: what
/// happens to continue a string of which nobody saw the beginning has the fewest. For holes in one line: of several lines
/// the model is surest of the first word.
fn trust_the_sure(offers: &mut [Offer], splicer: &mut Splicer<'_>) {
    let stated = |offer: &Offer| offer.candidate.confidence.unwrap_or(0.0);
    let usable = offers.iter().filter(|offer| offer.is_usable()).map(stated).fold(0.0, f32::max);
    let broken = |offer: &&mut Offer| matches!(offer.outcome, Err(Rejected::Syntax { before: 1.., .. }));
    let surest = offers.iter_mut().filter(broken).max_by(|a, b| stated(a).total_cmp(&stated(b)));
    if let Some(surest) = surest.filter(|offer| stated(offer) >= TRUSTED_MIN.max(TRUSTED_BEFORE * usable))
        && let Ok(spliced) = splicer.splice_as_it_is(&surest.candidate.text)
    {
        surest.outcome = Ok(spliced);
    }
}

/// What its change costs, where a text is refined.
fn cost_of_change(planned: &Planned, offer: &Offer) -> Option<f32> {
    match &planned.request.start {
        Start::Text { .. } if offer.is_unchanged() => Some(0.0),
        Start::Text { text, .. } => Some(CHANGE_COST * differing(text, offer.text()) as f32),
        _ => None,
    }
}

/// The change that a candidate makes. The text that is refined stands as it is: where its syntax is broken, trimming it would
/// make another text of it.
fn outcome(splicer: &mut Splicer<'_>, planned: &Planned, candidate: &Candidate) -> Result<Spliced, Rejected> {
    match &planned.request.start {
        Start::Text { text, .. } if *text == candidate.text => Err(Rejected::Unchanged),
        Start::Template(_) => splicer.splice_whole(&candidate.text),
        _ => splicer.splice(&candidate.text),
    }
}

/// Why nothing can be used, in one line.
#[must_use]
pub fn describe_rejections(offers: &[Offer]) -> String {
    let mut reasons: Vec<(&'static str, usize)> = Vec::new();
    for offer in offers {
        let Err(rejected) = &offer.outcome else { continue };
        let reason = short_reason(rejected);
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => reasons.push((reason, 1)),
        }
    }
    if reasons.is_empty() {
        return "the model offered nothing".to_owned();
    }
    let parts: Vec<String> = reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    format!("no usable candidate: {}", parts.join(", "))
}

/// A rejection in a word or two, for lists.
#[must_use]
pub const fn short_reason(rejected: &Rejected) -> &'static str {
    match rejected {
        Rejected::Blank => "blank",
        Rejected::Repeats => "only repeating the code around the hole",
        Rejected::Unchanged => "the same as what is there",
        Rejected::Syntax { .. } => "with syntax errors",
        Rejected::Stale { .. } => "made for an older text",
    }
}

/// A score with an order: higher is better, not-a-number worst.
#[derive(Clone, Copy)]
struct Score(f32);

impl PartialEq for Score {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Score {}
impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Score {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let key = |score: f32| if score.is_nan() { f32::NEG_INFINITY } else { score };
        key(self.0).total_cmp(&key(other.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model;
    use crate::planned::Budgets;
    use lacuna_engine::scripted::ScriptedEngine;
    use lacuna_engine::{Origin, Sampling};
    use lacuna_text::{Document, Language, Region};

    fn candidate(text: &str, score: f32) -> Candidate {
        Candidate {
            text: text.to_owned(),
            tokens: 1,
            score,
            log_prob_hole: 0.0,
            log_prob_suffix: 0.0,
            confidence: None,
            entropy_mean: 0.0,
            origin: Origin::Noise,
            steps: 1,
            settled: true,
        }
    }

    fn ranked_for(limit: Option<usize>, refine: bool, candidates: &[(&str, f32)]) -> Vec<Offer> {
        let document = Document::new("fn f() -> u8 {\n    todo!()\n}\n", Language::Rust);
        let region = Region::find_markers(&document).remove(0);
        let sampling = Sampling { candidates: limit, ..Sampling::default() };
        let model = Model::of(&ScriptedEngine::new([]));
        let mut planned = Planned::new(&document, &region, &sampling, &model, &Budgets::default()).unwrap();
        if refine {
            planned = planned.refining(0.5);
        }
        rank(&document, &planned, candidates.iter().map(|(text, score)| candidate(text, *score)).collect())
    }

    fn ranked(candidates: &[(&str, f32)]) -> Vec<Offer> {
        ranked_for(None, false, candidates)
    }

    #[test]
    fn syntax_comes_before_the_engine_s_order_and_that_before_the_score() {
        let offers = ranked(&[("", 0.0), ("let = ((", -1.0), ("7", -9.0), ("8", -3.0)]);
        let order: Vec<(&str, bool)> = offers.iter().map(|offer| (offer.text(), offer.is_usable())).collect();
        assert_eq!(order, [("7", true), ("8", true), ("", false), ("let = ((", false)]);
    }

    #[test]
    fn the_list_is_cut_after_syntax_was_judged() {
        let candidates = [("let = ((", -1.0), ("((", -2.0), ("8", -3.0), ("7", -9.0)];
        let texts = |offers: Vec<Offer>| offers.iter().map(|o| o.text().to_owned()).collect::<Vec<_>>();
        assert_eq!(texts(ranked_for(Some(1), false, &candidates)), ["8"]);
        assert_eq!(texts(ranked_for(Some(3), false, &candidates)), ["8", "7", "let = (("]);
        assert_eq!(ranked(&candidates).len(), 4);
    }

    #[test]
    fn what_breaks_more_than_another_candidate_is_not_offered() {
        // No name in the hole gives the function its end.
        let document = Document::new("fn f() {\n    let a = todo!();\n", Language::Rust);
        let region = Region::find_markers(&document).remove(0);
        let model = Model::of(&ScriptedEngine::new([]));
        let budgets = Budgets::default();
        let planned = Planned::new(&document, &region, &Sampling::default(), &model, &budgets).unwrap();
        let usable = |texts: &[&str]| {
            let offers = rank(&document, &planned, texts.iter().map(|text| candidate(text, -1.0)).collect());
            let usable = offers.into_iter().filter(Offer::is_usable);
            usable.map(|offer| offer.text().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(usable(&["1"]), ["1"], "no worse than it was");
        assert_eq!(usable(&["1", "1; }"]), ["1; }"]);
    }

    /// The texts that are offered for the hole after `before` in Python, of candidates with these stated probabilities.
    fn offered_between(before: &str, after: &str, stated: &[(&str, f32)]) -> Vec<String> {
        let document = Document::new(&format!("{before}{after}"), Language::Python);
        let region = Region::at(&document, before.len()).unwrap();
        let model = Model::of(&ScriptedEngine::new([]));
        let budgets = Budgets::default();
        let planned = Planned::new(&document, &region, &Sampling::default(), &model, &budgets).unwrap();
        let made = |&(text, confidence): &(&str, f32)| Candidate {
            confidence: Some(confidence),
            ..candidate(text, confidence)
        };
        let offers = rank(&document, &planned, stated.iter().map(made).collect());
        offers.iter().filter(|offer| offer.is_usable()).map(|offer| offer.text().to_owned()).collect()
    }

    #[test]
    fn in_a_fragment_that_never_parses_the_model_is_trusted_where_it_is_sure_of_one_text_alone() {
        let before =
            "returns it\n    \"\"\"\n    if (a and\n            b):\n        for name, value in self.";
        let after =
            "\n        rows.append(name)\n    return rows\n\n\ndef other():\n    \"\"\"Says more.\"\"\"\n";
        let closing = "the rest of a text.\"\"\"";
        let offered = |sure, other| offered_between(before, after, &[("names:", sure), (closing, other)]);
        assert_eq!(offered(0.4, 0.01), ["names:", closing]);
        assert_eq!(offered(0.4, 0.03), [closing], "not 20 times as sure");
        assert_eq!(offered(0.2, 0.001), [closing], "not sure");
    }

    #[test]
    fn in_a_document_that_parses_no_candidate_is_sure_enough_to_break_it() {
        let offered = offered_between("def f(a):\n    return ", "\n", &[("a + (", 0.9), ("a", 0.01)]);
        assert_eq!(offered, ["a"]);
    }

    #[test]
    fn only_where_a_text_is_refined_the_present_one_competes() {
        let order = |refine, present| {
            let offers = ranked_for(None, refine, &[("8", -3.0), ("todo!()", present), ("((", 0.0)]);
            offers.iter().map(|offer| offer.text().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(order(false, -1.0), ["8", "todo!()", "(("]);
        assert_eq!(order(true, -1.0), ["todo!()", "8", "(("]);
        // Four tokens go and one comes.
        let cost = 5.0 * CHANGE_COST;
        assert_eq!(order(true, -3.0 - cost), ["todo!()", "8", "(("], "a change must be better, not as good");
        assert_eq!(order(true, -4.0 - cost), ["8", "todo!()", "(("]);
    }

    #[test]
    fn of_two_changes_of_a_text_the_smaller_one_may_score_worse() {
        let candidates = [("8", -3.0), ("todo!(8)", -12.0), ("todo!()", -60.0)];
        let first = |refine| ranked_for(None, refine, &candidates)[0].text().to_owned();
        assert_eq!((first(true).as_str(), first(false).as_str()), ("todo!(8)", "8"));
    }

    #[test]
    fn the_text_that_is_refined_stays_what_it_is_where_its_syntax_is_broken() {
        let document = Document::new("def f():\n    return g(1\n", Language::Python);
        let at = document.text().to_string().find("return").unwrap();
        let region = Region::of_range(&document, at..at + 10).unwrap();
        let model = Model::of(&ScriptedEngine::new([]));
        let budgets = Budgets::default();
        let planned = Planned::new(&document, &region, &Sampling::default(), &model, &budgets).unwrap();
        let offers = rank(&document, &planned.refining(0.5), vec![candidate("return g(1", -1.0)]);
        assert!(offers[0].is_unchanged(), "{:?}", offers[0].outcome);
    }

    #[test]
    fn a_score_that_is_no_number_comes_last() {
        let offers = ranked_for(None, true, &[("7", f32::NAN), ("8", -3.0)]);
        assert_eq!(offers.iter().map(Offer::text).collect::<Vec<_>>(), ["8", "7"]);
    }

    #[test]
    fn candidates_that_end_up_equal_are_offered_once() {
        let offers = ranked(&[("8\n}", -3.0), ("8", -4.0)]);
        assert_eq!(offers.iter().map(Offer::text).collect::<Vec<_>>(), ["8"]);
    }

    #[test]
    fn rejections_are_counted_by_reason() {
        let offers = ranked(&[("let = ((", -1.0), (" ", -2.0), ("", -3.0)]);
        assert_eq!(describe_rejections(&offers), "no usable candidate: 1 with syntax errors, 2 blank");
        assert_eq!(describe_rejections(&[]), "the model offered nothing");
    }
}
