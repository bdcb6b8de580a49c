//! Weights on their way to a device: read from the mapped files in pieces, brought into their format on all threads, and
//! copied while the next piece is; or made up, where a bench wants the shape alone.

use super::fault::device_fault;
use crate::error::LoadError;
use crate::load::{LoadEvent, Report};
use crate::plan::WeightFormat;
use crate::weights::{Stored, Weights};
use half::bf16;
use lacuna_kernels::device::ops::{Weight, WeightDtype};
use lacuna_kernels::device::{Buffer, Device, DeviceError, Slice};
use lacuna_kernels::quant::QuantError;
use rayon::prelude::*;
use std::borrow::Cow;
use std::cell::Cell;

/// A stored matrix.
#[derive(Debug)]
pub(crate) struct Matrix {
    buffer: Buffer,
    dtype: WeightDtype,
    rows: usize,
    cols: usize,
}

impl Matrix {
    /// As operations take it.
    pub(crate) fn view(&self) -> Result<Weight<'_>, DeviceError> {
        Weight::new(&self.buffer, self.dtype, self.rows, self.cols)
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn bytes(&self) -> usize {
        self.buffer.len()
    }
}

/// A stored f32 vector.
#[derive(Debug)]
pub(crate) struct Vector(Buffer);

impl Vector {
    pub(crate) fn view(&self) -> Slice<'_> {
        self.0.all()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.0.len()
    }
}

/// A tensor of a checkpoint that is part of a matrix: its name, its shape, and its rows there.
pub(crate) struct Part<'a> {
    pub name: &'a str,
    pub shape: &'a [usize],
}

impl Part<'_> {
    fn cols(&self) -> usize {
        self.shape.last().copied().unwrap_or(0)
    }

    fn rows(&self) -> usize {
        self.shape.iter().rev().skip(1).product()
    }
}

/// Where weights come from.
pub(crate) enum Origin<'a> {
    /// A checkpoint's files.
    Files(&'a Weights),
    /// Nowhere: random numbers of a trained model's size, for benches.
    MadeUp,
}

/// Brings weights to a device.
pub(crate) struct Store<'a> {
    device: &'a Device,
    origin: Origin<'a>,
    report: &'a Report<'a>,
    loaded: Cell<usize>,
    /// Random bits in every dtype, copied over and over on the device.
    noise: Vec<(WeightDtype, Buffer)>,
}

/// Values brought into their format at once: enough for every thread, little beside a model. In tests matrices have several.
const PIECE: usize = if cfg!(test) { 1 << 10 } else { 8 << 20 };
/// Values of made-up weights that are really random; the rest repeats them.
const NOISE: usize = 1 << 22;

impl<'a> Store<'a> {
    pub(crate) fn new(device: &'a Device, origin: Origin<'a>, report: &'a Report<'a>) -> Self {
        Self { device, origin, report, loaded: Cell::new(0), noise: Vec::new() }
    }

    /// A vector of `len` values.
    pub(crate) fn vector(&self, name: &str, len: usize) -> Result<Vector, LoadError> {
        self.vector_or(name, len, 1.0)
    }

    /// A vector of `len` values, each `made_up` where there is no checkpoint.
    pub(crate) fn vector_or(&self, name: &str, len: usize, made_up: f32) -> Result<Vector, LoadError> {
        let values = match &self.origin {
            Origin::Files(weights) => weights.f32(name, &[len])?,
            Origin::MadeUp => vec![made_up; len],
        };
        self.upload_vector(&values)
    }

    /// A vector of the host's.
    pub(crate) fn upload_vector(&self, values: &[f32]) -> Result<Vector, LoadError> {
        let buffer = self.device.buffer_of(values).map_err(|error| device_fault(&error))?;
        self.count(buffer.len());
        Ok(Vector(buffer))
    }

    /// One number of the checkpoint, on the host; `made_up` where there is no checkpoint.
    pub(crate) fn scalar(&self, name: &str, made_up: f32) -> Result<f32, LoadError> {
        match &self.origin {
            Origin::Files(weights) => Ok(weights.f32(name, &[1])?[0]),
            Origin::MadeUp => Ok(made_up),
        }
    }

