//! One infill request, start to end: prompt, lengths, condensing, ranking.

use crate::canvas::{Canvas, Frameset};
use crate::config::Drafts;
use crate::denoise::{Condensing, Denoiser, Rules, Step, condense};
use crate::engine::DiffusionEngine;
use crate::lengths;
use crate::noise::{Generator, NoiseSource};
use crate::preset::{Effort, effort};
use crate::prompt::{Prompt, TOKEN_BYTES_MAX, start_of};
use crate::rank::{self, Draft, finish, tokenizer_fault};
use crate::repeats::Repeats;
use crate::watch::{Run, ms};
use lacuna_engine::{CancelToken, Candidate, EngineError, FrameSink, InfillRequest, Infilled, Start};
use std::sync::Arc;
use std::time::Instant;

/// The near surroundings of the hole and the rules of this request.
pub(crate) struct Job<'r> {
    pub request: &'r InfillRequest,
    pub prompt: Prompt,
    pub around: Frameset,
    pub rules: Rules,
    pub generator: Generator,
    pub effort: Effort,
    /// Texts wanted that no canvas writes.
    pub drafts: Drafts,
    /// Most tokens that fit into the hole of one canvas.
    pub hole_max: usize,
}

impl DiffusionEngine {
    /// Fills or refines one hole by diffusion.
    pub(crate) fn fill(
        &mut self,
        request: &InfillRequest,
        cancel: &CancelToken,
        sink: &mut dyn FrameSink,
    ) -> Result<Infilled, EngineError> {
        let mut run = Run::new(Arc::clone(&self.tokenizer), sink, cancel);
        let job = self.prepare(request, &mut run)?;
        run.stats.encode_ms = ms(run.start);
        run.watch.strip(job.prompt.lead_text());
        let mut candidates = Vec::new();
        match &request.start {
            Start::Noise => self.fill_from_noise(&job, &mut candidates, &mut run)?,
            Start::Template(template) => {
                let drafts = self.fill_template(&job, template, &mut run)?;
                self.compete(&job, drafts, &mut candidates, &mut run)?;
            }
            Start::Text { text, strength } => {
                let drafts = self.drafts_from_text(&job, text, *strength, &mut run)?;
                self.compete(&job, drafts, &mut candidates, &mut run)?;
            }
        }
        run.stats.denoise_ms = ms(run.start) - run.stats.encode_ms - run.stats.score_ms;
        let best = candidates.first().map_or(0, |c| c.tokens);
        Ok(Infilled { candidates, stats: run.finish(best) })
    }

    /// Reads the prompt into the KV cache and lays out what stands around the hole.
    fn prepare<'r>(&mut self, request: &'r InfillRequest, run: &mut Run<'_>) -> Result<Job<'r>, EngineError> {
        request.validate(&self.limits)?;
        let prompt = self.healed_prompt(request)?;
        // What of the prompt lies on the canvas is no part of what the encoder reads.
        run.stats.prompt_tokens = prompt.ids.len();
        run.stats.cached_tokens = self.session.read(&prompt.ids, run.cancel)?;
        let repeats = self.repeats(request, &prompt)?;
        self.session.expect(repeats);
        let around = Frameset {
            head: prompt.head.clone(),
            suffix: self.canvas_suffix(request)?,
            fill: self.abilities.fill,
            length: self.abilities.canvas_length,
            first_allowed: prompt.lead.as_ref().map(|lead| Arc::clone(&lead.allowed)),
        };
        let effort = effort(&request.sampling, self.generation.steps_max);
        let generator = Generator::new(request.sampling.seed);
        let rules = self.rules(effort.steps, generator);
        let hole_max =
            around.hole_max(self.abilities.suffix_tokens_min).min(self.abilities.hole_tokens_max).max(1);
        let drafts = match request.sampling.drafts {
            Some(false) => Drafts::default(),
            _ => self.abilities.drafts,
        };
        Ok(Job { request, prompt, around, rules, generator, effort, drafts, hole_max })
    }

    /// What the document repeats, where the checkpoint is to know; nothing where only canvases are to compete.
    fn repeats(&mut self, request: &InfillRequest, prompt: &Prompt) -> Result<Option<Repeats>, EngineError> {
        if request.sampling.drafts == Some(false) || self.abilities.repeats.is_empty() {
            return Ok(None);
        }
        let tokenizer = &self.tokenizer;
        let mut texts = Vec::with_capacity(request.near.len());
        for text in &request.near {
            texts.push(self.near.tokens(text, |text| tokenizer.encode(text)).map_err(tokenizer_fault)?);
        }
        // The far suffix lies in the near texts already.
        let before = prompt.text_before();
        let texts: Vec<&[u32]> =
            texts.iter().map(|text| &text[..]).chain(before.iter().map(|text| &text[..])).collect();
        Ok(Repeats::new(&self.abilities.repeats, &texts))
    }

