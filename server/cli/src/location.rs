//! `FILE`, `FILE:LINE`, `FILE:LINE:COLUMN` and `FILE:A-B` as people and compilers write them.
//!
//! Lines and columns are counted from 1, columns in characters. A colon may also belong to the file's name
//! (`C:\a.rs`, `a:7`), so numbers are taken from the end only, and an existing file is never split.

use std::ffi::OsString;
use std::path::Path;

/// A place in a text: line and column from 1; the column counts characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Line from 1.
    pub line: usize,
    /// Column from 1, or `None` for "somewhere in this line".
    pub column: Option<usize>,
}

/// A file and perhaps a place in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file's name as given; `-` is standard input.
    pub file: String,
    /// Where in it.
    pub place: Option<Place>,
}

/// A file and an inclusive range of its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineRange {
    /// The file's name as given; `-` is standard input.
    pub file: String,
    /// First line, from 1.
    pub first: usize,
    /// Last line, from 1, included.
    pub last: usize,
}

/// The words of a command line with a place in standard input, `-:3`, where flags are over: before that it would be taken
/// for some.
pub fn behind_flags(mut words: Vec<OsString>) -> Vec<OsString> {
    let is_place = |word: &OsString| {
        let rest = word.to_str().and_then(|word| word.strip_prefix("-:"));
        rest.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
    };
    let place = words.iter().take_while(|word| *word != "--").position(is_place);
    if let Some(place) = place.map(|index| words.remove(index)) {
        let flags = words.iter().position(|word| word == "--");
        words.splice(flags.map_or(words.len()..words.len(), |at| at..at + 1), ["--".into(), place]);
    }
    words
}

/// What to say of a name that is no file, where a file and something behind it may be meant.
pub fn misread(name: &str) -> Option<String> {
    let (file, rest) = name
        .match_indices(':')
        .map(|(at, _)| name.split_at(at))
        .find(|(file, _)| Path::new(file).is_file())?;
    Some(format!(
        "{name} does not exist; for a place in {file} write {file}:LINE or {file}:LINE:COLUMN, found '{}' behind it",
        &rest[1..]
    ))
}

/// Reads `FILE[:LINE[:COLUMN]]`.
///
/// # Errors
/// One line that says which number is wrong.
pub fn parse_location(text: &str) -> Result<Location, String> {
    parse_location_with(text, |file| Path::new(file).exists())
}

fn parse_location_with(text: &str, exists: impl Fn(&str) -> bool) -> Result<Location, String> {
    let whole = || Location { file: text.to_owned(), place: None };
    if exists(text) {
        return Ok(whole());
    }
    // Compilers print `file:3:5:`; the last colon is theirs.
    let trimmed = text.strip_suffix(':').unwrap_or(text);
    let Some((head, last)) = split_number(trimmed) else { return Ok(whole()) };
    let place = match split_number(head) {
        Some((file, line)) if !exists(head) => {
            let place = Place { line: number("line", line)?, column: Some(number("column", last)?) };
            (file, place)
        }
        _ => (head, Place { line: number("line", last)?, column: None }),
    };
    Ok(Location { file: place.0.to_owned(), place: Some(place.1) })
}

/// Reads `FILE:A-B` or `FILE:A`, lines from 1, both included.
///
/// # Errors
/// One line that says what is missing or wrong.
pub fn parse_line_range(text: &str) -> Result<LineRange, String> {
    let missing = || format!("'{text}' names no lines; write FILE:A-B, such as src/main.rs:10-20");
    let (file, lines) = text.rsplit_once(':').filter(|(file, _)| !file.is_empty()).ok_or_else(missing)?;
    let (first, last) = lines.split_once('-').unwrap_or((lines, lines));
    if !is_number(first) || !is_number(last) {
        return Err(missing());
    }
    let (first, last) = (number("line", first)?, number("line", last)?);
    if last < first {
        return Err(format!("lines {first}-{last} end before they start"));
    }
    Ok(LineRange { file: file.to_owned(), first, last })
}

