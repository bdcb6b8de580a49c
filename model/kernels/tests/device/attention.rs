//! Attention and the heads it reads.

use lacuna_kernels::device::ops::{self, Attention, Dtype, Heads, Rows};
use lacuna_kernels::{AttentionArgs, RopeTables, Span};

use crate::support::*;

/// Batch, tokens, prefix; heads, key heads, head size.
type Sizes = ((usize, usize, usize), (usize, usize, usize));

fn check(sizes: Sizes, span: Span, scale: f32) {
    for beyond in [0, 41] {
        check_with((sizes, beyond), span, scale, |bytes| bytes);
    }
}

/// With another scratch than what is made good use of. Where the cache holds rows `beyond` the prefix, which are NaN, the
/// prefix is read from device memory.
fn check_with(
    (((batch, tokens, prefix), (heads, kv_heads, dim)), beyond): (Sizes, usize),
    span: Span,
    scale: f32,
    scratch: fn(usize) -> usize,
) {
    let rows = batch * tokens;
    let (q_width, kv_width) = (heads * dim, kv_heads * dim);
    let q = scaled(1, rows * q_width, 2.0 / (dim as f32).sqrt() * 4.0);
    let own = [numbers(2, rows * kv_width), numbers(3, rows * kv_width)];
    let cached = [numbers(4, prefix * kv_width), numbers(5, prefix * kv_width)];
    let in_cache = cached.clone().map(|x| [x, vec![f32::NAN; beyond * kv_width]].concat());
    for device in devices() {
        for dtype in DTYPES {
            let up = |x: &[f32]| upload(&device, x, dtype);
            let [b_q, b_k, b_v, b_pk, b_pv] =
                [up(&q), up(&own[0]), up(&own[1]), up(&in_cache[0]), up(&in_cache[1])];
            let word = device.buffer_of(&[prefix as u32]).unwrap();
            let out = poisoned(&device, rows * (q_width + 8), dtype);
            let bytes = ops::attention_scratch_bytes(&device, rows, (heads, kv_heads), dim);
            let scratch = device.alloc(scratch(bytes)).unwrap();
            let job = Attention {
                q: Rows::new(&b_q, dtype, rows, q_width).unwrap(),
                k: Rows::new(&b_k, dtype, rows, kv_width).unwrap(),
                v: Rows::new(&b_v, dtype, rows, kv_width).unwrap(),
                prefix_k: Rows::new(&b_pk, dtype, prefix + beyond, kv_width).unwrap(),
                prefix_v: Rows::new(&b_pv, dtype, prefix + beyond, kv_width).unwrap(),
                prefix_now: (beyond > 0).then(|| word.all()),
                batch,
                heads,
                kv_heads,
                dim,
                scale,
                span,
                out: Rows::new(&out, dtype, rows, q_width + 8).unwrap().columns(0, q_width).unwrap(),
                scratch: Some(scratch.all()),
            };
            ops::attention(&device, &job).unwrap();
            let r = |x: &[f32]| rounded(x, dtype);
            let mut want = vec![0.0; rows * q_width];
            let args = AttentionArgs {
                q: &r(&q),
                k: &r(&own[0]),
                v: &r(&own[1]),
                tokens,
                prefix_k: &r(&cached[0]),
                prefix_v: &r(&cached[1]),
                panels: None,
                batch,
                heads,
                kv_heads,
                dim,
                scale,
                span,
            };
            lacuna_kernels::attention(args, &mut want);
            let what =
                format!("{batch}·{tokens} over {prefix}, {heads}/{kv_heads} of {dim}, {span:?} {dtype:?}");
            let got = read(&out, rows * (q_width + 8), dtype);
            // bf16 rounds the weights of the sum too.
            let tolerance = if dtype == Dtype::F32 { 5e-5 } else { 1.2e-2 };
            for (got, want) in got.chunks(q_width + 8).zip(want.chunks(q_width)) {
                assert_close(&got[..q_width], want, tolerance, &what);
                assert!(got[q_width..].iter().all(|x| x.is_nan()), "{what}: beside the heads");
            }
        }
    }
}

#[test]
fn positions_are_cut_into_as_many_pieces_as_the_scratch_holds() {
    let device = devices().remove(0);
    // One token of eight heads to a key head is one block; the emulated card has four multiprocessors.
    let bytes = |heads| ops::attention_scratch_bytes(&device, 1, heads, 64) / ((64 + 2) * 4);
    if device.info().emulated {
        assert_eq!((bytes((8, 1)), bytes((16, 2)), bytes((32, 4))), (4 * 8, 2 * 16, 0));
    }
    for span in [Span::Causal { window: None }, Span::Causal { window: Some(300) }] {
        for scratch in [|bytes| bytes, |bytes| bytes * 3 / 4, |bytes| bytes / 2 + 1, |_| 4] {
            check_with((((1, 1, 700), (8, 1, 64)), 0), span, 1.0, scratch);
        }
        for dim in [128, 256, 512] {
            check(((1, 2, 333), (4, 1, dim)), span, 1.0);
        }
    }
}

#[test]
fn small_and_odd_heads_match_the_twin() {
    for span in [
        Span::Causal { window: None },
        Span::Causal { window: Some(5) },
        Span::Canvas { window: None },
        Span::Canvas { window: Some(1) },
        Span::Canvas { window: Some(20) },
    ] {
        check(((1, 1, 0), (1, 1, 2)), span, 1.0);
        check(((2, 9, 33), (4, 2, 16)), span, 0.7);
        check(((1, 5, 140), (6, 2, 38)), span, 1.0);
    }
}

