//! The small model that ships inside the binary; `model/mini/MODEL_CARD.md` says what it is and is not.

use crate::weights::ModelSource;

const CONFIG: &[u8] = include_bytes!("../../mini/config.json");
const GENERATION_CONFIG: &[u8] = include_bytes!("../../mini/generation_config.json");
const WEIGHTS: &[u8] = include_bytes!("../../mini/model.safetensors");
/// Its `tokenizer.json`.
pub(crate) const TOKENIZER: &[u8] = include_bytes!("../../mini/tokenizer.json");

/// The shipped model as the loader takes it.
pub(crate) fn source() -> ModelSource {
    ModelSource::Embedded { config: CONFIG, generation_config: Some(GENERATION_CONFIG), weights: WEIGHTS }
}
