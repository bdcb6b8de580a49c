//! Products with every kind of weight, at odd sizes and strides.

use lacuna_kernels::device::Device;
use lacuna_kernels::device::ops::{self, Dtype, Product, Rows, Weight, WeightDtype};
use lacuna_kernels::{PackedWeight, Precision, WeightView};

use crate::support::*;

/// `x · wᵀ` by the CPU's kernel.
pub fn twin(x: &[f32], w: &[f32], (rows, cols, depth): (usize, usize, usize)) -> Vec<f32> {
    let packed = PackedWeight::pack(WeightView::F32(w), cols, depth, Precision::F32);
    let mut out = vec![0.0; rows * cols];
    lacuna_kernels::matmul(x, rows, &packed, &mut out);
    out
}

const SHAPES: [(usize, usize, usize); 7] =
    [(1, 1, 32), (3, 5, 64), (17, 100, 96), (64, 64, 64), (65, 130, 160), (130, 72, 320), (200, 257, 64)];

#[test]
fn every_weight_and_shape_matches_the_twin() {
    for device in devices() {
        for (rows, cols, depth) in SHAPES {
            let (x, w) = (numbers(1, rows * (depth + 8)), numbers(2, cols * depth));
            for weight in WEIGHT_DTYPES {
                let stored = quantise(&w, weight);
                let bytes = device.buffer_of(&stored.bytes).unwrap();
                for (dtype, product) in paths(&device, weight, depth) {
                    let a = upload(&device, &x, dtype);
                    let out = poisoned(&device, rows * (cols + 2), Dtype::F32);
                    let a_rows = Rows::new(&a, dtype, rows, depth + 8).unwrap().columns(8, depth).unwrap();
                    let to = Rows::new(&out, Dtype::F32, rows, cols + 2).unwrap().columns(1, cols).unwrap();
                    let view = Weight::new(&bytes, weight, cols, depth).unwrap();
                    let scratch = device.alloc(ops::matmul_scratch_bytes(&device, rows, view)).unwrap();
                    ops::matmul_in(&device, product, (a_rows, view, to), Some(scratch.all())).unwrap();
                    let x: Vec<f32> =
                        rounded(&x, dtype).chunks(depth + 8).flat_map(|row| row[8..].to_vec()).collect();
                    let want = twin(&x, &stored.values, (rows, cols, depth));
                    let got = read(&out, rows * (cols + 2), Dtype::F32);
                    let what = format!("{rows}×{cols}×{depth} {weight:?} {dtype:?} {product:?}");
                    for (got, want) in got.chunks(cols + 2).zip(want.chunks(cols)) {
                        assert_close(&got[1..=cols], want, 2e-4, &what);
                        assert!(got[0].is_nan() && got[cols + 1].is_nan(), "{what}: beside the columns");
                    }
                }
            }
        }
    }
}

/// Every kernel that takes these operands: tensor cores must take what they are documented to.
fn paths(device: &Device, weight: WeightDtype, depth: usize) -> Vec<(Dtype, Product)> {
    let mut paths =
        vec![(Dtype::F32, Product::Auto), (Dtype::Bf16, Product::Auto), (Dtype::Bf16, Product::Plain)];
    if weight == WeightDtype::Bf16 || (weight != WeightDtype::F32 && depth.is_multiple_of(64)) {
        paths.push((Dtype::Bf16, Product::Tensor));
    }
    let hopper = device.info().emulated || device.info().compute_capability == (9, 0);
    if weight == WeightDtype::Bf16 && hopper {
        paths.push((Dtype::Bf16, Product::Warpgroups));
    }
    paths
}

#[test]
fn logits_are_capped() {
    let (rows, cols, depth) = (5, 90, 64);
    let (x, w) = (scaled(3, rows * depth, 10.0), numbers(4, cols * depth));
    for device in devices() {
        let (a, b) = (upload(&device, &x, Dtype::F32), upload(&device, &w, Dtype::F32));
        let out = poisoned(&device, rows * cols, Dtype::F32);
        let table = Weight::new(&b, WeightDtype::F32, cols, depth).unwrap();
        let states = Rows::new(&a, Dtype::F32, rows, depth).unwrap();
        ops::logits(&device, states, table, 30.0, Rows::new(&out, Dtype::F32, rows, cols).unwrap()).unwrap();
        let mut want = twin(&x, &w, (rows, cols, depth));
        lacuna_kernels::softcap(&mut want, 30.0);
        assert_close(&read(&out, rows * cols, Dtype::F32), &want, 1e-4, "logits");
    }
}

#[test]
fn gate_and_up_in_one_pass() {
    for device in devices() {
        for (rows, width, depth) in [(1, 8, 64), (70, 100, 128), (64, 64, 64), (5, 72, 96)] {
            let (x, w) = (numbers(5, rows * depth), scaled(6, 2 * width * depth, 0.5));
            for (weight, dtype) in WEIGHT_DTYPES.into_iter().flat_map(|w| DTYPES.map(|d| (w, d))) {
                let stored = quantise(&w, weight);
                let (a, b) = (upload(&device, &x, dtype), device.buffer_of(&stored.bytes).unwrap());
                let out = poisoned(&device, rows * (width + 1), dtype);
                let joint = poisoned(&device, rows * 2 * width, Dtype::F32);
                let gate_up = Weight::new(&b, weight, 2 * width, depth).unwrap();
                let to = Rows::new(&out, dtype, rows, width + 1).unwrap().columns(0, width).unwrap();
                let a = Rows::new(&a, dtype, rows, depth).unwrap();
                let joint = Rows::new(&joint, Dtype::F32, rows, 2 * width).unwrap();
                ops::matmul_gated(&device, (a, gate_up, to), joint, None).unwrap();
                let sums = twin(&rounded(&x, dtype), &stored.values, (rows, 2 * width, depth));
                let mut want = vec![0.0; rows * width];
                lacuna_kernels::gelu_tanh_mul_joint(&sums, width, &mut want);
                let got = read(&out, rows * (width + 1), dtype);
                for (got, want) in got.chunks(width + 1).zip(want.chunks(width)) {
                    let what = format!("{rows}×{width}×{depth} {weight:?} {dtype:?}");
                    assert_close(&got[..width], want, tolerance(dtype), &what);
                    assert!(got[width].is_nan(), "{what}: beside the columns");
                }
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_with_the_shapes() {
    for device in devices() {
        let buffer = device.alloc(4096).unwrap();
        let a = Rows::new(&buffer, Dtype::F32, 4, 32).unwrap();
        let w = Weight::new(&buffer, WeightDtype::F32, 8, 16).unwrap();
        let error = ops::matmul(&device, a, w, a, None).unwrap_err().to_string();
        assert!(error.contains("[4, 32] · [8, 16]ᵀ"), "{error}");
        assert!(Weight::new(&buffer, WeightDtype::Q4, 8, 40).is_err(), "40 is no multiple of 32");
        assert!(Rows::new(&buffer, Dtype::F32, 33, 32).is_err(), "beyond the buffer");
    }
}
