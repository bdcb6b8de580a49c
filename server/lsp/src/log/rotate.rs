//! A log file of bounded size at the very path the user named: when it is full it becomes `NAME.1`, that one `NAME.2`, and
//! so on; the oldest goes. (`tracing-appender` rotates by time only and changes the name.)

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Bytes of a log file before the next one begins.
pub const BYTES_MAX: u64 = 4 << 20;

/// Full files that are kept beside the current one.
pub const KEPT: usize = 3;

/// The file. Each write goes to one file as a whole.
#[derive(Debug)]
pub(super) struct RotatingFile {
    path: PathBuf,
    file: File,
    bytes_max: u64,
}

impl RotatingFile {
    /// Opens the file to append to it, and makes its folder where there is none.
    pub(super) fn open(path: &Path, bytes_max: u64) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        Ok(Self { file: append_to(path)?, path: path.to_owned(), bytes_max })
    }

    fn numbered(&self, number: usize) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }

    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..KEPT).rev() {
            // Most often there is none yet.
            let _absent = fs::rename(self.numbered(number), self.numbered(number + 1));
        }
        match fs::rename(&self.path, self.numbered(1)) {
            Ok(()) => self.file = append_to(&self.path)?,
            // Another server on the same file has just done it, or holds it open where that forbids it: staying
            // small goes before staying complete.
            Err(_) => match append_to(&self.path) {
                Ok(file) if file.metadata()?.len() < self.bytes_max => self.file = file,
                _ => self.file.set_len(0)?,
            },
        }
        Ok(())
    }
}

impl Write for RotatingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Asked of the system each time: several servers may share the file.
        let len = self.file.metadata()?.len();
        if len > 0 && len + bytes.len() as u64 > self.bytes_max {
            self.rotate()?;
        }
        self.file.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Readable by its owner alone: with `log.code` it holds source code.
fn append_to(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_small_and_keeps_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/folder/lacuna.log");
        let mut file = RotatingFile::open(&path, 100).unwrap();
        for number in 0..200 {
            writeln!(file, "{number:0>19}").unwrap();
        }
        let names = ["lacuna.log.3", "lacuna.log.2", "lacuna.log.1", "lacuna.log"];
        let texts = names.map(|name| fs::read_to_string(path.with_file_name(name)).unwrap());
        assert!(texts.iter().all(|text| text.len() <= 100), "{texts:?}");
        let expected: String = (180..200).map(|number| format!("{number:0>19}\n")).collect();
        assert_eq!(texts.concat(), expected);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1 + KEPT);
    }

    #[test]
    fn two_servers_share_a_file_within_bounds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lacuna.log");
        let mut files = [RotatingFile::open(&path, 100).unwrap(), RotatingFile::open(&path, 100).unwrap()];
        for number in 0..100 {
            writeln!(files[number % 2], "{number:0>19}").unwrap();
        }
        let sizes: Vec<u64> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .collect();
        assert!(sizes.len() <= 1 + KEPT && sizes.iter().all(|&bytes| bytes <= 100), "{sizes:?}");
        let newest =
            fs::read_to_string(&path).unwrap() + &fs::read_to_string(path.with_extension("log.1")).unwrap();
        assert!(newest.contains("99\n") && newest.contains("98\n"), "{newest}");
    }

    #[test]
    fn it_goes_on_after_a_restart_and_a_line_longer_than_the_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lacuna.log");
        RotatingFile::open(&path, 100).unwrap().write_all(b"one\n").unwrap();
        let mut file = RotatingFile::open(&path, 100).unwrap();
        file.write_all(b"two\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        file.write_all(&[b'x'; 300]).unwrap();
        file.write_all(b"three\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
        assert_eq!(fs::read(path.with_extension("log.1")).unwrap(), [b'x'; 300]);
        assert_eq!(fs::read_to_string(path.with_extension("log.2")).unwrap(), "one\ntwo\n");
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_reads_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lacuna.log");
        RotatingFile::open(&path, 100).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o077, 0);
    }
}
