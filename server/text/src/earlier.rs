//! Earlier code as a draft: how lines of the same document went on that began like the line with the hole.
//!
//! Code repeats itself, and a line that began alike is the cheapest guess there is. Pure text, no model: whether a guess
//! fits, whoever ranks candidates says.

use crate::document::Snapshot;
use crate::region::{Region, RegionKind};

/// How far back a line's beginning is compared, in bytes.
const KEY_MAX: usize = 64;
/// Bytes of each side that are looked through.
const REACH: usize = 64 * 1024;
/// A shared beginning must hold this many characters that are no white space.
const SHARED_MIN: usize = 2;
/// A longer ending is no line that a person wrote, in bytes.
const ENDING_MAX: usize = 240;
/// Places that are compared further than their last byte: a bound on the work, nearest places first.
const PLACES_MAX: usize = 4096;

/// At most `count` texts for the hole `region`, from the lines of `snapshot` that began like its own: the longest shared
/// beginning first, then the nearest before the hole, then what comes after it. None for a hole of several lines.
#[must_use]
pub fn earlier(snapshot: &Snapshot, region: &Region, count: usize) -> Vec<String> {
    if !matches!(region.kind, RegionKind::Line | RegionKind::Span) {
        return Vec::new();
    }
    let text = snapshot.text();
    let (start, end) = (region.range.start, region.range.end);
    let boundary = |at: usize| text.char_to_byte(text.byte_to_char(at));
    let (low, high) = (boundary(start.saturating_sub(REACH)), boundary(text.len_bytes().min(end + REACH)));
    let (before, after) = (text.byte_slice(low..start).to_string(), text.byte_slice(end..high).to_string());
    endings(&before, &after, count)
}

/// As [`earlier`], of the texts on both sides. Each ending is the rest of a line, up to where it goes on like `after` does.
fn endings(before: &str, after: &str, count: usize) -> Vec<String> {
    let key = tail(before, KEY_MAX);
    let stop = stop_of(after);
    let mut found: Vec<(usize, &str)> = Vec::new();
    for (text, nearest_last) in [(before, true), (after, false)] {
        let from = found.len();
        for at in places(key, text, nearest_last) {
            let shared = shared_end(key, &text[..at]);
            let begins = key[key.len() - shared..].chars().filter(|c| !c.is_whitespace()).count();
            let ending = rest_of_line(&text[at..], stop);
            if begins >= SHARED_MIN && ending.len() <= ENDING_MAX && !ending.trim().is_empty() {
                found.push((shared, ending));
            }
        }
        if nearest_last {
            found[from..].reverse();
        }
    }
    found.sort_by_key(|&(shared, _)| std::cmp::Reverse(shared));
    let mut texts: Vec<String> = Vec::new();
    for (_, text) in found {
        if texts.len() >= count {
            break;
        }
        if !texts.iter().any(|known| known == text) {
            texts.push(text.to_owned());
        }
    }
    texts
}

/// The ends of all runs in `text` whose last byte is that of `key`, ascending; where there are too many, the nearest.
fn places(key: &str, text: &str, nearest_last: bool) -> Vec<usize> {
    let Some(&last) = key.as_bytes().last() else { return Vec::new() };
    let ends = text.bytes().enumerate().filter(|&(_, byte)| byte == last).map(|(at, _)| at + 1);
    let mut ends: Vec<usize> = ends.filter(|&at| at < text.len() && text.is_char_boundary(at)).collect();
    let spare = ends.len().saturating_sub(PLACES_MAX);
    if nearest_last {
        ends.drain(..spare);
    } else {
        ends.truncate(PLACES_MAX);
    }
    ends
}

/// The first characters after the hole on its own line; none where the hole ends the line.
fn stop_of(after: &str) -> Option<&str> {
    let line = after.split(['\n', '\r']).next().unwrap_or("");
    (!line.trim().is_empty()).then(|| head(line, 4))
}

fn rest_of_line<'t>(text: &'t str, stop: Option<&str>) -> &'t str {
    let line = text.split(['\n', '\r']).next().unwrap_or("");
    let end = stop.and_then(|stop| line.find(stop)).unwrap_or(line.len());
    &line[..end]
}

/// Bytes that `a` and `b` share at their ends, whole characters only.
fn shared_end(a: &str, b: &str) -> usize {
    let pairs = a.chars().rev().zip(b.chars().rev());
    pairs.take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum()
}

fn tail(text: &str, bytes: usize) -> &str {
    let from = (text.len().saturating_sub(bytes)..=text.len()).find(|&at| text.is_char_boundary(at));
    &text[from.unwrap_or(text.len())..]
}

fn head(text: &str, bytes: usize) -> &str {
    let to = (0..=text.len().min(bytes)).rev().find(|&at| text.is_char_boundary(at));
    &text[..to.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_began_alike_says_how_it_goes_on() {
        let prefix = "let a = self.items.len();\nlet b = other;\nlet c = self.items";
        assert_eq!(endings(prefix, "\n", 2), [".len();"]);
    }

    #[test]
    fn the_longest_shared_beginning_comes_first_then_the_nearest() {
        let prefix = "x = load(a)\ny = load(b)\nxx = load(c)\nx = load(";
        assert_eq!(endings(prefix, "", 3), ["c)", "a)", "b)"]);
    }

    #[test]
    fn it_ends_where_the_suffix_goes_on() {
        let prefix = "call(first, second);\ncall(";
        assert_eq!(endings(prefix, ");\n", 1), ["first, second"]);
    }

    #[test]
    fn code_after_the_hole_counts_too() {
        assert_eq!(endings("if ready(", ":\n    pass\nif ready(now):\n", 1), ["now)"]);
    }

    #[test]
    fn little_in_common_is_nothing_in_common() {
        assert!(endings("ab = 1\n  = ", "\n", 4).is_empty());
        assert!(endings("", "", 4).is_empty());
        assert_eq!(endings("größe = größe(ü)\ny = größe(", "\n", 4), ["ü)"]);
    }
}
