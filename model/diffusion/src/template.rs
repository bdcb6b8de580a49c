//! Several holes at once: one canvas on which the text between the holes is given, row by row.
//!
//! To the sampler it is one hole from the first to the last, some rows of which are certain ([`Canvas::given`]); what stands
//! between the holes is copied into the answer as it was written, whatever the tokenizer makes of it.

use crate::canvas::Canvas;
use crate::config::Noise;
use crate::denoise::Condensing;
use crate::engine::DiffusionEngine;
use crate::infill::Job;
use crate::prompt::Prompt;
use crate::rank::{Draft, tokenizer_fault};
use crate::watch::{Run, ms};
use lacuna_engine::{CancelToken, Candidate, EngineError, InfillRequest, Infilled, Origin, Stats, Template};
use lacuna_kernels::{log_softmax_at, row_stats};
use std::ops::Range;
use std::time::Instant;

/// What a left-to-right pass knows of the text between and after the holes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Given {
    /// Each piece once it is reached.
    AsReached,
    /// All of it: the text with its holes stands before, up to this token.
    First(u32),
}

/// A template as rows.
struct Rows {
    /// Tokens; 0 in the holes.
    tokens: Vec<u32>,
    /// Which of them are given.
    given: Vec<bool>,
    /// Where the holes are.
    holes: Vec<Range<usize>>,
}

impl DiffusionEngine {
    /// Condenses canvases of the template, the first by argmax, the others sampled.
    pub(crate) fn fill_template(
        &mut self,
        job: &Job<'_>,
        template: &Template,
        run: &mut Run<'_>,
    ) -> Result<Vec<Draft>, EngineError> {
        let rows = self.template_rows(template)?;
        self.check_fits(&rows, &job.prompt, &job.request.suffix)?;
        let ends = rows.holes.iter().map(|hole| hole.end);
        run.watch.between(ends.zip(template.between.iter().cloned()).collect());
        let canvas = |i: usize| -> Canvas {
            let noise = self.noise_rows(job, rows.tokens.len(), i as u64);
            let token = |(row, noise)| if rows.given[row] { rows.tokens[row] } else { noise };
            let tokens: Vec<u32> = noise.into_iter().enumerate().map(token).collect();
            Canvas { given: rows.given.clone(), ..job.around.canvas(&tokens, i as u64, i > 0) }
        };
        let canvases = (0..job.request.sampling.candidates.unwrap_or(1)).map(canvas).collect();
        let condensed = self.condensed(job, canvases, run)?;
        let draft = |condensing: &Condensing| {
            Ok(Draft {
                tokens: condensing.canvas.free_len(),
                text: self.written_out(template, &rows, &condensing.answer(), job.prompt.lead_text())?,
                entropy_mean: condensing.entropy_mean(),
                steps: condensing.steps,
                settled: condensing.settled,
                origin: Origin::Noise,
            })
        };
        condensed.iter().map(draft).collect()
    }

    /// The control: the same holes left to right, one token a pass, greedily. What is given is read, not written.
    pub(crate) fn template_left_to_right(
        &mut self,
        request: &InfillRequest,
        template: &Template,
        given: Given,
        cancel: &CancelToken,
    ) -> Result<Infilled, EngineError> {
        let start = Instant::now();
        let prompt = self.prefix_prompt(request)?;
        let rows = self.template_rows(template)?;
        self.check_fits(&rows, &prompt, &request.suffix)?;
        let mut ids = self.control_prompt(request, &prompt, &rows, given)?;
        let mut stats = Stats { prompt_tokens: ids.len(), canvases: 1, ..Stats::default() };
        let mut log_prob = 0.0;
        let mut answer = rows.tokens.clone();
        for (row, &token) in rows.tokens.iter().enumerate() {
            if rows.given[row] {
                ids.push(token);
                continue;
            }
            let Some((&last, before)) = ids.split_last() else { continue };
            self.session.read(before, cancel)?;
            let mut logits = self.session.next_logits(last, cancel)?;
            stats.forwards += 1;
            if row == 0 {
                self.forbid_first(&mut logits, &prompt);
            }
            for &id in self.abilities.banned.iter() {
                logits[id as usize] = f32::NEG_INFINITY;
            }
            answer[row] = row_stats(&logits, 1.0).argmax as u32;
            log_prob += log_softmax_at(&logits, answer[row] as usize);
            ids.push(answer[row]);
        }
        stats.total_ms = ms(start);
        stats.tokens_per_forward = 1.0;
        let candidate = Candidate {
            text: self.written_out(template, &rows, &answer, prompt.lead_text())?,
            tokens: stats.forwards,
            score: log_prob,
            log_prob_hole: log_prob,
            log_prob_suffix: 0.0,
            confidence: None,
            entropy_mean: 0.0,
            origin: if given == Given::AsReached { Origin::Causal } else { Origin::CausalFim },
            steps: stats.forwards,
            settled: true,
        };
        Ok(Infilled { candidates: vec![candidate], stats })
    }

