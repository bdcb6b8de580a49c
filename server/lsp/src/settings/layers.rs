//! The sources of settings, and which of them wins.
//!
//! From weak to strong: the defaults; `lacuna.toml` of the document's workspace folder; `initializationOptions`; what the
//! editor's configuration says; what the user toggled in this session. Each key is decided by itself, each language too.
//!
//! Some editors (VS Code) send every setting there is, touched or not. So a value of the editor's configuration that equals
//! the default counts as untouched: it takes back what `initializationOptions` said, and lets `lacuna.toml` speak.

use super::keys::{self, Tree};
use super::options::Options;
use super::warning::{Origin, Problem, Warning};
use super::{Settings, project};
use serde_json::Value;
use std::collections::BTreeMap;

/// Every source of settings, as last heard.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    projects: BTreeMap<String, Layer>,
    initialization: Layer,
    configuration: Layer,
    session: Tree,
}

/// One source: what was usable, and what was not.
#[derive(Clone, Debug, Default)]
struct Layer {
    tree: Tree,
    warnings: Vec<Warning>,
}

impl Layer {
    fn read(value: &Value, origin: &Origin) -> Self {
        let (tree, warnings) = keys::read(value, origin);
        Self { tree, warnings }
    }

    fn broken(origin: Origin, problem: Problem) -> Self {
        Self { tree: Tree::new(), warnings: vec![Warning { origin, problem }] }
    }
}

impl Layers {
    /// Takes the `initializationOptions` of the client.
    pub fn set_initialization(&mut self, value: &Value) {
        self.initialization = Layer::read(value, &Origin::Initialization);
    }

    /// Takes the whole configuration of the editor: the answer to `workspace/configuration` for the section `lacuna` (one
    /// item of it), or the `settings` of `workspace/didChangeConfiguration`. What the user toggled before gives way
    /// where the configuration now says something else than it did.
    pub fn set_configuration(&mut self, value: &Value) {
        let layer = Layer::read(value, &Origin::Configuration);
        let before = std::mem::replace(&mut self.configuration, layer).tree;
        let changed = without(&before, &|path| get(&self.configuration.tree, path) == get(&before, path));
        let set = without(&self.configuration.tree, &|path| get(&before, path).is_some());
        let superseded = laid_over(changed, set);
        self.session = without(&self.session, &|path| get(&superseded, path).is_some());
    }

    /// Takes the text of a folder's `lacuna.toml`; `None` where there is none. `folder` is the name that
    /// [`Layers::resolve`] and warnings know it by.
    pub fn set_project(&mut self, folder: &str, text: Option<&str>) {
        let origin = Origin::Project(folder.to_owned());
        let layer = text.map(|text| match project::parse(text) {
            Ok(value) => Layer::read(&value, &origin),
            Err(problem) => Layer::broken(origin, problem),
        });
        match layer {
            Some(layer) => self.projects.insert(folder.to_owned(), layer),
            None => self.projects.remove(folder),
        };
    }

    /// Takes what [`read_project_file`](super::read_project_file) found as [`Layers::set_project`] does.
    pub fn take_project(&mut self, folder: &str, read: Result<Option<String>, Problem>) {
        match read {
            Ok(text) => self.set_project(folder, text.as_deref()),
            Err(problem) => {
                let layer = Layer::broken(Origin::Project(folder.to_owned()), problem);
                self.projects.insert(folder.to_owned(), layer);
            }
        }
    }

    /// Forgets a workspace folder.
    pub fn remove_project(&mut self, folder: &str) {
        self.projects.remove(folder);
    }

    /// Turns Lacuna, or one language, on or off for this session; `None` turns it over. Answers how it is now. What the
    /// editor configures later for the same key wins again.
    pub fn toggle(&mut self, language: Option<&str>, enabled: Option<bool>) -> bool {
        let (settings, _) = self.resolve(None);
        let now = language.map_or(settings.enabled, |id| settings.allows_language(id));
        let next = enabled.unwrap_or(!now);
        match language {
            None => {
                self.session.insert("enabled".to_owned(), Value::Bool(next));
            }
            Some(id) => {
                let languages = Tree::from_iter([(id.to_owned(), Value::Bool(next))]);
                let over = Tree::from_iter([("languages".to_owned(), Value::Object(languages))]);
                self.session = laid_over(std::mem::take(&mut self.session), over);
            }
        }
        next
    }

