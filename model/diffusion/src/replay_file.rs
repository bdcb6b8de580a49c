//! The two files of a replay: the recording that is read, checked to the last id, and the results, written atomically.

use crate::replay::{Block, ReplayError, Results};
use crate::safetensors_header::{Header, read_header};
use safetensors::tensor::{Dtype, TensorView};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The sampler's numbers, from the recording's metadata or the reference's defaults.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sampler {
    pub t_min: f64,
    pub t_max: f64,
    pub entropy_bound: f32,
    pub stability: usize,
    pub confidence: f32,
}

impl Sampler {
    /// Temperature with `remaining` of `steps` steps to go.
    pub(crate) fn temperature(&self, remaining: usize, steps: usize) -> f32 {
        crate::accept::temperature(self.t_min, self.t_max, remaining, steps)
    }
}

/// The inputs of a replay.
#[derive(Debug)]
pub(crate) struct Recording {
    pub prompt: Vec<u32>,
    pub blocks: usize,
    pub steps: usize,
    pub length: usize,
    canvas_0: Vec<u32>,
    renoise: Vec<u32>,
    clamped: Vec<bool>,
    clamp_ids: Vec<u32>,
    sampler: Sampler,
    metadata: HashMap<String, String>,
}

impl Recording {
    /// The slices of block `index`.
    pub(crate) fn block(&self, index: usize) -> Block<'_> {
        let rows = index * self.length..(index + 1) * self.length;
        Block {
            canvas: &self.canvas_0[rows.clone()],
            renoise: &self.renoise[rows.start * self.steps..rows.end * self.steps],
            clamped: &self.clamped[rows.clone()],
            clamp_ids: &self.clamp_ids[rows],
            sampler: self.sampler,
        }
    }
}

/// A recording being read: every complaint names the file.
struct Reader<'a> {
    path: &'a Path,
    bytes: Vec<u8>,
    header: Header,
    vocab_size: usize,
}

impl Reader<'_> {
    fn fault(&self, reason: String) -> ReplayError {
        ReplayError::Recording { path: self.path.to_path_buf(), reason }
    }

    /// Shape and bytes of a tensor of one of `dtypes`.
    fn tensor(&self, name: &str, dtypes: &[&str]) -> Result<(&[usize], &[u8]), ReplayError> {
        let Some(entry) = self.header.entries.iter().find(|(n, _)| n == name).map(|(_, entry)| entry) else {
            return Err(self.fault(format!("tensor {name}: missing")));
        };
        if !dtypes.contains(&entry.dtype.as_str()) {
            let expected = dtypes.join(" or ");
            return Err(
                self.fault(format!("tensor {name}: expected dtype {expected}, found {}", entry.dtype))
            );
        }
        Ok((&entry.shape, &self.bytes[entry.range.clone()]))
    }

    fn dims<const N: usize>(&self, name: &str, shape: &[usize]) -> Result<[usize; N], ReplayError> {
        let fault =
            || self.fault(format!("tensor {name}: expected {N} dimensions of at least 1, found {shape:?}"));
        let dims: [usize; N] = shape.try_into().map_err(|_| fault())?;
        if dims.contains(&0) { Err(fault()) } else { Ok(dims) }
    }

    /// Token ids of any shape.
    fn ids(&self, name: &str) -> Result<(&[usize], Vec<u32>), ReplayError> {
        let (shape, bytes) = self.tensor(name, &["I64"])?;
        let ids = bytes.as_chunks::<8>().0.iter().map(|&chunk| {
            let id = i64::from_le_bytes(chunk);
            let known = u32::try_from(id).ok().filter(|&id| (id as usize) < self.vocab_size);
            known.ok_or_else(|| {
                self.fault(format!("tensor {name}: expected ids in 0..{}, found {id}", self.vocab_size))
            })
        });
        Ok((shape, ids.collect::<Result<_, _>>()?))
    }

    /// Token ids of exactly `expected`.
    fn ids_of(&self, name: &str, expected: &[usize]) -> Result<Vec<u32>, ReplayError> {
        let (shape, ids) = self.ids(name)?;
        if shape == expected {
            Ok(ids)
        } else {
            Err(self.fault(format!("tensor {name}: expected shape {expected:?}, found {shape:?}")))
        }
    }

    fn number<T: std::str::FromStr>(&self, key: &str, default: T) -> Result<T, ReplayError> {
        match self.header.metadata.get(key) {
            None => Ok(default),
            Some(text) => text
                .parse()
                .map_err(|_| self.fault(format!("metadata {key}: expected a number, found {text:?}"))),
        }
    }

    fn sampler(&self) -> Result<Sampler, ReplayError> {
        let sampler = Sampler {
            t_min: self.number("t_min", 0.4)?,
            t_max: self.number("t_max", 0.8)?,
            entropy_bound: self.number("entropy_bound", 0.1)?,
            stability: self.number("stability_threshold", 1)?,
            confidence: self.number("confidence_threshold", 0.005)?,
        };
        let temperatures = [sampler.t_min, sampler.t_max];
        if temperatures.iter().any(|t| !(1e-6..=1e6).contains(t)) || sampler.stability > 1 << 16 {
            return Err(
                self.fault(format!("metadata: expected temperatures in 1e-6..=1e6, found {sampler:?}"))
            );
        }
        Ok(sampler)
    }
}

