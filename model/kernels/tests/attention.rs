//! Attention against a naive `f64` twin: both spans, windows, grouped heads, odd head sizes, and the invariances.

mod common;

use std::ops::Range;

use common::{assert_close, assert_same_bits, each_isa, in_pools, numbers, scaled};
use lacuna_kernels::{AttentionArgs, Isa, Precision, PrefixPanels, Span, attention_in};

/// A problem that owns its numbers.
#[derive(Clone)]
struct Problem {
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    prefix_k: Vec<f32>,
    prefix_v: Vec<f32>,
    batch: usize,
    tokens: usize,
    prefix: usize,
    heads: usize,
    kv_heads: usize,
    dim: usize,
    span: Span,
}

impl Problem {
    /// Sizes are batch, tokens, prefix; heads, key heads, head size.
    fn new((batch, tokens, prefix): (usize, usize, usize), heads: (usize, usize, usize), span: Span) -> Self {
        let (heads, kv_heads, dim) = heads;
        let (query, key) = (batch * tokens * heads * dim, batch * tokens * kv_heads * dim);
        Self {
            q: scaled(1, query, 2.0),
            k: numbers(2, key),
            v: numbers(3, key),
            prefix_k: numbers(4, prefix * kv_heads * dim),
            prefix_v: numbers(5, prefix * kv_heads * dim),
            batch,
            tokens,
            prefix,
            heads,
            kv_heads,
            dim,
            span,
        }
    }

    fn solve(&self) -> Vec<f32> {
        self.solve_in(Precision::F32)
    }

    fn solve_in(&self, precision: Precision) -> Vec<f32> {
        let mut out = vec![f32::NAN; self.q.len()];
        attention_in(self.args(), precision, &mut out);
        out
    }

    fn args(&self) -> AttentionArgs<'_> {
        AttentionArgs {
            q: &self.q,
            k: &self.k,
            v: &self.v,
            tokens: self.tokens,
            prefix_k: &self.prefix_k,
            prefix_v: &self.prefix_v,
            panels: None,
            batch: self.batch,
            heads: self.heads,
            kv_heads: self.kv_heads,
            dim: self.dim,
            scale: 0.7,
            span: self.span,
        }
    }

    fn visible(&self, token: usize) -> Range<usize> {
        match self.span {
            Span::Causal { window } => {
                let p = self.prefix + token;
                (p + 1).saturating_sub(window.unwrap_or(usize::MAX))..p + 1
            }
            Span::Canvas { window } => {
                let first = window.map_or(0, |w| (self.prefix + 1).saturating_sub(w));
                first.min(self.prefix)..self.prefix + self.tokens
            }
        }
    }

    fn twin(&self) -> Vec<f64> {
        let Self { heads, kv_heads, dim, tokens, prefix, .. } = *self;
        let mut out = Vec::with_capacity(self.q.len());
        for row in 0..self.batch * tokens * heads {
            let (b, t, h) = (row / heads / tokens, row / heads % tokens, row % heads / (heads / kv_heads));
            let at = |cached: &[f32], own: &[f32], p: usize, d: usize| {
                f64::from(if p < prefix {
                    cached[(p * kv_heads + h) * dim + d]
                } else {
                    own[((b * tokens + p - prefix) * kv_heads + h) * dim + d]
                })
            };
            let q = &self.q[row * dim..][..dim];
            let seen = self.visible(t);
            let scores: Vec<f64> = seen
                .clone()
                .map(|p| {
                    let dot = (0..dim).map(|d| f64::from(q[d]) * at(&self.prefix_k, &self.k, p, d));
                    dot.sum::<f64>() * f64::from(0.7_f32)
                })
                .collect();
            let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = scores.iter().map(|s| (s - top).exp()).sum();
            for d in 0..dim {
                let mixed = scores.iter().zip(seen.clone());
                out.push(
                    mixed
                        .map(|(s, p)| (s - top).exp() / sum * at(&self.prefix_v, &self.v, p, d))
                        .sum::<f64>(),
                );
            }
        }
        out
    }
}

fn each_isa_and_precision(mut body: impl FnMut(Isa, Precision)) {
    each_isa(|isa| [Precision::F32, Precision::Bf16].into_iter().for_each(|precision| body(isa, precision)));
}

