//! What settings come of which sources, and what is said about the rest.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Settings and warnings of one source of editor configuration.
fn configured(value: &Value) -> (Settings, Vec<String>) {
    let mut layers = Layers::default();
    layers.set_configuration(value);
    resolved(&layers, None)
}

fn resolved(layers: &Layers, folder: Option<&str>) -> (Settings, Vec<String>) {
    let (settings, warnings) = layers.resolve(folder);
    (settings, warnings.iter().map(|warning| warning.problem.to_string()).collect())
}

fn with_project(text: &str) -> Layers {
    let mut layers = Layers::default();
    layers.set_project("here", Some(text));
    layers
}

#[test]
fn nothing_set_is_the_default_and_the_default_survives_the_wire() {
    let nothing = [
        json!(null),
        json!({}),
        json!({ "lacuna": {} }),
        json!({ "lacuna": null }),
        json!({ "engine": null }),
    ];
    for value in nothing {
        assert_eq!(configured(&value), (Settings::default(), vec![]), "{value}");
    }
    let default = Options::from(&Settings::default());
    assert_eq!(default.clone().resolve().unwrap(), Settings::default());
    assert_eq!(configured(&serde_json::to_value(default).unwrap()), (Settings::default(), vec![]));
}

#[test]
fn every_key_reaches_its_setting() {
    let model = std::env::temp_dir();
    let value = json!({ "lacuna": {
        "enabled": false, "languages": { "lua": false }, "files": { "include": ["src/**"], "exclude": [] },
        "engine": { "model": model, "device": "cpu", "precision": "f32", "threads": 3 },
        "preset": "balanced", "invokedPreset": "thorough", "candidates": 5, "debounceMs": 40, "completion": "off",
        "contextTokens": 0, "prefixTokens": 100, "suffixTokens": 7, "frames": true, "refineStrength": 0.7, "minConfidence": 0.25,
        "log": { "level": "trace", "file": model.join("x.log"), "code": true },
    } });
    let mut languages = Settings::default().languages;
    languages.insert("lua".to_owned(), false);
    let expected = Settings {
        enabled: false,
        languages,
        files: FileFilter::new(vec!["src/**".to_owned()], vec![]).unwrap(),
        engine: EngineSettings {
            model: Some(model.clone()),
            device: Device::Cpu,
            precision: Precision::F32,
            threads: NonZero::new(3),
        },
        preset: Preset::Balanced,
        invoked_preset: Preset::Thorough,
        candidates: 5,
        debounce: Duration::from_millis(40),
        completion: Completion::Off,
        context_tokens: 0,
        prefix_tokens: 100,
        suffix_tokens: 7,
        frames: true,
        min_confidence: 0.25,
        refine_strength: 0.7,
        log: LogSettings { level: LogLevel::Trace, file: Some(model.join("x.log")), code: true },
    };
    let (settings, warnings) = configured(&value);
    assert_eq!((&settings, warnings), (&expected, vec![]));
    let again = serde_json::to_value(Options::from(&settings)).unwrap();
    assert_eq!(configured(&again).0, expected, "what is written reads back");
}

