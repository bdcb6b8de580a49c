//! Presets: how much work a request is worth when the caller does not say.

use lacuna_engine::{Preset, Sampling};

/// Resolved amounts for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Effort {
    /// Most denoising steps a block.
    pub steps: usize,
    /// Hole lengths tried.
    pub lengths: usize,
    /// Candidates returned at most.
    pub candidates: usize,
}

/// What `sampling` asks for; `steps_max` is the checkpoint's own limit (`generation_config.json`).
pub(crate) fn effort(sampling: &Sampling, steps_max: usize) -> Effort {
    let (share, lengths) = match sampling.preset {
        Preset::Fast => (6, 2),
        Preset::Balanced => (3, 4),
        Preset::Thorough => (1, 8),
    };
    let candidates = sampling.candidates.unwrap_or(lengths);
    Effort {
        steps: sampling.steps.unwrap_or_else(|| (steps_max / share).max(1)),
        lengths: lengths.max(sampling.candidates.unwrap_or(0).min(8)),
        candidates,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_caller_names_wins_over_the_preset() {
        let sampling = Sampling { steps: Some(3), candidates: Some(1), ..Sampling::default() };
        assert_eq!(effort(&sampling, 48), Effort { steps: 3, lengths: 4, candidates: 1 });
        let fast = Sampling { preset: Preset::Fast, ..Sampling::default() };
        assert_eq!(effort(&fast, 48), Effort { steps: 8, lengths: 2, candidates: 2 });
        assert_eq!(effort(&fast, 1).steps, 1);
    }
}
