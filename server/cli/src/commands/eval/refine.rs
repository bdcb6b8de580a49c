//! `lacuna eval --refine`: faults are put into real code, the lines that hold them refined, and what came of it counted.
//!
//! The lines are planned, refined and ranked as `lacuna refine FILE:LINES` and the language server do it. Each case gives
//! one text for each kind of fault that its lines can have, and one without a fault, as the control.

use super::cases::Case;
use super::corrupt::{Fault, Faults, whole_lines};
use super::metrics::syntax_errors;
use super::options::Eval;
use super::progress;
use super::refine_table::Table;
use super::verdict::Verdict;
use crate::commands::Context;
use crate::engine;
use crate::failure::Failure;
use lacuna_engine::{CancelToken, Engine, NoFrames, Sampling};
use lacuna_lsp::distance::differing;
use lacuna_lsp::model::Model;
use lacuna_lsp::planned::{Budgets, Planned};
use lacuna_lsp::rank::{Offer, rank};
use lacuna_text::{Document, Edit, Language, Region, Snapshot};
use serde::Serialize;
use std::ops::Range;

/// Lines on either side of a case's hole where faults may lie too.
const LINES_AROUND: usize = 3;

/// A text with a fault, and the lines to refine.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The case's name.
    pub task_id: String,
    /// The language.
    pub language: Language,
    /// What is wrong; `None` is the control.
    pub fault: Option<Fault>,
    original: String,
    before: String,
    lines: Range<usize>,
}

/// What one strength made of a trial; one line of `--predictions`.
#[derive(Clone, Debug, Serialize)]
pub struct Refined {
    /// The case's name.
    pub task_id: String,
    /// The language, as LSP names it.
    pub language: &'static str,
    /// The kind of fault; `none` is the control.
    pub fault: &'static str,
    /// Share of the lines that was given up.
    pub strength: f32,
    /// What became of the text.
    pub verdict: Verdict,
    /// Every change that could have been the answer, best score first.
    pub changes: Vec<Change>,
}

/// A change that was on offer.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    /// Its score less that of the present text, in nats.
    pub gain: f32,
    /// Syntax errors it adds to the present text's; below 0 it mends some.
    pub errors: i64,
    /// Tokens in which it differs from the present text, see [`differing`].
    pub tokens: usize,
    /// What it would have made of the text.
    pub verdict: Verdict,
}

