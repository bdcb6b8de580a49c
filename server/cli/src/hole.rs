//! Which hole of a file is meant: the place on the command line, or a marker in the text.

use crate::failure::Failure;
use crate::location::{LineRange, Place};
use crate::source::Source;
use crate::view::summary::counted;
use lacuna_text::position::without_break;
use lacuna_text::{Encoding, LineEnding, Position, Region, Snapshot};
use std::ops::Range;

/// The markers that are looked for, as a message names them.
const MARKERS: &str = "todo!(), unimplemented!(), raise NotImplementedError, ..., pass, ‹› or an empty body";

/// A hole, and what to tell the user about how it was chosen.
#[derive(Debug)]
pub struct Chosen {
    /// The hole.
    pub region: Region,
    /// Said when there was a choice.
    pub note: Option<String>,
}

/// The hole of `lacuna fill`.
///
/// # Errors
/// A place outside the file, or no marker where one is needed.
pub fn choose(
    source: &Source,
    place: Option<Place>,
    to: Option<Place>,
    marker: Option<usize>,
) -> Result<Chosen, Failure> {
    let snapshot = &*source.document;
    let only = |region| Chosen { region, note: None };
    match (place, to) {
        (None, Some(_)) => Err(Failure::input(
            "--to ends a range; say where it starts, as FILE:LINE:COLUMN --to LINE:COLUMN",
        )),
        (Some(start), Some(end)) => range(source, start, end).map(only),
        (Some(_), None) if marker.is_some() => {
            Err(Failure::input("--marker N and a position exclude each other; give one of them"))
        }
        (Some(place), None) => at(source, snapshot, place).map(only),
        (None, None) => by_marker(source, snapshot, marker),
    }
}

/// The holes of `lacuna fill --all`: the region from the first to the last, and what stands between them. A hole is a marker or,
/// where `wanted` is not empty, wherever that text stands.
///
/// # Errors
/// A place beside it, or no hole.
pub fn all(source: &Source, place: Option<Place>, wanted: &str) -> Result<(Region, Vec<String>), Failure> {
    if place.is_some() {
        return Err(Failure::input("--all and a position exclude each other; give one of them"));
    }
    let text = source.text();
    let holes: Vec<Range<usize>> = match wanted {
        "" => Region::find_markers(&source.document).into_iter().map(|region| region.range).collect(),
        _ => text.match_indices(wanted).map(|(at, found)| at..at + found.len()).collect(),
    };
    let (Some(first), Some(last)) = (holes.first(), holes.last()) else {
        let wanted = if wanted.is_empty() { MARKERS } else { wanted };
        return Err(Failure::input(format!("no hole found in {}: mark one with {wanted}", source.shown())));
    };
    one_line_ending(source, &text[first.start..last.end])?;
    let between = holes.windows(2).map(|pair| text[pair[0].end..pair[1].start].replace("\r\n", "\n"));
    Ok((region_of(source, first.start..last.end)?, between.collect()))
}

/// What stands between the holes is written back with the file's line break, so it must have no other.
fn one_line_ending(source: &Source, text: &str) -> Result<(), Failure> {
    let (both, feeds, returns) =
        (text.matches("\r\n").count(), text.matches('\n').count(), text.matches('\r').count());
    let alike = match source.document.line_ending() {
        LineEnding::Lf => returns == 0,
        LineEnding::Crlf => both == feeds && returns == feeds,
        LineEnding::Cr => feeds == 0,
    };
    if alike {
        return Ok(());
    }
    let shown = source.shown();
    Err(Failure::input(format!(
        "line breaks differ between the holes of {shown}: give them one kind, or fill hole by hole"
    )))
}

/// The lines of `lacuna refine`: from the first one's indentation to the last one's end. Blank lines at either end stay
/// outside: there is nothing on them to correct.
///
/// # Errors
/// Lines outside the file, or with nothing on them.
pub fn lines(source: &Source, lines: &LineRange) -> Result<Region, Failure> {
    line_bytes(source, lines.last)?;
    let text = |bytes: &Range<usize>| source.document.text().byte_slice(bytes.clone()).to_string();
    let mut written = (lines.first..=lines.last)
        .filter_map(|line| line_bytes(source, line).ok())
        .filter(|bytes| !text(bytes).trim().is_empty());
    let Some(first) = written.next() else {
        let (first, last) = (lines.first, lines.last);
        return Err(Failure::input(format!("lines {first}-{last} of {} are blank", source.shown())));
    };
    let end = written.next_back().map_or(first.end, |last| last.end);
    let line = text(&first);
    let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
    region_of(source, first.start + indent..end)
}

