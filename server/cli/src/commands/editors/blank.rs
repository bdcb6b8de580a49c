//! Configuration files that are there and say nothing: taken as if they were not there, but for their comments.

use std::path::Path;

/// The comments of a file that says nothing else; `None` where it says something. An empty object of JSON says nothing.
///
/// A format whose comments are not known here has none.
pub fn comments<'a>(path: &Path, text: &'a str) -> Option<&'a str> {
    let (mark, is_json) = match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => (Some("#"), false),
        Some("sublime-settings") => (Some("//"), true),
        Some("json") => (None, true),
        _ => (None, false),
    };
    let says_nothing = |line: &&str| {
        let line = line.trim();
        line.is_empty() || mark.is_some_and(|mark| line.starts_with(mark))
    };
    let length = text.split_inclusive('\n').take_while(says_nothing).map(str::len).sum();
    let (comments, rest) = text.split_at(length);
    let is_empty = rest.is_empty() || (is_json && rest.split_whitespace().collect::<String>() == "{}");
    is_empty.then(|| comments.trim_end())
}

/// `text` below the comments of the file that it takes the place of.
pub fn below(comments: &str, text: &str) -> String {
    if comments.trim().is_empty() { text.to_owned() } else { format!("{comments}\n\n{text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_says_nothing_is_taken_for_it() {
        let check = |name: &str, text: &str, kept: Option<&str>| {
            assert_eq!(comments(Path::new(name), text), kept, "{name}: {text:?}");
        };
        for name in ["languages.toml", "settings.json", "a.sublime-settings", "lacuna.kak"] {
            check(name, "", Some(""));
            check(name, " \r\n\t\n", Some(""));
            check(name, "x", None);
        }
        check("languages.toml", "# mine\r\n\n  # too", Some("# mine\r\n\n  # too"));
        check("languages.toml", "# mine\n[[language]]\n", None);
        check("languages.toml", "{}", None);
        check("settings.json", "{\n}\n", Some(""));
        check("settings.json", "{\"a\": 1}", None);
        check("settings.json", "// no comment in JSON\n{}", None);
        check("a.sublime-settings", "// mine\n{\n\t\n}\n", Some("// mine"));
        check("a.sublime-settings", "{ // mine\n}\n", None);
        check("lacuna.kak", "# might be all that is wanted\n", None);
    }

    #[test]
    fn comments_stay_above() {
        assert_eq!(below("", "a = 1\n"), "a = 1\n");
        assert_eq!(below("# mine", "a = 1\n"), "# mine\n\na = 1\n");
    }
}
