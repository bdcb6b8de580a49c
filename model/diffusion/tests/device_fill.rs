//! The shipped model on the emulated card: the text is the processor's, and what has been read is not read again.
#![cfg(feature = "emulated")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use lacuna_diffusion::{DeviceChoice, LoadOptions, PrecisionChoice, load};
use lacuna_engine::{
    CancelToken, Engine, EngineError, HoleKind, InfillRequest, Infilled, NoFrames, Sampling,
};

fn engine(device: DeviceChoice) -> impl Engine {
    let precision = PrecisionChoice::F32;
    load(&LoadOptions { threads: Some(2), precision, device, ..LoadOptions::default() }).unwrap()
}

/// As little as a fill can be: one canvas, one step. The emulated card takes seconds for a pass.
fn ask(engine: &mut impl Engine, prefix: &str) -> Infilled {
    let sampling = Sampling {
        steps: Some(1),
        candidates: Some(1),
        lengths: Some(vec![4]),
        drafts: Some(false),
        ..Sampling::default()
    };
    let language = Some("python".to_owned());
    let request = InfillRequest { language, sampling, ..InfillRequest::new(prefix, "\n", HoleKind::Line) };
    engine.infill(&request, &CancelToken::new(), &mut NoFrames).unwrap()
}

#[test]
fn a_fill_on_the_device_is_the_processor_s_and_reads_only_what_is_new() {
    let (mut cpu, mut device) = (engine(DeviceChoice::Cpu), engine(DeviceChoice::Emulated));
    assert_eq!((device.info().device.as_str(), device.info().precision.as_str()), ("emulated GPU", "f32"));
    for prefix in ["def mean(values):\n    return ", "def mean(values):\n    return sum"] {
        let (expected, found) = (ask(&mut cpu, prefix), ask(&mut device, prefix));
        let texts = |answer: &Infilled| answer.candidates.iter().map(|c| c.text.clone()).collect::<Vec<_>>();
        assert_eq!(texts(&found), texts(&expected), "{prefix:?}");
        for (found, expected) in found.candidates.iter().zip(&expected.candidates) {
            assert!((found.score - expected.score).abs() < 1e-2, "{} and {}", found.score, expected.score);
        }
        assert_eq!(found.stats.cached_tokens, expected.stats.cached_tokens);
        assert!(found.stats.cached_tokens > 0 || prefix.ends_with("return "), "the prompt is read again");
    }
    let cancel = CancelToken::new();
    cancel.cancel();
    let request = InfillRequest::new("x = ", "\n", HoleKind::Line);
    assert_eq!(device.infill(&request, &cancel, &mut NoFrames).unwrap_err(), EngineError::Cancelled);
}
