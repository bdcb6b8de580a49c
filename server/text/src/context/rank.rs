//! Which chunks are shown: scored by what they share with the query, chosen under a budget.

use super::chunks::{Chunk, Chunks};
use super::wanted::Wanted;
use super::{NEIGHBOURS_MAX, Query, Snippet, piece};
use crate::language::Language;
use crate::plan::{Measure, to_lf};
use crate::position;
use std::cmp::Ordering;

/// Snippets of one answer, and chunks that are tried for it.
const SNIPPETS_MAX: usize = 8;
const TRIED_MAX: usize = 2 * SNIPPETS_MAX;
/// A snippet that is cut to fit keeps this many lines at least.
const CUT_LINES_MIN: usize = 3;
/// A text of more bytes a token than this is not measured: it cannot fit.
const TOKEN_BYTES_MAX: usize = 16;
/// Shared weight below which a chunk is not similar: a compound name with its words, or three words.
const SHARED_MIN: f32 = 3.0;
/// A chunk that scores less than this part of the best one is left out.
const BEST_SHARE_MIN: f32 = 0.25;
/// What the most recently used neighbour gains over the last.
const RECENT_BONUS: f32 = 0.15;
/// What a neighbour in another language keeps.
const OTHER_LANGUAGE: f32 = 0.6;
/// Names in more than this part of many chunks say nothing.
const COMMON_SHARE: f32 = 0.3;
const MANY_CHUNKS: usize = 10;

/// A chunk with its score.
pub(super) struct Ranked<'a> {
    name: &'a str,
    chunks: &'a Chunks,
    chunk: &'a Chunk,
    score: f32,
}

/// The chunks that are similar, the most similar first.
pub(super) fn rank<'a>(
    wanted: &Wanted,
    documents: &[(&'a str, &'a Chunks)],
    language: Language,
) -> Vec<Ranked<'a>> {
    let mut found: Vec<(usize, &'a Chunk, usize, Vec<usize>)> = Vec::new();
    let mut frequencies = vec![0_usize; wanted.terms.len()];
    let (mut count, mut length) = (0_usize, 0_usize);
    for (recency, (_, chunks)) in documents.iter().enumerate() {
        for (chunk, terms) in chunks.iter() {
            (count, length) = (count + 1, length + terms.len());
            let hits: Vec<usize> = terms.iter().filter_map(|term| wanted.find(*term)).collect();
            hits.iter().for_each(|&hit| frequencies[hit] += 1);
            if !hits.is_empty() {
                found.push((recency, chunk, terms.len(), hits));
            }
        }
    }
    let mean_length = length as f32 / count.max(1) as f32;
    let common = if count < MANY_CHUNKS { f32::INFINITY } else { count as f32 * COMMON_SHARE };
    let mut ranked = Vec::new();
    for (recency, chunk, terms, hits) in found {
        let telling = hits.iter().filter(|&&hit| frequencies[hit] as f32 <= common);
        let (mut shared, mut score) = (0.0, 0.0);
        for &hit in telling {
            let (weight, frequency) = (wanted.terms[hit].1, frequencies[hit] as f32);
            shared += weight;
            score += weight * (1.0 + (count as f32 - frequency + 0.5) / (frequency + 0.5)).ln();
        }
        let (name, chunks) = documents[recency];
        let recent = 1.0 + RECENT_BONUS * (1.0 - recency as f32 / NEIGHBOURS_MAX as f32);
        let spoken = if same_family(chunks.language(), language) { 1.0 } else { OTHER_LANGUAGE };
        score *= recent * spoken / (0.5 + 0.5 * terms as f32 / mean_length);
        if shared >= SHARED_MIN {
            ranked.push((recency, Ranked { name, chunks, chunk, score }));
        }
    }
    ranked.sort_by(|(a_recency, a), (b_recency, b)| {
        let by_place = (a_recency, a.chunk.bytes.start).cmp(&(b_recency, b.chunk.bytes.start));
        b.score.partial_cmp(&a.score).unwrap_or(Ordering::Equal).then(by_place)
    });
    ranked.into_iter().map(|(_, ranked)| ranked).collect()
}

