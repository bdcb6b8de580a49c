//! How long is the hole? The distribution that a blank token gives, and a grid where there is none.

use lacuna_engine::HoleKind;

/// Lengths to denoise, most probable first, from one curve a bucket (ascending).
///
/// `curve[i]` is p(blank at row i) on a canvas whose hole is all noise. Read as a hazard (the content, not having ended
/// before, ends here) it gives P(length = n) ∝ curve\[n\] · Π(i < n) (1 − curve\[i\]) for 1 ≤ n < bucket; how the checkpoint
/// was trained makes it one, see `model/training/README.md`. A smaller bucket leaves more suffix in view: where it
/// speaks, the two opinions are averaged geometrically.
pub(crate) fn from_blanks(curves: &[Vec<f32>], length_max: usize, count: usize) -> Vec<usize> {
    let mut curves = curves.iter().rev();
    let Some(largest) = curves.next() else { return vec![length_max.max(1)] };
    let mut log = log_lengths(largest);
    for curve in curves {
        let near = log_lengths(curve);
        let share = log_sum(&log[..near.len()]);
        for (log, near) in log.iter_mut().zip(&near) {
            *log = f64::midpoint(*log, near + share);
        }
    }
    let mut order: Vec<usize> = (1..log.len()).filter(|&length| length <= length_max).collect();
    order.sort_by(|&a, &b| log[b].total_cmp(&log[a]));
    order.truncate(count.max(1));
    if order.is_empty() { vec![length_max.max(1)] } else { order }
}

/// ln P(length = n) for n in 0..bucket, normalised; length 0 is no candidate.
fn log_lengths(curve: &[f32]) -> Vec<f64> {
    let mut log = vec![f64::NEG_INFINITY; curve.len()];
    let mut survived = 0.0;
    for (length, &ends) in curve.iter().enumerate() {
        let ends = f64::from(ends).clamp(1e-9, 1.0 - 1e-9);
        if length > 0 {
            log[length] = survived + ends.ln();
            survived += (1.0 - ends).ln();
        }
    }
    let total = log_sum(&log);
    log.iter_mut().for_each(|value| *value -= total);
    log
}

fn log_sum(log: &[f64]) -> f64 {
    let max = log.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if max == f64::NEG_INFINITY {
        0.0
    } else {
        max + log.iter().map(|value| (value - max).exp()).sum::<f64>().ln()
    }
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
    lengths.retain(|length| {
        !seen.contains(length) && {
            seen.push(*length);
            true
        }
    });
    lengths.truncate(count.max(1));
    lengths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_blank_curve_is_a_hazard() {
        // Lengths 1, 2, 3: .2, .8·.75 = .6, .2·.5 = .1.
        assert_eq!(from_blanks(&[vec![0.0, 0.2, 0.75, 0.5]], 8, 3), [2, 1, 3]);
    }

    #[test]
    fn an_empty_hole_is_no_candidate() {
        assert_eq!(from_blanks(&[vec![0.99, 0.01, 0.5]], 8, 1), [2]);
    }

    #[test]
    fn a_smaller_bucket_has_its_say_where_it_speaks() {
        let (small, large) = (vec![0.0, 0.9, 0.5], vec![0.0, 0.4, 0.6, 0.5]);
        assert_eq!(from_blanks(std::slice::from_ref(&large), 8, 1), [1], "0.4 against 0.36");
        let order = from_blanks(&[small, large], 8, 3);
        assert_eq!(order[0], 1);
        assert_eq!(order.len(), 3);
    }

    #[test]
    fn lengths_stay_within_the_canvas_and_do_not_repeat() {
        assert_eq!(grid(HoleKind::Line, 6, 8), [6, 5, 3, 2]);
        assert!(grid(HoleKind::Body, 40, 4).iter().all(|&length| length <= 40));
        assert_eq!(from_blanks(&[vec![0.0; 4]], 2, 4).len(), 2);
    }
}
