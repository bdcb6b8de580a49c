//! How far a text is from another one, in code tokens: the measure of how much a refinement changes.

/// Most products of token counts that are compared exactly; beyond it every token between the first and the last
/// difference counts as changed.
const CELLS_MAX: usize = 1 << 22;

/// The least number of tokens to take out and to put in on the way from one text to the other. A token is a word of
/// letters, digits and `_`, any other character that is no white space, or a line's indentation.
#[must_use]
pub fn differing(a: &str, b: &str) -> usize {
    let (a, b) = (tokens(a), tokens(b));
    let head = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[head..], &b[head..]);
    let tail = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[..a.len() - tail], &b[..b.len() - tail]);
    if a.len().saturating_mul(b.len()) > CELLS_MAX {
        return a.len() + b.len();
    }
    a.len() + b.len() - 2 * common(a, b)
}

/// Length of the longest common subsequence; one row of the table at a time.
fn common(a: &[&str], b: &[&str]) -> usize {
    let mut row = vec![0; b.len() + 1];
    for left in a {
        let mut diagonal = 0;
        for (j, right) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = if left == right { diagonal + 1 } else { above.max(row[j]) };
            diagonal = above;
        }
    }
    row[b.len()]
}

fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    for line in text.lines().map(str::trim_end) {
        let code = line.trim_start();
        if code.len() < line.len() {
            tokens.push(&line[..line.len() - code.len()]);
        }
        let mut rest = code;
        while let Some(first) = rest.chars().next() {
            let word = |c: char| c.is_alphanumeric() || c == '_';
            let end =
                if word(first) { rest.find(|c| !word(c)).unwrap_or(rest.len()) } else { first.len_utf8() };
            tokens.push(&rest[..end]);
            rest = rest[end..].trim_start();
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_words_signs_and_indentation() {
        assert_eq!(
            tokens("  a_1+=f(2)  \n\nü.b"),
            ["  ", "a_1", "+", "=", "f", "(", "2", ")", "ü", ".", "b"]
        );
    }

    #[test]
    fn what_is_taken_out_and_put_in_is_counted() {
        for (a, b, expected) in [
            ("f(a, b)", "f(a, b) ", 0),
            ("f(a, b)", "f( a,b )", 0),
            ("f(a, b)", "f(a, b", 1),
            ("f(a, b)", "f(a, c)", 2),
            ("f(a, b)", "f(b, a)", 4),
            ("f(a, b)", "", 6),
            ("  x", "    x", 2),
        ] {
            assert_eq!((differing(a, b), differing(b, a)), (expected, expected), "{a:?} {b:?}");
        }
    }

    #[test]
    fn long_texts_cost_no_more_than_their_length() {
        let (a, b) = ("a ".repeat(5000), "b ".repeat(5000));
        assert_eq!(differing(&a, &b), 10_000);
    }
}