/// Runs the command.
///
/// # Errors
/// As [`super::run`].
pub fn run(args: &Eval, cases: &[Case], sampling: &Sampling, context: &mut Context) -> Result<(), Failure> {
    if let Some(wrong) = args.strengths.iter().find(|strength| !(0.0..=1.0).contains(*strength)) {
        return Err(Failure::input(format!("--strengths must lie between 0 and 1, found {wrong}")));
    }
    let mut predictions = args.predictions.as_deref().map(super::create).transpose()?;
    let trials: Vec<Trial> = cases.iter().flat_map(trials).collect();
    if trials.is_empty() {
        return Err(Failure::input("no case has a line that a fault can be put into"));
    }
    let mut engine = engine::load(&args.model)?;
    let working = context.interrupt.working();
    let bar = progress(trials.len() * args.strengths.len());
    let mut refined = Vec::new();
    for trial in &trials {
        for &strength in &args.strengths {
            let one = refine(&mut engine, trial, (strength, sampling), context.interrupt.token())?;
            predictions.as_mut().map_or(Ok(()), |file| super::write_line(file, &one))?;
            refined.push(one);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    drop(working);
    let table = Table::new(&refined, engine.info().source);
    if let Some(path) = &args.scorecard {
        super::several::write(path, &table.csv())?;
    }
    if args.json {
        context.output.json(&table)?
    } else {
        table.print(&mut context.output)?
    }
    context.output.flush()
}

/// A case's texts: one for each kind of fault its lines can have, and the control on the lines of the last of them.
pub fn trials(case: &Case) -> Vec<Trial> {
    let original = format!("{}{}{}", case.prompt, case.answer, case.suffix);
    let hole = case.prompt.len()..case.prompt.len() + case.answer.len();
    let within = widened(&original, &hole);
    let faults = Faults::new(&original, case.language);
    let trial = |fault, before: String, lines| {
        let (task_id, original) = (case.task_id.clone(), original.clone());
        Trial { task_id, language: case.language, fault, original, before, lines }
    };
    let mut trials = Vec::new();
    let mut control = None;
    for (number, fault) in Fault::ALL.into_iter().enumerate() {
        let Some(corruption) = faults.draw(fault, &within, seed(&case.task_id, number as u64)) else {
            continue;
        };
        let before = corruption.applied(&original);
        let lines =
            code_lines(&before, &(corruption.range.start..corruption.range.start + corruption.insert.len()));
        trials.push(trial(Some(fault), before, lines));
        control = Some(corruption.range);
    }
    trials.extend(control.map(|range| trial(None, original.clone(), code_lines(&original, &range))));
    trials
}

/// The hole's lines and a few on either side.
fn widened(text: &str, hole: &Range<usize>) -> Range<usize> {
    let mut lines = whole_lines(text, hole);
    for _ in 0..LINES_AROUND {
        lines = whole_lines(text, &(lines.start.saturating_sub(1)..(lines.end + 1).min(text.len())));
    }
    lines
}

/// The lines of `range` as `lacuna refine` takes them: from the indentation on.
fn code_lines(text: &str, range: &Range<usize>) -> Range<usize> {
    let lines = whole_lines(text, range);
    let line = text[lines.clone()].trim_start_matches([' ', '\t']);
    lines.end - line.len()..lines.end
}

/// FNV-1a of the name and the fault's number.
fn seed(name: &str, number: u64) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325 ^ number;
    name.bytes().fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Refines a trial's lines at one strength.
///
/// # Errors
/// Whatever the engine answers; a trial that cannot be asked is named.
pub fn refine(
    engine: &mut dyn Engine,
    trial: &Trial,
    (strength, sampling): (f32, &Sampling),
    cancel: &CancelToken,
) -> Result<Refined, Failure> {
    let named = |error: String| Failure::input(format!("case {}: {error}", trial.task_id));
    let snapshot = Document::new(&trial.before, trial.language).snapshot();
    let region =
        Region::of_range(&snapshot, trial.lines.clone()).map_err(|error| named(error.to_string()))?;
    let planned = Planned::new(&snapshot, &region, sampling, &Model::of(engine), &Budgets::default())
        .map_err(|error| named(error.to_string()))?
        .refining(strength);
    let infilled = engine.infill(&planned.request, cancel, &mut NoFrames)?;
    let offers = rank(&snapshot, &planned, infilled.candidates);
    let answer = offers.first().filter(|offer| offer.answers(&planned));
    let verdict = answer.map_or(Verdict::Untouched, |offer| judge(trial, &snapshot, offer));
    Ok(Refined {
        task_id: trial.task_id.clone(),
        language: trial.language.id(),
        fault: trial.fault.map_or("none", Fault::name),
        strength,
        verdict,
        changes: changes(trial, &snapshot, &offers),
    })
}

fn judge(trial: &Trial, snapshot: &Snapshot, offer: &Offer) -> Verdict {
    let Ok(spliced) = &offer.outcome else { return Verdict::Untouched };
    let after = snapshot.edited(&Edit::single(spliced.change.clone()));
    // A change that does not fit is refused by the editor: the text stays.
    let after = after.map_or_else(|_| trial.before.clone(), |after| after.text().to_string());
    match (trial.fault, Verdict::of(&trial.original, &trial.before, &after)) {
        (None, Verdict::Changed) => Verdict::Worse,
        (_, verdict) => verdict,
    }
}

fn changes(trial: &Trial, snapshot: &Snapshot, offers: &[Offer]) -> Vec<Change> {
    let Some(present) = offers.iter().find(|offer| offer.is_unchanged()) else { return Vec::new() };
    let errors = syntax_errors(&trial.before, trial.language);
    let change = |offer: &Offer| {
        let errors_after = offer.outcome.as_ref().ok()?.errors_after;
        Some(Change {
            gain: offer.candidate.score - present.candidate.score,
            errors: errors_after as i64 - errors as i64,
            tokens: differing(&trial.before[trial.lines.clone()], offer.text()),
            verdict: judge(trial, snapshot, offer),
        })
    };
    offers.iter().filter_map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lacuna_engine::scripted::ScriptedEngine;

    fn case() -> Case {
        Case {
            task_id: "t".to_owned(),
            prompt: "def far(a, b):\n    return a\n\n\ndef near(a, b):\n".to_owned(),
            suffix: "\n\n\nfar(1, 2)\n".to_owned(),
            answer: "    return far(a, b) + 1".to_owned(),
            language: Language::Python,
            ..super::super::cases::warm_up()
        }
    }

    fn refined(trial: &Trial, answers: &[&str]) -> Refined {
        let mut engine = ScriptedEngine::new([Ok(answers.iter().map(|&text| text.to_owned()).collect())]);
        refine(&mut engine, trial, (0.4, &Sampling::default()), &CancelToken::new()).unwrap()
    }

    #[test]
    fn a_case_gives_a_text_for_each_fault_and_the_control() {
        let trials = trials(&case());
        let faults: Vec<Option<Fault>> = trials.iter().map(|trial| trial.fault).collect();
        assert_eq!(faults, [&Fault::ALL.map(Some)[..], &[None]].concat());
        for trial in &trials {
            assert_eq!(trial.before == trial.original, trial.fault.is_none());
            let line = &trial.before[trial.lines.clone()];
            assert!(!line.starts_with(' ') && !line.contains('\n') && !line.is_empty(), "{line:?}");
        }
        let again: Vec<String> = super::trials(&case()).into_iter().map(|trial| trial.before).collect();
        assert_eq!(again, trials.into_iter().map(|trial| trial.before).collect::<Vec<_>>());
    }

    #[test]
    fn the_best_scored_text_decides_and_the_present_one_may_win() {
        let trial = Trial {
            fault: Some(Fault::Operator),
            before: "x = far(a, b) - 1\n".to_owned(),
            original: "x = far(a, b) + 1\n".to_owned(),
            lines: 0..17,
            ..trials(&case()).remove(0)
        };
        let repaired = refined(&trial, &["x = far(a, b) + 1"]);
        assert_eq!(
            (repaired.verdict, repaired.fault, repaired.language),
            (Verdict::Repaired, "operator", "python")
        );
        let kept = refined(&trial, &["x = far(a, b) - 1", "x = far(a, b) + 1"]);
        assert_eq!(kept.verdict, Verdict::Untouched);
        assert_eq!((kept.changes[0].verdict, kept.changes[0].errors), (Verdict::Repaired, 0));
        assert!((kept.changes[0].gain + 1.0).abs() < 1e-6, "the script scores the second one nat lower");
        assert_eq!(refined(&trial, &["y = far(a, b) - 1"]).verdict, Verdict::Worse);
        assert_eq!(refined(&trial, &["(("]).verdict, Verdict::Untouched, "nothing that parses is offered");
    }

    #[test]
    fn any_change_of_the_control_is_worse() {
        let control = trials(&case()).pop().unwrap();
        let line = control.before[control.lines.clone()].to_owned();
        let spaced = line.replacen(' ', "  ", 1);
        assert_ne!(line, spaced);
        assert_eq!(refined(&control, &[&spaced]).verdict, Verdict::Worse);
        assert_eq!(refined(&control, &[&line]).verdict, Verdict::Untouched);
    }
}
