//! Presets: how much work a request is worth when the caller does not say.

use lacuna_engine::{Preset, Sampling};

/// Resolved amounts for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Effort {
    /// Most denoising steps a block.
    pub steps: usize,
    /// Hole lengths tried; twice as many where they come from a grid.
    pub lengths: usize,
    /// Canvases denoised at least: more than lengths means several seeds of one length.
    pub canvases: usize,
    /// Whether no canvas is made where a draft is sure enough (`lacuna.drafts.enough`): nobody watches ghost text condense.
    pub spares: bool,
}

/// What `sampling` asks for; `steps_max` is the checkpoint's own limit (`generation_config.json`).
pub(crate) fn effort(sampling: &Sampling, steps_max: usize) -> Effort {
    let (quarters, lengths) = match sampling.preset {
        Preset::Fast => (2, 2),
        Preset::Balanced => (3, 4),
        Preset::Thorough => (4, 8),
    };
    Effort {
        steps: sampling.steps.unwrap_or_else(|| (steps_max * quarters).div_ceil(4).max(1)),
        lengths: lengths.max(sampling.candidates.unwrap_or(0).min(12)),
        canvases: sampling.candidates.unwrap_or(lengths),
        spares: sampling.preset == Preset::Fast
            && sampling.lengths.is_none()
            && sampling.canvases != Some(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_caller_names_wins_over_the_preset() {
        let sampling = Sampling { steps: Some(3), candidates: Some(1), ..Sampling::default() };
        assert_eq!(effort(&sampling, 48), Effort { steps: 3, lengths: 4, canvases: 1, spares: false });
        let fast = Sampling { preset: Preset::Fast, ..Sampling::default() };
        assert_eq!(effort(&fast, 16), Effort { steps: 8, lengths: 2, canvases: 2, spares: true });
        assert_eq!(effort(&fast, 1).steps, 1);
        let (lengths, canvases) = (Some(vec![4]), Some(true));
        assert!(
            !effort(&Sampling { lengths, ..fast.clone() }, 16).spares,
            "who names lengths wants canvases"
        );
        assert!(!effort(&Sampling { canvases, ..fast }, 16).spares);
    }
}
