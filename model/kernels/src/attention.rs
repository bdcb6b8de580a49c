//! Attention over a shared cached prefix and each sequence's own tokens, causal or whole-canvas, with grouped heads.
//!
//! Idea: all query rows of one key head (its group's heads, in every sequence) meet the same keys, so this is two matrix
//! products with a softmax between. Keys are transposed into panels of 64 once per call (the prefix's once for the whole
//! batch), values are used where they lie. A task takes a few rows: scores against all visible keys, softmax in place,
//! then one pass over the values with the sums in registers. Blocks of keys begin at multiples of 64 of the absolute
//! position, so a row's bits depend neither on the batch nor on where the cache ends and the new tokens begin.
//! Twin: `tests/attention.rs`, in f64.

use std::borrow::Cow;

use crate::isa::Isa;
use crate::pack::LINE;
use crate::parallel::{self, SharedMut};
use crate::scratch::Scratch;
use crate::simd::{Op, Simd};
use crate::softmax;
use crate::tile::Tiles;

/// Keys in a panel.
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
    fn visible(self, prefix: usize, tokens: usize, i: usize) -> std::ops::Range<usize> {
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
    /// Queries, `[batch, tokens, heads, dim]`.
    pub q: &'a [f32],
    /// The sequences' own keys, `[batch, tokens, kv_heads, dim]`.
    pub k: &'a [f32],
    /// The sequences' own values, `[batch, tokens, kv_heads, dim]`.
    pub v: &'a [f32],
    /// Cached keys that every sequence sees, `[prefix, kv_heads, dim]`; may be empty.
    pub prefix_k: &'a [f32],
    /// Cached values, `[prefix, kv_heads, dim]`.
    pub prefix_v: &'a [f32],
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

/// `out = softmax(scale · q · kᵀ) · v`, `[batch, tokens, heads, dim]`. A NaN or an infinity in a visible key or value
/// spoils the rows that see it.
///
/// # Panics
/// When a slice does not have the length its shape says.
pub fn attention(args: AttentionArgs<'_>, out: &mut [f32]) {
    let shape = Shape::checked(&args, out.len());
    if out.is_empty() {
        return;
    }
    let isa = Isa::current();
    let keys = Keys::pack(isa, &args, shape);
    let values = Values::new(&args);
    let group = args.heads / args.kv_heads;
    let rows = shape.tokens * group;
    let row_blocks = rows.div_ceil(ROWS);
    let total = shape.prefix + shape.tokens;
    let serial_ns = 4 * out.len() * total / parallel::FLOPS_PER_NS;
    let base = SharedMut::new(out);
    parallel::for_each(args.batch * args.kv_heads * row_blocks, serial_ns, |task| {
        let (pair, first) = (task / row_blocks, task % row_blocks * ROWS);
        let task = Task {
            args: &args,
            shape,
            keys: &keys,
            values: &values,
            // Head by head, so that the prefix's keys and values of one stay in the cache for all sequences.
            sequence: pair % args.batch,
            kv_head: pair / args.batch,
            rows: first..rows.min(first + ROWS),
            out: base,
        };
        isa.run(task);
    });
}

/// Lengths that follow from the slices.
#[derive(Clone, Copy)]
struct Shape {
    tokens: usize,
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
        assert!(args.q.len().is_multiple_of(batch * heads * dim), "q is [{batch}, tokens, {heads}, {dim}]");
        let tokens = args.q.len() / (batch * heads * dim);
        assert_eq!(out, args.q.len(), "out has the shape of q");
        assert_eq!(
            args.k.len(),
            batch * tokens * kv_heads * dim,
            "k is [{batch}, {tokens}, {kv_heads}, {dim}]"
        );
        assert_eq!(args.v.len(), args.k.len(), "v has the shape of k");
        assert!(
            args.prefix_k.len().is_multiple_of(kv_heads * dim),
            "prefix_k is [prefix, {kv_heads}, {dim}]"
        );
        assert_eq!(args.prefix_v.len(), args.prefix_k.len(), "prefix_v has the shape of prefix_k");
        let prefix = args.prefix_k.len() / (kv_heads * dim);
        let start = args.span.visible(prefix, tokens, 0).start / BLOCK * BLOCK;
        Self { tokens, prefix, start }
    }

    fn total(self) -> usize {
        self.prefix + self.tokens
    }
}

/// Keys transposed into panels `[dim, 64]`, from `shape.start` on: those wholly inside the prefix once, the others for
/// each sequence. Columns beyond the last key hold anything: nothing sees them.
struct Keys {
    shared: Scratch,
    own: Scratch,
    shared_blocks: usize,
    own_blocks: usize,
    /// Floats in a panel.
    panel: usize,
    kv_heads: usize,
}

