//! An NVIDIA card through libcuda, opened at run time. One context, one stream.

mod open;

use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::ptr;
use std::sync::{Mutex, OnceLock, PoisonError};

use cudarc::driver::sys::{self, CUresult};

use super::{Buffer, DeviceError, DeviceInfo, Launch, Slice};

/// The compiled kernel files: name and fat binary.
static FATBINS: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/fatbins.rs"));

pub(super) struct Card {
    ordinal: sys::CUdevice,
    context: sys::CUcontext,
    stream: sys::CUstream,
    /// A second stream for what is recorded beside the first, and the events by which it leaves and comes back.
    side: sys::CUstream,
    forks: [sys::CUevent; 2],
    modules: Vec<sys::CUmodule>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Kernels looked up so far, with the dynamic shared memory they were allowed.
    functions: HashMap<&'static str, (Function, usize)>,
    /// While a graph is captured: the buffers its launches use.
    recording: Option<Vec<Buffer>>,
    /// Whether launches go to the second stream.
    aside: bool,
}

#[derive(Clone, Copy)]
struct Function(sys::CUfunction);
// SAFETY: handles of the driver, which is thread-safe.
unsafe impl Send for Function {}
// SAFETY: as above; the context is made current before every call.
unsafe impl Send for Card {}
// SAFETY: as above.
unsafe impl Sync for Card {}

/// A captured graph, ready to launch, and what it must keep alive.
#[derive(Debug)]
pub(super) struct Recorded {
    executable: sys::CUgraphExec,
    graph: sys::CUgraph,
    _buffers: Vec<Buffer>,
}
// SAFETY: handles of the driver, used with the card's context current.
unsafe impl Send for Recorded {}
// SAFETY: as above; launching is the only use.
unsafe impl Sync for Recorded {}

impl Drop for Recorded {
    fn drop(&mut self) {
        // SAFETY: both handles are ours and used nowhere else.
        unsafe {
            sys::cuGraphExecDestroy(self.executable);
            sys::cuGraphDestroy(self.graph);
        }
    }
}

/// A moment in the stream.
pub(super) struct Event(sys::CUevent);
// SAFETY: a handle of the driver.
unsafe impl Send for Event {}

impl Event {
    pub(super) fn milliseconds_to(&self, later: &Self) -> Result<f64, DeviceError> {
        let mut ms = 0.0;
        // SAFETY: both events were recorded, and the stream has been waited for.
        done("reading a clock", unsafe { sys::cuEventElapsedTime_v2(&raw mut ms, self.0, later.0) })?;
        Ok(f64::from(ms))
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: the handle is ours.
        unsafe { sys::cuEventDestroy_v2(self.0) };
    }
}

impl Card {
    pub(super) fn open(ordinal: usize) -> Result<(Self, DeviceInfo), DeviceError> {
        if let Some(reason) = LOST.get() {
            return Err(DeviceError::Lost { reason: reason.clone() });
        }
        // SAFETY: only looks whether the library can be opened.
        if !unsafe { sys::is_culib_present() } {
            return Err(DeviceError::NoDriver);
        }
        let (device, driver) = open::find(ordinal)?;
        let info = open::describe(device, driver)?;
        let mut context = ptr::null_mut();
        // SAFETY: the device exists; the context is released when the card is dropped.
        match unsafe { sys::cuDevicePrimaryCtxRetain(&raw mut context, device) } {
            CUresult::CUDA_ERROR_DEVICE_UNAVAILABLE => return Err(DeviceError::Busy { ordinal }),
            CUresult::CUDA_ERROR_OUT_OF_MEMORY => return Err(DeviceError::Busy { ordinal }),
            result => done("opening the device", result)?,
        }
        let mut card = Self {
            ordinal: device,
            context,
            stream: ptr::null_mut(),
            side: ptr::null_mut(),
            forks: [ptr::null_mut(); 2],
            modules: Vec::new(),
            state: Mutex::default(),
        };
        card.enter()?;
        // SAFETY: the context is current; a non-blocking stream of our own.
        done("making a stream", unsafe { sys::cuStreamCreate(&raw mut card.stream, 1) })?;
        // SAFETY: as above; events without clocks, which a recording may use.
        unsafe {
            done("making a second stream", sys::cuStreamCreate(&raw mut card.side, 1))?;
            for fork in &mut card.forks {
                done("making an event", sys::cuEventCreate(&raw mut *fork, 2))?;
            }
        }
        for (_, image) in FATBINS {
            card.modules.push(open::load(image, info.compute_capability)?);
        }
        Ok((card, info))
    }

