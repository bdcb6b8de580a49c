//! `lacuna editors`: the editors Lacuna is set up for, and each one's configuration, printed or written.
//!
//! The configurations are the files of the repository's folder `editors`, embedded: what a page shows, what is printed
//! and what is written are the same text.

mod blank;
mod list;
mod places;
mod write;

use super::Context;
use crate::args::Editors;
use crate::failure::Failure;
use crate::output::{Output, Tone, complain};
use crate::path;
use list::{EDITORS, Editor, Setup};
use places::Places;
use std::path::PathBuf;
use write::Written;

/// What every configuration starts.
const SERVER: &str = "lacuna";

/// Runs the command.
///
/// # Errors
/// An unknown editor, or a place that cannot be written or holds something else already.
pub fn run(args: &Editors, context: &mut Context) -> Result<(), Failure> {
    let Some(name) = &args.name else { return table(&mut context.output) };
    let editor = find(name)?;
    if args.write {
        let written = write::write(editor, &Places::from_environment(), args.replace, &context.interrupt)?;
        tell(&written, &mut context.output)?;
        // What is left to do is read last.
        context.output.flush()?;
        complain(&format!("{}: {}", editor.title, editor.then));
    } else {
        complain(&format!("{}: {}; more in editors/{}/README.md", editor.title, editor.goes, editor.folder));
        context.output.text(editor.config())?;
        context.output.flush()?;
    }
    if path::find(SERVER).is_none() && !matches!(editor.setup, Setup::Commands { .. }) {
        complain(
            "there is no `lacuna` on the PATH, where the editor looks for it: `cargo install --path server/cli` at the root of \
             the repository puts one into ~/.cargo/bin",
        );
    }
    Ok(())
}

fn tell(written: &[Written], output: &mut Output) -> Result<(), Failure> {
    for file in written {
        match file {
            Written::New(path) | Written::Blank(path, _) => {
                output.line(&format!("wrote {}", path.display()))?
            }
            Written::Replaced(path, kept) => {
                let kept = kept.file_name().unwrap_or_default().to_string_lossy();
                output.line(&format!("wrote {}; the old one is {kept} beside it", path.display()))?;
            }
            Written::Same(_) => {}
        }
    }
    let same: Vec<&PathBuf> = written
        .iter()
        .filter_map(|file| if let Written::Same(path) = file { Some(path) } else { None })
        .collect();
    match same[..] {
        [] => Ok(()),
        [path] => output.line(&format!("as wanted already: {}", path.display())),
        _ => output.line(&format!("as wanted already: {} files", same.len())),
    }
}

/// An editor by its name or its program's.
fn find(name: &str) -> Result<&'static Editor, Failure> {
    let lower = name.to_lowercase();
    let by_name = EDITORS.iter().find(|editor| editor.name == lower);
    let by_program = || EDITORS.iter().find(|editor| editor.programs.contains(&lower.as_str()));
    by_name.or_else(by_program).ok_or_else(|| {
        let names: Vec<&str> = EDITORS.iter().map(|editor| editor.name).collect();
        Failure::input(format!("no editor is called {name:?}; there are {}", names.join(", ")))
    })
}

/// The editors whose program is on the `PATH`.
pub fn found() -> Vec<&'static str> {
    let is_there = |editor: &&Editor| editor.programs.iter().any(|program| path::find(program).is_some());
    EDITORS.iter().filter(is_there).map(|editor| editor.name).collect()
}

/// All editors, a line each; what works goes on lines of its own where a person's terminal is narrower than that.
fn table(output: &mut Output) -> Result<(), Failure> {
    let rows = EDITORS.iter().map(|editor| [editor.name, editor.shown, editor.tested, editor.works]);
    let rows: Vec<[&str; 4]> =
        [["name", "proposals", "run here with", "works"]].into_iter().chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let [a, b, c, d] = [0, 1, 2, 3].map(width);
    let columns = if output.is_terminal() { output.size().0 } else { usize::MAX };
    for (index, [name, shown, tested, works]) in rows.iter().enumerate() {
        let tone = if index == 0 { Tone::Dim } else { Tone::Plain };
        if a + b + c + d + 6 <= columns {
            output.line(&output.paint(tone, &format!("{name:a$}  {shown:b$}  {tested:c$}  {works}")))?;
            continue;
        }
        output.line(&output.paint(tone, &format!("{name:a$}  {shown:b$}  {tested}")))?;
        for line in wrapped(works, columns.saturating_sub(a + 2)) {
            output.line(&output.paint(Tone::Dim, &format!("{:a$}  {line}", "")))?;
        }
    }
    output.flush()?;
    complain(
        "`lacuna editors NAME` prints an editor's configuration, with --write it goes where the editor looks",
    );
    Ok(())
}

/// The words of a text in lines of at most `width` characters, where no word is longer.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
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
    fn an_editor_goes_by_its_program_too_in_any_case() {
        for (said, meant) in [
            ("Neovim", "neovim"),
            ("nvim", "neovim"),
            ("hx", "helix"),
            ("emacs", "emacs"),
            ("code", "vscode"),
        ] {
            assert_eq!(find(said).unwrap().name, meant);
        }
    }

    #[test]
    fn a_narrow_terminal_breaks_between_words() {
        assert_eq!(wrapped("accept whole, by word; cycle", 12), ["accept", "whole, by", "word; cycle"]);
        let (mut output, captured) = Output::captured(true, false);
        table(&mut output).unwrap();
        let (columns, _) = output.size();
        assert!(
            captured.text().lines().all(|line| line.chars().count() <= columns.max(70)),
            "{}",
            captured.text()
        );
    }

    #[test]
    fn the_table_has_a_line_for_every_editor() {
        let (mut output, captured) = Output::captured(false, false);
        table(&mut output).unwrap();
        assert_eq!(captured.text().lines().count(), EDITORS.len() + 1);
    }
}