impl Keys {
    fn pack(isa: Isa, args: &AttentionArgs<'_>, shape: Shape) -> Self {
        let boundary = (shape.prefix / BLOCK * BLOCK).max(shape.start);
        let shared_blocks = (boundary - shape.start) / BLOCK;
        let own_blocks = (shape.total() - boundary).div_ceil(BLOCK);
        let panel = args.dim * BLOCK;
        let mut keys = Self {
            shared: Scratch::take(args.kv_heads * shared_blocks * panel),
            own: Scratch::take(args.batch * args.kv_heads * own_blocks * panel),
            shared_blocks,
            own_blocks,
            panel,
            kv_heads: args.kv_heads,
        };
        let (shared, own) =
            (SharedMut::new(keys.shared.as_mut_slice()), SharedMut::new(keys.own.as_mut_slice()));
        let shared_panels = args.kv_heads * shared_blocks;
        let panels = shared_panels + args.batch * args.kv_heads * own_blocks;
        parallel::for_each(panels, panels * panel / 2, |i| {
            let own_index = i.wrapping_sub(shared_panels);
            let (sequence, kv_head, position, to) = if i < shared_panels {
                (
                    0,
                    i / shared_blocks,
                    shape.start + i % shared_blocks * BLOCK,
                    shared.get().wrapping_add(i * panel),
                )
            } else {
                let row = own_index / own_blocks;
                let position = boundary + own_index % own_blocks * BLOCK;
                (
                    row / args.kv_heads,
                    row % args.kv_heads,
                    position,
                    own.get().wrapping_add(own_index * panel),
                )
            };
            isa.run(Transpose { args, shape, sequence, kv_head, position, to });
        });
        keys
    }

    /// The panel of keys from `block · 64` past the start.
    fn panel(&self, sequence: usize, kv_head: usize, block: usize) -> *const f32 {
        let (panels, index) = if block < self.shared_blocks {
            (&self.shared, kv_head * self.shared_blocks + block)
        } else {
            let row = sequence * self.kv_heads + kv_head;
            (&self.own, row * self.own_blocks + block - self.shared_blocks)
        };
        panels.as_slice()[index * self.panel..].as_ptr()
    }
}

/// Writes one panel of keys.
struct Transpose<'a> {
    args: &'a AttentionArgs<'a>,
    shape: Shape,
    sequence: usize,
    kv_head: usize,
    position: usize,
    to: *mut f32,
}

impl Op for Transpose<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (args, Shape { prefix, tokens, .. }) = (self.args, self.shape);
        let (dim, stride) = (args.dim, args.kv_heads * args.dim);
        let head = self.kv_head * dim;
        let mut at = 0;
        while at < BLOCK && self.position + at < prefix + tokens {
            let p = self.position + at;
            let (source, row, available) = if p < prefix {
                (args.prefix_k, p, prefix - p)
            } else {
                (args.k, self.sequence * tokens + p - prefix, prefix + tokens - p)
            };
            let whole = available >= 16 && at + 16 <= BLOCK;
            let columns = if whole { dim / 16 * 16 } else { 0 };
            let keys = if whole { 16 } else { 1 };
            let from = &source[row * stride + head..(row + keys - 1) * stride + head + dim];
            // SAFETY: `from` spans `keys` keys of this head; columns `at..at + keys` of the panel's `dim` rows are this
            // task's alone.
            unsafe {
                for d in (0..columns).step_by(16) {
                    simd.transpose_16x16(from.as_ptr().add(d), stride, self.to.add(d * BLOCK + at), BLOCK);
                }
                for d in columns..dim {
                    for key in 0..keys {
                        *self.to.add(d * BLOCK + at + key) = from[key * stride + d];
                    }
                }
            }
            at += keys;
        }
    }
}

/// Values where they lie, or copied with each head padded to whole lines when its size is not a multiple of 16.
struct Values<'a> {
    prefix: Cow<'a, [f32]>,
    own: Cow<'a, [f32]>,
    /// Floats from one head to the next.
    stride: usize,
}

impl<'a> Values<'a> {
    fn new(args: &AttentionArgs<'a>) -> Self {
        let stride = args.dim.next_multiple_of(LINE);
        if stride == args.dim {
            return Self { prefix: Cow::Borrowed(args.prefix_v), own: Cow::Borrowed(args.v), stride };
        }
        let padded = |values: &[f32]| {
            let mut copy = vec![0.0; values.len() / args.dim * stride];
            for (to, from) in copy.chunks_exact_mut(stride).zip(values.chunks_exact(args.dim)) {
                to[..args.dim].copy_from_slice(from);
            }
            Cow::Owned(copy)
        };
        Self { prefix: padded(args.prefix_v), own: padded(args.v), stride }
    }
}

/// Some query rows of one key head in one sequence; row `r` is head `r % group` of token `r / group`.
struct Task<'a> {
    args: &'a AttentionArgs<'a>,
    shape: Shape,
    keys: &'a Keys,
    values: &'a Values<'a>,
    sequence: usize,
    kv_head: usize,
    rows: std::ops::Range<usize>,
    out: SharedMut,
}

