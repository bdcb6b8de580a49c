//! The one small read that the host makes after every step of the loop on the device.

use crate::denoise::Condensing;
use lacuna_kernels::device::ops::{CanvasState, OVERFLOW};
use lacuna_kernels::device::{Buffer, Device, DeviceError, Slice};

/// What the host reads after a step, in one buffer: states of the canvases, then rows of 32-bit words.
#[derive(Debug)]
pub(super) struct Status {
    pub buffer: Buffer,
    pub canvases: usize,
    rows: usize,
    tokens: usize,
}

/// One read of [`Status`].
#[cfg_attr(test, derive(Default))]
pub(super) struct Seen {
    pub states: Vec<CanvasState>,
    argmax: Vec<u32>,
    accepted: Vec<u32>,
    survivors: Vec<u32>,
    entropy: Vec<u32>, // the bits of f32
    tokens: Vec<u32>,
}

pub(super) const STATE: usize = size_of::<CanvasState>();

impl Status {
    pub(super) fn new(
        device: &Device,
        canvases: usize,
        rows: usize,
        tokens: usize,
    ) -> Result<Self, DeviceError> {
        let buffer = device.alloc(canvases * STATE + 4 * (4 * rows + tokens))?;
        Ok(Self { buffer, canvases, rows, tokens })
    }

    /// The `index`-th list of one word a row.
    fn list(&self, index: usize) -> Result<Slice<'_>, DeviceError> {
        self.buffer.slice(self.canvases * STATE + 4 * index * self.rows, 4 * self.rows)
    }
    pub(super) fn argmax(&self) -> Result<Slice<'_>, DeviceError> {
        self.list(0)
    }
    pub(super) fn accepted(&self) -> Result<Slice<'_>, DeviceError> {
        self.list(1)
    }
    pub(super) fn survivors(&self) -> Result<Slice<'_>, DeviceError> {
        self.list(2)
    }
    pub(super) fn entropy(&self) -> Result<Slice<'_>, DeviceError> {
        self.list(3)
    }
    pub(super) fn tokens_at(&self) -> usize {
        self.canvases * STATE + 16 * self.rows
    }
    pub(super) fn tokens(&self) -> Result<Slice<'_>, DeviceError> {
        self.buffer.slice(self.tokens_at(), 4 * self.tokens)
    }

    pub(super) fn read(&self) -> Result<Seen, DeviceError> {
        let words = self.buffer.download_vec::<u32>(0, self.buffer.len() / 4)?;
        let (states, words) = words.split_at(self.canvases * STATE / 4);
        let list = |index: usize| words[index * self.rows..][..self.rows].to_vec();
        Ok(Seen {
            states: states.chunks_exact(STATE / 4).map(state_of).collect(),
            argmax: list(0),
            accepted: list(1),
            survivors: list(2),
            entropy: list(3),
            tokens: words[4 * self.rows..].to_vec(),
        })
    }
}

/// A canvas' state from its words, little-endian as the device has them. What the host set itself is not read back.
fn state_of(words: &[u32]) -> CanvasState {
    let tail = &words[words.len() - 4..];
    CanvasState {
        steps: tail[0],
        settled: tail[1],
        unchanged: tail[2],
        overflow: tail[3],
        ..CanvasState::default()
    }
}

impl Seen {
    /// Rows whose survivors overflowed, on canvases with holes of so many rows that take another step; and how many steps
    /// those have taken.
    pub(super) fn flat_rows(&self, holes: &[usize], steps_max: usize) -> (Vec<u32>, usize) {
        let (mut rows, mut first, mut taken) = (Vec::new(), 0, 1);
        for (state, &hole) in self.states.iter().zip(holes) {
            let end = first + hole;
            if state.settled == 0 && (state.steps as usize) < steps_max {
                taken = state.steps as usize;
                let flat = |&row: &usize| self.survivors[row] == OVERFLOW;
                rows.extend((first..end).filter(flat).map(|row| row as u32));
            }
            first = end;
        }
        (rows, taken)
    }

    pub(super) fn write_to(&self, batch: &mut [Condensing]) {
        let (mut row, mut place) = (0, 0);
        for (condensing, state) in batch.iter_mut().zip(&self.states) {
            let (rows, tokens) = (condensing.canvas.hole_len, condensing.canvas.tokens.len());
            if !condensing.done() {
                condensing.argmax = self.argmax[row..row + rows].to_vec();
                condensing.accepted = self.accepted[row..row + rows].iter().map(|&flag| flag != 0).collect();
                condensing.entropy =
                    self.entropy[row..row + rows].iter().map(|&bits| f32::from_bits(bits)).collect();
                condensing.canvas.tokens = self.tokens[place..place + tokens].to_vec();
                condensing.steps = state.steps as usize;
                condensing.settled = state.settled != 0;
            }
            row += rows;
            place += tokens;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canvases_that_have_ended_ask_for_no_exact_soft_embedding() {
        let state = |steps, settled| CanvasState { steps, settled, overflow: 2, ..CanvasState::default() };
        let survivors = vec![OVERFLOW, 3, OVERFLOW, OVERFLOW, 7, OVERFLOW];
        let seen = |states| Seen { states, survivors: survivors.clone(), ..Seen::default() };
        // The first one came to rest a step ago.
        let (rows, taken) = seen(vec![state(2, 1), state(3, 0)]).flat_rows(&[3, 3], 8);
        assert_eq!((rows, taken), (vec![3, 5], 3));
        let (rows, _) = seen(vec![state(8, 0), state(8, 0)]).flat_rows(&[3, 3], 8);
        assert!(rows.is_empty(), "nobody reads what the last step would make");
        let (rows, taken) = seen(vec![state(1, 0), state(1, 0)]).flat_rows(&[3, 3], 8);
        assert_eq!((rows, taken), (vec![0, 2, 3, 5], 1));
    }
}
