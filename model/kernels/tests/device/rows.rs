//! Embedding, norms, residual sums, the gated activation, copies.

use lacuna_kernels::device::ops::{self, Branches, Dtype, Residual, Rows, Weight};

use crate::support::*;

const EPS: f32 = 1e-6;

fn normed(x: &[f32], weight: Option<&[f32]>, cols: usize) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    lacuna_kernels::rms_norm(x, weight, EPS, cols, &mut out);
    out
}

#[test]
fn embedding_takes_rows_of_every_kind_of_table() {
    let (vocabulary, cols, ids) = (11, 96, [3_u32, 0, 10, 3]);
    let table = scaled(1, vocabulary * cols, 2.0);
    for device in devices() {
        for weight in WEIGHT_DTYPES {
            for dtype in DTYPES {
                let stored = quantise(&table, weight);
                let bytes = device.buffer_of(&stored.bytes).unwrap();
                let at = device.buffer_of(&ids).unwrap();
                let to = device.buffer_of(&[5_u32, 1, 0, 2]).unwrap();
                let out = poisoned(&device, 6 * (cols + 3), dtype);
                let rows = Rows::new(&out, dtype, 6, cols + 3).unwrap().columns(1, cols).unwrap();
                let table = Weight::new(&bytes, weight, vocabulary, cols).unwrap();
                ops::embed(&device, (at.all(), 4), table, 1.5, (rows, Some(to.all()))).unwrap();
                let got = read(&out, 6 * (cols + 3), dtype);
                for (row, id) in [(5, 3), (1, 0), (0, 10), (2, 3)] {
                    let want: Vec<f32> = stored.values[id * cols..][..cols].iter().map(|x| x * 1.5).collect();
                    let got = &got[row * (cols + 3) + 1..][..cols];
                    assert_close(
                        got,
                        &rounded(&want, dtype),
                        1e-6,
                        &format!("{weight:?} {dtype:?} row {row}"),
                    );
                }
                assert!(
                    got[3 * (cols + 3)..5 * (cols + 3)].iter().all(|x| x.is_nan()),
                    "rows nobody asked for"
                );
            }
        }
    }
}

#[test]
fn norms_match_the_twin() {
    for device in devices() {
        for (rows, cols) in [(1, 1), (3, 16), (2, 100), (5, 257), (2, 1024)] {
            let (x, weight) = (scaled(2, rows * cols, 3.0), numbers(3, cols));
            for dtype in DTYPES {
                for with in [None, Some(&weight)] {
                    let (input, out) =
                        (upload(&device, &x, Dtype::F32), poisoned(&device, rows * cols, dtype));
                    let weights = with.map(|w| upload(&device, w, Dtype::F32));
                    let view = Rows::new(&input, Dtype::F32, rows, cols).unwrap();
                    let to = Rows::new(&out, dtype, rows, cols).unwrap();
                    ops::rms_norm(&device, view, weights.as_ref().map(|w| w.all()), EPS, to).unwrap();
                    let want = normed(&x, with.map(Vec::as_slice), cols);
                    let what = format!("{rows}×{cols} {dtype:?}");
                    assert_close(&read(&out, rows * cols, dtype), &want, tolerance(dtype), &what);
                }
            }
        }
    }
}

#[test]
fn a_residual_sum_of_one_and_of_two_branches() {
    for device in devices() {
        for (rows, cols) in [(2, 32), (3, 300)] {
            let n = rows * cols;
            let (x, y, y2) = (scaled(4, n, 2.0), scaled(5, n, 3.0), scaled(6, n, 0.5));
            let weights: Vec<Vec<f32>> = (7..12).map(|seed| numbers(seed, cols)).collect();
            for two in [false, true] {
                let buffers: Vec<_> = [&x, &y, &y2].map(|v| upload(&device, v, Dtype::F32)).into();
                let w: Vec<_> = weights.iter().map(|w| upload(&device, w, Dtype::F32)).collect();
                let view = |i: usize| Rows::new(&buffers[i], Dtype::F32, rows, cols).unwrap();
                let (a, b) = (poisoned(&device, n, Dtype::Bf16), poisoned(&device, n, Dtype::F32));
                let branches = if two {
                    Branches::Two([(view(1), w[0].all()), (view(2), w[1].all())])
                } else {
                    Branches::One(view(1))
                };
                let job = Residual {
                    x: view(0),
                    branches,
                    post: w[2].all(),
                    eps: EPS,
                    scale: 0.75,
                    norms: [
                        Some((Some(w[3].all()), Rows::new(&a, Dtype::Bf16, rows, cols).unwrap())),
                        Some((None, Rows::new(&b, Dtype::F32, rows, cols).unwrap())),
                    ],
                };
                ops::residual(&device, &job).unwrap();
                let mut branch = y.clone();
                if two {
                    branch = normed(&y, Some(&weights[0]), cols);
                    lacuna_kernels::add(&mut branch, &normed(&y2, Some(&weights[1]), cols));
                }
                let mut want = x.clone();
                lacuna_kernels::add(&mut want, &normed(&branch, Some(&weights[2]), cols));
                lacuna_kernels::scale(&mut want, 0.75);
                assert_close(&read(&buffers[0], n, Dtype::F32), &want, 3e-5, "the stream");
                let norm = normed(&want, Some(&weights[3]), cols);
                assert_close(&read(&a, n, Dtype::Bf16), &norm, 5e-3, "the first norm");
                assert_close(&read(&b, n, Dtype::F32), &normed(&want, None, cols), 3e-5, "the second norm");
            }
        }
    }
}

#[test]
fn sums_activations_and_copies() {
    let (rows, cols) = (3, 70);
    let (x, y) = (scaled(12, rows * cols, 4.0), numbers(13, rows * cols));
    for device in devices() {
        let (a, b) = (upload(&device, &x, Dtype::F32), upload(&device, &y, Dtype::F32));
        let view = |buffer| Rows::new(buffer, Dtype::F32, rows, cols).unwrap();
        ops::add_scaled(&device, view(&a), view(&b), -2.5).unwrap();
        let mut want = x.clone();
        lacuna_kernels::scale_add(&mut want, &y, -2.5);
        assert_close(&read(&a, rows * cols, Dtype::F32), &want, 1e-6, "sum");
        for dtype in DTYPES {
            let input = upload(&device, &x, dtype);
            let out = poisoned(&device, rows * 35, Dtype::F32);
            let joint = Rows::new(&input, dtype, rows, cols).unwrap();
            ops::gated(&device, joint, Rows::new(&out, Dtype::F32, rows, 35).unwrap()).unwrap();
            let mut want = vec![0.0; rows * 35];
            lacuna_kernels::gelu_tanh_mul_joint(&rounded(&x, dtype), 35, &mut want);
            assert_close(&read(&out, rows * 35, Dtype::F32), &want, 3e-6, "gated");
            let from = device.buffer_of(&[2_u32, 0]).unwrap();
            let out = poisoned(&device, 2 * cols, Dtype::Bf16);
            ops::gather(&device, joint, from.all(), Rows::new(&out, Dtype::Bf16, 2, cols).unwrap()).unwrap();
            let want = rounded(&[&x[2 * cols..], &x[..cols]].concat(), Dtype::Bf16);
            assert_eq!(read(&out, 2 * cols, Dtype::Bf16), want, "gathered");
        }
    }
}
