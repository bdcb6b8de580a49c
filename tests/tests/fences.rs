//! The dependency rule of the architecture, held as a test: which crate may know which, and where `unsafe` may stand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails loudly")]

use lacuna_tests::workspace_root;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every edge between our own crates that may exist outside tests.
const EDGES: &[(&str, &str)] = &[
    ("lacuna-cli", "lacuna-text"),
    ("lacuna-cli", "lacuna-engine"),
    ("lacuna-cli", "lacuna-diffusion"),
    ("lacuna-cli", "lacuna-lsp"),
    ("lacuna-lsp", "lacuna-text"),
    ("lacuna-lsp", "lacuna-engine"),
    ("lacuna-diffusion", "lacuna-engine"),
    ("lacuna-diffusion", "lacuna-kernels"),
    ("lacuna-tests", "lacuna-engine"),
    ("lacuna-tests", "lacuna-lsp"),
    ("lacuna-benches", "lacuna-text"),
    ("lacuna-benches", "lacuna-engine"),
    ("lacuna-benches", "lacuna-diffusion"),
    ("lacuna-benches", "lacuna-kernels"),
    ("lacuna-benches", "lacuna-tests"),
];

/// Outside crates that only some of ours may name directly: (name prefix, who may).
const NAMED_ONLY_IN: &[(&str, &[&str])] = &[
    ("candle", &["lacuna-diffusion", "lacuna-kernels"]),
    ("tokenizers", &["lacuna-diffusion"]),
    ("tree-sitter", &["lacuna-text"]),
    ("ropey", &["lacuna-text"]),
    ("tokio", &["lacuna-lsp"]),
    ("tower-lsp", &["lacuna-lsp"]),
    ("lsp-types", &["lacuna-lsp"]),
    ("gen-lsp-types", &["lacuna-lsp"]),
    ("clap", &["lacuna-cli", "lacuna-benches"]),
];

/// Outside crates that must not be anywhere below a crate, however deep.
const NEVER_BELOW: &[(&str, &[&str])] = &[
    ("lacuna-text", &["candle-core", "tokenizers", "tokio", "tower-lsp-server", "safetensors"]),
    ("lacuna-engine", &["candle-core", "tokenizers", "tokio", "tower-lsp-server", "ropey", "tree-sitter"]),
    ("lacuna-kernels", &["tokenizers", "tokio", "ropey", "tree-sitter"]),
    ("lacuna-diffusion", &["tokio", "ropey", "tree-sitter", "tower-lsp-server"]),
    ("lacuna-lsp", &["candle-core", "tokenizers", "safetensors", "rayon"]),
];

struct Graph {
    /// Package name → names of its normal and build dependencies.
    direct: BTreeMap<String, BTreeSet<String>>,
    ours: BTreeSet<String>,
}

impl Graph {
    fn load() -> Self {
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version", "1", "--locked"])
            .current_dir(workspace_root())
            .output()
            .unwrap();
        assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
        let names: BTreeMap<&str, &str> = (metadata["packages"].as_array().unwrap().iter())
            .map(|package| (package["id"].as_str().unwrap(), package["name"].as_str().unwrap()))
            .collect();
        let mut direct: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for node in metadata["resolve"]["nodes"].as_array().unwrap() {
            let below = direct.entry(names[node["id"].as_str().unwrap()].to_owned()).or_default();
            for dep in node["deps"].as_array().unwrap() {
                let shipped = dep["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"] != "dev");
                if shipped {
                    below.insert(names[dep["pkg"].as_str().unwrap()].to_owned());
                }
            }
        }
        let members = metadata["workspace_members"].as_array().unwrap().iter();
        let ours = members.map(|id| names[id.as_str().unwrap()].to_owned()).collect();
        Self { direct, ours }
    }

    fn reaches(&self, from: &str, forbidden: &str) -> Option<Vec<String>> {
        let mut paths = vec![vec![from.to_owned()]];
        let mut seen = BTreeSet::new();
        while let Some(path) = paths.pop() {
            for next in self.direct.get(&path[path.len() - 1]).into_iter().flatten() {
                let longer = [&path[..], std::slice::from_ref(next)].concat();
                if next == forbidden {
                    return Some(longer);
                }
                if seen.insert(next.clone()) {
                    paths.push(longer);
                }
            }
        }
        None
    }
}

#[test]
fn our_crates_know_only_whom_they_may() {
    let graph = Graph::load();
    assert!(graph.ours.len() >= 7, "the workspace lost members: {:?}", graph.ours);
    for name in &graph.ours {
        for other in graph.direct[name].iter().filter(|other| graph.ours.contains(*other)) {
            assert!(EDGES.contains(&(name, other)), "{name} must not depend on {other}");
        }
    }
}

#[test]
fn outside_crates_are_named_only_where_they_belong() {
    let graph = Graph::load();
    for name in &graph.ours {
        for (prefix, allowed) in NAMED_ONLY_IN {
            let named = graph.direct[name].iter().find(|dependency| dependency.starts_with(prefix));
            assert!(named.is_none() || allowed.contains(&name.as_str()), "{name} must not name {named:?}");
        }
    }
}

#[test]
fn nothing_heavy_lies_below_the_light_crates() {
    let graph = Graph::load();
    for (name, forbidden) in NEVER_BELOW {
        for outside in *forbidden {
            let path = graph.reaches(name, outside);
            assert!(path.is_none(), "{name} reaches {outside}: {path:?}");
        }
    }
}

/// Files outside the kernels that hold `unsafe`: the one memory map.
const UNSAFE_ALLOWED: &[&str] = &["model/diffusion/src/weights.rs"];

#[test]
fn unsafe_stands_only_in_the_kernels_and_the_memory_map() {
    let root = workspace_root();
    let mut found = Vec::new();
    for file in rust_files(&root) {
        let name = file.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text.lines().map(|line| line.split("//").next().unwrap_or(""));
        let holds = code
            .filter(|line| line.contains(concat!("un", "safe {")) || line.contains(concat!("un", "safe fn")));
        if holds.count() > 0
            && !name.starts_with("model/kernels/")
            && !UNSAFE_ALLOWED.contains(&name.as_str())
        {
            found.push(name);
        }
    }
    assert!(found.is_empty(), "unsafe code in {found:?}");
}

fn rust_files(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> =
        ["server", "model", "tests", "benches", "editors"].iter().map(|name| root.join(name)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    assert!(files.len() > 20, "the scan found only {} Rust files", files.len());
    files
}

/// The top level is exactly this; everything else is a dot-file.
#[test]
fn the_top_level_is_what_the_readme_says() {
    let expected = [
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "README.md",
        "benches",
        "editors",
        "fixtures",
        "model",
        "server",
        "tests",
    ];
    let output =
        Command::new("git").args(["ls-tree", "--name-only", "HEAD"]).current_dir(workspace_root()).output();
    let Ok(output) = output.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()) else {
        return; // a source archive without git: nothing to hold the tree against
    };
    let found: Vec<&str> = output.lines().filter(|name| !name.starts_with('.')).collect();
    if !found.is_empty() {
        assert_eq!(found, expected);
    }
}
