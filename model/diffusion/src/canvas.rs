//! Canvases: the rows that a denoising step reads, which of them are given and which are the hole.

use lacuna_engine::Origin;
use std::sync::Arc;

/// One canvas: `[head: clamped][hole: noise or draft][suffix: clamped]`.
#[derive(Clone, Debug)]
pub(crate) struct Canvas {
    /// Token ids, one per row.
    pub tokens: Vec<u32>,
    /// Where the hole begins (= how many head tokens stand before it).
    pub hole_start: usize,
    /// How many tokens the hole has.
    pub hole_len: usize,
    /// Which rows of the hole are given after all, where one hole is several with text between them; empty: none.
    pub given: Vec<bool>,
    /// Which stream of the generator this canvas draws from.
    pub stream: u64,
    /// Whether accepted tokens are sampled instead of the argmax.
    pub sampled: bool,
    /// Which tokens may stand first in the hole, where that is restricted.
    pub first_allowed: Option<Arc<[bool]>>,
    /// Who wrote what the hole began with.
    pub origin: Origin,
}

impl Canvas {
    /// The rows of the hole.
    pub(crate) fn hole(&self) -> std::ops::Range<usize> {
        self.hole_start..self.hole_start + self.hole_len
    }

    /// Whether a row of the hole (from 0) is given.
    pub(crate) fn is_given(&self, row: usize) -> bool {
        self.given.get(row).copied().unwrap_or(false)
    }

    /// How many rows of the hole are to be filled.
    pub(crate) fn free_len(&self) -> usize {
        self.hole_len - self.given.iter().filter(|&&given| given).count()
    }

    /// The hole's tokens.
    pub(crate) fn hole_tokens(&self) -> &[u32] {
        &self.tokens[self.hole()]
    }
}

/// What surrounds every hole of one request, and how long a canvas is.
#[derive(Clone, Debug)]
pub(crate) struct Frameset {
    /// The last prompt tokens, kept on the canvas so that a hole may begin inside a word.
    pub head: Vec<u32>,
    /// The near suffix, with the end of the document already marked; may be longer than fits.
    pub suffix: Vec<u32>,
    /// What stands after the end of `suffix`.
    pub fill: u32,
    /// Rows of each canvas.
    pub length: usize,
    /// Which tokens may stand first in the hole, where that is restricted.
    pub first_allowed: Option<Arc<[bool]>>,
}

impl Frameset {
    /// The most hole tokens one canvas can hold while `suffix_min` suffix rows stay in view.
    pub(crate) fn hole_max(&self, suffix_min: usize) -> usize {
        self.length.saturating_sub(self.head.len() + suffix_min.min(self.suffix.len()))
    }

    /// A canvas around `hole`; what does not fit of the suffix is left out, what is missing is filled.
    pub(crate) fn canvas(&self, hole: &[u32], stream: u64, sampled: bool) -> Canvas {
        let mut tokens = Vec::with_capacity(self.length);
        tokens.extend_from_slice(&self.head);
        tokens.extend_from_slice(hole);
        let room = self.length.saturating_sub(tokens.len());
        tokens.extend(self.suffix.iter().take(room));
        tokens.resize(self.length.max(tokens.len()), self.fill);
        let first_allowed = self.first_allowed.clone();
        Canvas {
            tokens,
            hole_start: self.head.len(),
            hole_len: hole.len(),
            given: Vec::new(),
            stream,
            sampled,
            first_allowed,
            origin: Origin::Noise,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around() -> Frameset {
        Frameset { head: vec![9], suffix: vec![5, 6], fill: 0, length: 8, first_allowed: None }
    }

    #[test]
    fn a_canvas_is_head_hole_suffix_and_fill() {
        let canvas = around().canvas(&[3, 3, 3], 0, false);
        assert_eq!(canvas.tokens, [9, 3, 3, 3, 5, 6, 0, 0]);
        assert_eq!(canvas.hole(), 1..4);
        assert_eq!(canvas.hole_tokens(), [3, 3, 3]);
    }

    #[test]
    fn the_suffix_gives_way_to_the_hole() {
        assert_eq!(around().canvas(&[3; 6], 0, false).tokens, [9, 3, 3, 3, 3, 3, 3, 5]);
        assert_eq!(around().hole_max(16), 5, "a suffix of two tokens needs two rows, not sixteen");
        assert_eq!(around().hole_max(1), 6);
    }
}
