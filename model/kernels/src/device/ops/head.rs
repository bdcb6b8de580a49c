//! The fused head: from hidden states to what a sampler needs, without logits in memory.

use super::super::{Arg, Buffer, Device, DeviceError, Slice};
use super::{Product, Rows, Weight, ensure, ensure_len, mma, optional, u32_of};

/// In [`Head::survivors`]: the row had more survivors than there is room for, and needs the exact path.
pub const OVERFLOW: u32 = u32::MAX;

/// What [`head`] makes of each row, and the memory it needs on the way.
#[derive(Clone, Debug)]
pub struct Head {
    rows_max: usize,
    vocabulary: usize,
    capacity: usize,
    shares: Buffer,
    tops: Buffer,
    counts: Buffer,
    candidate_ids: Buffer,
    candidate_logits: Buffer,
    argmax: Buffer,
    max: Buffer,
    log_sum_exp: Buffer,
    entropy: Buffer,
    survivors: Buffer,
    ids: Buffer,
    weights: Buffer,
    mass: Buffer,
}

/// Candidates kept for each survivor: the cut follows the best logit seen so far, so more than survive are noted.
const ROOM: usize = 4;
/// Vocabulary entries of the narrowest tile.
const TILE: usize = 64;

impl Head {
    /// For up to `rows_max` rows over `vocabulary` tokens, of which `capacity` may survive in a row (2048 at most).
    ///
    /// # Errors
    /// As [`Device::alloc`]; [`DeviceError::Shape`].
    pub fn new(
        device: &Device,
        rows_max: usize,
        vocabulary: usize,
        capacity: usize,
    ) -> Result<Self, DeviceError> {
        ensure("head", (1..=2048).contains(&capacity), || {
            format!("a capacity of 1 to 2048, not {capacity}")
        })?;
        let words = |n: usize| device.alloc(n * 4);
        let room = rows_max * capacity;
        Ok(Self {
            rows_max,
            vocabulary,
            capacity,
            shares: words(rows_max * vocabulary.div_ceil(TILE) * 4)?,
            tops: words(rows_max)?,
            counts: words(rows_max)?,
            candidate_ids: words(room * ROOM)?,
            candidate_logits: words(room * ROOM)?,
            argmax: words(rows_max)?,
            max: words(rows_max)?,
            log_sum_exp: words(rows_max)?,
            entropy: words(rows_max)?,
            survivors: words(rows_max)?,
            ids: words(room)?,
            weights: words(room)?,
            mass: words(rows_max)?,
        })
    }

    /// Bytes that [`Head::new`] allocates.
    #[must_use]
    pub fn bytes(rows_max: usize, vocabulary: usize, capacity: usize) -> usize {
        rows_max * 4 * (vocabulary.div_ceil(TILE) * 4 + 8 + capacity * (2 * ROOM + 2))
    }

    /// Rows at most.
    #[must_use]
    pub fn rows_max(&self) -> usize {
        self.rows_max
    }

    /// Survivors of a row at most.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Token of the largest scaled logit, the first among equals, u32 `[rows]`.
    #[must_use]
    pub fn argmax(&self) -> &Buffer {
        &self.argmax
    }

    /// The largest scaled logit, f32 `[rows]`.
    #[must_use]
    pub fn max(&self) -> &Buffer {
        &self.max
    }

    /// `ln Σ exp` of the scaled logits, f32 `[rows]`.
    #[must_use]
    pub fn log_sum_exp(&self) -> &Buffer {
        &self.log_sum_exp
    }

    /// Entropy of the scaled logits, nats, f32 `[rows]`.
    #[must_use]
    pub fn entropy(&self) -> &Buffer {
        &self.entropy
    }

    /// How many tokens are within 10 nats of the row's best, or [`OVERFLOW`], u32 `[rows]`.
    #[must_use]
    pub fn survivors(&self) -> &Buffer {
        &self.survivors
    }

    /// These tokens, rising, u32 `[rows, capacity]`.
    #[must_use]
    pub fn ids(&self) -> &Buffer {
        &self.ids
    }

    /// `exp(scaled logit - max)` of each, f32 `[rows, capacity]`.
    #[must_use]
    pub fn weights(&self) -> &Buffer {
        &self.weights
    }

    /// The sum of a row's weights, f32 `[rows]`; not written where survivors overflowed.
    #[must_use]
    pub fn mass(&self) -> &Buffer {
        &self.mass
    }
}

impl Masks<'_> {
    /// That they cover `rows` rows over a vocabulary.
    pub(super) fn check(&self, op: &'static str, rows: usize, vocabulary: usize) -> Result<(), DeviceError> {
        let words = vocabulary.div_ceil(32);
        if let Some(banned) = self.banned {
            ensure_len(op, "banned", banned, words, 4)?;
        }
        if let Some((which, masks)) = self.allowed {
            ensure_len(op, "which mask", which, rows, 4)?;
            ensure_len(op, "masks", masks, words, 4)?;
        }
        Ok(())
    }
}

