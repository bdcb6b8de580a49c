//! Attention over a shared cached prefix and each sequence's own tokens, causal or whole-canvas, with grouped heads.
//!
//! Idea: all query rows of one key head (its group's heads, in every sequence) meet the same keys, so this is two matrix
//! products with a softmax between. Keys and values are packed by blocks of 64 positions ([`panels`]): the prefix's whole
//! blocks where a [`PrefixPanels`] keeps them, else once per call. A task takes a few rows: scores against all visible keys,
//! softmax in place, then the weighted sum of the values. Blocks begin at multiples of 64 of the absolute position, so a row's bits depend
//! neither on the batch nor on where the cache ends and the new tokens begin.
//! Twin: `tests/attention.rs`, in f64.
//!
//! Measured on one Zen 5 core at 64 tokens over 512 cached ones, 4 heads on 2 of 64: 194 µs a sequence in f32 (194 GFLOP/s,
//! 84 % of the core's 230), 121 µs in bf16 (313, 70 % of 450); eight sequences at once take 184 and 116 µs each. The
//! softmax (0.2 ns a score, 147 thousand scores) is most of what is missing.

mod panels;

use std::ops::Range;

pub use self::panels::PrefixPanels;
use self::panels::{Operand, Panels};
use crate::isa::Isa;
use crate::pack::Precision;
use crate::parallel::{self, SharedMut};
use crate::scratch::Scratch;
use crate::simd::{Op, Simd};
use crate::softmax;
use crate::tile::{Pair, Tiles};

/// Positions in a block of keys and values.
const BLOCK: usize = 64;
/// Query rows in a task.
const ROWS: usize = 24;

/// Which positions a query sees. The prefix stands at positions `0..prefix`, a sequence's tokens follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// The query at position `p` sees `p` and what precedes it: with a window, the last `window` positions.
    Causal {
        /// Positions seen, the query's own included; `None` is all.
        window: Option<usize>,
    },
    /// Every query sees the whole sequence, and the prefix: with a window, its last `window - 1` positions.
    Canvas {
        /// One more than the prefix positions seen; `None` is all.
        window: Option<usize>,
    },
}

impl Span {
    /// The positions that token `i` of a sequence sees.
    fn visible(self, prefix: usize, tokens: usize, i: usize) -> Range<usize> {
        match self {
            Self::Causal { window } => {
                let end = prefix + i + 1;
                end.saturating_sub(window.unwrap_or(end).max(1))..end
            }
            Self::Canvas { window } => {
                let seen = window.map_or(prefix, |w| w.saturating_sub(1).min(prefix));
                prefix - seen..prefix + tokens
            }
        }
    }
}

/// What attention reads. All slices are contiguous, row-major.
#[derive(Clone, Copy, Debug)]
pub struct AttentionArgs<'a> {
    /// Queries, `[batch, queries, heads, dim]`: those of each sequence's last tokens.
    pub q: &'a [f32],
    /// The sequences' own keys, `[batch, room, kv_heads, dim]`; the first `tokens` of each count.
    pub k: &'a [f32],
    /// The sequences' own values, `[batch, room, kv_heads, dim]`.
    pub v: &'a [f32],
    /// Tokens of each sequence: at least as many as queries, at most as many as there is room for.
    pub tokens: usize,
    /// Cached keys that every sequence sees, `[prefix, kv_heads, dim]`; may be empty.
    pub prefix_k: &'a [f32],
    /// Cached values, `[prefix, kv_heads, dim]`.
    pub prefix_v: &'a [f32],
    /// What was packed of the prefix before; without it, or where it holds less or in another precision, all is packed anew.
    pub panels: Option<&'a PrefixPanels>,
    /// Sequences.
    pub batch: usize,
    /// Query heads, a multiple of `kv_heads`; query head `h` reads key head `h / (heads / kv_heads)`.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Size of a head.
    pub dim: usize,
    /// What scores are multiplied by before the softmax.
    pub scale: f32,
    /// Which positions a query sees.
    pub span: Span,
}

/// `out = softmax(scale · q · kᵀ) · v`, `[batch, queries, heads, dim]`, in f32. A NaN or an infinity in a key or value
/// spoils the rows that see it, and may spoil others of its sequence.
///
/// # Panics
/// When a slice does not have the length its shape says.
pub fn attention(args: AttentionArgs<'_>, out: &mut [f32]) {
    attention_in(args, Precision::F32, out);
}

