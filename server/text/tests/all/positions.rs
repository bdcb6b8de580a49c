//! Positions in three encodings against a naive model over strings.

use lacuna_text::position::{offset, position};
use lacuna_text::{Encoding, Position, Rope};
use proptest::prelude::*;

const ENCODINGS: [Encoding; 3] = [Encoding::Utf8, Encoding::Utf16, Encoding::Utf32];

fn check(text: &str, encoding: Encoding, (line, character): (usize, usize), expected: usize) {
    assert_eq!(offset(&Rope::from_str(text), Position::new(line, character), encoding), expected);
}

#[test]
fn clamps_as_the_protocol_says() {
    let text = "ab\r\nc𝄞d\re\u{2028}f";
    check(text, Encoding::Utf16, (0, 9), 2);
    check(text, Encoding::Utf16, (1, 0), 4);
    check(text, Encoding::Utf16, (1, 1), 5);
    check(text, Encoding::Utf16, (1, 2), 5); // inside the surrogate pair
    check(text, Encoding::Utf16, (1, 3), 9);
    check(text, Encoding::Utf16, (1, 99), 10);
    check(text, Encoding::Utf8, (1, 3), 5); // inside the character
    check(text, Encoding::Utf8, (1, 5), 9);
    check(text, Encoding::Utf32, (1, 2), 9);
    check(text, Encoding::Utf32, (2, 2), 15); // U+2028 ends no line
    check(text, Encoding::Utf8, (3, 0), text.len());
    check("", Encoding::Utf16, (0, 5), 0);
    check("a\n", Encoding::Utf16, (1, 0), 2);
    check("a\n", Encoding::Utf16, (2, 0), 2);
}

#[test]
fn an_offset_inside_a_line_break_is_the_end_of_its_line() {
    let text = Rope::from_str("ab\r\nc");
    assert_eq!(position(&text, 3, Encoding::Utf16), Position::new(0, 2));
    assert_eq!(position(&text, 4, Encoding::Utf16), Position::new(1, 0));
    assert_eq!(position(&text, 99, Encoding::Utf16), Position::new(1, 1));
}

/// Lines without their breaks and where they start, by the definition.
fn lines(text: &str) -> Vec<(usize, &str)> {
    let (mut lines, mut start, mut at) = (Vec::new(), 0, 0);
    while at < text.len() {
        let width = match &text.as_bytes()[at..] {
            [b'\r', b'\n', ..] => 2,
            [b'\r' | b'\n', ..] => 1,
            _ => 0,
        };
        if width > 0 {
            lines.push((start, &text[start..at]));
            start = at + width;
        }
        at += width.max(1);
    }
    lines.push((start, &text[start..]));
    lines
}

fn units(c: char, encoding: Encoding) -> usize {
    match encoding {
        Encoding::Utf8 => c.len_utf8(),
        Encoding::Utf16 => c.len_utf16(),
        Encoding::Utf32 => 1,
    }
}

fn naive_offset(text: &str, at: Position, encoding: Encoding) -> usize {
    let lines = lines(text);
    let Some((start, line)) = lines.get(at.line) else { return text.len() };
    let (mut offset, mut seen) = (*start, 0);
    for c in line.chars() {
        seen += units(c, encoding);
        if seen > at.character {
            break;
        }
        offset += c.len_utf8();
    }
    offset
}

fn naive_position(text: &str, offset: usize, encoding: Encoding) -> Position {
    let lines = lines(text);
    let line = lines.iter().rposition(|(start, _)| *start <= offset).unwrap();
    let (start, content) = lines[line];
    let within = (offset - start).min(content.len());
    Position::new(line, content[..within].chars().map(|c| units(c, encoding)).sum())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn agree_with_the_naive_model(text in "[ab\r\n𝄞é\u{2028}\u{85}]{0,24}", line in 0_usize..8, character in 0_usize..16) {
        let rope = Rope::from_str(&text);
        for encoding in ENCODINGS {
            let at = Position::new(line, character);
            prop_assert_eq!(offset(&rope, at, encoding), naive_offset(&text, at, encoding));
            for (index, _) in text.char_indices().chain([(text.len(), ' ')]) {
                let at = position(&rope, index, encoding);
                prop_assert_eq!(at, naive_position(&text, index, encoding));
                let inside_break = text.as_bytes()[..index].ends_with(b"\r") && text.as_bytes()[index..].starts_with(b"\n");
                let back = if inside_break { index - 1 } else { index };
                prop_assert_eq!(offset(&rope, at, encoding), back);
            }
        }
    }
}
