//! `lacuna editors`: the editors Lacuna is set up for, and each one's configuration, printed or written.
//!
//! The configurations are the files of the repository's folder `editors`, embedded: what a page shows, what is printed
//! and what is written are the same text.

mod list;
mod places;
mod write;

use super::Context;
use crate::args::Editors;
use crate::failure::Failure;
use crate::output::{Output, Tone, complain};
use list::{EDITORS, Editor};
use places::Places;
use write::Written;

/// Runs the command.
///
/// # Errors
/// An unknown editor, or a place that cannot be written or holds something else already.
pub fn run(args: &Editors, context: &mut Context) -> Result<(), Failure> {
    let Some(name) = &args.name else { return table(&mut context.output) };
    let editor = find(name)?;
    if !args.write {
        complain(&format!("{}: {}; more in editors/{}/README.md", editor.title, editor.goes, editor.folder));
        return context.output.text(editor.config());
    }
    let written = write::write(editor, &Places::from_environment(), &context.interrupt)?;
    for file in &written {
        match file {
            Written::New(path) => context.output.line(&format!("wrote {}", path.display()))?,
            Written::Same(path) => context.output.line(&format!("as wanted already: {}", path.display()))?,
        }
    }
    complain(&format!("{}: {}", editor.title, editor.then));
    Ok(())
}

fn find(name: &str) -> Result<&'static Editor, Failure> {
    EDITORS.iter().find(|editor| editor.name == name).ok_or_else(|| {
        let names: Vec<&str> = EDITORS.iter().map(|editor| editor.name).collect();
        Failure::input(format!("no editor is called {name:?}; there are {}", names.join(", ")))
    })
}

/// All editors, a line each.
fn table(output: &mut Output) -> Result<(), Failure> {
    let rows = EDITORS.iter().map(|editor| [editor.name, editor.shown, editor.tested, editor.works]);
    let rows: Vec<[&str; 4]> =
        [["name", "proposals", "run here with", "works"]].into_iter().chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths = [width(0), width(1), width(2)];
    for (index, [name, shown, tested, works]) in rows.iter().enumerate() {
        let [a, b, c] = widths;
        let line = format!("{name:a$}  {shown:b$}  {tested:c$}  {works}");
        output.line(&output.paint(if index == 0 { Tone::Dim } else { Tone::Plain }, &line))?;
    }
    complain(
        "`lacuna editors NAME` prints an editor's configuration, with --write it goes where the editor looks",
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../editors")
    }

    #[test]
    fn every_editor_has_a_folder_and_every_folder_an_editor() {
        let listed: BTreeSet<String> = EDITORS.iter().map(|editor| editor.folder.to_owned()).collect();
        let folders = fs::read_dir(folder()).unwrap().map(Result::unwrap).filter(|it| it.path().is_dir());
        let folders: BTreeSet<String> =
            folders.map(|it| it.file_name().to_string_lossy().into_owned()).collect();
        assert_eq!(listed, folders);
        for name in &folders {
            assert!(folder().join(name).join("README.md").is_file(), "{name} has a README");
        }
    }

    /// Two pages and a table that say when an editor was run would disagree one day.
    #[test]
    fn the_page_of_all_editors_says_what_the_table_says() {
        let page = fs::read_to_string(folder().join("README.md")).unwrap();
        for editor in EDITORS {
            let row = page.lines().find(|line| line.contains(&format!("`lacuna editors {}`", editor.name)));
            let row = row.unwrap_or_else(|| panic!("no row for {}", editor.name));
            assert!(row.contains(editor.tested), "{}: {:?} is not in {row}", editor.name, editor.tested);
        }
    }

    #[test]
    fn the_whole_neovim_plugin_is_embedded() {
        fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                if entry.path().is_dir() { walk(&entry.path(), found) } else { found.push(entry.path()) }
            }
        }
        let neovim = find("neovim").unwrap();
        let root = folder().join(neovim.folder);
        let mut there = Vec::new();
        walk(&root, &mut there);
        let mut there: Vec<String> = there
            .iter()
            .map(|path| path.strip_prefix(&root).unwrap().to_string_lossy().into_owned())
            .collect();
        there.sort();
        let mut embedded: Vec<&str> = neovim.files().iter().map(|(name, _)| *name).collect();
        embedded.sort_unstable();
        assert_eq!(embedded, there);
    }

    #[test]
    fn an_unknown_editor_is_answered_with_those_there_are() {
        let error = find("ed").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("neovim, vscode"), "{error}");
    }

    #[test]
    fn the_table_has_a_line_for_every_editor() {
        let (mut output, captured) = Output::captured(false, false);
        table(&mut output).unwrap();
        assert_eq!(captured.text().lines().count(), EDITORS.len() + 1);
    }
}
