//! Plans: what a model is to see of a document, under a token budget. The cost does not grow with the file.
//!
//! The prefix starts at a line that is a multiple of a block of lines, so that typing leaves its start where it is
//! (an engine that keeps the prefix encoded re-reads only what is new) and moves it in big steps.

mod window;

use crate::document::Snapshot;
use crate::language::Language;
use crate::position;
use crate::region::{Marker, Reason, Region, RegionKind};
use ropey::RopeSlice;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use thiserror::Error;

/// Counts tokens; a model's tokenizer implements it.
pub trait Measure {
    /// Tokens of `text` on its own.
    fn tokens(&self, text: &str) -> usize;
}

impl<F: Fn(&str) -> usize> Measure for F {
    fn tokens(&self, text: &str) -> usize {
        self(text)
    }
}

/// How much of a document a plan may show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlanSettings {
    /// Most tokens before the hole.
    pub prefix_tokens_max: usize,
    /// Most tokens after the hole.
    pub suffix_tokens_max: usize,
    /// Most tokens of far context (the head of the file, where the prefix does not reach it); 0: none.
    pub context_tokens_max: usize,
    /// Most tokens the present text of the hole may have.
    pub hole_tokens_max: usize,
}

impl Default for PlanSettings {
    fn default() -> Self {
        Self { prefix_tokens_max: 512, suffix_tokens_max: 128, context_tokens_max: 0, hole_tokens_max: 1024 }
    }
}

/// Why a region cannot be planned.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlanError {
    /// The region is not inside the text.
    #[error("the region {start}..{end} is not inside the text of {len} bytes")]
    OutOfBounds {
        /// Where it starts.
        start: usize,
        /// Where it ends.
        end: usize,
        /// Bytes of the text.
        len: usize,
    },
    /// The region cuts a character.
    #[error("byte {offset} is inside a character; a region must start and end between characters")]
    InsideCharacter {
        /// The offset.
        offset: usize,
    },
    /// The region's text is too long to be one hole.
    #[error("the region holds {bytes} bytes, more than {max} tokens; choose a smaller one")]
    HoleTooLarge {
        /// Bytes of the region.
        bytes: usize,
        /// Most tokens.
        max: usize,
    },
}

/// All an engine request needs from a document. Line breaks are `\n` in every text here, whatever the file has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The document's version the plan was made of.
    pub version: u64,
    /// The document's language.
    pub language: Language,
    /// What may change.
    pub region: Region,
    /// Far context, most stable text first; empty unless the settings ask for it.
    pub context: String,
    /// The code before the hole, [`Plan::lead`] included.
    pub prefix: String,
    /// The code after the hole, [`Plan::tail`] included.
    pub suffix: String,
    /// The hole's present text.
    pub hole: String,
    /// The indentation of the hole's first line.
    pub indent: String,
    /// One step of indentation in this file.
    pub indent_unit: String,
    /// What is put before a candidate: the line break and indentation that open an empty body.
    pub lead: String,
    /// What is put after a candidate: the line break and indentation before the brace that ends an empty body.
    pub tail: String,
    /// The document's bytes that `prefix` (without `lead`) and `suffix` (without `tail`) reach over.
    pub window: Range<usize>,
}

/// Plans the filling of `region`.
///
/// # Errors
/// A region that is not inside the document, or whose text exceeds `hole_tokens_max`.
pub fn plan(
    snapshot: &Snapshot,
    region: &Region,
    settings: &PlanSettings,
    measure: &dyn Measure,
) -> Result<Plan, PlanError> {
    let text = snapshot.text();
    let Range { start, end } = region.range;
    if start > end || end > text.len_bytes() {
        return Err(PlanError::OutOfBounds { start, end, len: text.len_bytes() });
    }
    if let Some(&offset) = [start, end].iter().find(|&&offset| !position::is_boundary(text, offset)) {
        return Err(PlanError::InsideCharacter { offset });
    }
    let too_large = PlanError::HoleTooLarge { bytes: end - start, max: settings.hole_tokens_max };
    if end - start > settings.hole_tokens_max.saturating_mul(window::TOKEN_BYTES_MAX) {
        return Err(too_large);
    }
    let hole = with_lf(text.byte_slice(start..end));
    if measure.tokens(&hole) > settings.hole_tokens_max {
        return Err(too_large);
    }
    let outer = indent_of(snapshot, start);
    let opens = region.reason == Reason::Marker(Marker::EmptyBody);
    // What is put before the hole belongs to the prefix, and is paid for like it.
    let opening = match opens {
        true => measure.tokens(&format!("\n{outer}{}", indent_unit(&[], snapshot.language()))) + 1,
        false => 0,
    };
    let low = window::start(text, start, settings.prefix_tokens_max.saturating_sub(opening), measure);
    let high = window::end(text, end, settings.suffix_tokens_max, measure);
    let context_end = match settings.context_tokens_max {
        0 => 0,
        budget => window::end(text, 0, budget, measure).min(low),
    };
    let before = with_lf(text.byte_slice(low..start));
    let after = with_lf(text.byte_slice(end..high));
    let unit = indent_unit(&[&before, &after], snapshot.language());
    let (indent, lead, tail) = if opens {
        let inner = format!("{outer}{unit}");
        (inner.clone(), format!("\n{inner}"), format!("\n{outer}"))
    } else {
        (outer, String::new(), String::new())
    };
    Ok(Plan {
        version: snapshot.version(),
        language: snapshot.language(),
        region: region.clone(),
        context: with_lf(text.byte_slice(..context_end)),
        prefix: before + &lead,
        suffix: format!("{tail}{after}"),
        hole: if lead.is_empty() { hole } else { String::new() },
        indent,
        indent_unit: unit,
        lead,
        tail,
        window: low..high,
    })
}

impl Plan {
    /// The shape of the hole.
    #[must_use]
    pub const fn kind(&self) -> RegionKind {
        self.region.kind
    }
}

/// The text of a slice with `\r\n` and `\r` as `\n`.
fn with_lf(slice: RopeSlice<'_>) -> String {
    to_lf(&slice.to_string())
}

/// `text` with `\r\n` and `\r` as `\n`.
pub(crate) fn to_lf(text: &str) -> String {
    if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text.to_owned() }
}

/// The indentation of the line `offset` is in, at most up to `offset`.
fn indent_of(snapshot: &Snapshot, offset: usize) -> String {
    let text = snapshot.text();
    let start = text.line_to_byte(text.byte_to_line(offset));
    text.byte_slice(start..offset).chars().take_while(|c| matches!(c, ' ' | '\t')).collect()
}

/// One step of indentation as the texts show it: a tab, or the least number of spaces above one.
fn indent_unit(texts: &[&str], language: Language) -> String {
    let mut least = usize::MAX;
    for line in texts.iter().flat_map(|text| text.lines()) {
        let spaces = line.len() - line.trim_start_matches(' ').len();
        if line.starts_with('\t') {
            return "\t".to_owned();
        }
        if spaces > 1 && spaces < line.len() {
            least = least.min(spaces);
        }
    }
    if least <= 8 { " ".repeat(least) } else { language.indent_unit().to_owned() }
}
