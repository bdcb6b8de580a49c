//! The cards to test on, uploads and poisoned outputs, quantised weights and comparisons.

use half::{bf16, f16};
use lacuna_kernels::device::ops::{Dtype, WeightDtype};
use lacuna_kernels::device::{Buffer, Device};

#[path = "../common/mod.rs"]
mod common;
pub use common::{numbers, scaled};

/// Every card at hand: the emulated one in each order, and the first real one.
pub fn devices() -> Vec<Device> {
    let mut devices = Vec::new();
    #[cfg(feature = "emulated")]
    {
        use lacuna_kernels::device::Order;
        devices.extend([Order::Forward, Order::Reverse, Order::Shuffled].map(Device::emulated_in));
    }
    #[cfg(feature = "cuda")]
    match Device::cuda(0) {
        Ok(device) => devices.push(device),
        Err(error) => skipped(&format!("nothing was tested on a real card: {error}")),
    }
    devices
}

/// Says so past the test harness, which would keep a passing test's output to itself.
#[cfg(feature = "cuda")]
pub fn skipped(what: &str) {
    use std::io::Write as _;
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let line = format!("SKIPPED: {test}: {what}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// `values` on the device in `dtype`.
pub fn upload(device: &Device, values: &[f32], dtype: Dtype) -> Buffer {
    match dtype {
        Dtype::F32 => device.buffer_of(values).unwrap(),
        Dtype::Bf16 => device.buffer_of(&to_bf16(values)).unwrap(),
    }
}

/// `values` as `dtype` holds them.
pub fn rounded(values: &[f32], dtype: Dtype) -> Vec<f32> {
    match dtype {
        Dtype::F32 => values.to_vec(),
        Dtype::Bf16 => to_bf16(values).iter().map(|x| x.to_f32()).collect(),
    }
}

pub fn to_bf16(values: &[f32]) -> Vec<bf16> {
    values.iter().map(|&x| bf16::from_f32(x)).collect()
}

/// Memory for `count` values, all NaN.
pub fn poisoned(device: &Device, count: usize, dtype: Dtype) -> Buffer {
    device.buffer_of(&vec![0xff_u8; count * dtype.size()]).unwrap()
}

/// Reads `count` values from the beginning.
pub fn read(buffer: &Buffer, count: usize, dtype: Dtype) -> Vec<f32> {
    match dtype {
        Dtype::F32 => buffer.download_vec(0, count).unwrap(),
        Dtype::Bf16 => buffer.download_vec::<bf16>(0, count).unwrap().iter().map(|x| x.to_f32()).collect(),
    }
}

/// A stored weight's bytes, and the values it stands for.
pub struct Quantised {
    pub bytes: Vec<u8>,
    pub values: Vec<f32>,
}

/// Stores `values` `[rows, cols]` as `dtype` does.
pub fn quantise(values: &[f32], dtype: WeightDtype) -> Quantised {
    match dtype {
        WeightDtype::F32 => Quantised {
            bytes: values.iter().flat_map(|x| x.to_le_bytes()).collect(),
            values: values.to_vec(),
        },
        WeightDtype::Bf16 => Quantised {
            bytes: to_bf16(values).iter().flat_map(|x| x.to_le_bytes()).collect(),
            values: rounded(values, Dtype::Bf16),
        },
        WeightDtype::Q8 => blocks(values, 127.0, |block, e, q| {
            let (i, t, j) = (e / 8, e / 2 % 4, e % 2);
            block[8 * t + 4 * (i / 2) + i % 2 + 2 * j] = (q as i8).cast_unsigned();
        }),
        WeightDtype::Q4 => blocks(values, 7.0, |block, e, q| {
            let (i, t, j) = (e / 8, e / 2 % 4, e % 2);
            let nibble = i + 4 * j;
            block[4 * t + nibble / 2] |= ((q + 8.0) as u8) << (4 * (nibble % 2));
        }),
    }
}

fn blocks(values: &[f32], levels: f32, place: impl Fn(&mut [u8], usize, f32)) -> Quantised {
    let size = if levels > 8.0 { 32 } else { 16 };
    let mut quants = vec![0; values.len() / 32 * size];
    let (mut scales, mut restored) = (Vec::new(), Vec::new());
    for (block, to) in values.chunks_exact(32).zip(quants.chunks_exact_mut(size)) {
        let top = block.iter().fold(0.0_f32, |top, x| top.max(x.abs()));
        let scale = f16::from_f32(top / levels);
        for (e, x) in block.iter().enumerate() {
            let q = if top == 0.0 { 0.0 } else { (x / scale.to_f32()).round().clamp(-levels - 1.0, levels) };
            place(to, e, q);
            restored.push(q * scale.to_f32());
        }
        scales.extend(scale.to_le_bytes());
    }
    quants.extend(scales);
    Quantised { bytes: quants, values: restored }
}

/// Fails unless `|got - want| ≤ tolerance · max(1, |want|)` everywhere.
pub fn assert_close(got: &[f32], want: &[f32], tolerance: f32, what: &str) {
    assert_eq!(got.len(), want.len(), "{what}: lengths");
    for (i, (&g, &w)) in got.iter().zip(want).enumerate() {
        assert!(
            (g - w).abs() <= tolerance * w.abs().max(1.0),
            "{what}: element {i} is {g}, the twin says {w}"
        );
    }
}

/// Tolerance of one rounding to `dtype`, above what f32 arithmetic may lose.
pub fn tolerance(dtype: Dtype) -> f32 {
    match dtype {
        Dtype::F32 => 3e-5,
        Dtype::Bf16 => 5e-3,
    }
}

pub const DTYPES: [Dtype; 2] = [Dtype::F32, Dtype::Bf16];
pub const WEIGHT_DTYPES: [WeightDtype; 4] =
    [WeightDtype::F32, WeightDtype::Bf16, WeightDtype::Q8, WeightDtype::Q4];
