//! Plain text generation: block diffusion as the reference does it, or its left-to-right control.

use crate::canvas::Frameset;
use crate::denoise::{Condensing, Rules, condense};
use crate::engine::DiffusionEngine;
use crate::noise::Generator;
use crate::preset::effort;
use crate::rank::tokenizer_fault;
use crate::watch::{Run, ms};
use lacuna_engine::{
    CancelToken, Candidate, EngineError, FrameSink, GenerateRequest, Infilled, Method, Origin,
};
use std::sync::Arc;

impl DiffusionEngine {
    /// Continues a text by at most `tokens_max` tokens.
    pub(crate) fn continue_text(
        &mut self,
        request: &GenerateRequest,
        cancel: &CancelToken,
        sink: &mut dyn FrameSink,
    ) -> Result<Infilled, EngineError> {
        request.validate(&self.limits)?;
        let mut run = Run::new(Arc::clone(&self.tokenizer), sink, cancel);
        let prompt = self.prompt(request.language.as_deref(), &request.prompt)?;
        let longest = prompt.ids.len() + prompt.head.len() + request.tokens_max;
        self.session.check_room(longest.saturating_sub(self.session.len()))?;
        if request.method == Method::Diffusion {
            let candidate = self.continue_in_blocks(request, &prompt.whole(), &mut run)?;
            let stats = run.finish(candidate.tokens);
            return Ok(Infilled { candidates: vec![candidate], stats });
        }
        let (decoded, mut stats) = self.decode(&prompt, request.tokens_max, &mut |_| None, cancel)?;
        stats.total_ms = ms(run.start);
        stats.tokens_per_forward = decoded.tokens.len() as f32 / decoded.forwards.max(1) as f32;
        Ok(Infilled { candidates: vec![decoded.into_candidate()], stats })
    }

    fn continue_in_blocks(
        &mut self,
        request: &GenerateRequest,
        ids: &[u32],
        run: &mut Run<'_>,
    ) -> Result<Candidate, EngineError> {
        run.stats.prompt_tokens = ids.len();
        run.stats.cached_tokens = self.session.read(ids, run.cancel)?;
        run.stats.encode_ms = ms(run.start);
        let generator = Generator::new(request.sampling.seed);
        let mut rules = self.rules(effort(&request.sampling, self.generation.steps_max).steps, generator);
        rules.guidance = 0.0; // plain block diffusion, as the reference has it: this is what controls are held against
        let ends = &self.generation.eos_token_ids;
        rules.banned = rules.banned.iter().copied().filter(|id| !ends.contains(id)).collect();
        let (mut tokens, mut steps, mut ended) = (Vec::new(), 0, false);
        while tokens.len() < request.tokens_max && !ended {
            let length = self.abilities.canvas_length.min(request.tokens_max - tokens.len());
            let done = self.next_block(length, (&rules, generator), run)?;
            let answer = done.answer();
            steps += done.steps;
            let end = answer.iter().position(|&id| self.abilities.ends_text(id));
            ended = end.is_some();
            tokens.extend_from_slice(&answer[..end.unwrap_or(answer.len())]);
            if tokens.len() < request.tokens_max && !ended {
                self.session.append(&answer, run.cancel)?;
            }
        }
        run.stats.denoise_ms = ms(run.start) - run.stats.encode_ms;
        Ok(Candidate {
            text: self.tokenizer.decode(&tokens).map_err(tokenizer_fault)?,
            tokens: tokens.len(),
            score: 0.0,
            log_prob_hole: 0.0,
            log_prob_suffix: 0.0,
            confidence: None,
            entropy_mean: 0.0,
            origin: Origin::Noise,
            steps,
            settled: ended,
        })
    }

    /// Condenses one canvas of nothing but noise after what the cache holds.
    fn next_block(
        &self,
        length: usize,
        (rules, generator): (&Rules, Generator),
        run: &mut Run<'_>,
    ) -> Result<Condensing, EngineError> {
        let fill = self.abilities.fill;
        let around = Frameset { head: Vec::new(), suffix: Vec::new(), fill, length, first_allowed: None };
        let block = run.stats.canvases as u64;
        let vocabulary = self.session.config().vocab_size as u32;
        let hole = generator.fresh_hole(block, length, rules.noise, vocabulary);
        let mut batch = [Condensing::new(around.canvas(&hole, block, false), rules)];
        run.stats.canvases += 1;
        run.stats.forwards +=
            condense(&self.session, &mut batch, rules, run.cancel, &mut |b| run.watch.after_step(b))?;
        run.watch.next_block();
        let [done] = batch;
        Ok(done)
    }
}
