//! The engine behind the contract: owns the network, its KV cache and the tokenizer, and answers one request at a time.

use crate::abilities::Abilities;
use crate::chat::Chat;
use crate::chat_prompt::Layout;
use crate::config::{GenerationConfig, Noise};
use crate::heal::{Lead, heal};
use crate::lengths::grid;
use crate::prompt::{Head, Parts, Prompt, TOKEN_BYTES_MAX, start_of};
use crate::rank::tokenizer_fault;
use crate::repeats::TokenCache;
use crate::session::Session;
use crate::tokenizer::Tokenizer;
use crate::watch::ms;
use lacuna_engine::{
    CancelToken, Engine, EngineError, FrameSink, GenerateRequest, InfillRequest, Infilled, Limits, Method,
    ModelInfo, NoiseInfo, ScoreRequest, Scored, Start, TokenCounter,
};
use std::sync::Arc;
use std::time::Instant;

/// A loaded DiffusionGemma checkpoint, ready to fill holes.
pub struct DiffusionEngine {
    pub(crate) session: Session,
    pub(crate) tokenizer: Arc<Tokenizer>,
    pub(crate) generation: GenerationConfig,
    pub(crate) abilities: Abilities,
    pub(crate) limits: Limits,
    /// Tokens of what lay near the last holes.
    pub(crate) near: TokenCache,
    pub(crate) source: String,
    /// How the checkpoint is asked by chat, if it is one that follows instructions.
    pub(crate) chat: Option<Chat>,
}

impl std::fmt::Debug for DiffusionEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiffusionEngine").field("source", &self.source).finish_non_exhaustive()
    }
}

impl DiffusionEngine {
    /// The prompt that ends in the text `prefix`.
    pub(crate) fn prompt(&self, language: Option<&str>, prefix: &str) -> Result<Prompt, EngineError> {
        let prefix = self.tokenizer.encode(prefix).map_err(tokenizer_fault)?;
        let header = self.abilities.prompt.header(language);
        self.assemble(Parts { header, prefix, ..Parts::default() }, None)
    }

    fn assemble(&self, parts: Parts, lead: Option<Lead>) -> Result<Prompt, EngineError> {
        let head = match self.abilities.whole_text {
            true => Head::AllText,
            false => Head::Tokens(self.abilities.head_tokens),
        };
        parts.assemble(self.abilities.prompt_tokens_max, head, lead)
    }

    /// The prompt of an infill request, healed at the cursor.
    pub(crate) fn healed_prompt(&self, request: &InfillRequest) -> Result<Prompt, EngineError> {
        self.infill_prompt(request, self.far_suffix(&request.suffix)?)
    }

    /// As [`DiffusionEngine::healed_prompt`], of what stands before the hole alone (but for a model that is asked by chat).
    pub(crate) fn prefix_prompt(&self, request: &InfillRequest) -> Result<Prompt, EngineError> {
        self.infill_prompt(request, Vec::new())
    }

    /// The first tokens of what follows the hole's line, as many as the checkpoint wants in its prompt.
    fn far_suffix(&self, suffix: &str) -> Result<Vec<u32>, EngineError> {
        let count = self.abilities.far_suffix_tokens_max;
        let Some(line_end) = suffix.find('\n').filter(|_| count > 0) else { return Ok(Vec::new()) };
        let behind = start_of(&suffix[line_end..], count * TOKEN_BYTES_MAX);
        let mut ids = self.tokenizer.encode(behind).map_err(tokenizer_fault)?;
        ids.truncate(count);
        Ok(ids)
    }

    fn infill_prompt(&self, request: &InfillRequest, far_suffix: Vec<u32>) -> Result<Prompt, EngineError> {
        if let Some(chat) = &self.chat {
            return chat.prompt(&self.tokenizer, request, self.chat_layout(request)?);
        }
        let (prefix, lead) = match self.abilities.whole_text {
            // Every token of such a text has its place; none is cut or taken back.
            true => (self.tokenizer.encode(&request.prefix).map_err(tokenizer_fault)?, None),
            false => heal(&self.tokenizer, &request.prefix).map_err(tokenizer_fault)?,
        };
        let context = self.tokenizer.encode(&request.context).map_err(tokenizer_fault)?;
        let header = self.abilities.prompt.header(request.language.as_deref());
        self.assemble(Parts { header, context, far_suffix, prefix }, lead)
    }

    /// What a canvas shows to the right of the hole.
    pub(crate) fn canvas_suffix(&self, request: &InfillRequest) -> Result<Vec<u32>, EngineError> {
        match &self.chat {
            Some(chat) => chat.near_suffix(&self.tokenizer, request, self.abilities.canvas_length),
            None => self.near_suffix(request),
        }
    }

