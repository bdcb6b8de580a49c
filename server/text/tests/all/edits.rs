//! Edits against a naive model over strings.

use lacuna_text::{Bias, Change, Edit, EditError, Rope};
use proptest::prelude::*;
use proptest::sample::Index;

/// Text over which edits are drawn: every width of character and every line break.
pub(crate) const TEXT: &str = "[a-c{}() \r\n\té𝄞]{0,40}";

/// Where an edit falls and what it puts there; resolved against a text by [`edit_of`].
pub(crate) type Drawn = Vec<(Index, Index, String)>;

pub(crate) fn drawn() -> impl Strategy<Value = Drawn> {
    prop::collection::vec((any::<Index>(), any::<Index>(), "[a-c{}(\r\né𝄞]{0,5}"), 1..4)
}

/// The edit that `drawn` means in `text`: at character boundaries, what would overlap left out.
pub(crate) fn edit_of(text: &str, drawn: &Drawn) -> Edit {
    let boundaries: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let mut changes: Vec<Change> = Vec::new();
    for (start, length, insert) in drawn {
        let start = start.index(boundaries.len());
        let end = (start + length.index(6)).min(boundaries.len() - 1);
        let range = boundaries[start]..boundaries[end];
        if changes.iter().all(|other| range.end < other.range.start || range.start > other.range.end) {
            changes.push(Change::new(range, insert.clone()));
        }
    }
    Edit::new(changes).unwrap()
}

fn apply(text: &str, edit: &Edit) -> String {
    let mut rope = Rope::from_str(text);
    edit.apply(&mut rope).unwrap();
    rope.to_string()
}

fn naive_apply(text: &str, edit: &Edit) -> String {
    let mut changes = edit.changes().to_vec();
    changes.sort_by_key(|change| change.range.start);
    let (mut after, mut at) = (String::new(), 0);
    for change in changes {
        after.push_str(&text[at..change.range.start]);
        after.push_str(&change.insert);
        at = change.range.end;
    }
    after + &text[at..]
}

#[test]
fn changes_are_sorted_merged_and_checked() {
    let edit =
        Edit::new(vec![Change::new(4..5, "y"), Change::new(0..1, "x"), Change::new(1..1, "z")]).unwrap();
    assert_eq!(edit.changes(), [Change::new(0..1, "xz"), Change::new(4..5, "y")]);
    assert_eq!(apply("abcdef", &edit), "xzbcdyf");
    let overlap = Edit::new(vec![Change::new(0..3, ""), Change::new(2..4, "")]);
    assert_eq!(overlap, Err(EditError::Overlap { first: 0..3, second: 2..4 }));
    let mut rope = Rope::from_str("é");
    assert_eq!(Edit::insert(1, "x").apply(&mut rope), Err(EditError::InsideCharacter { offset: 1 }));
    assert_eq!(Edit::delete(0..3).apply(&mut rope), Err(EditError::OutOfBounds { start: 0, end: 3, len: 2 }));
    assert_eq!(rope, "é");
}

#[test]
fn offsets_stay_with_their_neighbour() {
    let edit = Edit::insert(2, "xx");
    assert_eq!(edit.map_offset(2, Bias::Left), 2);
    assert_eq!(edit.map_offset(2, Bias::Right), 4);
    assert_eq!(edit.map_offset(3, Bias::Left), 5);
    assert_eq!(edit.map_range(&(2..4)), 4..6);
    assert_eq!(edit.map_range(&(0..2)), 0..2);
    assert_eq!(Edit::delete(0..4).map_range(&(1..3)), 0..0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn apply_and_invert(text in TEXT, drawn in drawn()) {
        let edit = edit_of(&text, &drawn);
        let after = apply(&text, &edit);
        prop_assert_eq!(&after, &naive_apply(&text, &edit));
        let inverse = edit.invert(&Rope::from_str(&text)).unwrap();
        prop_assert_eq!(apply(&after, &inverse), text);
    }

    #[test]
    fn composing_is_doing_one_after_the_other(text in TEXT, one in drawn(), two in drawn(), three in drawn()) {
        let first = edit_of(&text, &one);
        let middle = apply(&text, &first);
        let second = edit_of(&middle, &two);
        let after = apply(&middle, &second);
        let both = first.compose(&second);
        prop_assert_eq!(apply(&text, &both), after.clone());
        // Associative in what it does.
        let third = edit_of(&after, &three);
        let last = apply(&after, &third);
        prop_assert_eq!(apply(&text, &both.compose(&third)), last.clone());
        prop_assert_eq!(apply(&text, &first.compose(&second.compose(&third))), last);
        // A place mapped in two steps lies within what the composed map leaves open.
        for offset in 0..=text.len() {
            let (low, high) = (both.map_offset(offset, Bias::Left), both.map_offset(offset, Bias::Right));
            for bias in [Bias::Left, Bias::Right] {
                let stepped = second.map_offset(first.map_offset(offset, bias), bias);
                prop_assert!((low..=high).contains(&stepped), "{stepped} not in {low}..={high} from {offset}");
            }
        }
    }

    #[test]
    fn kept_characters_keep_their_offsets(text in TEXT, drawn in drawn()) {
        let edit = edit_of(&text, &drawn);
        let after = apply(&text, &edit);
        let mut last = 0;
        for (offset, c) in text.char_indices() {
            let mapped = edit.map_offset(offset, Bias::Right);
            prop_assert!(mapped >= last, "maps keep the order");
            last = mapped;
            if edit.changes().iter().all(|change| !change.range.contains(&offset)) {
                prop_assert!(after[mapped..].starts_with(c));
            }
        }
        prop_assert_eq!(edit.map_offset(text.len(), Bias::Right), after.len());
        prop_assert_eq!(edit.map_offset(0, Bias::Left), 0);
    }
}
