//! The sampler's decisions, bit for bit, over many random steps. The twin here is the diffusion crate's `accept.rs`,
//! `noise.rs` and `denoise.rs` in a few lines; that crate replays whole fills on both.

use lacuna_kernels::device::ops::{self, CanvasState, Head, Sampler};

use crate::support::*;

const VOCABULARY: u32 = 1000;
const SEED: u64 = 0x1234_5678_9abc_def0;
const CAPACITY: usize = 16;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn bits(stream: u64, step: u64, position: u64, lane: u64) -> u64 {
    [stream, step, position, lane]
        .iter()
        .fold(SEED, |state, word| mix(state ^ word.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

fn accepted(entropy: &[f32], bound: f32) -> Vec<bool> {
    let mut order: Vec<usize> = (0..entropy.len()).collect();
    order.sort_by(|&a, &b| entropy[a].total_cmp(&entropy[b]));
    let (mut accepted, mut cumulative) = (vec![false; entropy.len()], 0.0_f64);
    for position in order {
        cumulative += f64::from(entropy[position]);
        accepted[position] = cumulative as f32 - entropy[position] <= bound;
    }
    accepted
}

fn sample(ids: &[u32], weights: &[f32], u: f32) -> u32 {
    let mut left = u * weights.iter().sum::<f32>();
    for (id, weight) in ids.iter().zip(weights) {
        left -= weight;
        if left < 0.0 {
            return *id;
        }
    }
    ids[ids.len() - 1]
}

/// What one canvas should be after each step.
struct Twin {
    state: CanvasState,
    history: Vec<Vec<u32>>,
    tokens: Vec<u32>,
}

impl Twin {
    fn step(&mut self, argmax: &[u32], entropy: &[f32], (ids, weights): (&[u32], &[f32])) -> Vec<bool> {
        let s = &mut self.state;
        let n = entropy.len();
        s.steps += 1;
        let flags = accepted(entropy, s.entropy_bound);
        for (i, &flag) in flags.iter().enumerate() {
            let draw = |lane| bits(s.stream, u64::from(s.steps), i as u64, lane);
            self.tokens[s.first_token as usize + i] = if !flag {
                ((u128::from(draw(0)) * u128::from(VOCABULARY)) >> 64) as u32
            } else if s.sampled == 1 {
                let own = i * CAPACITY..(i + 1) * CAPACITY;
                sample(&ids[own.clone()], &weights[own], (draw(2) >> 40) as f32 / (1 << 24) as f32)
            } else {
                argmax[i]
            };
        }
        let stability = s.stability as usize;
        let stable = self.history.len() >= stability
            && self.history.iter().rev().take(stability).all(|before| before == argmax);
        self.history.push(argmax.to_vec());
        let mean = (entropy.iter().map(|&e| f64::from(e)).sum::<f64>() / n as f64) as f32;
        s.settled = u32::from(stable && mean < s.confidence);
        flags
    }

    fn temperature(&self) -> f32 {
        let s = &self.state;
        let left = f64::from(s.steps_max - s.steps) / f64::from(s.steps_max);
        (s.t_min + (s.t_max - s.t_min) * left) as f32
    }
}

fn canvas(index: u32, hole_len: u32, stability: u32, sampled: u32) -> CanvasState {
    CanvasState {
        seed: SEED,
        stream: u64::from(index) << 33 | 5,
        t_min: 0.4,
        t_max: 0.8,
        first_row: 70 * index,
        hole_len,
        first_token: 100 * index + 3,
        steps_max: 12,
        sampled,
        stability,
        entropy_bound: 0.1,
        confidence: 0.06,
        ..CanvasState::default()
    }
}

#[test]
fn every_decision_has_the_hosts_bits() {
    for device in devices() {
        let states = [canvas(0, 70, 1, 0), canvas(1, 33, 0, 1), canvas(2, 1, 2, 1), canvas(3, 64, 30, 0)];
        let rows = 4 * 70;
        let head = Head::new(&device, rows, VOCABULARY as usize, CAPACITY).unwrap();
        let canvases = device.buffer_of(&states).unwrap();
        let start: Vec<u32> = (0..400).collect();
        let tokens = device.buffer_of(&start).unwrap();
        let [last, flags, temperatures] = [(); 3].map(|()| device.alloc(rows * 4).unwrap());
        device.zero(&flags, 0, rows * 4).unwrap();
        let job = Sampler {
            canvases: &canvases,
            count: 4,
            hole_max: 70,
            vocabulary: VOCABULARY as usize,
            head: &head,
            tokens: tokens.all(),
            last_argmax: last.all(),
            accepted: flags.all(),
            temperatures: temperatures.all(),
        };
        let mut twins = states.map(|state| Twin { state, history: Vec::new(), tokens: start.clone() });
        for step in 0..14_u64 {
            // Argmaxes change every third step; entropies repeat, so that there are ties.
            let argmax: Vec<u32> =
                numbers(step / 3, rows).iter().map(|x| ((x + 1.0) * 400.0) as u32).collect();
            let entropy: Vec<f32> = numbers(step + 50, rows)
                .iter()
                .map(|x| ((x + 1.0) * 30.0).floor().powi(2) / 20_000.0)
                .collect();
            let ids: Vec<u32> = (0..rows * CAPACITY).map(|i| (i % CAPACITY * 50) as u32).collect();
            let weights: Vec<f32> =
                numbers(step + 90, rows * CAPACITY).iter().map(|x| (x * 5.0).exp()).collect();
            head.argmax().upload_slice(0, &argmax).unwrap();
            head.entropy().upload_slice(0, &entropy).unwrap();
            head.survivors().upload_slice(0, &vec![CAPACITY as u32; rows]).unwrap();
            head.ids().upload_slice(0, &ids).unwrap();
            head.weights().upload_slice(0, &weights).unwrap();
            ops::sampler_step(&device, &job).unwrap();
            let got: Vec<CanvasState> = canvases.download_vec(0, 4).unwrap();
            let got_tokens: Vec<u32> = tokens.download_vec(0, 400).unwrap();
            let got_flags: Vec<u32> = flags.download_vec(0, rows).unwrap();
            let got_temperatures: Vec<f32> = temperatures.download_vec(0, rows).unwrap();
            for (i, twin) in twins.iter_mut().enumerate() {
                let what = format!("canvas {i}, step {step}");
                let (first, n) = (twin.state.first_row as usize, twin.state.hole_len as usize);
                let area = 100 * i..100 * (i + 1);
                if twin.state.settled == 0 && twin.state.steps < twin.state.steps_max {
                    let (a, b) = (first * CAPACITY, (first + n) * CAPACITY);
                    let own = (&ids[a..b], &weights[a..b]);
                    let flags = twin.step(&argmax[first..first + n], &entropy[first..first + n], own);
                    let flags: Vec<u32> = flags.into_iter().map(u32::from).collect();
                    assert_eq!(got_flags[first..first + n], flags, "{what}");
                    assert_eq!(got_temperatures[first], twin.temperature(), "{what}");
                }
                assert_eq!(got_tokens[area.clone()], twin.tokens[area], "{what}");
                assert_eq!((got[i].steps, got[i].settled), (twin.state.steps, twin.state.settled), "{what}");
            }
        }
        assert!(twins[1].state.settled == 1 && twins[3].state.steps == 12, "both ways to end were seen");
    }
}