    fn chat_layout(&self, request: &InfillRequest) -> Result<Layout, EngineError> {
        let (canvas, head) = (self.abilities.canvas_length, self.abilities.head_tokens);
        let hole_max = self.abilities.hole_tokens_max;
        let lengths = match (&request.sampling.lengths, &request.start) {
            (Some(lengths), _) if !lengths.is_empty() => lengths.clone(),
            (_, Start::Text { text, .. }) => {
                vec![self.tokenizer.encode(text).map_err(tokenizer_fault)?.len()]
            }
            _ if self.abilities.blank.is_some() => self.abilities.length_buckets.clone(),
            _ => grid(request.kind, hole_max, usize::MAX),
        };
        let longest = lengths.into_iter().max().unwrap_or(hole_max).min(hole_max);
        let shown = canvas.saturating_sub(head + longest);
        Ok(Layout { prompt_max: self.abilities.prompt_tokens_max, head, shown })
    }
}

impl Engine for DiffusionEngine {
    fn info(&self) -> ModelInfo {
        let (config, backend) = (self.session.config(), self.session.backend());
        ModelInfo {
            source: self.source.clone(),
            parameters: backend.parameters() as u64,
            weight_bytes: backend.weight_bytes() as u64,
            precision: backend.precision().to_owned(),
            device: backend.device(),
            threads: self.session.threads(),
            layers: config.layers.len(),
            hidden: config.hidden_size,
            vocabulary: config.vocab_size,
            canvas_length: self.abilities.canvas_length,
            prompt_tokens_max: self.abilities.text_tokens_max(),
            hole_tokens_max: self.abilities.hole_tokens_max,
            noise: match self.abilities.noise {
                Noise::Uniform => NoiseInfo::Uniform,
                Noise::Mask { uniform_share, .. } => NoiseInfo::Mask { uniform_share },
            },
            blank_token: self.abilities.blank.is_some(),
            fim: self.abilities.fim.is_some(),
            instruct: self.chat.is_some(),
            languages: self.abilities.prompt.languages(),
        }
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn counter(&self) -> TokenCounter {
        let tokenizer = Arc::clone(&self.tokenizer);
        // A text that the tokenizer refuses still has a length: count its bytes, the safe side of a budget.
        Arc::new(move |text| tokenizer.encode(text).map_or(text.len(), |ids| ids.len()))
    }

    fn hole_tokens(&self, prefix: &str, text: &str) -> usize {
        let lead = match self.abilities.whole_text {
            true => None,
            false => heal(&self.tokenizer, prefix).ok().and_then(|(_, lead)| lead),
        };
        self.count_tokens(&format!("{}{text}", lead.map_or_else(String::new, |lead| lead.text)))
    }

    fn infill(
        &mut self,
        request: &InfillRequest,
        cancel: &CancelToken,
        sink: &mut dyn FrameSink,
    ) -> Result<Infilled, EngineError> {
        self.fill(request, cancel, sink)
    }

    fn infill_by(
        &mut self,
        method: Method,
        request: &InfillRequest,
        cancel: &CancelToken,
    ) -> Result<Infilled, EngineError> {
        self.session.expect(None);
        match method {
            Method::Diffusion => self.fill(request, cancel, &mut lacuna_engine::NoFrames),
            Method::Causal => self.fill_causal(request, cancel),
            Method::CausalFim => self.fill_causal_fim(request, cancel),
        }
    }

    fn generate(
        &mut self,
        request: &GenerateRequest,
        cancel: &CancelToken,
        sink: &mut dyn FrameSink,
    ) -> Result<Infilled, EngineError> {
        self.session.expect(None);
        self.continue_text(request, cancel, sink)
    }

    fn score(&mut self, request: &ScoreRequest, cancel: &CancelToken) -> Result<Scored, EngineError> {
        request.validate(&self.limits)?;
        self.session.expect(None);
        let start = Instant::now();
        let prompt = self.prompt(request.language.as_deref(), &request.prefix)?;
        let text = self.tokenizer.encode(&request.text).map_err(tokenizer_fault)?;
        self.session.read(&prompt.ids, cancel)?;
        let sequence = [&prompt.head[..], &text].concat();
        let log_probs =
            self.session.log_probs(&[sequence], prompt.head.len(), cancel)?.pop().unwrap_or_default();
        tracing::debug!(tokens = text.len(), ms = ms(start), "scored");
        Ok(Scored { tokens: text.iter().map(|&id| self.tokenizer.piece(id)).collect(), log_probs })
    }
}
