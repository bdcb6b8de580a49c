//! Weights in 8 or 4 bits a value: blocks of 32 along a row, one f16 scale a block, in two planes.
//!
//! The numbers are those of GGUF's `Q8_0` and `Q4_0`; the layout is not. There a block's scale stands between the values,
//! and every read is misaligned; here all values come first and all scales follow, so that a device copies whole lines of
//! either. Inside a block the values stand in the order in which a tensor core's fragment takes them ([`BlockFormat::place`]),
//! so that one lane reads what it multiplies with one load. Scales are rounded to f16 *before* the values are divided by
//! them, so what is stored is the best that these scales can say.

use half::f16;
use std::fmt;

/// Values that share a scale; they lie side by side in one row.
pub const BLOCK: usize = 32;

/// How a value is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockFormat {
    /// −127…127, one byte: 8.5 bits a value with the scale.
    Q8,
    /// −8…7, half a byte: 4.5 bits a value with the scale.
    Q4,
}

/// Why a weight cannot be stored in blocks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum QuantError {
    /// A row is not made of whole blocks.
    Width {
        /// Values in a row.
        found: usize,
    },
    /// Values and shape disagree.
    Shape {
        /// rows · columns.
        expected: usize,
        /// Values given.
        found: usize,
    },
    /// A value that no f16 scale reaches, or none at all (NaN).
    Range {
        /// Its flat index.
        index: usize,
        /// The value.
        value: f32,
    },
}

impl fmt::Display for QuantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Width { found } => write!(
                f,
                "blocks of {BLOCK} need rows of a multiple of {BLOCK} values, found {found}; use bf16 or f32 weights"
            ),
            Self::Shape { expected, found } => write!(f, "expected {expected} values, found {found}"),
            Self::Range { index, value } => {
                write!(
                    f,
                    "value {index} is {value}, out of what a block with an f16 scale holds; use bf16 or f32 weights"
                )
            }
        }
    }
}

impl std::error::Error for QuantError {}

impl BlockFormat {
    /// Bytes of the values of `count` values.
    #[must_use]
    pub const fn value_bytes(self, count: usize) -> usize {
        match self {
            Self::Q8 => count,
            Self::Q4 => count / 2,
        }
    }

    /// Bytes of both planes of a weight of `count` values in whole blocks.
    #[must_use]
    pub const fn bytes(self, count: usize) -> usize {
        self.value_bytes(count) + count / BLOCK * size_of::<f16>()
    }

    /// The largest magnitude is this many scales.
    const fn steps(self) -> f32 {
        match self {
            Self::Q8 => 127.0,
            Self::Q4 => 8.0,
        }
    }

    /// Where element `e` of a block stands: its byte, and by how many bits it is shifted there.
    ///
    /// With e = 8i + 2t + j (i, t in 0..4, j in 0..2) lane t of a quad needs all i and j at once: `Q8` puts them into the
    /// eight bytes from 8t on, `Q4` into the four from 4t on. In those, byte and nibble order are what lets two values be
    /// widened to a pair of 16-bit floats with one mask.
    #[must_use]
    pub const fn place(self, e: usize) -> (usize, u32) {
        let (i, t, j) = (e / 8, e / 2 % 4, e % 2);
        match self {
            Self::Q8 => (8 * t + 4 * (i / 2) + i % 2 + 2 * j, 0),
            Self::Q4 => (4 * t + 2 * j + i / 2, 4 * (i % 2) as u32),
        }
    }

    /// Stores the blocks of `values` (whole rows of `columns`): their bytes to `quants` and their scales, two
    /// little-endian bytes each, to `scales`. For weights that are streamed row by row; [`Blocks::quantize`] is the rest.
    ///
    /// # Errors
    /// [`QuantError`]; nothing useful is written then.
    pub fn quantize_rows(
        self,
        values: &[f32],
        columns: usize,
        quants: &mut [u8],
        scales: &mut [u8],
    ) -> Result<(), QuantError> {
        if columns == 0 || !columns.is_multiple_of(BLOCK) {
            return Err(QuantError::Width { found: columns });
        }
        if !values.len().is_multiple_of(columns)
            || quants.len() + scales.len() != self.bytes(values.len())
            || quants.len() != self.value_bytes(values.len())
        {
            let expected = values.len().next_multiple_of(columns);
            return Err(QuantError::Shape { expected, found: values.len() });
        }
        let width = self.value_bytes(BLOCK);
        let blocks = values.as_chunks::<BLOCK>().0.iter();
        let out = quants.chunks_exact_mut(width).zip(scales.as_chunks_mut::<2>().0);
        for (index, (block, (quants, scale))) in blocks.zip(out).enumerate() {
            let chosen = self
                .scale(block)
                .map_err(|place| QuantError::Range { index: index * BLOCK + place, value: block[place] })?;
            *scale = chosen.to_le_bytes();
            self.store(block, chosen.to_f32(), quants);
        }
        Ok(())
    }

