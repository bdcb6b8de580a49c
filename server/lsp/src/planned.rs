//! From a region of a document to the request an engine gets: budgets from the model, the plan from the text side.
//!
//! The only maker of engine requests.

use crate::model::Model;
use lacuna_engine::{EngineError, HoleKind, InfillRequest, Sampling, Start, Template};
use lacuna_text::{
    Language, Plan, PlanError, PlanSettings, Region, RegionKind, Snapshot, earlier, near, plan,
};
use thiserror::Error;

/// Endings of lines that began alike, offered to the engine.
const EARLIER_MAX: usize = 8;

/// Characters of an instruction: a compiler can say a great deal about one line.
const INSTRUCTION_CHARS_MAX: usize = 2000;

/// How much the model is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budgets {
    /// Most tokens before the hole.
    pub prefix_tokens: usize,
    /// Most tokens after the hole.
    pub suffix_tokens: usize,
    /// Code of other documents, put before the prefix.
    pub context: String,
}

impl Default for Budgets {
    /// What is worth its time on a CPU.
    fn default() -> Self {
        Self { prefix_tokens: 512, suffix_tokens: 128, context: String::new() }
    }
}

/// Why a region cannot be filled.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unplanned {
    /// The region.
    #[error(transparent)]
    Region(#[from] PlanError),
    /// The request that would be made of it.
    #[error(transparent)]
    Request(#[from] EngineError),
}

/// A hole, planned and ready to be filled.
#[derive(Clone, Debug)]
pub struct Planned {
    /// What the text side decided.
    pub plan: Plan,
    /// What the engine is asked.
    pub request: InfillRequest,
}

impl Planned {
    /// Plans the filling of `region` under the budgets and what the model can read.
    ///
    /// # Errors
    /// A region whose text exceeds the model's hole, or sampling outside its limits.
    pub fn new(
        snapshot: &Snapshot,
        region: &Region,
        sampling: &Sampling,
        model: &Model,
        budgets: &Budgets,
    ) -> Result<Self, Unplanned> {
        let context_tokens = (model.counter)(&budgets.context);
        let settings = PlanSettings {
            prefix_tokens_max: model
                .info
                .prompt_tokens_max
                .saturating_sub(context_tokens)
                .min(budgets.prefix_tokens),
            suffix_tokens_max: budgets.suffix_tokens,
            context_tokens_max: 0,
            // The present text may be longer than one canvas: the engine works in blocks then.
            hole_tokens_max: model.limits.hole_tokens_max,
        };
        let plan = plan(snapshot, region, &settings, model)?;
        let request = InfillRequest {
            language: language_id(plan.language),
            context: format!("{}{}", budgets.context, plan.context),
            prefix: plan.prefix.clone(),
            suffix: plan.suffix.clone(),
            suffix_ends: plan.window.end == snapshot.len(),
            instruction: None,
            earlier: earlier(snapshot, region, EARLIER_MAX),
            near: near(snapshot, &plan),
            kind: hole_kind(plan.kind()),
            start: Start::Noise,
            sampling: sampling.clone(),
        };
        request.validate(&model.limits)?;
        Ok(Self { plan, request })
    }

    /// Starts from the text that is there, `strength` of it given up.
    #[must_use]
    pub fn refining(mut self, strength: f32) -> Self {
        self.request.start = Start::Text { text: self.plan.hole.clone(), strength };
        self
    }

    /// Fills only the holes of `template`: the region reaches from the first to the last, and what stands between them stays.
    #[must_use]
    pub fn templated(mut self, template: Template) -> Self {
        self.request.start = Start::Template(template);
        self
    }

    /// Says in words what the new code is to do.
    #[must_use]
    pub fn instructed(mut self, instruction: &str) -> Self {
        self.request.instruction = Some(instruction.chars().take(INSTRUCTION_CHARS_MAX).collect());
        self
    }

    /// Whether it starts from the text that is there.
    #[must_use]
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
        let model = Model::of(&engine);
        let planned =
            Planned::new(&document, &region, &Sampling::default(), &model, &Budgets::default()).unwrap();
        assert_eq!(planned.request.prefix, "fn f() {\n    ");
        assert_eq!(planned.request.suffix, "\n}\n");
        assert_eq!(planned.request.language.as_deref(), Some("rust"));
        let refining = planned.refining(0.25).request.start;
        assert_eq!(refining, Start::Text { text: "todo!()".to_owned(), strength: 0.25 });
    }

    #[test]
    fn sampling_outside_the_limits_is_bad_input() {
        let document = Document::new("x = ‹›\n", Language::Python);
        let region = Region::find_markers(&document).remove(0);
        let sampling = Sampling { steps: Some(100_000), ..Sampling::default() };
        let model = Model::of(&ScriptedEngine::new([]));
        let error = Planned::new(&document, &region, &sampling, &model, &Budgets::default()).unwrap_err();
        assert!(error.to_string().contains("steps must be at most"), "{error}");
    }
}
