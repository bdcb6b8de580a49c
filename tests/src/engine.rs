//! An engine that answers from a script at a given pace and writes down what it was asked: for tests of timing and
//! failure, where the real model would be too quick, too slow or too reliable.

mod record;
mod script;

pub use record::{End, Inference, read_record};
pub use script::{SCRIPT_VARIABLE, Script};

use lacuna_engine::scripted::ScriptedEngine;
use lacuna_engine::{
    CancelToken, Candidate, Cell, CellState, Engine, EngineError, Frame, FrameSink, GenerateRequest,
    HoleKind, InfillRequest, Infilled, Method, ModelInfo, NoFrames, Origin, ScoreRequest, Scored, Stats,
    TokenCounter,
};
use record::Record;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often the engine looks at its cancel token.
const POLL: Duration = Duration::from_micros(200);

/// Plays a [`Script`].
#[derive(Debug)]
pub struct TimedEngine {
    script: Script,
    record: Record,
}

impl TimedEngine {
    /// Loads as the script says: slowly, not at all, or at once.
    ///
    /// # Errors
    /// The load failure of the script.
    ///
    /// # Panics
    /// When the script says so.
    pub fn load(script: &Script) -> Result<Self, EngineError> {
        std::thread::sleep(Duration::from_secs_f64(script.load_ms / 1000.0));
        assert!(!script.load_panic, "the script says so");
        if let Some(reason) = &script.load_error {
            return Err(EngineError::Model { path: "script".to_owned(), reason: reason.clone() });
        }
        Ok(Self { script: script.clone(), record: Record::open(script.record.as_deref()) })
    }

    fn run(
        &self,
        request: &InfillRequest,
        cancel: &CancelToken,
        sink: &mut dyn FrameSink,
    ) -> Result<Infilled, EngineError> {
        self.fail_where_the_script_says(&request.prefix)?;
        let texts = self.script.answers(&request.prefix);
        for step in 1..=self.script.steps {
            wait(Duration::from_secs_f64(self.script.step_ms / 1000.0), cancel)?;
            if sink.wants_frames() {
                sink.frame(frame(step, self.script.steps, texts.first().map_or("", String::as_str)));
            }
        }
        let stats = Stats { prompt_tokens: self.count_tokens(&request.prefix), ..Stats::default() };
        let stated = |rank: usize| self.script.confidences.get(rank).copied();
        let candidates = texts.into_iter().enumerate();
        let candidates = candidates.map(|(rank, text)| candidate(rank, text, stated(rank))).collect();
        Ok(Infilled { candidates, stats })
    }

    #[expect(clippy::panic, reason = "what the script asks for")]
    fn fail_where_the_script_says(&self, prefix: &str) -> Result<(), EngineError> {
        if self.script.panic_on.as_ref().is_some_and(|word| prefix.contains(word)) {
            panic!("the script says so");
        }
        if self.script.error_on.as_ref().is_some_and(|word| prefix.contains(word)) {
            let reason = "the script says so".to_owned();
            return Err(EngineError::Compute { while_doing: "playing a script".to_owned(), reason });
        }
        if self.script.lost_on.as_ref().is_some_and(|word| prefix.contains(word)) {
            return Err(EngineError::Lost("the script says so".to_owned()));
        }
        Ok(())
    }
}

/// Passes the time a step takes, unless cancelled.
fn wait(time: Duration, cancel: &CancelToken) -> Result<(), EngineError> {
    let end = Instant::now() + time;
    loop {
        cancel.check()?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(POLL));
    }
}

fn frame(step: usize, steps_max: usize, text: &str) -> Frame {
    let state = if step == steps_max { CellState::Accepted } else { CellState::Noise };
    let cells = vec![Cell { text: text.to_owned(), state, entropy: 1.0 / step as f32 }];
    Frame { canvas: 0, block: 0, step, steps_max, cells }
}

fn candidate(rank: usize, text: String, confidence: Option<f32>) -> Candidate {
    Candidate {
        tokens: text.split_whitespace().count(),
        text,
        score: -(rank as f32),
        log_prob_hole: -1.0 - rank as f32,
        log_prob_suffix: -1.0,
        confidence,
        entropy_mean: 0.1,
        origin: Origin::Noise,
        steps: 1,
        settled: true,
    }
}

