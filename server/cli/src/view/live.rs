//! The hole condensing in place: each frame redraws a few lines of the terminal, which are gone afterwards.

use super::scene::{Row, Scene, fit, wrap};
use crate::failure::Failure;
use crate::output::{Output, Tone};
use crossterm::terminal::{BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate};
use crossterm::{cursor, queue};
use lacuna_engine::{Cell, CellState, Frame, FrameSink};

/// Draws frames on a terminal. When dropped, what it drew is cleared and the cursor is back.
pub struct Live<'a> {
    output: &'a mut Output,
    scene: Scene,
    /// Rows on the screen now.
    drawn: usize,
    /// Blocks of the text that are finished, and which one is being drawn.
    settled: Vec<Cell>,
    current: Vec<Cell>,
    block: usize,
    /// A terminal that fails once is not drawn on again.
    failed: bool,
}

impl<'a> Live<'a> {
    /// Starts with an empty hole.
    pub fn new(output: &'a mut Output, scene: Scene) -> Self {
        let (settled, current) = (Vec::new(), Vec::new());
        let mut live = Self { output, scene, drawn: 0, settled, current, block: 0, failed: false };
        let waiting = vec![(Tone::Dim, "reading".to_owned())];
        live.attempt(|live| {
            queue!(live.output.writer(), cursor::Hide)?;
            live.draw(&waiting)
        });
        live
    }

    fn attempt(&mut self, action: impl FnOnce(&mut Self) -> Result<(), Failure>) {
        if !self.failed && action(self).is_err() {
            self.failed = true;
        }
    }

    fn draw(&mut self, status: &Row) -> Result<(), Failure> {
        let (width, height) = self.output.size();
        let cells: Vec<Cell> = self.settled.iter().chain(&self.current).cloned().collect();
        // One row for the status and one for the cursor below.
        let rows_max = height.saturating_sub(2).max(1);
        let code = self.scene.rows(&cells, rows_max);
        let mut rows: Vec<Row> = code.iter().flat_map(|row| wrap(row, width)).take(rows_max).collect();
        rows.push(fit(status, width));
        queue!(self.output.writer(), BeginSynchronizedUpdate)?;
        self.rewind()?;
        for row in &rows {
            let painted: String = row.iter().map(|(tone, text)| self.output.paint(*tone, text)).collect();
            self.output.line(&painted)?;
        }
        self.drawn = rows.len();
        queue!(self.output.writer(), EndSynchronizedUpdate)?;
        self.output.flush()
    }

    /// Back to the first row drawn, with nothing below it.
    fn rewind(&mut self) -> Result<(), Failure> {
        if let Some(rows) = u16::try_from(self.drawn).ok().filter(|&rows| rows > 0) {
            queue!(self.output.writer(), cursor::MoveToPreviousLine(rows))?;
            queue!(self.output.writer(), Clear(ClearType::FromCursorDown))?;
        }
        self.drawn = 0;
        Ok(())
    }
}

impl FrameSink for Live<'_> {
    fn frame(&mut self, frame: Frame) {
        if frame.canvas != 0 {
            return;
        }
        if frame.block != self.block {
            self.settled.append(&mut self.current);
            self.block = frame.block;
        }
        let status = status(&frame);
        self.current = frame.cells;
        self.attempt(|live| live.draw(&status));
    }

    fn wants_frames(&self) -> bool {
        !self.failed
    }
}

impl Drop for Live<'_> {
    fn drop(&mut self) {
        // Also after a failure: a cursor that stays hidden would outlive the command.
        let _ = self.rewind();
        let _ = queue!(self.output.writer(), cursor::Show);
        let _ = self.output.flush();
    }
}

fn status(frame: &Frame) -> Row {
    let settled = frame.cells.iter().filter(|cell| cell.state == CellState::Accepted).count();
    let cells = frame.cells.iter().filter(|cell| cell.state != CellState::Clamped).count();
    let (step, steps_max) = (frame.step, frame.steps_max);
    vec![(Tone::Place, format!("step {step} of at most {steps_max} · {settled} of {cells} tokens settled"))]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(block: usize, step: usize, text: &str) -> Frame {
        let cells = vec![Cell { text: text.to_owned(), state: CellState::Accepted, entropy: 0.0 }];
        Frame { canvas: 0, block, step, steps_max: 8, cells }
    }

    #[test]
    fn every_frame_replaces_the_one_before_and_the_cursor_returns() {
        let (mut output, captured) = Output::captured(true, false);
        let mut live = Live::new(&mut output, Scene::default());
        live.frame(frame(0, 1, "alpha"));
        live.frame(frame(0, 2, "beta"));
        drop(live);
        let text = captured.text();
        assert!(text.starts_with("\x1b[?25l"), "the cursor is hidden first");
        assert!(
            text.ends_with("\x1b[2F\x1b[J\x1b[?25h"),
            "the screen is cleared and the cursor shown: {text:?}"
        );
        assert!(text.contains("alpha") && text.contains("beta"));
        assert!(text.contains("step 2 of at most 8 · 1 of 1 tokens settled"));
        assert_eq!(text.matches("\x1b[2F").count(), 3, "each drawing goes back over the last");
    }

    #[test]
    fn a_second_block_is_drawn_after_the_first() {
        let (mut output, captured) = Output::captured(true, false);
        let mut live = Live::new(&mut output, Scene::default());
        live.frame(frame(0, 1, "one "));
        live.frame(frame(1, 1, "two"));
        live.frame(Frame { canvas: 1, ..frame(0, 1, "elsewhere") });
        drop(live);
        assert!(captured.text().contains("one two"));
        assert!(!captured.text().contains("elsewhere"));
    }
}
