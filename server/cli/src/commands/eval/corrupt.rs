//! Faults put into real code: one wrong token, as a slip of a person or of a model would leave it.

use super::bootstrap::SplitMix;
use lacuna_text::{Document, Language, syntax};
use std::ops::Range;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A name is another one of its kind that the file has.
    Identifier,
    /// A bracket is missing.
    Bracket,
    /// Two neighbouring arguments of a call have changed places.
    Argument,
    /// An operator or a whole number is off by one step.
    Operator,
}

impl Fault {
    /// All, in the order of the table.
    pub const ALL: [Self; 4] = [Self::Identifier, Self::Bracket, Self::Argument, Self::Operator];

    /// As the table writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identifier => "identifier",
            Self::Bracket => "bracket",
            Self::Argument => "argument",
            Self::Operator => "operator",
        }
    }
}

/// One replacement in the original text, within one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corruption {
    /// Bytes of the original that are replaced.
    pub range: Range<usize>,
    /// By what; empty for a bracket.
    pub insert: String,
}

impl Corruption {
    /// The text with the fault in it.
    pub fn applied(&self, original: &str) -> String {
        format!("{}{}{}", &original[..self.range.start], self.insert, &original[self.range.end..])
    }
}

/// A code token: its bytes, and the names tree-sitter has for it and for what it is part of.
struct Leaf {
    range: Range<usize>,
    kind: String,
    parent: String,
}

/// Faults of one text, drawn by a seed: the same text and seed give the same faults.
pub struct Faults<'a> {
    text: &'a str,
    leaves: Vec<Leaf>,
    /// The arguments of every call that has two or more.
    calls: Vec<Vec<Range<usize>>>,
}

impl<'a> Faults<'a> {
    /// The tokens of a text; none without a grammar for its language.
    pub fn new(text: &'a str, language: Language) -> Self {
        let document = Document::new(text, language);
        let (mut leaves, mut calls) = (Vec::new(), Vec::new());
        if let Some(tree) = document.tree() {
            syntax::walk(tree, |node| {
                if ["arguments", "argument_list"].contains(&node.kind()) {
                    let count = u32::try_from(node.named_child_count()).unwrap_or(u32::MAX);
                    let children = (0..count).filter_map(|number| node.named_child(number));
                    let arguments = children.filter(|child| !child.is_extra());
                    calls.push(arguments.map(|child| child.byte_range()).collect::<Vec<_>>());
                }
                if node.child_count() == 0 {
                    let parent = node.parent().map(|parent| parent.kind().to_owned()).unwrap_or_default();
                    leaves.push(Leaf { range: node.byte_range(), kind: node.kind().to_owned(), parent });
                }
                // A fault inside a string is one of meaning, not of code.
                !node.kind().contains("string")
            });
        }
        Self { text, leaves, calls }
    }

    /// One fault of a kind on the lines that `within` touches; `None` where no token of them can have it.
    pub fn draw(&self, fault: Fault, within: &Range<usize>, seed: u64) -> Option<Corruption> {
        let mut random = SplitMix::new(seed);
        let mut places: Vec<Corruption> = match fault {
            Fault::Identifier => self.names(within, &mut random),
            Fault::Bracket => self
                .tokens(within, |_, token| ["(", ")", "[", "]", "{", "}"].contains(&token).then(String::new)),
            Fault::Argument => self.swaps(within),
            Fault::Operator => {
                let up = random.below(2) == 0;
                self.tokens(within, |leaf, token| off_by_one(leaf, token, up))
            }
        };
        // A fault that leaves a line blank leaves nothing to refine, and one that changes nothing is none.
        places.retain(|place| {
            let text = place.applied(self.text);
            let line = whole_lines(&text, &(place.range.start..place.range.start + place.insert.len()));
            !text[line].trim().is_empty() && text != self.text
        });
        (!places.is_empty()).then(|| places.swap_remove(random.below(places.len())))
    }

    fn tokens(
        &self,
        within: &Range<usize>,
        replaced: impl Fn(&Leaf, &str) -> Option<String>,
    ) -> Vec<Corruption> {
        let inside = |leaf: &&Leaf| within.contains(&leaf.range.start) && leaf.range.end <= within.end;
        let place = |leaf: &Leaf| {
            let insert = replaced(leaf, &self.text[leaf.range.clone()])?;
            Some(Corruption { range: leaf.range.clone(), insert })
        };
        self.leaves.iter().filter(inside).filter_map(place).collect()
    }

    /// Each name of the lines, with another of its kind from the text before it, or from all of it where none is before.
    fn names(&self, within: &Range<usize>, random: &mut SplitMix) -> Vec<Corruption> {
        let places = self.tokens(within, |leaf, _| leaf.kind.ends_with("identifier").then(String::new));
        let mut renamed = Vec::with_capacity(places.len());
        for place in places {
            let name = &self.text[place.range.clone()];
            let kind =
                self.leaves.iter().find(|leaf| leaf.range == place.range).map(|leaf| leaf.kind.as_str());
            let others = |end: usize| {
                let same_kind = self.leaves.iter().filter(|leaf| Some(leaf.kind.as_str()) == kind);
                let known = same_kind.filter(|leaf| leaf.range.end <= end);
                let mut names: Vec<&str> = known.map(|leaf| &self.text[leaf.range.clone()]).collect();
                names.retain(|other| *other != name);
                names.sort_unstable();
                names.dedup();
                names
            };
            let mut names = others(place.range.start);
            if names.is_empty() {
                names = others(self.text.len());
            }
            if !names.is_empty() {
                let insert = names[random.below(names.len())].to_owned();
                renamed.push(Corruption { insert, ..place });
            }
        }
        renamed
    }

