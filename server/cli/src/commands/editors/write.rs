//! Writes an editor's configuration where the editor looks, and never over anything that is there.

use super::blank;
use super::list::{Editor, Setup};
use super::places::Places;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::source::write_atomically;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file of the configuration, once all is well.
#[derive(Debug, PartialEq, Eq)]
pub enum Written {
    /// It was not there.
    New(PathBuf),
    /// It was there and held these comments at most, which stay.
    Blank(PathBuf, String),
    /// It was there and held what it should.
    Same(PathBuf),
    /// It was there and held something else, which was kept under the other name.
    Replaced(PathBuf, PathBuf),
}

/// Writes what is not there yet. Nothing is written unless everything can be. With `replace`, files of Lacuna's own that
/// differ make way, each kept beside its successor; a file that may hold other things of the user's never does.
///
/// # Errors
/// An editor that is set up by commands, a file that holds something else, a folder that cannot be written.
pub fn write(
    editor: &Editor,
    places: &Places,
    replace: bool,
    interrupt: &Interrupt,
) -> Result<Vec<Written>, Failure> {
    let files: Vec<(PathBuf, &str)> = match &editor.setup {
        Setup::Commands { .. } => {
            return Err(Failure::input(format!(
                "{} is set up by commands, not by a file: `lacuna editors {}` prints them",
                editor.title, editor.name
            )));
        }
        Setup::Shared { file: (base, path), text } => vec![(places.folder(*base)?.join(path), *text)],
        Setup::Own { folder: (base, path), files, .. } => {
            let folder = places.folder(*base)?.join(path);
            files.iter().map(|(name, text)| (folder.join(name), *text)).collect()
        }
    };
    let mut written = Vec::new();
    let mut different = Vec::new();
    for (path, text) in &files {
        match is_there(editor, path, text)? {
            There::No => written.push(Written::New(path.clone())),
            There::Blank(comments) => written.push(Written::Blank(path.clone(), comments)),
            There::AsWanted => written.push(Written::Same(path.clone())),
            There::Different if replace => {
                written.push(Written::Replaced(path.clone(), kept_name(path)));
            }
            There::Different => different.push(path),
        }
    }
    if !different.is_empty() {
        return Err(differ(editor, &different));
    }
    let _writing = interrupt.writing();
    for ((path, text), state) in files.iter().zip(&written) {
        let done = match state {
            Written::Same(_) => Ok(()),
            Written::New(_) => create(path, text),
            Written::Blank(_, comments) => fs::canonicalize(path)
                .and_then(|target| write_atomically(&target, blank::below(comments, text).as_bytes())),
            Written::Replaced(_, kept) => fs::rename(path, kept).and_then(|()| create(path, text)),
        };
        done.map_err(|error| Failure::input(format!("{} cannot be written: {error}", path.display())))?;
    }
    Ok(written)
}

/// `init.lua.old`, or `init.lua.old2` where that is taken: editors load none of them.
fn kept_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let numbered = |number: usize| {
        let number = if number < 2 { String::new() } else { number.to_string() };
        path.with_file_name(format!("{name}.old{number}"))
    };
    (1..).map(numbered).find(|kept| kept.symlink_metadata().is_err()).unwrap_or_else(|| numbered(1))
}

/// What is at a file's place.
enum There {
    No,
    /// Nothing but these comments.
    Blank(String),
    AsWanted,
    Different,
}

/// What to do about files of another version, or changed ones: all at once, since an upgrade changes most of them.
fn differ(editor: &Editor, different: &[&PathBuf]) -> Failure {
    let names: Vec<String> = different.iter().map(|path| path.display().to_string()).collect();
    let (are, them) = if names.len() == 1 {
        ("is there already and differs", "it")
    } else {
        ("are there already and differ", "them")
    };
    let (names, editor) = (names.join(", "), editor.name);
    Failure::input(format!(
        "{names} {are} (from another version, or changed by hand); nothing was written. `lacuna editors {editor} --write \
         --replace` puts this version's in place and keeps {them} as NAME.old"
    ))
}

