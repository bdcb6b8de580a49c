//! Where log lines go: to a thread that writes standard error, and to one that writes the file.

use super::LogError;
use super::rotate::{BYTES_MAX, RotatingFile};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait for a slow reader; further ones are lost.
const LINES_WAITING_MAX: usize = 4096;

/// The writer behind the log. Clones write to the same places.
#[derive(Clone, Debug)]
pub(super) struct Sinks {
    standard_error: NonBlocking,
    file: Arc<RwLock<Option<FileSink>>>,
}

#[derive(Debug)]
struct FileSink {
    path: PathBuf,
    lines: NonBlocking,
    _guard: WorkerGuard,
}

impl Sinks {
    /// Standard error alone, and what ends its thread.
    pub(super) fn standard_error() -> (Self, WorkerGuard) {
        Self::over(io::stderr())
    }

    fn over(writer: impl Write + Send + 'static) -> (Self, WorkerGuard) {
        let (standard_error, guard) = in_background(writer, "lacuna-log");
        (Self { standard_error, file: Arc::default() }, guard)
    }

    /// Changes the file; the one before is written out and closed. One that stays is not touched.
    pub(super) fn set_file(&self, path: Option<&Path>) -> Result<(), LogError> {
        let same = {
            let file = self.file.read().unwrap_or_else(PoisonError::into_inner);
            file.as_ref().map(|sink| sink.path.as_path()) == path
        };
        if same {
            return Ok(());
        }
        let opened = path.map(FileSink::open).transpose();
        let (next, result) = match opened {
            Ok(next) => (next, Ok(())),
            Err(error) => (None, Err(error)),
        };
        let before = {
            let mut file = self.file.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *file, next)
        };
        // Outside of the lock: writing out may take a while.
        drop(before);
        result
    }
}

impl FileSink {
    fn open(path: &Path) -> Result<Self, LogError> {
        let file = RotatingFile::open(path, BYTES_MAX)
            .map_err(|source| LogError::File { path: path.to_owned(), source })?;
        let (lines, guard) = in_background(file, "lacuna-log-file");
        Ok(Self { path: path.to_owned(), lines, _guard: guard })
    }
}

fn in_background(writer: impl Write + Send + 'static, thread: &str) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(LINES_WAITING_MAX)
        .thread_name(thread)
        .finish(writer)
}

impl<'a> MakeWriter<'a> for Sinks {
    type Writer = Tee;

    fn make_writer(&'a self) -> Tee {
        let file = self.file.read().unwrap_or_else(PoisonError::into_inner);
        Tee {
            standard_error: self.standard_error.clone(),
            file: file.as_ref().map(|sink| sink.lines.clone()),
        }
    }
}

/// Writes a line to both.
#[derive(Debug)]
pub(super) struct Tee {
    standard_error: NonBlocking,
    file: Option<NonBlocking>,
}

impl Write for Tee {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.standard_error.write_all(bytes)?;
        if let Some(file) = &mut self.file {
            file.write_all(bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::sync::mpsc;

    #[test]
    fn a_file_gets_the_log_from_when_it_is_set_until_it_is_changed() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        let (sinks, _guard) = Sinks::over(io::sink());
        let say = |line: &[u8]| sinks.make_writer().write_all(line).unwrap();
        say(b"before\n");
        sinks.set_file(Some(&one)).unwrap();
        say(b"first\n");
        sinks.set_file(Some(&one)).unwrap();
        say(b"second\n");
        sinks.set_file(Some(&two)).unwrap();
        say(b"third\n");
        let error = sinks.set_file(Some(folder.path())).unwrap_err().to_string();
        assert!(error.contains("cannot be written") && error.contains("log.file"), "{error}");
        say(b"after\n");
        assert_eq!(fs::read_to_string(one).unwrap(), "first\nsecond\n");
        assert_eq!(fs::read_to_string(two).unwrap(), "third\n");
    }

    /// A reader that does not read.
    struct Stuck(mpsc::Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Ends with an error once the test lets go of the sender.
            let _released = self.0.recv();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_client_that_does_not_read_blocks_nothing() {
        let (release, stuck) = mpsc::channel();
        let (sinks, guard) = Sinks::over(Stuck(stuck));
        for _ in 0..2 * LINES_WAITING_MAX {
            sinks.make_writer().write_all(b"line\n").unwrap();
        }
        drop(release);
        drop(guard);
    }
}