    /// What the causal pass has read before the first hole.
    fn control_prompt(
        &self,
        request: &InfillRequest,
        prompt: &Prompt,
        rows: &Rows,
        given: Given,
    ) -> Result<Vec<u32>, EngineError> {
        let Given::First(middle) = given else { return Ok(prompt.whole()) };
        let (true, Noise::Mask { mask_token_id, .. }) = (self.abilities.whole_text, self.abilities.noise)
        else {
            let reason =
                "its fill-in-the-middle order is one of one hole; fill several by `causal` or by diffusion";
            return Err(EngineError::Unsupported(reason.to_owned()));
        };
        let holes =
            rows.tokens.iter().zip(&rows.given).map(|(&id, &given)| if given { id } else { mask_token_id });
        let suffix = self.tokenizer.encode(&request.suffix).map_err(tokenizer_fault)?;
        // The first token of the head is the prompt's own; the text's tokens before the first hole follow it.
        let again = prompt.head.iter().copied().skip(1);
        Ok(prompt.whole().into_iter().chain(holes).chain(suffix).chain([middle]).chain(again).collect())
    }

    fn template_rows(&self, template: &Template) -> Result<Rows, EngineError> {
        let lengths = match (template.tokens.is_empty(), self.abilities.hole_tokens_max) {
            (false, _) => template.tokens.clone(),
            (true, 1) => vec![1; template.holes()],
            (true, most) => {
                return Err(EngineError::InvalidRequest(format!(
                    "this model's holes have 1 to {most} tokens: say how many each of the {} holes has",
                    template.holes()
                )));
            }
        };
        let mut rows = Rows { tokens: Vec::new(), given: Vec::new(), holes: Vec::new() };
        let mut between = template.between.iter();
        for length in lengths {
            rows.holes.push(rows.tokens.len()..rows.tokens.len() + length);
            rows.tokens.resize(rows.tokens.len() + length, 0);
            rows.given.resize(rows.tokens.len(), false);
            if let Some(text) = between.next() {
                rows.tokens.extend(self.tokenizer.encode(text).map_err(tokenizer_fault)?);
                rows.given.resize(rows.tokens.len(), true);
            }
        }
        Ok(rows)
    }

    /// All holes must stand on one canvas, and the whole text where the model wants to see it there.
    fn check_fits(&self, rows: &Rows, prompt: &Prompt, suffix: &str) -> Result<(), EngineError> {
        let (head, canvas) = (prompt.head.len(), self.abilities.canvas_length);
        let after = match self.abilities.whole_text {
            true => self.tokenizer.encode(suffix).map_err(tokenizer_fault)?.len(),
            false => 0,
        };
        let found = head + rows.tokens.len() + after;
        if found <= canvas && (!self.abilities.whole_text || found == canvas) {
            return Ok(());
        }
        let what = if self.abilities.whole_text { "the text" } else { "the holes and the text between them" };
        let bound = if self.abilities.whole_text { "exactly" } else { "at most" };
        Err(EngineError::InvalidRequest(format!(
            "{what} must be {bound} {canvas} tokens, a canvas of this model, found {found} (with {head} before the first hole)"
        )))
    }

    fn written_out(
        &self,
        template: &Template,
        rows: &Rows,
        answer: &[u32],
        lead: &str,
    ) -> Result<String, EngineError> {
        let mut text = String::new();
        let mut between = template.between.iter();
        for hole in &rows.holes {
            let tokens = &answer[hole.clone()];
            let end = tokens.iter().position(|&id| self.abilities.ends_text(id)).unwrap_or(tokens.len());
            text += &self.tokenizer.decode(&tokens[..end]).map_err(tokenizer_fault)?;
            text.extend(between.next().map(String::as_str));
        }
        Ok(text.strip_prefix(lead).map(str::to_owned).unwrap_or(text))
    }

    fn noise_rows(&self, job: &Job<'_>, rows: usize, stream: u64) -> Vec<u32> {
        job.generator.fresh_hole(stream, rows, job.rules.noise, self.session.config().vocab_size as u32)
    }
}
