//! Authors: how far up its author had a text in the author's own list.
//!
//! A probability left to right does not know that a line began like an earlier one, nor which length the canvas found
//! likely; the order in which each author writes does. A text gains `weight / (1 + place)` nats for every author that wrote it,
//! each at its best place. The weights belong to a checkpoint (`lacuna.ranking`), `model/training/README.md` says how they were
//! found; without them the score is the causal one alone.

use crate::config::{Confidence, Ranking};
use lacuna_engine::{Candidate, Origin};

/// Who wrote what, and at which place; place 0 is the author's first choice.
#[derive(Debug, Default)]
pub(crate) struct Authors {
    written: Vec<(Origin, usize, String)>,
}

impl Authors {
    /// Notes that `author` had `text` at `place`.
    pub(crate) fn note(&mut self, author: Origin, place: usize, text: &str) {
        self.written.push((author, place, text.to_owned()));
    }

    /// Adds to each score what the text's places are worth, and says how probably it is right.
    pub(crate) fn reward(&self, ranking: &Ranking, candidates: &mut [Candidate]) {
        let authors = [
            (Origin::Earlier, ranking.earlier),
            (Origin::Causal, ranking.causal),
            (Origin::Noise, ranking.canvas),
        ];
        for candidate in candidates {
            let worth = |(author, weight): (Origin, f32)| {
                self.best(author, &candidate.text).map_or(0.0, |place| weight / (1 + place) as f32)
            };
            let gained = authors.into_iter().map(worth).sum();
            candidate.score += gained;
            candidate.confidence = ranking.confidence.map(|model| model.of(candidate, gained));
        }
    }

    fn best(&self, author: Origin, text: &str) -> Option<usize> {
        let by = self.written.iter().filter(|(by, _, wrote)| *by == author && wrote == text);
        by.map(|(_, place, _)| *place).min()
    }
}

impl Confidence {
    /// The probability that `candidate`, which gained `place` nats by its places, is right.
    fn of(&self, candidate: &Candidate, place: f32) -> f32 {
        let (hole, suffix) = (candidate.log_prob_hole, candidate.log_prob_suffix);
        let odds = self.intercept + self.hole * hole + self.suffix * suffix + self.place * place;
        1.0 / (1.0 + (-odds).exp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(text: &str, score: f32) -> Candidate {
        Candidate {
            text: text.to_owned(),
            tokens: 1,
            score,
            log_prob_hole: 0.0,
            log_prob_suffix: 0.0,
            confidence: None,
            entropy_mean: 0.0,
            origin: Origin::Noise,
            steps: 1,
            settled: true,
        }
    }

    #[test]
    fn every_author_counts_once_at_its_best_place() {
        let mut authors = Authors::default();
        authors.note(Origin::Earlier, 1, "a");
        authors.note(Origin::Noise, 3, "a");
        authors.note(Origin::Noise, 0, "a");
        authors.note(Origin::Causal, 0, "b");
        let ranking = Ranking { earlier: 8.0, causal: 3.0, canvas: 4.0, confidence: None };
        let mut candidates = [candidate("a", -10.0), candidate("b", -10.0), candidate("c", -10.0)];
        authors.reward(&ranking, &mut candidates);
        assert_eq!(candidates.map(|c| c.score), [-2.0, -7.0, -10.0]);
    }

    #[test]
    fn without_weights_a_score_is_what_it_was() {
        let mut authors = Authors::default();
        authors.note(Origin::Earlier, 0, "a");
        let mut candidates = [candidate("a", -10.0)];
        authors.reward(&Ranking::default(), &mut candidates);
        assert!((candidates[0].score + 10.0).abs() < f32::EPSILON);
        assert_eq!(candidates[0].confidence, None);
    }

    #[test]
    fn the_confidence_is_a_logistic_model_of_what_is_known() {
        let mut authors = Authors::default();
        authors.note(Origin::Earlier, 1, "a");
        let confidence = Some(Confidence { intercept: -2.0, hole: 0.1, suffix: 0.05, place: 0.5 });
        let ranking = Ranking { earlier: 8.0, confidence, ..Ranking::default() };
        let known = Candidate { log_prob_hole: -5.0, log_prob_suffix: -10.0, ..candidate("a", 0.0) };
        let mut candidates = [known, candidate("b", 0.0)];
        authors.reward(&ranking, &mut candidates);
        let stated = candidates.map(|c| c.confidence.unwrap_or(f32::NAN));
        // Log-odds -2 - 0.5 - 0.5 + 2 and -2.
        assert!((stated[0] - 0.268_941).abs() < 1e-5 && (stated[1] - 0.119_203).abs() < 1e-5, "{stated:?}");
    }
}
