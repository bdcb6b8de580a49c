//! The device itself: memory, bounds, graphs, timing, and the errors.

use lacuna_kernels::device::ops::{self, Dtype, Rows};
use lacuna_kernels::device::{Arg, DeviceError};

use crate::support::*;

#[test]
fn copies_stay_inside_their_buffers() {
    for device in devices() {
        let a = device.buffer_of(&[1_u32, 2, 3, 4]).unwrap();
        let b = device.alloc(16).unwrap();
        device.zero(&b, 0, 16).unwrap();
        device.copy(a.slice(4, 8).unwrap(), b.slice(8, 8).unwrap()).unwrap();
        assert_eq!(b.download_vec::<u32>(0, 4).unwrap(), [0, 0, 2, 3]);
        let outside = DeviceError::OutOfBounds { at: 8, bytes: 12, size: 16 };
        assert_eq!(a.upload_slice(8, &[1_u32; 3]).unwrap_err(), outside);
        assert_eq!(a.slice(8, 12).unwrap_err(), outside);
    }
}

#[test]
fn a_graph_repeats_what_was_recorded() {
    for device in devices() {
        let (x, y) = (device.buffer_of(&[1.0_f32; 40]).unwrap(), device.buffer_of(&[0.5_f32; 40]).unwrap());
        let rows = |buffer| Rows::new(buffer, Dtype::F32, 2, 20).unwrap();
        let graph = device.capture(|| ops::add_scaled(&device, rows(&x), rows(&y), 2.0)).unwrap();
        assert_eq!(read(&x, 1, Dtype::F32), [1.0], "recording runs nothing");
        for _ in 0..3 {
            graph.replay().unwrap();
        }
        assert_eq!(read(&x, 40, Dtype::F32), [4.0; 40]);
        let refused = device.capture(|| device.alloc(8).map(|_| ()));
        assert!(matches!(refused, Err(DeviceError::Capturing { .. })), "{refused:?}");
        ops::add_scaled(&device, rows(&x), rows(&y), 2.0).unwrap();
        assert_eq!(read(&x, 1, Dtype::F32), [5.0], "the device is usable after a refused capture");
    }
}

#[test]
fn what_follows_branches_waits_for_both() {
    for device in devices() {
        let [x, y, z] = [1.0_f32, 0.5, 8.0].map(|value| device.buffer_of(&[value; 40]).unwrap());
        let rows = |buffer| Rows::new(buffer, Dtype::F32, 2, 20).unwrap();
        let add = |to, from| ops::add_scaled(&device, rows(to), rows(from), 2.0);
        let all = || {
            device.beside(|| add(&x, &y), || add(&z, &y).and_then(|()| add(&z, &y)))?;
            add(&x, &z)
        };
        let graph = device.capture(all).unwrap();
        graph.replay().unwrap();
        assert_eq!((read(&x, 40, Dtype::F32), read(&z, 40, Dtype::F32)), (vec![22.0; 40], vec![10.0; 40]));
        all().unwrap();
        assert_eq!(read(&x, 40, Dtype::F32), [22.0 + 1.0 + 24.0; 40], "unrecorded too");
        let refused = device.capture(|| device.beside(|| device.alloc(8).map(|_| ()), || add(&x, &y)));
        assert!(matches!(refused, Err(DeviceError::Capturing { .. })), "{refused:?}");
        device.capture(all).unwrap().replay().unwrap();
        assert_eq!(read(&x, 1, Dtype::F32), [22.0 + 25.0 + 1.0 + 28.0], "after a branch that failed");
    }
}

#[test]
fn memory_runs_out_and_comes_back() {
    for device in devices() {
        let before = device.memory_free().unwrap();
        let error = device.alloc(1 << 50).unwrap_err();
        assert!(matches!(error, DeviceError::OutOfMemory { wanted, .. } if wanted == 1 << 50), "{error}");
        assert!(error.to_string().contains("q4"), "{error}");
        drop(device.alloc(1 << 20).unwrap());
        if device.info().emulated {
            assert_eq!(device.memory_free().unwrap(), before);
        }
    }
}

