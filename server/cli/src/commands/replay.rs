//! `lacuna replay`: recorded inputs in, this engine's tensors out; the parity checks compare them.

use super::Context;
use crate::args::Replay;
use crate::engine;
use crate::failure::Failure;
use crate::same_file::same_file;

/// Runs the command.
///
/// # Errors
/// A model or a recording that cannot be used, an output that cannot be written or would overwrite the recording.
pub fn run(args: &Replay, _context: &mut Context) -> Result<(), Failure> {
    if same_file(&args.replay, &args.out) {
        return Err(Failure::input(format!("--out {} would overwrite the recording", args.out.display())));
    }
    engine::replay(args)
}
