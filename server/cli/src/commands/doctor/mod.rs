//! `lacuna doctor`: what model, machine and grammars there are, and two seconds of real fills.

mod machine;
mod selftest;

use super::{Context, editors};
use crate::args::Doctor;
use crate::engine;
use crate::failure::Failure;
use crate::output::{Output, Tone};
use crate::path;
use indicatif::ProgressBar;
use lacuna_engine::{Engine, ModelInfo, NoiseInfo};
use lacuna_text::Language;
use machine::{Machine, Memory};
use selftest::SelfTest;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Diagnosis {
    #[serde(flatten)]
    found: Found,
    /// After the self-test.
    memory: Memory,
    self_test: SelfTest,
}

/// What can be said without filling anything.
#[derive(Debug, Serialize)]
struct Found {
    version: &'static str,
    model: ModelInfo,
    /// From the command line to a loaded model.
    load_ms: f64,
    machine: Machine,
    /// The GPU, or why there is none.
    gpu: Gpu,
    /// Language ids with a grammar.
    grammars: Vec<&'static str>,
    /// The editors of `lacuna editors` whose program is on the PATH.
    editors: Vec<&'static str>,
    /// The `lacuna` on the PATH, which editors start.
    server: Option<PathBuf>,
}

/// The GPU that could be used, whether or not the model runs on it.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Gpu {
    Usable {
        name: String,
        driver: String,
        compute_capability: String,
        memory_bytes: usize,
        free_bytes: usize,
    },
    Unusable {
        reason: String,
    },
}

impl Gpu {
    fn look() -> Self {
        match engine::gpu() {
            Ok(gpu) => Self::Usable {
                name: gpu.name,
                driver: gpu.driver,
                compute_capability: gpu.compute_capability,
                memory_bytes: gpu.memory_total,
                free_bytes: gpu.memory_free,
            },
            Err(reason) => Self::Unusable { reason },
        }
    }
}

/// Runs the command.
///
/// # Errors
/// A model that cannot be used, a self-test that fails, Ctrl-C.
pub fn run(args: &Doctor, context: &mut Context) -> Result<(), Failure> {
    let started = Instant::now();
    let mut engine = engine::load(&args.model)?;
    let load_ms = started.elapsed().as_secs_f64() * 1e3;
    let grammars = Language::ALL.iter().filter(|language| language.grammar().is_some());
    let found = Found {
        version: env!("CARGO_PKG_VERSION"),
        model: engine.info(),
        load_ms,
        machine: Machine::this(),
        gpu: Gpu::look(),
        grammars: grammars.map(|language| language.id()).collect(),
        editors: editors::found(),
        server: path::find("lacuna"),
    };
    if !args.json {
        // Said before the test, not two seconds later.
        print_found(&found, &mut context.output)?;
        context.output.flush()?;
    }
    let working = context.interrupt.working();
    let bar = ProgressBar::new_spinner().with_message("self-test: filling for two seconds");
    bar.tick();
    let self_test = selftest::run(&mut engine, context.interrupt.token());
    bar.finish_and_clear();
    let self_test = self_test?;
    drop(working);
    let memory = Memory::now();
    if args.json {
        return context.output.json(&Diagnosis { found, memory, self_test });
    }
    print_measured(&memory, &self_test, &mut context.output)
}

fn print_found(found: &Found, output: &mut Output) -> Result<(), Failure> {
    let (model, machine) = (&found.model, &found.machine);
    let rows = [
        ("lacuna", describe_version(found)),
        ("model", describe_model(model)),
        ("", describe_shape(model)),
        ("can", describe_abilities(model)),
        ("device", format!("{} · {} threads of {} cores", model.device, model.threads, machine.cores)),
        ("processor", describe_processor(machine)),
        ("gpu", describe_gpu(&found.gpu)),
        ("grammars", found.grammars.join(" ")),
        ("editors", or_none(&found.editors.join(" "))),
        ("loading", format!("{:.0} ms", found.load_ms)),
    ];
    rows.into_iter().try_for_each(|(name, text)| row(name, &text, output))
}