#[test]
fn a_bad_value_costs_itself_only() {
    let check = |value: Value, expected: &str| {
        let mut whole = value.clone();
        whole["candidates"] = whole.get("candidates").cloned().unwrap_or(json!(9));
        let (settings, warnings) = configured(&whole);
        assert_eq!(warnings, [expected], "{value}");
        let good = if value.get("candidates").is_some() { 3 } else { 9 };
        assert_eq!(settings, Settings { candidates: good, ..Settings::default() }, "{value}");
    };
    check(json!({ "candidates": 0 }), "`candidates`: expected a whole number from 1 to 64, found 0");
    check(json!({ "candidates": 65 }), "`candidates`: expected a whole number from 1 to 64, found 65");
    check(json!({ "candidates": 2.5 }), "`candidates`: expected a whole number from 1 to 64, found 2.5");
    check(json!({ "enabled": "yes" }), "`enabled`: expected true or false, found \"yes\"");
    check(
        json!({ "preset": "fats" }),
        "`preset`: expected one of `fast`, `balanced`, `thorough`, found \"fats\"",
    );
    check(
        json!({ "preset": ["fast"] }),
        "`preset`: expected one of `fast`, `balanced`, `thorough`, found a list",
    );
    check(
        json!({ "engine": { "device": "gpu" } }),
        "`engine.device`: expected one of `auto`, `cpu`, `cuda`, found \"gpu\"",
    );
    check(
        json!({ "engine": { "threads": -1 } }),
        "`engine.threads`: expected a whole number from 1 to 1024, found -1",
    );
    check(
        json!({ "engine": { "model": "weights" } }),
        "`engine.model`: expected an absolute path or one that starts with ~/, found \"weights\"",
    );
    check(json!({ "engine": "cpu" }), "`engine`: expected an object, found \"cpu\"");
    check(json!({ "minConfidence": -1 }), "`minConfidence`: expected a number from 0 to 1, found -1");
    check(json!({ "refineStrength": 1.01 }), "`refineStrength`: expected a number from 0 to 1, found 1.01");
    check(json!({ "languages": { "rust": 1 } }), "`languages.rust`: expected true or false, found 1");
    check(json!({ "languages": ["rust"] }), "`languages`: expected an object, found a list");
    check(json!({ "files": { "include": "src" } }), "`files.include`: expected a list, found \"src\"");
    check(
        json!({ "log": { "level": true } }),
        "`log.level`: expected one of `off`, `error`, `warn`, `info`, `debug`, `trace`, found true",
    );
}

#[test]
fn a_bad_pattern_leaves_the_rest_of_its_list() {
    let (settings, warnings) = configured(&json!({ "files": { "exclude": ["*.a", "[z", 3, "!x", "b/**"] } }));
    assert_eq!(settings.files.exclude(), ["*.a", "b/**"]);
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(warnings[0].starts_with("`files.exclude[1]`: expected a glob pattern ("), "{warnings:?}");
    assert!(warnings[1].starts_with("`files.exclude[2]`: expected a glob pattern"), "{warnings:?}");
    assert!(warnings[2].contains("use files.include and files.exclude"), "{warnings:?}");
}

#[test]
fn an_unknown_key_names_the_nearest_known_one() {
    let check = |value: Value, key: &str, nearest: Option<&str>| {
        let mean = nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        let (settings, warnings) = configured(&value);
        assert_eq!(warnings, [format!("there is no setting `{key}`{mean}")], "{value}");
        assert_eq!(settings, Settings::default());
    };
    check(json!({ "candidtes": 2 }), "candidtes", Some("candidates"));
    check(json!({ "context-tokens": 2 }), "context-tokens", Some("contextTokens"));
    check(json!({ "refine_strength": 0.1 }), "refine_strength", Some("refineStrength"));
    check(json!({ "debounce": 2 }), "debounce", Some("debounceMs"));
    check(json!({ "model": "/m" }), "model", Some("engine.model"));
    check(json!({ "engine": { "presicion": "f32" } }), "engine.presicion", Some("engine.precision"));
    check(json!({ "log": { "lvl": "f32" } }), "log.lvl", Some("log.level"));
    check(json!({ "files": { "excludes": [] } }), "files.excludes", Some("files.exclude"));
    check(json!({ "enigne": { "device": "cpu" } }), "enigne", Some("engine"));
    check(json!({ "zzzqqq": { "deep": [{}] } }), "zzzqqq", None);
    check(json!({ "lacuna": { "temperature": 1 } }), "temperature", None);
}

