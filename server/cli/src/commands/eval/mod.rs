//! `lacuna eval`: holes with known answers, filled the way a user would get them filled.

pub mod answer;
pub mod cases;
pub mod metrics;
pub mod report;

use super::Context;
use crate::args::{Eval, at_least_one};
use crate::engine;
use crate::failure::Failure;
use answer::{Outcome, answer};
use cases::Case;
use indicatif::{ProgressBar, ProgressStyle};
use lacuna_engine::{CancelToken, Engine, Method, Sampling};
use report::EvalReport;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

/// Runs the command.
///
/// # Errors
/// Cases that cannot be read, a model that cannot answer them, Ctrl-C.
pub fn run(args: &Eval, context: &mut Context) -> Result<(), Failure> {
    let sampling = args.sampling.sampling()?;
    let cases = cases::read(&args.cases, at_least_one("--limit", args.limit)?)?;
    let mut predictions = args.predictions.as_deref().map(|path| create(path, &args.cases)).transpose()?;
    let mut engine = engine::load(&args.model)?;
    let _working = context.interrupt.working();
    let cancel = context.interrupt.token();
    let method = args.method.into();
    let bar = progress(cases.len());
    let outcomes = answer_all(&mut engine, &cases, method, &sampling, cancel, |outcome| {
        bar.inc(1);
        predictions.as_mut().map_or(Ok(()), |file| write_line(file, outcome))
    });
    bar.finish_and_clear();
    let outcomes = outcomes?;
    let report = EvalReport::new(&outcomes, method, engine.info().source);
    if args.json { context.output.json(&report) } else { report.print(&mut context.output) }
}

/// Answers every case in order; `done` is told of each. The first case is answered once more, unmeasured and before
/// the others: what is measured is a running engine, not its first touch of the weights.
///
/// # Errors
/// The first failure of the engine or of `done`.
#[expect(
    clippy::too_many_arguments,
    reason = "one call from the command, one from tests; no state worth a struct"
)]
pub fn answer_all(
    engine: &mut dyn Engine,
    cases: &[Case],
    method: Method,
    sampling: &Sampling,
    cancel: &CancelToken,
    mut done: impl FnMut(&Outcome) -> Result<(), Failure>,
) -> Result<Vec<Outcome>, Failure> {
    if let Some(first) = cases.first() {
        answer(engine, first, method, sampling, cancel)?;
    }
    let mut outcomes = Vec::with_capacity(cases.len());
    for case in cases {
        let outcome = answer(engine, case, method, sampling, cancel)?;
        done(&outcome)?;
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

/// A bar on standard error with the time left; invisible where that is no terminal.
pub fn progress(cases: usize) -> ProgressBar {
    let bar = ProgressBar::new(cases as u64);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} cases · {per_sec} · {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

fn create(path: &Path, cases: &Path) -> Result<BufWriter<File>, Failure> {
    let same =
        |a: &Path, b: &Path| fs::canonicalize(a).ok().is_some_and(|a| fs::canonicalize(b).ok() == Some(a));
    if same(path, cases) {
        return Err(Failure::input(format!("--predictions {} would overwrite the cases", path.display())));
    }
    let created = File::create(path).map(BufWriter::new);
    created.map_err(|error| Failure::input(format!("{} cannot be written: {error}", path.display())))
}

fn write_line(file: &mut impl Write, outcome: &Outcome) -> Result<(), Failure> {
    let line = serde_json::to_string(outcome)
        .map_err(|error| Failure::input(format!("cannot write an answer as JSON: {error}")))?;
    // Flushed line by line: a run that is interrupted keeps what it has.
    writeln!(file, "{line}")?;
    Ok(file.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lacuna_engine::EngineError;
    use lacuna_engine::scripted::ScriptedEngine;

    const CASES: &str = concat!(
        r#"{"task_id":"a","prompt":"x = f(","suffix":")\n","canonical_solution":"1","language":"python"}"#,
        "\n",
        r#"{"task_id":"b","prompt":"def f():\n","suffix":"","canonical_solution":"    return 1\n","language":"python"}"#,
        "\n",
    );

    fn evaluate(answers: Vec<Result<Vec<&str>, EngineError>>) -> Result<Vec<Outcome>, Failure> {
        let cases = cases::parse("cases", CASES.as_bytes(), None)?;
        let owned = answers
            .into_iter()
            .map(|answer| answer.map(|texts| texts.into_iter().map(str::to_owned).collect()));
        let mut engine = ScriptedEngine::new(owned);
        let cancel = CancelToken::new();
        answer_all(&mut engine, &cases, Method::Diffusion, &Sampling::default(), &cancel, |_| Ok(()))
    }

    #[test]
    fn the_answer_is_what_a_user_would_get() {
        let warm_up = Ok(vec!["0"]);
        let outcomes = evaluate(vec![warm_up, Ok(vec!["((", "1"]), Ok(vec!["    return 2\n"])]).unwrap();
        // A syntax error loses against a worse score.
        assert_eq!((outcomes[0].completion.as_str(), outcomes[0].exact_match), ("1", true));
        assert!(!outcomes[1].exact_match && outcomes[1].syntax_kept);
        assert!(outcomes[1].completion.ends_with("return 2\n"), "{:?}", outcomes[1].completion);
        assert!(outcomes[1].edit_similarity > 0.9);
    }

    #[test]
    fn an_empty_offer_is_a_miss() {
        let outcomes = evaluate(vec![Ok(vec![]), Ok(vec![]), Ok(vec![])]).unwrap();
        assert!(outcomes.iter().all(|outcome| !outcome.exact_match && outcome.edit_similarity < 0.01));
        assert!(outcomes.iter().all(|outcome| !outcome.syntax_kept), "nothing written is nothing kept");
    }

    #[test]
    fn what_the_engine_cannot_do_ends_the_evaluation() {
        let failure = evaluate(vec![Err(EngineError::Unsupported("no FIM tokens".to_owned()))]).unwrap_err();
        assert_eq!(failure.exit_code(), 2);
        assert!(failure.to_string().contains("no FIM tokens"), "{failure}");
    }
}
