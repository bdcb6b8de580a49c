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

#[test]
fn a_word_accepted_is_typing() {
    check((5..5, "one two"), &[Edit::insert(5, "one"), Edit::insert(8, " two")], None);
    check((5..5, "one two"), &[Edit::insert(5, "one ")], Some((9..9, "two")));
    check((5..8, "one two"), &[Edit::insert(5, "one ")], Some((9..12, "two")));
}

#[test]
fn a_completion_that_spells_it_on() {
    let typed = Edit::insert(5, "he");
    check(
        (5..5, "hello()"),
        &[typed.clone(), Edit::single(Change::new(5..7, "hello"))],
        Some((10..10, "()")),
    );
    check((5..5, "hello()"), &[typed.clone(), Edit::single(Change::new(5..7, "help"))], None);
    check((5..5, "hello(a)"), &[typed, Edit::single(Change::new(5..7, "hello()"))], Some((11..12, "a)")));
}

#[test]
fn what_the_editor_closes_is_replaced() {
    check((5..5, "(a, b)"), &[Edit::insert(5, "()")], Some((6..7, "a, b)")));
    check((5..8, "(a, b)"), &[Edit::insert(5, "()")], Some((6..10, "a, b)")));
    check((5..5, "(a, b)"), &[Edit::insert(5, "()"), Edit::insert(6, "a, ")], Some((9..10, "b)")));
    // Typed over, the way Visual Studio Code reports it; and erased again.
    let over = Edit::single(Change::new(7..8, ")"));
    check((5..5, "(a) + 1"), &[Edit::insert(5, "()"), Edit::insert(6, "a"), over], Some((8..8, " + 1")));
    check((5..5, "(a, b)"), &[Edit::insert(5, "()"), Edit::delete(5..7)], Some((5..5, "(a, b)")));
    check((5..5, "(f(x))"), &[Edit::insert(5, "()"), Edit::insert(6, "f()")], Some((8..10, "x))")));
    check((5..5, "\"a\""), &[Edit::insert(5, "\"\"")], Some((6..7, "a\"")));
    check((5..5, "[0];"), &[Edit::insert(5, "[]")], Some((6..7, "0];")));
    // Not what it proposes to close, or not what was typed.
    check((5..5, "(a, b"), &[Edit::insert(5, "()")], None);
    check((5..5, "(a)"), &[Edit::insert(5, "(]")], None);
    check((5..5, "a)"), &[Edit::insert(5, ")")], None);
    check((5..5, "(a)"), &[Edit::insert(5, "(b)")], None);
}

#[test]
fn a_block_that_the_editor_opens() {
    let body = "{\n    a\n}";
    let opened = [Edit::insert(5, "{}"), Edit::insert(6, "\n    \n")];
    check((5..5, body), &opened, Some((11..13, "a\n}")));
    check((5..5, "\n    a"), &[Edit::insert(5, "\n    \n")], None);
    check((5..5, body), &[Edit::insert(5, "{}"), Edit::insert(6, "\n  \n")], Some((9..11, "  a\n}")));
    check((5..5, body), &[Edit::insert(5, "{}"), Edit::insert(6, "\n    b\n")], None);
}

/// Balanced brackets around words.
fn balanced() -> impl Strategy<Value = String> {
    let leaf = "[ab]{0,2}".prop_map(String::from);
    leaf.prop_recursive(3, 12, 3, |inner| {
        (prop::collection::vec(inner, 0..3), prop::sample::select(vec!["()", "[]", "{}"]))
            .prop_map(|(inner, pair)| format!("a{}{}{}b", &pair[..1], inner.concat(), &pair[1..]))
    })
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

    /// Typing a proposal in an editor that closes brackets: at every key it is still there, and accepting it gives the
    /// same text; with the last key it is gone.
    #[test]
    fn typed_in_an_editor_that_closes_brackets(
        (insert, removed) in (balanced(), 0_usize..3),
    ) {
        prop_assume!(!insert.is_empty());
        let text = "before, after";
        let range = 7..7 + removed;
        let wanted = format!("{}{insert}{}", &text[..range.start], &text[range.end..]);
        let mut proposal = Proposal::new(0, Change::new(range, insert.clone()));
        let mut now = Rope::from_str(text);
        let (mut at, mut closers) = (7, 0);
        for key in insert.chars() {
            let over = closers > 0 && now.byte(at) == key as u8 && ")]}".contains(key);
            let edit = match key {
                '(' => Edit::insert(at, "()"),
                '[' => Edit::insert(at, "[]"),
                '{' => Edit::insert(at, "{}"),
                _ if over => Edit::single(Change::new(at..at + 1, key)),
                _ => Edit::insert(at, key),
            };
            if "([{".contains(key) {
                closers += 1;
            }
            if over {
                closers -= 1;
            }
            edit.apply(&mut now).unwrap();
            at += 1;
            let Some(next) = proposal.rebase(&edit) else {
                prop_assert_eq!(now.to_string(), wanted);
                return Ok(());
            };
            proposal = next;
            let mut accepted = now.clone();
            Edit::single(proposal.change.clone()).apply(&mut accepted).unwrap();
            prop_assert_eq!(accepted.to_string(), wanted.clone(), "after {:?}", now.to_string());
        }
        prop_assert_eq!((closers, removed > 0), (0, true), "all is typed, only what it replaces is left");
    }
}
