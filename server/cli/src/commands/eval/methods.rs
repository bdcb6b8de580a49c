//! The ways a case can be answered: ours, ours with something taken away or told, and the controls.

use super::cases::Case;
use super::copy;
use clap::ValueEnum;
use lacuna_engine::{
    CancelToken, Candidate, Engine, EngineError, FrameSink, InfillRequest, Infilled, Method, NoFrames,
    Origin, Sampling, Stats,
};
use lacuna_text::RegionKind;

/// One row of the scorecard. All but `Copy` use the same weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, ValueEnum)]
pub enum Way {
    // What a user gets.
    #[default]
    Diffusion,
    // Ours without canvases: drafts of the causal pass and earlier code, under the same score.
    Drafts,
    // Canvases that begin as noise only: no draft of the causal pass, no earlier code.
    DiffusionNoise,
    // As `DiffusionNoise`, one length for every hole of a kind.
    DiffusionFixed,
    // As `DiffusionNoise`, told how many tokens the known answer has.
    DiffusionOracleLength,
    // Left to right from the prefix alone.
    Causal,
    // Left to right from a fill-in-the-middle prompt.
    CausalFim,
    // The most similar earlier line of the same file; no model.
    Copy,
}

/// Tokens of `diffusion-fixed`: near the median of ordinary holes of the kind.
const fn fixed_tokens(shape: RegionKind) -> usize {
    match shape {
        RegionKind::Line | RegionKind::Span => 8,
        RegionKind::Lines | RegionKind::Body => 28,
    }
}

impl Way {
    /// All, in the order of the scorecard.
    pub const ALL: [Self; 8] = [
        Self::Diffusion,
        Self::Drafts,
        Self::DiffusionNoise,
        Self::DiffusionFixed,
        Self::DiffusionOracleLength,
        Self::Causal,
        Self::CausalFim,
        Self::Copy,
    ];

    /// As the command line and the scorecard write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Diffusion => "diffusion",
            Self::Drafts => "drafts",
            Self::DiffusionNoise => "diffusion-noise",
            Self::DiffusionFixed => "diffusion-fixed",
            Self::DiffusionOracleLength => "diffusion-oracle-length",
            Self::Causal => "causal",
            Self::CausalFim => "causal-fim",
            Self::Copy => "copy",
        }
    }

    /// What the engine is asked to do; `None` where it is not asked.
    const fn method(self) -> Option<Method> {
        match self {
            Self::Causal => Some(Method::Causal),
            Self::CausalFim => Some(Method::CausalFim),
            Self::Copy => None,
            _ => Some(Method::Diffusion),
        }
    }

    /// `sampling` with what this way takes away or tells.
    pub fn sampling(self, sampling: &Sampling, case: &Case, engine: &dyn Engine) -> Sampling {
        let length = match self {
            Self::DiffusionFixed => Some(fixed_tokens(case.shape)),
            Self::Drafts => return Sampling { canvases: Some(false), ..sampling.clone() },
            Self::DiffusionOracleLength => Some(engine.hole_tokens(&case.prompt, &case.answer)),
            Self::DiffusionNoise => None,
            _ => return sampling.clone(),
        };
        let longest = engine.info().hole_tokens_max.max(1);
        Sampling {
            drafts: Some(false),
            lengths: length.map(|length| vec![length.clamp(1, longest)]).or_else(|| sampling.lengths.clone()),
            ..sampling.clone()
        }
    }

    /// Fills the hole; only diffusion shows frames.
    ///
    /// # Errors
    /// Whatever the engine answers.
    pub fn fill(
        self,
        engine: &mut dyn Engine,
        request: &InfillRequest,
        cancel: &CancelToken,
        frames: Option<&mut dyn FrameSink>,
    ) -> Result<Infilled, EngineError> {
        match self.method() {
            Some(Method::Diffusion) => engine.infill(request, cancel, frames.unwrap_or(&mut NoFrames)),
            Some(control) => engine.infill_by(control, request, cancel),
            None => Ok(copied(request)),
        }
    }
}

impl From<Method> for Way {
    fn from(method: Method) -> Self {
        match method {
            Method::Diffusion => Self::Diffusion,
            Method::Causal => Self::Causal,
            Method::CausalFim => Self::CausalFim,
        }
    }
}

fn copied(request: &InfillRequest) -> Infilled {
    let text = copy::nearest(&request.prefix, &request.suffix, request.kind);
    let candidates = text.map(|text| Candidate {
        text,
        tokens: 0,
        score: 0.0,
        // A copy states no probability.
        log_prob_hole: f32::NEG_INFINITY,
        log_prob_suffix: 0.0,
        confidence: None,
        entropy_mean: 0.0,
        origin: Origin::Earlier,
        steps: 0,
        settled: true,
    });
    Infilled { candidates: candidates.into_iter().collect(), stats: Stats::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::eval::cases::warm_up;
    use lacuna_engine::scripted::ScriptedEngine;

    #[test]
    fn names_are_those_of_the_command_line() {
        for way in Way::ALL {
            assert_eq!(way.to_possible_value().unwrap().get_name(), way.name());
        }
    }

    #[test]
    fn lengths_are_told_to_the_oracle_and_fixed_for_the_fixed() {
        let (engine, case) = (ScriptedEngine::default(), warm_up());
        let lengths =
            |way: Way| way.sampling(&Sampling::default(), &case, &engine).lengths.unwrap_or_default();
        assert_eq!(lengths(Way::DiffusionOracleLength), [4], "return width * height");
        assert_eq!(lengths(Way::DiffusionFixed), [28]);
        assert!(lengths(Way::Diffusion).is_empty());
        let noise = Way::DiffusionNoise.sampling(&Sampling::default(), &case, &engine);
        assert_eq!((noise.drafts, noise.lengths), (Some(false), None));
        let drafts = Way::Drafts.sampling(&Sampling::default(), &case, &engine);
        assert_eq!((drafts.drafts, drafts.canvases), (None, Some(false)));
    }

    #[test]
    fn copying_asks_no_engine() {
        let mut engine = ScriptedEngine::default();
        let request = InfillRequest::new("let a = one(1);\nlet b = ", "\n", lacuna_engine::HoleKind::Line);
        let answer = Way::Copy.fill(&mut engine, &request, &CancelToken::new(), None).unwrap();
        assert_eq!(answer.candidates[0].text, "one(1);");
        assert!(engine.seen.is_empty());
    }
}