/// [`attention`] with its two products in `precision`: with [`Precision::Bf16`], queries (after scaling), keys, values
/// and softmax weights are rounded to bf16; sums and the softmax itself stay f32.
///
/// # Panics
/// As [`attention`].
pub fn attention_in(args: AttentionArgs<'_>, precision: Precision, out: &mut [f32]) {
    let shape = Shape::checked(&args, out.len());
    if out.is_empty() {
        return;
    }
    match precision {
        Precision::F32 => solve::<f32>(&args, shape, out),
        Precision::Bf16 => solve::<Pair>(&args, shape, out),
    }
}

fn solve<E: Operand>(args: &AttentionArgs<'_>, shape: Shape, out: &mut [f32]) {
    let isa = Isa::current();
    let panels = Panels::<E>::pack(isa, args, shape);
    let rows = shape.queries * (args.heads / args.kv_heads);
    let row_blocks = rows.div_ceil(ROWS);
    let serial_ns = 4 * out.len() * (shape.total() - shape.start) / parallel::FLOPS_PER_NS;
    let base = SharedMut::new(out);
    parallel::for_each(args.batch * args.kv_heads * row_blocks, serial_ns, |task| {
        let (pair, first) = (task / row_blocks, task % row_blocks * ROWS);
        isa.run(Task {
            args,
            shape,
            panels: &panels,
            // Head by head, so that the prefix's keys and values of one stay in the cache for all sequences.
            sequence: pair % args.batch,
            kv_head: pair / args.batch,
            rows: first..rows.min(first + ROWS),
            out: base,
        });
    });
}

/// Lengths that follow from the slices.
#[derive(Clone, Copy)]
struct Shape {
    queries: usize,
    tokens: usize,
    /// Places for tokens in `k` and `v`.
    room: usize,
    prefix: usize,
    /// First absolute position that some query sees, rounded down to a block.
    start: usize,
}

impl Shape {
    fn checked(args: &AttentionArgs<'_>, out: usize) -> Self {
        let AttentionArgs { batch, heads, kv_heads, dim, .. } = *args;
        assert!(batch > 0 && dim > 0 && kv_heads > 0, "attention needs sequences, heads and dimensions");
        assert!(
            heads > 0 && heads.is_multiple_of(kv_heads),
            "{heads} heads do not share {kv_heads} key heads evenly"
        );
        assert!(args.q.len().is_multiple_of(batch * heads * dim), "q is [{batch}, queries, {heads}, {dim}]");
        assert_eq!(out, args.q.len(), "out has the shape of q");
        assert!(
            args.k.len().is_multiple_of(batch * kv_heads * dim),
            "k is [{batch}, room, {kv_heads}, {dim}]"
        );
        assert_eq!(args.v.len(), args.k.len(), "v has the shape of k");
        let (queries, tokens) = (args.q.len() / (batch * heads * dim), args.tokens);
        let room = args.k.len() / (batch * kv_heads * dim);
        assert!(
            (queries..=room).contains(&tokens),
            "{tokens} tokens for {queries} queries, and room for {room}"
        );
        assert!(
            args.prefix_k.len().is_multiple_of(kv_heads * dim),
            "prefix_k is [prefix, {kv_heads}, {dim}]"
        );
        assert_eq!(args.prefix_v.len(), args.prefix_k.len(), "prefix_v has the shape of prefix_k");
        let prefix = args.prefix_k.len() / (kv_heads * dim);
        let start = args.span.visible(prefix, tokens, tokens - queries).start / BLOCK * BLOCK;
        Self { queries, tokens, room, prefix, start }
    }

    fn total(self) -> usize {
        self.prefix + self.tokens
    }
}

/// Some query rows of one key head in one sequence; row `r` is head `r % group` of query `r / group`.
struct Task<'a, E> {
    args: &'a AttentionArgs<'a>,
    shape: Shape,
    panels: &'a Panels<'a, E>,
    sequence: usize,
    kv_head: usize,
    rows: Range<usize>,
    out: SharedMut,
}

/// Scores of a task's rows, `[rows, width]`; column `j` is the key at absolute position `start + j`.
struct Scores {
    start: usize,
    width: usize,
    values: Scratch,
}

