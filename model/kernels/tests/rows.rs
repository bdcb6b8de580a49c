//! Normalisation, rotation and element-wise kernels against `f64` twins.

mod common;

use common::{assert_close, assert_same_bits, each_isa, in_pools, numbers, scaled};
use lacuna_kernels::{
    RopeTables, add, gelu_tanh_mul, gelu_tanh_mul_joint, rms_norm, rope, scale, scale_add, softcap,
};

#[test]
fn rms_norm_matches_its_twin() {
    for (rows, dim) in [(1, 1), (3, 7), (5, 64), (64, 256), (2, 300), (700, 33)] {
        let (x, w) = (scaled(1, rows * dim, 3.0), numbers(2, dim));
        for weight in [None, Some(w.as_slice())] {
            let want: Vec<f64> = x
                .chunks_exact(dim)
                .flat_map(|row| {
                    let mean = row.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / dim as f64;
                    row.iter().enumerate().map(move |(i, &v)| {
                        f64::from(v) / (mean + 1e-6).sqrt() * weight.map_or(1.0, |w| f64::from(w[i]))
                    })
                })
                .collect();
            each_isa(|isa| {
                let mut out = vec![f32::NAN; x.len()];
                rms_norm(&x, weight, 1e-6, dim, &mut out);
                assert_close(&out, &want, 2e-6, &format!("{rows}x{dim} {}", isa.name()));
            });
        }
    }
}

#[test]
fn rms_norm_of_zeros_is_zero_and_a_row_stands_alone() {
    each_isa(|isa| {
        let mut x = numbers(3, 400 * 96);
        let mut want = vec![0.0; x.len()];
        rms_norm(&x, None, 1e-6, 96, &mut want);
        x[96..192].fill(0.0);
        x[200] = f32::NAN;
        for out in in_pools(|| {
            isa.with(|| {
                let mut out = vec![f32::NAN; x.len()];
                rms_norm(&x, None, 1e-6, 96, &mut out);
                out
            })
        }) {
            assert_same_bits(&out[..96], &want[..96], "row 0");
            assert!(out[96..192].iter().all(|&y| y == 0.0));
            assert!(out[192..288].iter().all(|y| y.is_nan()));
            assert_same_bits(&out[288..], &want[288..], "the other rows");
        }
    });
}

#[test]
fn rope_rotates_the_first_pairs_and_leaves_the_others() {
    let (sequences, tokens, heads) = (2, 21, 3);
    for (dim, pairs) in [(2, 1), (64, 32), (64, 8), (512, 64), (10, 3), (36, 18), (8, 0)] {
        let x = numbers(4, sequences * tokens * heads * dim);
        let angle: Vec<f64> = (0..tokens * pairs)
            .map(|i| (i / pairs) as f64 * 1e4_f64.powf(-2.0 * (i % pairs) as f64 / dim as f64))
            .collect();
        let (cos, sin): (Vec<f32>, Vec<f32>) = angle.iter().map(|a| (a.cos() as f32, a.sin() as f32)).unzip();
        let mut want: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
        for (row, head) in want.chunks_exact_mut(dim).enumerate() {
            for j in 0..pairs {
                let angle = angle[row / heads % tokens * pairs + j];
                let (a, b) = (head[j], head[j + dim / 2]);
                head[j] = a * angle.cos() - b * angle.sin();
                head[j + dim / 2] = b * angle.cos() + a * angle.sin();
            }
        }
        each_isa(|isa| {
            let mut y = x.clone();
            rope(&mut y, RopeTables { cos: &cos, sin: &sin, pairs }, heads, dim);
            assert_close(&y, &want, 1e-6, &format!("{dim}/{pairs} {}", isa.name()));
        });
    }
}

/// `0.5·g·(1 + tanh(√(2/π)(g + 0.044715 g³)))`, with `1 + tanh u` as `2 / (1 + e^-2u)`, which f64 also needs.
fn gelu(g: f32) -> f64 {
    let g = f64::from(g);
    let u = (2.0 / std::f64::consts::PI).sqrt() * (g + 0.044_715 * g * g * g);
    g / (1.0 + (-2.0 * u).exp())
}