#[test]
fn dotted_keys_are_nested_ones() {
    let check = |value: Value| {
        let (settings, warnings) = configured(&value);
        assert_eq!(
            (settings.engine.device, settings.log.level, warnings),
            (Device::Cpu, LogLevel::Debug, vec![]),
            "{value}"
        );
    };
    check(json!({ "engine.device": "cpu", "log.level": "debug" }));
    check(json!({ "lacuna.engine.device": "cpu", "lacuna.log": { "level": "debug" } }));
    check(json!({ "lacuna": { "engine.device": "cpu", "log": { "level": "debug" } } }));
    check(json!({ "engine": { "precision": "auto" }, "engine.device": "cpu", "log.level": "debug" }));
    check(json!({ "lacuna": { "engine.device": "cpu", "log.level": "debug" }, "rust-analyzer": { "x": 1 } }));
}

/// Lua has one empty table, which arrives as `{}` or as `[]`.
#[test]
fn empty_lists_and_objects_are_one() {
    for value in [
        json!([]),
        json!({ "lacuna": [] }),
        json!({ "engine": [] }),
        json!({ "lacuna": { "languages": [], "files": { "include": {} } } }),
    ] {
        assert_eq!(configured(&value), (Settings::default(), vec![]), "{value}");
    }
    let (settings, warnings) = configured(&json!({ "files": { "exclude": {} } }));
    assert_eq!((settings.files.exclude().len(), warnings), (0, vec![]));
    let (_, warnings) = configured(&json!([1]));
    assert_eq!(warnings, ["cannot be read: expected an object of settings, found a list"]);
}

#[test]
fn an_avalanche_of_problems_is_counted() {
    let value: serde_json::Map<_, _> = (0..1000).map(|n| (format!("zz{n}"), json!(1))).collect();
    let (_, warnings) = configured(&Value::Object(value));
    assert_eq!((warnings.len(), warnings[20].as_str()), (21, "980 more problems"));
}

#[test]
fn the_stronger_source_wins_key_by_key() {
    let mut layers =
        with_project("candidates = 4\nprefixTokens = 64\nsuffixTokens = 32\n[languages]\nlua = false\n");
    layers.set_initialization(&json!({ "candidates": 5, "prefixTokens": 65, "languages": { "go": false } }));
    layers.set_configuration(&json!({ "candidates": 6 }));
    let (here, warnings) = resolved(&layers, Some("here"));
    assert_eq!((here.candidates, here.prefix_tokens, here.suffix_tokens, warnings), (6, 65, 32, vec![]));
    assert!(!here.allows_language("lua") && !here.allows_language("go") && here.allows_language("rust"));

    let (elsewhere, _) = resolved(&layers, Some("elsewhere"));
    assert_eq!((elsewhere.candidates, elsewhere.prefix_tokens, elsewhere.suffix_tokens), (6, 65, 128));
    layers.remove_project("here");
    assert_eq!(resolved(&layers, Some("here")).0, elsewhere);
}

#[test]
fn an_editor_that_sends_every_default_does_not_silence_the_project() {
    let mut layers = with_project("candidates = 4\n");
    layers.set_initialization(&json!({ "prefixTokens": 65 }));
    layers.set_configuration(&serde_json::to_value(Options::from(&Settings::default())).unwrap());
    let (settings, _) = resolved(&layers, Some("here"));
    assert_eq!(settings.candidates, 4, "the default of the editor is no opinion against the project");
    assert_eq!(settings.prefix_tokens, 512, "going back to the default takes back what the start said");
}

#[test]
fn a_project_says_nothing_about_the_machine() {
    let layers = with_project(
        "frames = true\ncandidates = 2\n[engine]\nmodel = \"/m\"\nthreads = 64\n[log]\nfile = \"/f\"\ncode = true\nx = 1\n",
    );
    let (settings, mut warnings) = resolved(&layers, Some("here"));
    assert_eq!(settings, Settings { candidates: 2, ..Settings::default() });
    warnings.sort();
    let refused = |key: &str| format!("`{key}` cannot be set by a project; set it in your editor");
    let keys = ["engine.model", "engine.threads", "frames", "log.code", "log.file"].map(refused);
    assert_eq!(warnings[..5], keys);
    assert_eq!(warnings[5], "there is no setting `log.x`");
    assert_eq!(warnings.len(), 6);
}

