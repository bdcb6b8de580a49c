//! How long is the hole? The distribution that a blank token gives, and a grid where there is none.

use lacuna_engine::HoleKind;

/// Lengths to denoise, most probable first.
///
/// `blank[i]` is p(blank at row i) on a canvas whose hole is all noise. Read as a hazard (the content, not having ended
/// before, ends here) it gives P(length = n) ∝ blank\[n\] · Π(i < n) (1 − blank\[i\]); how the checkpoint was trained makes
/// it one, see `model/training/README.md`. What survives the last row is "longer": the bucket's own length.
pub(crate) fn from_blanks(blank: &[f32], length_max: usize, count: usize) -> Vec<usize> {
    let mut mass = Vec::with_capacity(blank.len() + 1);
    let mut survived = 1.0_f32;
    for (length, &ends) in blank.iter().enumerate() {
        let ends = ends.clamp(0.0, 1.0);
        mass.push((length, survived * ends));
        survived *= 1.0 - ends;
    }
    mass.push((blank.len(), survived));
    mass.retain(|&(length, _)| (1..=length_max).contains(&length));
    mass.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    mass.truncate(count.max(1));
    mass.into_iter().map(|(length, _)| length).collect()
}

/// Lengths to try when the model cannot say one, spread so that neighbours differ by about half.
pub(crate) fn grid(kind: HoleKind, length_max: usize, count: usize) -> Vec<usize> {
    let spread: &[usize] = match kind {
        HoleKind::Span => &[3, 6, 2, 10, 4, 15, 1, 22],
        HoleKind::Line => &[8, 5, 12, 3, 18, 26, 2, 36],
        HoleKind::Lines => &[24, 36, 16, 48, 64, 10, 96, 128],
        HoleKind::Body => &[48, 32, 80, 20, 120, 160, 12, 220],
    };
    let mut lengths: Vec<usize> = spread.iter().map(|&length| length.clamp(1, length_max.max(1))).collect();
    let mut seen = Vec::new();
    lengths.retain(|length| !seen.contains(length) && { seen.push(*length); true });
    lengths.truncate(count.max(1));
    lengths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_blank_curve_is_a_hazard() {
        // Lengths 1, 2, 3, 4 (longer): .2, .8·.75 = .6, .2·.5 = .1, .1.
        assert_eq!(from_blanks(&[0.0, 0.2, 0.75, 0.5], 8, 3), [2, 1, 3]);
    }

    #[test]
    fn an_empty_hole_is_no_candidate() {
        assert_eq!(from_blanks(&[0.9, 0.0, 0.5], 8, 1), [2]);
    }

    #[test]
    fn lengths_stay_within_the_canvas_and_do_not_repeat() {
        assert_eq!(grid(HoleKind::Line, 6, 8), [6, 5, 3, 2]);
        assert!(grid(HoleKind::Body, 40, 4).iter().all(|&length| length <= 40));
        assert_eq!(from_blanks(&[0.0; 4], 3, 4).len(), 3);
    }
}
