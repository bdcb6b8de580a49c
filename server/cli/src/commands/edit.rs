//! What fill and refine share: from a region to a shown, and perhaps written, change.

use super::Context;
use crate::args::{EditArgs, at_least_one};
use crate::engine;
use crate::failure::Failure;
use crate::hole::place_of;
use crate::output::{Tone, complain};
use crate::report::{Entry, Report, Span};
use crate::source::Source;
use crate::view::live::Live;
use crate::view::scene::Scene;
use crate::view::{diff, summary};
use lacuna_engine::{Engine, Infilled, Method, NoFrames, Stats, Template};
use lacuna_lsp::model::Model;
use lacuna_lsp::planned::{Budgets, Planned};
use lacuna_lsp::rank::{Offer, describe_rejections, rank};
use lacuna_text::{Edit, Language, Region, Rope};

/// What a program that reads the output gets, unless it asks for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piped {
    /// The text of the hole.
    Hole,
    /// The unified diff.
    Diff,
}

/// One hole of one file.
pub struct Task {
    /// The file.
    pub source: Source,
    /// What may change.
    pub region: Region,
    /// What the hole starts from, and who fills it.
    pub begin: Begin,
    /// What is printed when nobody watches.
    pub piped: Piped,
}

/// What a hole starts from.
#[derive(Clone, Debug, PartialEq)]
pub enum Begin {
    /// Noise.
    Noise,
    /// The text that is there, this share of it given up.
    Text(f32),
    /// Text with several holes, filled by this method.
    Template(Template, Method),
}

/// The answer as it is shown.
struct Answer {
    planned: Planned,
    offers: Vec<Offer>,
    /// The offer that is the answer, a change or the refined text as it is; `None` when nothing can be used.
    best: Option<usize>,
    /// The same where it changes the file.
    chosen: Option<usize>,
    /// The text with it.
    text: Rope,
    diff: String,
    stats: Stats,
}

/// Reads the file and settles everything that needs no model.
///
/// # Errors
/// A file that cannot be read, or, with `--in-place`, not be written; numbers out of range.
pub fn open(file: &str, args: &EditArgs) -> Result<Source, Failure> {
    args.sampling.sampling()?;
    at_least_one("--pick", args.pick)?;
    let source = Source::read(file, args.language.as_deref().map(language).transpose()?)?;
    if args.in_place {
        source.check_writable()?;
    }
    Ok(source)
}

/// Fills the hole, shows the change and writes it if asked to.
///
/// # Errors
/// As the command's.
pub fn run(task: &Task, args: &EditArgs, context: &mut Context) -> Result<(), Failure> {
    let mut engine = engine::load(&args.model)?;
    if let Begin::Template(template, _) = &task.begin {
        check_lengths(template, engine.info().hole_tokens_max)?;
    }
    run_with(&mut engine, task, args, context)
}

/// A template whose holes have no length yet, for a model that does not give all holes the same one.
fn check_lengths(template: &Template, hole_tokens_max: usize) -> Result<(), Failure> {
    let holes = template.holes();
    if template.tokens.is_empty() && hole_tokens_max > 1 {
        let each = if holes == 1 {
            "it has".to_owned()
        } else {
            format!("each of the {holes} has, as N or N,N,…")
        };
        return Err(Failure::input(format!(
            "--all needs --tokens N: this model's holes have 1 to {hole_tokens_max} tokens, and it cannot tell how many {each}; \
             without --all it chooses the length of one hole by itself"
        )));
    }
    Ok(())
}

fn run_with(
    engine: &mut dyn Engine,
    task: &Task,
    args: &EditArgs,
    context: &mut Context,
) -> Result<(), Failure> {
    let answer = answer(engine, task, args, context)?;
    if let (true, Some(_)) = (args.in_place, answer.chosen) {
        task.source.replace(&answer.text, &context.interrupt)?;
    }
    show(task, args, &answer, context)?;
    if args.verbose && (args.json || !context.output.is_terminal()) {
        complain(&summary::cost(&answer.offers, answer.best, &answer.stats, true));
    }
    match (answer.best, answer.chosen) {
        (None, _) => Err(Failure::NoCandidate(describe_rejections(&answer.offers))),
        (Some(_), Some(_)) => Ok(()),
        (Some(_), None) => {
            complain("nothing to correct: the model keeps the text as it is");
            Ok(())
        }
    }
}