const SPANS: [Span; 8] = [
    Span::Causal { window: None },
    Span::Causal { window: Some(1) },
    Span::Causal { window: Some(20) },
    Span::Causal { window: Some(1024) },
    Span::Canvas { window: None },
    Span::Canvas { window: Some(1) },
    Span::Canvas { window: Some(40) },
    Span::Canvas { window: Some(1024) },
];

#[test]
fn every_path_matches_the_twin() {
    let shapes = [
        ((1, 1, 0), (1, 1, 1)),
        ((1, 1, 130), (4, 2, 64)),
        ((2, 9, 70), (4, 2, 16)),
        ((3, 30, 0), (2, 2, 24)),
        ((1, 33, 128), (6, 2, 37)),
        ((2, 64, 100), (4, 1, 64)),
        ((1, 5, 65), (2, 1, 512)),
        ((1, 130, 3), (3, 3, 20)),
    ];
    for (sizes, heads) in shapes {
        for span in SPANS {
            let problem = Problem::new(sizes, heads, span);
            let want = problem.twin();
            each_isa(|isa| {
                let what = format!("{sizes:?} {heads:?} {span:?} {}", isa.name());
                assert_close(&problem.solve(), &want, 2e-5, &what);
                // bf16 keeps 8 bits: scores up to about 10 and values up to 1 are off by a few of the last.
                assert_close(&problem.solve_in(Precision::Bf16), &want, 6e-2, &what);
            });
        }
    }
}

#[test]
fn a_sequence_has_the_same_bits_in_any_batch_and_any_pool() {
    for span in
        [Span::Canvas { window: Some(300) }, Span::Canvas { window: None }, Span::Causal { window: None }]
    {
        let all = Problem::new((5, 64, 333), (4, 2, 64), span);
        each_isa_and_precision(|isa, precision| {
            let want = all.solve_in(precision);
            for which in [0, 3] {
                let (query, key) = (64 * 4 * 64, 64 * 2 * 64);
                let mut one = all.clone();
                one.batch = 1;
                one.q = all.q[which * query..][..query].to_vec();
                one.k = all.k[which * key..][..key].to_vec();
                one.v = all.v[which * key..][..key].to_vec();
                assert_same_bits(
                    &one.solve_in(precision),
                    &want[which * query..][..query],
                    "one of the batch",
                );
            }
            for pooled in in_pools(|| isa.with(|| all.solve_in(precision))) {
                assert_same_bits(&pooled, &want, "another pool");
            }
        });
    }
}

#[test]
fn causal_rows_do_not_depend_on_where_the_cache_ends() {
    for window in [None, Some(50)] {
        let whole = Problem::new((1, 150, 0), (4, 2, 32), Span::Causal { window });
        each_isa_and_precision(|_, precision| {
            let want = whole.solve_in(precision);
            for cut in [1, 64, 100, 149] {
                let (query, key) = (cut * 4 * 32, cut * 2 * 32);
                let mut rest = whole.clone();
                (rest.prefix, rest.tokens) = (cut, 150 - cut);
                rest.q = whole.q[query..].to_vec();
                (rest.prefix_k, rest.k) = (whole.k[..key].to_vec(), whole.k[key..].to_vec());
                (rest.prefix_v, rest.v) = (whole.v[..key].to_vec(), whole.v[key..].to_vec());
                assert_same_bits(&rest.solve_in(precision), &want[query..], "a longer cache");
            }
        });
    }
}

#[test]
fn bf16_is_exact_where_nothing_is_rounded() {
    // One-hot keys with a large scale pick single values, which bf16 holds exactly.
    let mut problem = Problem::new((2, 8, 24), (4, 2, 32), Span::Canvas { window: None });
    let one_hot = |i: usize| if i / 64 % 32 == i % 32 { 1.0 } else { 0.0 };
    problem.prefix_k = (0..24 * 64).map(one_hot).collect();
    problem.k = (0..2 * 8 * 64).map(|i| one_hot(i % (8 * 64) + 24 * 64)).collect();
    problem.q = (0..problem.q.len()).map(|i| if i / 32 % 29 == i % 32 { 300.0 } else { 0.0 }).collect();
    for v in [&mut problem.v, &mut problem.prefix_v] {
        v.iter_mut().for_each(|x| *x = (*x * 64.0).round() / 64.0);
    }
    let want = problem.twin();
    each_isa(|isa| assert_close(&problem.solve_in(Precision::Bf16), &want, 1e-6, isa.name()));
}

