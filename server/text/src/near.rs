//! What lies near a hole and is not shown to the model: the same document's text before the window and after the hole.
//!
//! Plain text for whoever counts what is repeated. Typing at the hole leaves both texts as they are, so whatever is made of
//! them can be kept.

use crate::document::Snapshot;
use crate::plan::{Plan, to_lf};

/// Bytes of each side.
const REACH: usize = 16 * 1024;

/// The text before the plan's window and the text after its hole, up to 16 KiB each, the farther first; empty ones are left
/// out. Line breaks are `\n`.
#[must_use]
pub fn near(snapshot: &Snapshot, plan: &Plan) -> Vec<String> {
    let text = snapshot.text();
    let boundary = |at: usize| text.char_to_byte(text.byte_to_char(at.min(text.len_bytes())));
    let (start, end) = (plan.window.start, plan.region.range.end);
    let before = boundary(start.saturating_sub(REACH))..start;
    let after = end..boundary(end.saturating_add(REACH));
    let texts = [before, after].map(|range| to_lf(&text.byte_slice(range).to_string()));
    texts.into_iter().filter(|text| !text.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Document, Language, PlanSettings, Region, plan};

    fn near_marker(text: &str, prefix_tokens_max: usize) -> Vec<String> {
        let document = Document::new(text, Language::Rust);
        let region = Region::find_markers(&document).remove(0);
        let settings = PlanSettings { prefix_tokens_max, ..PlanSettings::default() };
        let planned = plan(&document, &region, &settings, &|text: &str| text.len()).unwrap();
        near(&document, &planned)
    }

    #[test]
    fn what_the_window_shows_is_left_out_and_the_rest_is_there() {
        let all = near_marker("fn a();\nfn b() { ‹› }\r\nfn c();\n", 1000);
        assert_eq!(all, [" }\nfn c();\n"], "the window reaches to the document's beginning");
        let cut = near_marker("fn a();\nfn b() { ‹› }\nfn c();\n", 12);
        assert_eq!(cut, ["fn a();\n", " }\nfn c();\n"]);
    }

    #[test]
    fn it_reaches_only_so_far_and_cuts_no_character() {
        let far = "ü".repeat(20_000);
        let texts = near_marker(&format!("// {far}\nfn b() {{ ‹› }}\n// {far}\n"), 12);
        assert!(texts.iter().all(|text| text.len() <= REACH + 1 && text.contains('ü')), "{}", texts.len());
        assert_eq!(texts.len(), 2);
    }
}
