//! Several methods over the same cases: what the scorecard, the comparison and the page are made of.

use super::answer::{Asking, Outcome, answer};
use super::cases::{Case, warm_up};
use super::methods::Way;
use crate::failure::Failure;
use lacuna_engine::{CancelToken, Engine, Frame, FrameSink, Sampling};

/// One method's answers, in the order of the cases.
#[derive(Debug)]
pub struct Run {
    /// Which.
    pub way: Way,
    /// What each case's answer was worth.
    pub outcomes: Vec<Outcome>,
    /// The canvas after every step, for each case; empty where frames were not kept or the method shows none.
    pub frames: Vec<Vec<Frame>>,
}

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// The cases.
    pub cases: &'a [Case],
    /// The methods.
    pub ways: &'a [Way],
    /// How to sample.
    pub sampling: &'a Sampling,
    /// Whether to keep the canvas's history. It costs time, so such a run's milliseconds are not to be reported.
    pub keep_frames: bool,
}

/// Answers every case by every method; `tick` is called after each answer.
///
/// # Errors
/// The first failure of the engine.
pub fn run_all(
    engine: &mut dyn Engine,
    order: &Order<'_>,
    cancel: &CancelToken,
    tick: impl Fn(),
) -> Result<Vec<Run>, Failure> {
    let Order { cases, ways, sampling, keep_frames } = *order;
    let mut runs = Vec::with_capacity(ways.len());
    for &way in ways {
        let asking = Asking { way, sampling, cancel };
        answer(engine, &warm_up(), &asking, None)?;
        let mut run = Run { way, outcomes: Vec::with_capacity(cases.len()), frames: Vec::new() };
        for case in cases {
            let mut frames = Vec::new();
            let mut keep = |frame: Frame| frames.push(frame);
            let sink = keep_frames.then_some(&mut keep as &mut dyn FrameSink);
            run.outcomes.push(answer(engine, case, &asking, sink)?);
            run.frames.push(frames);
            tick();
        }
        runs.push(run);
    }
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lacuna_engine::scripted::ScriptedEngine;

    #[test]
    fn every_method_answers_every_case_and_shows_frames_where_asked() {
        let cases = [warm_up(), warm_up()];
        let known = || Ok(vec![cases[0].answer.clone()]);
        let ways = [Way::Diffusion, Way::Copy];
        let order = Order { cases: &cases, ways: &ways, sampling: &Sampling::default(), keep_frames: true };
        let mut engine = ScriptedEngine::new((0..3).map(|_| known()));
        let ticks = std::cell::Cell::new(0);
        let tick = || ticks.set(ticks.get() + 1);
        let runs = run_all(&mut engine, &order, &CancelToken::new(), tick).unwrap();
        assert_eq!(runs.iter().map(|run| run.outcomes.len()).collect::<Vec<_>>(), [2, 2]);
        assert!(runs[0].outcomes.iter().all(|outcome| outcome.exact_match));
        assert_eq!((runs[0].frames[1].len(), runs[1].frames[1].len(), ticks.get()), (1, 0, 4));
    }
}
