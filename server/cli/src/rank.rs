//! Candidates as they would stand in the file: spliced, then ranked by syntax first and the engine's score second.

use lacuna_engine::Candidate;
use lacuna_text::{Plan, Rejected, Snapshot, Spliced, splice};
use std::cmp::Reverse;

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
    pub fn text(&self) -> &str {
        self.outcome.as_ref().map_or(&self.candidate.text, |spliced| &spliced.text)
    }

    /// Whether it can be used.
    pub const fn is_usable(&self) -> bool {
        self.outcome.is_ok()
    }
}

/// Splices every candidate and sorts them: usable ones first, then by score. Of candidates that trimming made equal
/// the better one stays.
pub fn rank(snapshot: &Snapshot, plan: &Plan, candidates: Vec<Candidate>) -> Vec<Offer> {
    let mut offers: Vec<Offer> = candidates
        .into_iter()
        .map(|candidate| Offer { outcome: splice(snapshot, plan, &candidate.text), candidate })
        .collect();
    offers.sort_by_key(|offer| (!offer.is_usable(), Reverse(Score(offer.candidate.score))));
    let mut kept: Vec<Offer> = Vec::with_capacity(offers.len());
    for offer in offers {
        if !kept.iter().any(|other| other.is_usable() == offer.is_usable() && other.text() == offer.text()) {
            kept.push(offer);
        }
    }
    kept
}

/// Why nothing can be used, in one line.
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
    use lacuna_text::{Document, Language, PlanSettings, Region, plan};

    fn candidate(text: &str, score: f32) -> Candidate {
        Candidate {
            text: text.to_owned(),
            tokens: 1,
            score,
            log_prob_hole: 0.0,
            log_prob_suffix: 0.0,
            entropy_mean: 0.0,
            steps: 1,
            settled: true,
        }
    }

    fn ranked(candidates: &[(&str, f32)]) -> Vec<Offer> {
        let document = Document::new("fn f() -> u8 {\n    todo!()\n}\n", Language::Rust);
        let region = Region::find_markers(&document).remove(0);
        let tokens = |text: &str| text.len();
        let plan = plan(&document, &region, &PlanSettings::default(), &tokens).unwrap();
        rank(&document, &plan, candidates.iter().map(|(text, score)| candidate(text, *score)).collect())
    }

    #[test]
    fn syntax_comes_before_score() {
        let offers = ranked(&[("let = ((", -1.0), ("7", -9.0), ("8", -3.0), ("", 0.0)]);
        let order: Vec<(&str, bool)> = offers.iter().map(|offer| (offer.text(), offer.is_usable())).collect();
        assert_eq!(order, [("8", true), ("7", true), ("", false), ("let = ((", false)]);
    }

    #[test]
    fn a_score_that_is_no_number_comes_last() {
        let offers = ranked(&[("7", f32::NAN), ("8", -3.0)]);
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