#[test]
fn a_project_adds_excludes_and_never_takes_any_away() {
    let mut layers = with_project("[files]\nexclude = [\"gen/**\", \"*.pem\"]\n");
    let allows = |layers: &Layers, path| resolved(layers, Some("here")).0.allows("rust", Some(path));
    assert!(!allows(&layers, ".env") && !allows(&layers, "gen/a.rs") && allows(&layers, "src/a.rs"));
    layers.set_configuration(&json!({ "files": { "exclude": ["mine/**"] } }));
    assert!(allows(&layers, ".env"), "the user may open what the default keeps out");
    assert!(!allows(&layers, "mine/a.rs") && !allows(&layers, "gen/a.rs"));
    layers.set_project("here", Some("[files]\nexclude = []\n"));
    assert!(!allows(&layers, "mine/a.rs") && allows(&layers, "gen/a.rs"));
}

#[test]
fn a_project_file_that_cannot_be_read_says_where() {
    let (settings, warnings) = resolved(&with_project("candidates = 2\nprefixTokens = = 3\n"), Some("here"));
    assert_eq!((settings, warnings.len()), (Settings::default(), 1));
    assert!(warnings[0].starts_with("cannot be read: line 2: "), "{warnings:?}");

    let folder = tempfile::tempdir().unwrap();
    let mut layers = Layers::default();
    layers.take_project("here", read_project_file(folder.path()));
    assert_eq!(resolved(&layers, Some("here")), (Settings::default(), vec![]), "no file is no problem");
    let path = folder.path().join(PROJECT_FILE_NAME);
    let mut check = |bytes: &[u8], expected: &[&str]| {
        std::fs::write(&path, bytes).unwrap();
        layers.take_project("here", read_project_file(folder.path()));
        assert_eq!(resolved(&layers, Some("here")).1, expected);
    };
    check(b"candidates = 2", &[]);
    check(b"# \xff", &["cannot be read: expected UTF-8"]);
    check(&vec![b'#'; 70_000], &["cannot be read: expected at most 64 KiB"]);
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    layers.take_project("here", read_project_file(folder.path()));
    assert_eq!(resolved(&layers, Some("here")).1, ["cannot be read: expected a regular file"]);
}

#[test]
fn a_toggle_holds_until_the_editor_says_something_else() {
    let mut layers = Layers::default();
    layers.set_configuration(&json!({ "enabled": true, "candidates": 4 }));
    assert!(!layers.toggle(None, None));
    assert!(!layers.resolve(None).0.enabled);
    layers.set_configuration(&json!({ "enabled": true, "candidates": 5 }));
    assert!(!layers.resolve(None).0.enabled, "another setting changed");
    assert!(layers.toggle(None, None) && layers.resolve(None).0.enabled);
    layers.set_configuration(&json!({ "enabled": false }));
    assert!(!layers.resolve(None).0.enabled, "the newer word counts");

    assert!(layers.toggle(None, Some(true)));
    assert!(!layers.toggle(Some("rust"), None));
    assert!(!layers.resolve(None).0.allows("rust", None) && layers.resolve(None).0.allows("go", None));
    layers.set_configuration(&json!({ "enabled": false, "languages": { "rust": true } }));
    assert!(layers.resolve(None).0.allows_language("rust"));
}

