//! The fused head and the soft embedding, against logits made whole.

use lacuna_kernels::device::ops::{
    self, Dtype, ExactSoft, Head, HeadJob, Masks, OVERFLOW, Product, Rows, Weight, WeightDtype,
};
use lacuna_kernels::device::{Buffer, Device};
use lacuna_kernels::{WeightView, row_stats, soft_embedding_sparse_all};

use crate::matmul::twin;
use crate::support::*;

const CAP: f32 = 30.0;

/// A problem, and the scaled logits it stands for, `[rows, vocabulary]`.
struct Problem {
    rows: usize,
    vocabulary: usize,
    hidden: usize,
    states: Vec<f32>,
    table: Quantised,
    temperatures: Vec<f32>,
    logits: Vec<f32>,
}

type Path = (WeightDtype, Dtype, Product);

const BANNED: [usize; 3] = [0, 33, 50];

impl Problem {
    /// `spread` is how far logits are apart.
    fn new(
        (rows, vocabulary, hidden): (usize, usize, usize),
        spread: f32,
        weight: WeightDtype,
        dtype: Dtype,
    ) -> Self {
        let states = rounded(&scaled(1, rows * hidden, spread / (hidden as f32).sqrt()), dtype);
        let table = quantise(&scaled(2, vocabulary * hidden, 3.0), weight);
        let temperatures: Vec<f32> = (0..rows).map(|r| 0.4 + 0.1 * (r % 5) as f32).collect();
        let mut problem = Self { rows, vocabulary, hidden, states, table, temperatures, logits: Vec::new() };
        problem.remake_logits();
        problem
    }

    /// As states and table now say.
    fn remake_logits(&mut self) {
        let Self { rows, vocabulary, hidden, .. } = *self;
        let mut logits = twin(&self.states, &self.table.values, (rows, vocabulary, hidden));
        lacuna_kernels::softcap(&mut logits, CAP);
        for (row, temperature) in logits.chunks_mut(vocabulary).zip(&self.temperatures) {
            row.iter_mut().for_each(|x| *x /= temperature);
            BANNED.iter().for_each(|&id| row[id] = f32::NEG_INFINITY);
        }
        // Row 1 may only become one of the last tokens.
        if rows > 1 {
            logits[vocabulary..2 * vocabulary - 40].fill(f32::NEG_INFINITY);
        }
        self.logits = logits;
    }

    fn run(&self, device: &Device, path: Path, head: &Head, soft: Rows<'_>) {
        self.guessing(device, path, (head, None), soft);
    }

    /// With a guess for each row.
    fn guessing(
        &self,
        device: &Device,
        (weight, dtype, product): Path,
        (head, guesses): (&Head, Option<&[u32]>),
        soft: Rows<'_>,
    ) {
        let Self { rows, vocabulary, hidden, .. } = *self;
        let states = upload(device, &self.states, dtype);
        let table = device.buffer_of(&self.table.bytes).unwrap();
        let temperatures = upload(device, &self.temperatures, Dtype::F32);
        let words = vocabulary.div_ceil(32);
        let (mut banned, mut allowed, mut which) =
            (vec![0_u32; words], vec![0_u32; words], vec![u32::MAX; rows]);
        BANNED.iter().for_each(|id| banned[id / 32] |= 1 << (id % 32));
        (vocabulary - 40..vocabulary).for_each(|id| allowed[id / 32] |= 1 << (id % 32));
        if rows > 1 {
            which[1] = 0;
        }
        let [banned, which, allowed] =
            [&banned, &which, &allowed].map(|bits| device.buffer_of(bits).unwrap());
        let guesses = guesses.map(|guesses| device.buffer_of(guesses).unwrap());
        let table = Weight::new(&table, weight, vocabulary, hidden).unwrap();
        let job = HeadJob {
            states: Rows::new(&states, dtype, rows, hidden).unwrap(),
            table,
            softcap: CAP,
            temperatures: Some(temperatures.all()),
            masks: Masks { banned: Some(banned.all()), allowed: Some((which.all(), allowed.all())) },
            guesses: guesses.as_ref().map(|guesses| guesses.all()),
        };
        ops::head_in(device, product, &job, head).unwrap();
        ops::soft_embedding(device, (head, rows), table, 2.0, (soft, None)).unwrap();
    }
}

