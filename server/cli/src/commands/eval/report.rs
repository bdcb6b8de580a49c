//! The numbers of an evaluation, overall and by kind, for people and for programs.

use super::answer::Outcome;
use super::bootstrap::interval;
use super::calibration::{expected_error, reliability};
use super::methods::Way;
use super::metrics::{mean, percentile};
use crate::failure::Failure;
use crate::output::{Output, Tone};
use serde::Serialize;
use std::collections::BTreeMap;

/// What `lacuna eval --json` prints. Scripts rely on the first five keys; keys may be added after them.
#[derive(Debug, Serialize)]
pub struct EvalReport {
    /// Cases answered.
    pub cases: usize,
    /// Quality by kind of hole.
    pub by_kind: BTreeMap<String, Quality>,
    /// Times of whole answers.
    pub latency_ms: Latency,
    /// Mean steps of the answers.
    pub steps_mean: f64,
    /// Tokens of the answers for each decoder pass run, passes without a usable result included.
    pub tokens_per_forward: f64,
    /// Quality over all cases.
    pub overall: Quality,
    /// Cases with a usable answer; the others count as blank.
    pub answered: usize,
    /// Which way of the weights answered.
    pub method: &'static str,
    /// Which model.
    pub model: String,
    /// 95 % bootstrap interval of the overall exact match.
    pub exact_match_interval: [f64; 2],
    /// 95 % bootstrap interval of the overall edit similarity.
    pub edit_similarity_interval: [f64; 2],
    /// Share of cases whose answer is not exact and ends with what stands after the hole.
    pub repeats_suffix: f64,
    /// Share of cases of which what the engine scores best is exact, before syntax is looked at.
    pub engine_best_exact: f64,
    /// Share of cases with an exact one among the first four candidates.
    pub oracle_4: f64,
    /// Share of cases with an exact one among all candidates.
    pub oracle: f64,
    /// Mean stated probability of the answers.
    pub confidence_mean: f64,
    /// Expected calibration error over ten bins of equal count.
    pub calibration_error: f64,
}

/// Shares of cases, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quality {
    /// Cases.
    pub n: usize,
    /// Share of answers equal to the known one, white space at the end aside.
    pub exact_match: f64,
    /// Mean of 1 − Levenshtein distance / longer length, in characters.
    pub edit_similarity: f64,
    /// Share of cases with an answer that adds no syntax error over the known one.
    pub syntax_kept: f64,
}

/// Nearest-rank percentiles in milliseconds; `null` without cases.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latency {
    /// Median.
    pub p50: Option<f64>,
    /// 95th percentile.
    pub p95: Option<f64>,
}

impl Latency {
    /// Of times in milliseconds.
    pub fn of(times: &[f64]) -> Self {
        Self { p50: percentile(times, 50.0), p95: percentile(times, 95.0) }
    }
}

impl Quality {
    fn of<'a>(outcomes: impl Iterator<Item = &'a Outcome> + Clone) -> Self {
        let share = |kept: fn(&Outcome) -> bool| mean(outcomes.clone().map(|o| f64::from(u8::from(kept(o)))));
        Self {
            n: outcomes.clone().count(),
            exact_match: share(|outcome| outcome.exact_match),
            edit_similarity: mean(outcomes.clone().map(|outcome| outcome.edit_similarity)),
            syntax_kept: share(|outcome| outcome.syntax_kept),
        }
    }
}

impl EvalReport {
    /// Sums up the outcomes of one method and model.
    pub fn new(outcomes: &[Outcome], way: Way, model: String) -> Self {
        let mut kinds: BTreeMap<String, Vec<&Outcome>> = BTreeMap::new();
        for outcome in outcomes {
            kinds.entry(outcome.kind.clone()).or_default().push(outcome);
        }
        let by_kind =
            kinds.into_iter().map(|(kind, of_kind)| (kind, Quality::of(of_kind.into_iter()))).collect();
        let times: Vec<f64> = outcomes.iter().map(|outcome| outcome.latency_ms).collect();
        let tokens: usize = outcomes.iter().map(|outcome| outcome.tokens).sum();
        let forwards: usize = outcomes.iter().map(|outcome| outcome.forwards).sum();
        let answered = outcomes.iter().filter(|outcome| outcome.answered);
        let stated: Vec<_> = answered.map(|outcome| (outcome.confidence, outcome.exact_match)).collect();
        Self {
            cases: outcomes.len(),
            by_kind,
            latency_ms: Latency::of(&times),
            steps_mean: mean(outcomes.iter().filter(|o| o.answered).map(|outcome| outcome.steps as f64)),
            tokens_per_forward: if forwards == 0 { 0.0 } else { tokens as f64 / forwards as f64 },
            overall: Quality::of(outcomes.iter()),
            answered: outcomes.iter().filter(|outcome| outcome.answered).count(),
            method: way.name(),
            model,
            exact_match_interval: bounds(outcomes, |outcome| flag(outcome.exact_match)),
            edit_similarity_interval: bounds(outcomes, |outcome| outcome.edit_similarity),
            repeats_suffix: share(outcomes, |outcome| outcome.repeats_suffix),
            engine_best_exact: share(outcomes, |outcome| outcome.engine_best_exact),
            oracle_4: share(outcomes, |outcome| outcome.exact_within(4)),
            oracle: share(outcomes, |outcome| outcome.exact_within(usize::MAX)),
            confidence_mean: mean(outcomes.iter().filter(|o| o.answered).map(|o| o.confidence)),
            calibration_error: expected_error(&reliability(&stated)),
        }
    }

