//! The two backends behind one set of calls.

use super::{Buffer, DeviceError, Launch, Slice};

#[allow(clippy::large_enum_variant, reason = "there is one of it for each card")]
pub(super) enum Backend {
    #[cfg(feature = "cuda")]
    Cuda(super::cuda::Card),
    #[cfg(feature = "emulated")]
    Emulated(super::emulated::Card),
}

/// Calls the same method of whichever backend it is.
macro_rules! either {
    ($self:ident, $card:ident => $call:expr) => {
        match $self {
            #[cfg(feature = "cuda")]
            Backend::Cuda($card) => $call,
            #[cfg(feature = "emulated")]
            Backend::Emulated($card) => $call,
        }
    };
}

impl Backend {
    pub(super) fn memory_free(&self) -> Result<usize, DeviceError> {
        either!(self, card => card.memory_free())
    }

    pub(super) fn alloc(&self, bytes: usize) -> Result<u64, DeviceError> {
        either!(self, card => card.alloc(bytes))
    }

    pub(super) fn release(&self, address: u64, bytes: usize) {
        either!(self, card => card.release(address, bytes));
    }

    pub(super) fn upload(&self, to: u64, bytes: &[u8]) -> Result<(), DeviceError> {
        either!(self, card => card.upload(to, bytes))
    }

    pub(super) fn download(&self, from: u64, into: &mut [u8]) -> Result<(), DeviceError> {
        either!(self, card => card.download(from, into))
    }

    pub(super) fn zero(&self, buffer: &Buffer, at: usize, bytes: usize) -> Result<(), DeviceError> {
        either!(self, card => card.zero(buffer, at, bytes))
    }

    pub(super) fn copy(&self, from: Slice<'_>, to: Slice<'_>) -> Result<(), DeviceError> {
        either!(self, card => card.copy(from, to))
    }

    pub(super) fn launch(&self, launch: Launch) -> Result<(), DeviceError> {
        either!(self, card => card.launch(launch))
    }

    pub(super) fn synchronize(&self) -> Result<(), DeviceError> {
        either!(self, card => card.synchronize())
    }
}