#[test]
fn languages_answer_to_their_names_and_dialects() {
    let check = |languages: Value, on: &[&str], off: &[&str]| {
        let (settings, warnings) = configured(&json!({ "languages": languages }));
        assert_eq!(warnings, [""; 0]);
        on.iter().for_each(|id| assert!(settings.allows(id, None), "{id} of {languages}"));
        off.iter().for_each(|id| assert!(!settings.allows(id, None), "{id} of {languages}"));
    };
    check(json!({}), &["rust", "plaintext", "nonsense", ""], &["scminput", "gitcommit", "dotenv"]);
    check(json!({ "*": false, "rust": true }), &["rust"], &["python", "nonsense", "scminput"]);
    check(json!({ "bash": false }), &["zig"], &["shellscript", "sh", "bash", "zsh"]);
    check(json!({ "json": false }), &["yaml"], &["json", "jsonc"]);
    check(json!({ "jsonc": false }), &["json"], &["jsonc"]);
    check(json!({ "typescript": false }), &["javascript"], &["typescript", "typescriptreact"]);
    check(json!({ "tsx": false }), &["typescript"], &["typescriptreact"]);
}

#[test]
fn a_file_that_is_left_out_is_told_the_pattern() {
    let owned = |patterns: &[&str]| patterns.iter().map(|&pattern| pattern.to_owned()).collect();
    let files = FileFilter::new(owned(&["src/**"]), owned(&["*.pem", "gen/", "*.key"])).unwrap();
    assert_eq!(files.refusal("src/main.rs"), None);
    let why = |path: &str| files.refusal(path).unwrap();
    assert_eq!(why("src/gen.key"), "the setting `files.exclude` has `*.key`");
    assert_eq!(why("/src/a/gen/b.rs"), "the setting `files.exclude` has `gen/`");
    assert_eq!(why("tools/a.rs"), "the setting `files.include` has no pattern for it");
}

#[test]
fn files_pass_by_pattern() {
    let check = |include: &[&str], exclude: &[&str], on: &[&str], off: &[&str]| {
        let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        let files = FileFilter::new(owned(include), owned(exclude)).unwrap();
        on.iter().for_each(|path| assert!(files.allows(path), "{path}: {include:?} without {exclude:?}"));
        off.iter().for_each(|path| assert!(!files.allows(path), "{path}: {include:?} without {exclude:?}"));
    };
    check(&[], &[], &["a", "a/b.rs"], &[]);
    check(&["src"], &[], &["src/a.rs", "x/src/a.rs"], &["a.rs", "srca/a.rs"]);
    check(&["/src"], &[], &["src/a.rs"], &["x/src/a.rs"]);
    check(&["*.rs"], &["gen/*.rs"], &["a.rs", "b/gen/a.rs", "gen/x/a.rs"], &["gen/a.rs", "a.py"]);
    check(&[], &["gen/"], &["a.rs"], &["gen/a.rs", "b/gen/c/a.rs"]);
    check(&[], &["*.{pem,key}"], &["a.rs"], &["A.PEM", "x/y.key"]);
    let default = Settings::default();
    let on = ["src/main.rs", "a/target/x.rs", "environment.rs", "src/keyboard.js", "lib/Target/x.cpp"];
    on.iter().for_each(|path| assert!(default.allows("x", Some(path)), "{path}"));
    let off = [
        ".env",
        ".env.local",
        "a/.envrc",
        "tls/server.PEM",
        "home/.ssh/config",
        "id_rsa.pub",
        "Cargo.lock",
        "b/package-lock.json",
        "target/debug/x.rs",
        "a/node_modules/b/c.js",
        "dist/app.min.js",
        ".git/config",
        "/home/me/.aws/credentials",
    ];
    off.iter().for_each(|path| assert!(!default.allows("x", Some(path)), "{path}"));
    assert!(!Settings { enabled: false, ..default }.allows("rust", None));
}

#[test]
fn a_home_path_is_found() {
    let Some(home) = std::env::home_dir() else { return };
    let (settings, _) = configured(&json!({ "engine": { "model": "~/m" } }));
    assert_eq!(settings.engine.model, Some(home.join("m")));
    let (settings, warnings) = configured(&json!({ "engine": { "model": "" } }));
    assert_eq!((settings.engine.model, warnings), (None, vec![]), "what nobody touched");
}

