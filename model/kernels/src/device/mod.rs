//! A card that kernels run on: memory, launches, timing, recorded sequences of launches. Two backends, one behaviour.
//!
//! - `cuda` drives an NVIDIA card through libcuda, opened at run time.
//! - `emulated` runs the same `.cu` files, compiled by the C++ compiler, on a grid of fibers: slow, and strict (memory
//!   starts as NaN, writes past a buffer's end are caught, blocks and threads run in any order asked for).
//!
//! All work goes to one stream, in order. A [`Device`] may be shared by threads, though the order of their launches is
//! then theirs to keep. Kernels and their wrappers are in [`ops`].

mod backend;
mod buffer;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "emulated")]
mod emulated;
mod error;
mod graph;
pub mod ops;
mod timing;

use std::sync::{Arc, OnceLock};

use backend::Backend;
pub use buffer::{Buffer, Pod, Slice, bytes_of};
#[cfg(feature = "emulated")]
pub use emulated::Order;
pub use error::DeviceError;
pub use graph::Graph;
pub use timing::Timing;

/// A card. Clones are the same card.
#[derive(Clone)]
pub struct Device {
    inner: Arc<Inner>,
}

struct Inner {
    // Dropped first: it may hold events of the backend.
    timing: timing::Recorder,
    backend: Backend,
    /// Why nothing runs on it any more, once it is so.
    lost: OnceLock<String>,
    info: DeviceInfo,
}

/// What a card is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// As the driver names it.
    pub name: String,
    /// `cuDriverGetVersion`: 1000 · major + 10 · minor; 0 when emulated.
    pub driver_version: u32,
    /// Major and minor; (0, 0) when emulated.
    pub compute_capability: (u32, u32),
    /// Streaming multiprocessors.
    pub multiprocessors: usize,
    /// Shared memory that a block may ask for, bytes.
    pub shared_bytes_max: usize,
    /// Device memory, bytes.
    pub memory_total: usize,
    /// Whether this is the emulator.
    pub emulated: bool,
}

/// An argument of a kernel.
#[derive(Clone, Copy, Debug)]
pub enum Arg<'a> {
    /// A pointer to the buffer's byte at the offset.
    Buffer(&'a Buffer, usize),
    /// A pointer to a view's first byte.
    Slice(Slice<'a>),
    /// A null pointer.
    Null,
    /// A 32-bit unsigned integer.
    U32(u32),
    /// A 32-bit integer.
    I32(i32),
    /// A 64-bit unsigned integer.
    U64(u64),
    /// A float.
    F32(f32),
}

impl Arg<'_> {
    /// Its bits as the kernel reads them, in the low bytes.
    fn bits(self) -> u64 {
        match self {
            Self::Buffer(buffer, offset) => buffer.inner.address + offset as u64,
            Self::Slice(slice) => slice.address(),
            Self::Null => 0,
            Self::U32(x) => u64::from(x),
            Self::I32(x) => u64::from(x.cast_unsigned()),
            Self::U64(x) => x,
            Self::F32(x) => u64::from(x.to_bits()),
        }
    }

    fn letter(&self) -> u8 {
        match self {
            Self::Buffer(..) | Self::Slice(_) | Self::Null => b'p',
            Self::U32(_) => b'u',
            Self::I32(_) => b'i',
            Self::U64(_) => b'U',
            Self::F32(_) => b'f',
        }
    }

    fn buffer(&self) -> Option<Buffer> {
        match self {
            Self::Buffer(buffer, _) => Some((*buffer).clone()),
            Self::Slice(slice) => Some(slice.buffer.clone()),
            _ => None,
        }
    }
}

/// One launch, ready for a backend.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub kernel: &'static str,
    pub grid: [u32; 3],
    pub block: [u32; 3],
    pub shared: usize,
    pub args: Vec<u64>,
    /// A letter for each argument's type, for the emulator to check.
    #[cfg_attr(not(feature = "emulated"), expect(dead_code, reason = "a driver cannot check them"))]
    pub types: Vec<u8>,
    /// Kept alive by a recorded launch, and checked by the emulator after it.
    pub buffers: Vec<Buffer>,
}

