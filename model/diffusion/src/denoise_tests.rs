//! The denoising loop against denoisers whose beliefs are known, and against a recorded run of the reference.

use super::*;
use crate::canvas::Frameset;
use crate::noise::Generator;
use std::cell::RefCell;

/// Believes in `answer`; as sure of row r as its left neighbour is settled (`unsure`: never sure of anything).
struct Believer {
    answer: Vec<u32>,
    unsure: bool,
    seen: RefCell<Vec<Vec<u32>>>,
}

impl Denoiser for Believer {
    fn denoise(&self, step: &Step<'_>, _: &CancelToken) -> Result<Vec<f32>, EngineError> {
        self.seen.borrow_mut().push(step.tokens.to_vec());
        let length = step.tokens.len() / step.batch;
        let mut logits = Vec::new();
        for &row in step.rows {
            let place = row % length - 1;
            let left_is_right = place == 0 || step.tokens[row - 1] == self.answer[place - 1];
            let height = if left_is_right && !self.unsure { 20.0 } else { 2.0 };
            let mut one = vec![0.0; 8];
            one[self.answer[place] as usize] = height;
            logits.extend(one);
        }
        Ok(logits)
    }
    fn soft_embedding(&self, scaled: &[f32]) -> Result<Vec<f32>, EngineError> {
        Ok(vec![0.5; scaled.len() / 8 * 2])
    }
    fn embed(&self, ids: &[u32]) -> Result<Vec<f32>, EngineError> {
        Ok(vec![0.0; ids.len() * 2])
    }
    /// Always expects token 6 next.
    fn causal(&self, sequences: &[Vec<u32>], skip: usize, _: &CancelToken) -> Result<Vec<f32>, EngineError> {
        let rows: usize = sequences.iter().map(|s| s.len() - skip + 1).sum();
        let mut log_probs = vec![-9.0; rows * 8];
        log_probs.chunks_exact_mut(8).for_each(|row| row[6] = -0.01);
        Ok(log_probs)
    }
    fn hidden(&self) -> usize {
        2
    }
    fn vocabulary(&self) -> usize {
        8
    }
}

fn rules(noise: Noise) -> Rules {
    Rules {
        steps_max: 6,
        t_min: 0.4,
        t_max: 0.8,
        entropy_bound: 0.1,
        stability: 1,
        confidence: 0.005,
        noise,
        source: NoiseSource::Drawn(Generator::new(1)),
        guidance: 0.0,
        banned: Arc::from([]),
    }
}

fn around() -> Frameset {
    Frameset { head: vec![1], suffix: vec![2, 2], fill: 0, length: 8, first_allowed: None }
}

const MASK: Noise = Noise::Mask { mask_token_id: 7, uniform_share: 0.0, uniform_first_id: 0 };

fn run(net: &Believer, rules: &Rules, holes: &[usize]) -> Vec<Condensing> {
    let mut batch: Vec<Condensing> = (holes.iter().enumerate())
        .map(|(i, &n)| Condensing::new(around().canvas(&vec![7; n], i as u64, false), rules))
        .collect();
    condense(net, &mut batch, rules, &CancelToken::new(), &mut |_| ()).unwrap();
    batch
}

#[test]
fn a_chain_of_dependent_tokens_condenses_left_to_right_and_comes_to_rest() {
    let net = Believer { answer: vec![3, 4, 5], unsure: false, seen: RefCell::default() };
    let batch = run(&net, &rules(MASK), &[3]);
    assert_eq!(batch[0].canvas.hole_tokens(), [3, 4, 5]);
    assert!(batch[0].settled);
}

#[test]
fn given_rows_never_change() {
    let net = Believer { answer: vec![3, 4, 5], unsure: true, seen: RefCell::default() };
    run(&net, &rules(Noise::Uniform), &[3]);
    for tokens in net.seen.borrow().iter() {
        assert_eq!((tokens[0], &tokens[4..]), (1, &[2, 2, 0, 0][..]));
    }
}

/// Three holes of one row with given rows between them: only the holes change, and only they count as progress.
#[test]
fn given_rows_inside_the_hole_never_change_whatever_the_noise() {
    for noise in [MASK, Noise::Uniform] {
        let net = Believer { answer: vec![3, 4, 5, 3, 4], unsure: true, seen: RefCell::default() };
        let given = vec![false, true, false, true, false];
        let canvas = Canvas { given, ..around().canvas(&[7, 6, 7, 0, 7], 0, false) };
        let mut batch = [Condensing::new(canvas, &rules(noise))];
        let mut accepted = Vec::new();
        condense(&net, &mut batch, &rules(noise), &CancelToken::new(), &mut |batch| {
            accepted.push(batch[0].accepted.clone());
        })
        .unwrap();
        assert!(net.seen.borrow().iter().all(|tokens| (tokens[2], tokens[4]) == (6, 0)));
        assert_eq!(batch[0].answer(), [3, 6, 5, 0, 4]);
        assert!(batch[0].entropy_mean() > 0.1, "of the holes alone, none of which is sure");
        if noise == MASK {
            assert_eq!(batch[0].steps, 4, "three tokens need four steps at most");
            assert_eq!(accepted[0], [true, true, false, true, false], "one hole a step, and what is given");
        }
    }
}

#[test]
fn mask_noise_makes_its_share_of_progress_even_when_the_model_is_never_sure() {
    let net = Believer { answer: vec![3, 4, 5], unsure: true, seen: RefCell::default() };
    let batch = run(&net, &rules(MASK), &[3]);
    assert!(batch[0].accepted.iter().all(|&a| a), "at the last step everything is accepted");
    assert_eq!(batch[0].steps, 4, "three tokens need four steps at most");
}

