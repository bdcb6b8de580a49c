//! The controls: the same weights, decoded left to right. Every claim about speed or quality is held against these.

use crate::config::Fim;
use crate::denoise::forbid;
use crate::engine::DiffusionEngine;
use crate::heal::heal;
use crate::prompt::{Prompt, cut};
use crate::rank::tokenizer_fault;
use crate::template::Given;
use crate::watch::ms;
use lacuna_engine::{
    CancelToken, Candidate, EngineError, HoleKind, InfillRequest, Infilled, Origin, Start, Stats,
};
use std::time::Instant;

/// Greedy decoding as it goes.
pub(crate) struct Decoded {
    pub tokens: Vec<u32>,
    pub text: String,
    pub log_prob: f32,
    /// Whether it ended by itself and not at the limit.
    pub ended: bool,
    pub forwards: usize,
    pub origin: Origin,
}

impl Decoded {
    /// The whole decoded text as a candidate, scored by its own probability.
    pub(crate) fn into_candidate(self) -> Candidate {
        Candidate {
            tokens: self.tokens.len(),
            text: self.text,
            score: self.log_prob,
            log_prob_hole: self.log_prob,
            log_prob_suffix: 0.0,
            confidence: None,
            entropy_mean: 0.0,
            origin: self.origin,
            steps: self.forwards,
            settled: self.ended,
        }
    }
}

impl DiffusionEngine {
    /// Continues from the prefix alone and guesses where to stop from the hole's kind and the first suffix characters.
    pub(crate) fn fill_causal(
        &mut self,
        request: &InfillRequest,
        cancel: &CancelToken,
    ) -> Result<Infilled, EngineError> {
        request.validate(&self.limits)?;
        let start = Instant::now();
        if let Start::Template(template) = &request.start {
            return self.template_left_to_right(request, template, Given::AsReached, cancel);
        }
        let prompt = self.prefix_prompt(request)?;
        let limit = self.causal_limit(request);
        let (kind, suffix) = (request.kind, request.suffix.clone());
        let (decoded, stats) =
            self.decode(&prompt, limit, &mut |text| stop_at(text, kind, &suffix), cancel)?;
        let cut = stop_at(&decoded.text, kind, &suffix).unwrap_or(decoded.text.len());
        Ok(answer(decoded, cut, stats, start))
    }

    /// Continues a fill-in-the-middle ordered prompt until the model ends the middle by itself.
    pub(crate) fn fill_causal_fim(
        &mut self,
        request: &InfillRequest,
        cancel: &CancelToken,
    ) -> Result<Infilled, EngineError> {
        request.validate(&self.limits)?;
        let Some(fim) = self.abilities.fim else {
            let reason = "its config.json names no fill-in-the-middle tokens (\"lacuna\": {\"fim\": …})";
            return Err(EngineError::Unsupported(reason.to_owned()));
        };
        if let Start::Template(template) = &request.start {
            return self.template_left_to_right(request, template, Given::First(fim.middle), cancel);
        }
        let start = Instant::now();
        let prompt = self.fim_prompt(request, fim)?;
        let limit = self.causal_limit(request);
        let (mut decoded, stats) = self.decode(&prompt, limit, &mut |_| None, cancel)?;
        decoded.origin = Origin::CausalFim;
        let cut = match (decoded.ended, request.kind.is_multiline()) {
            (false, false) => decoded.text.find(['\n', '\r']).unwrap_or(decoded.text.len()),
            _ => decoded.text.len(),
        };
        Ok(answer(decoded, cut, stats, start))
    }

    /// The prompt of a fill-in-the-middle ordered request: what the diffusion sees, both sides, in the order of `fim`.
    pub(crate) fn fim_prompt(&self, request: &InfillRequest, fim: Fim) -> Result<Prompt, EngineError> {
        let (prefix, lead) = heal(&self.tokenizer, &request.prefix).map_err(tokenizer_fault)?;
        let mut suffix = self.near_suffix(request)?;
        suffix.retain(|id| Some(*id) != self.abilities.end_of_document);
        let header = self.abilities.prompt.header(request.language.as_deref());
        let room =
            self.abilities.prompt_tokens_max.saturating_sub(header.len() + 3 + self.causal_limit(request));
        suffix.truncate((room / 3).min(fim.suffix_tokens_max.unwrap_or(usize::MAX)));
        let prefix = &prefix[cut(prefix.len(), room - suffix.len())..];
        let ids = [&header[..], &[fim.prefix], prefix, &[fim.suffix], &suffix, &[fim.middle]].concat();
        Ok(Prompt { ids, header: header.len(), lead, ..Prompt::default() })
    }

