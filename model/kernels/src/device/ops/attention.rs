//! Attention over a shared cached prefix and each sequence's own tokens.

use super::super::{Arg, Device, DeviceError, Slice};
use super::{Dtype, Rows, ensure, optional};
use crate::Span;

/// What [`attention`] reads and writes. All rows have one type.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    /// Queries `[batch · tokens, heads · dim]`.
    pub q: Rows<'a>,
    /// The sequences' own keys `[batch · tokens, kv_heads · dim]`.
    pub k: Rows<'a>,
    /// The sequences' own values, likewise.
    pub v: Rows<'a>,
    /// Cached keys that every sequence sees, `[prefix, kv_heads · dim]`; may have no rows.
    pub prefix_k: Rows<'a>,
    /// Cached values, likewise.
    pub prefix_v: Rows<'a>,
    /// How many of the prefix's rows there are, a u32 in device memory that a recorded launch reads anew whenever it runs;
    /// `None` is all of them.
    pub prefix_now: Option<Slice<'a>>,
    /// Sequences.
    pub batch: usize,
    /// Query heads; head `h` reads key head `h / (heads / kv_heads)`.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Size of a head.
    pub dim: usize,
    /// What scores are multiplied by.
    pub scale: f32,
    /// Which positions a query sees.
    pub span: Span,
    /// `[batch · tokens, heads · dim]`.
    pub out: Rows<'a>,
    /// Memory for splitting the prefix over blocks: [`attention_scratch_bytes`]; with less there are fewer pieces.
    pub scratch: Option<Slice<'a>>,
}

/// Scratch memory that [`attention`] makes good use of, in bytes, for any prefix and any number of sequences.
#[must_use]
pub fn attention_scratch_bytes(
    device: &Device,
    rows: usize,
    (heads, kv_heads): (usize, usize),
    dim: usize,
) -> usize {
    let splits = flash(device, dim).map(|_| {
        // One sequence has the fewest blocks.
        let tiles = (rows * heads / kv_heads.max(1)).div_ceil(FLASH_ROWS);
        splits(device, tiles * kv_heads)
    });
    match splits {
        Some(splits) if splits > 1 => splits * rows * heads * (dim + 2) * 4,
        _ => 0,
    }
}

/// Into how many pieces the positions may be cut, at most.
const SPLITS_MAX: usize = 32;

/// Over how many blocks the positions are split, where there are `blocks` of them unsplit.
fn splits(device: &Device, blocks: usize) -> usize {
    (device.info().multiprocessors / blocks.max(1)).clamp(1, SPLITS_MAX)
}

/// `out = softmax(scale · q · kᵀ) · v`, as [`crate::attention()`] on the host: on tensor cores for bf16 heads of 64, 128,
/// 256 and 512 whose rows begin at multiples of 16 bytes, else on ordinary cores.
///
/// # Errors
/// [`DeviceError::Shape`] and [`DeviceError::Launch`].
pub fn attention(device: &Device, job: &Attention<'_>) -> Result<(), DeviceError> {
    check(job)?;
    if job.q.rows == 0 {
        return Ok(());
    }
    let rows = [job.q, job.k, job.v, job.prefix_k, job.prefix_v, job.out];
    let suits = job.q.dtype == Dtype::Bf16 && rows.iter().all(Rows::aligned);
    match flash(device, job.dim).filter(|_| suits) {
        Some(flash) => on_tensor_cores(device, job, flash),
        None => plain(device, job),
    }
}

/// Sizes of a tensor-core kernel, as in `cuda/attention_mma.cu`.
#[derive(Clone, Copy)]
struct Flash {
    name: &'static str,
    dim: usize,
    keys: usize,
}

/// Rows of a block.
const FLASH_ROWS: usize = 64;

/// For each head size the kernel with the largest tiles first.
const FLASH: [Flash; 6] = [
    Flash { name: "attention_64", dim: 64, keys: 64 },
    Flash { name: "attention_128", dim: 128, keys: 32 },
    Flash { name: "attention_256", dim: 256, keys: 64 },
    Flash { name: "attention_256_small", dim: 256, keys: 32 },
    Flash { name: "attention_512", dim: 512, keys: 32 },
    Flash { name: "attention_512_small", dim: 512, keys: 16 },
];

impl Flash {
    /// Two tiles of keys, of values and of the scores' halves.
    fn shared_bytes(self) -> usize {
        2 * (2 * self.keys * self.dim * 2 + 2 * FLASH_ROWS * self.keys * 4)
    }
}

/// The kernel for this head size that fits the card.
fn flash(device: &Device, dim: usize) -> Option<Flash> {
    let fits = |flash: &&Flash| flash.dim == dim && flash.shared_bytes() <= device.info().shared_bytes_max;
    FLASH.iter().find(fits).copied()
}

/// Whether it is the whole canvas that a query sees, and the window (0 is none).
fn span(job: &Attention<'_>) -> [Arg<'static>; 2] {
    let (canvas, window) = match job.span {
        Span::Causal { window } => (0, window),
        Span::Canvas { window } => (1, window),
    };
    [Arg::U32(canvas), Arg::U32(window.map_or(0, |w| w.clamp(1, u32::MAX as usize) as u32))]
}