    /// The scale of a block, or which of its values cannot be scaled.
    fn scale(self, block: &[f32; BLOCK]) -> Result<f16, usize> {
        // Without their signs floats order as their bits do, and what is not finite is above all others.
        let size = |value: &f32| (value.to_bits() & 0x7fff_ffff).cast_signed();
        let top = block.iter().fold(0, |top, value| size(value).max(top));
        let first = |wanted: i32| block.iter().position(|value| size(value) >= wanted).unwrap_or(0);
        let infinite = size(&f32::INFINITY);
        if top >= infinite {
            return Err(first(infinite));
        }
        let scale = match self {
            Self::Q8 => f32::from_bits(top.cast_unsigned()) / self.steps(),
            // There is one value more below zero than above: the largest goes there, whatever its sign.
            Self::Q4 => -block[first(top)] / self.steps(),
        };
        let scale = f16::from_f32(scale);
        if scale.is_finite() { Ok(scale) } else { Err(first(top)) }
    }

    fn store(self, block: &[f32; BLOCK], scale: f32, quants: &mut [u8]) {
        let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
        let (least, most) = if self == Self::Q8 { (-127.0, 127.0) } else { (-8.0, 7.0) };
        // All at once first: that is arithmetic on whole vectors, and placing is not. Halves go away from zero; `round` and
        // `trunc` would be calls on processors as old as programs are built for.
        let mut steps = [0; BLOCK];
        for (to, value) in steps.iter_mut().zip(block) {
            let step = (value * inverse).clamp(least - 0.25, most + 0.25);
            let whole = step as i32;
            let rest = step - whole as f32;
            *to = whole + i32::from(rest >= 0.5) - i32::from(rest <= -0.5);
        }
        let bytes = match self {
            Self::Q8 => Self::Q8.packed(&steps),
            Self::Q4 => Self::Q4.packed(&steps),
        };
        quants.copy_from_slice(&bytes[..quants.len()]);
    }

    /// A block's bytes, from the front; of a constant format, so that every place is one too.
    #[inline(always)]
    fn packed(self, steps: &[i32; BLOCK]) -> [u8; BLOCK] {
        let mut bytes = [0; BLOCK];
        for (e, &step) in steps.iter().enumerate() {
            let (byte, shift) = self.place(e);
            let bits = if self == Self::Q8 { step } else { step + 8 };
            bytes[byte] |= (bits as u8) << shift;
        }
        bytes
    }

    /// Element `e` of a block with these bytes and this scale.
    fn value(self, quants: &[u8], scale: f32, e: usize) -> f32 {
        let (byte, shift) = self.place(e);
        match self {
            Self::Q8 => f32::from(quants[byte].cast_signed()) * scale,
            Self::Q4 => (f32::from(quants[byte] >> shift & 15) - 8.0) * scale,
        }
    }
}

/// A weight in blocks.
#[derive(Clone, Debug, PartialEq)]
pub struct Blocks {
    format: BlockFormat,
    rows: usize,
    columns: usize,
    /// Values of all blocks, then the scales of all blocks.
    bytes: Vec<u8>,
}

impl Blocks {
    /// Stores `values`, `[rows, columns]` row-major.
    ///
    /// # Errors
    /// [`QuantError`]: columns that are no multiple of [`BLOCK`], a shape that is not the values', a value out of range.
    pub fn quantize(
        format: BlockFormat,
        values: &[f32],
        rows: usize,
        columns: usize,
    ) -> Result<Self, QuantError> {
        if values.len() != rows * columns {
            return Err(QuantError::Shape { expected: rows * columns, found: values.len() });
        }
        let mut bytes = vec![0; format.bytes(values.len())];
        let (quants, scales) = bytes.split_at_mut(format.value_bytes(values.len()));
        format.quantize_rows(values, columns, quants, scales)?;
        Ok(Self { format, rows, columns, bytes })
    }