/// `LINE:COLUMN` of a byte offset, both from 1.
pub fn place_of(snapshot: &Snapshot, offset: usize) -> (usize, usize) {
    let position = snapshot.position(offset, Encoding::Utf32);
    (position.line + 1, position.character + 1)
}

fn at(source: &Source, snapshot: &Snapshot, place: Place) -> Result<Region, Failure> {
    let offset = match place.column {
        Some(_) => offset_of(source, place)?,
        None => {
            // A whole line is meant: the marker in it, else its end, where writing goes on.
            let line = line_bytes(source, place.line)?;
            let inside = |region: &Region| line.contains(&region.range.start);
            if let Some(region) = Region::find_markers(snapshot).into_iter().find(inside) {
                return Ok(region);
            }
            line.end
        }
    };
    Region::at(snapshot, offset).map_err(|error| Failure::input(error.to_string()))
}

fn range(source: &Source, start: Place, end: Place) -> Result<Region, Failure> {
    let start = Place { column: Some(start.column.unwrap_or(1)), ..start };
    let (from, to) = (offset_of(source, start)?, offset_of(source, end)?);
    if to < from {
        return Err(Failure::input("the range ends before it starts"));
    }
    region_of(source, from..to)
}

fn region_of(source: &Source, range: Range<usize>) -> Result<Region, Failure> {
    Region::of_range(&source.document, range).map_err(|error| Failure::input(error.to_string()))
}

fn by_marker(source: &Source, snapshot: &Snapshot, marker: Option<usize>) -> Result<Chosen, Failure> {
    let mut markers = Region::find_markers(snapshot);
    let count = markers.len();
    let name = source.shown();
    if count == 0 {
        return Err(Failure::input(format!(
            "no hole found in {name}: mark one with {MARKERS}, or name a position"
        )));
    }
    let number = match marker {
        Some(number) if number == 0 || number > count => {
            let have = if count == 1 { "1 marker".to_owned() } else { format!("{count} markers") };
            return Err(Failure::input(format!("--marker {number} does not exist: {name} has {have}")));
        }
        Some(number) => number - 1,
        None => {
            let surest = Region::find_hole(snapshot);
            markers.iter().position(|region| Some(region) == surest.as_ref()).unwrap_or(0)
        }
    };
    let region = markers.swap_remove(number);
    let (line, column) = place_of(snapshot, region.range.start);
    let note = (count > 1 && marker.is_none()).then(|| {
        let number = number + 1;
        format!(
            "{count} markers in {name}; this is number {number}, {} at {line}:{column} (--marker N takes another)",
            region.reason
        )
    });
    Ok(Chosen { region, note })
}

/// The bytes of a line without its line break.
///
/// After a line break at the end of the file there is one more place to write, which nobody counts as a line.
fn line_bytes(source: &Source, line: usize) -> Result<Range<usize>, Failure> {
    let text = source.document.text();
    let places = text.len_lines();
    if line > places {
        let lines = if text.line(places - 1).len_bytes() == 0 { places - 1 } else { places };
        let lines = counted(lines, "line");
        return Err(Failure::input(format!("line {line} is outside {}, which has {lines}", source.shown())));
    }
    let start = text.line_to_byte(line - 1);
    Ok(start..start + without_break(text.line(line - 1)).len_bytes())
}

