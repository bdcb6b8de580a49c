//! Where editors look for their configuration on this machine.

use crate::failure::Failure;
use std::env;
use std::ffi::OsString;
use std::path::{Component, PathBuf};

/// A folder that paths are below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// `$XDG_CONFIG_HOME`, else `~/.config`.
    Config,
    /// The same for editors that follow it on Linux and have other places on other systems.
    LinuxConfig,
    /// `$XDG_DATA_HOME`, else `~/.local/share`.
    Data,
    /// Neovim's folder in it: `nvim`, or what `NVIM_APPNAME` says.
    Neovim,
    /// `~/.emacs.d`, or `emacs` in the configuration folder, as Emacs chooses (`startup--xdg-or-homedot`).
    Emacs,
}

/// The folders of this user.
#[derive(Debug)]
pub struct Places {
    home: Option<PathBuf>,
    config: Option<PathBuf>,
    data: Option<PathBuf>,
    neovim: PathBuf,
}

impl Places {
    /// As the environment has them.
    pub fn from_environment() -> Self {
        Self::new(|name| env::var_os(name))
    }

    /// As variables have them. The XDG base directory specification has relative paths ignored.
    pub fn new(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let folder = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        // Neovim itself takes names below its folders only.
        let is_name = |path: &PathBuf| {
            path.components().all(|part| matches!(part, Component::Normal(_)))
                && path.components().count() > 0
        };
        let neovim = variable("NVIM_APPNAME").map(PathBuf::from).filter(is_name);
        Self {
            home: folder("HOME"),
            config: folder("XDG_CONFIG_HOME"),
            data: folder("XDG_DATA_HOME"),
            neovim: neovim.unwrap_or_else(|| "nvim".into()),
        }
    }

    /// The folder that a base is.
    ///
    /// # Errors
    /// No home directory, or a place that differs between systems and is not known for this one.
    pub fn folder(&self, base: Base) -> Result<PathBuf, Failure> {
        match base {
            Base::LinuxConfig if !cfg!(target_os = "linux") => Err(Failure::input(
                "where that editor looks on this system is not known; without --write the configuration is printed",
            )),
            Base::Config | Base::LinuxConfig => self.below_home(self.config.as_ref(), ".config"),
            Base::Data => self.below_home(self.data.as_ref(), ".local/share"),
            Base::Neovim => Ok(self.folder(Base::Data)?.join(&self.neovim)),
            Base::Emacs => self.emacs(),
        }
    }

    fn below_home(&self, named: Option<&PathBuf>, otherwise: &str) -> Result<PathBuf, Failure> {
        match (named, &self.home) {
            (Some(folder), _) => Ok(folder.clone()),
            (None, Some(home)) => Ok(home.join(otherwise)),
            (None, None) => Err(Failure::input(
                "there is no home directory (HOME is not set); without --write the configuration is printed",
            )),
        }
    }

    fn emacs(&self) -> Result<PathBuf, Failure> {
        let dotted = self.below_home(None, ".emacs.d")?;
        let xdg = self.below_home(self.config.as_ref(), ".config")?.join("emacs");
        let init_file = self.below_home(None, ".emacs")?;
        Ok(if !dotted.exists() && !init_file.exists() && xdg.exists() { xdg } else { dotted })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tempfile::TempDir;

    fn places(home: &str, config: Option<&str>) -> Places {
        Places::new(|name| match name {
            "HOME" => Some(home.into()),
            "XDG_CONFIG_HOME" => config.map(Into::into),
            _ => None,
        })
    }

    #[test]
    fn folders_are_below_home_unless_named() {
        let plain = places("/home/me", None);
        assert_eq!(plain.folder(Base::Config).unwrap(), PathBuf::from("/home/me/.config"));
        assert_eq!(plain.folder(Base::Data).unwrap(), PathBuf::from("/home/me/.local/share"));
        let named = places("/home/me", Some("/etc/me"));
        assert_eq!(named.folder(Base::Config).unwrap(), PathBuf::from("/etc/me"));
        let relative = places("/home/me", Some("me"));
        assert_eq!(relative.folder(Base::Config).unwrap(), PathBuf::from("/home/me/.config"));
    }

    #[test]
    fn neovim_may_go_by_another_name() {
        let folder = |name: Option<&'static str>| {
            let places = Places::new(|variable| match variable {
                "HOME" => Some("/home/me".into()),
                "NVIM_APPNAME" => name.map(Into::into),
                _ => None,
            });
            places.folder(Base::Neovim).unwrap()
        };
        assert_eq!(folder(None), PathBuf::from("/home/me/.local/share/nvim"));
        assert_eq!(folder(Some("nvim-try")), PathBuf::from("/home/me/.local/share/nvim-try"));
        for odd in ["", "/etc", "../x"] {
            assert_eq!(folder(Some(odd)), PathBuf::from("/home/me/.local/share/nvim"), "{odd}");
        }
    }

    #[test]
    fn without_a_home_it_says_so() {
        let error = Places::new(|_| None).folder(Base::Data).unwrap_err();
        assert!(error.to_string().contains("HOME is not set"), "{error}");
    }

    #[test]
    fn emacs_takes_the_xdg_folder_only_where_there_is_no_other() {
        let home = TempDir::new().unwrap();
        let path = |name: &str| home.path().join(name);
        let places = places(&home.path().to_string_lossy(), None);
        assert_eq!(places.folder(Base::Emacs).unwrap(), path(".emacs.d"));
        fs::create_dir_all(path(".config/emacs")).unwrap();
        assert_eq!(places.folder(Base::Emacs).unwrap(), path(".config/emacs"));
        fs::write(path(".emacs"), "").unwrap();
        assert_eq!(places.folder(Base::Emacs).unwrap(), path(".emacs.d"));
    }
}