#[test]
fn uniform_noise_accepts_nothing_it_is_unsure_of() {
    let net = Believer { answer: vec![3, 4, 5], unsure: true, seen: RefCell::default() };
    let batch = run(&net, &rules(Noise::Uniform), &[3]);
    assert_eq!(batch[0].accepted, [true, false, false], "the bound admits the surest row only");
    assert_eq!(batch[0].steps, 6);
    assert_eq!(batch[0].argmax, [3, 4, 5], "the answer is the last argmax, not the accepted canvas");
}

#[test]
fn guidance_decides_where_the_canvas_is_unsure_and_not_where_it_is_sure() {
    let unsure = Believer { answer: vec![3, 4, 5], unsure: true, seen: RefCell::default() };
    let guided = Rules { guidance: 1.0, ..rules(MASK) };
    assert_eq!(run(&unsure, &guided, &[3])[0].answer(), [6, 6, 6]);
    assert_eq!(run(&unsure, &rules(MASK), &[3])[0].answer(), [3, 4, 5]);
    let sure = Believer { answer: vec![3, 4, 5], unsure: false, seen: RefCell::default() };
    assert_eq!(run(&sure, &guided, &[3])[0].answer(), [3, 4, 5]);
}

#[test]
fn a_banned_token_is_never_written() {
    let net = Believer { answer: vec![3, 4, 5], unsure: false, seen: RefCell::default() };
    let rules = Rules { banned: Arc::from([4]), ..rules(MASK) };
    assert!(!run(&net, &rules, &[3])[0].answer().contains(&4));
}

#[test]
fn a_canvas_condenses_the_same_alone_and_in_company() {
    let net = Believer { answer: vec![3, 4, 5, 6], unsure: false, seen: RefCell::default() };
    let together = run(&net, &rules(Noise::Uniform), &[2, 4]);
    let alone = run(&net, &rules(Noise::Uniform), &[2]);
    assert_eq!(together[0].canvas.tokens, alone[0].canvas.tokens);
    assert_eq!(together[0].steps, alone[0].steps);
}

#[test]
fn a_cancelled_batch_stops_before_the_next_step() {
    let net = Believer { answer: vec![3], unsure: true, seen: RefCell::default() };
    let mut batch = vec![Condensing::new(around().canvas(&[7], 0, false), &rules(Noise::Uniform))];
    let cancel = CancelToken::new();
    let stop = cancel.clone();
    let end = condense(&net, &mut batch, &rules(Noise::Uniform), &cancel, &mut |_| stop.cancel());
    assert_eq!(end.unwrap_err(), EngineError::Cancelled);
    assert_eq!(net.seen.borrow().len(), 1);
}

#[test]
fn sampling_follows_the_distribution() {
    let scaled = [0.0, (3.0_f32).ln(), f32::NEG_INFINITY];
    assert_eq!(sample(&scaled, 0.0), 0);
    assert_eq!(sample(&scaled, 0.24), 0);
    assert_eq!(sample(&scaled, 0.26), 1);
    assert_eq!(sample(&scaled, 0.999_999), 1);
}

/// The reference's own run of one block, through the loop that fills holes: `fixtures/parity/small/plain.safetensors`.
#[test]
fn the_loop_reproduces_a_recorded_run_of_the_reference() {
    use crate::backend::Cpu;
    use crate::net::Net;
    use crate::session::Session;
    use crate::weights::ModelSource;
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/parity/small");
    let bytes = std::fs::read(folder.join("plain.safetensors")).unwrap();
    let recording = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let tokens = |name: &str| -> Vec<u32> {
        let (words, _) = recording.tensor(name).unwrap().data().as_chunks::<8>();
        words.iter().map(|&word| i64::from_le_bytes(word) as u32).collect()
    };
    let shape = recording.tensor("renoise").unwrap().shape().to_vec();
    let (steps, rows) = (shape[1], shape[2]);
    let net = Net::load(&ModelSource::Dir(folder.join("model")), lacuna_kernels::Precision::F32).unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let mut session = Session::new(Box::new(Cpu::new(net, 1024)), pool);
    let cancel = CancelToken::new();
    session.read(&tokens("prompt_ids"), &cancel).unwrap();
    let source = NoiseSource::Recorded(tokens("renoise")[..steps * rows].to_vec(), rows);
    let rules = Rules { steps_max: steps, source, ..rules(Noise::Uniform) };
    let around = Frameset { head: vec![], suffix: vec![], fill: 0, length: rows, first_allowed: None };
    let mut batch = [Condensing::new(around.canvas(&tokens("canvas_0")[..rows], 0, false), &rules)];
    let (canvases, argmaxes) = (tokens("canvas"), tokens("argmax"));
    let accepted = recording.tensor("accepted").unwrap().data();
    let mut seen = 0;
    let ran = condense(&session, &mut batch, &rules, &cancel, &mut |batch| {
        let at = seen * rows..(seen + 1) * rows;
        assert_eq!(batch[0].canvas.tokens, canvases[at.clone()], "canvas after step {}", seen + 1);
        assert_eq!(batch[0].argmax, argmaxes[at.clone()], "argmax at step {}", seen + 1);
        let flags: Vec<u8> = batch[0].accepted.iter().map(|&a| u8::from(a)).collect();
        assert_eq!(flags, accepted[at], "accepted at step {}", seen + 1);
        seen += 1;
    });
    let stop = recording.tensor("stop").unwrap().data()[..steps].iter().position(|&stop| stop == 1);
    assert_eq!(ran.unwrap(), stop.map_or(steps, |step| step + 1), "it ends where the reference would");
}
