//! What refining did to a text whose right form is known.

use lacuna_lsp::distance::differing;
use serde::Serialize;

/// What became of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is the original again, white space at the ends of lines aside.
    Repaired,
    /// It is what it was before, white space at the ends of lines aside.
    Untouched,
    /// It changed, is not the original, and is no further from it than before.
    Changed,
    /// It is further from the original than before: more tokens differ, see [`differing`].
    Worse,
}

impl Verdict {
    /// Judges `after`, which was made of `before`. Where `before` is the original every change is [`Verdict::Worse`].
    pub fn of(original: &str, before: &str, after: &str) -> Self {
        if same(after, before) {
            Self::Untouched
        } else if same(after, original) {
            Self::Repaired
        } else if differing(after, original) > differing(before, original) {
            Self::Worse
        } else {
            Self::Changed
        }
    }
}

fn same(a: &str, b: &str) -> bool {
    a.lines().map(str::trim_end).eq(b.lines().map(str::trim_end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_counts_tokens_from_the_original() {
        let of = |after| Verdict::of("  f(a, b)\n", "  f(b, a)\n", after);
        assert_eq!(of("  f(a, b) \n"), Verdict::Repaired);
        assert_eq!(of("  f(b, a)\n"), Verdict::Untouched);
        assert_eq!(of("  f(a, a)\n"), Verdict::Changed, "nearer, but not there");
        assert_eq!(of("  g(b, a)\n"), Verdict::Worse);
        assert_eq!(of("    f(a, b)\n"), Verdict::Changed, "indentation is a token");
        assert_eq!(of(""), Verdict::Worse);
    }

    #[test]
    fn a_change_of_right_code_is_worse() {
        assert_eq!(Verdict::of("a + b\n", "a + b\n", "a - b\n"), Verdict::Worse);
        assert_eq!(Verdict::of("a + b\n", "a + b\n", "a + b\n"), Verdict::Untouched);
        assert_eq!(Verdict::of("a + b\n", "a + b\n", "a  +  b\n"), Verdict::Changed);
    }
}