    /// Prints a table.
    pub fn print(&self, output: &mut Output) -> Result<(), Failure> {
        let kinds = self.by_kind.keys().map(|kind| kind.chars().count());
        let width = kinds.chain(["overall".len()]).max().unwrap_or(0);
        let head = format!(
            "{:width$}  {:>6}  {:>11}  {:>15}  {:>11}",
            "", "n", "exact match", "edit similarity", "syntax kept"
        );
        let head = output.paint(Tone::Dim, &head);
        output.line(&head)?;
        for (kind, quality) in &self.by_kind {
            output.line(&quality.row(kind, width))?;
        }
        let overall = output.paint(Tone::Bright, &self.overall.row("overall", width));
        output.line(&overall)?;
        let ms = |value: Option<f64>| value.map_or("–".to_owned(), |ms| format!("{ms:.0} ms"));
        let (p50, p95) = (ms(self.latency_ms.p50), ms(self.latency_ms.p95));
        let (steps, rate) = (self.steps_mean, self.tokens_per_forward);
        let (cases, answered) = (self.cases, self.answered);
        output.line(&format!(
            "latency p50 {p50}, p95 {p95} · {steps:.1} steps · {rate:.2} tokens per forward · {answered} of {cases} answered"
        ))?;
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        let [low, high] = self.exact_match_interval.map(percent);
        output.line(&format!(
            "exact match {low} to {high} (95 %) · engine's best {} · one of the first 4 {} · of all {}",
            percent(self.engine_best_exact),
            percent(self.oracle_4),
            percent(self.oracle)
        ))?;
        output.line(&format!(
            "repeats suffix {} · confidence {} · calibration error {:.3}",
            percent(self.repeats_suffix),
            percent(self.confidence_mean),
            self.calibration_error
        ))?;
        let source = format!("{} · {}", self.method, self.model);
        let source = output.paint(Tone::Dim, &source);
        output.line(&source)
    }
}

impl Quality {
    fn row(&self, name: &str, width: usize) -> String {
        let (n, exact, similar, kept) = (self.n, self.exact_match, self.edit_similarity, self.syntax_kept);
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        format!("{name:width$}  {n:>6}  {:>11}  {similar:>15.3}  {:>11}", percent(exact), percent(kept))
    }
}

fn flag(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

fn share(outcomes: &[Outcome], holds: fn(&Outcome) -> bool) -> f64 {
    mean(outcomes.iter().map(|outcome| flag(holds(outcome))))
}

fn bounds(outcomes: &[Outcome], value: fn(&Outcome) -> f64) -> [f64; 2] {
    let interval = interval(&outcomes.iter().map(value).collect::<Vec<_>>());
    [interval.low, interval.high]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::eval::answer::tests::outcome;

    #[test]
    fn the_report_has_the_shape_scripts_rely_on() {
        let outcomes =
            [outcome("line", true, 10.0), outcome("line", false, 30.0), outcome("span", true, 20.0)];
        let report = EvalReport::new(&outcomes, Way::CausalFim, "built-in".to_owned());
        let text = serde_json::to_string(&report).unwrap();
        let expected = concat!(
            r#"{"cases":3,"by_kind":{"line":{"n":2,"exact_match":0.5,"edit_similarity":0.75,"syntax_kept":1.0},"#,
            r#""span":{"n":1,"exact_match":1.0,"edit_similarity":1.0,"syntax_kept":1.0}},"#,
            r#""latency_ms":{"p50":20.0,"p95":30.0},"steps_mean":4.0,"tokens_per_forward":0.75,"#
        );
        assert!(text.starts_with(expected), "{text}");
        assert!(
            text.contains(r#""method":"causal-fim","model":"built-in","exact_match_interval":["#),
            "{text}"
        );
    }

    #[test]
    fn the_table_has_a_row_for_each_kind() {
        let (mut output, captured) = Output::captured(false, false);
        let outcomes = [outcome("line", true, 10.0), outcome("span", false, 30.0)];
        EvalReport::new(&outcomes, Way::Diffusion, "m".to_owned()).print(&mut output).unwrap();
        let text = captured.text();
        assert!(text.contains("line          1      100.0 %            1.000      100.0 %\n"), "{text}");
        assert!(text.contains("overall       2       50.0 %            0.750      100.0 %\n"), "{text}");
        assert!(
            text.contains(
                "latency p50 10 ms, p95 30 ms · 4.0 steps · 0.75 tokens per forward · 2 of 2 answered\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn a_case_without_an_answer_has_no_steps_but_its_cost() {
        let none = Outcome { answered: false, steps: 0, tokens: 0, ..outcome("line", false, 10.0) };
        let report = EvalReport::new(&[outcome("line", true, 10.0), none], Way::Diffusion, "m".to_owned());
        assert_eq!((report.cases, report.answered), (2, 1));
        assert!((report.steps_mean - 4.0).abs() < 1e-12);
        assert!((report.tokens_per_forward - 6.0 / 16.0).abs() < 1e-12);
    }
}
