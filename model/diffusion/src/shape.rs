//! Shapes of known models without their weights: for memory plans, and for benches on synthetic weights.

use crate::config::Config;
use crate::error::LoadError;
use crate::shipped;

/// The sizes of google/diffusiongemma-26B-A4B-it.
const SIZES_26B: &[u8] = include_bytes!("shapes/26b.json");

/// A shape by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// DiffusionGemma 26B-A4B.
    Full26b,
    /// The model that ships inside the binary.
    Mini,
}

impl Shape {
    /// Its `config.json`.
    ///
    /// # Errors
    /// Never, unless this build's own files are damaged.
    pub fn config(self) -> Result<Config, LoadError> {
        match self {
            Self::Full26b => Config::parse("shapes/26b.json", SIZES_26B),
            Self::Mini => shipped::source().config(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LayerKind;

    #[test]
    fn the_26b_shape_is_the_released_one() {
        let config = Shape::Full26b.config().unwrap();
        let full: Vec<usize> = config
            .layers
            .iter()
            .enumerate()
            .filter(|(_, layer)| layer.kind == LayerKind::Full)
            .map(|(index, _)| index)
            .collect();
        assert_eq!(full, [5, 11, 17, 23, 29]);
        assert_eq!((config.layers[0].head_dim, config.layers[0].kv_heads), (256, 8));
        assert_eq!((config.layers[29].head_dim, config.layers[29].kv_heads), (512, 2));
        assert!((config.layers[29].rope.rotated_share - 0.25).abs() < 1e-9);
    }
}
