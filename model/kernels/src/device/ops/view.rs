//! Matrices in device memory: activations and weights.

use super::super::{DeviceError, Slice};
use super::ensure;

/// Type of an activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// 4 bytes.
    F32,
    /// 2 bytes.
    Bf16,
}

impl Dtype {
    /// Bytes of one value.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
        }
    }

    pub(super) fn code(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::Bf16 => 1,
        }
    }
}

/// Type of a stored weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightDtype {
    /// 4 bytes.
    F32,
    /// 2 bytes.
    Bf16,
    /// Blocks of 32 along a row: an f16 scale and 32 signed bytes. 34 bytes a block.
    Q8,
    /// Blocks of 32 along a row: an f16 scale and 32 times 4 bits, -8 to 7. 18 bytes a block.
    Q4,
}

impl WeightDtype {
    /// Bytes of a tensor `[rows, cols]`; quantised ones need `cols` to be a multiple of 32.
    #[must_use]
    pub fn bytes(self, rows: usize, cols: usize) -> usize {
        match self {
            Self::F32 => rows * cols * 4,
            Self::Bf16 => rows * cols * 2,
            Self::Q8 => rows * cols / 32 * 34,
            Self::Q4 => rows * cols / 32 * 18,
        }
    }

    pub(super) fn code(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::Bf16 => 1,
            Self::Q8 => 2,
            Self::Q4 => 3,
        }
    }
}

/// A stored weight `[rows, cols]`, row-major. Quantised ones are two planes, all quants and then all f16 scales
/// `[rows, cols / 32]`; the order inside a block is documented in `cuda/weight.cuh` and made by `lacuna_kernels::quant`.
/// A stack of experts `[experts, rows, cols]` is one weight of `experts · rows` rows.
#[derive(Clone, Copy, Debug)]
pub struct Weight<'a> {
    pub(super) data: Slice<'a>,
    pub(super) dtype: WeightDtype,
    pub(super) rows: usize,
    pub(super) cols: usize,
}

impl<'a> Weight<'a> {
    /// A weight that begins where `data` does.
    ///
    /// # Errors
    /// [`DeviceError::Shape`] when `data` is too small or misaligned (16 bytes), or `cols` does not suit the type.
    pub fn new(
        data: impl Into<Slice<'a>>,
        dtype: WeightDtype,
        rows: usize,
        cols: usize,
    ) -> Result<Self, DeviceError> {
        let data = data.into();
        let quantised = matches!(dtype, WeightDtype::Q8 | WeightDtype::Q4);
        ensure("weight", !quantised || cols.is_multiple_of(32), || {
            format!("{dtype:?} weights have rows of a multiple of 32, not {cols}")
        })?;
        let bytes = dtype.bytes(rows, cols);
        ensure("weight", data.len() >= bytes, || {
            format!("[{rows}, {cols}] in {dtype:?} is {bytes} bytes, the view has {}", data.len())
        })?;
        ensure("weight", data.offset().is_multiple_of(16), || {
            format!("a weight begins at a multiple of 16 bytes, not at {}", data.offset())
        })?;
        Ok(Self { data, dtype, rows, cols })
    }

    /// Output features.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Input features.
    #[must_use]
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// How it is stored.
    #[must_use]
    pub fn dtype(&self) -> WeightDtype {
        self.dtype
    }

    /// Bytes it occupies.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.dtype.bytes(self.rows, self.cols)
    }
}

/// Activations `[rows, cols]`, rows `stride` elements apart.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    pub(super) data: Slice<'a>,
    pub(super) dtype: Dtype,
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) stride: usize,
}

impl<'a> Rows<'a> {
    /// Contiguous rows from where `data` begins.
    ///
    /// # Errors
    /// [`DeviceError::Shape`] when `data` is too small or not aligned to its type.
    pub fn new(
        data: impl Into<Slice<'a>>,
        dtype: Dtype,
        rows: usize,
        cols: usize,
    ) -> Result<Self, DeviceError> {
        Self { data: data.into(), dtype, rows, cols, stride: cols }.checked()
    }

    /// The same with rows `stride` elements apart.
    ///
    /// # Errors
    /// As [`Rows::new`].
    pub fn with_stride(self, stride: usize) -> Result<Self, DeviceError> {
        Self { stride, ..self }.checked()
    }

    /// Columns `first..first + cols`.
    ///
    /// # Errors
    /// [`DeviceError::Shape`] when there are fewer.
    pub fn columns(self, first: usize, cols: usize) -> Result<Self, DeviceError> {
        ensure("columns", first + cols <= self.cols, || {
            format!("columns {first}..{} of {}", first + cols, self.cols)
        })?;
        let offset = first * self.dtype.size();
        let data = self.data.part(offset, self.data.len() - offset)?;
        Self { data, cols, ..self }.checked()
    }

    /// Rows `first..first + rows`.
    ///
    /// # Errors
    /// [`DeviceError::Shape`] when there are fewer.
    pub fn span(self, first: usize, rows: usize) -> Result<Self, DeviceError> {
        ensure("rows", first + rows <= self.rows, || {
            format!("rows {first}..{} of {}", first + rows, self.rows)
        })?;
        let offset = if rows == 0 { 0 } else { first * self.stride * self.dtype.size() };
        let data = self.data.part(offset, self.data.len() - offset)?;
        Self { data, rows, ..self }.checked()
    }

    /// How many rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many columns.
    #[must_use]
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Type of the values.
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Whether every row begins at a multiple of 16 bytes.
    pub(super) fn aligned(&self) -> bool {
        self.data.offset().is_multiple_of(16) && (self.stride * self.dtype.size()).is_multiple_of(16)
    }

    fn checked(self) -> Result<Self, DeviceError> {
        let Self { rows, cols, stride, dtype, data } = self;
        ensure("rows", stride >= cols, || format!("rows of {cols} cannot be {stride} apart"))?;
        let bytes = if rows == 0 { 0 } else { ((rows - 1) * stride + cols) * dtype.size() };
        ensure("rows", data.len() >= bytes, || {
            format!(
                "[{rows}, {cols}] {stride} apart in {dtype:?} is {bytes} bytes, the view has {}",
                data.len()
            )
        })?;
        ensure("rows", data.offset().is_multiple_of(dtype.size()), || {
            format!("{dtype:?} rows cannot begin at byte {}", data.offset())
        })?;
        ensure("rows", u32::try_from(rows.max(stride)).is_ok(), || {
            format!("[{rows}, {stride}] is too large")
        })?;
        Ok(self)
    }
}
