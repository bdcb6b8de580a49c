//! Packed products against a naive `f64` twin: every instruction set, both precisions, sizes that fit nothing.

mod common;

use common::{assert_close, assert_same_bits, each_isa, in_pools, numbers, scaled};
use half::{bf16, f16};
use lacuna_kernels::{Isa, PackedWeight, Precision, WeightView, matmul};

/// `x · Wᵀ` in f64, over values rounded as `precision` rounds them.
fn twin(x: &[f32], w: &[f32], (rows, depth, out): (usize, usize, usize), precision: Precision) -> Vec<f64> {
    let round = |v: f32| match precision {
        Precision::F32 => f64::from(v),
        Precision::Bf16 => bf16::from_f32(v).to_f64(),
    };
    let mut y = vec![0.0; rows * out];
    for r in 0..rows {
        for o in 0..out {
            y[r * out + o] = (0..depth).map(|k| round(x[r * depth + k]) * round(w[o * depth + k])).sum();
        }
    }
    y
}

fn product(x: &[f32], rows: usize, weight: &PackedWeight) -> Vec<f32> {
    let mut y = vec![f32::NAN; rows * weight.out()];
    matmul(x, rows, weight, &mut y);
    y
}

#[test]
fn every_path_matches_the_twin_at_odd_sizes() {
    for (rows, depth, out) in [
        (1, 1, 1),
        (1, 37, 70),
        (3, 64, 64),
        (5, 129, 191),
        (7, 256, 16),
        (64, 100, 130),
        (257, 33, 65),
        (2, 515, 333),
    ] {
        let (x, w) = (numbers(1, rows * depth), numbers(2, out * depth));
        for precision in [Precision::F32, Precision::Bf16] {
            let want = twin(&x, &w, (rows, depth, out), precision);
            let packed = PackedWeight::pack(WeightView::F32(&w), out, depth, precision);
            each_isa(|isa| {
                let what = format!("{rows}x{depth}x{out} {precision:?} {}", isa.name());
                assert_close(&product(&x, rows, &packed), &want, 2e-5, &what);
            });
        }
    }
}

#[test]
fn empty_shapes_are_fine() {
    let packed = PackedWeight::pack(WeightView::F32(&[]), 0, 5, Precision::F32);
    assert!(product(&numbers(1, 10), 2, &packed).is_empty());
    let packed = PackedWeight::pack(WeightView::F32(&[]), 3, 0, Precision::Bf16);
    assert_eq!(product(&[], 2, &packed), [0.0; 6]);
    let packed = PackedWeight::pack(WeightView::F32(&numbers(1, 6)), 3, 2, Precision::F32);
    assert!(product(&[], 0, &packed).is_empty());
}

#[test]
fn orientations_dtypes_and_joints_agree() {
    let (rows, depth, out) = (9, 45, 77);
    let x = numbers(3, rows * depth);
    // Values that every stored type holds exactly.
    let w: Vec<f32> = numbers(4, out * depth).into_iter().map(|v| (v * 64.0).round() / 64.0).collect();
    let transposed: Vec<f32> = (0..depth * out).map(|i| w[i % out * depth + i / out]).collect();
    let bf: Vec<bf16> = w.iter().map(|&v| bf16::from_f32(v)).collect();
    let fp: Vec<f16> = w.iter().map(|&v| f16::from_f32(v)).collect();
    for precision in [Precision::F32, Precision::Bf16] {
        let want = product(&x, rows, &PackedWeight::pack(WeightView::F32(&w), out, depth, precision));
        let split = 30 * depth;
        let joint = [(WeightView::F32(&w[..split]), 30), (WeightView::Bf16(&bf[split..]), out - 30)];
        for packed in [
            PackedWeight::pack(WeightView::Bf16(&bf), out, depth, precision),
            PackedWeight::pack(WeightView::F16(&fp), out, depth, precision),
            PackedWeight::pack_transposed(WeightView::F32(&transposed), depth, out, precision),
            PackedWeight::pack_joint(&joint, depth, precision),
        ] {
            assert_eq!((packed.out(), packed.depth(), packed.precision()), (out, depth, precision));
            assert_same_bits(&product(&x, rows, &packed), &want, "packed another way");
        }
    }
}

#[test]
fn a_row_has_the_same_bits_in_any_batch_and_any_pool() {
    let (rows, depth, out) = (257, 200, 150);
    let (x, w) = (numbers(5, rows * depth), numbers(6, out * depth));
    for precision in [Precision::F32, Precision::Bf16] {
        let packed = PackedWeight::pack(WeightView::F32(&w), out, depth, precision);
        each_isa(|isa| {
            let all = product(&x, rows, &packed);
            for (first, count) in [(0, 1), (100, 1), (3, 8), (40, 64), (255, 2)] {
                let some = product(&x[first * depth..][..count * depth], count, &packed);
                assert_same_bits(&some, &all[first * out..][..count * out], "a part of the batch");
            }
            for pooled in in_pools(|| isa.with(|| product(&x, rows, &packed))) {
                assert_same_bits(&pooled, &all, "another pool");
            }
        });
    }
}

#[test]
fn bf16_rounds_to_nearest_even_and_keeps_nan_and_infinity() {
    let one = PackedWeight::pack(WeightView::F32(&[1.0]), 1, 1, Precision::Bf16);
    let x = [1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.3];
    each_isa(|isa| {
        let y = product(&x, x.len(), &one);
        for (x, y) in x.iter().zip(y) {
            let want = bf16::from_f32(*x).to_f32();
            assert!(y == want || y.is_nan() && want.is_nan(), "{x} became {y} with {}", isa.name());
        }
    });
}

#[test]
fn large_values_do_not_disturb_their_neighbours() {
    let (rows, depth, out) = (3, 40, 70);
    let (mut x, w) = (scaled(7, rows * depth, 1e4), numbers(8, out * depth));
    x[depth + 5] = f32::NAN;
    let packed = PackedWeight::pack(WeightView::F32(&w), out, depth, Precision::F32);
    let want = twin(&x, &w, (rows, depth, out), Precision::F32);
    each_isa(|isa| {
        let y = product(&x, rows, &packed);
        assert!(y[out..2 * out].iter().all(|y| y.is_nan()), "{}", isa.name());
        assert_close(&y[..out], &want[..out], 1e-2, "row 0");
        assert_close(&y[2 * out..], &want[2 * out..], 1e-2, "row 2");
    });
}

#[test]
fn the_detected_instruction_set_is_the_last_supported_one() {
    assert_eq!(Isa::supported().last(), Some(&Isa::detect()));
    assert_eq!(Isa::supported().first(), Some(&Isa::Portable));
    Isa::Portable.with(|| assert_eq!(Precision::best(), Precision::F32));
}
