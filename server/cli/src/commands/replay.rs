//! `lacuna replay`: recorded inputs in, this engine's tensors out; the parity checks compare them.

use super::Context;
use crate::args::Replay;
use crate::engine;
use crate::failure::Failure;

/// Runs the command.
///
/// # Errors
/// A model or a recording that cannot be used, an output that cannot be written.
pub fn run(args: &Replay, _context: &mut Context) -> Result<(), Failure> {
    engine::replay(&args.model, &args.replay, &args.out)
}
