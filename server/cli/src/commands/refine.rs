//! `lacuna refine`: the model reads lines that are there, gives up a part of them and writes them anew.

use super::Context;
use super::edit::{self, Begin, Piped, Task};
use crate::args::Refine;
use crate::failure::Failure;
use crate::hole;

/// Runs the command.
///
/// # Errors
/// Bad input, no usable candidate, Ctrl-C.
pub fn run(args: &Refine, context: &mut Context) -> Result<(), Failure> {
    if !(0.0..=1.0).contains(&args.strength) {
        return Err(Failure::input(format!("--strength must lie between 0 and 1, found {}", args.strength)));
    }
    let source = edit::open(&args.lines.file, &args.edit)?;
    let region = hole::lines(&source, &args.lines)?;
    let task = Task { source, region, begin: Begin::Text(args.strength), piped: Piped::Diff };
    edit::run(&task, &args.edit, context)
}
