//! Proposals under later edits.

use lacuna_text::{Change, Edit, Proposal, Rope};
use proptest::prelude::*;

/// The proposal after the edit, as range and insert.
fn check(
    proposal: (std::ops::Range<usize>, &str),
    edits: &[Edit],
    expected: Option<(std::ops::Range<usize>, &str)>,
) {
    let start = Proposal::new(3, Change::new(proposal.0, proposal.1));
    let end = edits.iter().try_fold(start, |proposal, edit| proposal.rebase(edit));
    assert_eq!(end.as_ref().map(|end| (end.change.range.clone(), end.change.insert.as_str())), expected);
    if let Some(end) = end {
        assert_eq!(end.version, 3 + edits.len() as u64);
    }
}

#[test]
fn typing_it_shrinks_it() {
    check((5..5, "hello"), &[Edit::insert(5, "h"), Edit::insert(6, "el")], Some((8..8, "lo")));
    check((5..5, "hello"), &[Edit::insert(5, "x")], None);
    check((5..5, "hello"), &[Edit::insert(5, "hello")], None);
    check((5..5, "hello"), &[Edit::insert(5, "hello!")], None);
    check((5..8, "hello"), &[Edit::insert(5, "h")], Some((6..9, "ello")));
    check((5..8, "hello"), &[Edit::single(Change::new(5..8, "he"))], Some((7..7, "llo")));
    check((5..8, "hello"), &[Edit::insert(5, "hello")], Some((10..13, "")));
}

#[test]
fn erasing_what_was_typed_gives_it_back() {
    let typed = Edit::insert(5, "hel");
    check((5..5, "hello"), &[typed.clone(), Edit::delete(7..8)], Some((7..7, "llo")));
    check((5..5, "hello"), &[typed.clone(), Edit::delete(5..8)], Some((5..5, "hello")));
    check((5..5, "hello"), &[typed.clone(), Edit::delete(4..8)], None);
    check((5..5, "hello"), &[typed, Edit::delete(6..7)], None);
}

#[test]
fn elsewhere_it_moves_or_stays() {
    check((5..8, "x"), &[Edit::insert(0, "ab")], Some((7..10, "x")));
    check((5..8, "x"), &[Edit::delete(0..2)], Some((3..6, "x")));
    check((5..8, "x"), &[Edit::insert(9, "ab")], Some((5..8, "x")));
    check((5..8, "x"), &[Edit::insert(8, "ab")], Some((5..8, "x")));
    let both = Edit::new(vec![Change::new(0..0, "ab"), Change::new(12..13, "")]).unwrap();
    check((5..8, "x"), &[both], Some((7..10, "x")));
}

#[test]
fn within_it_only_erasing_is_survived() {
    check((5..8, "x"), &[Edit::delete(6..7)], Some((5..7, "x")));
    check((5..8, "x"), &[Edit::delete(5..8)], Some((5..5, "x")));
    check((5..8, "x"), &[Edit::insert(6, "y")], None);
    check((5..8, "x"), &[Edit::delete(4..6)], None);
    check((5..8, "x"), &[Edit::delete(7..9)], None);
    check((5..8, "x"), &[Edit::delete(3..5)], None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    /// Accepting later gives the text that accepting at once and editing elsewhere would have given.
    #[test]
    fn accepting_commutes_with_what_it_survives(
        text in "[ab]{6,12}",
        (start, length) in (0_usize..5, 0_usize..3),
        insert in "[ab]{1,4}",
        (at, deleted, typed) in (0_usize..12, 0_usize..2, "[ab]{0,2}"),
    ) {
        let range = start..(start + length).min(text.len());
        let proposal = Proposal::new(0, Change::new(range.clone(), insert.clone()));
        let at = at.min(text.len());
        let edit = Edit::single(Change::new(at..(at + deleted).min(text.len()), typed.clone()));
        prop_assume!(!edit.is_empty());
        let Some(after) = proposal.rebase(&edit) else { return Ok(()) };
        let mut later = Rope::from_str(&text);
        edit.apply(&mut later).unwrap();
        let start = after.change.range.start;
        prop_assert_eq!(later.byte_slice(start - after.typed.len()..start).to_string(), after.typed.clone());
        Edit::single(after.change.clone()).apply(&mut later).unwrap();
        let change = &edit.changes()[0];
        let wanted = if change.range.end < range.start || change.range.start > range.end
            || (change.range.start == range.end && change.range.start > range.start) {
            let mut both = vec![proposal.change.clone()];
            both.push(change.clone());
            let mut once = Rope::from_str(&text);
            Edit::new(both).unwrap().apply(&mut once).unwrap();
            once.to_string()
        } else {
            // Typed into or erased within: the proposal's text in place of its range.
            format!("{}{insert}{}", &text[..range.start], &text[range.end..])
        };
        prop_assert_eq!(later.to_string(), wanted);
    }
}
