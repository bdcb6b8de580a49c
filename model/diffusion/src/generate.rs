//! Plain text generation: block diffusion as the reference does it, or its left-to-right control.

use crate::canvas::Frameset;
use crate::denoise::{Condensing, condense};
use crate::engine::DiffusionEngine;
use crate::infill::ms;
use crate::noise::Coordinates;
use crate::preset::effort;
use crate::rank::tokenizer_fault;
use crate::watch::Watch;
use lacuna_engine::{
    CancelToken, Candidate, EngineError, FrameSink, GenerateRequest, Infilled, Method, Stats,
};
use std::sync::Arc;
use std::time::Instant;

impl DiffusionEngine {
    /// Continues a text by at most `tokens_max` tokens.
    pub(crate) fn continue_text(
        &mut self,
        request: &GenerateRequest,
        cancel: &CancelToken,
        sink: &mut dyn FrameSink,
    ) -> Result<Infilled, EngineError> {
        let start = Instant::now();
        let prefix = self.tokenizer.encode(&request.prompt).map_err(tokenizer_fault)?;
        let prompt = self.prompt(request.language.as_deref(), "", prefix, None)?;
        let ids = prompt.whole();
        if request.method == Method::Diffusion {
            return self.continue_in_blocks(request, &ids, start, cancel, sink);
        }
        let (decoded, mut stats) = self.decode(&prompt, request.tokens_max, &mut |_| None, cancel)?;
        stats.total_ms = ms(start);
        stats.tokens_per_forward = decoded.tokens.len() as f32 / decoded.forwards.max(1) as f32;
        let candidate = Candidate {
            tokens: decoded.tokens.len(),
            text: decoded.text,
            score: decoded.log_prob,
            log_prob_hole: decoded.log_prob,
            log_prob_suffix: 0.0,
            entropy_mean: 0.0,
            steps: decoded.forwards,
            settled: decoded.ended,
        };
        Ok(Infilled { candidates: vec![candidate], stats })
    }

    fn continue_in_blocks(
        &mut self,
        request: &GenerateRequest,
        ids: &[u32],
        start: Instant,
        cancel: &CancelToken,
        sink: &mut dyn FrameSink,
    ) -> Result<Infilled, EngineError> {
        let mut stats = Stats { prompt_tokens: ids.len(), ..Stats::default() };
        stats.cached_tokens = self.session.read(ids, cancel)?;
        stats.encode_ms = ms(start);
        let mut rules = self.rules(effort(&request.sampling, self.generation.steps_max).steps, request.sampling.seed);
        let ends = &self.generation.eos_token_ids;
        rules.banned = rules.banned.iter().copied().filter(|id| !ends.contains(id)).collect();
        let mut watch = Watch::new(Arc::clone(&self.tokenizer), sink, start);
        let (mut tokens, mut steps, mut ended) = (Vec::new(), 0, false);
        while tokens.len() < request.tokens_max && !ended {
            let length = self.abilities.canvas_length.min(request.tokens_max - tokens.len());
            let fill = self.abilities.fill;
            let around = Frameset { head: Vec::new(), suffix: Vec::new(), fill, length, first_allowed: None };
            let block = stats.canvases as u64;
            let draw = |position| {
                let at = Coordinates { stream: block, step: 0, position: position as u64 };
                rules.generator.first_noise(at, rules.noise, self.session.config().vocab_size as u32)
            };
            let hole: Vec<u32> = (0..length).map(draw).collect();
            let mut batch = [Condensing::new(around.canvas(&hole, block, false), &rules)];
            stats.canvases += 1;
            stats.forwards += condense(&self.session, &mut batch, &rules, cancel, &mut |b| watch.after_step(b))?;
            watch.next_block();
            let [done] = batch;
            let answer = done.answer();
            steps += done.steps;
            let end = answer.iter().position(|&id| self.abilities.ends_text(id));
            ended = end.is_some();
            tokens.extend_from_slice(&answer[..end.unwrap_or(answer.len())]);
            if tokens.len() < request.tokens_max && !ended {
                self.session.append(&answer, cancel)?;
            }
        }
        stats.first_frame_ms = watch.first_frame_ms();
        stats.total_ms = ms(start);
        stats.denoise_ms = stats.total_ms - stats.encode_ms;
        stats.tokens_per_forward = tokens.len() as f32 / stats.forwards.max(1) as f32;
        let text = self.tokenizer.decode(&tokens).map_err(tokenizer_fault)?;
        let candidate = Candidate {
            text,
            tokens: tokens.len(),
            score: 0.0,
            log_prob_hole: 0.0,
            log_prob_suffix: 0.0,
            entropy_mean: 0.0,
            steps,
            settled: ended,
        };
        Ok(Infilled { candidates: vec![candidate], stats })
    }
}
