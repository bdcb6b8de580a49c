//! `lacuna/frame`: the canvas after a denoising step, so that an editor can show the text condensing. Opt-in.

use lacuna_engine::{Cell, Frame};
use serde::{Deserialize, Serialize};
use tower_lsp::gen_lsp_types::{LspNotificationMethod, MessageDirection, Notification, Range, Uri};

/// The notification.
#[derive(Debug)]
pub enum FrameNotification {}

impl Notification for FrameNotification {
    type Params = FrameParams;
    const METHOD: LspNotificationMethod<'static> = LspNotificationMethod::Custom("lacuna/frame");
    const MESSAGE_DIRECTION: MessageDirection = MessageDirection::ServerToClient;
}

/// Its parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FrameParams {
    /// The document that is filled.
    pub uri: Uri,
    /// The version the request was made of; a client that has moved on drops the frame.
    pub version: i32,
    /// What is being replaced, in that version.
    pub range: Range,
    /// Which canvas of the batch this is.
    pub canvas: usize,
    /// Block of a text longer than one canvas, from 0.
    pub block: usize,
    /// Denoising step, from 1.
    pub step: usize,
    /// The most steps this block may take.
    pub steps_max: usize,
    /// The hole's tokens, in order.
    pub cells: Vec<Cell>,
}

impl FrameParams {
    /// A frame of the engine's, for a place in a document.
    #[must_use]
    pub fn new(uri: Uri, version: i32, range: Range, frame: Frame) -> Self {
        let Frame { canvas, block, step, steps_max, cells } = frame;
        Self { uri, version, range, canvas, block, step, steps_max, cells }
    }
}