/// Views and strides of queries, keys, values and the cached ones.
fn operands<'a>(job: &Attention<'a>) -> Vec<Arg<'a>> {
    let rows = [job.q, job.k, job.v, job.prefix_k, job.prefix_v];
    rows.iter().flat_map(|rows| [Arg::Slice(rows.data), Arg::U32(rows.stride as u32)]).collect()
}

fn plain(device: &Device, job: &Attention<'_>) -> Result<(), DeviceError> {
    let Attention { q, batch, heads, kv_heads, dim, .. } = *job;
    let mut args = operands(job);
    args.extend([
        Arg::U32(q.dtype.code()),
        Arg::U32(job.prefix_k.rows as u32),
        optional(job.prefix_now),
        Arg::U32((q.rows / batch) as u32),
        Arg::U32((heads / kv_heads) as u32),
        Arg::U32(dim as u32),
        Arg::F32(job.scale),
    ]);
    args.extend(span(job));
    args.extend([Arg::Slice(job.out.data), Arg::U32(job.out.stride as u32)]);
    let shared = (dim + 128 + 16) * 4;
    device.launch("attention_plain", [heads as u32, q.rows as u32, 1], [128, 1, 1], shared, &args)
}

fn on_tensor_cores(device: &Device, job: &Attention<'_>, flash: Flash) -> Result<(), DeviceError> {
    let Attention { q, batch, heads, kv_heads, dim, out, .. } = *job;
    let tokens = q.rows / batch;
    let rows = tokens * (heads / kv_heads);
    let (Span::Causal { window } | Span::Canvas { window }) = job.span;
    let positions = job.prefix_k.rows + tokens;
    let seen = window.map_or(positions, |window| positions.min(window + tokens));
    let room = job.scratch.map_or(0, |s| s.len() / (q.rows * heads * (dim + 2) * 4));
    let blocks = rows.div_ceil(FLASH_ROWS) * batch * kv_heads;
    let splits = splits(device, blocks).min(seen.div_ceil(2 * flash.keys)).min(room).max(1);
    let parts = job.scratch.filter(|_| splits > 1);
    let mut args = operands(job);
    args.extend([
        Arg::U32(job.prefix_k.rows as u32),
        optional(job.prefix_now),
        Arg::U32(tokens as u32),
        Arg::U32(kv_heads as u32),
        Arg::U32((heads / kv_heads) as u32),
        Arg::F32(job.scale),
    ]);
    args.extend(span(job));
    args.extend([
        Arg::Slice(out.data),
        Arg::U32(out.stride as u32),
        optional(parts),
        Arg::U32(splits as u32),
    ]);
    let pairs = (batch * kv_heads) as u32;
    let grid = [rows.div_ceil(FLASH_ROWS) as u32, pairs, splits as u32];
    device.launch(flash.name, grid, [256, 1, 1], flash.shared_bytes(), &args)?;
    let Some(parts) = parts else { return Ok(()) };
    let args = [
        Arg::Slice(parts),
        Arg::U32(splits as u32),
        Arg::U32(dim as u32),
        Arg::U32(rows as u32),
        Arg::U32(tokens as u32),
        Arg::U32(kv_heads as u32),
        Arg::U32((heads / kv_heads) as u32),
        Arg::Slice(out.data),
        Arg::U32(out.stride as u32),
    ];
    device.launch("attention_combine", [rows as u32, pairs, 1], [128, 1, 1], 0, &args)
}

fn check(job: &Attention<'_>) -> Result<(), DeviceError> {
    const OP: &str = "attention";
    let Attention { q, k, v, prefix_k, prefix_v, batch, heads, kv_heads, dim, out, .. } = *job;
    ensure(OP, kv_heads > 0 && heads.is_multiple_of(kv_heads), || {
        format!("{heads} heads do not share {kv_heads} key heads evenly")
    })?;
    ensure(OP, batch > 0 && q.rows.is_multiple_of(batch), || {
        format!("{} rows in {batch} sequences", q.rows)
    })?;
    ensure(OP, (1..=1024).contains(&dim), || format!("a head size of {dim}"))?;
    let (q_width, kv_width) = (heads * dim, kv_heads * dim);
    for (what, rows, shape) in [
        ("q", q, (q.rows, q_width)),
        ("k", k, (q.rows, kv_width)),
        ("v", v, (q.rows, kv_width)),
        ("prefix_k", prefix_k, (prefix_k.rows, kv_width)),
        ("prefix_v", prefix_v, (prefix_k.rows, kv_width)),
        ("out", out, (q.rows, q_width)),
    ] {
        ensure(OP, (rows.rows, rows.cols) == shape, || {
            format!("{what} is [{}, {}], not {shape:?}", rows.rows, rows.cols)
        })?;
        ensure(OP, rows.dtype == q.dtype, || format!("{what} is {:?}, q is {:?}", rows.dtype, q.dtype))?;
    }
    Ok(())
}
