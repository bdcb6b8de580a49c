//! An engine that answers from a script: for tests of everything around an engine, never shipped to users.

use crate::{
    CancelToken, Candidate, Cell, CellState, Engine, EngineError, Frame, FrameSink, GenerateRequest,
    InfillRequest, Infilled, Limits, Method, ModelInfo, NoiseInfo, Origin, ScoreRequest, Scored, Stats,
    TokenCounter,
};
use std::collections::VecDeque;
use std::sync::Arc;

/// Plays back answers in order and records the requests it saw.
#[derive(Debug, Default)]
pub struct ScriptedEngine {
    answers: VecDeque<Result<Vec<String>, EngineError>>,
    /// Every infill request seen, oldest first.
    pub seen: Vec<InfillRequest>,
    /// Frames sent before each answer.
    pub frames_per_answer: usize,
}

impl ScriptedEngine {
    /// An engine whose n-th request is answered by the n-th element: texts of candidates, best first, or an error.
    #[must_use]
    pub fn new(answers: impl IntoIterator<Item = Result<Vec<String>, EngineError>>) -> Self {
        Self { answers: answers.into_iter().collect(), seen: Vec::new(), frames_per_answer: 1 }
    }

    fn next(&mut self) -> Result<Vec<String>, EngineError> {
        self.answers.pop_front().unwrap_or_else(|| {
            Err(EngineError::InvalidRequest("the script holds no further answer".to_owned()))
        })
    }
}

fn candidate(text: String, rank: usize) -> Candidate {
    Candidate {
        tokens: text.split_whitespace().count(),
        text,
        score: -(rank as f32),
        log_prob_hole: 0.0,
        log_prob_suffix: 0.0,
        confidence: None,
        entropy_mean: 0.0,
        origin: Origin::Noise,
        steps: 1,
        settled: true,
    }
}

impl Engine for ScriptedEngine {
    fn info(&self) -> ModelInfo {
        ModelInfo {
            source: "scripted".to_owned(),
            parameters: 0,
            weight_bytes: 0,
            precision: "none".to_owned(),
            device: "none".to_owned(),
            threads: 1,
            layers: 0,
            hidden: 0,
            vocabulary: 0,
            canvas_length: 64,
            prompt_tokens_max: 512,
            hole_tokens_max: 64,
            noise: NoiseInfo::Uniform,
            blank_token: false,
            fim: false,
            instruct: false,
            languages: Vec::new(),
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
        request.validate(&Limits::default())?;
        self.seen.push(request.clone());
        let texts = self.next()?;
        for step in 1..=self.frames_per_answer {
            cancel.check()?;
            let text = texts.first().cloned().unwrap_or_default();
            let cells = vec![Cell { text, state: CellState::Accepted, entropy: 0.0 }];
            sink.frame(Frame { canvas: 0, block: 0, step, steps_max: self.frames_per_answer, cells });
        }
        let candidates = texts.into_iter().enumerate().map(|(rank, text)| candidate(text, rank)).collect();
        Ok(Infilled { candidates, stats: Stats { forwards: self.frames_per_answer, ..Stats::default() } })
    }

    fn infill_by(
        &mut self,
        _method: Method,
        request: &InfillRequest,
        cancel: &CancelToken,
    ) -> Result<Infilled, EngineError> {
        self.infill(request, cancel, &mut crate::NoFrames)
    }

    fn generate(
        &mut self,
        request: &GenerateRequest,
        cancel: &CancelToken,
        sink: &mut dyn FrameSink,
    ) -> Result<Infilled, EngineError> {
        let infill = InfillRequest::new(request.prompt.clone(), "", crate::HoleKind::Lines);
        self.infill(&infill, cancel, sink)
    }

    fn score(&mut self, request: &ScoreRequest, cancel: &CancelToken) -> Result<Scored, EngineError> {
        cancel.check()?;
        let tokens: Vec<String> = request.text.split_whitespace().map(str::to_owned).collect();
        let log_probs = vec![0.0; tokens.len()];
        Ok(Scored { tokens, log_probs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HoleKind;

    #[test]
    fn plays_its_script_in_order_and_records_requests() {
        let mut engine =
            ScriptedEngine::new([Ok(vec!["a".to_owned(), "b".to_owned()]), Err(EngineError::Cancelled)]);
        let request = InfillRequest::new("x", "y", HoleKind::Line);
        let mut frames = Vec::new();
        let answer =
            engine.infill(&request, &CancelToken::new(), &mut |frame: Frame| frames.push(frame)).unwrap();
        assert_eq!(answer.candidates.iter().map(|c| c.text.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(frames.len(), 1);
        let second = engine.infill(&request, &CancelToken::new(), &mut crate::NoFrames);
        assert_eq!(second.unwrap_err(), EngineError::Cancelled);
        assert_eq!(engine.seen.len(), 2);
    }

    #[test]
    fn a_cancelled_request_ends_before_its_first_frame() {
        let mut engine = ScriptedEngine::new([Ok(vec!["a".to_owned()])]);
        let cancel = CancelToken::new();
        cancel.cancel();
        let request = InfillRequest::new("x", "y", HoleKind::Line);
        let mut frames = 0;
        let answer = engine.infill(&request, &cancel, &mut |_: Frame| frames += 1);
        assert_eq!(answer.unwrap_err(), EngineError::Cancelled);
        assert_eq!(frames, 0);
    }
}
