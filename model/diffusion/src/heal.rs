//! Healing the prefix: a cursor after a space or inside a word cuts a token that running text would not have there.
//!
//! `return ` ends in a lone space, yet code never holds that token before a word: the space belongs to the word's own
//! token. So the last token goes back to the hole whenever it is a whole unit of the tokenizer, and the hole's first
//! token must then begin with what was taken back (its *lead*). The lead is stripped from the answer again.

use crate::tokenizer::{Tokenizer, Units};
use std::sync::Arc;

/// Text that the hole's first token must begin with, and which tokens do.
#[derive(Clone, Debug)]
pub(crate) struct Lead {
    /// What was taken back from the prefix.
    pub text: String,
    /// One flag a token id: whether it may be the hole's first.
    pub allowed: Arc<[bool]>,
}

/// The prefix's tokens without what the hole takes back.
pub(crate) fn heal(
    tokenizer: &Tokenizer,
    prefix: &str,
) -> Result<(Vec<u32>, Option<Lead>), tokenizers::Error> {
    let Units { mut ids, units, .. } = tokenizer.encode_units(prefix)?;
    let [.., before, last] = units[..] else { return Ok((ids, None)) };
    if before == last {
        return Ok((ids, None)); // the unit goes on further left: taking back a part of it would not mend it
    }
    let text = ids.last().map(|&id| tokenizer.piece(id)).unwrap_or_default();
    let word = text.strip_prefix(' ').unwrap_or(&text);
    let whole = text == " " || (!word.is_empty() && word.chars().all(char::is_alphanumeric));
    if !whole {
        return Ok((ids, None));
    }
    ids.pop();
    // A lone space must grow: on its own it would be the very token that running text does not have.
    let extends = |piece: &str| piece.starts_with(&text) && (text != " " || piece.len() > 1);
    let allowed = tokenizer.pieces().iter().map(|piece| extends(piece)).collect();
    Ok((ids, Some(Lead { text, allowed })))
}