    /// Makes the card's context the thread's.
    fn enter(&self) -> Result<(), DeviceError> {
        // SAFETY: the context lives as long as the card.
        done("entering the device's context", unsafe { sys::cuCtxSetCurrent(self.context) })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refuse_while_recording(&self, what: &'static str) -> Result<(), DeviceError> {
        if self.state().recording.is_some() { Err(DeviceError::Capturing { what }) } else { Ok(()) }
    }

    pub(super) fn memory_free(&self) -> Result<usize, DeviceError> {
        self.enter()?;
        let (mut free, mut total) = (0, 0);
        // SAFETY: writes two numbers.
        done("asking for free memory", unsafe { sys::cuMemGetInfo_v2(&raw mut free, &raw mut total) })?;
        Ok(free)
    }

    pub(super) fn alloc(&self, bytes: usize) -> Result<u64, DeviceError> {
        self.refuse_while_recording("allocating")?;
        self.enter()?;
        let mut address = 0;
        // SAFETY: writes an address; a size of zero is not allowed.
        match unsafe { sys::cuMemAlloc_v2(&raw mut address, bytes.max(1)) } {
            CUresult::CUDA_ERROR_OUT_OF_MEMORY => {
                Err(DeviceError::OutOfMemory { wanted: bytes, free: self.memory_free()? })
            }
            result => done("allocating", result).map(|()| address),
        }
    }

    pub(super) fn release(&self, address: u64, _bytes: usize) {
        if self.enter().is_ok() {
            // SAFETY: `alloc` made it; freeing waits for what still uses it.
            unsafe { sys::cuMemFree_v2(address) };
        }
    }

    pub(super) fn upload(&self, to: u64, bytes: &[u8]) -> Result<(), DeviceError> {
        self.refuse_while_recording("uploading")?;
        self.enter()?;
        // SAFETY: the caller checked the bounds; the stream is waited for before `bytes` can go.
        unsafe {
            let from = bytes.as_ptr().cast::<c_void>();
            done("uploading", sys::cuMemcpyHtoDAsync_v2(to, from, bytes.len(), self.stream))?;
        }
        self.synchronize()
    }

    pub(super) fn download(&self, from: u64, into: &mut [u8]) -> Result<(), DeviceError> {
        self.refuse_while_recording("downloading")?;
        self.enter()?;
        // SAFETY: as in `upload`.
        unsafe {
            let to = into.as_mut_ptr().cast::<c_void>();
            done("downloading", sys::cuMemcpyDtoHAsync_v2(to, from, into.len(), self.stream))?;
        }
        self.synchronize()
    }

    pub(super) fn zero(&self, buffer: &Buffer, at: usize, bytes: usize) -> Result<(), DeviceError> {
        if bytes == 0 {
            return Ok(());
        }
        self.enter()?;
        self.keep(std::slice::from_ref(buffer));
        let to = buffer.inner.address + at as u64;
        // SAFETY: the caller checked the bounds.
        done("zeroing", unsafe { sys::cuMemsetD8Async(to, 0, bytes, self.current()) })
    }

    pub(super) fn copy(&self, from: Slice<'_>, to: Slice<'_>) -> Result<(), DeviceError> {
        if to.bytes == 0 {
            return Ok(());
        }
        self.enter()?;
        self.keep(&[from.buffer.clone(), to.buffer.clone()]);
        // SAFETY: views are in bounds, and have one size.
        done("copying", unsafe {
            sys::cuMemcpyDtoDAsync_v2(to.address(), from.address(), to.bytes, self.current())
        })
    }

    pub(super) fn synchronize(&self) -> Result<(), DeviceError> {
        self.refuse_while_recording("waiting")?;
        self.enter()?;
        // SAFETY: the stream is ours.
        done("waiting for the device", unsafe { sys::cuStreamSynchronize(self.stream) })
    }

    pub(super) fn launch(&self, launch: Launch) -> Result<(), DeviceError> {
        self.enter()?;
        let function = self.function(launch.kernel, launch.shared)?;
        self.keep(&launch.buffers);
        let mut args = launch.args;
        let mut pointers: Vec<*mut c_void> = args.iter_mut().map(|arg| ptr::from_mut(arg).cast()).collect();
        let ([gx, gy, gz], [bx, by, bz]) = (launch.grid, launch.block);
        // SAFETY: the kernel has these arguments (the emulated card checks every launch's types); the driver copies them
        // before it returns; buffers live until the stream is done with them, since freeing waits.
        let result = unsafe {
            sys::cuLaunchKernel(
                function.0,
                gx,
                gy,
                gz,
                bx,
                by,
                bz,
                launch.shared as u32,
                self.current(),
                pointers.as_mut_ptr(),
                ptr::null_mut(),
            )
        };
        match result {
            CUresult::CUDA_SUCCESS => Ok(()),
            result if is_sticky(result) => Err(lost("launching", result)),
            result => Err(DeviceError::Launch { kernel: launch.kernel.to_owned(), reason: reason(result) }),
        }
    }

    /// Where launches go.
    fn current(&self) -> sys::CUstream {
        if self.state().aside { self.side } else { self.stream }
    }

    pub(super) fn beside(
        &self,
        side: impl FnOnce() -> Result<(), DeviceError>,
        main: impl FnOnce() -> Result<(), DeviceError>,
    ) -> Result<(), DeviceError> {
        if self.state().recording.is_none() {
            return side().and_then(|()| main());
        }
        self.enter()?;
        let [fork, join] = self.forks;
        // SAFETY: streams and events are ours. A stream that waits for a captured event is captured with it.
        unsafe {
            done("leaving the stream", sys::cuEventRecord(fork, self.stream))?;
            done("leaving the stream", sys::cuStreamWaitEvent(self.side, fork, 0))?;
        }
        self.state().aside = true;
        let result = side();
        self.state().aside = false;
        // SAFETY: as above. A capture can end only when both streams are one again, so that comes first, whatever failed.
        let left = done("coming back to the stream", unsafe { sys::cuEventRecord(join, self.side) });
        let result = result.and_then(|()| main());
        // SAFETY: as above.
        let back = done("coming back to the stream", unsafe { sys::cuStreamWaitEvent(self.stream, join, 0) });
        result.and(left).and(back)
    }

    /// Keeps buffers alive for the graph being captured, if one is.
    fn keep(&self, buffers: &[Buffer]) {
        if let Some(kept) = self.state().recording.as_mut() {
            kept.extend_from_slice(buffers);
        }
    }

    /// The kernel of this name, allowed `shared` bytes of dynamic shared memory.
    fn function(&self, kernel: &'static str, shared: usize) -> Result<Function, DeviceError> {
        let mut state = self.state();
        if let Some((function, allowed)) = state.functions.get(kernel)
            && *allowed >= shared
        {
            return Ok(*function);
        }
        let missing = || DeviceError::NoSuchKernel { kernel: kernel.to_owned() };
        let name = CString::new(kernel).map_err(|_| missing())?;
        let find = |&module: &sys::CUmodule| {
            let mut function = ptr::null_mut();
            // SAFETY: the module is loaded, the name ends in zero.
            let result = unsafe { sys::cuModuleGetFunction(&raw mut function, module, name.as_ptr()) };
            (result == CUresult::CUDA_SUCCESS).then_some(function)
        };
        let function = self.modules.iter().find_map(find).ok_or_else(missing)?;
        if shared > 48 << 10 {
            let attribute = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            // SAFETY: the function is loaded.
            let result = unsafe { sys::cuFuncSetAttribute(function, attribute, shared as i32) };
            if result != CUresult::CUDA_SUCCESS {
                let reason = format!("{shared} bytes of shared memory: {}", reason(result));
                return Err(DeviceError::Launch { kernel: kernel.to_owned(), reason });
            }
        }
        state.functions.insert(kernel, (Function(function), shared.max(48 << 10)));
        Ok(Function(function))
    }

    pub(super) fn event(&self) -> Result<Event, DeviceError> {
        self.refuse_while_recording("taking the time")?;
        self.enter()?;
        let mut event = ptr::null_mut();
        // SAFETY: makes and records an event of our own.
        unsafe {
            done("making an event", sys::cuEventCreate(&raw mut event, 0))?;
            let event = Event(event);
            done("recording an event", sys::cuEventRecord(event.0, self.stream))?;
            Ok(event)
        }
    }

    pub(super) fn capture(
        &self,
        f: impl FnOnce() -> Result<(), DeviceError>,
    ) -> Result<Recorded, DeviceError> {
        self.refuse_while_recording("capturing")?;
        self.enter()?;
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the stream is ours, and captures nothing else.
        done("beginning a capture", unsafe { sys::cuStreamBeginCapture_v2(self.stream, mode) })?;
        self.state().recording = Some(Vec::new());
        let result = f();
        let buffers = self.state().recording.take().unwrap_or_default();
        let (mut graph, mut executable) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: ends what began above, also where `f` failed; the graph is ours from here on.
        unsafe {
            let ended = sys::cuStreamEndCapture(self.stream, &raw mut graph);
            if result.is_err() && ended == CUresult::CUDA_SUCCESS {
                sys::cuGraphDestroy(graph);
            }
            result?;
            done("ending a capture", ended)?;
            let made = sys::cuGraphInstantiateWithFlags(&raw mut executable, graph, 0);
            if made != CUresult::CUDA_SUCCESS {
                sys::cuGraphDestroy(graph);
            }
            done("making a graph", made)?;
        }
        Ok(Recorded { executable, graph, _buffers: buffers })
    }

    pub(super) fn replay(&self, recorded: &Recorded) -> Result<(), DeviceError> {
        self.enter()?;
        // SAFETY: the graph and its buffers are alive.
        done("launching a graph", unsafe { sys::cuGraphLaunch(recorded.executable, self.stream) })
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        if self.enter().is_ok() {
            // SAFETY: nothing uses the card any more: buffers and graphs keep it alive.
            unsafe {
                sys::cuStreamSynchronize(self.stream);
                for &module in &self.modules {
                    sys::cuModuleUnload(module);
                }
                for fork in self.forks {
                    sys::cuEventDestroy_v2(fork);
                }
                sys::cuStreamDestroy_v2(self.side);
                sys::cuStreamDestroy_v2(self.stream);
                sys::cuDevicePrimaryCtxRelease_v2(self.ordinal);
            }
        }
    }
}

/// The driver's words for a result.
fn reason(result: CUresult) -> String {
    let mut text = ptr::null();
    // SAFETY: the driver gives a static string, or nothing.
    unsafe {
        if sys::cuGetErrorString(result, &raw mut text) == CUresult::CUDA_SUCCESS && !text.is_null() {
            return format!("{} ({result:?})", std::ffi::CStr::from_ptr(text).to_string_lossy());
        }
    }
    format!("{result:?}")
}

/// The fault after which this process opens no card any more: the driver's manual has it started anew.
static LOST: OnceLock<String> = OnceLock::new();

/// Whether a result ends the context: every later call would give it again.
fn is_sticky(result: CUresult) -> bool {
    use CUresult as R;
    let sticky = [
        R::CUDA_ERROR_ILLEGAL_ADDRESS,
        R::CUDA_ERROR_MISALIGNED_ADDRESS,
        R::CUDA_ERROR_INVALID_ADDRESS_SPACE,
        R::CUDA_ERROR_INVALID_PC,
        R::CUDA_ERROR_ILLEGAL_INSTRUCTION,
        R::CUDA_ERROR_HARDWARE_STACK_ERROR,
        R::CUDA_ERROR_ASSERT,
        R::CUDA_ERROR_LAUNCH_FAILED,
        R::CUDA_ERROR_LAUNCH_TIMEOUT,
        R::CUDA_ERROR_ECC_UNCORRECTABLE,
        R::CUDA_ERROR_NVLINK_UNCORRECTABLE,
        R::CUDA_ERROR_CONTEXT_IS_DESTROYED,
    ];
    sticky.contains(&result)
}

fn lost(doing: &'static str, result: CUresult) -> DeviceError {
    let reason = LOST.get_or_init(|| format!("{} while {doing}", reason(result)));
    DeviceError::Lost { reason: reason.clone() }
}

fn done(doing: &'static str, result: CUresult) -> Result<(), DeviceError> {
    match result {
        CUresult::CUDA_SUCCESS => Ok(()),
        result if is_sticky(result) => Err(lost(doing, result)),
        result => Err(DeviceError::Driver { doing, reason: reason(result) }),
    }
}