    /// A vector of `len` values on the host.
    pub(crate) fn host_vector(&self, name: &str, len: usize) -> Result<Vec<f32>, LoadError> {
        match &self.origin {
            Origin::Files(weights) => weights.f32(name, &[len]),
            Origin::MadeUp => Ok(vec![1.0; len]),
        }
    }

    /// The tensors `parts`, one below the other, as one matrix.
    pub(crate) fn matrix(&mut self, parts: &[Part<'_>], format: WeightFormat) -> Result<Matrix, LoadError> {
        let (rows, cols) = (parts.iter().map(Part::rows).sum::<usize>(), parts.first().map_or(0, Part::cols));
        let dtype = dtype_of(format);
        if let (Some(first), false) = (parts.first(), whole_blocks(format, cols)) {
            return Err(block_fault(first.name, &QuantError::Width { found: cols }));
        }
        let buffer = self.device.alloc(format.bytes(rows * cols)).map_err(|error| device_fault(&error))?;
        let matrix = Matrix { buffer, dtype, rows, cols };
        if let Origin::Files(weights) = self.origin {
            let mut first = 0;
            for part in parts {
                let stored = weights.stored(part.name, part.shape)?;
                self.fill(&matrix, (part.name, stored), (first, part.rows()), format)?;
                first += part.rows();
            }
        } else {
            self.make_up(&matrix).map_err(|error| device_fault(&error))?;
            self.count(matrix.bytes());
        }
        Ok(matrix)
    }

    /// Rows `first..first + rows` of `matrix` from a tensor of the files, piece by piece.
    fn fill(
        &self,
        matrix: &Matrix,
        (name, stored): (&str, Stored<'_>),
        (first, rows): (usize, usize),
        format: WeightFormat,
    ) -> Result<(), LoadError> {
        let (cols, device) = (matrix.cols, self.device);
        let step = (PIECE / cols.max(1)).max(1);
        let prepare = |from: usize| {
            let count = step.min(rows - from) * cols;
            let encoded = encode(stored, from * cols..from * cols + count, cols, format)?;
            Ok(((first + from) * cols, encoded))
        };
        // One piece is copied by one thread while all others prepare the next.
        let mut ready = None;
        for from in (0..rows).step_by(step).map(Some).chain([None]) {
            let (next, copied) = rayon::join(
                || from.map(prepare).transpose(),
                || ready.map(|piece| copy(device, matrix, piece)),
            );
            if let Some(copied) = copied {
                self.count(copied.map_err(|error| device_fault(&error))?);
            }
            ready = next.map_err(|fault: Fault| fault.into_load(self.file_of(name), name))?;
        }
        Ok(())
    }

    /// What messages call the file that holds a tensor.
    fn file_of(&self, name: &str) -> &str {
        match &self.origin {
            Origin::Files(weights) => weights.file_of(name),
            Origin::MadeUp => "made-up weights",
        }
    }

    fn count(&self, bytes: usize) {
        self.loaded.set(self.loaded.get() + bytes);
        (self.report)(LoadEvent::Loaded(self.loaded.get()));
    }

    /// Fills `matrix` by copies on the device; each begins elsewhere in the noise, so that no two are alike.
    fn make_up(&mut self, matrix: &Matrix) -> Result<(), DeviceError> {
        let format = format_of(matrix.dtype);
        if !self.noise.iter().any(|(dtype, _)| *dtype == matrix.dtype) {
            let bits = noise(format);
            self.noise.push((matrix.dtype, self.device.buffer_of(&bits)?));
        }
        let Some((_, noise)) = self.noise.iter().find(|(dtype, _)| *dtype == matrix.dtype) else {
            return Ok(());
        };
        let (values_at, scales_at) = planes(matrix, format);
        let (value_noise, scale_noise) = (format_value_bytes(format, NOISE), noise.len());
        self.repeat(noise.slice(0, value_noise)?, matrix.buffer.slice(values_at, scales_at - values_at)?)?;
        let scales = matrix.bytes() - scales_at;
        if scales > 0 {
            let source = noise.slice(value_noise, scale_noise - value_noise)?;
            self.repeat(source, matrix.buffer.slice(scales_at, scales)?)?;
        }
        Ok(())
    }

    fn repeat(&self, source: Slice<'_>, to: Slice<'_>) -> Result<(), DeviceError> {
        let mut at = 0;
        let mut turn = self.loaded.get() / 64;
        while at < to.len() {
            let skip = (turn * 4096) % (source.len() / 2).next_multiple_of(256);
            let bytes = (source.len() - skip).min(to.len() - at);
            self.device.copy(source.part(skip, bytes)?, to.part(at, bytes)?)?;
            at += bytes;
            turn += 1;
        }
        Ok(())
    }
}

/// Where the values and the scales of a matrix begin; without scales those are its end.
fn planes(matrix: &Matrix, format: WeightFormat) -> (usize, usize) {
    (0, format_value_bytes(format, matrix.rows * matrix.cols))
}

fn format_value_bytes(format: WeightFormat, count: usize) -> usize {
    format.blocks().map_or_else(|| format.bytes(count), |blocks| blocks.value_bytes(count))
}

/// Some values in their format.
struct Encoded<'a> {
    /// The file's own, where it stores them so.
    values: Cow<'a, [u8]>,
    scales: Vec<u8>,
    format: WeightFormat,
}

impl Encoded<'_> {
    fn value_bytes_at(&self, place: usize) -> usize {
        format_value_bytes(self.format, place)
    }
}

