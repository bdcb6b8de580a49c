//! `lacuna bench generate`: diffusion and autoregressive decoding with the same weights, on the same holes.
//!
//! Two tasks: *fill* (a hole of N tokens, code on both sides; the causal control sees the prefix only) and *continue*
//! (N tokens after the prefix, for both). Nothing is tuned for either side.

use crate::args::{BenchGenerate, at_least_one};
use crate::commands::Context;
use crate::commands::eval::answer::Asking;
use crate::commands::eval::answer_all;
use crate::commands::eval::cases::{self, Case};
use crate::commands::eval::methods::Way;
use crate::commands::eval::metrics::mean;
use crate::commands::eval::progress;
use crate::commands::eval::report::Latency;
use crate::engine;
use crate::failure::Failure;
use crate::output::Output;
use indicatif::ProgressBar;
use lacuna_engine::{CancelToken, Engine, GenerateRequest, Method, NoFrames, Sampling};
use lacuna_text::Language;
use serde::Serialize;
use std::time::Instant;

/// Holes of about 64 tokens, written for this purpose.
const CASES: &str = include_str!("cases.jsonl");

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct BenchReport {
    cases: usize,
    tokens: usize,
    model: String,
    rows: Vec<Row>,
}

/// One task by one method.
#[derive(Debug, Serialize)]
struct Row {
    task: &'static str,
    method: Method,
    wall_ms: Latency,
    tokens_mean: f64,
    forwards_mean: f64,
    /// Fill: equal to the known answer. Continue: begins with it. Share of cases.
    exact_match: f64,
}

/// One case's share of a row.
struct Sample {
    wall_ms: f64,
    tokens: usize,
    forwards: usize,
    exact_match: bool,
}

/// Runs the command.
///
/// # Errors
/// Cases that cannot be read, a model that cannot answer them, Ctrl-C.
pub fn run(args: &BenchGenerate, context: &mut Context) -> Result<(), Failure> {
    at_least_one("--tokens", Some(args.tokens))?;
    let limit = at_least_one("--limit", args.limit)?;
    let cases = match &args.cases {
        Some(path) => cases::read(path, limit)?,
        None => cases::parse("the built-in cases", CASES.as_bytes(), limit)?,
    };
    let sampling = Sampling { lengths: Some(vec![args.tokens]), ..args.sampling.sampling()? };
    let mut engine = engine::load(&args.model)?;
    let _working = context.interrupt.working();
    let report = measure(&mut engine, &cases, args.tokens, &sampling, context.interrupt.token())?;
    if args.json { context.output.json(&report) } else { print(&report, &mut context.output) }
}

fn measure(
    engine: &mut dyn Engine,
    cases: &[Case],
    tokens: usize,
    sampling: &Sampling,
    cancel: &CancelToken,
) -> Result<BenchReport, Failure> {
    let info = engine.info();
    let mut fills = vec![Method::Diffusion, Method::Causal];
    if info.fim {
        fills.push(Method::CausalFim);
    }
    let continues = [Method::Diffusion, Method::Causal];
    let bar = progress((fills.len() + continues.len()) * cases.len());
    let mut rows = Vec::new();
    for method in fills {
        let asking = Asking { way: Way::from(method), sampling, cancel };
        let outcomes = answer_all(engine, cases, &asking, |_| tick(&bar))?;
        let samples = outcomes.iter().map(|outcome| Sample {
            wall_ms: outcome.latency_ms,
            tokens: outcome.tokens,
            forwards: outcome.forwards,
            exact_match: outcome.exact_match,
        });
        rows.push(row("fill", method, &samples.collect::<Vec<_>>()));
    }
    for method in continues {
        let mut samples = Vec::with_capacity(cases.len());
        let template = GenerateRequest {
            language: None,
            prompt: String::new(),
            tokens_max: tokens,
            method,
            sampling: Sampling { lengths: None, ..sampling.clone() },
        };
        carry_on(engine, &cases::warm_up(), &template, cancel)?;
        for case in cases {
            samples.push(carry_on(engine, case, &template, cancel)?);
            tick(&bar)?;
        }
        rows.push(row("continue", method, &samples));
    }
    bar.finish_and_clear();
    Ok(BenchReport { cases: cases.len(), tokens, model: info.source, rows })
}

