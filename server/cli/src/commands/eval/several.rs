//! `lacuna eval` with several methods: runs them, then writes the scorecard, the page, or holds the run against a scorecard.

use super::board::{Order, Run, run_all};
use super::cases::Case;
use super::compare::{broken_promises, changes};
use super::methods::Way;
use super::options::Eval;
use super::report::EvalReport;
use super::{html, kept, progress, scorecard};
use crate::commands::Context;
use crate::engine;
use crate::failure::Failure;
use crate::output::{Output, complain};
use lacuna_engine::{Engine, Sampling};
use std::path::{Path, PathBuf};

/// Runs the methods and writes what was asked for.
///
/// # Errors
/// As [`super::run`].
pub fn run(args: &Eval, cases: &[Case], sampling: &Sampling, context: &mut Context) -> Result<(), Failure> {
    let mut engine = engine::load(&args.model)?;
    let fim = engine.info().fim;
    if !fim && args.ways().contains(&Way::CausalFim) {
        complain("causal-fim is left out: the model's config.json names no fill-in-the-middle tokens");
    }
    let ways: Vec<Way> = args.ways().into_iter().filter(|way| fim || *way != Way::CausalFim).collect();
    if let Some(path) = &args.compare {
        // What cannot be compared with is said before an hour of measuring, not after.
        for way in &ways {
            kept::read(&beside(path, "cases.csv"), *way)?;
        }
    }
    let working = context.interrupt.working();
    let bar = progress(cases.len() * ways.len());
    let order = Order { cases, ways: &ways, sampling, keep_frames: args.html.is_some() };
    let runs = run_all(&mut engine, &order, context.interrupt.token(), || bar.inc(1));
    bar.finish_and_clear();
    drop(working);
    let runs = runs?;
    for run in &runs {
        let report = EvalReport::new(&run.outcomes, run.way, engine.info().source);
        report.print(&mut context.output)?;
        context.output.line("")?;
    }
    if let Some(path) = &args.html {
        write(path, &html::page(cases, &runs)?)?;
    }
    if let Some(path) = &args.scorecard {
        write(path, &scorecard::csv(&runs))?;
        write(&beside(path, "cases.csv"), &kept::csv(&runs))?;
        write(&beside(path, "calibration.csv"), &scorecard::calibration_csv(&runs))?;
    }
    args.compare
        .as_ref()
        .map_or(Ok(()), |path| compare(&beside(path, "cases.csv"), &runs, &mut context.output))
}

fn compare(path: &Path, runs: &[Run], output: &mut Output) -> Result<(), Failure> {
    let mut fell = Vec::new();
    for run in runs {
        let kept = kept::read(path, run.way)?;
        let changes =
            changes(run, &kept).map_err(|what| Failure::input(format!("{}: {what}", path.display())))?;
        for change in changes {
            let line = format!("{}: {}", run.way.name(), change.describe());
            output.line(&line)?;
            if change.fell() {
                fell.push(line);
            }
        }
        for line in broken_promises(run) {
            output.line(&line)?;
            fell.push(line);
        }
    }
    output.flush()?;
    if fell.is_empty() {
        return Ok(());
    }
    Err(Failure::Worse(format!(
        "quality fell against {}: {} (if that is meant, write it anew with lacuna eval --scorecard and say why)",
        path.display(),
        fell.join("; ")
    )))
}

/// `scorecard.csv` → `scorecard.cases.csv`.
fn beside(path: &Path, extension: &str) -> PathBuf {
    path.with_extension(extension)
}

/// Writes a file whole.
///
/// # Errors
/// The path, and why.
pub fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text)
        .map_err(|error| Failure::input(format!("{} cannot be written: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::eval::answer::tests::outcome;

    fn run_of(exact: usize) -> Vec<Run> {
        let outcomes = (0..100).map(|n| {
            let mut outcome = outcome("line", n < exact, 1.0);
            outcome.task_id = format!("case {n}");
            outcome
        });
        vec![Run { way: Way::Diffusion, outcomes: outcomes.collect(), frames: Vec::new() }]
    }

    #[test]
    fn a_fall_against_the_written_scorecard_ends_with_code_1_and_says_how_far() {
        let folder = tempfile::tempdir().unwrap();
        let path = beside(&folder.path().join("scorecard.csv"), "cases.csv");
        write(&path, &kept::csv(&run_of(40))).unwrap();
        let (mut output, captured) = Output::captured(false, false);
        compare(&path, &run_of(40), &mut output).unwrap();
        assert!(captured.text().contains("diffusion: exact match: 40.0 % → 40.0 %"), "{}", captured.text());
        let failure = compare(&path, &run_of(20), &mut output).unwrap_err();
        assert_eq!(failure.exit_code(), 1);
        let message = failure.to_string();
        assert!(message.contains("exact match: 40.0 % → 20.0 %"), "{message}");
        assert!(message.contains("scorecard.cases.csv"), "{message}");
    }

    #[test]
    fn a_scorecard_without_the_method_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scorecard.cases.csv");
        write(&path, "case,copy\n").unwrap();
        let failure = compare(&path, &run_of(1), &mut Output::captured(false, false).0).unwrap_err();
        assert!(failure.to_string().contains("no column diffusion"), "{failure}");
    }
}
