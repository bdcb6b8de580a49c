//! The commands, one file each.

pub mod bench;
pub mod doctor;
pub mod edit;
pub mod editors;
pub mod eval;
pub mod fill;
pub mod lsp;
pub mod refine;
pub mod replay;

use crate::args::{Bench, Command};
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::output::Output;
use std::process::ExitCode;

/// What every command works with.
pub struct Context {
    /// Standard output.
    pub output: Output,
    /// Ctrl-C.
    pub interrupt: Interrupt,
}

/// Runs a command; answers its exit code.
///
/// # Errors
/// The reason the command ended without its result.
pub fn run(command: Command, context: &mut Context) -> Result<ExitCode, Failure> {
    match command {
        Command::Lsp(args) => return lsp::run(&args, context),
        Command::Fill(args) => fill::run(&args, context),
        Command::Refine(args) => refine::run(&args, context),
        Command::Eval(args) => eval::run(&args, context),
        Command::Doctor(args) => doctor::run(&args, context),
        Command::Editors(args) => editors::run(&args, context),
        Command::Bench(Bench::Generate(args)) => bench::generate::run(&args, context),
        Command::Bench(Bench::Step(args)) => bench::step::run(&args, context),
        Command::Replay(args) => replay::run(&args, context),
    }
    .map(|()| ExitCode::SUCCESS)
}
