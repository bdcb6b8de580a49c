//! `lacuna bench step` on a GPU: a step's time and its parts, against the ceilings measured in the same run.

use crate::args::BenchStep;
use crate::commands::Context;
use crate::commands::eval::metrics::percentile;
use crate::engine;
use crate::failure::Failure;
use crate::output::{Output, Tone};
use lacuna_diffusion::DeviceTimes;
use serde::Serialize;

/// Denoising steps a canvas is priced at.
const STEPS: [usize; 6] = [4, 8, 12, 16, 24, 48];

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct DeviceReport {
    weights: &'static str,
    canvas: usize,
    batch: usize,
    prefix: usize,
    device: String,
    /// CUDA version of the driver, such as `13.0`.
    driver: String,
    model: String,
    weight_bytes: usize,
    kv_bytes: usize,
    buffer_bytes: usize,
    /// All that this process took of the card's memory.
    taken_bytes: usize,
    open_ms: f64,
    load_ms: f64,
    prefill_ms: f64,
    /// One more token read, and the first step after it.
    first_frame_ms: f64,
    /// A canvas read into the cache.
    commit_ms: f64,
    causal: Option<Causal>,
    /// Median.
    ms_per_step: f64,
    min_ms: f64,
    p95_ms: f64,
    /// Rows of the timed steps that took the exact path too: the times then are not those of the loop alone.
    overflowed_rows: usize,
    parts: Vec<Part>,
    bytes_per_step: usize,
    flops_per_step: f64,
    copy_gb_s: f64,
    matmul_tflop_s: f64,
    /// `bytes_per_step` at the speed of copies.
    floor_ms: f64,
    /// `flops_per_step` at the speed of our own products.
    compute_floor_ms: f64,
    /// `floor_ms / ms_per_step`.
    share_of_floor: f64,
    tokens_per_s: Vec<Speed>,
    tokens_per_s_16: f64,
    ms: Vec<f64>,
}

/// Decoding left to right with the same weights.
#[derive(Debug, Serialize)]
struct Causal {
    tokens: usize,
    /// Median.
    ms_per_token: f64,
    tokens_per_s: f64,
}

/// A part of one step that ran without a graph.
#[derive(Debug, Serialize)]
struct Part {
    name: &'static str,
    ms: f64,
}

/// Tokens a second where a canvas takes so many steps.
#[derive(Debug, Serialize)]
struct Speed {
    steps: usize,
    tokens_per_s: f64,
}

/// Runs the bench.
///
/// # Errors
/// A model or a device that cannot be used, Ctrl-C.
pub fn run(args: &BenchStep, context: &mut Context) -> Result<(), Failure> {
    let working = context.interrupt.working();
    let times = engine::device_times(args, context.interrupt.token())?;
    drop(working);
    let report = report(args, times);
    if args.json { context.output.json(&report) } else { print(&report, &mut context.output) }
}

fn report(args: &BenchStep, times: DeviceTimes) -> DeviceReport {
    let at = |percent| percentile(&times.ms, percent).unwrap_or(f64::NAN);
    let ms_per_step = at(50.0);
    let tokens_per_s = |steps: usize| (args.canvas * args.batch) as f64 / (steps as f64 * ms_per_step) * 1e3;
    let shape = args.shape.as_ref().or(args.model.model.as_ref());
    DeviceReport {
        weights: times.plan.format.name(),
        canvas: args.canvas,
        batch: args.batch,
        prefix: args.prefix,
        driver: format!("{}.{}", times.driver / 1000, times.driver % 1000 / 10),
        model: shape.map_or_else(|| "mini".to_owned(), |shape| shape.display().to_string()),
        weight_bytes: times.plan.weight_bytes,
        kv_bytes: times.plan.kv_bytes,
        buffer_bytes: times.plan.buffer_bytes,
        taken_bytes: times.taken_bytes,
        open_ms: times.open_ms,
        load_ms: times.load_ms,
        prefill_ms: times.prefill_ms,
        first_frame_ms: times.first_frame_ms,
        commit_ms: times.commit_ms,
        causal: causal(&times.causal_ms),
        ms_per_step,
        min_ms: at(0.0),
        p95_ms: at(95.0),
        overflowed_rows: times.overflowed_rows,
        parts: times.parts.iter().map(|&(name, ms)| Part { name, ms }).collect(),
        bytes_per_step: times.bytes,
        flops_per_step: times.flops,
        copy_gb_s: times.copy_gb_s,
        matmul_tflop_s: times.matmul_tflop_s,
        floor_ms: times.floor_ms(),
        compute_floor_ms: times.compute_floor_ms(),
        share_of_floor: times.floor_ms() / ms_per_step,
        tokens_per_s: STEPS.map(|steps| Speed { steps, tokens_per_s: tokens_per_s(steps) }).into(),
        tokens_per_s_16: tokens_per_s(16),
        device: times.device,
        ms: times.ms,
    }
}

