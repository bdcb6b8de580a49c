//! From a request to the tokens of a chat: what the user's turn says, how much of it fits, and what the canvas shows.

use crate::chat::Chat;
use crate::heal::heal;
use crate::prompt::{Prompt, TOKEN_BYTES_MAX, cut, split_head, start_of};
use crate::rank::tokenizer_fault;
use crate::tokenizer::{Tokenizer, line_feeds};
use lacuna_engine::{EngineError, InfillRequest};
use std::borrow::Cow;
use std::fmt::Write;

/// The far suffix begins at a line whose number from the end is a multiple of this (or of the power of two that fits into
/// what is in view), so that a cursor that moves a few lines leaves it, and with it the KV cache, as it is.
const FAR_LINES_STEP: usize = 8;

/// Tokens that texts may be off when they are counted one by one.
const COUNT_SLACK: usize = 8;

/// Measures of the model that a chat is laid out by, in tokens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// Most tokens of the prompt.
    pub prompt_max: usize,
    /// Prompt tokens that stand on the canvas.
    pub head: usize,
    /// Suffix tokens that every canvas of this request shows.
    pub shown: usize,
}

/// The texts of a request, with line feeds only.
struct Texts<'r> {
    language: String,
    context: Cow<'r, str>,
    prefix: Cow<'r, str>,
    suffix: Cow<'r, str>,
    instruction: Cow<'r, str>,
    fence: String,
}

impl<'r> Texts<'r> {
    fn of(request: &'r InfillRequest) -> Self {
        let [context, prefix, suffix] =
            [&request.context, &request.prefix, &request.suffix].map(|t| line_feeds(t));
        let instruction = line_feeds(request.instruction.as_deref().unwrap_or_default());
        // A language id is a word; whatever else a caller sends must not end the fence's line.
        let word = |c: &char| c.is_alphanumeric() || "+#-_.".contains(*c);
        let language = request.language.iter().flat_map(|id| id.chars()).filter(word).collect();
        let longest = [&context, &prefix, &suffix].map(|text| backticks(text)).into_iter().max().unwrap_or(0);
        let fence = "`".repeat(longest.max(2) + 1);
        Self { language, context, prefix, suffix, instruction, fence }
    }

    /// What the user says.
    fn user(&self, context: &str, far: &str, instruction: &str) -> String {
        let code =
            if self.language.is_empty() { "text".to_owned() } else { format!("{} code", self.language) };
        let mut user = format!(
            "You fill holes in {code}. The file's {code} before the hole is already written, as the beginning of your \
             answer: go on from there, so that it joins what comes after the hole. Answer with the file in one fenced \
             block and nothing else."
        );
        let mut section = |title: &str, code: &str| {
            if !code.is_empty() {
                let line_end = if code.ends_with('\n') { "" } else { "\n" };
                let (fence, language) = (&self.fence, &self.language);
                // Writing to a string cannot fail.
                let _ = write!(user, "\n\n{title}\n{fence}{language}\n{code}{line_end}{fence}");
            }
        };
        section("Other code, for reference:", context);
        section("Further below in the same file:", far);
        let instruction = instruction.trim();
        if !instruction.is_empty() {
            let _ = write!(user, "\n\nWhat the new code is to do: {instruction}");
        }
        user
    }
}

impl Chat {
    /// The prompt of a request: all of the chat before the hole.
    ///
    /// # Errors
    /// A tokenizer that fails.
    pub(crate) fn prompt(
        &self,
        tokenizer: &Tokenizer,
        request: &InfillRequest,
        layout: Layout,
    ) -> Result<Prompt, EngineError> {
        let texts = Texts::of(request);
        let opening = format!("{}{}{}\n", self.answer_before, texts.fence, texts.language);
        let (answer, lead) =
            heal(tokenizer, &format!("{opening}{}", texts.prefix)).map_err(tokenizer_fault)?;
        let opening = encode(tokenizer, &opening)?;
        // As a rule all of the opening's tokens; its line break may have joined one that the code begins with.
        let opened = opening.iter().zip(&answer).take_while(|(a, b)| a == b).count();
        let code = &answer[opened..];

        let user = self.user(tokenizer, &texts, (code.len() + opening.len(), layout))?;
        let mut ids = self.open.clone();
        ids.extend(encode(tokenizer, &user)?);
        ids.extend(&self.turn);
        let room = layout.prompt_max.saturating_sub(ids.len() + opening.len());
        let drop = cut(code.len(), room);
        ids.extend(if drop == 0 { &answer[..opened] } else { &opening });
        let header = ids.len();
        ids.extend(&code[drop..]);
        let (ids, head) = split_head(ids, layout.head)?;
        Ok(Prompt { ids, head, header, far_suffix: header..header, dropped: code[..drop].to_vec(), lead })
    }

