//! The prompt: what the encoder reads before the hole, in the order that keeps the KV cache alive while typing.
//!
//! `[begin tokens][language token][far context][code before the hole]`: the most stable text first. When the code is
//! longer than the budget its oldest tokens go, in big jumps rather than one per keystroke, so that the cached prefix
//! stays the longest common prefix of the next request.

use crate::config_lacuna::Lacuna;
use crate::heal::Lead;
use crate::tokenizer::{Tokenizer, TokenizerError};
use lacuna_engine::EngineError;
use std::collections::BTreeMap;

/// The fixed tokens of a checkpoint's prompt, resolved once at load.
#[derive(Clone, Debug, Default)]
pub(crate) struct PromptTokens {
    begin: Vec<u32>,
    languages: BTreeMap<String, u32>,
}

impl PromptTokens {
    /// Looks up the tokens that `config.json` names; without names the prompt begins with `bos` alone.
    pub(crate) fn resolve(
        config: &Lacuna,
        bos: Option<u32>,
        tokenizer: &Tokenizer,
    ) -> Result<Self, TokenizerError> {
        let begin = if config.prompt.begin.is_empty() {
            bos.into_iter().collect()
        } else {
            config.prompt.begin.iter().map(|token| tokenizer.id_of(token)).collect::<Result<_, _>>()?
        };
        let named = config.prompt.languages.iter();
        let languages =
            named.map(|(id, token)| Ok((id.clone(), tokenizer.id_of(token)?))).collect::<Result<_, _>>()?;
        Ok(Self { begin, languages })
    }

    /// Languages with a token of their own.
    pub(crate) fn languages(&self) -> Vec<String> {
        self.languages.keys().cloned().collect()
    }

    /// `[begin][language]`.
    pub(crate) fn header(&self, language: Option<&str>) -> Vec<u32> {
        let mut ids = self.begin.clone();
        ids.extend(language.and_then(|language| self.languages.get(language)));
        ids
    }
}

/// A prompt as the encoder and the canvas share it.
#[derive(Clone, Debug)]
pub(crate) struct Prompt {
    /// What the encoder reads.
    pub ids: Vec<u32>,
    /// The last tokens, which stand on the canvas.
    pub head: Vec<u32>,
    /// How many of all these are fixed tokens and no text.
    pub header: usize,
    /// What the hole took back from the prefix.
    pub lead: Option<Lead>,
}

impl Prompt {
    /// All tokens, in order.
    pub(crate) fn whole(&self) -> Vec<u32> {
        [&self.ids[..], &self.head].concat()
    }

    /// The text that the hole's first token begins with; mostly empty.
    pub(crate) fn lead_text(&self) -> &str {
        self.lead.as_ref().map_or("", |lead| &lead.text)
    }
}

/// `header`, then as much of `context` and `prefix` as `budget` tokens allow; the prefix goes first.
pub(crate) fn assemble(header: Vec<u32>, context: &[u32], prefix: &[u32], budget: usize) -> Vec<u32> {
    let room = budget.saturating_sub(header.len());
    let prefix = &prefix[cut(prefix.len(), room)..];
    let left = room.saturating_sub(prefix.len());
    // Context is kept whole or dropped from its end (its least stable part); never more than half of the budget.
    let context = &context[..context.len().min(left).min(budget / 2)];
    let mut ids = header;
    ids.extend_from_slice(context);
    ids.extend_from_slice(prefix);
    ids
}

/// How many of `len` tokens to drop so that `room` hold the rest: a multiple of a quarter of the room, so that the
/// window moves once in a while instead of with every keystroke.
pub(crate) fn cut(len: usize, room: usize) -> usize {
    if len <= room {
        return 0;
    }
    let jump = (room / 4).max(1);
    ((len - room).div_ceil(jump) * jump).min(len)
}

/// Splits the last `head` tokens off the prompt: they stand on the canvas, so that the hole may begin inside a word.
/// At least one token goes to the canvas; the encoder may be left with none.
///
/// # Errors
/// [`EngineError::InvalidRequest`] when the prompt is empty (no begin token and no text).
pub(crate) fn split_head(mut ids: Vec<u32>, head: usize) -> Result<(Vec<u32>, Vec<u32>), EngineError> {
    if ids.is_empty() {
        let reason =
            "the prompt is empty: the model names no begin token and there is no text before the hole";
        return Err(EngineError::InvalidRequest(reason.to_owned()));
    }
    let at = ids.len().saturating_sub(head.max(1));
    let head = ids.split_off(at);
    Ok((ids, head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_cut_in_jumps_so_that_typing_keeps_the_cache() {
        let prefix: Vec<u32> = (0..1000).collect();
        let starts: Vec<u32> = (900..940).map(|n| assemble(vec![], &[], &prefix[..n], 400)[0]).collect();
        let moves = starts.windows(2).filter(|w| w[0] != w[1]).count();
        assert_eq!(moves, 1, "{starts:?}");
        assert!((900..1000).all(|n| (300..=400).contains(&assemble(vec![], &[], &prefix[..n], 400).len())));
    }

    #[test]
    fn context_yields_to_the_prefix_and_keeps_its_stable_beginning() {
        let ids = assemble(vec![7], &[1, 2, 3, 4, 5], &[9, 9, 9], 8);
        assert_eq!(ids, [7, 1, 2, 3, 4, 9, 9, 9]);
    }

    #[test]
    fn the_head_takes_at_least_one_token_even_the_last() {
        assert_eq!(split_head(vec![2, 8, 9], 1).unwrap(), (vec![2, 8], vec![9]));
        assert_eq!(split_head(vec![2], 3).unwrap(), (vec![], vec![2]));
        assert!(split_head(vec![], 1).is_err());
    }
}