    /// The settings for documents of a workspace folder, or of none, and everything that is wrong with their sources.
    /// `engine` and `log` are the same for every folder.
    #[must_use]
    pub fn resolve(&self, folder: Option<&str>) -> (Settings, Vec<Warning>) {
        let empty = Layer::default();
        let project = folder.and_then(|folder| self.projects.get(folder)).unwrap_or(&empty);
        let defaults = tree_of(&Options::from(&Settings::default()));

        let configuration = &self.configuration.tree;
        let touched = without(configuration, &|path| get(configuration, path) == get(&defaults, path));
        let initialization = without(&self.initialization.tree, &|path| get(configuration, path).is_some());
        let mut tree = project.tree.clone();
        for layer in [initialization, touched, self.session.clone()] {
            tree = laid_over(tree, layer);
        }
        add_excludes(
            &mut tree,
            &project.tree,
            &[&self.configuration.tree, &self.initialization.tree, &defaults],
        );

        let sources = [&self.configuration, &self.initialization, project];
        let mut warnings: Vec<Warning> = sources.iter().flat_map(|layer| layer.warnings.clone()).collect();
        // A tree holds valid values only, and a test throws arbitrary JSON at this line.
        let options: Options = serde_json::from_value(Value::Object(tree)).unwrap_or_default();
        let settings = options.resolve().unwrap_or_else(|error| {
            let problem = Problem::Unreadable { reason: error.to_string() };
            warnings.push(Warning { origin: Origin::Configuration, problem });
            Settings { enabled: false, ..Settings::default() }
        });
        (settings, warnings)
    }
}

const EXCLUDE: [&str; 2] = ["files", "exclude"];

/// Makes `files.exclude` the strongest list of the user, followed by the project's.
fn add_excludes(tree: &mut Tree, project: &Tree, of_user: &[&Tree]) {
    let Some(Value::Array(added)) = get(project, &EXCLUDE) else { return };
    let mut list = match of_user.iter().find_map(|tree| get(tree, &EXCLUDE)) {
        Some(Value::Array(list)) => list.clone(),
        _ => Vec::new(),
    };
    list.extend(added.iter().filter(|pattern| !list.contains(pattern)).cloned().collect::<Vec<_>>());
    let exclude = Tree::from_iter([("exclude".to_owned(), Value::Array(list))]);
    let files = Tree::from_iter([("files".to_owned(), Value::Object(exclude))]);
    *tree = laid_over(std::mem::take(tree), files);
}

fn tree_of(options: &Options) -> Tree {
    match serde_json::to_value(options) {
        Ok(Value::Object(tree)) => tree,
        _ => Tree::new(),
    }
}

/// The value at a path of section, key and, for languages, language.
fn get<'a>(tree: &'a Tree, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(tree.get(*first)?, |value, name| value.get(name))
}

/// `upper` over `lower`, key by key in every section.
fn laid_over(mut lower: Tree, upper: Tree) -> Tree {
    for (name, value) in upper {
        let merged = match (lower.remove(&name), value) {
            (Some(Value::Object(below)), Value::Object(above)) => Value::Object(laid_over(below, above)),
            (_, value) => value,
        };
        lower.insert(name, merged);
    }
    lower
}

/// The tree without the values whose path is `dropped`.
fn without(tree: &Tree, dropped: &dyn Fn(&[&str]) -> bool) -> Tree {
    fn walk<'a>(tree: &'a Tree, path: &mut Vec<&'a str>, dropped: &dyn Fn(&[&str]) -> bool) -> Tree {
        let mut kept = Tree::new();
        for (name, value) in tree {
            path.push(name);
            match value {
                Value::Object(section) => {
                    kept.insert(name.clone(), Value::Object(walk(section, path, dropped)));
                }
                value if !dropped(path) => {
                    kept.insert(name.clone(), value.clone());
                }
                _ => {}
            }
            path.pop();
        }
        kept
    }
    walk(tree, &mut Vec::new(), dropped)
}
