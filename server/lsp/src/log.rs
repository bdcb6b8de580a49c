//! Logs of the server: to standard error, on request to a file as well, adjustable while it runs.
//!
//! What may be in them is an allowlist: events of Lacuna's own crates, in which source code stands only through [`code`],
//! which hides it. Other crates are silent, since some of them log whole protocol messages, unless `log.code` is set.
//! Writing never blocks the server: a client that does not read standard error costs log lines, not keystrokes.

mod filter;
mod redact;
mod rotate;
mod sinks;

pub use redact::{code, hook_panics};
pub use rotate::{BYTES_MAX as FILE_BYTES_MAX, KEPT as FILES_KEPT};

use crate::settings::LogSettings;
use filter::Override;
use sinks::Sinks;
use std::io;
use std::path::PathBuf;
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{Registry, fmt, reload};

/// The environment variable that overrides `log.level`: a level (`debug`) or levels by module (`lacuna_lsp=trace,warn`).
pub const ENVIRONMENT: &str = "LACUNA_LOG";

/// Why the log is not what was asked for. It works nevertheless, as far as it can.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The process has a subscriber already; its output is not ours to change.
    #[error("the log is started already; changes of log settings have no effect")]
    Started,
    /// The environment variable does not hold levels.
    #[error(
        "{ENVIRONMENT}: expected a level or levels by module such as lacuna_lsp=debug, found {found:?}: {reason}"
    )]
    Environment {
        /// What it holds.
        found: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file cannot be written.
    #[error("the log file {path} cannot be written: {source}; check log.file")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// The running log. Dropping it writes out what is waiting, and ends it.
#[derive(Debug)]
pub struct Log {
    control: Control,
    sinks: Sinks,
    _standard_error: WorkerGuard,
}

impl Log {
    /// Starts the log of the process, to be called once and before anything else; what is wrong comes along with it.
    #[must_use]
    pub fn start(settings: &LogSettings) -> (Self, Vec<LogError>) {
        let (sinks, guard) = Sinks::standard_error();
        let (environment, mut errors) = match Override::read(std::env::var_os(ENVIRONMENT)) {
            Ok(environment) => (environment, Vec::new()),
            Err(error) => (None, vec![error]),
        };
        let (subscriber, control) = build(sinks.clone(), environment);
        // Not `init`: it would also take in the `log` records of every crate.
        if tracing::subscriber::set_global_default(subscriber).is_err() {
            errors.push(LogError::Started);
        }
        let log = Self { control, sinks, _standard_error: guard };
        errors.extend(log.apply(settings).err());
        (log, errors)
    }

    /// Makes the log what `settings` say, from the next event on.
    ///
    /// # Errors
    /// The file cannot be written: level and code are applied, and standard error gets the log as before.
    pub fn apply(&self, settings: &LogSettings) -> Result<(), LogError> {
        self.control.apply(settings);
        self.sinks.set_file(settings.file.as_deref())
    }
}

/// What of the subscriber can change.
#[derive(Debug)]
struct Control {
    filter: reload::Handle<Targets, Registry>,
    environment: Option<Override>,
}

impl Control {
    fn apply(&self, settings: &LogSettings) {
        redact::allow_code(settings.code);
        // It fails only when the subscriber is gone, and then nothing is logged either.
        let _gone = self.filter.reload(filter::targets(settings, self.environment.as_ref()));
    }
}

/// The subscriber over any writer, so that tests can read what it writes.
fn build<W>(writer: W, environment: Option<Override>) -> (impl tracing::Subscriber + Send + Sync, Control)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let first = filter::targets(&LogSettings::default(), environment.as_ref());
    let (filter, handle) = reload::Layer::new(first);
    let lines = fmt::layer().with_ansi(false).with_writer(writer);
    (tracing_subscriber::registry().with(filter).with(lines), Control { filter: handle, environment })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::LogLevel;
    use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

    /// Whether code is allowed is one switch for the process, so tests that turn it take turns.
    static TURN: Mutex<()> = Mutex::new(());

    /// A log that writes to memory.
    struct Bench {
        control: Control,
        written: Arc<Mutex<Vec<u8>>>,
        _subscriber: tracing::subscriber::DefaultGuard,
        _turn: MutexGuard<'static, ()>,
    }

    impl Bench {
        fn new(environment: Option<&str>) -> Self {
            let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
            let written = Arc::new(Mutex::new(Vec::new()));
            let environment = Override::read(environment.map(Into::into)).unwrap();
            let (subscriber, control) = build(Shared(Arc::clone(&written)), environment);
            let guard = tracing::subscriber::set_default(subscriber);
            Self { control, written, _subscriber: guard, _turn: turn }
        }

        fn apply(&self, level: LogLevel, code: bool) {
            self.control.apply(&LogSettings { level, file: None, code });
        }

        fn take(&self) -> String {
            String::from_utf8(std::mem::take(&mut *self.written.lock().unwrap())).unwrap()
        }
    }

    impl Drop for Bench {
        fn drop(&mut self) {
            redact::allow_code(false);
        }
    }

    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl<'a> MakeWriter<'a> for Shared {
        type Writer = Handle<'a>;
        fn make_writer(&'a self) -> Self::Writer {
            Handle(self.0.lock().unwrap())
        }
    }

    struct Handle<'a>(MutexGuard<'a, Vec<u8>>);

    impl io::Write for Handle<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const SECRET: &str = "let password = 1;";

    /// What the server and the crates under it say, at every level.
    fn chatter() {
        tracing::trace!(target: "lacuna_text::document", "our trace");
        tracing::debug!("our debug, {}", code(SECRET));
        tracing::info!(target: "lacuna_diffusion", "our info");
        tracing::error!("our error");
        tracing::trace!(target: "tower_lsp_server::codec", "<- {SECRET}");
        tracing::error!(target: "tower_lsp_server::transport", "cannot decode {SECRET}");
        let span = tracing::info_span!(target: "tower_lsp_server", "request", params = SECRET);
        span.in_scope(|| tracing::info!("in a span of theirs"));
    }

    #[test]
    fn no_level_shows_code_or_the_messages_of_other_crates() {
        let bench = Bench::new(None);
        for level in
            [LogLevel::Off, LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace]
        {
            bench.apply(level, false);
            chatter();
            let log = bench.take();
            assert!(!log.contains("password") && !log.contains("tower_lsp_server"), "{level:?}: {log}");
            for (said, at) in [
                ("our error", LogLevel::Error),
                ("our info", LogLevel::Info),
                ("our debug, <17 bytes>", LogLevel::Debug),
                ("our trace", LogLevel::Trace),
            ] {
                assert_eq!(log.contains(said), level >= at, "{said} at {level:?}: {log}");
            }
        }
    }

    #[test]
    fn no_environment_opens_what_the_settings_close() {
        for text in ["trace", "tower_lsp_server=trace", "lacuna_lsp=trace,tower_lsp_server=trace,info", ""] {
            let bench = Bench::new(Some(text));
            bench.apply(LogLevel::Trace, false);
            chatter();
            let log = bench.take();
            assert!(!log.contains("password") && !log.contains("tower_lsp_server"), "{text:?}: {log}");
        }
    }

    #[test]
    fn code_is_shown_to_who_asks_for_it_and_only_as_long() {
        let bench = Bench::new(None);
        bench.apply(LogLevel::Trace, true);
        chatter();
        let log = bench.take();
        assert!(
            log.contains(&format!("our debug, {SECRET}")) && log.contains(&format!("codec: <- {SECRET}")),
            "{log}"
        );
        bench.apply(LogLevel::Trace, false);
        chatter();
        assert!(!bench.take().contains("password"));
    }

    #[test]
    fn the_environment_overrides_the_level() {
        let bench = Bench::new(Some("lacuna_diffusion=off,lacuna_text=trace,error"));
        bench.apply(LogLevel::Debug, false);
        chatter();
        let log = bench.take();
        assert!(log.contains("our error") && log.contains("our trace"), "{log}");
        assert!(!log.contains("our debug") && !log.contains("our info"), "{log}");
    }

    #[test]
    fn a_panic_names_its_place_and_not_the_text_it_was_about() {
        let bench = Bench::new(None);
        let before = std::panic::take_hook();
        hook_panics();
        // Slicing inside a character quotes the whole text.
        let caught = std::panic::catch_unwind(|| "sécret"[std::hint::black_box(2)..].len());
        std::panic::set_hook(before);
        assert!(caught.is_err());
        let log = bench.take();
        assert!(log.contains("log.rs") && log.contains("panicked"), "{log}");
        assert!(!log.contains("cret"), "{log}");
    }

    #[test]
    fn an_environment_that_is_no_level_says_so() {
        let error = Override::read(Some("lacuna_lsp=loud".into())).unwrap_err().to_string();
        assert!(error.starts_with("LACUNA_LOG: expected a level") && error.contains("loud"), "{error}");
    }
}