/// Copies what begins at value `place` of a matrix to the device; the bytes of it.
fn copy(
    device: &Device,
    matrix: &Matrix,
    (place, piece): (usize, Encoded<'_>),
) -> Result<usize, DeviceError> {
    let (values_at, scales_at) = planes(matrix, piece.format);
    device.upload(&matrix.buffer, values_at + piece.value_bytes_at(place), &piece.values)?;
    if !piece.scales.is_empty() {
        device.upload(&matrix.buffer, scales_at + place / lacuna_kernels::quant::BLOCK * 2, &piece.scales)?;
    }
    Ok(piece.values.len() + piece.scales.len())
}

/// A value that cannot be stored.
enum Fault {
    NotFinite { index: usize, value: f32 },
    Blocks(QuantError),
}

impl Fault {
    fn into_load(self, file: &str, name: &str) -> LoadError {
        let (file, owned) = (file.to_owned(), name.to_owned());
        match self {
            Self::NotFinite { index, value } => LoadError::NotFinite { file, name: owned, index, value },
            Self::Blocks(error) => block_fault(name, &error),
        }
    }
}

fn block_fault(name: &str, error: &QuantError) -> LoadError {
    LoadError::Device(format!("tensor {name} cannot be stored in blocks: {error}"))
}

/// The values at `range` of a tensor, whole rows of `cols`, in `format`; on all threads.
fn encode(
    stored: Stored<'_>,
    range: std::ops::Range<usize>,
    cols: usize,
    format: WeightFormat,
) -> Result<Encoded<'_>, Fault> {
    const ROWS: usize = 16;
    if let (Stored::Bf16(bytes), WeightFormat::Bf16) = (stored, format) {
        return as_stored(&bytes[2 * range.start..2 * range.end], range.start);
    }
    let count = range.len();
    let mut values = vec![0; format_value_bytes(format, count)];
    let mut scales = vec![0; format.bytes(count) - values.len()];
    let chunk = ROWS * cols;
    let scale_chunk = (format.bytes(chunk) - format_value_bytes(format, chunk)).max(1);
    // Without blocks there are no scales, and every chunk's are empty.
    let mut scale_chunks: Vec<&mut [u8]> = scales.chunks_mut(scale_chunk).collect();
    scale_chunks.resize_with(count.div_ceil(chunk), Default::default);
    let chunks = values.par_chunks_mut(format_value_bytes(format, chunk)).zip(scale_chunks).enumerate();
    chunks.try_for_each(|(index, (values, scales))| {
        let from = range.start + index * chunk;
        let floats = stored.f32(from..(from + chunk).min(range.end));
        if let Some(place) = floats.iter().position(|value| !value.is_finite()) {
            return Err(Fault::NotFinite { index: from + place, value: floats[place] });
        }
        match format.blocks() {
            Some(blocks) => blocks.quantize_rows(&floats, cols, values, scales).map_err(Fault::Blocks),
            None => {
                write(&floats, format, values);
                Ok(())
            }
        }
    })?;
    Ok(Encoded { values: Cow::Owned(values), scales, format })
}

