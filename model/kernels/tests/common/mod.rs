//! What the twins share: seeded numbers, every instruction set, pools of different sizes, and a comparison.

#![allow(
    dead_code,
    clippy::expect_used,
    reason = "each test file uses its part, and a failed set-up is a failed test"
)]

use lacuna_kernels::Isa;

/// Numbers in [-1, 1), the same for the same seed (SplitMix64).
pub fn numbers(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678;
    (0..len)
        .map(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

/// As [`numbers`], times `scale`.
pub fn scaled(seed: u64, len: usize, scale: f32) -> Vec<f32> {
    numbers(seed, len).into_iter().map(|x| x * scale).collect()
}

/// Runs `body` with every instruction set that this machine has.
pub fn each_isa(mut body: impl FnMut(Isa)) {
    for isa in Isa::supported() {
        isa.with(|| body(isa));
    }
}

/// What `work` gives in a pool of one thread and in one of three.
pub fn in_pools<R: Send>(work: impl Fn() -> R + Sync) -> [R; 2] {
    [1, 3].map(|threads| {
        let pool =
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool of a few threads");
        pool.install(&work)
    })
}

/// Fails unless `|got - want| ≤ tolerance · max(1, |want|)` everywhere (and NaN where NaN is wanted).
pub fn assert_close(got: &[f32], want: &[f64], tolerance: f64, what: &str) {
    assert_eq!(got.len(), want.len(), "{what}: lengths");
    for (i, (&g, &w)) in got.iter().zip(want).enumerate() {
        let fine = if w.is_nan() || w.is_infinite() {
            w.is_nan() == g.is_nan() && (w.is_nan() || f64::from(g) == w)
        } else {
            (f64::from(g) - w).abs() <= tolerance * w.abs().max(1.0)
        };
        assert!(fine, "{what}: element {i} is {g}, the twin says {w}");
    }
}

/// Fails unless both have the same bits.
pub fn assert_same_bits(a: &[f32], b: &[f32], what: &str) {
    assert_eq!(a.len(), b.len(), "{what}: lengths");
    for (i, (x, y)) in a.iter().zip(b).enumerate() {
        assert_eq!(x.to_bits(), y.to_bits(), "{what}: element {i} is {x} and {y}");
    }
}
