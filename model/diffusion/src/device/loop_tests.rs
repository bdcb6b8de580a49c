//! The loop on the device beyond one batch that fits: groups, rows with too many survivors, and canvases that have ended.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use super::tests::{devices, ids, on, on_cpu, rules, session};
use super::*;
use crate::canvas::Frameset;
use crate::denoise::{Condensing, Rules, condense};
use crate::session::Session;
use lacuna_engine::CancelToken;
use std::sync::Arc;

/// Canvases of 16 rows with holes of these lengths.
fn batch(rules: &Rules, holes: &[usize]) -> Vec<Condensing> {
    let around = Frameset { head: vec![3], suffix: vec![7, 8], fill: 0, length: 16, first_allowed: None };
    let canvas = |(i, &hole): (usize, &usize)| around.canvas(&ids(hole, i), i as u64, false);
    holes.iter().enumerate().map(canvas).map(|canvas| Condensing::new(canvas, rules)).collect()
}

/// Passes, and of every canvas its answer and steps.
type End = (usize, Vec<(Vec<u32>, usize)>);

fn run(session: &Session, rules: &Rules, holes: &[usize]) -> End {
    let mut batch = batch(rules, holes);
    let forwards = condense(session, &mut batch, rules, &CancelToken::new(), &mut |_| ()).unwrap();
    (forwards, batch.iter().map(|c| (c.answer(), c.steps)).collect())
}

#[test]
fn a_batch_larger_than_the_plan_stays_on_the_device_in_groups() {
    let holes = [9, 5, 11, 13, 7, 12, 4, 10];
    for device in devices() {
        let mut net = on(&device, PrecisionChoice::F32);
        net.head = Head::new(&device, 27, 320, SURVIVORS_MAX).unwrap();
        let rules = rules(3, 100.0);
        let all = batch(&rules, &holes);
        assert!(net.takes(&all, &rules), "71 rows, of which the head has room for 27");
        let (_, expected) = run(&session(Box::new(on_cpu("small"))), &rules, &holes);
        let session = session(Box::new(net));
        let (forwards, found) = run(&session, &rules, &holes);
        assert!(run(&session, &rules, &holes) == (forwards, found.clone()), "the same seed, the same text");
        // 9 + 5 + 11, 13 + 7, 12 + 4 + 10: each group takes the steps of its slowest canvas.
        let slowest = |group: &[(Vec<u32>, usize)]| group.iter().map(|(_, steps)| *steps).max().unwrap();
        assert_eq!(forwards, slowest(&found[..3]) + slowest(&found[3..5]) + slowest(&found[5..]));
        if device.info().emulated {
            assert_eq!(found, expected);
        }
    }
}

#[test]
fn a_canvas_that_no_group_has_room_for_goes_through_the_host_s_loop() {
    for device in devices() {
        let mut net = on(&device, PrecisionChoice::F32);
        net.head = Head::new(&device, 8, 320, SURVIVORS_MAX).unwrap();
        let rules = rules(1, 0.005);
        assert!(net.takes(&batch(&rules, &[8, 8, 1]), &rules));
        assert!(!net.takes(&batch(&rules, &[8, 9, 1]), &rules));
    }
}

#[test]
fn the_exact_path_keeps_to_the_masks() {
    let allowed: Arc<[bool]> = (0..320).map(|id| id % 5 == 2).collect();
    for device in devices() {
        let mut net = on(&device, PrecisionChoice::F32);
        net.head = Head::new(&net.device, net.head.rows_max(), 320, 4).unwrap();
        let rules = Rules { banned: (0..320).filter(|id| id % 3 == 0).collect(), ..rules(3, 0.005) };
        let (own, cpu) = (session(Box::new(net)), session(Box::new(on_cpu("small"))));
        let entropies = |session: &Session| {
            let mut batch = batch(&rules, &[9, 5]);
            batch.iter_mut().for_each(|c| c.canvas.first_allowed = Some(Arc::clone(&allowed)));
            let mut seen = Vec::new();
            let mut after = |batch: &[Condensing]| {
                seen.extend(batch.iter().flat_map(|c| c.entropy.clone()));
            };
            condense(session, &mut batch, &rules, &CancelToken::new(), &mut after).unwrap();
            seen
        };
        let (found, expected) = (entropies(&own), entropies(&cpu));
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            // Unmasked soft embeddings are seen in the next step's entropies.
            assert!((found - expected).abs() < 2e-3, "{found} and {expected}");
        }
    }
}

#[test]
fn a_recorded_step_serves_every_prefix_seed_and_mask_of_its_shape() {
    let allowed = |modulus: usize| -> Arc<[bool]> { (0..320).map(|id| id % modulus == 2).collect() };
    for device in devices() {
        let (mut own, mut cpu) =
            (session(Box::new(on(&device, PrecisionChoice::F32))), session(Box::new(on_cpu("small"))));
        let mut free = None;
        // As while typing: each time a little more stands before holes of the same sizes. The last prefix is of another shape.
        for (prefix, seed, modulus) in [(30, 1, 5), (31, 2, 7), (77, 3, 3), (29, 4, 5), (300, 5, 5)] {
            let rules = Rules {
                banned: (0..320).filter(|id| id % (modulus + 1) == 0).collect(),
                ..rules(seed, 0.005)
            };
            let mut ends = [&mut own, &mut cpu].map(|session| {
                session.read(&ids(prefix, 5), &CancelToken::new()).unwrap();
                let mut batch = batch(&rules, &[9, 5]);
                let allowed = allowed(modulus as usize);
                batch.iter_mut().for_each(|c| c.canvas.first_allowed = Some(Arc::clone(&allowed)));
                condense(session, &mut batch, &rules, &CancelToken::new(), &mut |_| ()).unwrap();
                batch
            });
            let [found, expected] = ends.each_mut().map(std::mem::take);
            for (found, expected) in found.iter().zip(&expected) {
                for (f, e) in found.entropy.iter().zip(&expected.entropy) {
                    assert!((f - e).abs() < 2e-3 || !device.info().emulated, "{prefix}: {f} and {e}");
                }
                let both = [found, expected].map(|c| (c.answer(), c.steps));
                assert!(both[0] == both[1] || !device.info().emulated, "{prefix}: {both:?}");
            }
            if device.info().emulated {
                let left = device.memory_free().unwrap();
                let before = *free.get_or_insert(left);
                assert!(
                    if prefix == 300 { left < before } else { left == before },
                    "{prefix}: {left} of {before}"
                );
            }
        }
    }
}
