//! Source files: read within bounds before any inference, and replaced atomically after it.

use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::location;
use crate::output::complain;
use lacuna_text::{Document, Language, Rope};
use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A source of this many bytes or more is refused.
pub const SOURCE_BYTES_MAX: u64 = 10_000_000;

/// The name that stands for standard input.
pub const STDIN: &str = "-";

/// The byte order mark of UTF-8.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// A source file as it was read.
pub struct Source {
    /// The name as the user gave it; `-` is standard input.
    pub name: String,
    /// Its bytes, to see later whether somebody else changed the file.
    bytes: Vec<u8>,
    /// Its text, language and tree.
    pub document: Document,
}

impl Source {
    /// Reads and parses a file, or standard input for `-`.
    ///
    /// # Errors
    /// Missing, a directory, unreadable, empty, not UTF-8, or [`SOURCE_BYTES_MAX`] and more.
    pub fn read(name: &str, language: Option<Language>) -> Result<Self, Failure> {
        let bytes = read_bytes(name)?;
        if bytes.len() as u64 >= SOURCE_BYTES_MAX {
            return Err(Failure::input(format!(
                "{} has 10 MB or more; files below {SOURCE_BYTES_MAX} bytes can be filled",
                shown(name)
            )));
        }
        let language = language.unwrap_or_else(|| Language::detect(Path::new(name), &first_line(&bytes)));
        let document = Document::from_bytes(&bytes, language)
            .map_err(|error| Failure::input(format!("{} is {error}", shown(name))))?;
        if document.is_empty() {
            return Err(Failure::input(format!("{} is empty; there is nothing to fill in", shown(name))));
        }
        Ok(Self { name: name.to_owned(), bytes, document })
    }

    /// The name for messages and diffs.
    pub fn shown(&self) -> &str {
        shown(&self.name)
    }

    /// The file's text without a byte order mark.
    pub fn text(&self) -> String {
        self.document.text().to_string()
    }

    /// Whether the file can be replaced, asked before any work is spent on it.
    ///
    /// # Errors
    /// Standard input, a read-only file, or a folder that takes no new file.
    pub fn check_writable(&self) -> Result<(), Failure> {
        let target = self.target()?;
        let refuse = |why: &str| Failure::input(format!("{} cannot be written: {why}", self.name));
        let metadata = fs::metadata(&target).map_err(|error| refuse(&error.to_string()))?;
        if !metadata.is_file() {
            return Err(refuse("it is not a regular file"));
        }
        if metadata.permissions().readonly() {
            return Err(refuse("it is read-only"));
        }
        OpenOptions::new().write(true).open(&target).map_err(|error| refuse(&error.to_string()))?;
        temporary(&target).map_err(|error| refuse(&format!("its folder takes no new file ({error})")))?;
        Ok(())
    }

    /// Replaces the file's text by `text`: a new file beside it, flushed to disk, then renamed over it. Permissions, line
    /// ends and a byte order mark stay; a symbolic link is followed and stays a link.
    ///
    /// # Errors
    /// As [`Source::check_writable`], or when the file is no longer what was read; the file is then as it was.
    pub fn replace(&self, text: &Rope, interrupt: &Interrupt) -> Result<(), Failure> {
        let target = self.target()?;
        let _writing = interrupt.writing();
        if interrupt.token().is_cancelled() {
            return Err(Failure::Cancelled);
        }
        let failed = |error: io::Error| Failure::input(format!("{} cannot be written: {error}", self.name));
        if fs::read(&target).map_err(failed)? != self.bytes {
            return Err(Failure::input(format!("{} changed meanwhile; nothing was written", self.name)));
        }
        let mark = if self.document.has_bom() { BOM } else { &[] };
        let bytes: Vec<u8> = mark.iter().copied().chain(text.bytes()).collect();
        write_atomically(&target, &bytes).map_err(failed)
    }

    /// The file behind the name, symbolic links followed.
    fn target(&self) -> Result<PathBuf, Failure> {
        if self.name == STDIN {
            return Err(Failure::input("--in-place needs a file; standard input cannot be replaced"));
        }
        fs::canonicalize(&self.name)
            .map_err(|error| Failure::input(format!("{} cannot be written: {error}", self.name)))
    }
}

fn shown(name: &str) -> &str {
    if name == STDIN { "standard input" } else { name }
}