/// Every combination of types, and warpgroups where the card has them.
fn paths(device: &Device) -> Vec<Path> {
    let mut paths: Vec<Path> =
        WEIGHT_DTYPES.into_iter().flat_map(|w| DTYPES.map(|d| (w, d, Product::Auto))).collect();
    if device.info().emulated || device.info().compute_capability == (9, 0) {
        paths.push((WeightDtype::Bf16, Dtype::Bf16, Product::Warpgroups));
    }
    paths
}

#[test]
fn statistics_survivors_and_soft_embeddings_match_the_twin() {
    for device in devices() {
        for (shape, spread) in
            [((1, 100, 64), 4.0), ((5, 333, 64), 8.0), ((40, 520, 128), 6.0), ((130, 140, 64), 5.0)]
        {
            for (weight, dtype, product) in paths(&device) {
                let problem = Problem::new(shape, spread, weight, dtype);
                let (rows, vocabulary, hidden) = shape;
                let head = Head::new(&device, rows + 1, vocabulary, 512).unwrap();
                let soft = poisoned(&device, rows * hidden, Dtype::F32);
                problem.run(
                    &device,
                    (weight, dtype, product),
                    &head,
                    Rows::new(&soft, Dtype::F32, rows, hidden).unwrap(),
                );
                let what = format!("{shape:?} {weight:?} {dtype:?} {product:?}");
                check_statistics(&problem, &head, &what);
                let mut want = vec![0.0; rows * hidden];
                let table = WeightView::F32(&problem.table.values);
                soft_embedding_sparse_all(&problem.logits, vocabulary, 1.0, table, &mut want);
                want.iter_mut().for_each(|x| *x *= 2.0);
                assert_close(&read(&soft, rows * hidden, Dtype::F32), &want, 5e-3, &what);
            }
        }
    }
}

fn check_statistics(problem: &Problem, head: &Head, what: &str) {
    let Problem { rows, vocabulary, ref logits, .. } = *problem;
    let (max, log) = (read(head.max(), rows, Dtype::F32), read(head.log_sum_exp(), rows, Dtype::F32));
    let entropy = read(head.entropy(), rows, Dtype::F32);
    let argmax: Vec<u32> = head.argmax().download_vec(0, rows).unwrap();
    let counts: Vec<u32> = head.survivors().download_vec(0, rows).unwrap();
    let ids: Vec<u32> = head.ids().download_vec(0, rows * 512).unwrap();
    for (r, row) in logits.chunks(vocabulary).enumerate() {
        let want = row_stats(row, 1.0);
        let what = format!("{what} row {r}");
        assert_close(&[max[r], log[r], entropy[r]], &[want.max, want.log_sum_exp, want.entropy], 1e-3, &what);
        // Sums in another order may swap two equal ones.
        assert!(
            row[argmax[r] as usize] >= want.max - 1e-3,
            "{what}: argmax {} not {}",
            argmax[r],
            want.argmax
        );
        let own = &ids[r * 512..][..counts[r] as usize];
        assert!(own.is_sorted_by(|a, b| a < b), "{what}: {own:?}");
        for (id, x) in row.iter().enumerate() {
            let (d, kept) = (x - want.max, own.binary_search(&(id as u32)).is_ok());
            assert!(if kept { d >= -10.01 } else { d < -9.99 }, "{what}: token {id} at {d}, kept: {kept}");
        }
    }
}