#[test]
fn only_the_engine_takes_a_restart() {
    let old = Settings::default();
    let other = Settings {
        candidates: 9,
        frames: true,
        log: LogSettings { code: true, ..LogSettings::default() },
        ..old.clone()
    };
    assert!(!needs_engine_restart(&old, &other));
    let engine = EngineSettings { threads: NonZero::new(2), ..EngineSettings::default() };
    assert!(needs_engine_restart(&old, &Settings { engine, ..old.clone() }));
}

/// A repository may bring any file; none may cost the server its stack or its time.
#[test]
fn hostile_project_files_are_survived() {
    let deep =
        |open: &str, close: &str, count: usize| format!("a = {}1{}", open.repeat(count), close.repeat(count));
    for text in [
        format!("{}a = 1", "a.".repeat(30_000)),
        format!("[{}a]\nx = 1", "a.".repeat(30_000)),
        format!("engine.{}a = 1", "a.".repeat(30_000)),
        deep("[", "]", 30_000),
        deep("{a=", "}", 15_000),
    ] {
        let (settings, warnings) = resolved(&with_project(&text), Some("here"));
        assert_eq!((settings, warnings.len()), (Settings::default(), 1), "{}", &text[..20]);
    }
    for pattern in
        ["{a,b}".repeat(100), "**/".repeat(170), "{".repeat(500), "*a".repeat(250), "[!a-z]".repeat(80)]
    {
        let text = format!(
            "[files]\nexclude = [{}]",
            format!("\"{pattern}\",").repeat(65_000 / (pattern.len() + 3))
        );
        let settings = with_project(&text).resolve(Some("here")).0;
        assert!(!settings.allows("rust", Some(".env")), "{pattern}");
    }
}

/// Any JSON, mostly under keys that exist, so that values of every kind meet every setting.
fn any_json() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        4 => prop::sample::select(vec![
            "lacuna", "enabled", "languages", "files", "include", "exclude", "engine", "model", "device", "precision", "threads",
            "preset", "invokedPreset", "candidates", "debounceMs", "completion", "contextTokens", "prefixTokens",
            "suffixTokens", "frames", "minConfidence", "refineStrength", "log", "level", "file", "code", "engine.device", "lacuna.log.level",
        ])
        .prop_map(str::to_owned),
        1 => ".{0,6}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0..100u32).prop_map(Value::from),
        prop::sample::select(vec![
            "fast", "cpu", "off", "trace", "~/m", "/m", "", "**/{a,b", "*.rs", "!", "[", "~"
        ])
        .prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, 12, move |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            3 => prop::collection::btree_map(name.clone(), inner, 0..12)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn assert_valid(settings: &Settings) {
    assert!((1..=64).contains(&settings.candidates));
    assert!(settings.debounce <= Duration::from_secs(5));
    assert!((0.0..=1.0).contains(&settings.refine_strength));
    assert!((16..=32768).contains(&settings.prefix_tokens) && settings.suffix_tokens <= 32768);
    assert!(settings.context_tokens <= 32768);
    assert!(settings.engine.model.as_deref().is_none_or(std::path::Path::is_absolute));
}

proptest! {
    #[test]
    fn any_json_gives_valid_settings(initialization in any_json(), configuration in any_json(), project in any_json()) {
        let mut layers = Layers::default();
        layers.set_initialization(&initialization);
        layers.set_configuration(&configuration);
        layers.set_project("here", toml::to_string(&project).ok().as_deref());
        let (settings, _) = layers.resolve(Some("here"));
        assert_valid(&settings);
        // What was taken from the editor is all there: a layer that failed to become options would be lost whole.
        let mut editor_only = Layers::default();
        editor_only.set_configuration(&serde_json::to_value(Options::from(&settings)).unwrap());
        let (again, warnings) = editor_only.resolve(None);
        prop_assert_eq!((again, warnings), (settings, vec![]));
    }

    #[test]
    fn any_text_is_a_project_file_or_a_warning(text in "(?s).{0,64}") {
        assert_valid(&with_project(&text).resolve(Some("here")).0);
    }
}
