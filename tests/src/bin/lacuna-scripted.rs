//! Lacuna's language server around an engine that plays a script: what the tests of timing and failure talk to.

use lacuna_tests::engine::{Script, TimedEngine};
use std::io;
use std::process::ExitCode;

fn main() -> io::Result<ExitCode> {
    let script = Script::from_environment();
    let code = lacuna_lsp::serve(Box::new(move |_| Ok(Box::new(TimedEngine::load(&script)?))))?;
    Ok(ExitCode::from(code))
}
