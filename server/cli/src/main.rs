//! The `lacuna` command: lsp, fill, refine, eval, editors, doctor, bench and replay.
//!
//! Invariants: nothing here knows candle or LSP; the engine is met in `engine.rs` only, standard output is written in
//! `output.rs` only, and no log line ever holds code.

mod args;
mod commands;
mod engine;
mod failure;
mod hole;
mod interrupt;
mod loading;
mod location;
mod output;
mod path;
mod report;
mod same_file;
mod source;
mod view;

use args::{Cli, Command, usage_line};
use clap::{CommandFactory, Parser};
use commands::Context;
use failure::Failure;
use interrupt::Interrupt;
use output::{Output, complain};
use std::io;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(failure) => {
            if !matches!(failure, Failure::OutputClosed) {
                complain(&failure.to_string());
            }
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run() -> Result<ExitCode, Failure> {
    let cli = match Cli::try_parse_from(location::behind_flags(std::env::args_os().collect())) {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => return Err(Failure::input(usage_line(&error))),
        // --help and --version.
        Err(error) => {
            error.print()?;
            return Ok(ExitCode::SUCCESS);
        }
    };
    let command = match cli.command {
        Some(command) => command,
        // The server keeps a log of its own, whose level editors choose.
        None if cli.stdio => return commands::lsp::serve(),
        None => {
            Cli::command().print_help()?;
            return Ok(ExitCode::SUCCESS);
        }
    };
    if !matches!(command, Command::Lsp(_)) {
        start_log();
    }
    let mut context = Context { output: Output::stdout(), interrupt: Interrupt::install() };
    let code = commands::run(command, &mut context)?;
    context.output.flush()?;
    Ok(code)
}

/// Logs go to standard error, are off by default, and follow `LACUNA_LOG` (`debug`, `lacuna_diffusion=trace`, …).
fn start_log() {
    let filter = EnvFilter::try_from_env("LACUNA_LOG").unwrap_or_else(|_| EnvFilter::new("off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
}
