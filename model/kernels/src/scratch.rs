//! Working memory that a thread keeps between kernel calls, so that a step does not ask the system for fresh pages.

use std::cell::RefCell;

use crate::pack::{LINE, Line, floats, floats_mut};

/// Buffers a thread keeps, and the size from which one is given back instead (16 MiB).
const KEPT: usize = 4;
const LARGEST: usize = 1 << 18;

thread_local! {
    static FREE: RefCell<Vec<Vec<Line<f32>>>> = const { RefCell::new(Vec::new()) };
}

/// A borrowed, line-aligned buffer of floats with unspecified (but initialised) contents.
pub(crate) struct Scratch {
    lines: Vec<Line<f32>>,
    len: usize,
}

impl Scratch {
    /// A buffer of `len` floats.
    pub(crate) fn take(len: usize) -> Self {
        let mut lines = FREE.with_borrow_mut(Vec::pop).unwrap_or_default();
        let count = len.div_ceil(LINE);
        if lines.len() < count {
            lines.resize(count, Line::ZERO);
        }
        Self { lines, len }
    }

    pub(crate) fn as_slice(&self) -> &[f32] {
        &floats(&self.lines)[..self.len]
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [f32] {
        &mut floats_mut(&mut self.lines)[..self.len]
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        FREE.with_borrow_mut(|free| {
            if free.len() < KEPT && lines.len() <= LARGEST {
                free.push(lines);
            }
        });
    }
}
