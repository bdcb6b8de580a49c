//! The scorecard: one row of numbers a kind, language and method, as CSV whose differences a person can read.

use super::answer::Outcome;
use super::board::Run;
use super::bootstrap::interval;
use super::calibration::{expected_error, reliability};
use super::methods::Way;
use super::metrics::{mean, percentile};
use std::fmt::Write;

/// The columns. Shares and probabilities are 0 to 1; `_low` and `_high` bound a 95 % bootstrap interval over cases.
/// `syntax_kept`, `steps` and `confidence` are over answers, all else over cases. `engine_blank`: what the engine scores
/// best has no text. `engine_best_exact`: it is exact, before syntax is looked at. `oracle_4` and `oracle`: any of the first
/// four, or of all candidates is exact. `calibration_error` is empty below [`CALIBRATED_MIN`] answers.
const HEAD: &str = "kind,language,method,cases,exact,exact_low,exact_high,similarity,similarity_low,similarity_high,\
    syntax_kept,repeats_suffix,no_answer,engine_blank,engine_best_exact,oracle_4,oracle,confidence,calibration_error,\
    steps,tokens_per_forward,ms_p50,ms_p95";

/// Fewer answers than this have no calibration worth a number.
const CALIBRATED_MIN: usize = 100;
/// As written for the rows over all kinds or all languages.
pub const ALL: &str = "all";
const KINDS: [&str; 4] = ["line", "span", "lines", "body"];

/// All rows: kinds, then languages, then methods; sums last.
pub fn csv(runs: &[Run]) -> String {
    let outcomes = || runs.iter().flat_map(|run| &run.outcomes);
    let kinds = names(outcomes().map(|outcome| outcome.kind.as_str()), &KINDS);
    let languages = names(outcomes().map(|outcome| outcome.language), &["rust", "python", "typescript"]);
    let mut csv = format!("{HEAD}\n");
    for kind in &kinds {
        for language in &languages {
            for run in runs {
                let chosen: Vec<&Outcome> =
                    run.outcomes.iter().filter(|outcome| belongs(outcome, kind, language)).collect();
                if !chosen.is_empty() {
                    csv += &row(kind, language, run.way, &chosen);
                }
            }
        }
    }
    csv
}

/// The reliability table of every method over all cases, least confident first.
pub fn calibration_csv(runs: &[Run]) -> String {
    let mut csv = "method,bin,answers,confidence,exact\n".to_owned();
    for run in runs.iter().filter(|run| run.way != Way::Copy) {
        for (number, bin) in reliability(&stated(&run.outcomes)).iter().enumerate() {
            let (name, count) = (run.way.name(), bin.count);
            // Writing to a string cannot fail.
            let _ = writeln!(csv, "{name},{},{count},{:.3},{:.3}", number + 1, bin.confidence, bin.exact);
        }
    }
    csv
}

