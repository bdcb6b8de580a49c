//! Softmax, row statistics and the soft embedding against `f64` twins, at their extremes too.

mod common;

use common::{assert_close, assert_same_bits, each_isa, in_pools, numbers, scaled};
use half::bf16;
use lacuna_kernels::{
    PackedWeight, Precision, WeightView, log_softmax_at, matmul, row_stats, row_stats_all,
    soft_embedding_sparse, softmax_rows,
};

/// Softmax of `row / t` in f64; zeros if nothing is finite.
fn softmax(row: &[f32], t: f32) -> Vec<f64> {
    let z: Vec<f64> = row.iter().map(|&x| f64::from(x) / f64::from(t)).collect();
    let top = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if top == f64::NEG_INFINITY {
        return vec![0.0; row.len()];
    }
    let sum: f64 = z.iter().map(|z| (z - top).exp()).sum();
    z.iter().map(|z| (z - top).exp() / sum).collect()
}

/// Rows that have broken softmaxes before.
fn extremes() -> Vec<Vec<f32>> {
    let mut masked = scaled(2, 200, 5.0);
    masked.iter_mut().step_by(3).for_each(|x| *x = f32::NEG_INFINITY);
    let mut single = vec![f32::NEG_INFINITY; 50];
    single[37] = -3.0;
    vec![
        vec![1.0],
        vec![2.5; 129],
        scaled(1, 4099, 30.0),
        scaled(3, 77, 1e4),
        vec![1e4, -1e4, 9999.0, 1e4, 0.0],
        masked,
        single,
        vec![f32::NEG_INFINITY; 20],
        vec![1e38, -1e38, 0.0],
    ]
}

#[test]
fn softmax_matches_its_twin() {
    for row in extremes() {
        for t in [1.0, 0.4, 7.0] {
            let want = softmax(&row, t);
            each_isa(|isa| {
                let mut p = row.clone();
                let len = p.len();
                softmax_rows(&mut p, len, t);
                assert_close(&p, &want, 3e-6, &format!("{} at {t}, {} long", isa.name(), row.len()));
                assert!(p.iter().zip(&row).all(|(&p, &x)| x > f32::NEG_INFINITY || p == 0.0));
            });
        }
    }
}

#[test]
fn a_nan_spoils_its_row_only() {
    each_isa(|_| {
        let mut x = numbers(1, 60);
        x[25] = f32::NAN;
        softmax_rows(&mut x, 20, 1.0);
        assert!(x[20..40].iter().all(|p| p.is_nan()));
        assert!(x[..20].iter().chain(&x[40..]).all(|p| p.is_finite()));
    });
}

#[test]
fn statistics_match_their_twin() {
    for row in extremes() {
        for t in [1.0, 0.4] {
            let p = softmax(&row, t);
            let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let argmax = row.iter().position(|&x| x == top).unwrap_or(0);
            let entropy: f64 = p.iter().map(|&p| if p > 0.0 { -p * p.ln() } else { 0.0 }).sum();
            let max = f64::from(top) / f64::from(t);
            let lse = max - p[argmax].ln();
            each_isa(|isa| {
                let stats = row_stats(&row, t);
                assert_eq!(stats.argmax, argmax, "{}", isa.name());
                if top == f32::NEG_INFINITY {
                    assert_eq!((stats.max, stats.log_sum_exp, stats.entropy), (top, top, 0.0));
                } else {
                    assert_close(&[stats.max, stats.log_sum_exp], &[max, lse], 2e-6, isa.name());
                    assert_close(&[stats.entropy], &[entropy], 1e-5, isa.name());
                }
            });
        }
    }
}

#[test]
fn statistics_are_those_of_the_row_in_any_batch_and_pool() {
    let (rows, vocabulary) = (64, 1003);
    let logits = scaled(9, rows * vocabulary, 20.0);
    each_isa(|isa| {
        let single: Vec<_> = logits.chunks_exact(vocabulary).map(|row| row_stats(row, 0.7)).collect();
        for pooled in in_pools(|| isa.with(|| row_stats_all(&logits, vocabulary, 0.7))) {
            assert_eq!(pooled, single);
        }
    });
}

