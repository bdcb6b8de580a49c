//! The change as a unified diff: exact where a program reads it, coloured where a person does.

use crate::failure::Failure;
use crate::output::{Output, Tone, visible};
use similar::TextDiff;
use std::borrow::Cow;

/// Unchanged lines around a change.
const CONTEXT_LINES: usize = 3;

/// The unified diff of two versions of a file; empty where they are equal. `patch -p1` takes it for relative names.
pub fn unified(name: &str, before: &str, after: &str) -> String {
    let (from, to) = match name.strip_prefix("./").unwrap_or(name) {
        name if name.starts_with('/') => (name.to_owned(), name.to_owned()),
        name => (format!("a/{name}"), format!("b/{name}")),
    };
    let diff = TextDiff::from_lines(before, after);
    diff.unified_diff().context_radius(CONTEXT_LINES).header(&from, &to).to_string()
}

/// Prints a unified diff.
pub fn print(output: &mut Output, diff: &str) -> Result<(), Failure> {
    if !output.is_terminal() {
        return output.text(diff);
    }
    for line in diff.split_inclusive('\n') {
        let body = line.strip_suffix('\n').map_or(line, |body| body.strip_suffix('\r').unwrap_or(body));
        let painted = output.paint(tone(body), &visible(body));
        output.line(&painted)?;
    }
    Ok(())
}

fn tone(line: &str) -> Tone {
    match line.as_bytes() {
        [b'-', b'-', b'-', ..] | [b'+', b'+', b'+', ..] => Tone::Dim,
        [b'@', b'@', ..] => Tone::Place,
        [b'-', ..] => Tone::Removed,
        [b'+', ..] => Tone::Added,
        _ => Tone::Plain,
    }
}

/// The first lines of a text, to recognise it in a list.
pub fn excerpt(text: &str, lines_max: usize) -> Vec<Cow<'_, str>> {
    let mut lines: Vec<Cow<'_, str>> = text.lines().take(lines_max).map(Cow::Borrowed).collect();
    let more = text.lines().count().saturating_sub(lines_max);
    if more > 0 {
        lines.push(Cow::Owned(format!("… {more} more")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_what_patch_expects() {
        let diff = unified("./src/a.rs", "x\n", "y\n");
        assert_eq!(diff, "--- a/src/a.rs\n+++ b/src/a.rs\n@@ -1 +1 @@\n-x\n+y\n");
        assert!(unified("/src/a.rs", "x\n", "y\n").starts_with("--- /src/a.rs\n+++ /src/a.rs\n"));
        assert_eq!(unified("a", "x\n", "x\n"), "");
    }

    #[test]
    fn a_missing_last_line_break_is_said() {
        assert!(unified("a", "x", "y").contains("\\ No newline at end of file"));
    }

    #[test]
    fn pipes_get_the_bytes_and_terminals_no_control_characters() {
        let diff = unified("a", "x\n", "\x1b[2Jy\r\n");
        let (mut pipe, piped) = Output::captured(false, false);
        print(&mut pipe, &diff).unwrap();
        assert_eq!(piped.text(), diff);
        let (mut screen, shown) = Output::captured(true, true);
        print(&mut screen, &diff).unwrap();
        assert!(shown.text().contains("\x1b[32m+\u{241b}[2Jy\x1b[0m\n"), "{:?}", shown.text());
    }

    #[test]
    fn excerpts_say_what_they_leave_out() {
        assert_eq!(excerpt("a\nb\nc", 2), ["a", "b", "… 1 more"]);
        assert_eq!(excerpt("a", 2), ["a"]);
    }
}
