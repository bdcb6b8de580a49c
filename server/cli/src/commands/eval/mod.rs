//! `lacuna eval`: holes with known answers, filled the way a user would get them filled.

pub mod answer;
pub mod board;
pub mod bootstrap;
pub mod calibration;
pub mod cases;
pub mod compare;
pub mod copy;
pub mod corrupt;
pub mod html;
pub mod kept;
pub mod methods;
pub mod metrics;
pub mod options;
pub mod refine;
pub mod refine_table;
pub mod report;
pub mod scorecard;
mod several;
pub mod verdict;

use super::Context;
use crate::args::at_least_one;
use crate::engine;
use crate::failure::Failure;
use crate::same_file::same_file;
use answer::{Asking, Outcome, answer};
use cases::Case;
use indicatif::{ProgressBar, ProgressStyle};
use lacuna_engine::Engine;
use options::Eval;
use report::EvalReport;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// The scorecard's cases, from the root of a checkout.
const SCORECARD_CASES: [&str; 3] = ["rust", "python", "typescript"];

/// Runs the command.
///
/// # Errors
/// Cases that cannot be read, a model that cannot answer them, quality that fell, Ctrl-C.
pub fn run(args: &Eval, context: &mut Context) -> Result<(), Failure> {
    let sampling = args.sampling.sampling()?;
    let files = files(args)?;
    let cases = chosen(args, &files)?;
    // Measuring takes minutes to hours: what would be in vain is said before.
    for path in args.outputs() {
        check_output(&path, &files)?;
    }
    if args.refine {
        return refine::run(args, &cases, &sampling, context);
    }
    if args.predictions.is_some() && args.scorecard.is_some() {
        return Err(Failure::input("--predictions goes with --scorecard only where --refine is asked for"));
    }
    if args.is_board() {
        return several::run(args, &cases, &sampling, context);
    }
    let mut predictions = args.predictions.as_deref().map(create).transpose()?;
    let mut engine = engine::load(&args.model)?;
    let _working = context.interrupt.working();
    let cancel = context.interrupt.token();
    let bar = progress(cases.len());
    let asking = Asking { way: args.method, sampling: &sampling, cancel };
    let outcomes = answer_all(&mut engine, &cases, &asking, |outcome| {
        bar.inc(1);
        predictions.as_mut().map_or(Ok(()), |file| write_line(file, outcome))
    });
    bar.finish_and_clear();
    let outcomes = outcomes?;
    let report = EvalReport::new(&outcomes, args.method, engine.info().source);
    if args.json { context.output.json(&report) } else { report.print(&mut context.output) }
}

fn files(args: &Eval) -> Result<Vec<PathBuf>, Failure> {
    if !args.cases.is_empty() {
        return Ok(args.cases.clone());
    }
    let path = |name| PathBuf::from(format!("fixtures/infill/cases/{name}.jsonl"));
    let files: Vec<PathBuf> = SCORECARD_CASES.iter().map(path).collect();
    match files.iter().find(|file| !file.is_file()) {
        None => Ok(files),
        Some(gone) => Err(Failure::input(format!(
            "the scorecard's cases are part of Lacuna's repository, and {} is not here: run this at its root, or name your \
             own, as lacuna eval CASES.jsonl (its format is in --help)",
            gone.display()
        ))),
    }
}

/// The cases of all files that the command line does not leave out.
fn chosen(args: &Eval, files: &[PathBuf]) -> Result<Vec<Case>, Failure> {
    let limit = at_least_one("--limit", args.limit)?;
    let every = at_least_one("--every", args.every)?.unwrap_or(1);
    // A single file is read no further than asked: what comes after may be no case.
    let simple = args.kinds.is_empty() && args.languages.is_empty() && every == 1;
    let mut cases = Vec::new();
    for file in files {
        cases.extend(cases::read(file, limit.filter(|_| simple))?);
    }
    let there = kinds_and_languages(&cases);
    let named = |names: &[String], name: &str| names.is_empty() || names.iter().any(|known| known == name);
    let cases: Vec<Case> = cases
        .into_iter()
        .filter(|case| named(&args.kinds, &case.kind) && named(&args.languages, case.language.id()))
        .step_by(every)
        .take(limit.unwrap_or(usize::MAX))
        .collect();
    if cases.is_empty() {
        return Err(Failure::input(format!("no case is of these --kinds and --languages; {there}")));
    }
    Ok(cases)
}

/// What a command line can choose from.
fn kinds_and_languages(cases: &[Case]) -> String {
    let kinds: BTreeSet<&str> = cases.iter().map(|case| case.kind.as_str()).collect();
    let languages: BTreeSet<&str> = cases.iter().map(|case| case.language.id()).collect();
    let list = |names: BTreeSet<&str>| names.into_iter().collect::<Vec<_>>().join(", ");
    format!("the cases have the kinds {} and the languages {}", list(kinds), list(languages))
}

