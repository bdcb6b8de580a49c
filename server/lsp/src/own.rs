//! Lacuna's own messages; `own/messages.md` documents them for those who write clients.

pub mod document;
pub mod frame;
pub mod status;

/// The page that documents them; a test holds its hash, so that no message changes unnoticed.
pub const MESSAGES: &str = include_str!("own/messages.md");

#[cfg(test)]
mod tests {
    use super::*;

    /// FNV-1a, 64 bits.
    fn hash(text: &str) -> u64 {
        text.bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }

    /// A message that changes changes its page, and that is a change clients must be told of: bump the version there
    /// and then the hash here.
    #[test]
    fn the_page_changes_knowingly() {
        assert_eq!(hash(MESSAGES), 0xd3ca_87da_f2c6_169c, "own/messages.md changed: is every client told?");
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