fn tick(bar: &ProgressBar) -> Result<(), Failure> {
    bar.inc(1);
    Ok(())
}

fn carry_on(
    engine: &mut dyn Engine,
    case: &Case,
    template: &GenerateRequest,
    cancel: &CancelToken,
) -> Result<Sample, Failure> {
    let language = (case.language != Language::PlainText).then(|| case.language.id().to_owned());
    let request = GenerateRequest { language, prompt: case.prompt.clone(), ..template.clone() };
    let started = Instant::now();
    let answer = engine.generate(&request, cancel, &mut NoFrames)?;
    let wall_ms = started.elapsed().as_secs_f64() * 1e3;
    let best = answer.candidates.first();
    Ok(Sample {
        wall_ms,
        tokens: best.map_or(0, |candidate| candidate.tokens),
        forwards: answer.stats.forwards,
        exact_match: best.is_some_and(|candidate| candidate.text.starts_with(case.answer.trim_end())),
    })
}

fn row(task: &'static str, method: Method, samples: &[Sample]) -> Row {
    let times: Vec<f64> = samples.iter().map(|sample| sample.wall_ms).collect();
    Row {
        task,
        method,
        wall_ms: Latency::of(&times),
        tokens_mean: mean(samples.iter().map(|sample| sample.tokens as f64)),
        forwards_mean: mean(samples.iter().map(|sample| sample.forwards as f64)),
        exact_match: mean(samples.iter().map(|sample| f64::from(u8::from(sample.exact_match)))),
    }
}

fn print(report: &BenchReport, output: &mut Output) -> Result<(), Failure> {
    let (cases, tokens, model) = (report.cases, report.tokens, &report.model);
    output.line(&format!("{cases} cases, {tokens} tokens, {model}"))?;
    output.line(&format!(
        "{:10}{:12}{:>10}{:>10}{:>9}{:>10}{:>13}",
        "task", "method", "p50 ms", "p95 ms", "tokens", "forwards", "exact match"
    ))?;
    for row in &report.rows {
        let ms = |value: Option<f64>| value.map_or("–".to_owned(), |ms| format!("{ms:.0}"));
        output.line(&format!(
            "{:10}{:12}{:>10}{:>10}{:>9.1}{:>10.1}{:>11.1} %",
            row.task,
            Way::from(row.method).name(),
            ms(row.wall_ms.p50),
            ms(row.wall_ms.p95),
            row.tokens_mean,
            row.forwards_mean,
            row.exact_match * 100.0
        ))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use lacuna_engine::scripted::ScriptedEngine;

    #[test]
    fn the_built_in_cases_are_sound_code() {
        let cases = cases::parse("built-in", CASES.as_bytes(), None).unwrap();
        assert!(cases.len() >= 4);
        for case in cases {
            let text = format!("{}{}{}", case.prompt, case.answer, case.suffix);
            let errors = crate::commands::eval::metrics::syntax_errors(&text, case.language);
            assert_eq!(errors, 0, "{}", case.task_id);
            assert_ne!(case.language, Language::PlainText, "{}", case.task_id);
        }
    }

    #[test]
    fn both_tasks_are_answered_by_both_methods() {
        let cases = cases::parse("built-in", CASES.as_bytes(), Some(1)).unwrap();
        let known = cases[0].answer.clone();
        // Each of the four rows warms up once and measures once.
        let script =
            (0..8).map(|index| Ok(vec![if index < 4 { known.clone() } else { format!("{known} x") }]));
        let mut engine = ScriptedEngine::new(script);
        let report = measure(&mut engine, &cases, 64, &Sampling::default(), &CancelToken::new()).unwrap();
        let rows: Vec<_> = report.rows.iter().map(|row| (row.task, Way::from(row.method).name())).collect();
        let expected =
            [("fill", "diffusion"), ("fill", "causal"), ("continue", "diffusion"), ("continue", "causal")];
        assert_eq!(rows, expected);
        assert!(report.rows.iter().all(|row| (row.exact_match - 1.0).abs() < 1e-9));
    }
}
