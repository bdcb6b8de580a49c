//! Which events are logged: ours from a level on, and others only together with code.

use super::LogError;
use crate::settings::{LogLevel, LogSettings};
use std::ffi::OsString;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

/// How the targets of Lacuna's crates begin.
const OURS: &str = "lacuna";

/// What the environment says instead of `log.level`.
#[derive(Clone, Debug)]
pub(super) struct Override(Targets);

impl Override {
    /// Reads the environment variable's value; an empty one says nothing.
    pub(super) fn read(value: Option<OsString>) -> Result<Option<Self>, LogError> {
        let Some(text) = value.map(|value| value.to_string_lossy().into_owned()) else { return Ok(None) };
        if text.trim().is_empty() {
            return Ok(None);
        }
        match text.parse() {
            Ok(targets) => Ok(Some(Self(targets))),
            Err(error) => Err(LogError::Environment { reason: error.to_string(), found: text }),
        }
    }
}

/// The filter for `settings`.
pub(super) fn targets(settings: &LogSettings, environment: Option<&Override>) -> Targets {
    let Some(Override(asked)) = environment else {
        let level = level_filter(settings.level);
        let targets = Targets::new().with_target(OURS, level);
        return if settings.code { targets.with_default(level) } else { targets };
    };
    if settings.code {
        return asked.clone();
    }
    let ours = asked.iter().filter(|(target, _)| target.starts_with(OURS));
    let general = asked.default_level().unwrap_or(LevelFilter::OFF);
    Targets::new()
        .with_target(OURS, general)
        .with_targets(ours.map(|(target, level)| (target.to_owned(), level)))
}

const fn level_filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}
