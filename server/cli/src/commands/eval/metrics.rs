//! How close an answer is to the known one, and percentiles of times.

use lacuna_text::{Document, Language, syntax};

/// Whether two texts are equal but for white space at their end.
pub fn exact_match(answer: &str, expected: &str) -> bool {
    answer.trim_end() == expected.trim_end()
}

/// 1 − Levenshtein distance / length of the longer text, in characters, white space at the end aside; 1 is equal.
pub fn edit_similarity(answer: &str, expected: &str) -> f64 {
    let a: Vec<char> = answer.trim_end().chars().collect();
    let b: Vec<char> = expected.trim_end().chars().collect();
    let longest = a.len().max(b.len());
    if longest == 0 {
        return 1.0;
    }
    1.0 - levenshtein(&a, &b) as f64 / longest as f64
}

/// Insertions, deletions and replacements between two texts; one row of the table at a time.
fn levenshtein(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(left != right);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// Characters of the line's rest that an answer must end with to repeat it: `)` or `);` may well come twice.
const REPEATED_CHARS_MIN: usize = 3;

/// Whether an answer ends with what stands after the hole anyway. Where code follows on the hole's line: the answer ends with
/// three or more characters that this code begins with. Else: its last line that is not blank equals the first such line
/// of `suffix`, indentation aside, and has three or more characters, a letter or digit among them.
pub fn repeats_suffix(answer: &str, suffix: &str) -> bool {
    let rest = suffix.split(['\n', '\r']).next().unwrap_or_default();
    if rest.trim().is_empty() {
        let full = |line: &&str| !line.trim().is_empty();
        let last = answer.lines().rfind(full).map(str::trim);
        return last.is_some_and(|last| {
            last.chars().count() >= REPEATED_CHARS_MIN
                && last.contains(char::is_alphanumeric)
                && suffix.lines().find(full).map(str::trim) == Some(last)
        });
    }
    let starts = rest.char_indices().map(|(at, c)| at + c.len_utf8()).skip(REPEATED_CHARS_MIN - 1);
    starts.map(|end| &rest[..end]).any(|start| answer.ends_with(start))
}

/// ERROR and MISSING nodes of a whole text; 0 for languages without a grammar.
pub fn syntax_errors(text: &str, language: Language) -> usize {
    Document::new(text, language).tree().map_or(0, syntax::error_count)
}

/// The nearest-rank percentile of unsorted values; `None` when there are none.
pub fn percentile(values: &[f64], percent: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

/// The mean; 0 of nothing.
pub fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, count) = values.into_iter().fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    if count == 0 { 0.0 } else { sum / f64::from(count) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_white_space_at_the_end_is_forgiven() {
        assert!(exact_match("a\n", "a"));
        assert!(!exact_match(" a", "a"));
    }

    #[test]
    fn similarity_counts_edits_against_the_longer_text() {
        assert!((edit_similarity("kitten", "sitting") - (1.0 - 3.0 / 7.0)).abs() < 1e-12);
        assert!((edit_similarity("", "") - 1.0).abs() < 1e-12);
        assert!(edit_similarity("", "abc").abs() < 1e-12);
        assert!((edit_similarity("äö", "äx") - 0.5).abs() < 1e-12);
    }

    #[test]
    fn a_repeated_suffix_is_told_from_brackets_that_come_twice() {
        assert!(repeats_suffix("a, b).len()", ").len();\n"));
        assert!(!repeats_suffix("f(a)", ");\n"), "two characters may come twice");
        assert!(!repeats_suffix("a, b", ").len();\n"));
        assert!(repeats_suffix("x = 1\n    return x\n", "\n\n    return x\n"));
        assert!(!repeats_suffix("if a {\n    b\n}", "\n}\n"), "a bracket on its own may come twice");
        assert!(!repeats_suffix("x = 1", "\ny = 1"));
        assert!(!repeats_suffix("", "") && !repeats_suffix("x", ""));
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(percentile(&values, 50.0), Some(2.0));
        assert_eq!(percentile(&values, 95.0), Some(4.0));
        assert_eq!(percentile(&[7.0], 50.0), Some(7.0));
        assert_eq!(percentile(&[], 50.0), None);
    }

    #[test]
    fn syntax_errors_are_counted_where_there_is_a_grammar() {
        assert_eq!(syntax_errors("fn f() {}", Language::Rust), 0);
        assert!(syntax_errors("fn f( {", Language::Rust) > 0);
        assert_eq!(syntax_errors("fn f( {", Language::PlainText), 0);
    }
}
