//! Time spent on the device between marks, by label.

use std::sync::{Mutex, PoisonError};
#[cfg(feature = "emulated")]
use std::time::Instant;

use super::backend::Backend;
use super::{Device, DeviceError};

/// One label's share.
#[derive(Clone, Debug, PartialEq)]
pub struct Timing {
    /// As given to [`Device::mark`].
    pub label: &'static str,
    /// Milliseconds of device time (wall time when emulated), all spans of this label together.
    pub ms: f64,
    /// How many spans.
    pub spans: usize,
}

/// A moment in the stream.
enum Moment {
    #[cfg(feature = "cuda")]
    Event(super::cuda::Event),
    #[cfg(feature = "emulated")]
    Wall(Instant),
}

#[derive(Default)]
pub(super) struct Recorder {
    marks: Mutex<Option<Vec<(&'static str, Moment)>>>,
}

impl Device {
    /// From now on [`Device::mark`] counts. Not during a capture.
    pub fn timing_start(&self) {
        *self.marks() = Some(Vec::new());
    }

    /// What is launched from here to the next mark belongs to `label`. Costs nothing while no timing was started.
    ///
    /// # Errors
    /// The driver's.
    pub fn mark(&self, label: &'static str) -> Result<(), DeviceError> {
        let mut marks = self.marks();
        if let Some(marks) = marks.as_mut() {
            marks.push((label, self.moment()?));
        }
        Ok(())
    }

    /// Ends the timing and adds up the spans between marks, labels in order of appearance.
    ///
    /// # Errors
    /// The driver's.
    pub fn timing_stop(&self) -> Result<Vec<Timing>, DeviceError> {
        self.mark("")?;
        self.synchronize()?;
        let marks = self.marks().take().unwrap_or_default();
        let mut timings: Vec<Timing> = Vec::new();
        for pair in marks.windows(2) {
            let [(label, from), (_, to)] = pair else { continue };
            let ms = milliseconds(from, to)?;
            match timings.iter_mut().find(|t| t.label == *label) {
                Some(timing) => {
                    timing.ms += ms;
                    timing.spans += 1;
                }
                None => timings.push(Timing { label, ms, spans: 1 }),
            }
        }
        Ok(timings)
    }

    fn marks(&self) -> std::sync::MutexGuard<'_, Option<Vec<(&'static str, Moment)>>> {
        self.inner.timing.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn moment(&self) -> Result<Moment, DeviceError> {
        self.run(|backend| match backend {
            #[cfg(feature = "cuda")]
            Backend::Cuda(card) => Ok(Moment::Event(card.event()?)),
            #[cfg(feature = "emulated")]
            Backend::Emulated(_) => Ok(Moment::Wall(Instant::now())),
        })
    }
}

fn milliseconds(from: &Moment, to: &Moment) -> Result<f64, DeviceError> {
    match (from, to) {
        #[cfg(feature = "cuda")]
        (Moment::Event(from), Moment::Event(to)) => from.milliseconds_to(to),
        #[cfg(feature = "emulated")]
        (Moment::Wall(from), Moment::Wall(to)) => Ok((*to - *from).as_secs_f64() * 1e3),
        #[cfg(all(feature = "cuda", feature = "emulated"))]
        _ => Ok(0.0),
    }
}