/// The names that occur, the known ones first in their order, others by alphabet, then [`ALL`].
fn names<'a>(found: impl Iterator<Item = &'a str>, known: &[&'a str]) -> Vec<&'a str> {
    let mut names: Vec<&str> = found.collect();
    names.sort_unstable();
    names.dedup();
    names.sort_by_key(|name| known.iter().position(|known| known == name).unwrap_or(known.len()));
    names.push(ALL);
    names
}

fn belongs(outcome: &Outcome, kind: &str, language: &str) -> bool {
    (kind == ALL || outcome.kind == kind) && (language == ALL || outcome.language == language)
}

fn row(kind: &str, language: &str, way: Way, outcomes: &[&Outcome]) -> String {
    let answered: Vec<&Outcome> = outcomes.iter().copied().filter(|outcome| outcome.answered).collect();
    let share = |of: &[&Outcome], holds: fn(&Outcome) -> bool| mean(of.iter().map(|o| flag(holds(o))));
    let exact: Vec<f64> = outcomes.iter().map(|outcome| flag(outcome.exact_match)).collect();
    let similar: Vec<f64> = outcomes.iter().map(|outcome| outcome.edit_similarity).collect();
    let (exact_in, similar_in) = (interval(&exact), interval(&similar));
    let times: Vec<f64> = outcomes.iter().map(|outcome| outcome.latency_ms).collect();
    let forwards: usize = outcomes.iter().map(|outcome| outcome.forwards).sum();
    let tokens: usize = outcomes.iter().map(|outcome| outcome.tokens).sum();
    let shares = [
        mean(exact.iter().copied()),
        exact_in.low,
        exact_in.high,
        mean(similar.iter().copied()),
        similar_in.low,
        similar_in.high,
        share(&answered, |outcome| outcome.syntax_kept),
        share(outcomes, |outcome| outcome.repeats_suffix),
        share(outcomes, |outcome| !outcome.answered),
        share(outcomes, |outcome| outcome.engine_best.trim().is_empty()),
        share(outcomes, |outcome| outcome.engine_best_exact),
        share(outcomes, |outcome| outcome.exact_within(4)),
        share(outcomes, |outcome| outcome.exact_within(usize::MAX)),
    ];
    let mut line = format!("{kind},{language},{},{}", way.name(), outcomes.len());
    for value in shares {
        let _ = write!(line, ",{value:.3}");
    }
    let steps = mean(answered.iter().map(|outcome| outcome.steps as f64));
    let rate = if forwards == 0 { 0.0 } else { tokens as f64 / forwards as f64 };
    let ms = |percent: f64| percentile(&times, percent).unwrap_or(0.0);
    let _ = writeln!(
        line,
        ",{},{steps:.1},{rate:.2},{:.0},{:.0}",
        calibrated(way, &answered),
        ms(50.0),
        ms(95.0)
    );
    line
}

/// Mean confidence and calibration error; empty for who states none, or too few times.
fn calibrated(way: Way, answered: &[&Outcome]) -> String {
    if way == Way::Copy {
        return ",".to_owned();
    }
    let confidence = mean(answered.iter().map(|outcome| outcome.confidence));
    if answered.len() < CALIBRATED_MIN {
        return format!("{confidence:.3},");
    }
    let error = expected_error(&reliability(&stated(answered.iter().copied())));
    format!("{confidence:.3},{error:.3}")
}

fn stated<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> Vec<(f64, bool)> {
    let answered = outcomes.into_iter().filter(|outcome| outcome.answered);
    answered.map(|outcome| (outcome.confidence, outcome.exact_match)).collect()
}

fn flag(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::eval::answer::tests::outcome;

    fn runs() -> Vec<Run> {
        let line = |exact| outcome("line", exact, 10.0);
        let body = Outcome { language: "zig", ..outcome("body", false, 30.0) };
        let outcomes = vec![line(true), line(false), body];
        vec![Run { way: Way::Diffusion, outcomes, frames: Vec::new() }]
    }

    #[test]
    fn rows_come_in_one_order_with_sums_last() {
        let csv = csv(&runs());
        let rows: Vec<String> =
            csv.lines().map(|line| line.split(',').take(4).collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            rows,
            [
                "kind language method cases",
                "line rust diffusion 2",
                "line all diffusion 2",
                "body zig diffusion 1",
                "body all diffusion 1",
                "all rust diffusion 2",
                "all zig diffusion 1",
                "all all diffusion 3",
            ]
        );
        let columns = HEAD.split(',').count();
        assert!(csv.lines().all(|line| line.split(',').count() == columns), "{csv}");
        assert!(csv.contains("\nline,rust,diffusion,2,0.500,0.000,1.000,0.750,"), "{csv}");
    }

    #[test]
    fn the_reliability_table_has_a_row_a_bin() {
        let table = calibration_csv(&runs());
        assert!(table.contains("diffusion,1,1,0.500,"), "{table}");
        assert_eq!(table.lines().count(), 4, "{table}");
    }
}