    /// Both planes, as a device holds them: all values, then all scales.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Rows and columns.
    #[must_use]
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    /// How values are stored.
    #[must_use]
    pub fn format(&self) -> BlockFormat {
        self.format
    }

    /// The stored values, `[rows, columns]`.
    #[must_use]
    pub fn dequantize(&self) -> Vec<f32> {
        let (quants, scales) = self.bytes.split_at(self.format.value_bytes(self.rows * self.columns));
        let blocks = quants.chunks_exact(self.format.value_bytes(BLOCK)).zip(scales.as_chunks::<2>().0);
        let block = |(quants, scale): (&[u8], &[u8; 2])| {
            let scale = f16::from_le_bytes(*scale).to_f32();
            std::array::from_fn::<f32, BLOCK, _>(|e| self.format.value(quants, scale, e))
        };
        blocks.flat_map(block).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of several magnitudes and both signs, from a linear congruential generator.
    fn values(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(state) / f64::from(u32::MAX) * 2.0 - 1.0
        };
        (0..count).map(|i| (next() * 10_f64.powi((i / BLOCK % 5) as i32 - 3)) as f32).collect()
    }

    /// |error| ≤ half a step, and at the far end of `Q4`, where seven steps must serve for eight, one step.
    #[test]
    fn the_error_is_half_a_step_at_most() {
        let original = values(64 * 96, 7);
        for (format, worst) in [(BlockFormat::Q8, 0.5), (BlockFormat::Q4, 1.0)] {
            let stored = Blocks::quantize(format, &original, 64, 96).unwrap().dequantize();
            for (block, found) in original.as_chunks::<BLOCK>().0.iter().zip(stored.as_chunks::<BLOCK>().0) {
                let most = block.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
                let step = most / format.steps() * 1.001; // the scale itself is rounded, by 2^-11 at most
                for (x, y) in block.iter().zip(found) {
                    // The clamp at 127 may cost what the scale's own rounding took: 127 · 2^-11 of a step.
                    assert!(
                        (x - y).abs() <= step * (worst + 0.063),
                        "{format:?}: {x} became {y}, step {step}"
                    );
                }
            }
        }
    }

    #[test]
    fn four_bits_are_nearer_than_a_step_on_average_by_far() {
        let original = values(1 << 14, 3);
        let error = |format| {
            let stored = Blocks::quantize(format, &original, 1, 1 << 14).unwrap().dequantize();
            let squares =
                |values: &mut dyn Iterator<Item = f32>| values.map(|x| f64::from(x).powi(2)).sum::<f64>();
            let error = squares(&mut original.iter().zip(&stored).map(|(x, y)| x - y));
            (error / squares(&mut original.iter().copied())).sqrt()
        };
        // Uniform values: a step of 1/127 or 1/8 of the maximum, so 1/(127·√12) and 1/(8·√12) of it over 1/√3.
        assert!((0.003..0.006).contains(&error(BlockFormat::Q8)), "{}", error(BlockFormat::Q8));
        assert!((0.04..0.09).contains(&error(BlockFormat::Q4)), "{}", error(BlockFormat::Q4));
    }

    #[test]
    fn what_the_format_can_say_comes_back_exactly() {
        let scale = f16::from_f32(0.013).to_f32();
        let eight: Vec<f32> = (0..BLOCK as i32).map(|i| (i * 8 - 127).min(127) as f32 * scale).collect();
        let blocks = Blocks::quantize(BlockFormat::Q8, &eight, 1, BLOCK).unwrap();
        assert_eq!(blocks.dequantize(), eight);
        let four: Vec<f32> = (0..BLOCK as i32).map(|i| (i % 16 - 8) as f32 * scale).collect();
        let blocks = Blocks::quantize(BlockFormat::Q4, &four, 1, BLOCK).unwrap();
        assert_eq!(blocks.dequantize(), four);
        let again = Blocks::quantize(BlockFormat::Q4, &blocks.dequantize(), 1, BLOCK).unwrap();
        assert_eq!(again, blocks, "quantising what was stored changes nothing");
        assert_eq!(Blocks::quantize(BlockFormat::Q8, &[0.0; 64], 2, 32).unwrap().dequantize(), [0.0; 64]);
    }

