//! Turns the batch after each step into frames for whoever watches.

use crate::denoise::Condensing;
use crate::tokenizer::Tokenizer;
use lacuna_engine::{CancelToken, Cell, CellState, Frame, FrameSink, Stats};
use std::sync::Arc;
use std::time::Instant;

/// What accompanies one request from start to end: its costs, its watcher, and whether it is still wanted.
pub(crate) struct Run<'a> {
    pub start: Instant,
    pub stats: Stats,
    pub watch: Watch<'a>,
    pub cancel: &'a CancelToken,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        tokenizer: Arc<Tokenizer>,
        sink: &'a mut dyn FrameSink,
        cancel: &'a CancelToken,
    ) -> Self {
        let start = Instant::now();
        Self { start, stats: Stats::default(), watch: Watch::new(tokenizer, sink, start), cancel }
    }

    /// The costs, once the best answer has `tokens` tokens.
    pub(crate) fn finish(mut self, tokens: usize) -> Stats {
        self.stats.first_frame_ms = self.watch.first_frame_ms();
        self.stats.total_ms = ms(self.start);
        self.stats.tokens_per_forward = tokens as f32 / self.stats.forwards.max(1) as f32;
        self.stats
    }
}

/// Milliseconds since `start`.
pub(crate) fn ms(start: Instant) -> f32 {
    start.elapsed().as_secs_f32() * 1e3
}

/// Sends frames of the leading canvas and notes when the first one was ready.
pub(crate) struct Watch<'a> {
    tokenizer: Arc<Tokenizer>,
    sink: &'a mut dyn FrameSink,
    start: Instant,
    first_frame_ms: Option<f32>,
    shown: usize,
    drafts: usize,
    muted: bool,
    lead: String,
    between: Vec<(usize, String)>,
    block: usize,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(tokenizer: Arc<Tokenizer>, sink: &'a mut dyn FrameSink, start: Instant) -> Self {
        Self {
            tokenizer,
            sink,
            start,
            first_frame_ms: None,
            shown: 0,
            drafts: 0,
            muted: false,
            lead: String::new(),
            between: Vec::new(),
            block: 0,
        }
    }

    /// Called after every denoising step; a leading canvas that has come to rest sends no more frames.
    pub(crate) fn after_step(&mut self, batch: &[Condensing]) {
        if let Some(leading) = batch.first()
            && !self.muted
            && leading.steps != self.shown
            && self.sink.wants_frames()
        {
            self.shown = leading.steps;
            let frame = self.frame(leading);
            self.sink.frame(frame);
        }
        self.first_frame_ms.get_or_insert_with(|| ms(self.start));
    }

    /// The hole's first token begins with `lead`, which is the prefix's and not shown again.
    pub(crate) fn strip(&mut self, lead: &str) {
        lead.clone_into(&mut self.lead);
    }

    /// Where one hole is several: the texts between them, each with the row of the hole that it stands before.
    pub(crate) fn between(&mut self, texts: Vec<(usize, String)>) {
        self.between = texts;
    }

    /// The following steps belong to another draft in blocks; only the first one is shown.
    pub(crate) fn begin_draft(&mut self) {
        self.muted = self.drafts > 0;
        self.drafts += 1;
        self.block = 0;
        self.shown = 0;
    }

    /// The following steps belong to the next block.
    pub(crate) fn next_block(&mut self) {
        self.block += 1;
        self.shown = 0;
    }

    /// Milliseconds from the start of the request to the first frame.
    pub(crate) fn first_frame_ms(&self) -> f32 {
        self.first_frame_ms.unwrap_or(0.0)
    }

    fn frame(&self, leading: &Condensing) -> Frame {
        let text = |row: usize, id: u32| {
            let text = self.tokenizer.piece(id);
            let first = row == 0 && self.block == 0;
            if first { text.strip_prefix(&self.lead).map(str::to_owned).unwrap_or(text) } else { text }
        };
        let cell = |(row, id): (usize, u32)| Cell {
            text: text(row, id),
            state: if leading.accepted[row] { CellState::Accepted } else { CellState::Noise },
            entropy: leading.entropy[row],
        };
        Frame {
            canvas: 0,
            block: self.block,
            step: leading.steps,
            steps_max: leading.steps_max,
            cells: match self.between.is_empty() {
                true => leading.answer().into_iter().enumerate().map(cell).collect(),
                false => self.cells_between(leading, leading.answer().into_iter().enumerate().map(cell)),
            },
        }
    }

    /// `cells` without those of given rows, and in their stead the texts between the holes as they are written.
    fn cells_between(&self, leading: &Condensing, cells: impl Iterator<Item = Cell>) -> Vec<Cell> {
        let mut shown = Vec::new();
        let mut texts = self.between.iter().peekable();
        for (row, cell) in cells.enumerate() {
            while let Some((_, text)) = texts.next_if(|(at, _)| *at <= row) {
                shown.push(Cell { text: text.clone(), state: CellState::Clamped, entropy: 0.0 });
            }
            if !leading.canvas.is_given(row) {
                shown.push(cell);
            }
        }
        shown
    }
}