    /// The sampler's rules with the checkpoint's numbers.
    pub(crate) fn rules(&self, steps: usize, generator: Generator) -> Rules {
        let generation = &self.generation;
        Rules {
            steps_max: steps,
            t_min: generation.t_min,
            t_max: generation.t_max,
            entropy_bound: generation.entropy_bound as f32,
            stability: generation.stability_threshold,
            confidence: generation.confidence_threshold as f32,
            noise: self.abilities.noise,
            source: NoiseSource::Drawn(generator),
            guidance: self.abilities.guidance,
            banned: Arc::clone(&self.abilities.banned),
        }
    }

    /// As many suffix tokens as a canvas can show; the end of the document is marked where it comes into view.
    pub(crate) fn near_suffix(&self, request: &InfillRequest) -> Result<Vec<u32>, EngineError> {
        let suffix = &request.suffix;
        let count = self.abilities.canvas_length;
        let start = start_of(suffix, count * TOKEN_BYTES_MAX);
        let mut ids = self.tokenizer.encode(start).map_err(tokenizer_fault)?;
        if request.suffix_ends && start.len() == suffix.len() {
            ids.extend(self.abilities.end_of_document);
        }
        ids.truncate(count);
        Ok(ids)
    }

    /// Hole lengths worth denoising, most probable first.
    fn lengths(&self, job: &Job<'_>, run: &mut Run<'_>) -> Result<Vec<usize>, EngineError> {
        if let Some(lengths) = job.request.sampling.lengths.as_ref().filter(|lengths| !lengths.is_empty()) {
            return Ok(lengths.clone());
        }
        let count = job.effort.lengths;
        // Without a blank token a text of several lines may well be longer than one canvas.
        let longest = if job.request.kind.is_multiline() { job.hole_max * 4 } else { job.hole_max };
        let Some(blank) = self.abilities.blank else {
            // A grid knows nothing of the hole: it takes twice as many to come as near.
            return Ok(lengths::grid(job.request.kind, longest, 2 * count));
        };
        let mut buckets = self.abilities.length_buckets.clone();
        buckets.iter_mut().for_each(|bucket| *bucket = (*bucket).min(job.hole_max));
        buckets.dedup();
        let curves = self.blank_curves(job, &buckets, blank, run.cancel)?;
        run.stats.forwards += 1;
        Ok(lengths::from_blanks(&curves, job.hole_max, count))
    }

    /// p(blank) at each row of an all-noise hole, one curve a bucket, at temperature 1; one pass for all of them.
    fn blank_curves(
        &self,
        job: &Job<'_>,
        buckets: &[usize],
        blank: u32,
        cancel: &CancelToken,
    ) -> Result<Vec<Vec<f32>>, EngineError> {
        let canvas =
            |&bucket: &usize| job.around.canvas(&self.all_noise(job, bucket, u64::MAX), u64::MAX, false);
        let canvases: Vec<Canvas> = buckets.iter().map(canvas).collect();
        let tokens: Vec<u32> = canvases.iter().flat_map(|canvas| canvas.tokens.iter().copied()).collect();
        let length = tokens.len() / canvases.len().max(1);
        let rows = canvases
            .iter()
            .enumerate()
            .flat_map(|(b, canvas)| canvas.hole().map(move |row| b * length + row));
        let rows: Vec<usize> = rows.collect();
        let step = Step { tokens: &tokens, batch: canvases.len(), soft: None, rows: &rows };
        let logits = self.session.denoise(&step, cancel)?;
        let probability = |row: &[f32]| {
            let stats = lacuna_kernels::row_stats(row, 1.0);
            (row[blank as usize] - stats.log_sum_exp).exp()
        };
        let mut curve = logits.chunks_exact(self.session.vocabulary()).map(probability);
        Ok(buckets.iter().map(|&bucket| curve.by_ref().take(bucket).collect()).collect())
    }

    fn all_noise(&self, job: &Job<'_>, length: usize, stream: u64) -> Vec<u32> {
        job.generator.fresh_hole(stream, length, job.rules.noise, self.session.vocabulary() as u32)
    }

    /// Scores what is new among `drafts`; `candidates` stays sorted, best first.
    pub(crate) fn compete(
        &mut self,
        job: &Job<'_>,
        drafts: Vec<Draft>,
        candidates: &mut Vec<Candidate>,
        run: &mut Run<'_>,
    ) -> Result<(), EngineError> {
        let scoring = Instant::now();
        let drafts = rank::distinct(drafts, candidates);
        candidates.extend(rank::score(self, job, &drafts, run.cancel)?);
        rank::sort(candidates);
        run.stats.score_ms += ms(scoring);
        Ok(())
    }