fn causal(ms: &[f64]) -> Option<Causal> {
    let tokens = ms.len();
    let tokens_per_s = tokens as f64 / ms.iter().sum::<f64>() * 1e3;
    percentile(ms, 50.0).map(|ms_per_token| Causal { tokens, ms_per_token, tokens_per_s })
}

fn print(report: &DeviceReport, output: &mut Output) -> Result<(), Failure> {
    output.line(&format!(
        "one denoising step: median {:.2} ms, least {:.2} ms, p95 {:.2} ms, {} steps",
        report.ms_per_step,
        report.min_ms,
        report.p95_ms,
        report.ms.len()
    ))?;
    if report.overflowed_rows > 0 {
        output.line(&format!(
            "{} rows took the exact path as well: slower than usual",
            report.overflowed_rows
        ))?;
    }
    for (name, text) in rows(report) {
        let name = output.paint(Tone::Place, &format!("{name:10}"));
        output.line(&format!("{name}{text}"))?;
    }
    Ok(())
}

/// A line's name and what it says: of the step, then of what surrounds it.
fn rows(report: &DeviceReport) -> Vec<(&'static str, String)> {
    let parts: Vec<String> =
        report.parts.iter().map(|part| format!("{} {:.2}", part.name, part.ms)).collect();
    let speeds: Vec<String> = report
        .tokens_per_s
        .iter()
        .map(|speed| format!("{:.0} at {}", speed.tokens_per_s, speed.steps))
        .collect();
    let [floor, parts, tokens, on] = [
        (
            "floor",
            format!(
                "{:.2} ms to read {} at {:.0} GB/s, {:.2} ms to multiply {:.2} TFLOP at {:.1} TFLOP/s; reading is {:.0} % of the step",
                report.floor_ms,
                size(report.bytes_per_step),
                report.copy_gb_s,
                report.compute_floor_ms,
                report.flops_per_step / 1e12,
                report.matmul_tflop_s,
                report.share_of_floor * 100.0
            ),
        ),
        ("parts", format!("{} (ms, one step launch by launch)", parts.join(" · "))),
        ("tokens/s", format!("{} steps a canvas", speeds.join(" · "))),
        (
            "on",
            format!(
                "canvas {} · prefix {} · batch {} · {} · {} · driver {} · {}",
                report.canvas,
                report.prefix,
                report.batch,
                report.weights,
                report.device,
                report.driver,
                report.model
            ),
        ),
    ];
    let [memory, loading, reading, causal] = around(report);
    vec![floor, parts, tokens, reading, causal, memory, loading, on]
}

/// Memory, loading, the passes besides the step.
fn around(report: &DeviceReport) -> [(&'static str, String); 4] {
    [
        (
            "memory",
            format!(
                "weights {} · KV cache {} · buffers {} · taken {}",
                size(report.weight_bytes),
                size(report.kv_bytes),
                size(report.buffer_bytes),
                size(report.taken_bytes)
            ),
        ),
        (
            "loading",
            format!(
                "{:.0} ms, {:.2} GB/s, after {:.0} ms for the card",
                report.load_ms,
                report.weight_bytes as f64 / report.load_ms / 1e6,
                report.open_ms
            ),
        ),
        (
            "reading",
            format!(
                "prefix {:.1} ms · a canvas {:.1} ms · one token and the first step {:.1} ms",
                report.prefill_ms, report.commit_ms, report.first_frame_ms
            ),
        ),
        (
            "causal",
            report.causal.as_ref().map_or("not asked for (--causal N)".to_owned(), |causal| {
                format!(
                    "{:.0} tokens/s over {} tokens, median {:.2} ms",
                    causal.tokens_per_s, causal.tokens, causal.ms_per_token
                )
            }),
        ),
    ]
}

fn size(bytes: usize) -> String {
    match bytes as f64 {
        bytes if bytes >= 1e9 => format!("{:.2} GB", bytes / 1e9),
        bytes => format!("{:.1} MB", bytes / 1e6),
    }
}