    pub(crate) fn causal_limit(&self, request: &InfillRequest) -> usize {
        let longest = request.sampling.lengths.iter().flatten().copied().max();
        longest.unwrap_or(self.abilities.hole_tokens_max.min(self.abilities.canvas_length))
    }

    /// Greedy decoding of at most `limit` tokens after `prompt`; `stop` sees the text so far and says where to cut it.
    pub(crate) fn decode(
        &mut self,
        prompt: &Prompt,
        limit: usize,
        stop: &mut dyn FnMut(&str) -> Option<usize>,
        cancel: &CancelToken,
    ) -> Result<(Decoded, Stats), EngineError> {
        let start = Instant::now();
        let ids = prompt.whole();
        let (&last, before) = ids.split_last().ok_or_else(|| {
            EngineError::InvalidRequest("there is nothing to continue: the prompt is empty".to_owned())
        })?;
        let mut stats = Stats { prompt_tokens: ids.len(), canvases: 1, ..Stats::default() };
        stats.cached_tokens = self.session.read(before, cancel)?;
        stats.encode_ms = ms(start);
        let mut decoded = Decoded {
            tokens: Vec::new(),
            text: String::new(),
            log_prob: 0.0,
            ended: false,
            forwards: 0,
            origin: Origin::Causal,
        };
        let mut next = last;
        while decoded.tokens.len() < limit {
            let mut logits = self.session.next_logits(next, cancel)?;
            decoded.forwards += 1;
            if decoded.tokens.is_empty() {
                self.forbid_first(&mut logits, prompt);
            }
            let best = lacuna_kernels::row_stats(&logits, 1.0);
            next = best.argmax as u32;
            if self.abilities.ends_text(next) {
                decoded.ended = true;
                break;
            }
            decoded.log_prob += best.max - best.log_sum_exp;
            decoded.tokens.push(next);
            let text = self.tokenizer.decode(&decoded.tokens).map_err(tokenizer_fault)?;
            decoded.text = text.strip_prefix(prompt.lead_text()).unwrap_or(&text).to_owned();
            if decoded.tokens.len() == 1 {
                stats.first_frame_ms = ms(start);
            }
            if stop(&decoded.text).is_some() {
                decoded.ended = true;
                break;
            }
        }
        stats.forwards = decoded.forwards;
        stats.denoise_ms = ms(start) - stats.encode_ms;
        Ok((decoded, stats))
    }
}

impl DiffusionEngine {
    /// A hole is never empty, and its first token begins with what was taken back from the prefix.
    pub(crate) fn forbid_first(&self, logits: &mut [f32], prompt: &Prompt) {
        for &id in self.abilities.banned.iter() {
            logits[id as usize] = f32::NEG_INFINITY;
        }
        if let Some(lead) = &prompt.lead {
            forbid(logits, &lead.allowed);
        }
    }
}

/// Where a prefix-only continuation leaves the hole, if it has. Generous to the control: it may see the suffix's text.
pub(crate) fn stop_at(text: &str, kind: HoleKind, suffix: &str) -> Option<usize> {
    let line_end = text.find(['\n', '\r']);
    match kind {
        HoleKind::Line => line_end,
        HoleKind::Span => {
            let after = suffix.split(['\n', '\r']).next().unwrap_or("");
            let line = &text[..line_end.unwrap_or(text.len())];
            let key: String = after.chars().take(6).collect();
            (!key.is_empty()).then(|| line.find(&key)).flatten().or(line_end)
        }
        HoleKind::Lines | HoleKind::Body => {
            let key = suffix.lines().find(|line| !line.trim().is_empty()).unwrap_or("").trim_end();
            (!key.trim().is_empty()).then(|| text.find(key)).flatten()
        }
    }
}

fn answer(decoded: Decoded, cut: usize, mut stats: Stats, start: Instant) -> Infilled {
    let text = decoded.text[..cut].to_owned();
    stats.total_ms = ms(start);
    stats.tokens_per_forward = decoded.tokens.len() as f32 / decoded.forwards.max(1) as f32;
    let candidate = Candidate { text, ..decoded.into_candidate() };
    let candidates = if candidate.text.is_empty() { Vec::new() } else { vec![candidate] };
    Infilled { candidates, stats }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_continuation_stops_where_its_hole_ends() {
        assert_eq!(stop_at("a + b;\nnext", HoleKind::Line, "\nnext"), Some(6));
        assert_eq!(stop_at("a + b", HoleKind::Line, "\nnext"), None);
        assert_eq!(stop_at("x, y);", HoleKind::Span, ");\n"), Some(4));
        assert_eq!(stop_at("x, y\n", HoleKind::Span, "];\n"), Some(4));
        assert_eq!(stop_at("    a\n    b\n}\n", HoleKind::Body, "\n}\n"), Some(12));
        assert_eq!(stop_at("    a\n", HoleKind::Lines, ""), None);
    }
}
