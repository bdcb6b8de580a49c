//! The counts of `lacuna eval --refine`: a row a kind of fault, language and strength.

use super::corrupt::Fault;
use super::refine::Refined;
use super::verdict::Verdict;
use crate::failure::Failure;
use crate::output::{Output, Tone};
use serde::Serialize;
use std::fmt::Write;

const HEAD: &str = "fault,language,strength,lines,repaired,untouched,changed,worse";
const ALL: &str = "all";
/// The name of what is refined without a fault.
const CONTROL: &str = "none";

/// All rows, and what made them.
#[derive(Debug, Serialize)]
pub struct Table {
    /// Which model.
    pub model: String,
    /// By fault, then language, then strength; sums last, and after them the control, of which every change is worse.
    pub rows: Vec<Row>,
}

/// What became of the lines of one kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The kind of fault, `all`, or `none`.
    pub fault: &'static str,
    /// The language, or `all`.
    pub language: &'static str,
    /// Share of the text that was given up.
    pub strength: f32,
    /// Lines refined.
    pub lines: usize,
    /// Equal to the original afterwards.
    pub repaired: usize,
    /// Left as they were.
    pub untouched: usize,
    /// Changed, neither the original nor further from it.
    pub changed: usize,
    /// Further from the original than before.
    pub worse: usize,
}

impl Table {
    /// Counts.
    pub fn new(refined: &[Refined], model: String) -> Self {
        let mut languages: Vec<&'static str> = refined.iter().map(|one| one.language).collect();
        languages.sort_unstable();
        languages.dedup();
        languages.push(ALL);
        let mut strengths: Vec<f32> = refined.iter().map(|one| one.strength).collect();
        strengths.sort_by(f32::total_cmp);
        strengths.dedup();
        let faults = Fault::ALL.map(Fault::name).into_iter().chain([ALL, CONTROL]);
        let mut rows = Vec::new();
        for fault in faults {
            for &language in &languages {
                let row = |&strength: &f32| row((fault, language, strength), refined);
                rows.extend(strengths.iter().map(row).filter(|row| row.lines > 0));
            }
        }
        Self { model, rows }
    }

    /// As CSV.
    pub fn csv(&self) -> String {
        let mut csv = format!("{HEAD}\n");
        for Row { fault, language, strength, lines, repaired, untouched, changed, worse } in &self.rows {
            // Writing to a string cannot fail.
            let _ = writeln!(
                csv,
                "{fault},{language},{strength},{lines},{repaired},{untouched},{changed},{worse}"
            );
        }
        csv
    }

    /// For a person: the rows over all languages.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn print(&self, output: &mut Output) -> Result<(), Failure> {
        output.line(&format!("refine, {}", self.model))?;
        let head = "fault       strength  lines  repaired  untouched  changed  worse";
        let head = output.paint(Tone::Bright, head);
        output.line(&head)?;
        for row in self.rows.iter().filter(|row| row.language == ALL) {
            let Row { fault, strength, lines, repaired, untouched, changed, worse, .. } = row;
            let line = format!(
                "{fault:<10} {strength:>9} {lines:>6} {repaired:>9} {untouched:>10} {changed:>8} {worse:>6}"
            );
            output.line(&line)?;
        }
        Ok(())
    }
}

fn row((fault, language, strength): (&'static str, &'static str, f32), refined: &[Refined]) -> Row {
    let of_fault = |one: &Refined| one.fault == fault || (fault == ALL && one.fault != CONTROL);
    let of_language = |one: &Refined| language == ALL || one.language == language;
    let of_strength = |one: &Refined| one.strength.total_cmp(&strength).is_eq();
    let chosen = || refined.iter().filter(|one| of_fault(one) && of_language(one) && of_strength(one));
    let count = |verdict: Verdict| chosen().filter(|one| one.verdict == verdict).count();
    Row {
        fault,
        language,
        strength,
        lines: chosen().count(),
        repaired: count(Verdict::Repaired),
        untouched: count(Verdict::Untouched),
        changed: count(Verdict::Changed),
        worse: count(Verdict::Worse),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refined(fault: &'static str, language: &'static str, strength: f32, verdict: Verdict) -> Refined {
        Refined { task_id: "t".to_owned(), language, fault, strength, verdict, changes: Vec::new() }
    }

    #[test]
    fn every_line_is_counted_once_and_the_control_is_in_no_sum() {
        let table = Table::new(
            &[
                refined("bracket", "rust", 0.4, Verdict::Repaired),
                refined("bracket", "rust", 0.2, Verdict::Worse),
                refined("operator", "python", 0.4, Verdict::Untouched),
                refined("operator", "python", 0.4, Verdict::Changed),
                refined("none", "python", 0.4, Verdict::Worse),
            ],
            "m".to_owned(),
        );
        let csv = table.csv();
        let rows: Vec<&str> = csv.lines().collect();
        assert_eq!(
            rows,
            [
                HEAD,
                "bracket,rust,0.2,1,0,0,0,1",
                "bracket,rust,0.4,1,1,0,0,0",
                "bracket,all,0.2,1,0,0,0,1",
                "bracket,all,0.4,1,1,0,0,0",
                "operator,python,0.4,2,0,1,1,0",
                "operator,all,0.4,2,0,1,1,0",
                "all,python,0.4,2,0,1,1,0",
                "all,rust,0.2,1,0,0,0,1",
                "all,rust,0.4,1,1,0,0,0",
                "all,all,0.2,1,0,0,0,1",
                "all,all,0.4,3,1,1,1,0",
                "none,python,0.4,1,0,0,0,1",
                "none,all,0.4,1,0,0,0,1",
            ]
        );
        let (mut output, captured) = Output::captured(false, false);
        table.print(&mut output).unwrap();
        output.flush().unwrap();
        assert!(
            captured.text().contains("all              0.4      3         1          1        1      0\n"),
            "{}",
            captured.text()
        );
    }
}
