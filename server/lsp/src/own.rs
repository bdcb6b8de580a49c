//! Lacuna's own messages; `own/messages.md` documents them for those who write clients.

pub mod document;
pub mod frame;
pub mod status;

/// The page that documents them; a test holds its hash, so that no message changes unnoticed.
pub const MESSAGES: &str = include_str!("own/messages.md");

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::{DefaultHasher, Hash, Hasher};

    /// A message that changes changes its page, and that is a change clients must be told of: bump the version there
    /// and then the hash here.
    #[test]
    fn the_page_changes_knowingly() {
        let mut hasher = DefaultHasher::new();
        MESSAGES.hash(&mut hasher);
        assert_eq!(hasher.finish(), 0, "own/messages.md changed: is every client told?");
    }

    #[test]
    fn every_message_is_on_the_page() {
        use tower_lsp::gen_lsp_types::Notification as _;
        for method in [
            frame::FrameNotification::METHOD.as_str(),
            status::StatusNotification::METHOD.as_str(),
            document::METHOD,
        ] {
            assert!(MESSAGES.contains(&format!("`{method}`")), "{method} is not documented");
        }
    }
}
