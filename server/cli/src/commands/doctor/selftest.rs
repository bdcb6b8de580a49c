//! Real fills of a small built-in text, over and over for two seconds.

use crate::commands::eval::metrics::percentile;
use crate::failure::Failure;
use lacuna_engine::{CancelToken, Engine, Frame, Sampling};
use lacuna_lsp::model::Model;
use lacuna_lsp::planned::{Budgets, Planned};
use lacuna_lsp::rank::rank;
use lacuna_text::{Document, Language, Region};
use serde::Serialize;
use std::time::{Duration, Instant};

/// How long the test runs, at least one measured fill.
const DURATION: Duration = Duration::from_secs(2);

/// The hole: the rest of a line, the most common request of an editor.
const BEFORE: &str = "def mean(values):\n    \"\"\"Return the arithmetic mean.\"\"\"\n    if not values:\n        \
    raise ValueError(\"no values\")\n    return ";
const AFTER: &str = "\n\n\ndef spread(values):\n    center = mean(values)\n    return max(values) - center\n";

/// What was measured; the first fill, which touches the weights for the first time, is left out of the percentiles.
#[derive(Debug, Serialize)]
pub struct SelfTest {
    /// Fills measured.
    pub fills: usize,
    /// Time they took.
    pub seconds: f64,
    /// Median of a fill, from the plan to the ranked candidates.
    pub p50_ms: f64,
    /// 95th percentile.
    pub p95_ms: f64,
    /// From the start of the very first fill to its first frame.
    pub first_frame_ms: f64,
    /// Tokens of the answers, usable ones only, by the time of all fills.
    pub tokens_per_second: f64,
    /// Share of fills with a usable candidate.
    pub usable: f64,
}

/// Runs the test.
///
/// # Errors
/// Whatever the engine answers.
pub fn run(engine: &mut dyn Engine, cancel: &CancelToken) -> Result<SelfTest, Failure> {
    let document = Document::new(&format!("{BEFORE}{AFTER}"), Language::Python);
    let region = Region::at(&document, BEFORE.len()).map_err(|error| Failure::input(error.to_string()))?;
    let mut first_frame = None;
    let mut times = Vec::new();
    let (mut tokens, mut usable) = (0, 0);
    let mut started = Instant::now();
    // Fill 0 is the warm-up; each fill has a seed of its own, so that none is a repetition.
    for seed in 0.. {
        let fill = Instant::now();
        let sampling = Sampling { seed, ..Sampling::default() };
        let planned = Planned::new(&document, &region, &sampling, &Model::of(engine), &Budgets::default())?;
        let mut watch = |_: Frame| {
            first_frame.get_or_insert_with(|| fill.elapsed());
        };
        let answer = engine.infill(&planned.request, cancel, &mut watch)?;
        let offers = rank(&document, &planned, answer.candidates);
        if seed == 0 {
            started = Instant::now();
            continue;
        }
        times.push(fill.elapsed().as_secs_f64() * 1e3);
        let best = offers.first().filter(|offer| offer.is_usable());
        tokens += best.map_or(0, |offer| offer.candidate.tokens);
        usable += usize::from(best.is_some());
        if started.elapsed() >= DURATION {
            break;
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    Ok(SelfTest {
        fills: times.len(),
        seconds,
        p50_ms: percentile(&times, 50.0).unwrap_or_default(),
        p95_ms: percentile(&times, 95.0).unwrap_or_default(),
        first_frame_ms: first_frame.unwrap_or_default().as_secs_f64() * 1e3,
        tokens_per_second: tokens as f64 / seconds,
        usable: usable as f64 / times.len().max(1) as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lacuna_engine::scripted::ScriptedEngine;
    use lacuna_text::RegionKind;

    #[test]
    fn the_hole_is_the_rest_of_a_line() {
        let document = Document::new(&format!("{BEFORE}{AFTER}"), Language::Python);
        let region = Region::at(&document, BEFORE.len()).unwrap();
        assert_eq!((region.kind, region.range), (RegionKind::Line, BEFORE.len()..BEFORE.len()));
    }

    #[test]
    fn a_failing_engine_fails_the_test() {
        let mut engine = ScriptedEngine::new([]);
        assert!(run(&mut engine, &CancelToken::new()).is_err());
    }
}