/// Reads and checks a recording; ids are held to `vocab_size`.
pub(crate) fn read(path: &Path, vocab_size: usize) -> Result<Recording, ReplayError> {
    let fault = |reason: String| ReplayError::Recording { path: path.to_path_buf(), reason };
    let bytes = std::fs::read(path).map_err(|error| fault(error.to_string()))?;
    let header = read_header("the recording", &bytes).map_err(|error| fault(error.to_string()))?;
    let reader = Reader { path, bytes, header, vocab_size };
    let (shape, renoise) = reader.ids("renoise")?;
    let [blocks, steps, length] = reader.dims("renoise", shape)?;
    let (shape, prompt) = reader.ids("prompt_ids")?;
    let [_] = reader.dims("prompt_ids", shape)?;
    let (shape, mask) = reader.tensor("clamp_mask", &["U8", "BOOL"])?;
    if shape != [blocks, length] {
        return Err(reader
            .fault(format!("tensor clamp_mask: expected shape {:?}, found {shape:?}", [blocks, length])));
    }
    Ok(Recording {
        prompt,
        blocks,
        steps,
        length,
        canvas_0: reader.ids_of("canvas_0", &[blocks, length])?,
        renoise,
        clamped: mask.iter().map(|&byte| byte != 0).collect(),
        clamp_ids: reader.ids_of("clamp_ids", &[blocks, length])?,
        sampler: reader.sampler()?,
        metadata: reader.header.metadata.clone().into_iter().collect(),
    })
}

/// Writes the results beside `path` and renames them into place.
pub(crate) fn write(
    path: &Path,
    recording: &Recording,
    vocab_size: usize,
    results: &Results,
) -> Result<(), ReplayError> {
    let (b, s, c) = (recording.blocks, recording.steps, recording.length);
    let floats = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let ids = |values: &[i64]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let tensors = [
        ("logits", Dtype::F32, vec![b, s, c, vocab_size], floats(&results.logits)),
        ("entropy", Dtype::F32, vec![b, s, c], floats(&results.entropy)),
        ("accepted", Dtype::U8, vec![b, s, c], results.accepted.clone()),
        ("argmax", Dtype::I64, vec![b, s, c], ids(&results.argmax)),
        ("canvas", Dtype::I64, vec![b, s, c], ids(&results.canvas)),
        (
            "causal_logits",
            Dtype::F32,
            vec![recording.prompt.len(), vocab_size],
            floats(&results.causal_logits),
        ),
        ("stop", Dtype::U8, vec![b, s], results.stop.clone()),
    ];
    let fault = |reason: String| ReplayError::Write { path: path.to_path_buf(), reason };
    let mut views = Vec::with_capacity(tensors.len());
    for (name, dtype, shape, bytes) in &tensors {
        let view = TensorView::new(*dtype, shape.clone(), bytes).map_err(|error| fault(error.to_string()))?;
        views.push((*name, view));
    }
    let bytes = safetensors::serialize(views, Some(recording.metadata.clone()))
        .map_err(|error| fault(error.to_string()))?;
    let partial = partial_path(path);
    let written = std::fs::write(&partial, bytes).and_then(|()| std::fs::rename(&partial, path));
    written.map_err(|error| {
        // What failed is reported; a left-over partial file is all that a second failure here could add.
        let _ = std::fs::remove_file(&partial);
        fault(error.to_string())
    })
}

fn partial_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.partial", std::process::id()));
    path.with_file_name(name)
}
