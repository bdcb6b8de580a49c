//! Times one denoising step of a loaded model on a synthetic canvas: the number that every engine is compared by.

use crate::canvas::Frameset;
use crate::denoise::{Condensing, condense};
use crate::engine::DiffusionEngine;
use crate::noise::{Coordinates, Generator};
use lacuna_engine::{CancelToken, EngineError};
use std::time::Instant;

/// What a step is timed on.
#[derive(Clone, Copy, Debug)]
pub struct StepBench {
    /// Canvas rows, all of them hole.
    pub canvas: usize,
    /// Cached prompt tokens.
    pub prefix: usize,
    /// Canvases side by side.
    pub batch: usize,
    /// Steps timed, after a warm-up.
    pub repeats: usize,
}

/// Milliseconds of each timed step: decoder pass, logits of every row, temperature, entropy, acceptance, renoising and
/// the soft embedding for the next step.
#[derive(Clone, Debug)]
pub struct StepTimes {
    /// In order of running.
    pub ms: Vec<f64>,
}

const WARM_UP: usize = 3;

impl DiffusionEngine {
    /// Runs `bench` and returns its times.
    ///
    /// # Errors
    /// [`EngineError::InvalidRequest`] when the model has not that many positions.
    pub fn bench_step(&mut self, bench: StepBench, cancel: &CancelToken) -> Result<StepTimes, EngineError> {
        if bench.canvas == 0 || bench.batch == 0 || bench.repeats == 0 {
            let reason = "canvas, batch and repeats must be at least 1";
            return Err(EngineError::InvalidRequest(reason.to_owned()));
        }
        let vocabulary = self.session.config().vocab_size as u32;
        let generator = Generator::new(0);
        let draw = |stream, position| {
            let at = Coordinates { stream, step: 0, position };
            generator.below(at, 0, vocabulary)
        };
        let prompt: Vec<u32> = (0..bench.prefix as u64).map(|i| draw(u64::MAX, i)).collect();
        self.session.read(&prompt, cancel)?;
        let around = Frameset {
            head: Vec::new(),
            suffix: Vec::new(),
            fill: 0,
            length: bench.canvas,
            first_allowed: None,
        };
        let steps = WARM_UP + bench.repeats + 1; // the last step of a canvas skips the soft embedding: not timed
        let mut rules = self.rules(steps, generator);
        // Nothing comes to rest and nothing is forced: every timed step does the full work.
        rules.confidence = -1.0;
        rules.guidance = 0.0;
        rules.noise = crate::config::Noise::Uniform;
        let mut batch: Vec<Condensing> = (0..bench.batch as u64)
            .map(|i| {
                let hole: Vec<u32> = (0..bench.canvas as u64).map(|p| draw(i, p)).collect();
                Condensing::new(around.canvas(&hole, i, false), &rules)
            })
            .collect();
        let mut stamps = vec![Instant::now()];
        condense(&self.session, &mut batch, &rules, cancel, &mut |_| stamps.push(Instant::now()))?;
        let all = stamps.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64() * 1e3);
        Ok(StepTimes { ms: all.skip(WARM_UP).take(bench.repeats).collect() })
    }
}
