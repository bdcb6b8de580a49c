//! From a region of a document to the request an engine gets: budgets from the model, the plan from the text side.

use crate::failure::Failure;
use lacuna_engine::{Engine, HoleKind, InfillRequest, Sampling, Start};
use lacuna_text::{Language, Measure, Plan, PlanSettings, Region, RegionKind, Snapshot, plan};

/// Code before the hole that is worth its time on a CPU, in tokens.
const PREFIX_TOKENS_MAX: usize = 512;
/// Code after the hole, in tokens.
const SUFFIX_TOKENS_MAX: usize = 128;

/// A hole, planned and ready to be filled.
pub struct Job {
    /// What the text side decided.
    pub plan: Plan,
    /// What the engine is asked.
    pub request: InfillRequest,
}

struct EngineMeasure<'a>(&'a dyn Engine);

impl Measure for EngineMeasure<'_> {
    fn tokens(&self, text: &str) -> usize {
        self.0.count_tokens(text)
    }
}

impl Job {
    /// Plans the filling of `region` under the budgets of `engine`'s model.
    ///
    /// # Errors
    /// A region whose text exceeds the model's hole, or sampling outside its limits.
    pub fn new(
        snapshot: &Snapshot,
        region: &Region,
        sampling: &Sampling,
        engine: &dyn Engine,
    ) -> Result<Self, Failure> {
        let info = engine.info();
        let settings = PlanSettings {
            prefix_tokens_max: info.prompt_tokens_max.min(PREFIX_TOKENS_MAX),
            suffix_tokens_max: SUFFIX_TOKENS_MAX,
            context_tokens_max: 0,
            // The present text may be longer than one canvas: the engine works in blocks then.
            hole_tokens_max: engine.limits().hole_tokens_max,
        };
        let plan = plan(snapshot, region, &settings, &EngineMeasure(engine))
            .map_err(|error| Failure::input(error.to_string()))?;
        let request = InfillRequest {
            language: language_id(plan.language),
            context: plan.context.clone(),
            prefix: plan.prefix.clone(),
            suffix: plan.suffix.clone(),
            kind: hole_kind(plan.kind()),
            start: Start::Noise,
            sampling: sampling.clone(),
        };
        request.validate(&engine.limits())?;
        Ok(Self { plan, request })
    }

    /// Starts from the text that is there, `strength` of it given up.
    pub fn refining(mut self, strength: f32) -> Self {
        self.request.start = Start::Text { text: self.plan.hole.clone(), strength };
        self
    }

    /// Whether it starts from the text that is there.
    pub const fn refines(&self) -> bool {
        matches!(self.request.start, Start::Text { .. })
    }
}

fn language_id(language: Language) -> Option<String> {
    (language != Language::PlainText).then(|| language.id().to_owned())
}

const fn hole_kind(kind: RegionKind) -> HoleKind {
    match kind {
        RegionKind::Line => HoleKind::Line,
        RegionKind::Span => HoleKind::Span,
        RegionKind::Lines => HoleKind::Lines,
        RegionKind::Body => HoleKind::Body,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lacuna_engine::scripted::ScriptedEngine;
    use lacuna_text::Document;

    #[test]
    fn a_region_becomes_a_request_with_both_sides() {
        let document = Document::new("fn f() {\n    todo!()\n}\n", Language::Rust);
        let region = Region::find_markers(&document).remove(0);
        let engine = ScriptedEngine::new([]);
        let job = Job::new(&document, &region, &Sampling::default(), &engine).unwrap();
        assert_eq!(job.request.prefix, "fn f() {\n    ");
        assert_eq!(job.request.suffix, "\n}\n");
        assert_eq!(job.request.language.as_deref(), Some("rust"));
        let refining = job.refining(0.25).request.start;
        assert_eq!(refining, Start::Text { text: "todo!()".to_owned(), strength: 0.25 });
    }

    #[test]
    fn sampling_outside_the_limits_is_bad_input() {
        let document = Document::new("x = ‹›\n", Language::Python);
        let region = Region::find_markers(&document).remove(0);
        let sampling = Sampling { steps: Some(100_000), ..Sampling::default() };
        let error = Job::new(&document, &region, &sampling, &ScriptedEngine::new([])).err().unwrap();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("steps must be at most"), "{error}");
    }
}