impl<E: Operand> Op for Task<'_, E> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (dim, rows) = (self.args.dim, self.rows.len());
        // The union of what the rows see, in whole blocks.
        let start = self.visible(self.rows.start).start / BLOCK * BLOCK;
        let width = (self.visible(self.rows.end - 1).end - start).next_multiple_of(BLOCK);
        let mut scores = Scores { start, width, values: Scratch::take(rows * width) };
        self.score(simd, &mut scores);
        let mut sums = [0.0; ROWS];
        for ((r, row), sum) in
            self.rows.clone().zip(scores.values.as_mut_slice().chunks_exact_mut(width)).zip(&mut sums)
        {
            let seen = self.visible(r);
            row[..seen.start - start].fill(f32::NEG_INFINITY);
            row[seen.end - start..].fill(f32::NEG_INFINITY);
            // SAFETY: the pointer and the length are the row's, a multiple of 64.
            unsafe {
                *sum = softmax::exponentials(simd, row.as_mut_ptr(), width, 1.0);
                E::narrow_in_place(simd, row.as_mut_ptr(), width);
            }
        }
        let mut mixed = Scratch::take(rows * dim); // [rows, dim]
        self.mix(simd, &mut scores, mixed.as_mut_slice());
        for ((r, row), sum) in self.rows.clone().zip(mixed.as_slice().chunks_exact(dim)).zip(sums) {
            let factor = 1.0 / sum;
            // SAFETY: this task alone writes the heads of its rows.
            let out = unsafe { std::slice::from_raw_parts_mut(self.out.get().add(self.offset(r)), dim) };
            for (out, x) in out.iter_mut().zip(row) {
                *out = x * factor;
            }
        }
    }
}

impl<E: Operand> Task<'_, E> {
    /// Absolute positions that row `r` sees.
    #[inline(always)]
    fn visible(&self, r: usize) -> Range<usize> {
        let Shape { queries, tokens, prefix, .. } = self.shape;
        self.args.span.visible(prefix, tokens, tokens - queries + r / self.group())
    }

    #[inline(always)]
    fn group(&self) -> usize {
        self.args.heads / self.args.kv_heads
    }

    /// Where row `r` lies in `q` and `out`.
    #[inline(always)]
    fn offset(&self, r: usize) -> usize {
        let query = self.sequence * self.shape.queries + r / self.group();
        (query * self.args.heads + self.kv_head * self.group() + r % self.group()) * self.args.dim
    }

    /// `scores[r][j] = scale · q[r] · key[start + j]`
    #[inline(always)]
    fn score<S: Simd>(&self, simd: S, scores: &mut Scores) {
        let (dim, depth) = (self.args.dim, self.panels.key_depth());
        let mut q = Scratch::take(self.rows.len() * depth); // [rows, depth]
        let q = panels::elements_mut::<E>(q.as_mut_slice());
        for (r, to) in self.rows.clone().zip(q.chunks_exact_mut(depth)) {
            E::narrow(simd, &self.args.q[self.offset(r)..][..dim], self.args.scale, to);
        }
        let first = (scores.start - self.shape.start) / BLOCK;
        for block in 0..scores.width / BLOCK {
            // SAFETY: `q` is [rows, depth], a panel of keys [depth, 64], and columns `block · 64 ..` of `scores` are in
            // bounds.
            unsafe {
                simd.tiles(Tiles {
                    a: q.as_ptr(),
                    lda: depth,
                    b: self.panels.keys(self.sequence, self.kv_head, first + block),
                    ldb: BLOCK,
                    c: scores.values.as_mut_slice().as_mut_ptr().add(block * BLOCK),
                    ldc: scores.width,
                    rows: self.rows.len(),
                    depth,
                    cols: BLOCK,
                    accumulate: false,
                });
            }
        }
    }

    /// `mixed[r] = Σ weights[r][j] · value[start + j]`, block by block. `weights` are narrowed scores.
    #[inline(always)]
    fn mix<S: Simd>(&self, simd: S, weights: &mut Scores, mixed: &mut [f32]) {
        let first = (weights.start - self.shape.start) / BLOCK;
        let (dim, depth) = (self.args.dim, BLOCK / E::VALUES);
        for block in 0..weights.width / BLOCK {
            // SAFETY: a row of `weights` has `width / VALUES` elements, `width` apart; a panel of values is
            // [depth, dim] in whole lines; `mixed` is [rows, dim].
            unsafe {
                simd.tiles(Tiles {
                    a: weights.values.as_mut_slice().as_ptr().cast::<E>().add(block * depth),
                    lda: weights.width,
                    b: self.panels.values(self.sequence, self.kv_head, first + block),
                    ldb: self.panels.value_width(),
                    c: mixed.as_mut_ptr(),
                    ldc: dim,
                    rows: self.rows.len(),
                    depth,
                    cols: dim,
                    accumulate: block > 0,
                });
            }
        }
    }
}
