//! What the command says about devices where there is none: which one it uses, why not another, and what to do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails loudly")]

use lacuna_tests::{lacuna, workspace_root};
use serde_json::Value;

/// Runs the command, which must end with code 2 and this one line.
fn refused(args: &[&str], line: &str) {
    let run = lacuna(&workspace_root(), args);
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{args:?}: {run:?}");
    assert_eq!(run.stderr.trim_end(), format!("lacuna: {line}"), "{args:?}");
}

#[test]
fn a_build_without_cuda_says_so() {
    refused(
        &["fill", "fixtures/text/stack.rs", "--device", "cuda"],
        "the built-in model cannot be used: the device is `cuda`, and this build runs on the CPU only; set it to `auto` \
         or `cpu`, or build with --features cuda",
    );
}

#[test]
fn weights_in_few_bits_are_for_gpus() {
    refused(
        &["fill", "fixtures/text/stack.rs", "--precision", "q4"],
        "the built-in model cannot be used: weights in 8 or 4 bits run on a GPU only; choose auto, f32 or bf16 on the CPU",
    );
}

#[test]
fn a_shape_without_weights_is_for_gpus() {
    refused(
        &["bench", "step", "--shape", "26b"],
        "--shape 26b has made-up weights, which only a GPU can hold here; use --device cuda with a build that has it \
         (--features cuda), or a checkpoint with --shape DIR",
    );
}

#[test]
fn a_step_is_timed_on_the_cpu_whichever_way_it_is_asked_for() {
    let step = |more: &[&str]| {
        let base = ["bench", "step", "--json", "--canvas", "16", "--prefix", "16", "--repeats", "2"];
        let run = lacuna(&workspace_root(), &[&base[..], more].concat());
        assert_eq!(run.code, Some(0), "{run:?}");
        serde_json::from_str::<Value>(&run.stdout).unwrap()
    };
    for report in [step(&[]), step(&["--shape", "mini", "--device", "cpu", "--weights", "f32"])] {
        assert_eq!((&report["model"], report["ms"].as_array().unwrap().len()), (&Value::from("built-in"), 2));
        assert!(report["device"].as_str().unwrap().starts_with("cpu ("), "{report}");
    }
    assert_eq!(step(&["--weights", "bf16"])["precision"], "bf16");
}

#[test]
fn the_doctor_says_why_there_is_no_gpu() {
    let run = lacuna(&workspace_root(), &["doctor", "--json"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    let reason = report["gpu"]["reason"].as_str().unwrap();
    assert_eq!(reason, "this build runs on the CPU only; build with --features cuda for NVIDIA GPUs");
}