/// What is stored in bf16 already goes as it is, once every value is seen to be a number; `first` is the place of the first.
fn as_stored(bytes: &[u8], first: usize) -> Result<Encoded<'_>, Fault> {
    const VALUES: usize = 1 << 16;
    let fault = bytes.par_chunks(2 * VALUES).enumerate().find_map_first(|(chunk, bytes)| {
        let values = bytes.as_chunks::<2>().0.iter().map(|&two| bf16::from_le_bytes(two));
        let (place, value) = values.enumerate().find(|(_, value)| !value.is_finite())?;
        Some(Fault::NotFinite { index: first + chunk * VALUES + place, value: value.to_f32() })
    });
    let encoded = Encoded { values: Cow::Borrowed(bytes), scales: Vec::new(), format: WeightFormat::Bf16 };
    fault.map_or(Ok(encoded), Err)
}

fn write(floats: &[f32], format: WeightFormat, bytes: &mut [u8]) {
    if format == WeightFormat::F32 {
        for (bytes, value) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(floats) {
            *bytes = value.to_le_bytes();
        }
    } else {
        for (bytes, value) in bytes.as_chunks_mut::<2>().0.iter_mut().zip(floats) {
            *bytes = bf16::from_f32(*value).to_le_bytes();
        }
    }
}

/// Random bits as weights of the format: values of a standard deviation near 0.02, all values before all scales.
pub(super) fn noise(format: WeightFormat) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    match format.blocks() {
        None => {
            let floats: Vec<f32> =
                (0..NOISE).map(|_| ((next() >> 40) as f32 / (1 << 24) as f32 - 0.5) * 0.07).collect();
            let mut bytes = vec![0; format.bytes(NOISE)];
            write(&floats, format, &mut bytes);
            bytes
        }
        Some(blocks) => {
            let mut bytes: Vec<u8> = (0..format.bytes(NOISE)).map(|_| (next() >> 56) as u8).collect();
            // Uniform steps have a deviation of 73 in 8 bits and of 4.6 in 4.
            let scale = if format == WeightFormat::Q8 { 0.02 / 73.0 } else { 0.02 / 4.6 };
            let scale = half::f16::from_f32(scale).to_le_bytes();
            for bytes in bytes[blocks.value_bytes(NOISE)..].as_chunks_mut::<2>().0 {
                *bytes = scale;
            }
            bytes
        }
    }
}

fn whole_blocks(format: WeightFormat, cols: usize) -> bool {
    format.blocks().is_none() || cols.is_multiple_of(lacuna_kernels::quant::BLOCK)
}

pub(crate) fn dtype_of(format: WeightFormat) -> WeightDtype {
    match format {
        WeightFormat::F32 => WeightDtype::F32,
        WeightFormat::Bf16 => WeightDtype::Bf16,
        WeightFormat::Q8 => WeightDtype::Q8,
        WeightFormat::Q4 => WeightDtype::Q4,
    }
}

fn format_of(dtype: WeightDtype) -> WeightFormat {
    match dtype {
        WeightDtype::F32 => WeightFormat::F32,
        WeightDtype::Bf16 => WeightFormat::Bf16,
        WeightDtype::Q8 => WeightFormat::Q8,
        WeightDtype::Q4 => WeightFormat::Q4,
    }
}

#[cfg(all(test, feature = "emulated"))]
#[path = "store_tests.rs"]
mod tests;