/// Scores of a task's rows, `[rows, width]`; column `j` is the key at absolute position `start + j`.
struct Scores {
    start: usize,
    width: usize,
    values: Scratch,
}

impl Op for Task<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (dim, scale) = (self.args.dim, self.args.scale);
        let rows = self.rows.len();
        // The union of what the rows see, in whole blocks.
        let start = self.visible(self.rows.start).start / BLOCK * BLOCK;
        let end = self.visible(self.rows.end - 1).end;
        let width = (end - start).next_multiple_of(BLOCK);

        let mut q = Scratch::take(rows * dim); // [rows, dim]
        for (r, to) in self.rows.clone().zip(q.as_mut_slice().chunks_exact_mut(dim)) {
            for (to, from) in to.iter_mut().zip(&self.args.q[self.offset(r)..][..dim]) {
                *to = from * scale;
            }
        }
        let mut scores = Scores { start, width, values: Scratch::take(rows * width) };
        self.score(simd, q.as_slice(), &mut scores);
        let mut sums = [0.0; ROWS];
        for ((r, row), sum) in
            self.rows.clone().zip(scores.values.as_mut_slice().chunks_exact_mut(width)).zip(&mut sums)
        {
            let seen = self.visible(r);
            row[..seen.start - start].fill(f32::NEG_INFINITY);
            row[seen.end - start..].fill(f32::NEG_INFINITY);
            // SAFETY: the pointer and the length are the row's.
            *sum = unsafe { softmax::exponentials(simd, row.as_mut_ptr(), width, 1.0) };
        }
        let mut mixed = q; // [rows, dim], its size again
        self.mix(simd, &scores, end, mixed.as_mut_slice());
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

impl Task<'_> {
    /// Absolute positions that row `r` sees.
    #[inline(always)]
    fn visible(&self, r: usize) -> std::ops::Range<usize> {
        self.args.span.visible(self.shape.prefix, self.shape.tokens, r / self.group())
    }

    #[inline(always)]
    fn group(&self) -> usize {
        self.args.heads / self.args.kv_heads
    }

    /// Where row `r` lies in `q` and `out`.
    #[inline(always)]
    fn offset(&self, r: usize) -> usize {
        let token = self.sequence * self.shape.tokens + r / self.group();
        (token * self.args.heads + self.kv_head * self.group() + r % self.group()) * self.args.dim
    }

    /// `scores[r][j] = q[r] · key[start + j]`; `q` is [rows, dim].
    #[inline(always)]
    fn score<S: Simd>(&self, simd: S, q: &[f32], scores: &mut Scores) {
        let dim = self.args.dim;
        let first = (scores.start - self.shape.start) / BLOCK;
        for block in 0..scores.width / BLOCK {
            // SAFETY: `q` is [rows, dim], a panel [dim, 64], and columns `block · 64 ..` of `scores` are in bounds.
            unsafe {
                simd.tiles(Tiles {
                    a: q.as_ptr(),
                    lda: dim,
                    b: self.keys.panel(self.sequence, self.kv_head, first + block),
                    ldb: BLOCK,
                    c: scores.values.as_mut_slice().as_mut_ptr().add(block * BLOCK),
                    ldc: scores.width,
                    rows: self.rows.len(),
                    depth: dim,
                    cols: BLOCK,
                    accumulate: false,
                });
            }
        }
    }

    /// `mixed[r] = Σ weights[r][p - start] · value[p]` for `p < end`, first over the prefix, then over the sequence's own.
    #[inline(always)]
    fn mix<S: Simd>(&self, simd: S, weights: &Scores, end: usize, mixed: &mut [f32]) {
        let (prefix, stride) = (self.shape.prefix, self.values.stride);
        let token = self.args.kv_heads * stride;
        let cached = weights.start.min(prefix)..end.min(prefix);
        let own = weights.start.max(prefix) - prefix..end.max(prefix) - prefix;
        let own_row = self.sequence * self.shape.tokens;
        let parts =
            [(&self.values.prefix, 0, &cached, false), (&self.values.own, own_row, &own, !cached.is_empty())];
        for (values, row, span, accumulate) in parts {
            if span.is_empty() {
                continue;
            }
            let skipped = if accumulate { cached.len() } else { 0 };
            let values = &values[(row + span.start) * token + self.kv_head * stride..];
            // SAFETY: `values` holds `span.len()` tokens from there, each head padded to whole lines; `weights` is
            // [rows, width] with `skipped + span.len() <= width`; `mixed` is [rows, dim].
            unsafe {
                simd.tiles(Tiles {
                    a: weights.values.as_slice().as_ptr().add(skipped),
                    lda: weights.width,
                    b: values.as_ptr(),
                    ldb: token,
                    c: mixed.as_mut_ptr(),
                    ldc: self.args.dim,
                    rows: self.rows.len(),
                    depth: span.len(),
                    cols: self.args.dim,
                    accumulate,
                });
            }
        }
    }
}
