//! `lacuna lsp`: the language server, with the engine that this build has.

use super::Context;
use crate::args::Lsp;
use crate::engine;
use crate::failure::Failure;
use crate::output::complain;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

/// Runs the command where it prints; serving is [`serve`].
///
/// # Errors
/// Output that cannot be written, threads that the system does not give.
pub fn run(args: &Lsp, context: &mut Context) -> Result<ExitCode, Failure> {
    if args.schema {
        context.output.json(&lacuna_lsp::settings::schema())?;
        return Ok(ExitCode::SUCCESS);
    }
    serve()
}

/// Serves an editor; answers the exit code that the protocol asks for.
///
/// # Errors
/// Threads that the system does not give.
pub fn serve() -> Result<ExitCode, Failure> {
    if io::stdin().is_terminal() {
        complain(
            "this is a language server: an editor starts it and speaks to it. `lacuna editors` sets one up; Ctrl-C ends this",
        );
    }
    let code = lacuna_lsp::serve(Box::new(engine::load_for_server))
        .map_err(|error| Failure::input(format!("the server cannot start: {error}")))?;
    Ok(ExitCode::from(code))
}