    /// Against `f32::round`, of which halves are the edge.
    #[test]
    fn steps_are_rounded_and_halves_go_away_from_zero() {
        for (format, scale, (first, least, most)) in
            [(BlockFormat::Q8, 0.25_f32, (127.0, -127.0, 127.0)), (BlockFormat::Q4, -0.25, (-8.0, -8.0, 7.0))]
        {
            for block in 0..8 {
                // The first one sets the scale, the others are halves and what lies right below and above them.
                let half = |e: usize| (block * 31 + e) as f32 / 2.0 - 60.0;
                let near = |e: usize| [half(e).next_down(), half(e), half(e).next_up()][e % 3] % 8.0;
                let steps: Vec<f32> = (0..BLOCK).map(|e| if e == 0 { first } else { near(e) }).collect();
                let values: Vec<f32> = steps.iter().map(|step| step * scale).collect();
                let found = Blocks::quantize(format, &values, 1, BLOCK).unwrap().dequantize();
                for (found, step) in found.iter().zip(&steps) {
                    assert_eq!(found / scale, step.round().clamp(least, most), "{format:?}: {step}");
                }
            }
        }
    }

    #[test]
    fn every_element_has_a_place_of_its_own() {
        for (format, bytes, bits) in [(BlockFormat::Q8, 32, 8), (BlockFormat::Q4, 16, 4)] {
            let mut taken = vec![0_u8; bytes];
            for e in 0..BLOCK {
                let (byte, shift) = format.place(e);
                let mask = (u8::MAX >> (8 - bits)) << shift;
                assert_eq!(taken[byte] & mask, 0, "{format:?} element {e}");
                taken[byte] |= mask;
            }
            assert!(taken.iter().all(|&byte| byte == u8::MAX));
        }
        // By hand: 25 = 8·3 + 2·0 + 1.
        assert_eq!((BlockFormat::Q8.place(25), BlockFormat::Q4.place(25)), ((7, 0), (3, 4)));
    }

    /// Two blocks by hand: where values and scales stand in the planes.
    #[test]
    fn all_values_come_before_all_scales() {
        let mut row = [0.0_f32; 2 * BLOCK];
        (row[0], row[1], row[8]) = (-8.0, 7.0, 3.0);
        row[BLOCK] = 16.0;
        let four = Blocks::quantize(BlockFormat::Q4, &row, 1, 2 * BLOCK).unwrap();
        assert_eq!(four.bytes().len(), 2 * 16 + 2 * 2);
        assert_eq!((four.bytes()[0], four.bytes()[2]), (0xB0, 0x8F), "elements 0, 8 and 1, 9");
        assert_eq!(four.bytes()[16] & 15, 0, "the largest value of a block is -8 steps, whatever its sign");
        let scale = |at: usize| f16::from_le_bytes([four.bytes()[at], four.bytes()[at + 1]]).to_f32();
        assert_eq!((scale(32), scale(34)), (1.0, -2.0));
        let eight = Blocks::quantize(BlockFormat::Q8, &row, 1, 2 * BLOCK).unwrap();
        assert_eq!((eight.bytes()[0], eight.bytes()[BLOCK]), ((-127_i8).cast_unsigned(), 127));
        assert_eq!(eight.bytes().len(), BlockFormat::Q8.bytes(64));
    }

    #[test]
    fn rows_that_are_no_blocks_are_refused_with_the_numbers() {
        let error = Blocks::quantize(BlockFormat::Q8, &[0.0; 96], 2, 48).unwrap_err();
        assert_eq!(
            error.to_string(),
            "blocks of 32 need rows of a multiple of 32 values, found 48; use bf16 or f32 weights"
        );
        let error = Blocks::quantize(BlockFormat::Q4, &[0.0; 96], 2, 32).unwrap_err();
        assert_eq!(error.to_string(), "expected 64 values, found 96");
        assert!(Blocks::quantize(BlockFormat::Q4, &[], 0, 0).is_err());
    }

    #[test]
    fn what_no_scale_reaches_is_refused_with_its_place() {
        for bad in [f32::NAN, f32::INFINITY, 1e30] {
            let mut row = [1.0_f32; 64];
            row[40] = bad;
            let error = Blocks::quantize(BlockFormat::Q4, &row, 1, 64).unwrap_err();
            assert!(error.to_string().starts_with(&format!("value 40 is {bad}")), "{error}");
        }
        let tiny = Blocks::quantize(BlockFormat::Q8, &[1e-30; 32], 1, 32).unwrap();
        assert_eq!(tiny.dequantize(), [0.0; 32], "below every scale is zero");
    }
}