#[test]
fn too_many_survivors_are_said_and_leave_the_soft_embedding_alone() {
    for device in devices() {
        let (weight, dtype, product) = (WeightDtype::Bf16, Dtype::Bf16, Product::Auto);
        let problem = Problem::new((3, 400, 64), 0.5, weight, dtype);
        let head = Head::new(&device, 3, 400, 64).unwrap();
        let soft = device.buffer_of(&[7.0_f32; 3 * 64]).unwrap();
        problem.run(&device, (weight, dtype, product), &head, Rows::new(&soft, Dtype::F32, 3, 64).unwrap());
        let counts: Vec<u32> = head.survivors().download_vec(0, 3).unwrap();
        assert_eq!(counts, [OVERFLOW, 40, OVERFLOW], "row 1 may become 40 tokens");
        let soft = read(&soft, 3 * 64, Dtype::F32);
        assert!(soft[..64].iter().chain(&soft[128..]).all(|&x| x == 7.0) && soft[64] != 7.0);
        let entropy = read(head.entropy(), 3, Dtype::F32);
        assert_close(&entropy[..1], &[row_stats(&problem.logits[..400], 1.0).entropy], 1e-3, "still exact");
    }
}

/// What the head and the sparse soft embedding leave, as bits.
fn outcome(problem: &Problem, device: &Device, path: Path, head: &Head, guesses: Option<&[u32]>) -> Vec<u32> {
    let Problem { rows, hidden, .. } = *problem;
    let soft = poisoned(device, rows * hidden, Dtype::F32);
    let view = Rows::new(&soft, Dtype::F32, rows, hidden).unwrap();
    problem.guessing(device, path, (head, guesses), view);
    let counts: Vec<u32> = head.survivors().download_vec(0, rows).unwrap();
    let mut bits = counts.clone();
    for buffer in [head.argmax(), head.max(), head.log_sum_exp(), head.entropy(), &soft] {
        let words = if std::ptr::eq(buffer, &soft) { rows * hidden } else { rows };
        bits.extend(buffer.download_vec::<u32>(0, words).unwrap());
    }
    for (row, &count) in counts.iter().enumerate().filter(|(_, count)| **count != OVERFLOW) {
        let (at, count) = (4 * row * head.capacity(), count as usize);
        bits.extend(head.ids().download_vec::<u32>(at, count).unwrap());
        bits.extend(head.weights().download_vec::<u32>(at, count).unwrap());
    }
    bits
}

/// Logits within ten nats of each tile's own best, one tile after another, fill the room before the best of all has been seen;
/// whether they do depends on the order of the blocks.
#[test]
fn what_survives_does_not_depend_on_the_order_of_blocks() {
    let (rows, vocabulary, hidden) = (6, 1500, 64);
    let mut expected: Option<Vec<u32>> = None;
    for device in devices() {
        let path = (WeightDtype::Bf16, Dtype::Bf16, Product::Auto);
        let mut problem = Problem::new((rows, vocabulary, hidden), 3.0, path.0, path.1);
        // The table's first and last tokens point along two rows' states: peaks for the first and the last block.
        let mut values = problem.table.values.clone();
        for (row, token) in [(2, 1), (3, vocabulary - 1)] {
            for k in 0..hidden {
                values[token * hidden + k] = 10.0 * problem.states[row * hidden + k];
            }
        }
        problem.table = quantise(&values, path.0);
        problem.remake_logits();
        let head = Head::new(&device, rows, vocabulary, 16).unwrap();
        let found = outcome(&problem, &device, path, &head, None);
        let counts = &found[..rows];
        for (row, logits) in problem.logits.chunks(vocabulary).enumerate() {
            let best = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let near = |margin: f32| logits.iter().filter(|&&x| x - best >= -10.0 - margin).count();
            match counts[row] {
                OVERFLOW => assert!(near(0.01) > 16, "row {row}: {} would have survived", near(0.01)),
                count => {
                    assert!((near(-0.01)..=near(0.01)).contains(&(count as usize)), "row {row}: {count}")
                }
            }
        }
        assert!(counts[2] <= 16 && counts[3] <= 16 && counts.contains(&OVERFLOW), "{counts:?}");
        // Guesses: the best, a token far from it, one that is banned, and none at all.
        let argmax: Vec<u32> = head.argmax().download_vec(0, rows).unwrap();
        for guesses in [argmax, vec![7; rows], vec![BANNED[1] as u32; rows], vec![u32::MAX; rows]] {
            assert!(outcome(&problem, &device, path, &head, Some(&guesses)) == found, "{guesses:?}");
        }
        if device.info().emulated {
            assert!(*expected.get_or_insert_with(|| found.clone()) == found, "another order, other bits");
        }
    }
}

