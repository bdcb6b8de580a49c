//! Holds what a server said in recordings of `lacuna-tee` against the meta model of LSP 3.18: `lacuna-traffic RECORDING…`, for
//! editors that are not driven from Rust. `LACUNA_META_MODEL` names the meta model.

use lacuna_tests::client::Direction;
use lacuna_tests::meta_model::MetaModel;
use lacuna_tests::tee::messages;
use std::env;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> io::Result<ExitCode> {
    let recordings: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    if recordings.is_empty() {
        return Err(io::Error::other("usage: lacuna-traffic RECORDING..."));
    }
    let mut out = io::stdout().lock();
    let Some(model) = MetaModel::from_environment() else {
        writeln!(
            out,
            "SKIPPED: the traffic was not held against LSP 3.18: LACUNA_META_MODEL names no meta model"
        )?;
        return Ok(ExitCode::SUCCESS);
    };
    let mut all_well = true;
    for recording in recordings {
        let messages = messages(&recording);
        let (count, name) = (messages.len(), recording.display());
        let mut found = model.check_traffic(messages);
        found.retain(|violation| violation.direction == Direction::ToClient);
        for violation in &found {
            writeln!(out, "{name}: {violation}")?;
        }
        writeln!(out, "{name}: {count} messages, {} of the server not as specified", found.len())?;
        all_well = all_well && found.is_empty() && count > 0;
    }
    Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
