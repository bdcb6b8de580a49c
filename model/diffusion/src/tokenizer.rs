//! Text to tokens and back. User text never becomes a special token, whatever it spells.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;
use tokenizers::{AddedToken, Tokenizer as HfTokenizer};

/// A Hugging Face `tokenizer.json`, held to the vocabulary of the model it serves.
#[derive(Debug)]
pub(crate) struct Tokenizer {
    inner: HfTokenizer,
    /// Text of every id below the model's vocabulary size, made when first asked for.
    pieces: OnceLock<Vec<String>>,
    vocabulary: usize,
    /// What messages call the file.
    file: String,
}

/// Tokens of a text, with where they begin and the pre-tokenizer's unit they belong to.
pub(crate) struct Units {
    pub ids: Vec<u32>,
    /// Bytes, after CR became LF.
    pub starts: Vec<usize>,
    pub units: Vec<Option<u32>>,
}

/// Why a tokenizer cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenizerError {
    #[error("{file}: {reason}; a model directory holds config.json, tokenizer.json and model.safetensors")]
    Unreadable { file: String, reason: String },
    #[error("{file}: not a tokenizer.json: {reason}; fetch the file again")]
    Damaged { file: String, reason: String },
    #[error(
        "{file}: found {tokenizer} tokens (highest id {highest}), but the config.json beside it says vocab_size {model}: \
         they belong to different models; fetch both from one"
    )]
    Vocabulary { file: String, tokenizer: usize, highest: u32, model: usize },
    #[error(
        "{file}: expected the token {token:?}, which the config.json beside it names, found none: they belong to different \
         models; fetch both from one"
    )]
    NoSuchToken { file: String, token: String },
}

impl Tokenizer {
    /// Reads `tokenizer.json` from a file and holds it against `vocabulary` of the model.
    pub(crate) fn from_file(path: &Path, vocabulary: usize) -> Result<Self, TokenizerError> {
        let file = path.display().to_string();
        let bytes = std::fs::read(path)
            .map_err(|error| TokenizerError::Unreadable { file: file.clone(), reason: error.to_string() })?;
        Self::from_bytes(&bytes, &file, vocabulary)
    }