    /// The user's turn with as much of the far texts as `answer` tokens leave room for. What it gives up it gives up in
    /// steps of an eighth of the prompt, or every key would have the whole prompt read anew.
    fn user(
        &self,
        tokenizer: &Tokenizer,
        texts: &Texts<'_>,
        (answer, layout): (usize, Layout),
    ) -> Result<String, EngineError> {
        let step = (layout.prompt_max / 8).max(1);
        let whole = |user: String| format!("{}{user}{}", self.user_before, self.user_after);
        let instruction = start_of(&texts.instruction, step.saturating_mul(TOKEN_BYTES_MAX / 4));
        let far = far_suffix(tokenizer, &texts.suffix, layout)?;
        let title = |text: &str| if text.is_empty() { "" } else { "\n" };
        let bare = whole(texts.user(title(&texts.context), title(far), instruction));
        let fixed = self.open.len() + self.turn.len() + encode(tokenizer, &bare)?.len() + COUNT_SLACK;
        let room = layout.prompt_max.saturating_sub(fixed + answer) / step * step;
        let far = first_lines(tokenizer, far, room.min(2 * step))?;
        let room = room.saturating_sub(encode(tokenizer, far)?.len());
        let context = first_lines(tokenizer, &texts.context, room.min(4 * step))?;
        Ok(whole(texts.user(context, far, instruction)))
    }

    /// As many suffix tokens as a canvas can show; where the document ends in view, so does the answer.
    ///
    /// # Errors
    /// A tokenizer that fails.
    pub(crate) fn near_suffix(
        &self,
        tokenizer: &Tokenizer,
        request: &InfillRequest,
        canvas: usize,
    ) -> Result<Vec<u32>, EngineError> {
        let texts = Texts::of(request);
        let near = start_of(&texts.suffix, canvas * TOKEN_BYTES_MAX);
        let mut ids;
        if request.suffix_ends && near.len() == texts.suffix.len() {
            let line_end = if near.ends_with('\n') { "" } else { "\n" };
            ids = encode(tokenizer, &format!("{near}{line_end}{}{}", texts.fence, self.answer_after))?;
            ids.extend(self.end);
        } else {
            ids = encode(tokenizer, near)?;
        }
        ids.truncate(canvas);
        Ok(ids)
    }

    /// Tokens of a prompt that holds no code at all.
    ///
    /// # Errors
    /// A tokenizer that fails.
    pub(crate) fn tokens_min(&self, tokenizer: &Tokenizer) -> Result<usize, EngineError> {
        let request = InfillRequest::new("", "", lacuna_engine::HoleKind::Line);
        let layout = Layout { prompt_max: usize::MAX, head: 1, shown: 0 };
        Ok(self.prompt(tokenizer, &request, layout)?.whole().len())
    }
}

fn encode(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>, EngineError> {
    tokenizer.encode(text).map_err(tokenizer_fault)
}

/// The longest run of backticks: a fence around the text must be longer.
fn backticks(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// Where the token number `count` begins; `None` where the text has no more tokens than that.
fn end_of_tokens(tokenizer: &Tokenizer, text: &str, count: usize) -> Result<Option<usize>, EngineError> {
    let near = start_of(text, count.saturating_add(1).saturating_mul(TOKEN_BYTES_MAX));
    let (_, starts) = tokenizer.encode_offsets(near).map_err(tokenizer_fault)?;
    // A token may begin inside a character.
    let beyond = (near.len() < text.len()).then_some(near.len());
    Ok(starts.get(count).map(|&start| start_of(text, start).len()).or(beyond))
}

/// The whole lines that the first `tokens_max` tokens hold.
fn first_lines<'t>(tokenizer: &Tokenizer, text: &'t str, tokens_max: usize) -> Result<&'t str, EngineError> {
    let Some(end) = end_of_tokens(tokenizer, text, tokens_max)? else { return Ok(text) };
    Ok(&text[..text[..end].rfind('\n').map_or(0, |line_break| line_break + 1)])
}

/// The lines of a suffix from the first one on that not every canvas shows.
fn far_suffix<'t>(tokenizer: &Tokenizer, suffix: &'t str, layout: Layout) -> Result<&'t str, EngineError> {
    let Some(end) = end_of_tokens(tokenizer, suffix, layout.shown)? else { return Ok("") };
    let (near, far) = suffix.split_at(end);
    let (in_view, left) = (near.matches('\n').count(), far.trim_end_matches('\n').matches('\n').count() + 1);
    let step = 1 << in_view.clamp(1, FAR_LINES_STEP).ilog2();
    // What is left of the hole's own line is no line of the file: it does not count.
    let mut lines = near.rmatch_indices('\n').map(|(line_break, _)| line_break + 1);
    Ok(&suffix[lines.nth(left.next_multiple_of(step) - left).unwrap_or(end)..])
}
