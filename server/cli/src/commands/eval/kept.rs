//! What a scorecard keeps of every case, so that a later run can be compared case by case: `OUT.cases.csv`.
//!
//! One row a case, one column a method; a cell is `1` or `0` for exact or not, a colon, and the edit similarity.

use super::board::Run;
use super::methods::Way;
use crate::failure::Failure;
use std::collections::HashMap;
use std::path::Path;

/// What is kept of one answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kept {
    /// 1 when exact, else 0.
    pub exact: f64,
    /// Edit similarity, rounded to two digits.
    pub similarity: f64,
}

/// The kept answers of a method by case.
pub type Answers = HashMap<String, Kept>;

/// The file's text.
pub fn csv(runs: &[Run]) -> String {
    let ways: Vec<&str> = runs.iter().map(|run| run.way.name()).collect();
    let mut csv = format!("case,{}\n", ways.join(","));
    for (number, first) in runs.first().map_or(&[][..], |run| &run.outcomes).iter().enumerate() {
        let cells = runs.iter().filter_map(|run| run.outcomes.get(number));
        let cells =
            cells.map(|outcome| format!("{}:{:.2}", u8::from(outcome.exact_match), outcome.edit_similarity));
        csv += &format!("{},{}\n", first.task_id, cells.collect::<Vec<_>>().join(","));
    }
    csv
}

/// Reads the column of `way`.
///
/// # Errors
/// A file that cannot be read, has no such column, or holds something else.
pub fn read(path: &Path, way: Way) -> Result<Answers, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::input(format!("{} cannot be read: {error}", path.display())))?;
    parse(&text, way).map_err(|what| Failure::input(format!("{}: {what}", path.display())))
}

fn parse(text: &str, way: Way) -> Result<Answers, String> {
    let mut lines = text.lines();
    let head = lines.next().unwrap_or_default();
    let column = head.split(',').skip(1).position(|name| name == way.name());
    let column = column.ok_or_else(|| format!("has no column {}, found: {head}", way.name()))?;
    let mut answers = Answers::new();
    for (number, line) in lines.enumerate() {
        // A name may hold commas; the cells behind it do not.
        let cells = head.split(',').count() - 1;
        let mut parts: Vec<&str> = line.rsplitn(cells + 1, ',').collect();
        parts.reverse();
        let cell = parts.get(column + 1).and_then(|cell| kept(cell));
        let cell = cell.ok_or_else(|| format!("line {}: expected CASE and {cells} × 0:0.00", number + 2))?;
        answers.insert(parts[0].to_owned(), cell);
    }
    Ok(answers)
}

fn kept(cell: &str) -> Option<Kept> {
    let (exact, similarity) = cell.split_once(':')?;
    let exact = match exact {
        "0" => 0.0,
        "1" => 1.0,
        _ => return None,
    };
    Some(Kept { exact, similarity: similarity.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::eval::answer::tests::outcome;

    #[test]
    fn what_is_written_is_read_back() {
        let mut first = outcome("line", true, 1.0);
        first.task_id = "a,b".to_owned();
        let run = |way, exact| {
            let mut second = outcome("line", exact, 1.0);
            second.task_id = "c".to_owned();
            Run { way, outcomes: vec![first.clone(), second], frames: Vec::new() }
        };
        let text = csv(&[run(Way::Diffusion, false), run(Way::Copy, true)]);
        assert_eq!(text, "case,diffusion,copy\na,b,1:1.00,1:1.00\nc,0:0.50,1:1.00\n");
        let read = parse(&text, Way::Diffusion).unwrap();
        assert_eq!(read["c"], Kept { exact: 0.0, similarity: 0.5 });
        assert_eq!(read["a,b"], Kept { exact: 1.0, similarity: 1.0 });
    }

    #[test]
    fn a_damaged_file_says_where() {
        assert!(parse("case,copy\n", Way::Causal).unwrap_err().contains("no column causal"));
        assert!(parse("case,copy\na,2:x\n", Way::Copy).unwrap_err().starts_with("line 2: expected"));
    }
}