#[test]
fn log_probs_match_the_twin() {
    let (rows, vocabulary, hidden) = (37, 333, 64);
    for device in devices() {
        for (weight, dtype, product) in paths(&device).into_iter().filter(|path| path.2 == Product::Auto) {
            let problem = Problem::new((rows, vocabulary, hidden), 5.0, weight, dtype);
            let mut logits = twin(&problem.states, &problem.table.values, (rows, vocabulary, hidden));
            lacuna_kernels::softcap(&mut logits, CAP);
            let head = Head::new(&device, rows + 3, vocabulary, 8).unwrap();
            let states = upload(&device, &problem.states, dtype);
            let table = device.buffer_of(&problem.table.bytes).unwrap();
            let ids: Vec<u32> = (0..rows).map(|row| (row * 97 % vocabulary) as u32).collect();
            let (ids_there, out) = (device.buffer_of(&ids).unwrap(), poisoned(&device, rows + 1, Dtype::F32));
            let job = HeadJob {
                states: Rows::new(&states, dtype, rows, hidden).unwrap(),
                table: Weight::new(&table, weight, vocabulary, hidden).unwrap(),
                softcap: CAP,
                temperatures: None,
                masks: Masks::default(),
                guesses: None,
            };
            ops::log_probs(&device, &job, ids_there.all(), (&head, out.all())).unwrap();
            let want: Vec<f32> = logits
                .chunks(vocabulary)
                .zip(&ids)
                .map(|(row, &id)| lacuna_kernels::log_softmax_at(row, id as usize))
                .collect();
            let got = read(&out, rows + 1, Dtype::F32);
            assert_close(&got[..rows], &want, 1e-3, &format!("{product:?} {weight:?} {dtype:?}"));
            assert!(got[rows].is_nan() && got[..rows].iter().all(|x| *x <= 0.0));
        }
    }
}

#[test]
fn the_exact_path_matches_the_twin() {
    let (rows, vocabulary, hidden) = (9, 1100, 96);
    let mut logits = scaled(1, rows * vocabulary, 6.0);
    let banned = [3, 64, vocabulary - 1];
    for weight in WEIGHT_DTYPES {
        let stored = quantise(&numbers(2, vocabulary * hidden), weight);
        for row in logits.chunks_mut(vocabulary) {
            banned.iter().for_each(|&id| row[id] = f32::NEG_INFINITY);
        }
        // Target 4 is row 1 of the masks: it may only become one of the last tokens.
        logits[2 * vocabulary..3 * vocabulary - 40].fill(f32::NEG_INFINITY);
        let mut probabilities = logits.clone();
        probabilities.iter_mut().for_each(|x| *x /= 0.7);
        lacuna_kernels::softmax_rows(&mut probabilities, vocabulary, 1.0);
        let mut first: Option<Vec<u32>> = None;
        for device in devices() {
            for parts in [4, 3, 1] {
                let out = exactly(&device, (&logits, weight, &stored), (rows, vocabulary, hidden), parts);
                assert_close(&read(&out.1, rows * vocabulary, Dtype::F32), &probabilities, 1e-5, "softmax");
                let want = in_parts(&probabilities, &stored.values, (rows, vocabulary, hidden), parts);
                let got = read(&out.0, (rows + 2) * hidden, Dtype::F32);
                assert!(got[..2 * hidden].iter().all(|x| x.is_nan()), "rows before the targets");
                assert_close(&got[2 * hidden..], &want, 1e-5, "soft embedding");
                if parts == 4 && device.info().emulated {
                    let bits: Vec<u32> = got.iter().map(|x| x.to_bits()).collect();
                    assert!(*first.get_or_insert_with(|| bits.clone()) == bits, "another order, other bits");
                }
            }
        }
    }
}

