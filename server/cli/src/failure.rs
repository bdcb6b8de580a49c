//! Why a command ended without its result, and the exit code each reason has.

use lacuna_engine::EngineError;
use lacuna_lsp::planned::Unplanned;
use std::io;
use thiserror::Error;

/// A reason that ends the command. Its text is the one line a user sees, after `lacuna: `.
#[derive(Debug, Error)]
pub enum Failure {
    /// The input or the command line cannot be used.
    #[error("{0}")]
    Input(String),
    /// The model answered, but nothing of it can be used.
    #[error("{0}")]
    NoCandidate(String),
    /// A measure is worse than the one it is held against.
    #[error("{0}")]
    Worse(String),
    /// The engine or its model.
    #[error(transparent)]
    Engine(EngineError),
    /// Ctrl-C.
    #[error("cancelled; nothing was changed")]
    Cancelled,
    /// Whoever read our output has gone; not an error worth a word.
    #[error("the reader of the output has gone")]
    OutputClosed,
}

impl Failure {
    /// A bad-input failure from anything that can be shown.
    pub fn input(message: impl Into<String>) -> Self {
        Self::Input(message.into())
    }

    /// 0 ok, 1 no usable candidate or worse than before, 2 bad input or model, 130 interrupted.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Input(_) | Self::Engine(_) => 2,
            Self::NoCandidate(_) | Self::Worse(_) => 1,
            Self::Cancelled => 130,
            Self::OutputClosed => 0,
        }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Cancelled => Self::Cancelled,
            other => Self::Engine(other),
        }
    }
}

impl From<Unplanned> for Failure {
    fn from(unplanned: Unplanned) -> Self {
        match unplanned {
            Unplanned::Region(error) => Self::Input(error.to_string()),
            Unplanned::Request(error) => error.into(),
        }
    }
}

/// For writes to standard output only; reads say which file they were about.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Input(format!("cannot write the output: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_exit_code() {
        let invalid = EngineError::InvalidRequest("steps".to_owned());
        assert_eq!(Failure::from(invalid).exit_code(), 2);
        assert_eq!(Failure::from(EngineError::Cancelled).exit_code(), 130);
        assert_eq!(Failure::NoCandidate(String::new()).exit_code(), 1);
        let gone = io::Error::from(io::ErrorKind::BrokenPipe);
        assert_eq!(Failure::from(gone).exit_code(), 0);
    }
}
