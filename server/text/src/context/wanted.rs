//! What is looked for: the terms around a hole and how much each counts.

use super::Query;
use super::terms::{self, Term, Written};
use crate::position;
use std::collections::HashMap;
use std::ops::Range;

/// Lines before and after the hole whose names are compared, and most bytes of them to either side.
const LINES: (usize, usize) = (28, 12);
const SIDE_BYTES_MAX: usize = 4 << 10;
/// Names of the hole's line count more.
const HOLE_LINE_WEIGHT: f32 = 2.0;
/// 64-bit words of the filter.
const FILTER_WORDS: usize = 1 << 10;

/// The terms around a hole with their weights, sorted, and a filter that most other terms fail at once.
pub(super) struct Wanted {
    pub(super) terms: Vec<(Term, f32)>,
    filter: Vec<u64>,
}

impl Wanted {
    pub(super) fn new(query: &Query<'_>) -> Self {
        let text = query.snapshot.text();
        let end = position::floor(text, query.hole.end);
        let start = position::floor(text, query.hole.start.min(end));
        let (first, last) = (text.byte_to_line(start), text.byte_to_line(end));
        let line_start = text.line_to_byte(first);
        let line_end = text.line_to_byte((last + 1).min(text.len_lines()));
        let low = text.line_to_byte(first.saturating_sub(LINES.0));
        let high = text.line_to_byte((last + 1 + LINES.1).min(text.len_lines()));
        let low = low.max(position::floor(text, start.saturating_sub(SIDE_BYTES_MAX)));
        let high = high.min(position::floor(text, end + SIDE_BYTES_MAX));
        let stop: Vec<Term> = terms::STOP.split_ascii_whitespace().map(terms::word).collect();
        let mut weights: HashMap<Term, f32> = HashMap::new();
        let mut add = |range: Range<usize>, factor: f32| {
            terms::each_term(
                &text.byte_slice(range.start..range.end.max(range.start)).to_string(),
                |term, written| {
                    let weight = match written {
                        Written::Compound => 2.0,
                        Written::Word => 1.0,
                        Written::Part => 0.5,
                    };
                    if !stop.contains(&term) {
                        let known = weights.entry(term).or_default();
                        *known = known.max(weight * factor);
                    }
                },
            );
        };
        add(low..start, 1.0);
        add(end..high, 1.0);
        add(start..end.min(start + SIDE_BYTES_MAX).max(start), 1.0);
        add(line_start.max(low)..start, HOLE_LINE_WEIGHT);
        add(end..line_end.min(high), HOLE_LINE_WEIGHT);
        let mut terms: Vec<(Term, f32)> = weights.into_iter().collect();
        terms.sort_unstable_by_key(|(term, _)| *term);
        let mut filter = vec![0_u64; FILTER_WORDS];
        for (term, _) in &terms {
            filter[(term >> 6) as usize % FILTER_WORDS] |= 1 << (term & 63);
        }
        Self { terms, filter }
    }

    /// Where a term is among [`Wanted::terms`].
    pub(super) fn find(&self, term: Term) -> Option<usize> {
        if self.filter[(term >> 6) as usize % FILTER_WORDS] >> (term & 63) & 1 == 0 {
            return None;
        }
        self.terms.binary_search_by_key(&term, |(term, _)| *term).ok()
    }
}