/// Room for so many parts: the soft embeddings from row 2 on, and the probabilities.
fn exactly(
    device: &Device,
    (logits, weight, stored): (&[f32], WeightDtype, &Quantised),
    (rows, vocabulary, hidden): (usize, usize, usize),
    parts: usize,
) -> (Buffer, Buffer) {
    let (x, bytes) = (upload(device, logits, Dtype::F32), device.buffer_of(&stored.bytes).unwrap());
    let out = poisoned(device, (rows + 2) * hidden, Dtype::F32);
    let to: Vec<u32> = (0..rows as u32).map(|r| r + 2).collect();
    // Rows as they are among those of the masks: the others have none.
    let mask_rows: Vec<u32> = (0..rows as u32).map(|r| if r == 2 { 1 } else { 2 + r }).collect();
    let which: Vec<u32> = (0..rows as u32 + 2).map(|row| if row == 1 { 0 } else { u32::MAX }).collect();
    let words = vocabulary.div_ceil(32);
    let (mut banned, mut allowed) = (vec![0_u32; words], vec![0_u32; words]);
    [3, 64, vocabulary - 1].iter().for_each(|id| banned[id / 32] |= 1 << (id % 32));
    (vocabulary - 40..vocabulary).for_each(|id| allowed[id / 32] |= 1 << (id % 32));
    let [to, mask_rows, which, banned, allowed] =
        [&to, &mask_rows, &which, &banned, &allowed].map(|words| device.buffer_of(words).unwrap());
    let table = Weight::new(&bytes, weight, vocabulary, hidden).unwrap();
    assert_eq!(ops::soft_embedding_scratch_bytes(rows, table), 4 * rows * hidden * 4);
    let scratch = device.alloc(parts * rows * hidden * 4).unwrap();
    let job = ExactSoft {
        logits: Rows::new(&x, Dtype::F32, rows, vocabulary).unwrap(),
        temperature: 0.7,
        masks: Masks { banned: Some(banned.all()), allowed: Some((which.all(), allowed.all())) },
        mask_rows: Some(mask_rows.all()),
        table,
        scale: 3.0,
        out: Rows::new(&out, Dtype::F32, rows + 2, hidden).unwrap(),
        to: Some(to.all()),
        scratch: scratch.all(),
    };
    ops::soft_embedding_exact(device, &job).unwrap();
    (out, x)
}

/// The twin of the split sum: each part in token order, then the parts in theirs, times three.
fn in_parts(
    probabilities: &[f32],
    table: &[f32],
    (rows, vocabulary, hidden): (usize, usize, usize),
    parts: usize,
) -> Vec<f32> {
    let tokens = vocabulary.div_ceil(parts).next_multiple_of(64);
    let mut out = vec![0.0; rows * hidden];
    for (row, out) in probabilities.chunks(vocabulary).zip(out.chunks_mut(hidden)) {
        for first in (0..vocabulary).step_by(tokens) {
            let mut sums = vec![0.0_f32; hidden];
            for v in first..vocabulary.min(first + tokens) {
                let embedding = &table[v * hidden..(v + 1) * hidden];
                sums.iter_mut().zip(embedding).for_each(|(sum, x)| *sum += row[v] * x);
            }
            out.iter_mut().zip(sums).for_each(|(out, sum)| *out += sum);
        }
        out.iter_mut().for_each(|x| *x *= 3.0);
    }
    out
}
