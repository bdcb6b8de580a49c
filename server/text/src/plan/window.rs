//! How far a plan sees: the window's start, on a coarse grid, and its end.

use super::Measure;
use crate::position;
use ropey::Rope;

/// No piece with more bytes a token than this is measured, so that a file of one line costs no more than another.
pub(super) const TOKEN_BYTES_MAX: usize = 16;
/// A block of lines is about this part of the budget at [`LINE_TOKENS`] a line.
const BLOCKS: usize = 6;
const LINE_TOKENS: usize = 10;

struct Budget<'a> {
    text: &'a Rope,
    left: usize,
    measure: &'a dyn Measure,
}

impl Budget<'_> {
    /// Pays for `start..end` if that is within what is left.
    fn pay(&mut self, start: usize, end: usize) -> bool {
        if end - start > self.left.saturating_mul(TOKEN_BYTES_MAX) {
            return false;
        }
        let tokens = self.measure.tokens(&self.text.byte_slice(start..end).to_string());
        let fits = tokens <= self.left;
        if fits {
            self.left -= tokens;
        }
        fits
    }
}

/// Where the text before `at` is cut: at a line on the grid, or inside the line of `at` when that is too long alone.
pub(super) fn start(text: &Rope, at: usize, tokens_max: usize, measure: &dyn Measure) -> usize {
    let mut budget = Budget { text, left: tokens_max, measure };
    let line = text.byte_to_line(at);
    let line_start = text.line_to_byte(line);
    if !budget.pay(line_start, at) {
        return start_in_line(&mut budget, line_start, at, tokens_max);
    }
    let mut line = line;
    let mut block = (tokens_max / (BLOCKS * LINE_TOKENS)).max(1).next_power_of_two();
    // A finer grid only where the coarse one leaves more than half of the budget unused.
    loop {
        while line > 0 {
            let above = (line - 1) / block * block;
            if !budget.pay(text.line_to_byte(above), text.line_to_byte(line)) {
                break;
            }
            line = above;
        }
        if block == 1 || line == 0 || budget.left <= tokens_max / 2 {
            return text.line_to_byte(line);
        }
        block /= 2;
    }
}

/// Cuts inside a line, on a grid of as many bytes as the budget has tokens.
fn start_in_line(budget: &mut Budget<'_>, line_start: usize, at: usize, tokens_max: usize) -> usize {
    let grid = tokens_max.max(1);
    let mut start = at;
    while start > line_start {
        let above = position::floor(budget.text, line_start + (start - line_start - 1) / grid * grid);
        if !budget.pay(above, start) {
            break;
        }
        start = above;
    }
    start
}

/// Where the text from `at` on is cut: after as many whole lines as fit; inside the next one only where it is so long that more
/// than half of the budget would be left unused.
pub(super) fn end(text: &Rope, at: usize, tokens_max: usize, measure: &dyn Measure) -> usize {
    let mut budget = Budget { text, left: tokens_max, measure };
    let mut end = at;
    for line in text.byte_to_line(at) + 1..=text.len_lines() {
        let below = text.line_to_byte(line);
        if !budget.pay(end, below) {
            break;
        }
        end = below;
    }
    if budget.left <= tokens_max / 2 {
        return end;
    }
    let line_end = text.line_to_byte((text.byte_to_line(end) + 1).min(text.len_lines()));
    let mut bytes = (line_end - end).min(budget.left.saturating_mul(TOKEN_BYTES_MAX));
    while bytes > 0 {
        let cut = position::floor(text, end + bytes);
        if budget.pay(end, cut) {
            return cut;
        }
        bytes /= 2;
    }
    end
}
