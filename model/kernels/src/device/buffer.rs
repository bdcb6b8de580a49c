//! Memory of a device, and views into it.

use std::sync::Arc;

use super::{Device, DeviceError};

/// A number that a buffer may hold: any bit pattern is a value, and it has no padding.
///
/// # Safety
/// Implemented for plain numbers only.
pub unsafe trait Pod: Copy + Default + 'static {}
// SAFETY: plain numbers.
unsafe impl Pod for u8 {}
// SAFETY: plain numbers.
unsafe impl Pod for i8 {}
// SAFETY: plain numbers.
unsafe impl Pod for u16 {}
// SAFETY: plain numbers.
unsafe impl Pod for u32 {}
// SAFETY: plain numbers.
unsafe impl Pod for i32 {}
// SAFETY: plain numbers.
unsafe impl Pod for u64 {}
// SAFETY: plain numbers.
unsafe impl Pod for f32 {}
// SAFETY: a transparent u16.
unsafe impl Pod for half::bf16 {}
// SAFETY: a transparent u16.
unsafe impl Pod for half::f16 {}

/// The bytes of a slice of numbers.
#[must_use]
pub fn bytes_of<T: Pod>(values: &[T]) -> &[u8] {
    // SAFETY: `T` has no padding; lifetime and length are the slice's.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

/// Memory on a device; freed when the last clone is dropped. Always aligned to 256 bytes.
#[derive(Clone, Debug)]
pub struct Buffer {
    pub(super) inner: Arc<Allocation>,
}

/// One allocation and where it came from.
#[derive(Debug)]
pub(super) struct Allocation {
    pub device: Device,
    /// Device address (of the host, when emulated).
    pub address: u64,
    pub bytes: usize,
}

impl Drop for Allocation {
    fn drop(&mut self) {
        self.device.release(self.address, self.bytes);
    }
}

impl Buffer {
    /// Size in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.bytes
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.inner.bytes == 0
    }

    /// The device it lies on.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.inner.device
    }

    /// All of it.
    #[must_use]
    pub fn all(&self) -> Slice<'_> {
        Slice { buffer: self, offset: 0, bytes: self.len() }
    }

    /// From byte `offset` to the end.
    ///
    /// # Errors
    /// [`DeviceError::OutOfBounds`].
    pub fn from(&self, offset: usize) -> Result<Slice<'_>, DeviceError> {
        self.slice(offset, self.len().saturating_sub(offset))
    }

    /// `bytes` bytes from byte `offset`.
    ///
    /// # Errors
    /// [`DeviceError::OutOfBounds`].
    pub fn slice(&self, offset: usize, bytes: usize) -> Result<Slice<'_>, DeviceError> {
        self.check(offset, bytes)?;
        Ok(Slice { buffer: self, offset, bytes })
    }

    /// Copies values to byte `at`; returns when they may be dropped.
    ///
    /// # Errors
    /// [`DeviceError::OutOfBounds`] and the driver's.
    pub fn upload_slice<T: Pod>(&self, at: usize, values: &[T]) -> Result<(), DeviceError> {
        self.device().upload(self, at, bytes_of(values))
    }

    /// Waits for what was launched, and reads `count` values from byte `at`.
    ///
    /// # Errors
    /// [`DeviceError::OutOfBounds`] and the driver's.
    pub fn download_vec<T: Pod>(&self, at: usize, count: usize) -> Result<Vec<T>, DeviceError> {
        let mut values = vec![T::default(); count];
        // SAFETY: any bytes are values of `T`, and the slice is exclusively ours.
        let bytes = unsafe {
            std::slice::from_raw_parts_mut(values.as_mut_ptr().cast::<u8>(), size_of_val(values.as_slice()))
        };
        self.device().download(self, at, bytes)?;
        Ok(values)
    }

    pub(super) fn check(&self, at: usize, bytes: usize) -> Result<(), DeviceError> {
        match at.checked_add(bytes) {
            Some(end) if end <= self.len() => Ok(()),
            _ => Err(DeviceError::OutOfBounds { at, bytes, size: self.len() }),
        }
    }
}

/// A part of a buffer: bytes `offset..offset + bytes`.
#[derive(Clone, Copy, Debug)]
pub struct Slice<'a> {
    pub(super) buffer: &'a Buffer,
    pub(super) offset: usize,
    pub(super) bytes: usize,
}

impl<'a> Slice<'a> {
    /// Size in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// The buffer it is part of.
    #[must_use]
    pub fn buffer(&self) -> &'a Buffer {
        self.buffer
    }

    /// Its first byte in the buffer.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// A part of this part.
    ///
    /// # Errors
    /// [`DeviceError::OutOfBounds`].
    pub fn part(&self, offset: usize, bytes: usize) -> Result<Self, DeviceError> {
        if offset.checked_add(bytes).is_none_or(|end| end > self.bytes) {
            return Err(DeviceError::OutOfBounds { at: offset, bytes, size: self.bytes });
        }
        Ok(Self { buffer: self.buffer, offset: self.offset + offset, bytes })
    }

    /// Address on the device.
    pub(super) fn address(&self) -> u64 {
        self.buffer.inner.address + self.offset as u64
    }
}

impl<'a> From<&'a Buffer> for Slice<'a> {
    fn from(buffer: &'a Buffer) -> Self {
        buffer.all()
    }
}
