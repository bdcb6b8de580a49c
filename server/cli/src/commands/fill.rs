//! `lacuna fill`: a marker, a position or a range becomes code; with `--all` every marker at once.

use super::Context;
use super::edit::{self, Begin, Piped, Task};
use crate::args::Fill;
use crate::failure::Failure;
use crate::hole;
use crate::output::complain;
use lacuna_engine::Template;

/// Runs the command.
///
/// # Errors
/// Bad input, no usable candidate, Ctrl-C.
pub fn run(args: &Fill, context: &mut Context) -> Result<(), Failure> {
    let source = edit::open(&args.location.file, &args.edit)?;
    if let Some(text) = &args.all {
        let (region, between) = hole::all(&source, args.location.place, text)?;
        let tokens = match args.tokens[..] {
            [each] => vec![each; between.len() + 1],
            _ => args.tokens.clone(),
        };
        let begin = Begin::Template(Template { between, tokens }, args.method.into());
        return edit::run(&Task { source, region, begin, piped: Piped::Hole }, &args.edit, context);
    }
    let chosen = hole::choose(&source, args.location.place, args.to, args.marker)?;
    if let Some(note) = &chosen.note {
        complain(note);
    }
    let task = Task { source, region: chosen.region, begin: Begin::Noise, piped: Piped::Hole };
    edit::run(&task, &args.edit, context)
}
