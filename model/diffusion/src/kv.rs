//! Keys and values of what the encoder has read: grown at the end, rolled back from the end, bounded.

use crate::config::Config;
use lacuna_engine::EngineError;

/// One layer's keys and values, `[positions, kv_heads, head_dim]` f32 each.
#[derive(Clone, Debug, Default)]
struct LayerCache {
    k: Vec<f32>,
    v: Vec<f32>,
    /// kv_heads · head_dim
    width: usize,
}

/// Keys and values of every layer over the positions `0..len`.
///
/// Sliding layers keep all positions too, so that rolling back never needs a second read. Growth is amortised
/// (doubling); the bound is in positions, and [`KvCache::bytes_max`] says what it means in bytes.
#[derive(Clone, Debug)]
pub struct KvCache {
    layers: Vec<LayerCache>,
    len: usize,
    positions_max: usize,
}

impl KvCache {
    /// An empty cache for as many positions as the model was built for.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self::bounded(config, config.positions_max)
    }

    /// An empty cache that refuses to grow beyond `positions_max`.
    #[must_use]
    pub fn bounded(config: &Config, positions_max: usize) -> Self {
        let layer = |width| LayerCache { width, ..LayerCache::default() };
        let layers = config.layers.iter().map(|l| layer(l.kv_heads * l.head_dim)).collect();
        Self { layers, len: 0, positions_max }
    }

    /// Positions it may hold.
    #[must_use]
    pub fn positions_max(&self) -> usize {
        self.positions_max
    }

    /// Bytes that one position takes in the caches of all layers of a model.
    #[must_use]
    pub fn bytes_per_position(config: &Config) -> usize {
        config.layers.iter().map(|l| l.kv_heads * l.head_dim * 2 * size_of::<f32>()).sum()
    }

    /// Positions held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
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
        self.layers.iter().map(|layer| (layer.k.capacity() + layer.v.capacity()) * size_of::<f32>()).sum()
    }

    /// Bytes of the keys and values at the bound (doubling may hold up to twice as much for a moment).
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        let width: usize = self.layers.iter().map(|layer| layer.width).sum();
        self.positions_max.saturating_mul(width).saturating_mul(2 * size_of::<f32>())
    }

    /// Keys and values of one layer, `[len, kv_heads, head_dim]` each.
    pub(crate) fn layer(&self, index: usize) -> (&[f32], &[f32]) {
        let layer = &self.layers[index];
        let end = self.len * layer.width;
        (&layer.k[..end], &layer.v[..end])
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