#[test]
fn heads_of_the_tensor_cores_match_the_twin() {
    for span in [
        Span::Causal { window: None },
        Span::Causal { window: Some(40) },
        Span::Canvas { window: None },
        Span::Canvas { window: Some(30) },
    ] {
        check(((1, 70, 0), (2, 1, 64)), span, 1.0);
        check(((2, 9, 133), (4, 2, 64)), span, 0.7);
        check(((1, 20, 65), (4, 2, 128)), span, 1.0);
        check(((1, 35, 47), (2, 1, 256)), span, 1.0);
    }
    check(((1, 3, 200), (8, 1, 512)), Span::Canvas { window: None }, 1.0);
    check(((2, 5, 20), (4, 2, 512)), Span::Causal { window: Some(9) }, 1.0);
}

/// Several blocks of rows, whose tiles begin within the prefix, end with it, lie beyond it altogether, or are one position.
#[test]
fn tiles_of_the_prefix_and_of_the_own_positions_meet_anywhere() {
    for dim in [64, 128, 256, 512] {
        check(((1, 70, 129), (2, 1, dim)), Span::Causal { window: Some(50) }, 1.0);
        check(((2, 33, 61), (4, 2, dim)), Span::Canvas { window: Some(40) }, 1.0);
        check(((1, 65, 1), (1, 1, dim)), Span::Canvas { window: None }, 1.0);
        check(((1, 1, 64), (3, 1, dim)), Span::Causal { window: None }, 1.0);
    }
}

#[test]
fn heads_are_normed_and_turned() {
    const EPS: f32 = 1e-6;
    let (rows, tokens, first) = (6, 3, 4);
    for (heads, kv_heads, dim, pairs, values) in
        [(4, 2, 16, 8, true), (3, 1, 72, 9, false), (2, 2, 64, 0, true)]
    {
        let (q_width, kv_width) = (heads * dim, kv_heads * dim);
        let width = q_width + kv_width * if values { 2 } else { 1 };
        let joint = scaled(1, rows * width, 3.0);
        let (q_norm, k_norm) = (numbers(2, dim), numbers(3, dim));
        let given = if values { first } else { first + 2 }; // then the position is read from memory
        let angles = scaled(4, (given + tokens) * pairs, 3.0);
        let [cos, sin] = [f32::cos, f32::sin].map(|f| angles.iter().map(|&a| f(a)).collect::<Vec<f32>>());
        let turns = first * pairs..(first + tokens) * pairs;
        let tables = RopeTables { cos: &cos[turns.clone()], sin: &sin[turns], pairs };
        for device in devices() {
            for dtype in DTYPES {
                let [b, qn, kn, c, s] =
                    [&joint, &q_norm, &k_norm, &cos, &sin].map(|x| upload(&device, x, Dtype::F32));
                let q = poisoned(&device, rows * q_width, dtype);
                let word = device.buffer_of(&[first as u32]).unwrap();
                // Keys and values go to rows 5.. of a cache.
                let cache: Vec<_> = (0..2).map(|_| poisoned(&device, (rows + 5) * kv_width, dtype)).collect();
                let place = |i: usize| {
                    Rows::new(&cache[i], dtype, rows + 5, kv_width).unwrap().span(5, rows).unwrap()
                };
                let job = Heads {
                    joint: Rows::new(&b, Dtype::F32, rows, width).unwrap(),
                    heads,
                    kv_heads,
                    dim,
                    q_norm: qn.all(),
                    k_norm: kn.all(),
                    eps: EPS,
                    rope: (c.all(), s.all()),
                    pairs,
                    first_position: given,
                    position_now: (given > first).then(|| word.all()),
                    tokens,
                    q: Some(Rows::new(&q, dtype, rows, q_width).unwrap()),
                    k: place(0),
                    v: place(1),
                };
                ops::heads(&device, &job).unwrap();
                let part = |at: usize, count: usize, norm: Option<&[f32]>, turn: bool| {
                    let raw: Vec<f32> =
                        joint.chunks(width).flat_map(|row| row[at..at + count * dim].to_vec()).collect();
                    let mut out = vec![0.0; raw.len()];
                    lacuna_kernels::rms_norm(&raw, norm, EPS, dim, &mut out);
                    if turn {
                        lacuna_kernels::rope(&mut out, tables, count, dim);
                    }
                    out
                };
                let what = format!("{heads}/{kv_heads} of {dim}, {dtype:?}");
                let bound = tolerance(dtype);
                let want = part(0, heads, Some(&q_norm), true);
                assert_close(&read(&q, rows * q_width, dtype), &want, bound, &what);
                for (i, want) in [
                    part(q_width, kv_heads, Some(&k_norm), true),
                    part(width - kv_width, kv_heads, None, false),
                ]
                .into_iter()
                .enumerate()
                {
                    let got = read(&cache[i], (rows + 5) * kv_width, dtype);
                    assert!(got[..5 * kv_width].iter().all(|x| x.is_nan()), "{what}: earlier rows");
                    assert_close(&got[5 * kv_width..], &want, bound, &what);
                }
            }
        }
    }
}