fn answer(
    engine: &mut dyn Engine,
    task: &Task,
    args: &EditArgs,
    context: &mut Context,
) -> Result<Answer, Failure> {
    let snapshot = task.source.document.snapshot();
    let mut planned = Planned::new(
        &snapshot,
        &task.region,
        &args.sampling.sampling()?,
        &Model::of(engine),
        &Budgets::default(),
    )?;
    planned = match &task.begin {
        Begin::Noise => planned,
        Begin::Text(strength) => planned.refining(*strength),
        Begin::Template(template, _) => planned.templated(template.clone()),
    };
    let Infilled { candidates, mut stats } = infill(engine, task, args, &planned, context)?;
    let offers = rank(&snapshot, &planned, candidates);
    let best = pick(&offers, &planned, args.pick)?;
    let chosen = best.filter(|&index| offers[index].is_usable());
    // The engine speaks of its own best candidate, which may have fallen to a syntax error.
    let tokens = best.map_or(0, |index| offers[index].candidate.tokens);
    stats.tokens_per_forward = tokens as f32 / stats.forwards.max(1) as f32;
    let mut text = snapshot.text().clone();
    if let Some(Ok(spliced)) = chosen.map(|index| &offers[index].outcome) {
        let edit = Edit::single(spliced.change.clone());
        edit.apply(&mut text).map_err(|error| Failure::input(error.to_string()))?;
    }
    let diff = diff::unified(task.source.shown(), &task.source.text(), &text.to_string());
    Ok(Answer { planned, offers, best, chosen, text, diff, stats })
}

/// Runs the engine, watched on a terminal.
fn infill(
    engine: &mut dyn Engine,
    task: &Task,
    args: &EditArgs,
    planned: &Planned,
    context: &mut Context,
) -> Result<Infilled, Failure> {
    let _working = context.interrupt.working();
    let cancel = context.interrupt.token();
    if let Begin::Template(_, method @ (Method::Causal | Method::CausalFim)) = &task.begin {
        return Ok(engine.infill_by(*method, &planned.request, cancel)?);
    }
    if !context.output.is_terminal() || args.json || args.diff {
        return Ok(engine.infill(&planned.request, cancel, &mut NoFrames)?);
    }
    let (line, _) = place_of(&task.source.document, task.region.range.start);
    let mut live = Live::new(&mut context.output, Scene::of(&planned.plan, line));
    Ok(engine.infill(&planned.request, cancel, &mut live)?)
}

/// The offer that is the answer: the first that may be, or the one `--pick` names.
fn pick(offers: &[Offer], planned: &Planned, number: Option<usize>) -> Result<Option<usize>, Failure> {
    let usable = offers.iter().filter(|offer| offer.answers(planned)).count();
    match number {
        _ if usable == 0 => Ok(None),
        None => Ok(Some(0)),
        Some(number) if number <= usable => Ok(Some(number - 1)),
        Some(number) => Err(Failure::input(format!(
            "--pick {number} does not exist: there {} {}",
            if usable == 1 { "is" } else { "are" },
            summary::counted(usable, "usable candidate")
        ))),
    }
}

fn show(task: &Task, args: &EditArgs, answer: &Answer, context: &mut Context) -> Result<(), Failure> {
    let output = &mut context.output;
    if args.json {
        let snapshot = &*task.source.document;
        let report = Report {
            file: &task.source.name,
            language: snapshot.language().id(),
            range: Span::of(&answer.planned.plan, snapshot),
            kind: answer.planned.plan.kind(),
            candidates: answer.offers.iter().map(Entry::of).collect(),
            chosen: answer.chosen,
            diff: &answer.diff,
            written: args.in_place && answer.chosen.is_some(),
            stats: &answer.stats,
        };
        output.json(&report)?;
    } else if output.is_terminal() && !args.diff {
        show_to_person(task, args, answer, context)?;
    } else if args.diff || (task.piped == Piped::Diff && !args.in_place) {
        diff::print(output, &answer.diff)?;
    } else if let (Some(index), false) = (answer.chosen, args.in_place) {
        output.line(answer.offers[index].text())?;
    }
    context.output.flush()
}

fn show_to_person(
    task: &Task,
    args: &EditArgs,
    answer: &Answer,
    context: &mut Context,
) -> Result<(), Failure> {
    let output = &mut context.output;
    diff::print(output, &answer.diff)?;
    if !answer.diff.is_empty() {
        output.line("")?;
    }
    summary::candidates(output, &answer.offers, answer.best, args.verbose)?;
    let cost = summary::cost(&answer.offers, answer.best, &answer.stats, args.verbose);
    let cost = output.paint(Tone::Dim, &cost);
    output.line(&cost)?;
    let last = match answer.chosen {
        Some(_) if args.in_place => format!("{} written", task.source.shown()),
        Some(_) => "nothing written; -i writes the file, --pick N takes another candidate".to_owned(),
        None => return Ok(()),
    };
    let last = output.paint(Tone::Dim, &last);
    output.line(&last)
}

fn language(id: &str) -> Result<Language, Failure> {
    match Language::from_id(id) {
        Language::PlainText if !["plaintext", "text"].contains(&id) => {
            let known: Vec<&str> = Language::ALL.iter().map(|language| language.id()).collect();
            Err(Failure::input(format!("--language {id} is not known; known are {}", known.join(", "))))
        }
        language => Ok(language),
    }
}

#[cfg(test)]
#[path = "edit_tests.rs"]
mod tests;