impl Engine for TimedEngine {
    fn info(&self) -> ModelInfo {
        // A longer prompt than the shipped model's, so that context beyond the file has room.
        let plain = ScriptedEngine::default().info();
        ModelInfo {
            source: "script".to_owned(),
            prompt_tokens_max: 4096,
            instruct: self.script.instruct,
            ..plain
        }
    }

    fn counter(&self) -> TokenCounter {
        Arc::new(|text| text.split_whitespace().count())
    }

    fn infill(
        &mut self,
        request: &InfillRequest,
        cancel: &CancelToken,
        sink: &mut dyn FrameSink,
    ) -> Result<Infilled, EngineError> {
        let guard = self.record.start(request);
        let answer = self.run(request, cancel, sink);
        guard.end(match &answer {
            Ok(_) => End::Finished,
            Err(EngineError::Cancelled) => End::Cancelled,
            Err(_) => End::Failed,
        });
        answer
    }

    fn infill_by(
        &mut self,
        _method: Method,
        request: &InfillRequest,
        cancel: &CancelToken,
    ) -> Result<Infilled, EngineError> {
        self.infill(request, cancel, &mut NoFrames)
    }

    fn generate(
        &mut self,
        request: &GenerateRequest,
        cancel: &CancelToken,
        sink: &mut dyn FrameSink,
    ) -> Result<Infilled, EngineError> {
        self.infill(&InfillRequest::new(request.prompt.clone(), "", HoleKind::Lines), cancel, sink)
    }

    fn score(&mut self, request: &ScoreRequest, cancel: &CancelToken) -> Result<Scored, EngineError> {
        cancel.check()?;
        let tokens: Vec<String> = request.text.split_whitespace().map(str::to_owned).collect();
        Ok(Scored { log_probs: vec![-1.0; tokens.len()], tokens })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_echoes_the_end_of_the_prefix_and_writes_down_what_it_saw() {
        let folder = tempfile::TempDir::new().unwrap();
        let record = folder.path().join("record.jsonl");
        let script = Script {
            candidates: vec!["({last})".to_owned(), "second".to_owned()],
            record: Some(record.clone()),
            ..Script::default()
        };
        let mut engine = TimedEngine::load(&script).unwrap();
        let request = InfillRequest::new("let total = add", ";", HoleKind::Line);
        let answer = engine.infill(&request, &CancelToken::new(), &mut NoFrames).unwrap();
        assert_eq!(answer.candidates[0].text, "(add)");
        assert_eq!(answer.candidates[1].text, "second");
        let seen = read_record(&record);
        assert_eq!(seen.len(), 1);
        assert!(seen[0].tail.ends_with("total = add") && seen[0].end == Some(End::Finished), "{seen:?}");
    }

    #[test]
    fn a_cancelled_inference_ends_inside_its_step() {
        let folder = tempfile::TempDir::new().unwrap();
        let record = folder.path().join("record.jsonl");
        let script = Script { step_ms: 60_000.0, record: Some(record.clone()), ..Script::default() };
        let mut engine = TimedEngine::load(&script).unwrap();
        let cancel = CancelToken::new();
        let other = cancel.clone();
        let canceller = std::thread::spawn(move || other.cancel());
        let request = InfillRequest::new("a", "b", HoleKind::Line);
        assert_eq!(engine.infill(&request, &cancel, &mut NoFrames), Err(EngineError::Cancelled));
        canceller.join().unwrap();
        assert_eq!(read_record(&record)[0].end, Some(End::Cancelled));
    }

    #[test]
    fn it_fails_where_the_script_says() {
        let script = Script { error_on: Some("broken".to_owned()), ..Script::default() };
        let mut engine = TimedEngine::load(&script).unwrap();
        let request = InfillRequest::new("all is broken", "", HoleKind::Line);
        assert!(engine.infill(&request, &CancelToken::new(), &mut NoFrames).is_err());
        let load = Script { load_error: Some("no such model".to_owned()), ..Script::default() };
        assert!(TimedEngine::load(&load).unwrap_err().to_string().contains("no such model"));
    }
}