    /// The same from memory; `file` is what errors call it.
    pub(crate) fn from_bytes(bytes: &[u8], file: &str, vocabulary: usize) -> Result<Self, TokenizerError> {
        let file = file.to_owned();
        let damaged = |reason: String| TokenizerError::Damaged { file: file.clone(), reason };
        let mut inner = HfTokenizer::from_bytes(bytes).map_err(|e| damaged(e.to_string()))?;
        inner.set_encode_special_tokens(true);
        // A file may carry its own padding or truncation; a prompt must never be cut or padded silently.
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|e| damaged(e.to_string()))?;
        let highest = inner.get_vocab(true).values().copied().max().unwrap_or(0);
        let tokens = inner.get_vocab_size(true);
        // Vocabularies are padded to round sizes, but not by half.
        let unused = vocabulary.saturating_sub(highest as usize + 1);
        if tokens == 0 || highest as usize >= vocabulary || unused > (vocabulary / 8).max(256) {
            return Err(TokenizerError::Vocabulary { file, tokenizer: tokens, highest, model: vocabulary });
        }
        Ok(Self { inner, pieces: OnceLock::new(), vocabulary, file })
    }

    /// Token ids of user text. No special token is added or recognised. CRLF and lone CR are read as LF: models see one
    /// line ending, and whoever splices an answer gives it the document's own.
    pub(crate) fn encode(&self, text: &str) -> Result<Vec<u32>, tokenizers::Error> {
        if text.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.inner.encode_fast(line_feeds(text).as_ref(), false)?.get_ids().to_vec())
    }

    /// As [`Tokenizer::encode_offsets`], with the pre-tokenizer's unit that each token belongs to.
    pub(crate) fn encode_units(&self, text: &str) -> Result<Units, tokenizers::Error> {
        let encoding = self.inner.encode(line_feeds(text).as_ref(), false)?;
        let starts = encoding.get_offsets().iter().map(|&(start, _)| start).collect();
        Ok(Units { ids: encoding.get_ids().to_vec(), starts, units: encoding.get_word_ids().to_vec() })
    }

    /// As [`Tokenizer::encode`], with the byte at which each token begins (after CR became LF).
    pub(crate) fn encode_offsets(&self, text: &str) -> Result<(Vec<u32>, Vec<usize>), tokenizers::Error> {
        let encoding = self.inner.encode(line_feeds(text).as_ref(), false)?;
        let starts = encoding.get_offsets().iter().map(|&(start, _)| start).collect();
        Ok((encoding.get_ids().to_vec(), starts))
    }

    /// Makes every marker among the added tokens that `source` spells a special token, whatever `tokenizer.json` says, so
    /// that no user text becomes one.
    pub(crate) fn protect(&mut self, source: &str) -> Result<(), tokenizers::Error> {
        let edge = |c: Option<char>| c.is_some_and(|c| !c.is_alphanumeric() && !c.is_whitespace());
        let marks = |text: &str| text.len() > 2 && edge(text.chars().next()) && edge(text.chars().last());
        let added = self.inner.get_added_tokens_decoder();
        let tokens = added.values().filter(|token| !token.special && marks(&token.content));
        let tokens = tokens.filter(|token| source.contains(&token.content));
        let tokens: Vec<AddedToken> =
            tokens.map(|token| AddedToken { special: true, ..token.clone() }).collect();
        self.inner.add_special_tokens(tokens)?;
        Ok(())
    }

    /// Where a text of the model's own files (a rendered chat template) spells special tokens.
    pub(crate) fn control_tokens(
        &mut self,
        text: &str,
    ) -> Result<Vec<(u32, Range<usize>)>, tokenizers::Error> {
        self.inner.set_encode_special_tokens(false);
        let encoding = self.inner.encode(text, false);
        self.inner.set_encode_special_tokens(true);
        let (encoding, special) = (encoding?, self.special_ids());
        let tokens = encoding.get_ids().iter().zip(encoding.get_offsets());
        let tokens = tokens.filter(|(id, _)| special.binary_search(id).is_ok());
        Ok(tokens.map(|(&id, &(start, end))| (id, start..end)).collect())
    }

    /// Text of tokens; special tokens vanish, broken UTF-8 becomes U+FFFD.
    pub(crate) fn decode(&self, ids: &[u32]) -> Result<String, tokenizers::Error> {
        self.inner.decode(ids, true)
    }

    /// Text of every token, by id; specials and ids without a token are empty.
    pub(crate) fn pieces(&self) -> &[String] {
        self.pieces.get_or_init(|| {
            (0..self.vocabulary as u32).map(|id| self.inner.decode(&[id], true).unwrap_or_default()).collect()
        })
    }

    /// Text of one token for display.
    pub(crate) fn piece(&self, id: u32) -> String {
        self.inner.decode(&[id], false).unwrap_or_default()
    }

    /// The id of a token that the model's files name.
    pub(crate) fn id_of(&self, token: &str) -> Result<u32, TokenizerError> {
        let missing = || TokenizerError::NoSuchToken { file: self.file.clone(), token: token.to_owned() };
        self.inner.token_to_id(token).ok_or_else(missing)
    }

    /// Ids of the special tokens, ascending: never part of a candidate.
    pub(crate) fn special_ids(&self) -> Vec<u32> {
        let mut ids: Vec<u32> = self
            .inner
            .get_added_tokens_decoder()
            .iter()
            .filter(|(_, t)| t.special)
            .map(|(&id, _)| id)
            .collect();
        ids.sort_unstable();
        ids
    }
}

/// The text with every line break a line feed.
pub(crate) fn line_feeds(text: &str) -> Cow<'_, str> {
    if text.contains('\r') {
        Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(text)
    }
}