/// Tokens that may not be chosen, as bits: token `i` is bit `i % 32` of word `i / 32`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Masks<'a> {
    /// Tokens that no row may become, u32 `[ceil(vocabulary / 32)]`.
    pub banned: Option<Slice<'a>>,
    /// Which of the masks a row has, u32 `[rows]` ([`u32::MAX`]: none), and the masks of *allowed* tokens, u32
    /// `[n, ceil(vocabulary / 32)]`. Every mask must allow some token that is not banned.
    pub allowed: Option<(Slice<'a>, Slice<'a>)>,
}

/// What [`head`] reads.
#[derive(Clone, Copy, Debug)]
pub struct HeadJob<'a> {
    /// Hidden states after the final norm `[rows, hidden]`.
    pub states: Rows<'a>,
    /// The tied embedding `[vocabulary, hidden]`.
    pub table: Weight<'a>,
    /// Of the logits; 0 is none.
    pub softcap: f32,
    /// f32 `[rows]`: what capped logits are divided by; without it, 1.
    pub temperatures: Option<Slice<'a>>,
    /// Tokens that may not be.
    pub masks: Masks<'a>,
    /// u32 `[rows]`: a token for each row that is likely to be among its best. It spares work and changes no result.
    pub guesses: Option<Slice<'a>>,
}

/// Fills `out`: for each row the statistics of `cap(states · tableᵀ) / temperature`, and the tokens within 10 nats of the
/// best. Nothing of it depends on the order in which blocks run.
///
/// # Errors
/// [`DeviceError::Shape`] and [`DeviceError::Launch`].
pub fn head(device: &Device, job: &HeadJob<'_>, out: &Head) -> Result<(), DeviceError> {
    head_in(device, Product::Auto, job, out)
}

/// [`head`] by a kernel of choice.
///
/// # Errors
/// As [`head`].
pub fn head_in(device: &Device, product: Product, job: &HeadJob<'_>, out: &Head) -> Result<(), DeviceError> {
    check("head", job, out)?;
    begin(device, job, out)?;
    for wanted in [Wanted::Survivors, Wanted::SurvivorsAgain] {
        let tiles = tiles_kernel(device, product, job, (out, wanted))?;
        finish(device, (job.states.rows, tiles), (out, wanted))?;
    }
    Ok(())
}

fn check(op: &'static str, job: &HeadJob<'_>, out: &Head) -> Result<(), DeviceError> {
    let HeadJob { states, table, .. } = *job;
    let rows = states.rows;
    ensure(op, states.cols == table.cols && table.rows == out.vocabulary && rows <= out.rows_max, || {
        let (r, v) = (out.rows_max, out.vocabulary);
        format!("[{rows}, {}] · [{}, {}]ᵀ for {r} rows of {v}", states.cols, table.rows, table.cols)
    })?;
    for (what, list) in [("temperatures", job.temperatures), ("guesses", job.guesses)] {
        list.map_or(Ok(()), |list| ensure_len(op, what, list, rows, 4))?;
    }
    job.masks.check(op, rows, out.vocabulary)
}

/// `out[i] = ln p(ids[i])` for each row of `job` as the head scales and masks it, f32 `[rows]`; the statistics are in `head`
/// then, its survivors are not.
///
/// # Errors
/// As [`head`].
pub fn log_probs(
    device: &Device,
    job: &HeadJob<'_>,
    ids: Slice<'_>,
    (head, out): (&Head, Slice<'_>),
) -> Result<(), DeviceError> {
    const OP: &str = "log_probs";
    let rows = job.states.rows;
    check(OP, job, head)?;
    ensure_len(OP, "ids", ids, rows, 4)?;
    ensure_len(OP, "log-probabilities", out, rows, 4)?;
    let tiles = tiles_kernel(device, Product::Auto, job, (head, Wanted::Statistics))?;
    finish(device, (rows, tiles), (head, Wanted::Statistics))?;
    let mut args = row_args(job);
    args.extend([Arg::Slice(ids), Arg::Slice(head.log_sum_exp.all()), Arg::Slice(out)]);
    device.launch("head_log_probs", [rows as u32, 1, 1], [128, 1, 1], 16, &args)
}

/// What of each row is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Statistics,
    /// Candidates too.
    Survivors,
    /// As above, of the rows alone that had more candidates than there is room for, now that their best is known.
    SurvivorsAgain,
}

impl Wanted {
    fn candidates<'a>(self, buffer: &'a Buffer) -> Arg<'a> {
        optional((self != Self::Statistics).then(|| buffer.all()))
    }

    fn again(self) -> bool {
        self == Self::SurvivorsAgain
    }
}

