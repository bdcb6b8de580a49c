//! Routing, grouping, and the experts' products.

use lacuna_kernels::device::ops::{
    self, Dtype, ExpertsDown, ExpertsGateUp, Groups, Router, Rows, Weight, WeightDtype,
};

use crate::matmul::twin;
use crate::support::*;

/// As the diffusion crate's `top`: the highest scores, ties to the lower index, softmax over the chosen.
fn top_of(scores: &[f32], count: usize) -> Vec<(usize, f32)> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    order.truncate(count);
    let powers: Vec<f32> = order.iter().map(|&e| (scores[e] - scores[order[0]]).exp()).collect();
    let total: f32 = powers.iter().sum();
    order.into_iter().zip(powers).map(|(e, p)| (e, p / total)).collect()
}

#[test]
fn routing_picks_the_best_and_shares_among_them() {
    for device in devices() {
        let shapes = [(1, 32, 1, 1), (5, 64, 6, 2), (9, 96, 128, 8), (4, 40, 33, 33), (70, 200, 70, 3)];
        for ((rows, hidden, experts, top), with_scratch) in
            shapes.into_iter().flat_map(|s| [(s, false), (s, true)])
        {
            let (x, scale) = (scaled(1, rows * hidden, 2.0), numbers(2, hidden));
            let (proj, per_expert) = (numbers(3, experts * hidden), numbers(4, experts));
            let [b_x, b_scale, b_proj, b_per] =
                [&x, &scale, &proj, &per_expert].map(|v| upload(&device, v, Dtype::F32));
            let (ids, weights) =
                (poisoned(&device, rows * top, Dtype::F32), poisoned(&device, rows * top, Dtype::F32));
            let router = Router {
                scale: b_scale.all(),
                eps: 1e-6,
                proj: Weight::new(&b_proj, WeightDtype::F32, experts, hidden).unwrap(),
                per_expert: b_per.all(),
                top,
            };
            let view = Rows::new(&b_x, Dtype::F32, rows, hidden).unwrap();
            let scratch = device.alloc(ops::route_scratch_bytes(&device, rows, router.proj)).unwrap();
            let scratch = with_scratch.then(|| scratch.all());
            ops::route_in(&device, view, &router, (ids.all(), weights.all()), scratch).unwrap();
            let mut normed = vec![0.0; x.len()];
            lacuna_kernels::rms_norm(&x, Some(&scale), 1e-6, hidden, &mut normed);
            let scores = twin(&normed, &proj, (rows, experts, hidden));
            let want: Vec<(usize, f32)> = scores.chunks(experts).flat_map(|row| top_of(row, top)).collect();
            let got: Vec<u32> = ids.download_vec(0, rows * top).unwrap();
            assert_eq!(got, want.iter().map(|w| w.0 as u32).collect::<Vec<_>>());
            let want: Vec<f32> = want.iter().map(|w| w.1 * per_expert[w.0]).collect();
            assert_close(&read(&weights, rows * top, Dtype::F32), &want, 1e-4, "weights");
        }
    }
}

#[test]
fn grouping_is_a_stable_sort() {
    for device in devices() {
        for (slots, experts) in [(1, 1), (7, 3), (100, 128), (1000, 5), (3000, 300), (16384, 128)] {
            let ids: Vec<u32> = numbers(9, slots).iter().map(|x| ((x * x) * experts as f32) as u32).collect();
            let buffer = device.buffer_of(&ids).unwrap();
            let groups = Groups::new(&device, experts, slots + 3).unwrap();
            ops::group(&device, buffer.all(), slots, &groups).unwrap();
            let mut want: Vec<u32> = (0..slots as u32).collect();
            want.sort_by_key(|&slot| ids[slot as usize]);
            assert_eq!(groups.slots().download_vec::<u32>(0, slots).unwrap(), want, "{slots} in {experts}");
        }
    }
}

#[test]
fn the_experts_products_match_the_twin() {
    for device in devices() {
        for (rows, hidden, width, experts, top) in [
            (3, 64, 32, 4, 2),
            (40, 96, 64, 3, 1),
            (70, 128, 96, 9, 4),
            (90, 64, 64, 2, 1),
            (60, 64, 32, 70, 3),
        ] {
            let slots = rows * top;
            let ids: Vec<u32> = (0..slots).map(|s| ((s / top * 7 + s % top) % experts) as u32).collect();
            let a = numbers(1, rows * hidden);
            let gate_up = scaled(2, experts * 2 * width * hidden, 0.3);
            let down = scaled(3, experts * hidden * width, 0.3);
            let shares = numbers(4, slots);
            for (weight, dtype) in WEIGHT_DTYPES.into_iter().flat_map(|w| DTYPES.map(|d| (w, d))) {
                let (up, dn) = (quantise(&gate_up, weight), quantise(&down, weight));
                let [b_up, b_dn] = [&up, &dn].map(|w| device.buffer_of(&w.bytes).unwrap());
                let (b_a, b_ids) = (upload(&device, &a, dtype), device.buffer_of(&ids).unwrap());
                let b_shares = upload(&device, &shares, Dtype::F32);
                let groups = Groups::new(&device, experts, slots).unwrap();
                ops::group(&device, b_ids.all(), slots, &groups).unwrap();
                let mid = poisoned(&device, slots * width, dtype);
                let mid_rows = Rows::new(&mid, dtype, slots, width).unwrap();
                let job = ExpertsGateUp {
                    a: Rows::new(&b_a, dtype, rows, hidden).unwrap(),
                    groups: &groups,
                    top,
                    weight: Weight::new(&b_up, weight, experts * 2 * width, hidden).unwrap(),
                    out: mid_rows,
                };
                ops::experts_gate_up(&device, &job).unwrap();
                let out = poisoned(&device, rows * hidden, Dtype::F32);
                let scratch = poisoned(&device, slots * hidden, Dtype::F32);
                let job = ExpertsDown {
                    a: mid_rows,
                    groups: &groups,
                    weight: Weight::new(&b_dn, weight, experts * hidden, width).unwrap(),
                    weights: b_shares.all(),
                    scratch: scratch.all(),
                    out: Rows::new(&out, Dtype::F32, rows, hidden).unwrap(),
                };
                ops::experts_down(&device, &job).unwrap();
                let (mut want_mid, mut want) = (Vec::new(), vec![0.0; rows * hidden]);
                let a = rounded(&a, dtype);
                for slot in 0..slots {
                    let (row, e) = (slot / top, ids[slot] as usize);
                    let w = &up.values[e * 2 * width * hidden..][..2 * width * hidden];
                    let joint = twin(&a[row * hidden..][..hidden], w, (1, 2 * width, hidden));
                    let mut active = vec![0.0; width];
                    lacuna_kernels::gelu_tanh_mul_joint(&joint, width, &mut active);
                    let active = rounded(&active, dtype);
                    let w = &dn.values[e * hidden * width..][..hidden * width];
                    let part = twin(&active, w, (1, hidden, width));
                    lacuna_kernels::scale_add(&mut want[row * hidden..][..hidden], &part, shares[slot]);
                    want_mid.extend(active);
                }
                let what = format!("{rows} rows, {experts} experts, {weight:?} {dtype:?}");
                // A sum that rounds to the neighbouring bf16 is one of its last bits off.
                let bound = if dtype == Dtype::F32 { 1e-4 } else { 1e-2 };
                assert_close(&read(&mid, slots * width, dtype), &want_mid, bound, &what);
                assert_close(&read(&out, rows * hidden, Dtype::F32), &want, bound, &what);
            }
        }
    }
}
