//! What only a card that does as it is told can show: what is taken of its memory, kernels that fail, memory that runs out.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use super::tests::{fingerprint, ids, on_cpu, rules, run, session, source};
use super::*;
use crate::backend::Backend as _;
use crate::canvas::Frameset;
use crate::denoise::{Condensing, condense};
use crate::session::Session;
use lacuna_engine::{CancelToken, EngineError};
use lacuna_kernels::device::Order;

#[test]
fn the_plan_is_what_is_taken() {
    let device = Device::emulated();
    let before = device.memory_free().unwrap();
    for precision in [PrecisionChoice::F32, PrecisionChoice::Bf16, PrecisionChoice::Q4] {
        let net = DeviceNet::load(&device, &source("small"), precision, &|_| ()).unwrap();
        let (plan, taken) = (net.plan(), before - device.memory_free().unwrap());
        assert_eq!(plan.weight_bytes, net.weight_bytes(), "{precision:?}");
        // Scratch memory is planned for the worst and taken as needed.
        let least = (plan.total() - plan.scratch_bytes(&net.config)) / 100 * 99;
        assert!((least..=plan.total()).contains(&taken), "{precision:?}: {plan}: {taken} taken");
        // Room for several canvases is room to split the work of a single one.
        let wanted = net.layers[0].scratch_bytes(&device, net.config.canvas_length).unwrap();
        assert!(wanted > 0 && net.buffers.scratch().is_some_and(|scratch| scratch.len() >= wanted));
        drop(net);
        assert_eq!(device.memory_free().unwrap(), before, "everything is given back");
    }
}

#[test]
fn a_failing_kernel_fails_the_request_and_nothing_else() {
    let device = Device::emulated();
    let mut net = DeviceNet::load(&device, &source("small"), PrecisionChoice::F32, &|_| ()).unwrap();
    let never = CancelToken::new();
    net.read(&ids(20, 1), &never).unwrap();
    let before = fingerprint(&net);
    for launches in [0, 7, 40] {
        device.fail_launches_after(Some(launches));
        let error = net.read(&ids(9, 2), &never).unwrap_err().to_string();
        assert!(error.starts_with("the engine failed while running the network on the GPU: "), "{error}");
        device.fail_launches_after(None);
        assert!(fingerprint(&net) == before, "after {launches} launches: {error}");
    }
    let session = session(Box::new(net));
    let rules = rules(1, 0.005);
    let around = Frameset { head: vec![], suffix: vec![], fill: 0, length: 16, first_allowed: None };
    let mut batch = [Condensing::new(around.canvas(&ids(16, 1), 0, false), &rules)];
    let ended = condense(&session, &mut batch, &rules, &never, &mut |_| device.fail_launches_after(Some(3)));
    assert!(matches!(ended, Err(EngineError::Compute { .. })), "{ended:?}");
    device.fail_launches_after(None);
    let (trace, ..) = run(&session, &rules, None);
    assert!(trace == run(&tests::session(Box::new(on_cpu("small"))), &rules, None).0);
}

/// What is recorded beside each other may run in any order, or by turns.
#[test]
fn branches_of_a_recorded_step_do_not_meet() {
    for precision in [PrecisionChoice::F32, PrecisionChoice::Bf16, PrecisionChoice::Q8] {
        let trace = |order| {
            let device = Device::emulated_in(order);
            let net = DeviceNet::load(&device, &source("small"), precision, &|_| ()).unwrap();
            run(&session(Box::new(net)), &rules(3, 0.005), None).0
        };
        let expected = trace(Order::Forward);
        assert!(trace(Order::Reverse) == expected, "{precision:?}: the router first");
        assert!(trace(Order::Shuffled) == expected, "{precision:?}: by turns");
    }
}

#[test]
fn a_lost_card_is_said_to_be_lost_by_every_request_from_then_on() {
    let device = Device::emulated();
    let mut net = DeviceNet::load(&device, &source("small"), PrecisionChoice::F32, &|_| ()).unwrap();
    let never = CancelToken::new();
    device.lose_after(7);
    let said = net.read(&ids(9, 2), &never).unwrap_err().to_string();
    assert!(
        said.contains("the GPU is lost to this process (a fault that a test asked for); start"),
        "{said}"
    );
    device.fail_launches_after(None); // the card is not asked any more
    let states = vec![0.0; net.config.hidden_size];
    for error in [
        net.read(&ids(9, 2), &never).unwrap_err(),
        net.embed(&[1]).unwrap_err(),
        net.logits(&states).unwrap_err(),
    ] {
        assert_eq!(error.to_string(), said);
    }
    assert!(matches!(device.memory_free(), Err(DeviceError::Lost { .. })));
    let session =
        Session::new(Box::new(net), rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap());
    let rules = rules(1, 0.005);
    let around = Frameset { head: vec![], suffix: vec![], fill: 0, length: 16, first_allowed: None };
    let mut batch = [Condensing::new(around.canvas(&ids(16, 1), 0, false), &rules)];
    let ended = condense(&session, &mut batch, &rules, &never, &mut |_| ());
    assert_eq!((ended.unwrap_err().to_string(), batch[0].steps), (said, 0));
}

#[test]
fn memory_that_runs_out_fails_the_load_or_the_request_and_nothing_else() {
    let device = Device::emulated();
    device.limit_memory(1 << 20);
    let load = || DeviceNet::load(&device, &source("small"), PrecisionChoice::F32, &|_| ());
    let refused = load().unwrap_err().to_string();
    assert!(refused.starts_with("the model needs ") && refused.contains("1.0 MB are free"), "{refused}");
    device.limit_memory(1 << 40);
    let session = session(Box::new(load().unwrap()));
    let rules = rules(1, 0.005);
    let around = Frameset { head: vec![], suffix: vec![], fill: 0, length: 16, first_allowed: None };
    let mut batch = [Condensing::new(around.canvas(&ids(16, 1), 0, false), &rules)];
    device.limit_memory(64); // somebody else took the rest
    let ended = condense(&session, &mut batch, &rules, &CancelToken::new(), &mut |_| ());
    let error = ended.unwrap_err().to_string();
    assert!(error.contains("the device is out of memory: "), "{error}");
    device.limit_memory(1 << 40);
    let (trace, ..) = run(&session, &rules, None);
    assert!(trace == run(&tests::session(Box::new(on_cpu("small"))), &rules, None).0);
}
