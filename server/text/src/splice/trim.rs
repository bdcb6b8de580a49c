//! What of a candidate is new: without what stands around the hole already, in the document's indentation.

use crate::plan::Plan;
use crate::region::RegionKind;

/// A repeated text with fewer visible characters than this may be chance; both readings are then offered.
const CERTAIN_CHARS: usize = 6;

/// The readings of a candidate, the preferred one first; empty when nothing of it is new.
pub(super) fn variants(plan: &Plan, candidate: &str) -> Vec<String> {
    let candidate = shaped(plan, candidate);
    let mut found: Vec<String> = Vec::new();
    for head in without_prefix(&plan.prefix, &candidate) {
        for text in without_suffix(plan, head) {
            let text = finished(plan, text);
            if !text.trim().is_empty() && !found.contains(&text) {
                found.push(text);
            }
        }
    }
    found
}

/// The candidate in the hole's shape: one line where the hole is one, indentation characters as in the document.
fn shaped(plan: &Plan, candidate: &str) -> String {
    if !plan.kind().is_multiline() {
        let first = candidate.trim_start_matches('\n');
        return first.split('\n').next().unwrap_or_default().to_owned();
    }
    let at_line_start = plan.prefix.ends_with('\n') || plan.prefix.is_empty();
    let mut text = candidate;
    if !at_line_start {
        // The cursor already stands at the indentation; blank lines and the same indentation again are repetition.
        let unbroken = text.trim_start_matches('\n');
        text = match plan.prefix.rsplit('\n').next() {
            Some(line) if line.trim().is_empty() => unbroken.strip_prefix(line).unwrap_or(unbroken),
            _ => text,
        };
    }
    let text = with_indent_unit(text, &plan.indent_unit);
    if plan.kind() == RegionKind::Body { indented(&text, &plan.indent) } else { text }
}

/// Leading tabs or spaces as the document has them.
fn with_indent_unit(text: &str, unit: &str) -> String {
    let line_with_unit = |line: &str| {
        let rest = line.trim_start_matches([' ', '\t']);
        let lead = &line[..line.len() - rest.len()];
        if unit == "\t" && lead.starts_with("    ") && !lead.contains('\t') {
            return format!("{}{}{rest}", "\t".repeat(lead.len() / 4), " ".repeat(lead.len() % 4));
        }
        if unit != "\t" && lead.contains('\t') {
            return format!("{}{rest}", lead.replace('\t', unit));
        }
        line.to_owned()
    };
    text.split('\n').map(line_with_unit).collect::<Vec<_>>().join("\n")
}

/// A body whose lines after the first are all left of the body's indentation was written from column 0: moved right.
fn indented(text: &str, indent: &str) -> String {
    let mut rest = text.split('\n').skip(1).filter(|line| !line.trim().is_empty()).peekable();
    if indent.is_empty() || rest.peek().is_none() || rest.any(|line| line.starts_with(indent)) {
        return text.to_owned();
    }
    let mut lines = text.split('\n');
    let mut moved = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        moved.push('\n');
        if !line.trim().is_empty() {
            moved.push_str(indent);
        }
        moved.push_str(line);
    }
    moved
}

fn visible(text: &str) -> usize {
    text.chars().filter(|c| !c.is_whitespace()).count()
}

/// The candidate without a beginning that ends the prefix, and, where that may be chance, as it is.
fn without_prefix<'a>(prefix: &str, candidate: &'a str) -> Vec<&'a str> {
    let line = prefix.rsplit('\n').next().unwrap_or_default();
    let typed = line.trim_start();
    // The whole of the line so far, or several lines of it.
    let again = candidate.trim_start_matches([' ', '\t']);
    if !typed.trim_end().is_empty() && again.starts_with(typed) {
        let rest = &again[typed.len()..];
        return if visible(typed) >= CERTAIN_CHARS { vec![rest] } else { vec![candidate, rest] };
    }
    let boundaries = candidate.char_indices().map(|(at, _)| at).chain([candidate.len()]);
    let overlap = boundaries
        .filter(|&at| at > 0 && prefix.ends_with(&candidate[..at]) && candidate[..at].contains('\n'))
        .max();
    match overlap {
        Some(at) if visible(&candidate[..at]) >= CERTAIN_CHARS => vec![&candidate[at..]],
        _ => vec![candidate],
    }
}

/// The candidate without an end that begins the suffix, and, where that may be chance, as it is.
fn without_suffix<'a>(plan: &Plan, candidate: &'a str) -> Vec<&'a str> {
    let trimmed = candidate.trim_end();
    let following = plan.suffix.trim_start();
    let overlap = trimmed.char_indices().map(|(at, _)| at).find(|&at| following.starts_with(&trimmed[at..]));
    let Some(at) = overlap.filter(|_| !following.is_empty()) else { return vec![candidate] };
    let (mut head, repeated) = trimmed.split_at(at);
    if plan.suffix.starts_with([' ', '\t']) {
        // The blanks before what is repeated are repeated too.
        head = head.trim_end_matches([' ', '\t']);
    }
    // `)` or `;` alone may close what the candidate itself opened.
    if repeated.contains('\n') || visible(repeated) >= CERTAIN_CHARS || repeated.starts_with([';', ',']) {
        return vec![head];
    }
    let rest_of_line = following.split('\n').next().unwrap_or_default().trim_end();
    let runs_on = !plan.kind().is_multiline() && repeated == rest_of_line && closes_all(head);
    if runs_on || unmatched(candidate) { vec![head, candidate] } else { vec![candidate, head] }
}

/// Whether the text closes every bracket that it opens.
fn closes_all(text: &str) -> bool {
    let count = |brackets: &[char]| text.matches(brackets).count();
    count(&['(', '[', '{']) == count(&[')', ']', '}'])
}

/// Whether the text closes a bracket that it did not open.
fn unmatched(text: &str) -> bool {
    let mut depth = 0_i32;
    text.chars().any(|c| {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        depth < 0
    })
}

/// The end of the text as the hole wants it: no trailing blanks where the line ends with the hole, and a line break
/// where the hole ended with one or lies between two lines.
fn finished(plan: &Plan, text: &str) -> String {
    let line_goes_on = !plan.suffix.is_empty() && !plan.suffix.starts_with('\n');
    let whole_lines = match plan.hole.as_str() {
        "" => line_goes_on && (plan.prefix.is_empty() || plan.prefix.ends_with('\n')),
        hole => hole.ends_with('\n'),
    };
    let whole_lines = whole_lines && plan.kind().is_multiline();
    if line_goes_on && !whole_lines {
        return text.to_owned();
    }
    let mut text = text.trim_end().to_owned();
    if plan.kind().is_multiline() {
        let lines = text.split('\n').map(|line| if line.trim().is_empty() { "" } else { line });
        text = lines.collect::<Vec<_>>().join("\n");
        if whole_lines && !text.is_empty() {
            text.push('\n');
        }
    }
    text
}