fn offset_of(source: &Source, place: Place) -> Result<usize, Failure> {
    let bytes = line_bytes(source, place.line)?;
    let characters = source.document.text().byte_slice(bytes).len_chars();
    let column = place.column.unwrap_or(1);
    if column > characters + 1 {
        return Err(Failure::input(format!(
            "column {column} is outside line {} of {}, which has {}: columns 1 to {}",
            place.line,
            source.shown(),
            counted(characters, "character"),
            characters + 1
        )));
    }
    let position = Position::new(place.line - 1, column - 1);
    Ok(source.document.offset(position, Encoding::Utf32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn source(text: &str) -> Source {
        let mut file = tempfile::Builder::new().suffix(".py").tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        Source::read(file.path().to_str().unwrap(), None).unwrap()
    }

    const fn place(line: usize, column: usize) -> Option<Place> {
        Some(Place { line, column: Some(column) })
    }

    fn hole(source: &Source, from: Option<Place>, to: Option<Place>) -> String {
        choose(source, from, to, None).unwrap().region.text(&source.document)
    }

    #[test]
    fn columns_count_characters_and_ranges_exclude_their_end() {
        let source = source("ä = 'ö' + x\ny = 2\n");
        assert_eq!(hole(&source, place(1, 5), place(1, 8)), "'ö'");
        assert_eq!(hole(&source, place(1, 11), place(2, 2)), "x\ny");
        assert_eq!(hole(&source, Some(Place { line: 2, column: None }), place(2, 6)), "y = 2");
    }

    #[test]
    fn places_outside_the_file_are_named() {
        let source = source("x = 1\n");
        let error = |from, to| choose(&source, from, to, None).unwrap_err().to_string();
        let outside = error(place(9, 1), None);
        assert!(outside.starts_with("line 9 is outside") && outside.ends_with("has 1 line"), "{outside}");
        let outside = choose(&self::source("a\r\n\r\nb"), place(4, 1), None, None).unwrap_err().to_string();
        assert!(outside.ends_with("has 3 lines"), "{outside}");
        assert!(error(place(1, 7), None).contains("column 7 is outside line 1"));
        assert!(error(place(1, 4), place(1, 2)).contains("ends before it starts"));
        assert!(error(None, place(1, 2)).contains("say where it starts"));
    }

    #[test]
    fn a_line_alone_means_its_marker_or_its_end() {
        let source = source("def f():\n    pass\nx = \n");
        assert_eq!(hole(&source, Some(Place { line: 2, column: None }), None), "pass");
        let end = choose(&source, Some(Place { line: 3, column: None }), None, None).unwrap().region;
        assert_eq!(place_of(&source.document, end.range.start), (3, 5));
    }

    #[test]
    fn several_markers_are_announced_and_can_be_chosen() {
        let source = source("def f():\n    pass\n\ndef g():\n    ...\n");
        let chosen = choose(&source, None, None, None).unwrap();
        assert!(chosen.note.unwrap().starts_with("2 markers in "));
        let second = choose(&source, None, None, Some(2)).unwrap();
        assert_eq!((second.region.text(&source.document).as_str(), second.note), ("...", None));
        let error = choose(&source, None, None, Some(3)).unwrap_err().to_string();
        assert!(error.contains("--marker 3 does not exist") && error.contains("2 markers"), "{error}");
    }

    #[test]
    fn all_holes_are_one_region_with_given_text_between_them() {
        let source = source("1 . 3\r\n. 5 .\n");
        let (region, between) = all(&source, None, ".").unwrap();
        assert_eq!((region.range, between), (2..12, vec![" 3\n".to_owned(), " 5 ".to_owned()]));
        let error = all(&source, None, "").unwrap_err().to_string();
        assert!(error.contains("no hole found") && error.contains("todo!()"), "{error}");
        assert!(all(&source, place(1, 1), ".").unwrap_err().to_string().contains("exclude"));
    }

    #[test]
    fn no_marker_names_what_is_looked_for() {
        let error = choose(&source("x = 1\n"), None, None, None).unwrap_err().to_string();
        assert!(error.contains("no hole found") && error.contains("todo!()"), "{error}");
    }

    #[test]
    fn refined_lines_start_after_their_indentation() {
        let source = source("def f():\n    a = 1\n    b = 2\n\n");
        let lines_of = |first, last| LineRange { file: String::new(), first, last };
        let region = lines(&source, &lines_of(2, 3)).unwrap();
        assert_eq!(region.text(&source.document), "a = 1\n    b = 2");
        let blank_first = self::source("\n  \n    a = 1\n\n\n");
        assert_eq!(lines(&blank_first, &lines_of(1, 5)).unwrap().text(&blank_first.document), "a = 1");
        assert!(lines(&source, &lines_of(4, 4)).unwrap_err().to_string().contains("blank"));
        assert!(lines(&source, &lines_of(2, 99)).unwrap_err().to_string().contains("outside"));
    }
}