/// Without a driver, or with fewer cards, it is said which: nothing panics.
#[test]
#[cfg(feature = "cuda")]
fn a_card_that_is_not_there_is_an_error() {
    match lacuna_kernels::device::Device::cuda(1000).map(|_| ()) {
        Err(DeviceError::NoDriver) => skipped("there is no driver to ask for a card"),
        Err(DeviceError::NoDevice { ordinal: 1000, .. } | DeviceError::DriverTooOld { .. }) => {}
        other => panic!("{other:?}"),
    }
}

/// Faults on demand, for tests of what is above.
#[test]
#[cfg(feature = "emulated")]
fn an_emulated_card_fails_when_told_to() {
    let device = lacuna_kernels::device::Device::emulated();
    let x = device.buffer_of(&[1.0_f32; 8]).unwrap();
    let rows = Rows::new(&x, Dtype::F32, 1, 8).unwrap();
    device.limit_memory(100);
    assert_eq!(device.alloc(80).unwrap_err(), DeviceError::OutOfMemory { wanted: 80, free: 68 });
    device.fail_launches_after(Some(1));
    ops::add_scaled(&device, rows, rows, 1.0).unwrap();
    assert!(matches!(ops::add_scaled(&device, rows, rows, 1.0), Err(DeviceError::Launch { .. })));
    device.fail_launches_after(None);
    ops::add_scaled(&device, rows, rows, 1.0).unwrap();
    assert_eq!(read(&x, 1, Dtype::F32), [4.0], "two launches of three");
}

#[test]
fn time_is_told_by_label() {
    for device in devices() {
        let x = device.buffer_of(&[1.0_f32; 40]).unwrap();
        let rows = Rows::new(&x, Dtype::F32, 2, 20).unwrap();
        device.timing_start();
        for label in ["first", "second", "first"] {
            device.mark(label).unwrap();
            ops::add_scaled(&device, rows, rows, 1.0).unwrap();
        }
        let timings = device.timing_stop().unwrap();
        assert_eq!(
            timings.iter().map(|t| (t.label, t.spans)).collect::<Vec<_>>(),
            [("first", 2), ("second", 1)]
        );
        assert!(timings.iter().all(|t| t.ms >= 0.0));
    }
}

#[test]
fn kernels_are_known_by_name() {
    for device in devices() {
        let error = device.launch("no_such_kernel", [1; 3], [32, 1, 1], 0, &[]).unwrap_err();
        assert_eq!(error, DeviceError::NoSuchKernel { kernel: "no_such_kernel".to_owned() });
    }
}

/// What a real card would do in silence, the emulated one says.
#[test]
fn the_emulated_card_is_strict() {
    for device in devices().into_iter().filter(|device| device.info().emulated) {
        let x = device.buffer_of(&[1.0_f32; 8]).unwrap();
        let args = |stride| {
            let x = Arg::Buffer(&x, 0);
            [x, Arg::U32(stride), x, Arg::U32(stride), Arg::F32(1.0), Arg::U32(8)]
        };
        let error = device.launch("add_scaled", [2, 1, 1], [32, 1, 1], 0, &args(8)).unwrap_err();
        assert!(error.to_string().contains("outside a buffer of 32 bytes"), "{error}");
        let error = device.launch("add_scaled", [1, 1, 1], [32, 1, 1], 0, &args(8)[..4]).unwrap_err();
        assert!(error.to_string().contains("its arguments are pupufu, not pupu"), "{error}");
        let error = device.launch("add_scaled", [1, 1, 1], [20, 1, 1], 0, &args(8)).unwrap_err();
        assert!(error.to_string().contains("whole warps"), "{error}");
    }
}