/// Reads the `LINE:COLUMN` of `--to`.
///
/// # Errors
/// One line that says what is wrong.
pub fn parse_place(text: &str) -> Result<Place, String> {
    let wrong = || format!("'{text}' is not LINE:COLUMN, such as 12:9");
    let (line, column) = text.split_once(':').ok_or_else(wrong)?;
    if !is_number(line) || !is_number(column) {
        return Err(wrong());
    }
    Ok(Place { line: number("line", line)?, column: Some(number("column", column)?) })
}

/// `head:digits`, with something before the colon.
fn split_number(text: &str) -> Option<(&str, &str)> {
    text.rsplit_once(':').filter(|(head, tail)| !head.is_empty() && is_number(tail))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn number(what: &str, digits: &str) -> Result<usize, String> {
    match digits.parse() {
        Ok(0) => Err(format!("{what} 0 does not exist; {what}s are counted from 1")),
        Ok(value) => Ok(value),
        Err(_) => Err(format!("{what} {digits} is too large")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, existing: &[&str], file: &str, line: Option<usize>, column: Option<usize>) {
        let location = parse_location_with(text, |name| existing.contains(&name)).unwrap();
        assert_eq!(location.file, file);
        assert_eq!(location.place, line.map(|line| Place { line, column }));
    }

    #[test]
    fn numbers_come_from_the_end() {
        check("a.rs", &[], "a.rs", None, None);
        check("a.rs:3", &[], "a.rs", Some(3), None);
        check("a.rs:3:14", &[], "a.rs", Some(3), Some(14));
        check("a.rs:3:14:", &[], "a.rs", Some(3), Some(14));
        check("-:3", &[], "-", Some(3), None);
        check("dir/a:b.rs:7", &[], "dir/a:b.rs", Some(7), None);
    }

    #[test]
    fn colons_of_the_name_stay_with_it() {
        check(r"C:\code\a.rs", &[], r"C:\code\a.rs", None, None);
        check(r"C:\code\a.rs:3:1", &[], r"C:\code\a.rs", Some(3), Some(1));
        check("log:12", &["log:12"], "log:12", None, None);
        check("log:12:4", &["log:12"], "log:12", Some(4), None);
        check("a.rs:x", &[], "a.rs:x", None, None);
        check(":3", &[], ":3", None, None);
    }

    #[test]
    fn a_place_in_standard_input_is_no_flag() {
        let moved = |words: &str| {
            let words = behind_flags(words.split(' ').map(Into::into).collect());
            words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(moved("lacuna fill -:3:5 --language rust"), "lacuna fill --language rust -- -:3:5");
        assert_eq!(moved("lacuna refine --json -:3-5"), "lacuna refine --json -- -:3-5");
        for as_it_is in ["lacuna fill - -i", "lacuna fill -- -:3", "lacuna fill a.rs:3", "lacuna fill -:x"] {
            assert_eq!(moved(as_it_is), as_it_is);
        }
    }

    #[test]
    fn impossible_numbers_are_named() {
        let error = |text: &str| parse_location_with(text, |_| false).unwrap_err();
        assert_eq!(error("a:0"), "line 0 does not exist; lines are counted from 1");
        assert_eq!(error("a:1:0"), "column 0 does not exist; columns are counted from 1");
        assert!(error("a:99999999999999999999999").contains("too large"));
    }

    #[test]
    fn line_ranges_hold_both_ends() {
        let range = |first, last| LineRange { file: "a.rs".to_owned(), first, last };
        assert_eq!(parse_line_range("a.rs:3-9"), Ok(range(3, 9)));
        assert_eq!(parse_line_range("a.rs:3"), Ok(range(3, 3)));
        assert_eq!(parse_line_range("a.rs:9-3"), Err("lines 9-3 end before they start".to_owned()));
        for wrong in ["a.rs", "a.rs:", "a.rs:x-3", "a.rs:3-", ":1-2"] {
            assert!(parse_line_range(wrong).unwrap_err().contains("FILE:A-B"), "{wrong}");
        }
    }

    #[test]
    fn the_end_of_a_range_needs_both_numbers() {
        assert_eq!(parse_place("12:9"), Ok(Place { line: 12, column: Some(9) }));
        for wrong in ["12", "12:", "a:b", "1:2:3"] {
            assert!(parse_place(wrong).unwrap_err().contains("LINE:COLUMN"), "{wrong}");
        }
    }
}
