//! Keys and values on a device, and the rotary tables that go with their positions.

use crate::config::Config;
use crate::net::ropes;
use crate::plan::WeightFormat;
use lacuna_kernels::device::ops::{Dtype, Rows};
use lacuna_kernels::device::{Buffer, Device, DeviceError, Slice};

/// One layer's keys and values, `[positions, kv_heads · head_dim]` each.
#[derive(Debug)]
struct LayerCache {
    k: Buffer,
    v: Buffer,
    width: usize,
}

/// Keys and values of every layer for a fixed number of positions. What counts of them is the network's to say: writing
/// beyond that harms nobody, so a pass that fails leaves the cache as it was. Sliding layers keep all positions too, so that
/// rolling back never needs a second read.
#[derive(Debug)]
pub(crate) struct Cache {
    layers: Vec<LayerCache>,
    dtype: Dtype,
    positions: usize,
}

impl Cache {
    pub(crate) fn new(
        device: &Device,
        config: &Config,
        format: WeightFormat,
        positions: usize,
    ) -> Result<Self, DeviceError> {
        let size = format.activation_bytes();
        let layer = |width: usize| {
            let alloc = || device.alloc(positions * width * size);
            Ok(LayerCache { k: alloc()?, v: alloc()?, width })
        };
        let layers =
            config.layers.iter().map(|l| layer(l.kv_heads * l.head_dim)).collect::<Result<_, _>>()?;
        Ok(Self { layers, dtype: if size == 4 { Dtype::F32 } else { Dtype::Bf16 }, positions })
    }

    /// Positions it has room for.
    pub(crate) fn positions(&self) -> usize {
        self.positions
    }

    /// Keys and values of layer `index` at `count` positions from `first` on.
    pub(crate) fn rows(
        &self,
        index: usize,
        first: usize,
        count: usize,
    ) -> Result<(Rows<'_>, Rows<'_>), DeviceError> {
        let LayerCache { k, v, width } = &self.layers[index];
        let at = |buffer| Rows::new(buffer, self.dtype, self.positions, *width)?.span(first, count);
        Ok((at(k)?, at(v)?))
    }
}

/// Cosines and sines of all positions, one pair of tables for every kind of layer.
#[derive(Debug)]
pub(crate) struct Ropes {
    tables: Vec<(Buffer, Buffer, usize)>,
    of_layer: Vec<usize>,
}

impl Ropes {
    /// For `positions` positions.
    pub(crate) fn new(device: &Device, config: &Config, positions: usize) -> Result<Self, DeviceError> {
        let (ropes, of_layer) = ropes(config);
        let upload = |values: &[f32]| {
            // Where nothing turns there is no table, but there is a pointer.
            if values.is_empty() { device.buffer_of(&[0.0_f32]) } else { device.buffer_of(values) }
        };
        let table = |rope: &crate::rope::Rope| {
            let table = rope.table(positions);
            let rows = table.rows(0..positions);
            Ok((upload(rows.cos)?, upload(rows.sin)?, rows.pairs))
        };
        Ok(Self { tables: ropes.iter().map(table).collect::<Result<_, _>>()?, of_layer })
    }

    /// Cosines, sines and pairs of layer `index`.
    pub(crate) fn of(&self, index: usize) -> ((Slice<'_>, Slice<'_>), usize) {
        let (cos, sin, pairs) = &self.tables[self.of_layer[index]];
        ((cos.all(), sin.all()), *pairs)
    }
}
