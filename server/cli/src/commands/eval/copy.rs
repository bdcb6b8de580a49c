//! The copy baseline: a hole is filled with what stands in the most similar earlier line of the same file. No model.
//!
//! Of all places in earlier lines that follow the same characters as the hole (at its indentation: any line's beginning) the
//! one with the longest such run wins; then the one whose preceding line is most like the hole's; then the latest.

use super::metrics::edit_similarity;
use lacuna_engine::HoleKind;

/// A run of equal characters before the hole shorter than this says nothing, unless it is all of the line so far.
const RUN_CHARS_MIN: usize = 2;
/// Lines a hole of several lines copies at most.
const LINES_MAX: usize = 4;
/// Characters of the suffix that end a span where they turn up in the copied line.
const SUFFIX_KEY_CHARS: usize = 6;

/// What to copy into the hole between `prefix` and `suffix`; `None` where no earlier line is like the hole's.
pub fn nearest(prefix: &str, suffix: &str, kind: HoleKind) -> Option<String> {
    let lines: Vec<&str> = prefix.split('\n').map(|line| line.trim_end_matches('\r')).collect();
    let (&written, earlier) = lines.split_last()?;
    let before = earlier.last().copied().unwrap_or_default();
    let mut best: Option<(usize, f64, usize, usize)> = None;
    for (number, line) in earlier.iter().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let Some((run, column)) = place(line, written) else { continue };
        let above = number.checked_sub(1).map_or("", |above| earlier[above]);
        let alike = edit_similarity(above.trim(), before.trim());
        if best.is_none_or(|(most, likest, ..)| (run, alike) >= (most, likest)) {
            best = Some((run, alike, number, column));
        }
    }
    let (_, _, number, column) = best?;
    let rest = &earlier[number][column..];
    let text = match kind {
        HoleKind::Line => rest.to_owned(),
        HoleKind::Span => up_to_suffix(rest, suffix).to_owned(),
        HoleKind::Lines | HoleKind::Body => block(rest, &earlier[number..]),
    };
    (!text.trim().is_empty()).then_some(text)
}

/// Where in `line` to go on as `written` ends: the byte column and how many characters before it are equal.
fn place(line: &str, written: &str) -> Option<(usize, usize)> {
    let indent = line.len() - line.trim_start().len();
    if written.trim().is_empty() {
        // The same indentation counts as a run of its own: code of the same depth.
        return Some((usize::from(line[..indent] == *written), indent));
    }
    let whole = written.trim_start().chars().count();
    let places = line.char_indices().map(|(at, _)| at).filter(|&at| at > indent);
    places
        .map(|at| (common_end(&line[..at], written), at))
        .filter(|&(run, _)| run >= RUN_CHARS_MIN.min(whole))
        .max_by_key(|&(run, at)| (run, std::cmp::Reverse(at)))
}

fn common_end(a: &str, b: &str) -> usize {
    a.chars().rev().zip(b.chars().rev()).take_while(|(left, right)| left == right).count()
}

/// A span ends where the copied line goes on as the suffix does.
fn up_to_suffix<'a>(rest: &'a str, suffix: &str) -> &'a str {
    let after = suffix.split(['\n', '\r']).next().unwrap_or_default();
    let mut key: String = after.chars().take(SUFFIX_KEY_CHARS).collect();
    while !key.is_empty() {
        match rest.find(&key) {
            Some(end) if end > 0 => return &rest[..end],
            _ => key.pop(),
        };
    }
    rest
}

/// The rest of the line and those after it, as long as they are not shallower.
fn block(rest: &str, lines: &[&str]) -> String {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let outer = lines.first().map_or(0, |line| indent(line));
    let more = lines.iter().skip(1).take(LINES_MAX - 1);
    let more = more.take_while(|line| !line.trim().is_empty() && indent(line) >= outer);
    std::iter::once(rest).chain(more.copied()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(prefix: &str, suffix: &str, kind: HoleKind, expected: Option<&str>) {
        assert_eq!(nearest(prefix, suffix, kind).as_deref(), expected);
    }

    #[test]
    fn the_longest_run_of_equal_characters_wins() {
        let earlier = "let first = map.get(a);\nlet other = set.len();\n";
        check(&format!("{earlier}x = map.get("), "\n", HoleKind::Line, Some("a);"));
        check(&format!("{earlier}let b = set."), "\n", HoleKind::Line, Some("len();"));
    }

    #[test]
    fn a_span_ends_where_the_suffix_begins() {
        check("f(one, two);\nf(", ", three);", HoleKind::Span, Some("one"));
        check("f(one, two);\nf(", ");", HoleKind::Span, Some("one, two"));
    }

    #[test]
    fn at_the_indentation_the_line_before_decides() {
        let prefix = "if a {\n    return one;\n}\nwhile b {\n    step();\n}\nif c {\n    ";
        check(prefix, "\n}", HoleKind::Line, Some("return one;"));
    }

    #[test]
    fn several_lines_end_where_the_block_does() {
        check("a:\n    b = 1\n    c = 2\nd = 3\na:\n    ", "\n", HoleKind::Body, Some("b = 1\n    c = 2"));
    }

    #[test]
    fn nothing_alike_is_no_answer() {
        check("alpha\nbeta\nx = ", "\n", HoleKind::Line, None);
        check("", "", HoleKind::Line, None);
        check("ä = ö;\nä = ", "\n", HoleKind::Line, Some("ö;"));
    }
}