#[test]
fn huge_scores_pick_one_value_and_equal_keys_average() {
    let mut problem = Problem::new((1, 4, 60), (2, 1, 16), Span::Canvas { window: None });
    problem.q.fill(1e4);
    let want = problem.twin();
    each_isa(|isa| assert_close(&problem.solve(), &want, 1e-4, isa.name()));
    problem.k.fill(0.25);
    problem.prefix_k.fill(0.25);
    let want = problem.twin();
    each_isa(|isa| assert_close(&problem.solve(), &want, 1e-5, isa.name()));
}

#[test]
fn panels_that_were_kept_change_no_bit() {
    for (span, prefix) in
        SPANS.into_iter().flat_map(|span| [0, 63, 64, 150, 300].map(|prefix| (span, prefix)))
    {
        let problem = Problem::new((2, 9, prefix), (4, 2, 40), span);
        let row = 2 * 40;
        each_isa_and_precision(|_, precision| {
            let expected = problem.solve_in(precision);
            let mut panels = PrefixPanels::new(2, 40, precision);
            // Grown in two parts, and rolled back between, as a cache is.
            let part = 100.min(prefix) * row;
            let other = numbers(9, 260 * row);
            panels.extend(&problem.prefix_k[..part], &problem.prefix_v[..part]);
            panels.extend(
                &[&problem.prefix_k[..part], &other].concat(),
                &[&problem.prefix_v[..part], &other].concat(),
            );
            panels.truncate(100.min(prefix));
            panels.extend(&problem.prefix_k, &problem.prefix_v);
            let mut out = vec![f32::NAN; problem.q.len()];
            attention_in(AttentionArgs { panels: Some(&panels), ..problem.args() }, precision, &mut out);
            assert_same_bits(&out, &expected, &format!("{span:?} over {prefix} in {precision:?}"));
        });
    }
}

#[test]
fn panels_of_less_or_of_another_kind_are_not_used() {
    let problem = Problem::new((1, 3, 200), (2, 1, 16), Span::Causal { window: None });
    each_isa_and_precision(|_, precision| {
        let expected = problem.solve_in(precision);
        let other = if precision == Precision::F32 { Precision::Bf16 } else { Precision::F32 };
        let mut kinds = [PrefixPanels::new(1, 16, precision), PrefixPanels::new(1, 16, other)];
        kinds[0].extend(&numbers(7, 150 * 16), &numbers(8, 150 * 16)); // two blocks of three, and wrong
        kinds[1].extend(&problem.prefix_k, &problem.prefix_v);
        for panels in &kinds {
            let mut out = vec![f32::NAN; problem.q.len()];
            attention_in(AttentionArgs { panels: Some(panels), ..problem.args() }, precision, &mut out);
            assert_same_bits(&out, &expected, &format!("asked in {precision:?}"));
        }
    });
}

#[test]
fn the_last_queries_have_the_bits_they_have_among_all() {
    for span in SPANS {
        let whole = Problem::new((3, 11, 70), (4, 2, 24), span);
        let (query, key) = (4 * 24, 2 * 24);
        each_isa_and_precision(|_, precision| {
            let expected = whole.solve_in(precision);
            for (queries, room) in [(1, 11), (1, 16), (4, 13), (11, 12)] {
                // What lies in the room that nobody fills is never read.
                let roomy = |own: &[f32]| -> Vec<f32> {
                    let spare = vec![f32::NAN; (room - 11) * key];
                    own.chunks_exact(11 * key).flat_map(|own| [own, &spare].concat()).collect()
                };
                let last = |rows: &[f32]| -> Vec<f32> {
                    rows.chunks_exact(11 * query)
                        .flat_map(|rows| rows[(11 - queries) * query..].to_vec())
                        .collect()
                };
                let (q, k, v) = (last(&whole.q), roomy(&whole.k), roomy(&whole.v));
                let mut out = vec![f32::NAN; q.len()];
                attention_in(AttentionArgs { q: &q, k: &k, v: &v, ..whole.args() }, precision, &mut out);
                assert_same_bits(&out, &last(&expected), &format!("{span:?}: {queries} of 11 in {room}"));
            }
        });
    }
}
