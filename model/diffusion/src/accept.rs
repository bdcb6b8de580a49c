//! The sampler's two decisions, exactly as the reference makes them: what one step accepts, and when a block may end.

use std::collections::VecDeque;

/// Entropy-bound acceptance (`EntropyBoundSampler.accept_canvas`, arXiv 2505.24857).
///
/// `entropy` `[C]` f32 in nats. Positions are taken in ascending order of entropy (ties: the earlier position first) while
/// the sum of the entropies taken *before* a position stays within `bound`, so the surest one is always accepted.
/// Returns one flag a position.
#[must_use]
pub fn entropy_bound(entropy: &[f32], bound: f32) -> Vec<bool> {
    let mut order: Vec<usize> = (0..entropy.len()).collect();
    order.sort_by(|&a, &b| entropy[a].total_cmp(&entropy[b]));
    let mut accepted = vec![false; entropy.len()];
    let mut cumulative = 0.0_f64; // the reference's cumsum accumulates f32 in f64 and rounds each prefix
    for position in order {
        cumulative += f64::from(entropy[position]);
        accepted[position] = cumulative as f32 - entropy[position] <= bound;
    }
    accepted
}

/// The temperature with `remaining` of `steps` steps to go: linear from `t_max` to `t_min` as `remaining` counts down from
/// `steps` to 1.
#[must_use]
pub fn temperature(t_min: f64, t_max: f64, remaining: usize, steps: usize) -> f32 {
    (t_min + (t_max - t_min) * (remaining as f64 / steps.max(1) as f64)) as f32
}

/// The stable-and-confident rule (`StableAndConfidentStoppingCriteria`) of one canvas over one block.
#[derive(Clone, Debug)]
pub struct StopRule {
    stability: usize,
    confidence: f32,
    history: VecDeque<Vec<u32>>,
}

impl StopRule {
    /// `stability`: for how many earlier steps the argmax must have been what it is now (0: no matter);
    /// `confidence`: the mean entropy in nats that must not be reached.
    #[must_use]
    pub fn new(stability: usize, confidence: f32) -> Self {
        Self { stability, confidence, history: VecDeque::with_capacity(stability) }
    }

    /// Takes one step's argmax canvas `[C]` and entropies `[C]` (of logits / T); true where the block may end.
    pub fn observe(&mut self, argmax: &[u32], entropy: &[f32]) -> bool {
        let stable =
            self.history.len() == self.stability && self.history.iter().all(|before| before == argmax);
        if self.stability > 0 {
            if self.history.len() == self.stability {
                self.history.pop_front();
            }
            self.history.push_back(argmax.to_vec());
        }
        stable && mean(entropy) < self.confidence
    }
}

fn mean(entropy: &[f32]) -> f32 {
    (entropy.iter().map(|&e| f64::from(e)).sum::<f64>() / entropy.len() as f64) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_while_the_entropy_before_a_position_stays_within_the_bound() {
        // Sorted .01 .04 .06 .5: before each 0, .01, .05, .11.
        assert_eq!(entropy_bound(&[0.5, 0.04, 0.01, 0.06], 0.1), [false, true, true, true]);
        assert_eq!(entropy_bound(&[3.0, 2.0], 0.1), [false, true], "the surest one always");
        assert_eq!(entropy_bound(&[], 0.1), [false; 0]);
    }

    #[test]
    fn ties_go_to_the_earlier_position() {
        assert_eq!(entropy_bound(&[0.2, 0.2, 0.2], 0.1), [true, false, false]);
    }

    #[test]
    fn a_block_ends_only_when_stable_and_confident() {
        let mut rule = StopRule::new(1, 0.005);
        assert!(!rule.observe(&[1, 2], &[0.0, 0.0]), "nothing to compare with yet");
        assert!(rule.observe(&[1, 2], &[0.001, 0.001]));
        assert!(!rule.observe(&[1, 2], &[0.01, 0.01]), "stable but unsure");
        assert!(!rule.observe(&[1, 3], &[0.0, 0.0]), "sure but moved");
    }

    #[test]
    fn longer_and_absent_histories() {
        let mut two = StopRule::new(2, 1.0);
        assert!(!two.observe(&[1], &[0.0]));
        assert!(!two.observe(&[1], &[0.0]));
        assert!(two.observe(&[1], &[0.0]));
        assert!(StopRule::new(0, 1.0).observe(&[9], &[0.5]), "no stability asked for");
    }
}
