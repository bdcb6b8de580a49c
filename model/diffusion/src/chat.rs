//! The prompt of an instruct checkpoint: one chat turn with everything far, and the code before the hole as an answer
//! that is already under way.
//!
//! ```text
//! open   <bos><|turn>user\n       from the checkpoint's template
//! user   what is asked · code of other files · far suffix · what else is asked     text, never a control token
//! turn   <turn|>\n<|turn>model\n   from the template
//! answer ```rust\n + code before the hole
//! canvas last token · hole · near suffix · ``` · <turn|>                            closed where the document ends
//! ```
//!
//! The order is from what changes least to what changes with every key, for the sake of the KV cache. The template is
//! rendered once, at load, around placeholders; its text is cut at its control tokens. What stands between two of them
//! is tokenised in one piece with the user's text beside it, just as a tokeniser that reads the whole chat would, except
//! that a control token spelled out in somebody's code stays text.

use crate::chat_template::{ChatError, ChatTemplate, Turn};
use crate::tokenizer::Tokenizer;
use std::path::Path;

/// What stands for the texts while the template is rendered: nothing a template trims, splits or changes the case of.
const USER: &str = "0lacuna1user2";
const ANSWER: &str = "3lacuna4answer5";

/// What a checkpoint's template puts around the two texts of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chat {
    /// From the beginning to the last control token before the user's text.
    pub open: Vec<u32>,
    /// Between that token and the user's text.
    pub user_before: String,
    /// Between the user's text and the next control token.
    pub user_after: String,
    /// From there to the last control token before the answer.
    pub turn: Vec<u32>,
    /// Between that token and the answer.
    pub answer_before: String,
    /// Between the answer and the control token that ends it.
    pub answer_after: String,
    /// Ends the answer.
    pub end: Option<u32>,
}

/// A part of a rendered template.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Control(u32),
    Text(String),
}

impl Chat {
    /// What the files in `folder` say of chats. `None` where they hold no template, and where `ends` (the tokens that end
    /// a text by `generation_config.json`) lack the token by which the template ends an answer: such a model was not
    /// tuned on chats, whatever lies beside it.
    pub(crate) fn find(
        folder: &Path,
        ends: &[u32],
        tokenizer: &mut Tokenizer,
    ) -> Result<Option<Self>, ChatError> {
        let Some(template) = ChatTemplate::find(folder)? else { return Ok(None) };
        let chat = Self::resolve(&template, tokenizer)?;
        let otherwise = chat.end.is_some_and(|end| !ends.is_empty() && !ends.contains(&end));
        if otherwise {
            tracing::info!(
                "{}: its answers end by a token that generation_config.json does not name under eos_token_id: \
                 the model is prompted without instructions",
                template.file
            );
            return Ok(None);
        }
        Ok(Some(Self { end: chat.end.or(ends.first().copied()), ..chat }))
    }

    /// Renders the template around placeholders and takes it apart.
    pub(crate) fn resolve(template: &ChatTemplate, tokenizer: &mut Tokenizer) -> Result<Self, ChatError> {
        let fault = |reason: String| ChatError { file: template.file.clone(), line: None, reason };
        let failed = |error: tokenizers::Error| fault(format!("cannot be tokenised: {error}"));
        let asked = template.render(&[Turn::User(USER)], true)?;
        let answered = template.render(&[Turn::User(USER), Turn::Model(ANSWER)], false)?;
        for text in [&template.source, &asked, &answered] {
            tokenizer.protect(text).map_err(failed)?;
        }
        let (open, turn) = around(&asked, USER).map_err(fault)?;
        let (_, end) = around(&answered, ANSWER).map_err(fault)?;
        let open = pieces(tokenizer, open).map_err(failed)?;
        let turn = pieces(tokenizer, turn).map_err(failed)?;
        let end = pieces(tokenizer, end).map_err(failed)?;
        let (_, open, user_before) = split(&open, false);
        let (user_after, turn, answer_before) = split(&turn, true);
        let (answer_after, end, _) = split(&end, true);
        let end = end.iter().find_map(|piece| if let Piece::Control(id) = piece { Some(*id) } else { None });
        Ok(Self {
            open: ids(tokenizer, open).map_err(failed)?,
            user_before,
            user_after,
            turn: ids(tokenizer, turn).map_err(failed)?,
            answer_before,
            answer_after: if end.is_some() { answer_after } else { String::new() },
            end,
        })
    }
}

/// What stands before and after a placeholder, which must be there exactly once.
fn around<'t>(text: &'t str, placeholder: &str) -> Result<(&'t str, &'t str), String> {
    let count = text.matches(placeholder).count();
    text.split_once(placeholder).filter(|_| count == 1).ok_or_else(|| {
        format!("expected a template that writes a message once and as it is, found one that writes it {count} times")
    })
}

/// Cuts a rendered text at its control tokens.
fn pieces(tokenizer: &mut Tokenizer, text: &str) -> Result<Vec<Piece>, tokenizers::Error> {
    let mut pieces = Vec::new();
    let mut end = 0;
    for (id, range) in tokenizer.control_tokens(text)? {
        if end < range.start {
            pieces.push(Piece::Text(text[end..range.start].to_owned()));
        }
        pieces.push(Piece::Control(id));
        end = range.end;
    }
    if end < text.len() {
        pieces.push(Piece::Text(text[end..].to_owned()));
    }
    Ok(pieces)
}

/// Tokens of pieces that belong together.
fn ids(tokenizer: &Tokenizer, pieces: &[Piece]) -> Result<Vec<u32>, tokenizers::Error> {
    let mut ids = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Control(id) => ids.push(*id),
            Piece::Text(text) => ids.extend(tokenizer.encode(text)?),
        }
    }
    Ok(ids)
}

/// The text before the first control token (if `leading`), what is between the first and the last, and the text after it.
fn split(pieces: &[Piece], leading: bool) -> (String, &[Piece], String) {
    let text = |piece: Option<&Piece>| match piece {
        Some(Piece::Text(text)) => text.clone(),
        _ => String::new(),
    };
    let control = |piece: &Piece| matches!(piece, Piece::Control(_));
    let Some(last) = pieces.iter().rposition(control) else {
        // Text alone: it belongs to what stands beside it.
        let alone = text(pieces.first());
        return if leading { (alone, &[], String::new()) } else { (String::new(), &[], alone) };
    };
    let first = if leading { pieces.iter().position(control).unwrap_or(0) } else { 0 };
    let before = if first > 0 { text(pieces.first()) } else { String::new() };
    (before, &pieces[first..=last], text(pieces.get(last + 1)))
}

#[cfg(test)]
#[path = "chat_tests.rs"]
mod tests;
