//! The network on a device against the same network on the processor: passes, the loop that stays on the device, and what is
//! left after a pass that did not end. On the emulated card (feature `emulated`) and on the first real one (feature `cuda`);
//! what needs memory or launches to fail when told to, on the emulated one alone
//! (`emulated_tests`).

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use super::*;
use crate::backend::{Backend, Cpu};
use crate::branches::Branches;
use crate::canvas::Frameset;
use crate::config::Noise;
use crate::denoise::{Condensing, Rules, condense};
use crate::net::{Canvases, Net};
use crate::noise::{Generator, NoiseSource};
use crate::session::Session;
use lacuna_engine::{CancelToken, EngineError};
use lacuna_kernels::Precision;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Every card at hand; where a real one was to be tested and is not there, that is said past the test harness, which would keep
/// a passing test's output to itself.
pub(super) fn devices() -> Vec<Device> {
    let emulated = [
        #[cfg(feature = "emulated")]
        Device::emulated(),
    ];
    let real = [
        #[cfg(feature = "cuda")]
        Device::cuda(0),
    ];
    let real = real.into_iter().filter_map(|device: Result<Device, DeviceError>| {
        let said = device.as_ref().err().map(ToString::to_string);
        if let Some(error) = said {
            use std::io::Write as _;
            let test = std::thread::current().name().unwrap_or("a test").to_owned();
            let line = format!("SKIPPED: {test}: nothing was tested on a real card: {error}\n");
            std::io::stderr().write_all(line.as_bytes()).unwrap();
        }
        device.ok()
    });
    emulated.into_iter().chain(real).collect()
}

/// `LACUNA_FIXTURES_DIR` stands in for the checkout where the tests run without one.
pub(super) fn source(name: &str) -> ModelSource {
    let checkout = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    let fixtures = std::env::var_os("LACUNA_FIXTURES_DIR").map_or_else(checkout, PathBuf::from);
    ModelSource::Dir(fixtures.join("parity").join(name).join("model"))
}

pub(super) fn on(device: &Device, precision: PrecisionChoice) -> DeviceNet {
    DeviceNet::load(device, &source("small"), precision, &|_| ()).unwrap()
}

pub(super) fn on_cpu(name: &str) -> Cpu {
    Cpu::new(Net::load(&source(name), Precision::F32).unwrap(), 512)
}

pub(super) fn ids(count: usize, seed: usize) -> Vec<u32> {
    (0..count).map(|i| ((i * 37 + seed * 101 + i * i) % 300) as u32).collect()
}

fn near(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let worst = found.iter().zip(expected).map(|(f, e)| (f - e).abs()).fold(0.0, f32::max);
    assert!(worst <= 2e-3 && found.iter().all(|f| f.is_finite()), "{what} differs by {worst}");
}

/// What a canvas sees after the cache.
pub(super) fn fingerprint(net: &dyn Backend) -> Vec<f32> {
    let tokens = ids(16, 9);
    let canvases = Canvases { tokens: &tokens, batch: 1, soft: None, rows: Some(&[0, 3, 15]) };
    net.denoise(&canvases, &CancelToken::new()).unwrap()
}

