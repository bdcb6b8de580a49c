//! Spreading a kernel's tasks over the current rayon pool, when there is enough work to pay for it.

use rayon::prelude::*;

/// Below this estimate of serial time a kernel stays on its thread: waking a second one costs about as much.
const WORTH_NS: usize = 20_000;

/// Floating-point operations a core does per nanosecond in the products here, at least: an estimate for [`for_each`].
pub(crate) const FLOPS_PER_NS: usize = 150;

/// Calls `task(0..tasks)`, in parallel when `serial_ns`, a rough estimate for all of it, makes that worth while.
/// Tasks must write disjoint places; their order is not defined.
pub(crate) fn for_each(tasks: usize, serial_ns: usize, task: impl Fn(usize) + Send + Sync) {
    if tasks > 1 && worth(serial_ns) {
        (0..tasks).into_par_iter().for_each(task);
    } else {
        (0..tasks).for_each(task);
    }
}

/// Whether work of `serial_ns` should be spread.
pub(crate) fn worth(serial_ns: usize) -> bool {
    serial_ns >= WORTH_NS && rayon::current_num_threads() > 1
}

/// A pointer that tasks share to write disjoint parts of one slice.
#[derive(Clone, Copy)]
pub(crate) struct SharedMut(*mut f32);

// SAFETY: the kernels hand each task its own part of the slice (see every use of `get`), whose borrow outlives the tasks.
unsafe impl Send for SharedMut {}
// SAFETY: as above.
unsafe impl Sync for SharedMut {}

impl SharedMut {
    pub(crate) fn new(slice: &mut [f32]) -> Self {
        Self(slice.as_mut_ptr())
    }

    pub(crate) fn get(self) -> *mut f32 {
        self.0
    }

    /// The pointer `floats` floats before: of an array whose first part is not there.
    pub(crate) fn before(self, floats: usize) -> Self {
        Self(self.0.wrapping_sub(floats))
    }
}

/// Calls `task(index, chunk)` for each chunk of `size` of `data` (the last may be shorter).
pub(crate) fn chunks_mut(
    data: &mut [f32],
    size: usize,
    serial_ns: usize,
    task: impl Fn(usize, &mut [f32]) + Send + Sync,
) {
    let (len, base) = (data.len(), SharedMut::new(data));
    for_each(len.div_ceil(size.max(1)), serial_ns, |i| {
        let start = i * size;
        // SAFETY: chunks are disjoint parts of `data`, which stays borrowed until `for_each` returns.
        task(i, unsafe { std::slice::from_raw_parts_mut(base.get().add(start), size.min(len - start)) });
    });
}
