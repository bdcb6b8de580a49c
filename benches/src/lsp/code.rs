//! Code to work in: this repository's own, so that names, lengths and nesting are those of real files.

use lacuna_tests::workspace_root;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders with code that is ours.
const FOLDERS: [&str; 4] = ["server", "model", "tests", "benches"];

/// The repository's files with one of these endings, in the order of their paths.
#[must_use]
pub fn files(endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in FOLDERS {
        collect(&workspace_root().join(folder), endings, &mut found);
    }
    found.sort();
    found
}

fn collect(folder: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, endings, found);
        } else if path.extension().is_some_and(|ending| endings.iter().any(|it| ending == *it)) {
            found.push(path);
        }
    }
}

/// The text of a file of the repository; empty when it cannot be read.
#[must_use]
pub fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// A Rust file of exactly so many lines: the repository's files one after the other, each in a module of its own.
#[must_use]
pub fn long_rust_file(lines: usize) -> String {
    let mut text = String::new();
    let mut left = lines;
    for (number, path) in files(&["rs"]).iter().cycle().enumerate() {
        let module = format!("mod part_{number} {{\n{}\n}}\n", read(path));
        for line in module.lines().take(left) {
            text.push_str(line);
            text.push('\n');
        }
        left = left.saturating_sub(module.lines().count());
        if left == 0 {
            break;
        }
    }
    text
}

/// Lines of statements to type, taken from a file of the repository.
#[must_use]
pub fn statements() -> Vec<String> {
    let text = read(&workspace_root().join("server/text/src/splice.rs"));
    let inside = |line: &&str| line.starts_with("    ") && line.trim().len() > 12 && line.is_ascii();
    text.lines().filter(inside).map(|line| line.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_code_to_work_in() {
        let text = long_rust_file(20_000);
        assert_eq!(text.lines().count(), 20_000);
        assert!(text.len() > 500_000, "{} bytes", text.len());
        assert!(statements().len() > 40);
    }
}