#[test]
fn every_pass_is_the_processor_s() {
    for device in devices() {
        let (mut net, mut cpu) = (on(&device, PrecisionChoice::F32), on_cpu("small"));
        let cancel = CancelToken::new();
        for each in [&mut net as &mut dyn Backend, &mut cpu] {
            each.read(&ids(40, 1), &cancel).unwrap();
            each.truncate(29); // into the sliding window
        }
        let tail = ids(7, 2);
        near(&net.encode(&tail, &cancel).unwrap(), &cpu.encode(&tail, &cancel).unwrap(), "states");
        near(&fingerprint(&net), &fingerprint(&cpu), "logits");
        let branches = ids(3 * 11, 3);
        let expected = cpu.branch(&branches, 3, &cancel).unwrap();
        near(&net.branch(&branches, 3, &cancel).unwrap(), &expected, "branches");
        let mut grown = [Branches::new(3), Branches::new(3)];
        for next in ids(6, 5).chunks(3) {
            let found = net.grow(&mut grown[0], next, &cancel).unwrap();
            near(&found, &cpu.grow(&mut grown[1], next, &cancel).unwrap(), "branches that grow");
        }
        near(&net.logits(&expected[..5 * 64]).unwrap(), &cpu.logits(&expected[..5 * 64]).unwrap(), "head");
        let (states, next) = (&expected[..33 * 64], ids(33, 6));
        near(&net.log_probs(states, &next).unwrap(), &cpu.log_probs(states, &next).unwrap(), "scores");
        net.head = Head::new(&device, 10, 320, SURVIVORS_MAX).unwrap();
        near(&net.log_probs(states, &next).unwrap(), &cpu.log_probs(states, &next).unwrap(), "in pieces");
        assert!(net.log_probs(states, &next[..32]).is_err(), "a state without a token");
        near(&net.embed(&ids(9, 4)).unwrap(), &cpu.embed(&ids(9, 4)).unwrap(), "embeddings");
        let scaled: Vec<f32> = (0..3 * 320).map(|i| ((i * 7919) % 997) as f32 / 100.0).collect();
        let soft = cpu.soft_embedding(&scaled).unwrap();
        near(&net.soft_embedding(&scaled).unwrap(), &soft, "soft embeddings");
        let held = (net.hide(20), cpu.hide(20));
        near(&fingerprint(&net), &fingerprint(&cpu), "logits after a part of the cache");
        net.unhide(held.0);
        cpu.unhide(held.1);
        near(&fingerprint(&net), &fingerprint(&cpu), "logits after all of it again");
        assert_eq!((net.parameters(), net.len), (cpu.parameters(), 36));
    }
}

pub(super) fn rules(seed: u64, confidence: f32) -> Rules {
    Rules {
        steps_max: 4,
        t_min: 0.4,
        t_max: 0.8,
        entropy_bound: 0.1,
        stability: 1,
        confidence,
        noise: Noise::Uniform,
        source: NoiseSource::Drawn(Generator::new(seed)),
        guidance: 0.0,
        banned: Arc::from([]),
    }
}

/// What can be seen of a canvas after a step.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    tokens: Vec<u32>,
    argmax: Vec<u32>,
    accepted: Vec<bool>,
    entropy: Vec<f32>,
    steps: usize,
    settled: bool,
}

/// Entropies apart, which are floats.
impl PartialEq for Seen {
    fn eq(&self, other: &Self) -> bool {
        let parts = |seen: &Self| (seen.tokens.clone(), seen.argmax.clone(), seen.accepted.clone());
        parts(self) == parts(other) && (self.steps, self.settled) == (other.steps, other.settled)
    }
}

/// Of every canvas after every step.
pub(super) type Trace = Vec<Vec<Seen>>;

pub(super) fn run(session: &Session, rules: &Rules, allowed: Option<Arc<[bool]>>) -> (Trace, usize) {
    let around =
        Frameset { head: vec![3, 4], suffix: vec![7, 8, 9], fill: 0, length: 16, first_allowed: allowed };
    let mut batch: Vec<Condensing> = [9, 5, 11]
        .into_iter()
        .enumerate()
        .map(|(i, length)| Condensing::new(around.canvas(&ids(length, i), i as u64, false), rules))
        .collect();
    let mut trace = Vec::new();
    let forwards = condense(session, &mut batch, rules, &CancelToken::new(), &mut |batch| {
        let seen = |c: &Condensing| Seen {
            tokens: c.canvas.tokens.clone(),
            argmax: c.argmax.clone(),
            accepted: c.accepted.clone(),
            entropy: c.entropy.clone(),
            steps: c.steps,
            settled: c.settled,
        };
        trace.push(batch.iter().map(seen).collect());
    })
    .unwrap();
    (trace, forwards)
}