/// At most [`SOURCE_BYTES_MAX`] bytes, so that an endless pipe ends.
fn read_bytes(name: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    if name.is_empty() {
        return Err(Failure::input("the name of the file is empty; name a source file"));
    }
    if name == STDIN && io::stdin().is_terminal() {
        complain("reading the source from this terminal; Ctrl-D ends it");
    }
    let read = if name == STDIN {
        io::stdin().lock().take(SOURCE_BYTES_MAX).read_to_end(&mut bytes)
    } else if Path::new(name).is_dir() {
        return Err(Failure::input(format!("{name} is a directory; name a source file")));
    } else {
        File::open(name).and_then(|file| file.take(SOURCE_BYTES_MAX).read_to_end(&mut bytes))
    };
    match read {
        Ok(_) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let plain = || format!("{name} does not exist");
            Err(Failure::input(location::misread(name).unwrap_or_else(plain)))
        }
        Err(error) => Err(Failure::input(format!("{} cannot be read: {error}", shown(name)))),
    }
}

fn first_line(bytes: &[u8]) -> String {
    let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    String::from_utf8_lossy(&line[..line.len().min(256)]).into_owned()
}

fn temporary(target: &Path) -> io::Result<NamedTempFile> {
    let folder = target.parent().unwrap_or_else(|| Path::new("."));
    tempfile::Builder::new().prefix(".lacuna-").tempfile_in(folder)
}

/// Replaces the file `target`, whole or not at all; its owner and permissions stay.
///
/// # Errors
/// What the system says; the file is then as it was.
pub fn write_atomically(target: &Path, bytes: &[u8]) -> io::Result<()> {
    let metadata = fs::metadata(target)?;
    let mut file = temporary(target)?;
    file.write_all(bytes)?;
    keep_owner(file.path(), &metadata);
    // After the owner: changing it clears set-user-id bits.
    file.as_file().set_permissions(metadata.permissions())?;
    file.as_file().sync_all()?;
    file.persist(target).map_err(|error| error.error)?;
    // The rename itself reaches the disk with the folder; not every system lets a folder be opened.
    if let Some(folder) = target.parent().and_then(|folder| File::open(folder).ok()) {
        let _ = folder.sync_all();
    }
    Ok(())
}

/// Only a privileged user can give a file away; for everybody else the file is theirs already.
#[cfg(unix)]
fn keep_owner(path: &Path, metadata: &fs::Metadata) {
    use std::os::unix::fs::{MetadataExt, chown};
    let _ = chown(path, Some(metadata.uid()), Some(metadata.gid()));
}

#[cfg(not(unix))]
fn keep_owner(_path: &Path, _metadata: &fs::Metadata) {}

#[cfg(test)]
mod tests {
    use super::*;
    use lacuna_text::Edit;

    fn edited(path: &Path, from: &[u8]) -> (Source, Rope) {
        fs::write(path, from).unwrap();
        let source = Source::read(path.to_str().unwrap(), None).unwrap();
        let mut text = source.document.text().clone();
        Edit::insert(2, "X").apply(&mut text).unwrap();
        (source, text)
    }

    #[test]
    fn a_replaced_file_keeps_its_mark_line_ends_and_permissions() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.rs");
        let (source, text) = edited(&path, b"\xef\xbb\xbffn\r\nb\r\n");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o751)).unwrap();
        }
        source.check_writable().unwrap();
        source.replace(&text, &Interrupt::default()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"\xef\xbb\xbffnX\r\nb\r\n");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o751);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays behind");
    }

    #[test]
    fn a_file_changed_meanwhile_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.rs");
        let (source, text) = edited(&path, b"fn a");
        fs::write(&path, b"somebody else's").unwrap();
        let error = source.replace(&text, &Interrupt::default()).unwrap_err();
        assert!(error.to_string().contains("changed meanwhile"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"somebody else's");
    }

    #[cfg(unix)]
    #[test]
    fn a_symbolic_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("a.rs"), folder.path().join("link.rs"));
        let (_, text) = edited(&path, b"fn a");
        std::os::unix::fs::symlink("a.rs", &link).unwrap();
        let source = Source::read(link.to_str().unwrap(), None).unwrap();
        source.replace(&text, &Interrupt::default()).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&path).unwrap(), b"fnX a");
    }

    #[test]
    fn after_ctrl_c_nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.rs");
        let (source, text) = edited(&path, b"fn a");
        let interrupt = Interrupt::default();
        interrupt.token().cancel();
        assert!(matches!(source.replace(&text, &interrupt), Err(Failure::Cancelled)));
        assert_eq!(fs::read(&path).unwrap(), b"fn a");
    }
}
