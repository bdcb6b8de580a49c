//! What can go wrong with a device, each with what the user can do about it.

/// An error of a device or of one call to it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// libcuda could not be opened.
    #[error(
        "no NVIDIA driver: libcuda.so.1 was not found; install the driver, or run on the CPU with --device cpu"
    )]
    NoDriver,
    /// The driver cannot run what this binary was built with.
    #[error(
        "the NVIDIA driver supports CUDA {}.{}, this build needs {}.{} or later; update the driver (580 or later), or run on the CPU with --device cpu",
        found / 1000, found % 1000 / 10, needed / 1000, needed % 1000 / 10
    )]
    DriverTooOld {
        /// As `cuDriverGetVersion` says: 1000 · major + 10 · minor.
        found: u32,
        /// Likewise.
        needed: u32,
    },
    /// The driver is there, a card is not (or not this one).
    #[error(
        "there is no CUDA device {ordinal}: the driver sees {count}; check nvidia-smi and CUDA_VISIBLE_DEVICES"
    )]
    NoDevice {
        /// The device asked for.
        ordinal: usize,
        /// How many there are.
        count: usize,
    },
    /// Somebody holds the card exclusively.
    #[error("CUDA device {ordinal} is busy or set to exclusive use by another process; see nvidia-smi")]
    Busy {
        /// The device asked for.
        ordinal: usize,
    },
    /// The device's memory does not suffice.
    #[error(
        "the device is out of memory: {wanted} bytes were asked for, {free} are free; choose smaller weights (q8, q4), a shorter context or fewer candidates"
    )]
    OutOfMemory {
        /// Bytes asked for.
        wanted: usize,
        /// Bytes free then.
        free: usize,
    },
    /// No machine code in this binary fits the card.
    #[error("this build has no kernels for compute capability {}.{}; build with LACUNA_CUDA_ARCHS={}{}", capability.0, capability.1, capability.0, capability.1)]
    NoKernelFor {
        /// Major and minor.
        capability: (u32, u32),
    },
    /// The binary lacks a kernel by this name.
    #[error("this build has no kernel named {kernel}")]
    NoSuchKernel {
        /// Its name.
        kernel: String,
    },
    /// A launch was refused, or a kernel failed.
    #[error("kernel {kernel} failed: {reason}")]
    Launch {
        /// Its name; asynchronous failures may belong to an earlier one.
        kernel: String,
        /// As the driver says.
        reason: String,
    },
    /// A call to the driver failed.
    #[error("CUDA failed while {doing}: {reason}")]
    Driver {
        /// What was being done.
        doing: &'static str,
        /// As the driver says.
        reason: String,
    },
    /// A kernel's fault or the hardware's has ended the card's context: nothing of this process runs on the card any more.
    #[error(
        "the GPU is lost to this process ({reason}); start the program anew, or run on the CPU with --device cpu"
    )]
    Lost {
        /// The fault, and what was being done when it was seen.
        reason: String,
    },
    /// A copy or a view goes past the end of a buffer.
    #[error("bytes {at}..{} are outside a buffer of {size}", at + bytes)]
    OutOfBounds {
        /// First byte.
        at: usize,
        /// How many.
        bytes: usize,
        /// What the buffer has.
        size: usize,
    },
    /// Shapes, types or lengths that do not fit each other.
    #[error("{op}: {problem}")]
    Shape {
        /// The operation.
        op: &'static str,
        /// What was expected, and what came.
        problem: String,
    },
    /// Something that must not happen while launches are being recorded.
    #[error("{what} is not possible while a graph is being captured")]
    Capturing {
        /// What was asked for.
        what: &'static str,
    },
}