impl Device {
    /// Opens card `ordinal`.
    ///
    /// # Errors
    /// A different [`DeviceError`] for every cause: no driver, too old a driver, no such card, a busy card, no kernels
    /// for its architecture.
    #[cfg(feature = "cuda")]
    pub fn cuda(ordinal: usize) -> Result<Self, DeviceError> {
        let (card, info) = cuda::Card::open(ordinal)?;
        Ok(Self::new(Backend::Cuda(card), info))
    }

    /// An emulated card.
    #[cfg(feature = "emulated")]
    #[must_use]
    pub fn emulated() -> Self {
        Self::emulated_in(Order::Forward)
    }

    /// An emulated card whose blocks and threads take turns in `order`: results must not depend on it.
    #[cfg(feature = "emulated")]
    #[must_use]
    pub fn emulated_in(order: Order) -> Self {
        let (card, info) = emulated::Card::new(order);
        Self::new(Backend::Emulated(card), info)
    }

    /// Lets the emulated card have `bytes` of memory, less than what is in use already or not; for tests of what happens
    /// when it runs out. Nothing on a real card.
    #[cfg(feature = "emulated")]
    pub fn limit_memory(&self, bytes: usize) {
        #[cfg_attr(not(feature = "cuda"), expect(irrefutable_let_patterns, reason = "the only backend"))]
        if let Backend::Emulated(card) = self.backend() {
            card.limit_memory(bytes);
        }
    }

    /// Lets the emulated card's launches fail after so many more, until this is called with `None`; for tests of what
    /// happens then. Nothing on a real card.
    #[cfg(feature = "emulated")]
    pub fn fail_launches_after(&self, launches: Option<usize>) {
        #[cfg_attr(not(feature = "cuda"), expect(irrefutable_let_patterns, reason = "the only backend"))]
        if let Backend::Emulated(card) = self.backend() {
            card.fail_launches_after(launches);
        }
    }

    /// Lets the emulated card be lost after so many more launches, as a real one is by an illegal address; for tests of what
    /// happens then. Nothing on a real card.
    #[cfg(feature = "emulated")]
    pub fn lose_after(&self, launches: usize) {
        #[cfg_attr(not(feature = "cuda"), expect(irrefutable_let_patterns, reason = "the only backend"))]
        if let Backend::Emulated(card) = self.backend() {
            card.lose_after(launches);
        }
    }

    fn new(backend: Backend, info: DeviceInfo) -> Self {
        Self {
            inner: Arc::new(Inner {
                timing: timing::Recorder::default(),
                backend,
                lost: OnceLock::new(),
                info,
            }),
        }
    }

    /// What it is.
    #[must_use]
    pub fn info(&self) -> &DeviceInfo {
        &self.inner.info
    }

    /// Bytes of device memory that are free now.
    ///
    /// # Errors
    /// The driver's.
    pub fn memory_free(&self) -> Result<usize, DeviceError> {
        self.run(|backend| backend.memory_free())
    }

    /// `bytes` of uninitialised memory (NaN bytes when emulated).
    ///
    /// # Errors
    /// [`DeviceError::OutOfMemory`] leaves the device usable; [`DeviceError::Capturing`].
    pub fn alloc(&self, bytes: usize) -> Result<Buffer, DeviceError> {
        let address = self.run(|backend| backend.alloc(bytes))?;
        Ok(Buffer { inner: Arc::new(buffer::Allocation { device: self.clone(), address, bytes }) })
    }

    /// A new buffer that holds `values`.
    ///
    /// # Errors
    /// As [`Device::alloc`] and [`Device::upload`].
    pub fn buffer_of<T: Pod>(&self, values: &[T]) -> Result<Buffer, DeviceError> {
        let buffer = self.alloc(size_of_val(values))?;
        buffer.upload_slice(0, values)?;
        Ok(buffer)
    }

