//! How probably a text is right, by what the causal pass makes of it.
//!
//! The probability of a hole left to right is not that of being right: it must be fitted to outcomes. The weights belong to a
//! checkpoint (`lacuna.confidence`), and `model/training/README.md` says how they were found.

use crate::config::Confidence;

/// Added to a surprise before its logarithm is taken, in nats: nothing is surer than this.
const SURPRISE_MIN: f32 = 0.05;

impl Confidence {
    /// The probability that a hole's text is right, of which the causal pass says ln p(hole | prefix) = `log_prob_hole` and
    /// ln p(next suffix tokens | prefix, hole) = `log_prob_suffix`.
    pub(crate) fn of(&self, log_prob_hole: f32, log_prob_suffix: f32) -> f32 {
        let surprise = (SURPRISE_MIN - log_prob_hole.min(0.0)).ln();
        let odds = self.intercept + self.surprise * surprise + self.suffix * log_prob_suffix;
        1.0 / (1.0 + (-odds).exp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_odds_are_a_line_in_what_is_known() {
        let model = Confidence { intercept: 0.5, surprise: -1.0, suffix: 0.1 };
        // Log-odds 0.5 - ln(2.05) - 1 and 0.5 - ln(0.05).
        assert!((model.of(-2.0, -10.0) - 0.228_317).abs() < 1e-5, "{}", model.of(-2.0, -10.0));
        assert!((model.of(0.0, 0.0) - 0.970_566).abs() < 1e-5, "{}", model.of(0.0, 0.0));
        assert_eq!(model.of(f32::NEG_INFINITY, 0.0), 0.0);
    }
}