    /// Each two neighbouring arguments that stand on one line and differ.
    fn swaps(&self, within: &Range<usize>) -> Vec<Corruption> {
        let mut swaps = Vec::new();
        for pair in self.calls.iter().flat_map(|call| call.windows(2)) {
            let [left, right] = pair else { continue };
            let range = left.start..right.end;
            let inside = within.start <= range.start && range.end <= within.end;
            if inside && left.end <= right.start && !self.text[range.clone()].contains(['\n', '\r']) {
                let between = &self.text[left.end..right.start];
                let (left, right) = (&self.text[left.clone()], &self.text[right.clone()]);
                swaps.push(Corruption { range, insert: format!("{right}{between}{left}") });
            }
        }
        swaps
    }
}

/// The operator one step beside `token`, or the number one more (`up`) or one less.
fn off_by_one(leaf: &Leaf, token: &str, up: bool) -> Option<String> {
    if leaf.kind.contains("integer") || leaf.kind == "number" {
        let number: u64 = token.parse().ok()?;
        let beside = if up { number.checked_add(1) } else { number.checked_sub(1) };
        return Some(beside.unwrap_or(1).to_string());
    }
    // `<` is no operator where it opens type arguments, `-` none where it is a sign.
    let operates = ["binary", "comparison", "boolean", "assignment", "range"];
    if !operates.iter().any(|name| leaf.parent.contains(name)) {
        return None;
    }
    let other = match token {
        "<" => "<=",
        "<=" => "<",
        ">" => ">=",
        ">=" => ">",
        "==" => "!=",
        "!=" => "==",
        "===" => "!==",
        "!==" => "===",
        "+" => "-",
        "-" => "+",
        "*" => "+",
        "+=" => "-=",
        "-=" => "+=",
        "&&" => "||",
        "||" => "&&",
        "and" => "or",
        "or" => "and",
        ".." => "..=",
        "..=" => "..",
        _ => return None,
    };
    Some(other.to_owned())
}

/// The lines that `range` touches, without the last one's line break.
pub fn whole_lines(text: &str, range: &Range<usize>) -> Range<usize> {
    let start = text[..range.start].rfind('\n').map_or(0, |at| at + 1);
    let end = text[range.end..].find('\n').map_or(text.len(), |at| range.end + at);
    start..end
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUST: &str = "fn near(low: u32, high: u32) -> bool {\n    let wide = high < 7;\n    \
        clamp(low, high) + 1 == low\n}\n";

    fn all(text: &str, language: Language, fault: Fault) -> Vec<String> {
        let faults = Faults::new(text, language);
        let mut texts: Vec<String> = (0..200)
            .filter_map(|seed| faults.draw(fault, &(0..text.len()), seed))
            .map(|corruption| corruption.applied(text))
            .collect();
        texts.sort();
        texts.dedup();
        texts
    }

    #[test]
    fn each_fault_is_one_token_of_its_kind() {
        let swapped = all(RUST, Language::Rust, Fault::Argument);
        assert_eq!(swapped, [RUST.replace("(low, high)", "(high, low)")]);
        let operators = all(RUST, Language::Rust, Fault::Operator);
        for wrong in ["high <= 7", "high < 8", "high < 6", "- 1", "+ 2", "+ 0", "!= low"] {
            assert!(operators.iter().any(|text| text.contains(wrong)), "{wrong}");
        }
        assert_eq!(operators.len(), 7, "the line's sums, and nothing else");
        let brackets = all(RUST, Language::Rust, Fault::Bracket);
        assert_eq!(brackets.len(), 5, "a line of `}}` alone is no place: it would be blank");
        assert!(brackets.iter().all(|text| text.len() + 1 == RUST.len()));
    }

    #[test]
    fn a_wrong_name_is_one_of_its_kind_that_was_there_before() {
        let faults = Faults::new(RUST, Language::Rust);
        let second = RUST.find("    let wide").unwrap()..RUST.find("    clamp").unwrap();
        for seed in 0..50 {
            let Corruption { range, insert } = faults.draw(Fault::Identifier, &second, seed).unwrap();
            assert!(["wide", "high"].contains(&&RUST[range.clone()]), "{range:?}");
            assert!(["near", "low", "high", "wide"].contains(&insert.as_str()), "{insert}");
            assert_ne!(insert, RUST[range]);
        }
    }

    #[test]
    fn strings_types_and_signs_are_left_alone() {
        let text = "fn f() -> Vec<u8> { g(\"a(b) + 1\", -x) }\n";
        assert_eq!(all(text, Language::Rust, Fault::Operator), Vec::<String>::new());
        let python = "x = f('a', b) if n is not None and m else 'c'\n";
        assert_eq!(all(python, Language::Python, Fault::Operator), [python.replace("and", "or")]);
    }

    #[test]
    fn a_seed_gives_one_fault_and_no_place_gives_none() {
        let faults = Faults::new(RUST, Language::Rust);
        let whole = 0..RUST.len();
        let draw = |seed| faults.draw(Fault::Identifier, &whole, seed);
        assert_eq!(draw(3), draw(3));
        assert!((0..20).any(|seed| draw(seed) != draw(3)));
        assert_eq!(faults.draw(Fault::Argument, &(0..20), 1), None);
        assert_eq!(Faults::new("a + b", Language::PlainText).draw(Fault::Operator, &(0..5), 1), None);
    }

    #[test]
    fn lines_are_whole_and_without_their_break() {
        assert_eq!(whole_lines("ab\ncd\nef", &(3..4)), 3..5);
        assert_eq!(whole_lines("ab\ncd\nef", &(1..4)), 0..5);
        assert_eq!(whole_lines("ab\ncd\nef", &(8..8)), 6..8);
    }
}
