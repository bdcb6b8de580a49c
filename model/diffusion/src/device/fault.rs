//! A device's errors, as the engine and the loader report them.

use crate::error::LoadError;
use lacuna_engine::EngineError;
use lacuna_kernels::device::DeviceError;

/// While loading.
pub(crate) fn device_fault(error: &DeviceError) -> LoadError {
    LoadError::Device(error.to_string())
}

/// While running. The engine stays usable: what the caches count has not changed.
pub(crate) fn run_fault(error: &DeviceError) -> EngineError {
    EngineError::Compute {
        while_doing: "running the network on the GPU".to_owned(),
        reason: error.to_string(),
    }
}
