//! The prompt: what the encoder reads before the hole, in the order that keeps the KV cache alive while typing.
//!
//! `[begin tokens][language token][far context][far suffix][code before the hole]`: the most stable text first. When the
//! code is longer than the budget its oldest tokens go, in big jumps rather than one per keystroke, so that the cached
//! prefix stays the longest common prefix of the next request. The far suffix, for a checkpoint that asks for one, begins
//! with the line after the hole, which typing leaves as it is: a causal pass knows of nothing behind the hole otherwise.

use crate::config_lacuna::Lacuna;
use crate::heal::Lead;
use crate::tokenizer::{Tokenizer, TokenizerError};
use lacuna_engine::EngineError;
use std::collections::BTreeMap;
use std::ops::Range;

/// A token is rarely longer; what lies beyond is not worth tokenising.
pub(crate) const TOKEN_BYTES_MAX: usize = 16;

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

    /// Most tokens that a header has.
    pub(crate) fn header_tokens_max(&self) -> usize {
        self.begin.len() + usize::from(!self.languages.is_empty())
    }

    /// `[begin][language]`.
    pub(crate) fn header(&self, language: Option<&str>) -> Vec<u32> {
        let mut ids = self.begin.clone();
        ids.extend(language.and_then(|language| self.languages.get(language)));
        ids
    }
}

/// A prompt as the encoder and the canvas share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Prompt {
    /// What the encoder reads.
    pub ids: Vec<u32>,
    /// The last tokens, which stand on the canvas.
    pub head: Vec<u32>,
    /// How many of all these are fixed tokens and no text.
    pub header: usize,
    /// Which of all these are the far suffix.
    pub far_suffix: Range<usize>,
    /// Tokens of the prefix that found no room, right before those that did.
    pub dropped: Vec<u32>,
    /// What the hole took back from the prefix.
    pub lead: Option<Lead>,
}

impl Prompt {
    /// All tokens, in order.
    pub(crate) fn whole(&self) -> Vec<u32> {
        [&self.ids[..], &self.head].concat()
    }

    /// All text from before the hole, in order: what lies in a row of the document lies in one row here.
    pub(crate) fn text_before(&self) -> [Vec<u32>; 2] {
        let whole = self.whole();
        let context = &whole[self.header.min(self.far_suffix.start)..self.far_suffix.start];
        [context.to_vec(), [&self.dropped[..], &whole[self.far_suffix.end..]].concat()]
    }

    /// The text that the hole's first token begins with; mostly empty.
    pub(crate) fn lead_text(&self) -> &str {
        self.lead.as_ref().map_or("", |lead| &lead.text)
    }
}

/// What a prompt is made of, in its order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parts {
    /// Fixed tokens.
    pub header: Vec<u32>,
    /// Far context.
    pub context: Vec<u32>,
    /// What follows the hole's line.
    pub far_suffix: Vec<u32>,
    /// The code before the hole.
    pub prefix: Vec<u32>,
}

impl Parts {
    /// As much of the parts as `budget` tokens allow, the last `head` of them for the canvas. The far suffix has its room (a
    /// quarter of the budget at most), the prefix goes before the context.
    ///
    /// # Errors
    /// [`EngineError::InvalidRequest`] when there is nothing at all.
    pub(crate) fn assemble(
        self,
        budget: usize,
        head: Head,
        lead: Option<Lead>,
    ) -> Result<Prompt, EngineError> {
        let Self { header: mut ids, context, far_suffix, mut prefix } = self;
        let header = ids.len();
        let room = budget.saturating_sub(header);
        let far_suffix = &far_suffix[..far_suffix_room(far_suffix.len(), room)];
        let room = room - far_suffix.len();
        let kept = prefix.split_off(cut(prefix.len(), room));
        let left = room - kept.len();
        // Context is kept whole or dropped from its end (its least stable part); never more than half of the budget.
        ids.extend_from_slice(&context[..context.len().min(left).min(budget / 2)]);
        let far = ids.len()..ids.len() + far_suffix.len();
        ids.extend_from_slice(far_suffix);
        ids.extend_from_slice(&kept);
        let head = match head {
            Head::Tokens(count) => count,
            Head::AllText => (ids.len() + 1).saturating_sub(header),
        };
        let (ids, head) = split_head(ids, head)?;
        Ok(Prompt { ids, head, header, far_suffix: far, dropped: prefix, lead })
    }
}

/// How many of `tokens` of a far suffix a prompt takes that has `room` for text: a quarter of it at most.
pub(crate) fn far_suffix_room(tokens: usize, room: usize) -> usize {
    tokens.min(room / 4)
}

/// How much of a prompt stands on the canvas.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Head {
    /// So many of its last tokens.
    Tokens(usize),
    /// All of its text, and the last fixed token.
    AllText,
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

/// The first `bytes` of a text, or a little less.
pub(crate) fn start_of(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
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

    fn assemble(parts: Parts, budget: usize) -> Prompt {
        parts.assemble(budget, Head::Tokens(1), None).unwrap()
    }

    #[test]
    fn the_prefix_is_cut_in_jumps_so_that_typing_keeps_the_cache() {
        let prefix: Vec<u32> = (0..1000).collect();
        let whole =
            |n: usize| assemble(Parts { prefix: prefix[..n].to_vec(), ..Parts::default() }, 400).whole();
        let starts: Vec<u32> = (900..940).map(|n| whole(n)[0]).collect();
        let moves = starts.windows(2).filter(|w| w[0] != w[1]).count();
        assert_eq!(moves, 1, "{starts:?}");
        assert!((900..1000).all(|n| (300..=400).contains(&whole(n).len())));
    }

    #[test]
    fn context_yields_to_the_prefix_and_keeps_its_stable_beginning() {
        let parts =
            Parts { header: vec![7], context: vec![1, 2, 3, 4, 5], prefix: vec![9; 3], ..Parts::default() };
        assert_eq!(assemble(parts, 8).whole(), [7, 1, 2, 3, 4, 9, 9, 9]);
    }

    #[test]
    fn the_far_suffix_has_its_room_and_no_text_is_lost() {
        let parts = Parts {
            header: vec![7],
            context: vec![1, 2],
            far_suffix: vec![5; 9],
            prefix: (20..40).collect(),
        };
        let prompt = assemble(parts.clone(), 17);
        assert_eq!(prompt.whole(), [&[7, 1, 5, 5, 5, 5][..], &(29..40).collect::<Vec<_>>()].concat());
        assert_eq!(prompt.far_suffix, 2..6);
        assert_eq!(prompt.text_before(), [vec![1], (20..40).collect::<Vec<_>>()]);
        let short = assemble(Parts { prefix: vec![20, 21], ..parts }, 17);
        assert_eq!(short.whole(), [7, 1, 2, 5, 5, 5, 5, 20, 21]);
        assert_eq!(short.text_before(), [vec![1, 2], vec![20, 21]]);
    }

    #[test]
    fn the_head_takes_at_least_one_token_even_the_last() {
        assert_eq!(split_head(vec![2, 8, 9], 1).unwrap(), (vec![2, 8], vec![9]));
        assert_eq!(split_head(vec![2], 3).unwrap(), (vec![], vec![2]));
        assert!(split_head(vec![], 1).is_err());
    }
}
