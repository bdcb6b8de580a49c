//! The emulated card: host memory with red zones, and launches that run at once, blocks spread over the pool.

use std::ffi::{CStr, c_char, c_int};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::{Buffer, DeviceError, DeviceInfo, Launch, Slice};

/// In which order an emulated card's blocks and threads take turns; results must not depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Rising; asynchronous copies happen as late as they may.
    Forward,
    /// Falling; asynchronous copies happen at once.
    Reverse,
    /// Changing all the time, the same in every run.
    Shuffled,
}

impl Order {
    /// As Ada's, and in reverse as Hopper's, so that kernels which choose by it are all seen.
    fn shared_bytes_max(self) -> usize {
        if self == Self::Reverse { 227 << 10 } else { 99 << 10 }
    }
}

/// Bytes around every allocation that nobody may write.
const RED_ZONE: usize = 4096;
const GUARD: u8 = 0xfb;
/// What new memory holds: NaN in every float format, and an index far out of range.
const POISON: u8 = 0xff;
/// Refused beyond this, so that tests can run out of memory.
const MEMORY: usize = 64 << 30;

#[repr(C)]
struct Entry {
    name: *const c_char,
    types: *const c_char,
    call: unsafe extern "C" fn(*const u64),
}

// SAFETY: entries are constants with static strings.
unsafe impl Sync for Entry {}

unsafe extern "C" {
    fn lacuna_emulated_kernel(name: *const u8, length: usize) -> *const Entry;
    fn lacuna_emulated_block(
        entry: *const Entry,
        args: *const u64,
        grid: *const u32,
        block: *const u32,
        shared: usize,
        index: *const u32,
        order: c_int,
    ) -> c_int;
}

pub(super) struct Card {
    order: Order,
    state: Mutex<State>,
}

struct State {
    used: usize,
    /// All the memory there is.
    memory: usize,
    /// Launches that still succeed.
    launches_left: Option<usize>,
    /// Whether the card is lost when they are used up; otherwise launches fail one by one.
    loses: bool,
    recording: Option<Vec<Step>>,
}

/// What a graph repeats.
#[derive(Debug)]
enum Step {
    Launch(Launch),
    Zero(Buffer, usize, usize),
    Copy { from: (Buffer, usize), to: (Buffer, usize), bytes: usize },
}

#[derive(Debug)]
pub(super) struct Recorded(Vec<Step>);

