//! Passes a language server's traffic through and writes it down: `lacuna-tee RECORDING PROGRAM [ARGUMENT…]`, for editors
//! that start the server themselves. The last line of a recording says how the server ended.

use lacuna_tests::client::Direction;
use lacuna_tests::tee::Recorder;
use lacuna_tests::wire;
use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::thread;

fn main() -> io::Result<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    let (Some(recording), Some(program)) = (arguments.next(), arguments.next()) else {
        return Err(io::Error::other("usage: lacuna-tee RECORDING PROGRAM [ARGUMENT...]"));
    };
    let recorder = Arc::new(Recorder::create(recording.as_ref())?);
    let mut server =
        Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    if let Some(input) = server.stdin.take() {
        let recorder = Arc::clone(&recorder);
        thread::spawn(move || pass(BufReader::new(io::stdin()), input, &recorder, Direction::ToServer));
    }
    if let Some(output) = server.stdout.take() {
        pass(BufReader::new(output), io::stdout(), &recorder, Direction::ToClient)?;
    }
    let code = server.wait()?.code();
    recorder.end(code)?;
    Ok(code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Passes messages on until there are no more; who has gone away does not keep the rest from being written down.
fn pass(
    mut from: impl BufRead,
    mut to: impl Write,
    recorder: &Recorder,
    direction: Direction,
) -> io::Result<()> {
    let mut open = true;
    while let Some(body) = wire::read_frame(&mut from)? {
        recorder.message(direction, &body)?;
        open = open && to.write_all(&wire::frame(&body)).and_then(|()| to.flush()).is_ok();
    }
    Ok(())
}