/// The largest relative error, where the twin is a normal f32.
fn relative(got: &[f32], want: &[f64]) -> f64 {
    let normal = got.iter().zip(want).filter(|(_, w)| w.abs() > 1.2e-38);
    normal.map(|(&g, &w)| ((f64::from(g) - w) / w).abs()).fold(0.0, f64::max)
}

#[test]
fn the_gated_activation_matches_its_twin() {
    let gate: Vec<f32> =
        (-8000..8000).map(|i| i as f32 * 1e-3).chain([0.0, -0.0, 1e-30, 50.0, 1e10, -50.0]).collect();
    let up = vec![1.0; gate.len()];
    let want: Vec<f64> = gate.iter().map(|&g| gelu(g)).collect();
    each_isa(|isa| {
        let mut out = vec![f32::NAN; gate.len()];
        gelu_tanh_mul(&gate, &up, &mut out);
        assert_close(&out, &want, 1e-6, isa.name());
        // Towards negative g the rounding of the exponent shows, about |2u| ulps; torch's 1 + tanh(u) loses far more.
        let worst = relative(&out[5000..], &want[5000..]);
        assert!(worst < 2e-6, "{}: {worst}", isa.name());
        let mut nan = [0.0];
        gelu_tanh_mul(&[f32::NAN], &[1.0], &mut nan);
        assert!(nan[0].is_nan());
    });
}

#[test]
fn the_joint_activation_is_the_separate_one() {
    for (rows, width) in [(1, 5), (7, 640), (40, 33)] {
        let (gate, up) = (scaled(5, rows * width, 4.0), numbers(6, rows * width));
        let joint: Vec<f32> =
            gate.chunks(width).zip(up.chunks(width)).flat_map(|(g, u)| [g, u].concat()).collect();
        each_isa(|_| {
            let (mut a, mut b) = (vec![0.0; gate.len()], vec![1.0; gate.len()]);
            gelu_tanh_mul(&gate, &up, &mut a);
            gelu_tanh_mul_joint(&joint, width, &mut b);
            assert_same_bits(&a, &b, "joint");
        });
    }
}

#[test]
fn softcap_matches_tanh_to_one_part_in_a_million() {
    let x: Vec<f32> = (-30_000..30_000)
        .map(|i| i as f32 * 7e-3)
        .chain([1e-20, 1e-3, 18.75, 18.74, 1e4, -1e4, 1e30])
        .collect();
    let want: Vec<f64> = x.iter().map(|&v| 30.0 * (f64::from(v) / 30.0).tanh()).collect();
    each_isa(|isa| {
        let mut y = x.clone();
        softcap(&mut y, 30.0);
        assert!(relative(&y, &want) < 1e-6, "{}: {}", isa.name(), relative(&y, &want));
        let mut odd = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
        softcap(&mut odd, 30.0);
        assert!((odd[0] - 30.0).abs() < 3e-5 && odd[1] == -odd[0] && odd[2].is_nan(), "{odd:?}");
    });
}

#[test]
fn sums_and_scaling_match_in_any_pool() {
    for len in [0, 1, 15, 17, 8192, 30_001] {
        let (a, b) = (numbers(7, len), numbers(8, len));
        let want: Vec<f64> = a
            .iter()
            .zip(&b)
            .map(|(&a, &b)| (f64::from(a) + 0.3 * f64::from(b) + f64::from(b)) * 2.5)
            .collect();
        each_isa(|isa| {
            let work = || {
                let mut y = a.clone();
                scale_add(&mut y, &b, 0.3);
                add(&mut y, &b);
                scale(&mut y, 2.5);
                y
            };
            let here = work();
            assert_close(&here, &want, 1e-6, isa.name());
            for pooled in in_pools(|| isa.with(work)) {
                assert_same_bits(&pooled, &here, "another pool");
            }
        });
    }
}