/// Whether code of one language reads like code of the other.
fn same_family(one: Language, other: Language) -> bool {
    use Language::{C, Cpp, JavaScript, Tsx, TypeScript};
    let family = |language| match language {
        JavaScript | Tsx => TypeScript,
        Cpp => C,
        language => language,
    };
    family(one) == family(other)
}

/// Takes the most similar chunks that fit the budget; one that does not is cut to its first lines.
pub(super) fn choose(
    ranked: &[Ranked<'_>],
    query: &Query<'_>,
    tokens_max: usize,
    measure: &dyn Measure,
) -> Vec<Snippet> {
    let Some(best) = ranked.first().map(|best| best.score) else { return Vec::new() };
    let own = own_text(query);
    let language = query.snapshot.language();
    let mut left = tokens_max;
    let mut chosen: Vec<Snippet> = Vec::new();
    let similar = ranked.iter().take_while(|ranked| ranked.score >= best * BEST_SHARE_MIN);
    for Ranked { name, chunks, chunk, score } in similar.take(TRIED_MAX) {
        let text = to_lf(&chunks.text(chunk));
        // A copy of what the document holds itself tells nothing.
        if own.contains(text.trim()) {
            continue;
        }
        let text = dedented(&text);
        if chosen.len() == SNIPPETS_MAX || chosen.iter().any(|other| other.text == text) {
            continue;
        }
        let fit = fitting(&text, chunks.language(), |text| {
            let shown = piece(name, text, language);
            let may = shown.len() <= left.saturating_mul(TOKEN_BYTES_MAX);
            may.then(|| measure.tokens(&shown)).filter(|tokens| *tokens <= left)
        });
        if let Some((text, tokens)) = fit {
            left -= tokens;
            chosen.push(Snippet { name: (*name).to_owned(), text, score: *score });
        }
    }
    chosen.reverse();
    chosen
}

/// The text, or else its first lines after the comments it opens with, as `cost` allows; with what it costs.
fn fitting(text: &str, language: Language, cost: impl Fn(&str) -> Option<usize>) -> Option<(String, usize)> {
    if let Some(tokens) = cost(text) {
        return Some((text.to_owned(), tokens));
    }
    let is_remark = |line: &&str| {
        let line = line.trim_start();
        line.starts_with("/*")
            || line.starts_with('*')
            || language.line_comment().is_some_and(|mark| line.starts_with(mark))
    };
    let mut lines: Vec<&str> = text.split('\n').skip_while(is_remark).collect();
    while lines.len() >= CUT_LINES_MIN {
        let text = lines.join("\n");
        if let Some(tokens) = cost(&text) {
            return Some((text, tokens));
        }
        lines.truncate(lines.len() / 2);
        lines.truncate(lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1));
    }
    None
}

/// What the query's document holds, as far as a neighbour is read.
fn own_text(query: &Query<'_>) -> String {
    const HALF_BYTES: usize = 128 << 10;
    let text = query.snapshot.text();
    let low = position::floor(text, query.hole.start.saturating_sub(HALF_BYTES));
    let high = position::floor(text, query.hole.end.saturating_add(HALF_BYTES));
    to_lf(&text.byte_slice(low..high.max(low)).to_string())
}

/// Lines without the indentation that all of them have, and without blank ones around them.
fn dedented(text: &str) -> String {
    let is_blank = |line: &&str| line.trim().is_empty();
    let mut lines: Vec<&str> = text.split('\n').skip_while(is_blank).map(str::trim_end).collect();
    while lines.last().is_some_and(is_blank) {
        lines.pop();
    }
    let indent = |line: &&str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let common = lines.iter().filter(|line| !line.is_empty()).map(indent).min().unwrap_or(0);
    let lines = lines.into_iter().map(|line| line.get(common..).unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}