/// Whether a file holds the configuration already.
///
/// # Errors
/// It cannot be read, or is one of the user's that holds something else.
fn is_there(editor: &Editor, path: &Path, text: &str) -> Result<There, Failure> {
    let there = match fs::read_to_string(path) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.symlink_metadata().is_err() => {
            return Ok(There::No);
        }
        Err(error) => {
            let dangling = error.kind() == io::ErrorKind::NotFound;
            let why = if dangling { "it is a link to nothing".to_owned() } else { error.to_string() };
            return Err(Failure::input(format!("{} cannot be read: {why}", path.display())));
        }
    };
    if let Some(comments) = blank::comments(path, &there) {
        if fs::metadata(path).is_ok_and(|metadata| metadata.permissions().readonly()) {
            return Err(Failure::input(format!("{} cannot be written: it is read-only", path.display())));
        }
        return Ok(There::Blank(comments.to_owned()));
    }
    match editor.setup {
        Setup::Shared { .. } if there.contains(text.trim()) => Ok(There::AsWanted),
        Setup::Shared { .. } => Err(Failure::input(format!(
            "{} is there already and was left as it is; `lacuna editors {}` prints what to add to it ({})",
            path.display(),
            editor.name,
            editor.goes
        ))),
        _ if there == text => Ok(There::AsWanted),
        _ => Ok(There::Different),
    }
}

/// A new file, whole or not at all; one that appeared meanwhile is not replaced.
fn create(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().prefix(".lacuna-").tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    readable(file.as_file())?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map_err(|error| error.error)?;
    Ok(())
}

