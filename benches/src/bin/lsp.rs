//! Prints the measures of the language server beside their targets, and writes them to `benches/results/lsp.json`.
//!
//! `cargo run --release -p lacuna-benches --bin lsp`
#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

use clap::Parser;
use lacuna_benches::lsp::machine::{Machine, load};
use lacuna_benches::lsp::{Figure, Programs, Report, burst, cancel, keystrokes, overhead, pairs, soak, warm};
use lacuna_tests::workspace_root;
use serde::Serialize;
use std::io;
use std::path::PathBuf;

/// Measures of the language server over real pipes.
#[derive(Parser)]
struct Arguments {
    /// Which: burst, cancel, pairs, overhead, keystrokes, warm, soak; all without a name.
    measures: Vec<String>,
    /// Messages of the soak.
    #[arg(long, default_value_t = 200_000)]
    soak: usize,
    /// Where the figures are written.
    #[arg(long)]
    json: Option<PathBuf>,
    /// The shipped binary, already built.
    #[arg(long, requires = "scripted")]
    lacuna: Option<PathBuf>,
    /// The server with the scripted engine, already built.
    #[arg(long, requires = "lacuna")]
    scripted: Option<PathBuf>,
}

#[derive(Serialize)]
struct Results {
    machine: Machine,
    measures: Vec<Report>,
}

type Measure<'a> = (&'static str, &'a dyn Fn(&Programs) -> Vec<Figure>);

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let programs = match (arguments.lacuna, arguments.scripted) {
        (Some(lacuna), Some(scripted)) => Programs { lacuna, scripted },
        _ => Programs::build()?,
    };
    let soak = |programs: &Programs| soak::soak(programs, arguments.soak);
    let all: [Measure<'_>; 7] = [
        ("burst", &burst::burst),
        ("cancel", &cancel::cancel),
        ("pairs", &pairs::pairs),
        ("overhead", &overhead::overhead),
        ("keystrokes", &keystrokes::keystrokes),
        ("warm", &warm::warm),
        ("soak", &soak),
    ];
    let known = |name: &String| all.iter().any(|(it, _)| it == name);
    if let Some(unknown) = arguments.measures.iter().find(|name| !known(name)) {
        return Err(io::Error::other(format!("there is no measure {unknown}; --help names them")));
    }
    let wanted = |name: &str| arguments.measures.is_empty() || arguments.measures.iter().any(|it| it == name);
    let mut measures = Vec::new();
    for (measure, run) in all.into_iter().filter(|(name, _)| wanted(name)) {
        let load = load();
        let figures = run(&programs);
        println!("{measure} (load {load})");
        for figure in &figures {
            println!("  {figure}");
        }
        measures.push(Report { measure, load, figures });
    }
    write(arguments.json, arguments.measures.is_empty(), &Results { machine: Machine::here(), measures })
}

/// A run of some measures is written only where it is told to: it is no full set.
fn write(path: Option<PathBuf>, complete: bool, results: &Results) -> io::Result<()> {
    let default = complete.then(|| workspace_root().join("benches/results/lsp.json"));
    let Some(path) = path.or(default) else { return Ok(()) };
    let text = serde_json::to_string_pretty(results).map_err(io::Error::other)?;
    std::fs::write(path, text + "\n")
}