/// Whether the device went the host's way to the end. They may part only where a rounding decides: at rows whose entropies
/// are nearly equal, so that either may be accepted first.
fn same_way(found: &Trace, expected: &Trace) -> bool {
    for (step, (found, expected)) in found.iter().zip(expected).enumerate() {
        for (found, expected) in found.iter().zip(expected) {
            near(&found.entropy, &expected.entropy, &format!("entropy at step {step}"));
            if found == expected {
                continue;
            }
            assert_eq!(found.argmax, expected.argmax, "step {step}");
            let rows = (0..found.accepted.len()).filter(|&row| found.accepted[row] != expected.accepted[row]);
            let torn: Vec<f32> = rows.map(|row| expected.entropy[row]).collect();
            let spread =
                torn.iter().copied().fold(f32::MIN, f32::max) - torn.iter().copied().fold(f32::MAX, f32::min);
            assert!(!torn.is_empty() && spread < 1e-3, "step {step}: {found:?} and {expected:?}");
            return false;
        }
    }
    assert_eq!(found.len(), expected.len());
    true
}

/// As [`same_way`], which is the emulated card's only way; a real one rounds otherwise and may part where a rounding decides.
fn assert_same_way(device: &Device, found: &Trace, expected: &Trace) {
    let same = same_way(found, expected);
    assert!(same || !device.info().emulated, "{found:?} and {expected:?}");
}

pub(super) fn session(backend: Box<dyn Backend>) -> Session {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let mut session = Session::new(backend, pool);
    session.read(&ids(30, 5), &CancelToken::new()).unwrap();
    session
}

#[test]
fn the_loop_on_the_device_decides_as_the_host_s() {
    for device in devices() {
        let cpu = session(Box::new(on_cpu("small")));
        let own = session(Box::new(on(&device, PrecisionChoice::F32)));
        let mut same = 0;
        // The larger confidence lets canvases come to rest while others go on.
        for (seed, confidence) in [(1, 0.005), (2, 100.0), (3, 100.0), (4, 0.005)] {
            let rules = rules(seed, confidence);
            let (expected, forwards) = run(&cpu, &rules, None);
            let (found, own_forwards) = run(&own, &rules, None);
            if same_way(&found, &expected) {
                assert_eq!(own_forwards, forwards);
                same += 1;
            }
            assert!(run(&own, &rules, None).0 == found, "the same seed gives the same canvas twice");
        }
        assert!(same >= 3, "{same} of 4");
    }
}

#[test]
fn a_restricted_first_token_and_banned_ones_are_kept_on_the_device() {
    for device in devices() {
        let cpu = session(Box::new(on_cpu("small")));
        let own = session(Box::new(on(&device, PrecisionChoice::F32)));
        let allowed: Arc<[bool]> = (0..320).map(|id| id % 5 == 2).collect();
        let rules = Rules { banned: (0..320).filter(|id| id % 3 == 0).collect(), ..rules(3, 0.005) };
        let (expected, ..) = run(&cpu, &rules, Some(Arc::clone(&allowed)));
        let (found, ..) = run(&own, &rules, Some(allowed));
        assert_same_way(&device, &found, &expected);
        for Seen { argmax, .. } in found.iter().flatten() {
            assert!(argmax[0] % 5 == 2 && argmax.iter().all(|id| id % 3 != 0), "{argmax:?}");
        }
    }
}

#[test]
fn rows_with_too_many_survivors_take_the_exact_path() {
    for device in devices() {
        let cpu = session(Box::new(on_cpu("small")));
        let mut net = on(&device, PrecisionChoice::F32);
        net.head = Head::new(&net.device, net.head.rows_max(), 320, 4).unwrap();
        let rules = rules(4, 0.005);
        let (found, expected) = (run(&session(Box::new(net)), &rules, None).0, run(&cpu, &rules, None).0);
        assert_same_way(&device, &found, &expected);
    }
}

#[test]
fn what_the_device_s_loop_does_not_take_goes_through_the_host_s() {
    for device in devices() {
        let net = on(&device, PrecisionChoice::F32);
        let around = Frameset { head: vec![], suffix: vec![], fill: 0, length: 16, first_allowed: None };
        let batch = |rules: &Rules, rows| [Condensing::new(around.canvas(&ids(rows, 1), 0, false), rules)];
        let plain = rules(1, 0.005);
        assert!(net.takes(&batch(&plain, 16), &plain));
        let guided = Rules { guidance: 0.5, ..plain.clone() };
        assert!(!net.takes(&batch(&guided, 16), &guided));
        let masked = Noise::Mask { mask_token_id: 3, uniform_share: 0.0, uniform_first_id: 0 };
        let masked = Rules { noise: masked, ..plain.clone() };
        assert!(!net.takes(&batch(&masked, 16), &masked));
        assert!(!net.takes(&[], &plain));
    }
}

