//! Sequences of launches, recorded once and replayed.

use super::backend::Backend;
use super::{Device, DeviceError};

/// A recorded sequence of launches, copies and zeroings. It keeps the buffers it uses alive; their contents are read and
/// written anew on every replay.
#[derive(Debug)]
pub struct Graph {
    // Dropped first: the device may go with it.
    kind: Kind,
    device: Device,
}

#[derive(Debug)]
enum Kind {
    #[cfg(feature = "cuda")]
    Cuda(super::cuda::Recorded),
    #[cfg(feature = "emulated")]
    Emulated(super::emulated::Recorded),
}

impl Device {
    /// Records what `f` launches instead of running it. `f` must not allocate, upload, download or synchronise.
    ///
    /// # Errors
    /// What `f` returns, [`DeviceError::Capturing`], and the driver's. The device stays usable.
    pub fn capture(&self, f: impl FnOnce() -> Result<(), DeviceError>) -> Result<Graph, DeviceError> {
        let kind = self.run(|backend| {
            Ok(match backend {
                #[cfg(feature = "cuda")]
                Backend::Cuda(card) => Kind::Cuda(card.capture(f)?),
                #[cfg(feature = "emulated")]
                Backend::Emulated(card) => Kind::Emulated(card.capture(f)?),
            })
        })?;
        Ok(Graph { kind, device: self.clone() })
    }
}

impl Device {
    /// Launches what `side` and `main` launch. Where that is being recorded neither waits for the other when it is replayed,
    /// and what comes later waits for both: neither may write what the other reads or writes. Outside of a recording `side`
    /// comes first. Not to be nested.
    ///
    /// # Errors
    /// What `side` or `main` returns, and the driver's.
    pub fn beside(
        &self,
        side: impl FnOnce() -> Result<(), DeviceError>,
        main: impl FnOnce() -> Result<(), DeviceError>,
    ) -> Result<(), DeviceError> {
        self.run(|backend| match backend {
            #[cfg(feature = "cuda")]
            Backend::Cuda(card) => card.beside(side, main),
            #[cfg(feature = "emulated")]
            Backend::Emulated(card) => card.beside(side, main),
        })
    }
}

impl Graph {
    /// Launches the whole sequence once more.
    ///
    /// # Errors
    /// The driver's.
    pub fn replay(&self) -> Result<(), DeviceError> {
        self.device.run(|backend| match (&self.kind, backend) {
            #[cfg(feature = "cuda")]
            (Kind::Cuda(recorded), Backend::Cuda(card)) => card.replay(recorded),
            #[cfg(feature = "emulated")]
            (Kind::Emulated(recorded), Backend::Emulated(card)) => card.replay(recorded),
            #[cfg(all(feature = "cuda", feature = "emulated"))]
            _ => unreachable!("a graph stays with the backend that recorded it"),
        })
    }
}