/// Temporary files are for their owner alone; a configuration is as readable as any file.
#[cfg(unix)]
fn readable(file: &fs::File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable(_file: &fs::File) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::editors::list::EDITORS;
    use tempfile::TempDir;

    fn places(home: &Path) -> Places {
        let home = home.to_path_buf();
        Places::new(move |name| (name == "HOME").then(|| home.clone().into_os_string()))
    }

    fn write_at(name: &str, home: &Path) -> Result<Vec<Written>, Failure> {
        let editor = EDITORS.iter().find(|editor| editor.name == name).unwrap();
        write(editor, &places(home), false, &Interrupt::default())
    }

    #[test]
    fn written_once_it_is_as_wanted_the_second_time() {
        for editor in EDITORS.iter().filter(|editor| !matches!(editor.setup, Setup::Commands { .. })) {
            let home = TempDir::new().unwrap();
            let first = write_at(editor.name, home.path()).unwrap();
            assert!(first.iter().all(|file| matches!(file, Written::New(_))), "{first:?}");
            let second = write_at(editor.name, home.path()).unwrap();
            assert!(second.iter().all(|file| matches!(file, Written::Same(_))), "{second:?}");
        }
    }

    #[test]
    fn a_file_of_the_users_is_left_alone() {
        let home = TempDir::new().unwrap();
        let path = home.path().join(".config/helix/languages.toml");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "[mine]\n").unwrap();
        let error = write_at("helix", home.path()).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("left as it is"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "[mine]\n");
        let merged = format!("[mine]\n{}", EDITORS[2].config());
        fs::write(&path, merged).unwrap();
        assert_eq!(write_at("helix", home.path()).unwrap(), [Written::Same(path)]);
    }

    #[test]
    fn a_file_that_says_nothing_is_written_to() {
        for editor in EDITORS.iter().filter(|editor| !matches!(editor.setup, Setup::Commands { .. })) {
            let home = TempDir::new().unwrap();
            let Written::New(path) = write_at(editor.name, home.path()).unwrap().remove(0) else {
                unreachable!("nothing was there")
            };
            let wanted = fs::read_to_string(&path).unwrap();
            fs::write(&path, "\n  \n").unwrap();
            let first = write_at(editor.name, home.path()).unwrap().remove(0);
            assert_eq!(first, Written::Blank(path.clone(), String::new()), "{}", editor.name);
            assert_eq!(fs::read_to_string(&path).unwrap(), wanted);
            assert_eq!(write_at(editor.name, home.path()).unwrap()[0], Written::Same(path));
        }
    }

    #[test]
    fn comments_stay_in_a_file_that_has_nothing_else() {
        let home = TempDir::new().unwrap();
        let path = home.path().join(".config/helix/languages.toml");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "# mine\n\n").unwrap();
        assert_eq!(
            write_at("helix", home.path()).unwrap(),
            [Written::Blank(path.clone(), "# mine".to_owned())]
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("# mine\n\n{}", EDITORS[2].config()));
        assert_eq!(write_at("helix", home.path()).unwrap(), [Written::Same(path)]);
    }

    /// Who keeps configurations elsewhere has links to them.
    #[cfg(unix)]
    #[test]
    fn a_link_to_a_file_that_says_nothing_stays_a_link() {
        let home = TempDir::new().unwrap();
        let (kept, path) = (home.path().join("kept.toml"), home.path().join(".config/helix/languages.toml"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&kept, "").unwrap();
        std::os::unix::fs::symlink(&kept, &path).unwrap();
        write_at("helix", home.path()).unwrap();
        assert!(path.symlink_metadata().unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&kept).unwrap(), EDITORS[2].config());
        let mut permissions = kept.metadata().unwrap().permissions();
        permissions.set_readonly(true);
        fs::write(&kept, "").unwrap();
        fs::set_permissions(&kept, permissions).unwrap();
        let error = write_at("helix", home.path()).unwrap_err();
        assert!(error.to_string().ends_with("cannot be written: it is read-only"), "{error}");
    }

    #[test]
    fn where_one_file_differs_none_is_written() {
        let home = TempDir::new().unwrap();
        let plugin = home.path().join(".local/share/nvim/site/pack/lacuna/start/lacuna");
        fs::create_dir_all(plugin.join("plugin")).unwrap();
        fs::write(plugin.join("plugin/lacuna.lua"), "-- older\n").unwrap();
        let error = write_at("neovim", home.path()).unwrap_err();
        assert!(error.to_string().contains("lacuna.lua is there already and differs"), "{error}");
        assert!(!plugin.join("lua").exists());
        assert_eq!(fs::read_to_string(plugin.join("plugin/lacuna.lua")).unwrap(), "-- older\n");
    }

    /// An upgrade is one thing to do, not one a file.
    #[test]
    fn all_that_differs_is_said_at_once_and_the_folder_to_move() {
        let home = TempDir::new().unwrap();
        write_at("neovim", home.path()).unwrap();
        let plugin = home.path().join(".local/share/nvim/site/pack/lacuna/start/lacuna");
        for name in ["plugin/lacuna.lua", "lua/lacuna/init.lua"] {
            fs::write(plugin.join(name), "-- older\n").unwrap();
        }
        let error = write_at("neovim", home.path()).unwrap_err().to_string();
        for part in ["lua/lacuna/init.lua", "plugin/lacuna.lua are there already", "--write --replace"] {
            assert!(error.contains(part), "{part}: {error}");
        }
        let neovim = EDITORS.iter().find(|editor| editor.name == "neovim").unwrap();
        let replace = || write(neovim, &places(home.path()), true, &Interrupt::default()).unwrap();
        let replaced =
            |done: &[Written]| done.iter().filter(|file| matches!(file, Written::Replaced(..))).count();
        assert_eq!(replaced(&replace()), 2);
        let text = |name: &str| fs::read_to_string(plugin.join(name)).unwrap();
        assert_eq!(text("plugin/lacuna.lua.old"), "-- older\n");
        assert!(neovim.files().contains(&("plugin/lacuna.lua", &text("plugin/lacuna.lua"))));
        fs::write(plugin.join("plugin/lacuna.lua"), "-- older still\n").unwrap();
        assert_eq!(replaced(&replace()), 1);
        assert_eq!(text("plugin/lacuna.lua.old2"), "-- older still\n", "nothing that was kept is lost");
        assert_eq!(replaced(&replace()), 0);
    }

    /// What may hold other things of the user's is not for a command to replace.
    #[test]
    fn a_file_that_is_shared_is_not_replaced_either() {
        let home = TempDir::new().unwrap();
        let path = home.path().join(".config/helix/languages.toml");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "[mine]\n").unwrap();
        let helix = EDITORS.iter().find(|editor| editor.name == "helix").unwrap();
        write(helix, &places(home.path()), true, &Interrupt::default()).unwrap_err();
        assert_eq!(fs::read_to_string(&path).unwrap(), "[mine]\n");
    }

    #[test]
    fn a_folder_that_cannot_be_is_named() {
        let home = TempDir::new().unwrap();
        fs::write(home.path().join(".config"), "a file").unwrap();
        let error = write_at("helix", home.path()).unwrap_err();
        assert!(error.to_string().contains("languages.toml cannot be"), "{error}");
    }

    #[test]
    fn an_editor_without_files_says_what_to_do_instead() {
        let home = TempDir::new().unwrap();
        let error = write_at("vscode", home.path()).unwrap_err();
        assert!(error.to_string().contains("`lacuna editors vscode` prints them"), "{error}");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }
}
