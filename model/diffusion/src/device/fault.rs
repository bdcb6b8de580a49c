//! A device's errors, as the engine and the loader report them.

use crate::error::LoadError;
use lacuna_engine::EngineError;
use lacuna_kernels::device::DeviceError;

/// While loading.
pub(crate) fn device_fault(error: &DeviceError) -> LoadError {
    LoadError::Device(error.to_string())
}

/// While running. What the caches count has not changed, and the next request may succeed; but not where the card is lost
/// ([`DeviceError::Lost`]): then every later one gets this answer at once, and an engine loaded anew finds no card.
pub(crate) fn run_fault(error: &DeviceError) -> EngineError {
    if matches!(error, DeviceError::Lost { .. }) {
        return EngineError::Lost(error.to_string());
    }
    EngineError::Compute {
        while_doing: "running the network on the GPU".to_owned(),
        reason: error.to_string(),
    }
}
