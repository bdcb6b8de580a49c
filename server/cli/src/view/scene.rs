//! The hole among its neighbours as rows of toned text: pure, so that it can be tested without a terminal.

use crate::output::{Tone, visible};
use lacuna_engine::{Cell, CellState};
use lacuna_text::Plan;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Lines of code shown before and after the hole.
const CONTEXT_LINES: usize = 3;
/// Columns a tab is shown as.
const TAB: &str = "    ";
/// What stands where the line number would, on a row that continues the one above.
const CONTINUED: &str = "      ┊ ";

/// Pieces of one row, left to right.
pub type Row = Vec<(Tone, String)>;

/// The code around a hole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scene {
    /// Whole lines before the hole's first one.
    before: Vec<String>,
    /// What stands left of the hole.
    head: String,
    /// What stands right of it.
    tail: String,
    /// Whole lines after.
    after: Vec<String>,
    /// Number of the first line shown, from 1.
    first_line: usize,
}

impl Scene {
    /// The surroundings of a plan's hole, which begins in line `line` (from 1) of its document.
    pub fn of(plan: &Plan, line: usize) -> Self {
        let mut before: Vec<String> = plan.prefix.split('\n').map(str::to_owned).collect();
        let head = before.pop().unwrap_or_default();
        before.drain(..before.len().saturating_sub(CONTEXT_LINES));
        let mut after = plan.suffix.split('\n').map(str::to_owned);
        let tail = after.next().unwrap_or_default();
        let after = after.take(CONTEXT_LINES).collect();
        // A body that opens brings line breaks of its own.
        let opened = plan.lead.matches('\n').count();
        let first_line = (line + opened).saturating_sub(before.len());
        Self { before, head, tail, after, first_line }
    }

    /// The rows with `cells` in the hole, at most `rows_max` of them; context goes first, then the hole's last lines.
    pub fn rows(&self, cells: &[Cell], rows_max: usize) -> Vec<Row> {
        let mut hole: Vec<Row> = vec![vec![(Tone::Plain, self.head.clone())]];
        for cell in cells {
            let tone = match cell.state {
                CellState::Noise => Tone::Dim,
                CellState::Accepted => Tone::Bright,
                CellState::Clamped => Tone::Plain,
            };
            for (index, piece) in cell.text.split('\n').enumerate() {
                if index > 0 {
                    hole.push(Vec::new());
                }
                if let Some(row) = hole.last_mut() {
                    row.push((tone, piece.to_owned()));
                }
            }
        }
        if let Some(row) = hole.last_mut() {
            row.push((Tone::Plain, self.tail.clone()));
        }
        let spare = rows_max.saturating_sub(hole.len());
        let after = self.after.len().min(spare / 2);
        let before = self.before.len().min(spare - after);
        let skipped = self.before.len() - before;
        let context = |line: &String| vec![(Tone::Dim, line.clone())];
        let rows = self.before[skipped..].iter().map(context);
        let rows = rows.chain(hole).chain(self.after[..after].iter().map(context)).take(rows_max);
        rows.enumerate().map(|(index, row)| numbered(self.first_line + skipped + index, row)).collect()
    }
}

fn numbered(line: usize, row: Row) -> Row {
    let mut numbered = vec![(Tone::Dim, format!("{line:>5} │ "))];
    numbered.extend(row);
    numbered
}

/// A row cut to `width` columns, control characters made visible, tabs opened.
pub fn fit(row: &Row, width: usize) -> Row {
    wrap(row, width).swap_remove(0)
}

/// A row as one or more rows of at most `width` columns; later ones are set in under the first one's text.
pub fn wrap(row: &Row, width: usize) -> Vec<Row> {
    let mut rows = vec![Row::new()];
    let mut used = 0;
    for (tone, text) in row {
        let text = visible(&text.replace('\t', TAB));
        let mut piece = String::with_capacity(text.len());
        for character in text.chars() {
            let columns = character.width().unwrap_or(0);
            if used + columns > width && used > 0 {
                push(&mut rows, *tone, std::mem::take(&mut piece));
                rows.push(vec![(Tone::Dim, CONTINUED.to_owned())]);
                used = CONTINUED.width();
            }
            used += columns;
            piece.push(character);
        }
        push(&mut rows, *tone, piece);
    }
    rows
}

fn push(rows: &mut [Row], tone: Tone, piece: String) {
    if let Some(row) = rows.last_mut().filter(|_| !piece.is_empty()) {
        row.push((tone, piece));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lacuna_text::{Document, Language, PlanSettings, Region, plan};

    fn cell(text: &str, state: CellState) -> Cell {
        Cell { text: text.to_owned(), state, entropy: 0.0 }
    }

    fn scene(text: &str) -> Scene {
        let document = Document::new(text, Language::Rust);
        let region = Region::find_markers(&document).remove(0);
        let tokens = |text: &str| text.len();
        let plan = plan(&document, &region, &PlanSettings::default(), &tokens).unwrap();
        Scene::of(&plan, document.text().byte_to_line(region.range.start) + 1)
    }

    fn plain(rows: &[Row]) -> Vec<String> {
        rows.iter().map(|row| row.iter().map(|(_, text)| text.as_str()).collect()).collect()
    }

    #[test]
    fn the_hole_stands_between_its_neighbours() {
        let scene = scene("// one\nfn f() {\n    todo!()\n}\n");
        let cells = [cell("a;\n", CellState::Accepted), cell("    b", CellState::Noise)];
        let rows = scene.rows(&cells, 20);
        let expected = [
            "    1 │ // one",
            "    2 │ fn f() {",
            "    3 │     a;",
            "    4 │     b",
            "    5 │ }",
            "    6 │ ",
        ];
        assert_eq!(plain(&rows), expected);
        assert_eq!(rows[2][2], (Tone::Bright, "a;".to_owned()));
        assert_eq!(rows[3][2], (Tone::Dim, "    b".to_owned()));
    }

    #[test]
    fn a_small_screen_loses_context_before_the_hole() {
        let scene = scene("// one\nfn f() {\n    todo!()\n}\n");
        let cells = [cell("a;\n    b;\n    c", CellState::Accepted)];
        assert_eq!(plain(&scene.rows(&cells, 4))[..2], ["    2 │ fn f() {", "    3 │     a;"]);
        assert_eq!(scene.rows(&cells, 2).len(), 2);
    }

    #[test]
    fn rows_are_cut_by_columns_not_characters() {
        let row = vec![(Tone::Plain, "a\t漢字".to_owned()), (Tone::Dim, "x\x1b".to_owned())];
        assert_eq!(plain(&[fit(&row, 8)]), ["a    漢"]);
        assert_eq!(plain(&[fit(&row, 40)]), ["a    漢字x\u{241b}"]);
        assert_eq!(plain(&wrap(&row, 11)), ["a    漢字x\u{241b}"]);
        assert_eq!(plain(&wrap(&row, 10)), ["a    漢字x", "      ┊ \u{241b}"]);
    }
}
