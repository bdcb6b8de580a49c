//! Keys and values of what the encoder has read: grown at the end, rolled back from the end, bounded.

use crate::config::{Config, LayerConfig};
use lacuna_engine::EngineError;
use lacuna_kernels::{Precision, PrefixPanels};
use std::ops::Range;

/// One layer's keys and values, `[positions, kv_heads, head_dim]` f32 each.
#[derive(Clone, Debug)]
struct LayerCache {
    k: Vec<f32>,
    v: Vec<f32>,
    /// kv_heads · head_dim
    width: usize,
    /// The same once more, as attention multiplies them: every pass reads them, few change them.
    panels: PrefixPanels,
}

/// One layer's part of the cache, for attention.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prefix<'a> {
    /// `[len, kv_heads, head_dim]`.
    pub k: &'a [f32],
    /// `[len, kv_heads, head_dim]`.
    pub v: &'a [f32],
    /// At least the whole blocks of both.
    pub panels: &'a PrefixPanels,
}

/// Keys and values of every layer over the positions `0..len`.
///
/// Sliding layers keep all positions too, so that rolling back never needs a second read. Growth is amortised
/// (doubling); the bound is in positions, and [`KvCache::bytes_per_position`] says what one means in bytes.
#[derive(Clone, Debug)]
pub struct KvCache {
    layers: Vec<LayerCache>,
    len: usize,
    positions_max: usize,
}

impl KvCache {
    /// An empty cache for as many positions as the model was built for, multiplied in `precision`.
    #[must_use]
    pub fn new(config: &Config, precision: Precision) -> Self {
        Self::bounded(config, precision, config.positions_max)
    }

    /// An empty cache that refuses to grow beyond `positions_max`.
    #[must_use]
    pub fn bounded(config: &Config, precision: Precision, positions_max: usize) -> Self {
        let layer = |l: &LayerConfig| LayerCache {
            k: Vec::new(),
            v: Vec::new(),
            width: l.kv_heads * l.head_dim,
            panels: PrefixPanels::new(l.kv_heads, l.head_dim, precision),
        };
        Self { layers: config.layers.iter().map(layer).collect(), len: 0, positions_max }
    }

    /// Positions it may hold.
    #[must_use]
    pub fn positions_max(&self) -> usize {
        self.positions_max
    }

    /// Bytes that one position takes in the caches of all layers of a model.
    #[must_use]
    pub fn bytes_per_position(config: &Config, precision: Precision) -> usize {
        let layer = |l: &LayerConfig| {
            2 * l.kv_heads * l.head_dim * size_of::<f32>()
                + PrefixPanels::bytes_per_position(l.kv_heads, l.head_dim, precision)
        };
        config.layers.iter().map(layer).sum()
    }

    /// Positions held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The positions of the next `count` tokens.
    pub(crate) fn next(&self, count: usize) -> Range<usize> {
        self.len..self.len + count
    }

    /// Whether nothing has been read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Forgets every position from `len` on; a no-op where there are fewer. Memory is kept for the next growth.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
        for layer in &mut self.layers {
            layer.k.truncate(self.len * layer.width);
            layer.v.truncate(self.len * layer.width);
            layer.panels.truncate(self.len);
        }
    }

    /// Hides every position from `len` on; answers how many were held, for [`KvCache::unhide`]. Nothing may be appended
    /// in between.
    pub(crate) fn hide(&mut self, len: usize) -> usize {
        let held = self.len;
        self.len = held.min(len);
        held
    }

    /// Shows again what [`KvCache::hide`] hid.
    pub(crate) fn unhide(&mut self, held: usize) {
        self.len = held;
    }

    /// Bytes allocated now.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let floats = |layer: &LayerCache| (layer.k.capacity() + layer.v.capacity()) * size_of::<f32>();
        self.layers.iter().map(|layer| floats(layer) + layer.panels.bytes()).sum()
    }

    /// Keys and values of one layer.
    pub(crate) fn layer(&self, index: usize) -> Prefix<'_> {
        let layer = &self.layers[index];
        let end = self.len * layer.width;
        Prefix { k: &layer.k[..end], v: &layer.v[..end], panels: &layer.panels }
    }

    /// Writes what one layer made of the next positions; they count once [`KvCache::commit`] is called.
    pub(crate) fn append(&mut self, index: usize, k: &[f32], v: &[f32]) {
        let layer = &mut self.layers[index];
        layer.k.truncate(self.len * layer.width);
        layer.v.truncate(self.len * layer.width);
        layer.k.extend_from_slice(k);
        layer.v.extend_from_slice(v);
    }

    /// Makes `count` appended positions count.
    pub(crate) fn commit(&mut self, count: usize) {
        self.len += count;
        for layer in &mut self.layers {
            layer.panels.extend(&layer.k, &layer.v);
        }
    }

    /// Refuses growth beyond the bound.
    pub(crate) fn check_room(&self, count: usize) -> Result<(), EngineError> {
        if count <= self.positions_max.saturating_sub(self.len) {
            return Ok(());
        }
        Err(EngineError::InvalidRequest(format!(
            "the prompt must be at most {} tokens, found {}",
            self.positions_max,
            self.len.saturating_add(count)
        )))
    }
}