/// Whether a file can be written once there is something to write; it is left as it is.
fn check_output(path: &Path, cases: &[PathBuf]) -> Result<(), Failure> {
    if cases.iter().any(|cases| same_file(path, cases)) {
        return Err(Failure::input(format!("{} would overwrite the cases", path.display())));
    }
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let tried = match path.metadata() {
        // Opening a pipe would wait for its reader, and closing it would send that away.
        Ok(there) if !there.is_file() && !there.is_dir() => Ok(()),
        Ok(_) => OpenOptions::new().write(true).open(path).map(drop),
        Err(_) => tempfile::tempfile_in(folder).map(drop),
    };
    tried.map_err(|error| Failure::input(format!("{} cannot be written: {error}", path.display())))
}

/// Answers every case in order; `done` is told of each. [`cases::warm_up`] is answered before them, unmeasured.
///
/// # Errors
/// The first failure of the engine or of `done`.
pub fn answer_all(
    engine: &mut dyn Engine,
    cases: &[Case],
    asking: &Asking<'_>,
    mut done: impl FnMut(&Outcome) -> Result<(), Failure>,
) -> Result<Vec<Outcome>, Failure> {
    answer(engine, &cases::warm_up(), asking, None)?;
    let mut outcomes = Vec::with_capacity(cases.len());
    for case in cases {
        let outcome = answer(engine, case, asking, None)?;
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

fn create(path: &Path) -> Result<BufWriter<File>, Failure> {
    let created = File::create(path).map(BufWriter::new);
    created.map_err(|error| Failure::input(format!("{} cannot be written: {error}", path.display())))
}

fn write_line(file: &mut impl Write, outcome: &impl Serialize) -> Result<(), Failure> {
    let line = serde_json::to_string(outcome)
        .map_err(|error| Failure::input(format!("cannot write an answer as JSON: {error}")))?;
    // Flushed line by line: a run that is interrupted keeps what it has.
    writeln!(file, "{line}")?;
    Ok(file.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lacuna_engine::scripted::ScriptedEngine;
    use lacuna_engine::{CancelToken, EngineError, Sampling};

    const CASES: &str = concat!(
        r#"{"task_id":"a","prompt":"x = f(","suffix":")\n","canonical_solution":"1","language":"python"}"#,
        "\n",
        r#"{"task_id":"b","prompt":"def f():\n","suffix":"","canonical_solution":"    return 1\n","language":"python"}"#,
        "\n",
    );

    fn evaluate(answers: Vec<Result<Vec<&str>, EngineError>>) -> Result<Vec<Outcome>, Failure> {
        evaluate_with(answers, &mut ScriptedEngine::default(), &Sampling::default())
    }

    fn evaluate_with(
        answers: Vec<Result<Vec<&str>, EngineError>>,
        engine: &mut ScriptedEngine,
        sampling: &Sampling,
    ) -> Result<Vec<Outcome>, Failure> {
        let cases = cases::parse("cases", CASES.as_bytes(), None)?;
        let owned = answers
            .into_iter()
            .map(|answer| answer.map(|texts| texts.into_iter().map(str::to_owned).collect()));
        *engine = ScriptedEngine::new(owned);
        let asking = Asking { way: methods::Way::Diffusion, sampling, cancel: &CancelToken::new() };
        answer_all(engine, &cases, &asking, |_| Ok(()))
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
    fn where_a_user_gets_nothing_the_answer_is_blank() {
        let rejected = Ok(vec!["((", "[["]);
        let outcomes = evaluate(vec![Ok(vec![]), rejected, Ok(vec!["    return 1"])]).unwrap();
        let none = &outcomes[0];
        assert_eq!((none.completion.as_str(), none.engine_best.as_str(), none.answered), ("", "((", false));
        assert!(!none.exact_match && !none.syntax_kept && none.edit_similarity < 0.01);
        assert_eq!((none.tokens, none.steps, none.candidates), (0, 0, 2));
        assert!(outcomes[1].answered && outcomes[1].tokens == 2);
    }

    #[test]
    fn a_list_of_one_holds_the_one_that_parses() {
        let one = Sampling { candidates: Some(1), ..Sampling::default() };
        let answers = vec![Ok(vec![]), Ok(vec!["((", "1"]), Ok(vec![])];
        let outcomes = evaluate_with(answers, &mut ScriptedEngine::default(), &one).unwrap();
        assert_eq!((outcomes[0].completion.as_str(), outcomes[0].candidates), ("1", 1));
    }

    #[test]
    fn the_warm_up_reads_no_case() {
        let mut engine = ScriptedEngine::default();
        let answers = vec![Ok(vec![]), Ok(vec![]), Ok(vec![])];
        evaluate_with(answers, &mut engine, &Sampling::default()).unwrap();
        let prefixes: Vec<&str> = engine.seen.iter().map(|request| request.prefix.as_str()).collect();
        assert_eq!(prefixes[1..], ["x = f(", "def f():\n"]);
        assert_eq!(prefixes[0], cases::warm_up().prompt);
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
