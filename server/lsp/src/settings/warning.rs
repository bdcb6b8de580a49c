//! What is wrong with settings that came from outside, in one line a user can act on.

use crate::configuration::path_of;
use std::fmt;

/// Where settings came from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// `lacuna.toml` of this workspace folder.
    Project(String),
    /// `initializationOptions` of the `initialize` request.
    Initialization,
    /// `workspace/configuration` or `workspace/didChangeConfiguration`.
    Configuration,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Project(folder) => match path_of(folder) {
                Some(folder) => write!(formatter, "{}", folder.join("lacuna.toml").display()),
                None => write!(formatter, "lacuna.toml of {folder}"),
            },
            // To a person they are one: most editors send the same settings both ways.
            Self::Initialization | Self::Configuration => formatter.write_str("editor settings"),
        }
    }
}

/// A part of some settings that was not used. Everything else of them was.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{origin}: {problem}")]
pub struct Warning {
    /// Where the settings came from.
    pub origin: Origin,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong. Keys are whole paths such as `engine.device`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Problem {
    /// There is no such setting.
    #[error("there is no setting `{key}`{}", nearest.as_ref().map(|name| format!("; did you mean `{name}`?")).unwrap_or_default())]
    UnknownKey {
        /// As it was written.
        key: String,
        /// The most similar name there is, where one is similar.
        nearest: Option<String>,
    },
    /// The value does not fit; the setting stays as if it were not there.
    #[error("`{key}`: expected {expected}, found {found}")]
    BadValue {
        /// The setting.
        key: String,
        /// What it takes.
        expected: String,
        /// The value, as JSON, cut when long.
        found: String,
    },
    /// The setting is the user's to make, not a repository's.
    #[error("`{key}` cannot be set by a project; set it in your editor")]
    NotForProjects {
        /// The setting.
        key: String,
    },
    /// The whole source cannot be read.
    #[error("cannot be read: {reason}")]
    Unreadable {
        /// Why.
        reason: String,
    },
    /// More is wrong than anyone wants to read.
    #[error("{count} more problems")]
    More {
        /// How many are not listed.
        count: usize,
    },
}
