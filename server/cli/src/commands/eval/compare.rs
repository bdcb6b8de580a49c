//! Whether quality fell against a committed scorecard, by more than the noise of having drawn these cases.
//!
//! Paired over cases: the mean difference of exact match and of edit similarity, each with its 95 % bootstrap interval.
//! Quality fell when a whole interval lies below zero. Another processor rounds differently and may turn single answers
//! over, to both sides; that is noise too. Times are not compared.

use super::board::Run;
use super::bootstrap::{Interval, interval};
use super::kept::Answers;
use super::methods::Way;
use super::metrics::mean;

/// One measure, then and now.
#[derive(Clone, Debug)]
pub struct Change {
    /// `exact match` or `edit similarity`.
    pub measure: &'static str,
    /// Mean of the committed run over the cases that both have.
    pub before: f64,
    /// Mean of this run.
    pub after: f64,
    /// Where the mean difference lies.
    pub difference: Interval,
    /// Cases.
    pub cases: usize,
}

impl Change {
    /// Whether the measure fell by more than noise.
    pub fn fell(&self) -> bool {
        self.difference.high < 0.0
    }

    /// Whether it rose by more than noise.
    pub fn rose(&self) -> bool {
        self.difference.low > 0.0
    }

    /// In one line.
    pub fn describe(&self) -> String {
        let points = |value: f64| format!("{:+.1}", value * 100.0);
        let (low, high) = (points(self.difference.low), points(self.difference.high));
        let verdict = match (self.fell(), self.rose()) {
            (true, _) => "FELL by more than noise",
            (_, true) => "rose by more than noise",
            _ => "no change beyond noise",
        };
        format!(
            "{}: {:.1} % → {:.1} % ({} points, 95 % interval {low} to {high}, {} cases): {verdict}",
            self.measure,
            self.before * 100.0,
            self.after * 100.0,
            points(self.after - self.before),
            self.cases
        )
    }
}

/// Of the answers that are shown, the share that must keep the syntax.
const SYNTAX_KEPT_MIN: f64 = 0.97;

/// Of all cases, the share whose answer may end with what stands after the hole.
const REPEATS_SUFFIX_MAX: f64 = 0.005;

/// What a run of ours must hold, whatever was committed before: what is shown is code, and says nothing twice.
pub fn broken_promises(run: &Run) -> Vec<String> {
    if run.way != Way::Diffusion {
        return Vec::new();
    }
    let share = |values: Vec<bool>| mean(values.into_iter().map(|value| f64::from(u8::from(value))));
    let shown = run.outcomes.iter().filter(|outcome| outcome.answered);
    let kept = share(shown.map(|outcome| outcome.syntax_kept).collect());
    let repeated = share(run.outcomes.iter().map(|outcome| outcome.repeats_suffix).collect());
    let mut broken = Vec::new();
    if kept < SYNTAX_KEPT_MIN {
        let least = SYNTAX_KEPT_MIN * 100.0;
        broken.push(format!(
            "{:.1} % of the answers keep the syntax, expected at least {least} %",
            kept * 100.0
        ));
    }
    if repeated > REPEATS_SUFFIX_MAX {
        let most = REPEATS_SUFFIX_MAX * 100.0;
        broken.push(format!(
            "{:.1} % repeat what follows the hole, expected at most {most} %",
            repeated * 100.0
        ));
    }
    broken
}

/// The changes of one method's run against what was kept of it.
///
/// # Errors
/// A case that was not kept: the scorecard is of other cases.
pub fn changes(run: &Run, kept: &Answers) -> Result<[Change; 2], String> {
    let mut pairs = Vec::with_capacity(run.outcomes.len());
    for outcome in &run.outcomes {
        let before = kept.get(&outcome.task_id).ok_or_else(|| {
            format!("the scorecard has no case {}; write it anew with --scorecard", outcome.task_id)
        })?;
        // Rounded as the kept one is, or an unchanged answer would seem to change.
        let similarity = (outcome.edit_similarity * 100.0).round() / 100.0;
        pairs.push((*before, f64::from(u8::from(outcome.exact_match)), similarity));
    }
    let exact: Vec<(f64, f64)> = pairs.iter().map(|(before, exact, _)| (before.exact, *exact)).collect();
    let similar = pairs.iter().map(|(before, _, similarity)| (before.similarity, *similarity));
    Ok([change("exact match", &exact), change("edit similarity", &similar.collect::<Vec<_>>())])
}

fn change(measure: &'static str, pairs: &[(f64, f64)]) -> Change {
    let differences: Vec<f64> = pairs.iter().map(|(before, after)| after - before).collect();
    Change {
        measure,
        before: mean(pairs.iter().map(|(before, _)| *before)),
        after: mean(pairs.iter().map(|(_, after)| *after)),
        difference: interval(&differences),
        cases: pairs.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::eval::answer::tests::outcome;
    use crate::commands::eval::kept::Kept;

    /// 200 cases of which `before` and `after` are exact, from the first on.
    fn exact_match(before: usize, after: usize) -> Change {
        let outcomes = (0..200).map(|n| {
            let mut outcome = outcome("line", n < after, 1.0);
            outcome.task_id = n.to_string();
            outcome
        });
        let run = Run { way: Way::Diffusion, outcomes: outcomes.collect(), frames: Vec::new() };
        let kept = |n: usize| Kept { exact: f64::from(u8::from(n < before)), similarity: 0.5 };
        let kept = (0..200).map(|n| (n.to_string(), kept(n))).collect();
        changes(&run, &kept).unwrap()[0].clone()
    }

    #[test]
    fn the_same_answers_are_no_change() {
        let change = exact_match(50, 50);
        assert!(!change.fell() && !change.rose());
        assert!(change.describe().ends_with("no change beyond noise"), "{}", change.describe());
    }

    #[test]
    fn one_answer_turned_over_is_noise_and_ten_are_not() {
        assert!(!exact_match(50, 49).fell());
        assert!(exact_match(50, 40).fell());
        assert!(exact_match(40, 50).rose());
        let line = exact_match(50, 40).describe();
        assert!(line.starts_with("exact match: 25.0 % → 20.0 % (-5.0 points"), "{line}");
    }

    #[test]
    fn broken_syntax_and_repeated_suffixes_are_counted() {
        let run = |broken: usize, repeats: usize| {
            let outcomes = (0..200).map(|n| {
                let mut outcome = outcome("line", false, 0.5);
                (outcome.syntax_kept, outcome.repeats_suffix) = (n >= broken, n < repeats);
                outcome
            });
            Run { way: Way::Diffusion, outcomes: outcomes.collect(), frames: Vec::new() }
        };
        assert!(broken_promises(&run(6, 1)).is_empty());
        assert_eq!(
            broken_promises(&run(7, 2)),
            [
                "96.5 % of the answers keep the syntax, expected at least 97 %",
                "1.0 % repeat what follows the hole, expected at most 0.5 %"
            ]
        );
    }

    #[test]
    fn unknown_cases_are_named() {
        let run = Run { way: Way::Copy, outcomes: vec![outcome("line", true, 1.0)], frames: Vec::new() };
        assert!(changes(&run, &Answers::new()).unwrap_err().contains("no case t;"));
    }
}
