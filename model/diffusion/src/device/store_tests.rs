//! Weights in their formats, piece by piece, and what a load says while it runs.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use super::*;
use crate::device::DeviceNet;
use crate::load::PrecisionChoice;
use crate::weights::ModelSource;
use lacuna_kernels::quant::{BlockFormat, Blocks};
use std::path::Path;
use std::sync::Mutex;

const COLS: usize = 64;

fn values() -> Vec<f32> {
    (0..40 * COLS).map(|i| ((i * 7919 % 1009) as f32 - 504.0) / 300.0).collect()
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn a_piece_is_encoded_as_the_whole_would_be() {
    let (values, rows) = (values(), 3..37);
    let stored = bytes(&values);
    let range = rows.start * COLS..rows.end * COLS;
    for (format, blocks) in [(WeightFormat::Q8, BlockFormat::Q8), (WeightFormat::Q4, BlockFormat::Q4)] {
        let found = encode(Stored::F32(&stored), range.clone(), COLS, format).ok().unwrap();
        let expected = Blocks::quantize(blocks, &values[range.clone()], rows.len(), COLS).unwrap();
        assert!([&found.values[..], &found.scales].concat() == expected.bytes(), "{format:?}");
    }
    let found = encode(Stored::F32(&stored), range.clone(), COLS, WeightFormat::Bf16).ok().unwrap();
    let expected: Vec<u8> =
        values[range.clone()].iter().flat_map(|&value| bf16::from_f32(value).to_le_bytes()).collect();
    assert!(found.values == expected && found.scales.is_empty());
    let halves: Vec<u8> = values.iter().flat_map(|&value| bf16::from_f32(value).to_le_bytes()).collect();
    let found = encode(Stored::Bf16(&halves), range, COLS, WeightFormat::Bf16).ok().unwrap();
    assert!(found.values == expected, "what is stored as it is loaded is not touched");
}

#[test]
fn a_value_that_is_no_number_is_named_by_its_place_in_the_tensor() {
    let mut values = values();
    values[30 * COLS + 5] = f32::NEG_INFINITY;
    let stored = bytes(&values);
    for format in [WeightFormat::F32, WeightFormat::Bf16, WeightFormat::Q4] {
        let fault = encode(Stored::F32(&stored), 20 * COLS..40 * COLS, COLS, format).err().unwrap();
        let text = fault.into_load("some.safetensors", "some.weight").to_string();
        let place = 30 * COLS + 5;
        assert!(
            text.starts_with(&format!("some.safetensors: tensor some.weight: element {place} is -inf")),
            "{text}"
        );
    }
    let halves: Vec<u8> = values.iter().flat_map(|&value| bf16::from_f32(value).to_le_bytes()).collect();
    let fault = encode(Stored::Bf16(&halves), 20 * COLS..40 * COLS, COLS, WeightFormat::Bf16).err().unwrap();
    assert!(
        fault
            .into_load("some.safetensors", "some.weight")
            .to_string()
            .contains(&format!("element {} is -inf", 30 * COLS + 5))
    );
}

#[test]
fn a_load_says_its_plan_first_and_counts_to_the_plan_s_weights() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/parity/small/model");
    let said = Mutex::new(Vec::new());
    let source = ModelSource::Dir(root);
    let report = |event| said.lock().unwrap().push(event);
    let net = DeviceNet::load(&Device::emulated(), &source, PrecisionChoice::Q8, &report).unwrap();
    drop(net);
    let said = said.into_inner().unwrap();
    let LoadEvent::Plan(plan) = said[0] else { unreachable!("{:?}", said[0]) };
    let config = source.config().unwrap();
    assert_eq!(plan.weight_bytes, crate::sizes::weight_bytes(&config, WeightFormat::Q8));
    assert_eq!(said.last(), Some(&LoadEvent::Loaded(plan.weight_bytes)));
    assert!(said.windows(2).skip(1).all(|pair| match pair {
        [LoadEvent::Loaded(before), LoadEvent::Loaded(after)] => before <= after,
        _ => false,
    }));
}