fn print_measured(memory: &Memory, test: &SelfTest, output: &mut Output) -> Result<(), Failure> {
    row("memory", &describe_memory(memory), output)?;
    let measured = format!(
        "{} fills in {:.1} s · p50 {:.0} ms · p95 {:.0} ms · first frame {:.0} ms · {:.0} tokens/s · {:.0} % usable",
        test.fills,
        test.seconds,
        test.p50_ms,
        test.p95_ms,
        test.first_frame_ms,
        test.tokens_per_second,
        test.usable * 100.0
    );
    row("self-test", &measured, output)?;
    let end = output.paint(Tone::Bright, "everything that filling needs is there");
    output.line(&end)
}

fn row(name: &str, text: &str, output: &mut Output) -> Result<(), Failure> {
    let name = output.paint(Tone::Place, &format!("{name:10}"));
    output.line(&format!("{name}{text}"))
}

fn describe_version(found: &Found) -> String {
    let version = found.version;
    match &found.server {
        Some(path) => format!("{version} · editors start {}", path.display()),
        None => format!(
            "{version} · not on the PATH, where editors look for it (cargo install --path server/cli)"
        ),
    }
}

fn describe_model(model: &ModelInfo) -> String {
    let megabytes = model.weight_bytes as f64 / 1e6;
    let millions = model.parameters as f64 / 1e6;
    format!("{} · {millions:.1} M parameters · {megabytes:.1} MB in {}", model.source, model.precision)
}

fn describe_shape(model: &ModelInfo) -> String {
    let noise = match model.noise {
        NoiseInfo::Uniform => "uniform".to_owned(),
        NoiseInfo::Mask { uniform_share } => format!("mask with {:.0} % uniform", uniform_share * 100.0),
    };
    format!(
        "{} layers of {} · vocabulary {} · canvas {} · noise: {noise}",
        model.layers, model.hidden, model.vocabulary, model.canvas_length
    )
}

fn describe_abilities(model: &ModelInfo) -> String {
    let yes = |flag: bool, what: &str| flag.then(|| what.to_owned());
    let mut abilities = vec!["infill".to_owned()];
    abilities.extend(yes(model.blank_token, "choose its own length"));
    abilities.extend(yes(model.fim, "fill-in-the-middle control"));
    abilities.extend(yes(model.instruct, "follow instructions"));
    if !model.languages.is_empty() {
        abilities.push(format!("knows {}", model.languages.join(" ")));
    }
    abilities.join(" · ")
}

fn describe_processor(machine: &Machine) -> String {
    let name = machine.processor.as_deref().unwrap_or("unknown");
    format!("{name} · {} · {}", machine.architecture, or_none(&machine.instructions.join(" ")))
}

fn describe_gpu(gpu: &Gpu) -> String {
    match gpu {
        Gpu::Usable { name, driver, compute_capability, memory_bytes, free_bytes } => format!(
            "{name} · compute capability {compute_capability} · driver for CUDA {driver} · {:.1} of {:.1} GB free",
            *free_bytes as f64 / 1e9,
            *memory_bytes as f64 / 1e9
        ),
        Gpu::Unusable { reason } => format!("none: {reason}"),
    }
}

fn describe_memory(memory: &Memory) -> String {
    let megabytes = |bytes: Option<u64>| {
        bytes.map_or("unknown".to_owned(), |bytes| format!("{:.0} MB", bytes as f64 / 1e6))
    };
    let (now, peak, free) =
        (megabytes(memory.resident_bytes), megabytes(memory.peak_bytes), megabytes(memory.available_bytes));
    format!("{now} now, {peak} at most, {free} available")
}

fn or_none(text: &str) -> String {
    if text.is_empty() { "none".to_owned() } else { text.to_owned() }
}