#[test]
fn nan_and_infinity_show_in_the_statistics() {
    each_isa(|_| {
        let mut row = numbers(1, 40);
        row[11] = f32::INFINITY;
        assert!(row_stats(&row, 1.0).log_sum_exp.is_nan());
        row[21] = f32::NAN;
        let stats = row_stats(&row, 1.0);
        assert!(stats.argmax == 21 && stats.log_sum_exp.is_nan() && stats.entropy.is_nan(), "{stats:?}");
        let mut masked = [f32::NEG_INFINITY; 5];
        masked[3] = f32::NAN;
        assert!(row_stats(&masked, 1.0).log_sum_exp.is_nan());
    });
}

#[test]
fn log_softmax_at_one_place() {
    for row in extremes() {
        let p = softmax(&row, 1.0);
        each_isa(|isa| {
            for (i, &p) in p.iter().enumerate().step_by(7) {
                let got = log_softmax_at(&row, i);
                if row[i] == f32::NEG_INFINITY {
                    assert_eq!(got, f32::NEG_INFINITY);
                } else if p > 1e-30 {
                    // The logarithm is a difference of numbers as large as the logits.
                    let tolerance = 1e-6 * f64::from(row[i].abs()).max(p.ln().abs()).max(1.0);
                    assert!(
                        (f64::from(got) - p.ln()).abs() <= tolerance,
                        "{got} for {} with {}",
                        p.ln(),
                        isa.name()
                    );
                }
            }
        });
    }
}

#[test]
fn the_sparse_soft_embedding_is_near_the_exact_one() {
    let (vocabulary, hidden) = (1000, 70);
    let e = numbers(10, vocabulary * hidden);
    let rounded: Vec<bf16> = e.iter().map(|&x| bf16::from_f32(x)).collect();
    let exact = PackedWeight::pack_transposed(WeightView::F32(&e), vocabulary, hidden, Precision::F32);
    for (scale, t, most) in [(1.0, 1.0, 1000), (30.0, 0.8, 400), (30.0, 0.4, 200), (1e4, 1.0, 20)] {
        let logits = scaled(11, vocabulary, scale);
        let mut p = logits.clone();
        each_isa(|isa| {
            p.copy_from_slice(&logits);
            softmax_rows(&mut p, vocabulary, t);
            let mut want = vec![0.0; hidden];
            matmul(&p, 1, &exact, &mut want);
            let want: Vec<f64> = want.into_iter().map(f64::from).collect();
            let mut got = vec![f32::NAN; hidden];
            let kept = soft_embedding_sparse(&logits, t, WeightView::F32(&e), &mut got);
            assert!(kept > 0 && kept <= most, "{kept} kept of {vocabulary} at scale {scale}");
            // What is left out is at most e^-10 of the best for each token of the vocabulary.
            assert_close(&got, &want, 3e-3, isa.name());
            let dropped = p
                .iter()
                .map(|&x| f64::from(x))
                .filter(|&x| x < 4.5e-5 * f64::from(p.iter().copied().fold(0.0, f32::max)));
            assert!(dropped.sum::<f64>() < 2e-3);
            soft_embedding_sparse(&logits, t, WeightView::Bf16(&rounded), &mut got);
            assert_close(&got, &want, 1e-2, isa.name());
        });
    }
}

#[test]
fn the_sparse_soft_embedding_at_its_extremes() {
    let e = numbers(12, 9 * 5);
    each_isa(|_| {
        let mut out = [f32::NAN; 5];
        assert_eq!(soft_embedding_sparse(&[f32::NEG_INFINITY; 9], 1.0, WeightView::F32(&e), &mut out), 0);
        assert_eq!(out, [0.0; 5]);
        let mut one = [-1e4; 9];
        one[4] = 1e4;
        assert_eq!(soft_embedding_sparse(&one, 1.0, WeightView::F32(&e), &mut out), 1);
        assert_same_bits(&out, &e[20..25], "a clamped token is its own embedding");
        one[2] = f32::NAN;
        soft_embedding_sparse(&one, 1.0, WeightView::F32(&e), &mut out);
        assert!(out.iter().all(|x| x.is_nan()));
    });
}