    fn fill_from_noise(
        &mut self,
        job: &Job<'_>,
        candidates: &mut Vec<Candidate>,
        run: &mut Run<'_>,
    ) -> Result<(), EngineError> {
        let written = self.written(job, run)?;
        self.compete(job, written, candidates, run)?;
        self.state_confidence(job, candidates);
        let sure = self.sure_enough(job, candidates);
        if sure.is_some() && job.effort.spares {
            return Ok(());
        }
        let seeds = self.seeded(job, candidates, (job.drafts.seeds, 0), run)?;
        let drafts = match job.request.sampling.canvases {
            Some(false) => self.condense_batch(job, seeds, run)?,
            _ => self.drafts_from_noise(job, seeds, run)?,
        };
        self.compete(job, drafts, candidates, run)?;
        let again = self.seeded(job, candidates, (job.drafts.revisions, 1), run)?;
        let revised = self.condense_batch(job, again, run)?;
        self.compete(job, revised, candidates, run)?;
        self.state_confidence(job, candidates);
        if let Some(at) = candidates.iter().position(|candidate| Some(&candidate.text) == sure.as_ref()) {
            candidates[..=at].rotate_right(1);
        }
        Ok(())
    }

    /// Says how probably each candidate is right, where the checkpoint knows.
    fn state_confidence(&self, job: &Job<'_>, candidates: &mut [Candidate]) {
        // Fitted to what drafts and repeats make of a hole, and to nothing else.
        let fitted = self.abilities.confidence.filter(|_| job.request.sampling.drafts != Some(false));
        for candidate in candidates {
            let (hole, suffix) = (candidate.log_prob_hole, candidate.log_prob_suffix);
            candidate.confidence = fitted.map(|model| model.of(hole, suffix));
        }
    }

    /// The text of the best draft, where it is sure enough to stay the first. `candidates` are drafts alone.
    fn sure_enough(&self, job: &Job<'_>, candidates: &[Candidate]) -> Option<String> {
        let best = candidates.first()?;
        let sure = best.confidence.zip(job.drafts.enough).is_some_and(|(stated, enough)| stated >= enough);
        sure.then(|| best.text.clone())
    }

    fn drafts_from_noise(
        &mut self,
        job: &Job<'_>,
        seeds: Vec<Canvas>,
        run: &mut Run<'_>,
    ) -> Result<Vec<Draft>, EngineError> {
        let lengths = self.lengths(job, run)?;
        let (short, long): (Vec<usize>, Vec<usize>) = lengths.iter().partition(|&&n| n <= job.hole_max);
        let mut drafts = Vec::new();
        if !short.is_empty() {
            let canvases = short.len().max(job.effort.canvases);
            let canvas = |i: usize| {
                // Past the first round the same lengths come again, sampled instead of argmax.
                let length = short[i % short.len()];
                job.around.canvas(&self.all_noise(job, length, i as u64), i as u64, i >= short.len())
            };
            let batch = (0..canvases).map(canvas).chain(seeds).collect();
            drafts = self.condense_batch(job, batch, run)?;
        }
        for length in long {
            drafts.push(self.fill_in_blocks(job, length, run)?);
        }
        Ok(drafts)
    }

    /// Condenses canvases side by side and reads the texts off them.
    pub(crate) fn condense_batch(
        &self,
        job: &Job<'_>,
        canvases: Vec<Canvas>,
        run: &mut Run<'_>,
    ) -> Result<Vec<Draft>, EngineError> {
        let batch = self.condensed(job, canvases, run)?;
        batch.iter().map(|condensing| self.draft(job, condensing)).collect()
    }

    /// Condenses canvases side by side.
    pub(crate) fn condensed(
        &self,
        job: &Job<'_>,
        canvases: Vec<Canvas>,
        run: &mut Run<'_>,
    ) -> Result<Vec<Condensing>, EngineError> {
        let mut batch: Vec<Condensing> =
            canvases.into_iter().map(|c| Condensing::new(c, &job.rules)).collect();
        run.stats.canvases += batch.len();
        run.stats.forwards += condense(&self.session, &mut batch, &job.rules, run.cancel, &mut |batch| {
            run.watch.after_step(batch)
        })?;
        Ok(batch)
    }

    fn draft(&self, job: &Job<'_>, condensing: &Condensing) -> Result<Draft, EngineError> {
        let (tokens, text) = finish(self, job, &condensing.answer())?;
        let entropy_mean = condensing.entropy_mean();
        Ok(Draft {
            tokens: tokens.len(),
            text,
            entropy_mean,
            steps: condensing.steps,
            settled: condensing.settled,
            origin: condensing.canvas.origin,
        })
    }
}
