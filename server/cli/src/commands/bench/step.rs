//! `lacuna bench step`: how long one denoising step takes, the number engines are compared by.

use crate::args::{BenchStep, ModelArgs, at_least_one};
use crate::commands::Context;
use crate::commands::eval::metrics::percentile;
use crate::engine::{self, Step};
use crate::failure::Failure;
use lacuna_engine::Engine;
use serde::Serialize;

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct StepReport {
    canvas: usize,
    prefix: usize,
    batch: usize,
    precision: String,
    threads: usize,
    device: String,
    model: String,
    median_ms: Option<f64>,
    min_ms: Option<f64>,
    p95_ms: Option<f64>,
    ms: Vec<f64>,
}

/// Runs the command.
///
/// # Errors
/// Sizes that the model cannot take, a model that cannot be used, Ctrl-C.
pub fn run(args: &BenchStep, context: &mut Context) -> Result<(), Failure> {
    let (canvas, prefix, batch, repeats) = (args.canvas, args.prefix, args.batch, args.repeats);
    for (flag, value) in [("--canvas", canvas), ("--batch", batch), ("--repeats", repeats)] {
        at_least_one(flag, Some(value))?;
    }
    if engine::on_device(args)? {
        return super::device::run(args, context);
    }
    let model = ModelArgs { precision: args.weights.unwrap_or(args.model.precision), ..args.model.clone() };
    let mut engine = engine::load(&ModelArgs { model: engine::checkpoint(args), ..model })?;
    let _working = context.interrupt.working();
    let step = Step { canvas, prefix, batch, repeats };
    let ms = engine::step_times(&mut engine, step, context.interrupt.token())?;
    let info = engine.info();
    let report = StepReport {
        canvas,
        prefix,
        batch,
        precision: info.precision,
        threads: info.threads,
        device: info.device,
        model: info.source,
        median_ms: percentile(&ms, 50.0),
        min_ms: percentile(&ms, 0.0),
        p95_ms: percentile(&ms, 95.0),
        ms,
    };
    if args.json {
        return context.output.json(&report);
    }
    let ms = |value: Option<f64>| value.map_or("–".to_owned(), |ms| format!("{ms:.2} ms"));
    let (median, min, p95) = (ms(report.median_ms), ms(report.min_ms), ms(report.p95_ms));
    context
        .output
        .line(&format!("one denoising step: median {median}, least {min}, p95 {p95}, {repeats} steps"))?;
    let (precision, threads, device, model) =
        (&report.precision, report.threads, &report.device, &report.model);
    context.output.line(&format!(
        "canvas {canvas} · prefix {prefix} · batch {batch} · {precision} · {threads} threads · {device} · {model}"
    ))
}
