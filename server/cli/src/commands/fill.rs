//! `lacuna fill`: a marker, a position or a range becomes code.

use super::Context;
use super::edit::{self, Piped, Task};
use crate::args::Fill;
use crate::failure::Failure;
use crate::hole;
use crate::output::complain;

/// Runs the command.
///
/// # Errors
/// Bad input, no usable candidate, Ctrl-C.
pub fn run(args: &Fill, context: &mut Context) -> Result<(), Failure> {
    let source = edit::open(&args.location.file, &args.edit)?;
    let chosen = hole::choose(&source, args.location.place, args.to, args.marker)?;
    if let Some(note) = &chosen.note {
        complain(note);
    }
    let task = Task { source, region: chosen.region, strength: None, piped: Piped::Hole };
    edit::run(&task, &args.edit, context)
}