#[test]
fn a_cancelled_pass_leaves_the_network_usable() {
    for device in devices() {
        let mut net = on(&device, PrecisionChoice::F32);
        let never = CancelToken::new();
        net.read(&ids(20, 1), &never).unwrap();
        let before = fingerprint(&net);
        let cancel = CancelToken::new();
        cancel.cancel();
        assert_eq!(net.read(&ids(9, 2), &cancel), Err(EngineError::Cancelled));
        assert_eq!(net.len, 20);
        assert!(fingerprint(&net) == before, "what was read before counts, and nothing else");
        let session = session(Box::new(net));
        let rules = rules(1, 0.005);
        let around = Frameset { head: vec![], suffix: vec![], fill: 0, length: 16, first_allowed: None };
        let mut batch = [Condensing::new(around.canvas(&ids(16, 1), 0, false), &rules)];
        // In the middle of a run: the watcher of the first step gives up.
        let late = CancelToken::new();
        let ended = condense(&session, &mut batch, &rules, &late, &mut |_| late.cancel());
        assert_eq!((ended, batch[0].steps), (Err(EngineError::Cancelled), 1));
        let (trace, ..) = run(&session, &rules, None);
        let (expected, ..) = run(&self::session(Box::new(on_cpu("small"))), &rules, None);
        assert_same_way(&device, &trace, &expected);
    }
}

#[test]
fn what_does_not_fit_is_refused_as_on_the_processor() {
    for device in devices() {
        let mut net = on(&device, PrecisionChoice::F32);
        let never = CancelToken::new();
        let foreign = net.read(&[3, 320], &never).unwrap_err().to_string();
        assert_eq!(foreign, "the request cannot be run: token ids must be below 320, found 320");
        let most = net.positions_max();
        let long = net.read(&vec![1; most + 1], &never).unwrap_err().to_string();
        assert_eq!(
            long,
            format!(
                "the request cannot be run: the prompt must be at most {most} tokens, found {}",
                most + 1
            )
        );
        let tokens = ids(16, 1);
        let beyond = Canvases { tokens: &tokens, batch: 1, soft: None, rows: Some(&[16]) };
        assert!(net.denoise(&beyond, &never).is_err(), "there is no row 16");
        let uneven = Canvases { tokens: &tokens, batch: 3, soft: None, rows: None };
        assert!(net.denoise(&uneven, &never).is_err(), "16 tokens are not 3 canvases");
    }
}

#[test]
fn widths_that_blocks_do_not_take_are_refused_by_the_tensor_s_name() {
    for device in devices() {
        let refused = DeviceNet::load(&device, &source("deep"), PrecisionChoice::Q8, &|_| ());
        let text = refused.unwrap_err().to_string();
        assert!(
            text.contains("embed_tokens") && text.contains("found 48; use bf16 or f32 weights"),
            "{text}"
        );
    }
}

#[test]
fn made_up_weights_run_and_stay_finite() {
    for device in devices() {
        for format in [WeightFormat::Bf16, WeightFormat::Q8, WeightFormat::Q4] {
            let config = source("small").config().unwrap();
            let wanted = Wanted {
                config,
                generation: GenerationConfig::default(),
                formats: vec![format],
                canvases: (1, 16),
                context: (64, 64),
            };
            let mut net = DeviceNet::place(&device, wanted, Origin::MadeUp, &|_| ()).unwrap();
            net.read(&ids(20, 1), &CancelToken::new()).unwrap();
            let logits = fingerprint(&net);
            assert!(logits.iter().all(|x| x.is_finite()), "{format:?}");
            let mean = logits.iter().sum::<f32>() / logits.len() as f32;
            assert!(logits.iter().any(|x| (x - mean).abs() > 1e-3), "{format:?}: every logit is alike");
        }
    }
}