    /// Copies from the host to byte `at`, after what was launched; returns when `bytes` may be dropped.
    ///
    /// # Errors
    /// [`DeviceError::OutOfBounds`], [`DeviceError::Capturing`] and the driver's.
    pub fn upload(&self, to: &Buffer, at: usize, bytes: &[u8]) -> Result<(), DeviceError> {
        to.check(at, bytes.len())?;
        self.run(|backend| backend.upload(to.inner.address + at as u64, bytes))
    }

    /// Waits for what was launched, and copies from byte `at` to the host.
    ///
    /// # Errors
    /// As [`Device::upload`]; also an earlier kernel's failure.
    pub fn download(&self, from: &Buffer, at: usize, into: &mut [u8]) -> Result<(), DeviceError> {
        from.check(at, into.len())?;
        self.run(|backend| backend.download(from.inner.address + at as u64, into))
    }

    /// Sets `bytes` bytes from `at` to zero, in the stream's order.
    ///
    /// # Errors
    /// [`DeviceError::OutOfBounds`] and the driver's.
    pub fn zero(&self, buffer: &Buffer, at: usize, bytes: usize) -> Result<(), DeviceError> {
        buffer.check(at, bytes)?;
        self.run(|backend| backend.zero(buffer, at, bytes))
    }

    /// Copies `to.len()` bytes between two views that do not overlap, in the stream's order.
    ///
    /// # Errors
    /// [`DeviceError::Shape`] when the sizes differ, and the driver's.
    pub fn copy(&self, from: Slice<'_>, to: Slice<'_>) -> Result<(), DeviceError> {
        if from.len() != to.len() {
            let problem = format!("{} bytes do not fill {}", from.len(), to.len());
            return Err(DeviceError::Shape { op: "copy", problem });
        }
        self.run(|backend| backend.copy(from, to))
    }

    /// Launches a kernel by its name; `shared` is dynamic shared memory in bytes. Returns at once.
    ///
    /// # Errors
    /// [`DeviceError::NoSuchKernel`], [`DeviceError::Launch`].
    #[expect(clippy::too_many_arguments, reason = "a launch has these five, in CUDA's order")]
    pub fn launch(
        &self,
        kernel: &'static str,
        grid: [u32; 3],
        block: [u32; 3],
        shared: usize,
        args: &[Arg<'_>],
    ) -> Result<(), DeviceError> {
        if grid.contains(&0) {
            return Ok(());
        }
        let buffers = args.iter().filter_map(Arg::buffer).collect();
        let types = args.iter().map(Arg::letter).collect();
        let args = args.iter().map(|arg| arg.bits()).collect();
        self.run(|backend| backend.launch(Launch { kernel, grid, block, shared, args, types, buffers }))
    }

    /// Waits for everything launched so far.
    ///
    /// # Errors
    /// A launched kernel's failure.
    pub fn synchronize(&self) -> Result<(), DeviceError> {
        self.run(|backend| backend.synchronize())
    }

    /// Asks the backend, unless the card is lost; and notes that it is.
    fn run<T>(&self, call: impl FnOnce(&Backend) -> Result<T, DeviceError>) -> Result<T, DeviceError> {
        if let Some(reason) = self.inner.lost.get() {
            return Err(DeviceError::Lost { reason: reason.clone() });
        }
        let result = call(self.backend());
        if let Err(DeviceError::Lost { reason }) = &result {
            self.inner.lost.get_or_init(|| reason.clone());
        }
        result
    }

    fn backend(&self) -> &Backend {
        &self.inner.backend
    }

    pub(super) fn release(&self, address: u64, bytes: usize) {
        self.backend().release(address, bytes);
    }
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Device({})", self.inner.info.name)
    }
}