/// What kernels that take a row at a time read of a job.
fn row_args<'a>(job: &HeadJob<'a>) -> Vec<Arg<'a>> {
    let HeadJob { states, table, .. } = *job;
    let mut args = vec![
        Arg::Slice(states.data),
        Arg::U32(states.dtype.code()),
        Arg::U32(states.stride as u32),
        Arg::Slice(table.data),
        Arg::U32(table.dtype.code()),
        Arg::U32(table.rows as u32),
        Arg::U32(table.cols as u32),
    ];
    args.extend(logit_args(job));
    args
}

/// What makes a logit of a product.
fn logit_args<'a>(job: &HeadJob<'a>) -> [Arg<'a>; 5] {
    let masks = &job.masks;
    [
        Arg::F32(job.softcap),
        optional(job.temperatures),
        optional(masks.banned),
        optional(masks.allowed.map(|m| m.0)),
        optional(masks.allowed.map(|m| m.1)),
    ]
}

/// Forgets candidates, and takes the guesses as lower bounds.
fn begin(device: &Device, job: &HeadJob<'_>, out: &Head) -> Result<(), DeviceError> {
    let mut args = row_args(job);
    args.extend([optional(job.guesses), Arg::Slice(out.tops.all()), Arg::Slice(out.counts.all())]);
    device.launch("head_begin", [job.states.rows as u32, 1, 1], [128, 1, 1], 16, &args)
}

/// Launches the products and their statistics; returns how many tiles a row has.
fn tiles_kernel(
    device: &Device,
    product: Product,
    job: &HeadJob<'_>,
    (out, wanted): (&Head, Wanted),
) -> Result<usize, DeviceError> {
    let HeadJob { states, table, .. } = *job;
    let core = mma::core(device, product, states, table)?;
    let tensor = core != mma::Core::Plain;
    let tile_rows = core.tile_rows(states.rows);
    let tile_cols = if tensor { mma::TILE_COLS } else { TILE };
    let tiles = out.vocabulary.div_ceil(tile_cols);
    let mut args = if tensor {
        vec![Arg::Slice(states.data), Arg::U32(states.stride as u32), Arg::Slice(table.data)]
    } else {
        let (a, w) = (Arg::U32(states.dtype.code()), Arg::U32(table.dtype.code()));
        vec![Arg::Slice(states.data), a, Arg::U32(states.stride as u32), Arg::Slice(table.data), w]
    };
    args.extend([Arg::U32(states.rows as u32), Arg::U32(out.vocabulary as u32), Arg::U32(table.cols as u32)]);
    args.extend(logit_args(job));
    args.extend([
        Arg::Slice(out.shares.all()),
        Arg::U32(tiles as u32),
        Arg::Slice(out.tops.all()),
        Arg::Slice(out.counts.all()),
        wanted.candidates(&out.candidate_ids),
        wanted.candidates(&out.candidate_logits),
        Arg::U32((out.capacity * ROOM) as u32),
        optional(wanted.again().then(|| out.survivors.all())),
    ]);
    let plain = 2 * 16 * 65 * 4 + TILE * TILE * 4;
    let (kernel, shared) = if tensor {
        let small = ["head_32_bf16", "head_32_q8", "head_32_q4"];
        let large = ["head_128_bf16", "head_128_q8", "head_128_q4"];
        let tile = tile_rows * (mma::TILE_COLS + 4) * 4;
        let shared = mma::shared_bytes(tile_rows, table.dtype).max(tile);
        let name = mma::name(tile_rows, table.dtype, small, large);
        (if core == mma::Core::Warpgroups { "head_wgmma" } else { name }, shared)
    } else {
        ("head_plain", plain)
    };
    let columns = u32_of("head", "the number of tiles", tiles)?;
    let grid = [states.rows.div_ceil(tile_rows) as u32, columns, 1];
    device.launch(kernel, grid, [256, 1, 1], shared, &args)?;
    Ok(tiles)
}

fn finish(
    device: &Device,
    (rows, tiles): (usize, usize),
    (out, wanted): (&Head, Wanted),
) -> Result<(), DeviceError> {
    let sort = out.capacity.next_power_of_two();
    let args = [
        Arg::Slice(out.shares.all()),
        Arg::U32(tiles as u32),
        Arg::Slice(out.counts.all()),
        wanted.candidates(&out.candidate_ids),
        wanted.candidates(&out.candidate_logits),
        Arg::U32((out.capacity * ROOM) as u32),
        Arg::U32(out.capacity as u32),
        Arg::U32(sort as u32),
        Arg::U32(u32::from(wanted.again())),
        Arg::Slice(out.argmax.all()),
        Arg::Slice(out.max.all()),
        Arg::Slice(out.log_sum_exp.all()),
        Arg::Slice(out.entropy.all()),
        Arg::Slice(out.survivors.all()),
        Arg::Slice(out.ids.all()),
        Arg::Slice(out.weights.all()),
        Arg::Slice(out.mass.all()),
    ];
    let shared = 256 * 16 + sort * 8 + 16;
    device.launch("head_finish", [rows as u32, 1, 1], [256, 1, 1], shared, &args)
}
