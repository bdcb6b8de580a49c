//! Whether two paths lead to one file, asked before an output would overwrite an input.

use std::fs;
use std::path::Path;

/// Whether both exist and are the same file, however they are spelled: relative, through links, or as hard links.
pub fn same_file(a: &Path, b: &Path) -> bool {
    let canonical = |path: &Path| fs::canonicalize(path).ok();
    canonical(a).is_some_and(|a| canonical(b) == Some(a)) || same_inode(a, b)
}

#[cfg(unix)]
fn same_inode(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let inode = |path: &Path| fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()));
    inode(a).is_some_and(|a| inode(b) == Some(a))
}

#[cfg(not(unix))]
fn same_inode(_a: &Path, _b: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_spelling_is_the_same_file_and_an_equal_text_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b, gone] = ["a", "b", "gone"].map(|name| folder.path().join(name));
        fs::write(&a, "x").unwrap();
        fs::write(&b, "x").unwrap();
        assert!(same_file(&a, &folder.path().join(".").join("a")));
        assert!(!same_file(&a, &b) && !same_file(&gone, &gone));
        #[cfg(unix)]
        {
            let [soft, hard] = ["soft", "hard"].map(|name| folder.path().join(name));
            std::os::unix::fs::symlink("a", &soft).unwrap();
            fs::hard_link(&a, &hard).unwrap();
            assert!(same_file(&a, &soft) && same_file(&hard, &soft) && !same_file(&b, &soft));
        }
    }
}
