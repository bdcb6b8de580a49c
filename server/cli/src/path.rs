//! Programs on the `PATH`.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Where a program is that is started by its name; `None` where there is none.
pub fn find(program: &str) -> Option<PathBuf> {
    find_in(&env::var_os("PATH").unwrap_or_default(), program)
}

fn find_in(path: &OsStr, program: &str) -> Option<PathBuf> {
    let file = |folder: PathBuf| folder.join(program).with_extension(env::consts::EXE_EXTENSION);
    env::split_paths(path).map(file).find(|file| is_program(file))
}

#[cfg(unix)]
fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(file: &Path) -> bool {
    file.is_file()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_first_that_can_be_started_is_found() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = env::join_paths([one.path(), two.path()]).unwrap();
        assert_eq!(find_in(&path, "hole"), None);
        fs::write(one.path().join("hole"), "not for starting").unwrap();
        fs::write(two.path().join("hole"), "").unwrap();
        fs::set_permissions(two.path().join("hole"), Permissions::from_mode(0o755)).unwrap();
        assert_eq!(find_in(&path, "hole"), Some(two.path().join("hole")));
    }
}