impl Card {
    pub(super) fn new(order: Order) -> (Self, DeviceInfo) {
        let info = DeviceInfo {
            name: "emulated card".to_owned(),
            driver_version: 0,
            compute_capability: (0, 0),
            multiprocessors: 4,
            shared_bytes_max: order.shared_bytes_max(),
            memory_total: MEMORY,
            emulated: true,
        };
        let state = State { used: 0, memory: MEMORY, launches_left: None, loses: false, recording: None };
        (Self { order, state: Mutex::new(state) }, info)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn limit_memory(&self, bytes: usize) {
        self.state().memory = bytes;
    }

    pub(super) fn fail_launches_after(&self, launches: Option<usize>) {
        self.state().launches_left = launches;
    }

    pub(super) fn lose_after(&self, launches: usize) {
        let mut state = self.state();
        (state.launches_left, state.loses) = (Some(launches), true);
    }

    /// Counts a launch, and says whether it may succeed.
    fn may_launch(&self) -> bool {
        match &mut self.state().launches_left {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }

    /// Keeps `step` for a graph, if one is being recorded.
    fn record(&self, step: impl FnOnce() -> Step) -> bool {
        self.state().recording.as_mut().map(|steps| steps.push(step())).is_some()
    }

    fn refuse_while_recording(&self, what: &'static str) -> Result<(), DeviceError> {
        if self.state().recording.is_some() { Err(DeviceError::Capturing { what }) } else { Ok(()) }
    }

    pub(super) fn memory_free(&self) -> Result<usize, DeviceError> {
        let state = self.state();
        Ok(state.memory.saturating_sub(state.used))
    }

    pub(super) fn alloc(&self, bytes: usize) -> Result<u64, DeviceError> {
        self.refuse_while_recording("allocating")?;
        let mut state = self.state();
        let free = state.memory.saturating_sub(state.used);
        let Some(layout) = layout(bytes).filter(|_| bytes <= free) else {
            return Err(DeviceError::OutOfMemory { wanted: bytes, free });
        };
        // SAFETY: the layout is not empty; the three writes cover it exactly.
        unsafe {
            let first = std::alloc::alloc(layout);
            if first.is_null() {
                return Err(DeviceError::OutOfMemory { wanted: bytes, free });
            }
            first.write_bytes(GUARD, RED_ZONE);
            first.add(RED_ZONE).write_bytes(POISON, bytes);
            first.add(RED_ZONE + bytes).write_bytes(GUARD, RED_ZONE);
            state.used += bytes;
            Ok(first.add(RED_ZONE) as u64)
        }
    }

    pub(super) fn release(&self, address: u64, bytes: usize) {
        self.state().used -= bytes;
        if let Some(layout) = layout(bytes) {
            // SAFETY: `alloc` made it with this layout, and `Allocation` drops once.
            unsafe { std::alloc::dealloc((address as *mut u8).sub(RED_ZONE), layout) };
        }
    }

    pub(super) fn upload(&self, to: u64, bytes: &[u8]) -> Result<(), DeviceError> {
        self.refuse_while_recording("uploading")?;
        // SAFETY: the caller checked the bounds.
        unsafe { (to as *mut u8).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        Ok(())
    }

    pub(super) fn download(&self, from: u64, into: &mut [u8]) -> Result<(), DeviceError> {
        self.refuse_while_recording("downloading")?;
        // SAFETY: the caller checked the bounds.
        unsafe { into.as_mut_ptr().copy_from_nonoverlapping(from as *const u8, into.len()) };
        Ok(())
    }

    pub(super) fn zero(&self, buffer: &Buffer, at: usize, bytes: usize) -> Result<(), DeviceError> {
        if !self.record(|| Step::Zero(buffer.clone(), at, bytes)) {
            // SAFETY: the caller checked the bounds.
            unsafe { ((buffer.inner.address + at as u64) as *mut u8).write_bytes(0, bytes) };
        }
        Ok(())
    }

    pub(super) fn copy(&self, from: Slice<'_>, to: Slice<'_>) -> Result<(), DeviceError> {
        let step = || Step::Copy {
            from: (from.buffer.clone(), from.offset),
            to: (to.buffer.clone(), to.offset),
            bytes: to.bytes,
        };
        if !self.record(step) {
            // SAFETY: views are in bounds, and have one size.
            unsafe { (to.address() as *mut u8).copy_from(from.address() as *const u8, to.bytes) };
        }
        Ok(())
    }

    pub(super) fn synchronize(&self) -> Result<(), DeviceError> {
        self.refuse_while_recording("waiting")
    }

    pub(super) fn launch(&self, launch: Launch) -> Result<(), DeviceError> {
        let entry = check(&launch)?;
        let allowed = self.order.shared_bytes_max();
        if launch.shared > allowed {
            let reason = format!("{} bytes of shared memory, a block may have {allowed}", launch.shared);
            return Err(DeviceError::Launch { kernel: launch.kernel.to_owned(), reason });
        }
        let mut launch = Some(launch);
        if self.record(|| Step::Launch(launch.take().unwrap_or_else(|| unreachable!("taken once")))) {
            return Ok(());
        }
        launch.map_or(Ok(()), |launch| self.run(entry, &launch))
    }

    fn run(&self, entry: &Entry, launch: &Launch) -> Result<(), DeviceError> {
        if !self.may_launch() {
            let reason = "a fault that a test asked for".to_owned();
            if self.state().loses {
                return Err(DeviceError::Lost { reason });
            }
            return Err(DeviceError::Launch { kernel: launch.kernel.to_owned(), reason });
        }
        let [x, y, z] = launch.grid;
        let count = x * y * z;
        let one = |n: u32| {
            let n = match self.order {
                Order::Forward => n,
                _ => count - 1 - n,
            };
            let index = [n % x, n / x % y, n / x / y];
            // SAFETY: the entry has these arguments, as `check` saw; pointers are to live buffers.
            unsafe {
                lacuna_emulated_block(
                    entry,
                    launch.args.as_ptr(),
                    launch.grid.as_ptr(),
                    launch.block.as_ptr(),
                    launch.shared,
                    index.as_ptr(),
                    self.order as c_int,
                )
            }
        };
        let worst = (0..count).into_par_iter().map(one).max().unwrap_or(0);
        let reason = match worst {
            0 => match launch.buffers.iter().find(|buffer| !intact(buffer)) {
                None => return Ok(()),
                Some(buffer) => format!("it wrote outside a buffer of {} bytes", buffer.len()),
            },
            1 => "deadlock: some threads wait where others never come".to_owned(),
            _ => format!("it wrote outside its {} bytes of shared memory", launch.shared),
        };
        Err(DeviceError::Launch { kernel: launch.kernel.to_owned(), reason })
    }

    pub(super) fn capture(
        &self,
        f: impl FnOnce() -> Result<(), DeviceError>,
    ) -> Result<Recorded, DeviceError> {
        self.refuse_while_recording("capturing")?;
        self.state().recording = Some(Vec::new());
        let result = f();
        let steps = self.state().recording.take().unwrap_or_default();
        result.map(|()| Recorded(steps))
    }

    /// What was recorded beside each other is replayed one after the other, in reverse the other way round, or by turns.
    pub(super) fn beside(
        &self,
        side: impl FnOnce() -> Result<(), DeviceError>,
        main: impl FnOnce() -> Result<(), DeviceError>,
    ) -> Result<(), DeviceError> {
        let Some(before) = self.state().recording.replace(Vec::new()) else {
            self.state().recording = None;
            return side().and_then(|()| main());
        };
        let recorded = || self.state().recording.replace(Vec::new()).unwrap_or_default();
        let mut result = side();
        let mut aside = recorded();
        result = result.and_then(|()| main());
        let mut steps = recorded();
        if self.order == Order::Shuffled {
            let (mut first, mut second) = (aside.into_iter(), steps.into_iter());
            steps = Vec::new();
            while first.len() + second.len() > 0 {
                steps.extend(first.next().into_iter().chain(second.next()));
            }
        } else if self.order == Order::Reverse {
            steps.append(&mut aside);
        } else {
            aside.append(&mut steps);
            steps = aside;
        }
        self.state().recording = Some(before.into_iter().chain(steps).collect());
        result
    }

    pub(super) fn replay(&self, recorded: &Recorded) -> Result<(), DeviceError> {
        for step in &recorded.0 {
            match step {
                Step::Launch(launch) => self.run(check(launch)?, launch)?,
                Step::Zero(buffer, at, bytes) => self.zero(buffer, *at, *bytes)?,
                Step::Copy { from, to, bytes } => {
                    self.copy(from.0.slice(from.1, *bytes)?, to.0.slice(to.1, *bytes)?)?;
                }
            }
        }
        Ok(())
    }
}

fn layout(bytes: usize) -> Option<std::alloc::Layout> {
    std::alloc::Layout::from_size_align(bytes.checked_add(2 * RED_ZONE)?, 4096).ok()
}

/// Whether both red zones are as `alloc` left them.
fn intact(buffer: &Buffer) -> bool {
    let zone = |at: u64| {
        // SAFETY: both zones belong to the allocation.
        let bytes = unsafe { std::slice::from_raw_parts(at as *const u8, RED_ZONE) };
        bytes.iter().all(|&b| b == GUARD)
    };
    let first = buffer.inner.address;
    zone(first - RED_ZONE as u64) && zone(first + buffer.len() as u64)
}

/// The kernel's entry, if the launch fits it and a real card would take it.
fn check(launch: &Launch) -> Result<&'static Entry, DeviceError> {
    // SAFETY: the name is a valid slice; entries are static.
    let entry = unsafe { lacuna_emulated_kernel(launch.kernel.as_ptr(), launch.kernel.len()).as_ref() };
    let entry = entry.ok_or_else(|| DeviceError::NoSuchKernel { kernel: launch.kernel.to_owned() })?;
    // SAFETY: a static string that ends in zero.
    let types = unsafe { CStr::from_ptr(entry.types) }.to_bytes();
    let refuse = |reason| Err(DeviceError::Launch { kernel: launch.kernel.to_owned(), reason });
    if types != launch.types {
        let (wanted, got) = (String::from_utf8_lossy(types), String::from_utf8_lossy(&launch.types));
        return refuse(format!("its arguments are {wanted}, not {got}"));
    }
    let threads: u32 = launch.block.iter().product();
    if threads == 0 || threads > 1024 || !threads.is_multiple_of(32) {
        return refuse(format!("a block has whole warps and at most 1024 threads, not {threads}"));
    }
    if launch.grid[1] > 65535 || launch.grid[2] > 65535 {
        return refuse(format!("a grid of {:?} is too large", launch.grid));
    }
    Ok(entry)
}
