//! What `--json` of fill and refine prints: one object, whose shape scripts may rely on.

use crate::hole::place_of;
use lacuna_engine::{Origin, Stats};
use lacuna_lsp::rank::Offer;
use lacuna_text::{Plan, RegionKind, Snapshot};
use serde::Serialize;

/// The object.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    /// The file as named on the command line; `-` is standard input.
    pub file: &'a str,
    /// Language id as in LSP.
    pub language: &'static str,
    /// What is replaced.
    pub range: Span,
    /// Shape of the hole: line, span, lines or body.
    pub kind: RegionKind,
    /// Candidates that can be the answer, best first, then the rejected ones; at most `--candidates`. A refined text
    /// as it is can be the answer, too.
    pub candidates: Vec<Entry<'a>>,
    /// Index into `candidates` of the one that was used; `null` when the file stays as it is.
    pub chosen: Option<usize>,
    /// The change as a unified diff; empty when there is none.
    pub diff: &'a str,
    /// Whether the file was written.
    pub written: bool,
    /// What it cost; tokens per forward are those of the answer.
    pub stats: &'a Stats,
}

/// A range of the file: byte offsets (byte order mark not counted), and places from 1 with columns in characters.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    /// First byte.
    pub start_byte: usize,
    /// The byte after the last.
    pub end_byte: usize,
    /// Where it starts.
    pub start: LineColumn,
    /// Where it ends, not included.
    pub end: LineColumn,
}

/// A place, both numbers from 1.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct LineColumn {
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

/// One candidate.
#[derive(Debug, Serialize)]
pub struct Entry<'a> {
    /// What stands in the hole with it.
    pub text: &'a str,
    /// Why it is not offered; `null` for a usable one.
    pub rejected: Option<String>,
    /// What it was ranked by, higher is better.
    pub score: f32,
    /// How probably it is right, where the checkpoint says how to tell.
    pub confidence: Option<f32>,
    /// Who wrote its first version.
    pub origin: Origin,
    /// Causal log p(hole | prefix), in nats.
    pub log_prob_hole: f32,
    /// Causal log p(next suffix tokens | prefix, hole), in nats.
    pub log_prob_suffix: f32,
    /// Mean entropy of the hole at the last step, in nats.
    pub entropy_mean: f32,
    /// Tokens of the candidate.
    pub tokens: usize,
    /// Denoising steps taken.
    pub steps: usize,
    /// Whether the canvas came to rest before the step limit.
    pub settled: bool,
}

impl Span {
    /// The span of a plan's region.
    pub fn of(plan: &Plan, snapshot: &Snapshot) -> Self {
        let place = |offset| {
            let (line, column) = place_of(snapshot, offset);
            LineColumn { line, column }
        };
        let range = &plan.region.range;
        let (start, end) = (place(range.start), place(range.end));
        Self { start_byte: range.start, end_byte: range.end, start, end }
    }
}

impl<'a> Entry<'a> {
    /// An offer's entry.
    pub fn of(offer: &'a Offer) -> Self {
        let candidate = &offer.candidate;
        Self {
            text: offer.text(),
            rejected: offer.outcome.as_ref().err().map(ToString::to_string),
            score: candidate.score,
            confidence: candidate.confidence,
            origin: candidate.origin,
            log_prob_hole: candidate.log_prob_hole,
            log_prob_suffix: candidate.log_prob_suffix,
            entropy_mean: candidate.entropy_mean,
            tokens: candidate.tokens,
            steps: candidate.steps,
            settled: candidate.settled,
        }
    }
}
