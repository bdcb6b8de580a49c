//! Which instruction set the kernels use: detected once, and lowered on purpose only by tests and measurements.

use std::cell::Cell;
use std::sync::OnceLock;

#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512};
use crate::simd::{Op, Portable};

/// An instruction set with its own compiled copy of every kernel, from the plainest to the fastest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    /// What the build target guarantees (SSE2 on x86-64, NEON on aarch64).
    Portable,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// x86-64 with AVX-512 F, BW, DQ and VL.
    Avx512,
    /// As [`Isa::Avx512`], with the bf16 dot product `vdpbf16ps`.
    Avx512Bf16,
}

thread_local! {
    static FORCED: Cell<Option<Isa>> = const { Cell::new(None) };
}

impl Isa {
    /// The best instruction set of this processor. Detected once per process.
    #[must_use]
    pub fn detect() -> Self {
        static DETECTED: OnceLock<Isa> = OnceLock::new();
        *DETECTED.get_or_init(|| Self::supported().last().copied().unwrap_or(Self::Portable))
    }

    /// Every instruction set that this processor can run, from the plainest to the fastest.
    #[must_use]
    pub fn supported() -> Vec<Self> {
        [Self::Portable, Self::Avx2, Self::Avx512, Self::Avx512Bf16]
            .into_iter()
            .filter(|isa| isa.runs_here())
            .collect()
    }

    /// Its name, for diagnostics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2+fma",
            Self::Avx512 => "avx512",
            Self::Avx512Bf16 => "avx512+bf16",
        }
    }

    /// Runs `work` with the kernels called from this thread held to `self`, for tests and measurements.
    ///
    /// # Panics
    /// When this processor lacks `self`; ask [`Isa::supported`] first.
    pub fn with<R>(self, work: impl FnOnce() -> R) -> R {
        struct Restore(Option<Isa>);
        impl Drop for Restore {
            fn drop(&mut self) {
                FORCED.set(self.0);
            }
        }
        assert!(self.runs_here(), "this processor cannot run {} kernels", self.name());
        let _restore = Restore(FORCED.replace(Some(self)));
        work()
    }

    /// What a kernel entered on this thread uses. Read once at entry and passed to the tasks it spawns.
    pub(crate) fn current() -> Self {
        FORCED.get().unwrap_or_else(Self::detect)
    }

    #[cfg(target_arch = "x86_64")]
    fn runs_here(self) -> bool {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let avx512 = avx2
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        match self {
            Self::Portable => true,
            Self::Avx2 => avx2,
            Self::Avx512 => avx512,
            Self::Avx512Bf16 => avx512 && is_x86_feature_detected!("avx512bf16"),
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn runs_here(self) -> bool {
        self == Self::Portable
    }

    /// Runs `op` compiled for this instruction set.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn run<O: Op>(self, op: O) -> O::Output {
        // SAFETY: an `Isa` other than `Portable` comes from `detect` or through the check in `with` (the only two
        // sources of `current`), so the processor has the features that each function is compiled for.
        unsafe {
            match self {
                Self::Portable => op.run(Portable),
                Self::Avx2 => run_avx2(op),
                Self::Avx512 => run_avx512(op),
                Self::Avx512Bf16 => run_avx512_bf16(op),
            }
        }
    }

    /// Runs `op` compiled for this instruction set.
    #[cfg(not(target_arch = "x86_64"))]
    pub(crate) fn run<O: Op>(self, op: O) -> O::Output {
        op.run(Portable)
    }
}

/// # Safety
/// The processor has AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn run_avx2<O: Op>(op: O) -> O::Output {
    // SAFETY: the caller's promise is the token's.
    op.run(unsafe { Avx2::new() })
}

/// # Safety
/// The processor has AVX-512 F, BW, DQ and VL, and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn run_avx512<O: Op>(op: O) -> O::Output {
    // SAFETY: the caller's promise is the token's.
    op.run(unsafe { Avx512::<false>::new() })
}

/// # Safety
/// The processor has AVX-512 F, BW, DQ, VL and BF16, and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")]
unsafe fn run_avx512_bf16<O: Op>(op: O) -> O::Output {
    // SAFETY: the caller's promise is the token's.
    op.run(unsafe { Avx512::<true>::new() })
}
