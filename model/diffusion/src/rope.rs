//! Rotary position tables: computed once, grown as longer texts come, shared by every pass.

use crate::config::LayerConfig;
use lacuna_kernels::RopeTables;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

/// Cosines and sines of every position so far, `[positions, pairs]` f32 each.
#[derive(Debug, Default)]
pub(crate) struct Table {
    cos: Vec<f32>,
    sin: Vec<f32>,
    pairs: usize,
}

impl Table {
    /// The rows of `positions`, for the kernel.
    pub(crate) fn rows(&self, positions: Range<usize>) -> RopeTables<'_> {
        let rows = positions.start * self.pairs..positions.end * self.pairs;
        RopeTables { cos: &self.cos[rows.clone()], sin: &self.sin[rows], pairs: self.pairs }
    }

    fn positions(&self) -> usize {
        self.cos.len().checked_div(self.pairs).unwrap_or(usize::MAX)
    }
}

/// The rotary embedding of one kind of layer.
#[derive(Debug)]
pub(crate) struct Rope {
    /// Of the pairs that turn; the others have frequency 0 and are left alone.
    inverse_frequencies: Vec<f32>,
    table: RwLock<Arc<Table>>,
}

impl Rope {
    /// θ^(-2i/head_dim) / factor for the share of pairs that turn (`_compute_proportional_rope_parameters`; with a
    /// share of 1 it is the default rotary embedding).
    pub(crate) fn new(layer: &LayerConfig) -> Self {
        let pairs = (layer.rope.rotated_share * layer.head_dim as f64 / 2.0) as usize;
        let frequency = |pair: usize| {
            let exponent = (2 * pair) as f64 / layer.head_dim as f64;
            (layer.rope.theta.powf(-exponent) / layer.rope.factor) as f32
        };
        let inverse_frequencies: Vec<f32> = (0..pairs.min(layer.head_dim / 2)).map(frequency).collect();
        let table = Table { pairs: inverse_frequencies.len(), ..Table::default() };
        Self { inverse_frequencies, table: RwLock::new(Arc::new(table)) }
    }

    /// A table of at least `positions` rows.
    pub(crate) fn table(&self, positions: usize) -> Arc<Table> {
        let present = Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner));
        if present.positions() >= positions {
            return present;
        }
        // Positions and angles are rounded to f32 as in the reference; growing by halves keeps the cost amortised.
        let wanted = positions.max(present.positions() + present.positions() / 2).max(256);
        let angles = (0..wanted).flat_map(|position| {
            self.inverse_frequencies.iter().map(move |frequency| f64::from(position as f32 * frequency))
        });
        let (cos, sin) = angles.map(|angle| (angle.cos() as f32, angle.sin() as f32)).unzip();
        let table = Arc::new(Table { cos, sin, pairs: self.inverse_frequencies.len() });
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&table);
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LayerKind, RopeConfig};

    fn rope(head_dim: usize, rotated_share: f64) -> Rope {
        let rope = RopeConfig { theta: 1e4, rotated_share, factor: 1.0 };
        Rope::new(&LayerConfig { kind: LayerKind::Full, head_dim, kv_heads: 1, rope })
    }

    #[test]
    fn a_quarter_turns_and_exponents_run_over_the_whole_head() {
        // The reference: int(0.25 · 40 // 2) = 5 of 20 pairs, exponents 2i/40.
        let rope = rope(40, 0.25);
        let expected: Vec<f32> = (0..5).map(|i| 1e4_f64.powf(-f64::from(i) / 20.0) as f32).collect();
        assert_eq!(rope.inverse_frequencies, expected);
    }

    #[test]
    fn a_grown_table_begins_as_the_shorter_one() {
        let rope = rope(8, 1.0);
        let short = rope.table(3);
        let long = rope.table(1000);
        assert_eq!(short.rows(0..3).cos, long.rows(0..3).cos);
        let row = long.rows(999..1000);
        assert!((row.cos[0] - 999.0_f32.cos()).abs() < 1e-6 && (row.sin[0] - 999.0_f32.sin()).abs() < 1e-6);
    }

    #[test]
    fn nothing_turns_when_the_share_is_zero() {
        assert!(rope(8, 0.0).table(100).rows(7..9).cos.is_empty());
    }
}
