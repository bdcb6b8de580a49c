//! The header of a safetensors file, believed only where it describes the bytes that follow it.
//!
//! Format: 8 bytes little-endian header length, that many bytes of JSON, then the data. Every tensor must lie inside
//! the data, be as long as its shape and dtype say, and neither overlap another nor leave a gap.

use crate::error::LoadError;
use std::collections::BTreeMap;
use std::ops::Range;

/// Longest header that is read, as in the reference implementation of the format.
const HEADER_BYTES_MAX: usize = 100_000_000;

/// One tensor of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// As the file spells it (`F32`, `BF16`, …).
    pub dtype: String,
    /// Dimensions.
    pub shape: Vec<usize>,
    /// Where its bytes are in the file.
    pub range: Range<usize>,
}

#[derive(serde::Deserialize)]
struct Raw {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}

#[derive(serde::Deserialize)]
struct RawHeader {
    #[serde(rename = "__metadata__", default)]
    metadata: Option<BTreeMap<String, String>>,
    #[serde(flatten)]
    tensors: BTreeMap<String, Raw>,
}

/// A checked header.
#[derive(Debug)]
pub(crate) struct Header {
    /// Free text of the file's writer.
    pub metadata: BTreeMap<String, String>,
    /// Name and place of every tensor, in the order of the data.
    pub entries: Vec<(String, Entry)>,
}

/// Reads and checks the header of `bytes`; `file` is what messages call it.
///
/// # Errors
/// [`LoadError::Damaged`], naming the tensor where one is at fault.
pub(crate) fn read_header(file: &str, bytes: &[u8]) -> Result<Header, LoadError> {
    let damaged = |reason: String| LoadError::Damaged { file: file.to_owned(), reason };
    let (json, data_start) = split(bytes).map_err(damaged)?;
    let header: RawHeader =
        serde_json::from_slice(json).map_err(|error| damaged(format!("the header is not valid: {error}")))?;
    let data_len = bytes.len() - data_start;
    let mut entries = Vec::with_capacity(header.tensors.len());
    for (name, raw) in header.tensors {
        check(&name, &raw, data_len).map_err(damaged)?;
        let range = data_start + raw.data_offsets.0..data_start + raw.data_offsets.1;
        entries.push((name, Entry { dtype: raw.dtype, shape: raw.shape, range }));
    }
    entries.sort_by_key(|(_, entry)| (entry.range.start, entry.range.end));
    let mut end = data_start;
    for (name, entry) in &entries {
        if entry.range.start != end {
            let what =
                if entry.range.start < end { "overlaps its neighbour" } else { "leaves a gap before it" };
            return Err(damaged(format!("tensor {name} {what}")));
        }
        end = entry.range.end;
    }
    if end != bytes.len() {
        return Err(damaged(format!("the tensors end at byte {end}, the file at byte {}", bytes.len())));
    }
    Ok(Header { metadata: header.metadata.unwrap_or_default(), entries })
}

fn split(bytes: &[u8]) -> Result<(&[u8], usize), String> {
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(format!("expected at least 8 bytes, found {}", bytes.len()));
    };
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    if length > HEADER_BYTES_MAX {
        return Err(format!("the header claims {length} bytes, at most {HEADER_BYTES_MAX} are allowed"));
    }
    match rest.get(..length) {
        Some(json) => Ok((json, 8 + length)),
        None => Err(format!("the header claims {length} bytes, the file has {} after it", rest.len())),
    }
}

fn check(name: &str, raw: &Raw, data_len: usize) -> Result<(), String> {
    let (start, end) = raw.data_offsets;
    if start > end || end > data_len {
        return Err(format!(
            "tensor {name} claims bytes {start}..{end} of {data_len}; the file may be truncated"
        ));
    }
    let Some(width) = width(&raw.dtype) else { return Ok(()) };
    let bytes = raw.shape.iter().try_fold(width, |product, &dim| product.checked_mul(dim));
    if bytes != Some(end - start) {
        return Err(format!("tensor {name} of {} {:?} claims {} bytes", raw.dtype, raw.shape, end - start));
    }
    Ok(())
}

/// Bytes of an element, where this engine knows the type; others are refused when asked for.
fn width(dtype: &str) -> Option<usize> {
    match dtype {
        "BOOL" | "U8" | "I8" => Some(1),
        "F16" | "BF16" | "I16" | "U16" => Some(2),
        "F32" | "I32" | "U32" => Some(4),
        "F64" | "I64" | "U64" => Some(8),
        _ => None,
    }
}
