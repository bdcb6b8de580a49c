//! Measures a 4 MB Rust file: one edit, its reparse and a plan at every keystroke, and the memory a document takes.
//!
//!     cargo run --release -p lacuna-text --example large

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "an example reports on stdout and stops on surprises"
)]

use lacuna_text::{Document, Edit, Language, PlanSettings, Region, plan};
use std::time::{Duration, Instant};

const BYTES: usize = 4 << 20;
const SOURCES: [&str; 4] = [
    include_str!("../src/document.rs"),
    include_str!("../src/edit.rs"),
    include_str!("../src/language.rs"),
    include_str!("../src/region/cursor.rs"),
];

/// What is typed, a key at a time; the last ones leave brackets, quotes and comments open.
const TYPED: [(&str, &str); 5] = [
    ("a statement", "    let mut total = words.iter().map(|word| word.len()).sum::<usize>() + 1;\n"),
    ("an open brace", "    if total > 3 {\n"),
    ("a function", "\nfn added(left: usize) -> usize {\n    left + 1\n}\n"),
    ("an open string", "    let name = \"lac"),
    ("an open comment", "    /* why"),
];

fn main() {
    let text: String = SOURCES
        .iter()
        .copied()
        .cycle()
        .scan(0, |bytes, source| {
            let whole = *bytes < BYTES;
            *bytes += source.len();
            whole.then_some(source)
        })
        .collect();
    let (memory, started) = (resident_bytes(), Instant::now());
    let document = Document::new(&text, Language::Rust);
    let (parse, grown) = (started.elapsed(), resident_bytes().saturating_sub(memory));
    println!("bytes {}, lines {}, first parse {parse:.1?}", text.len(), document.text().len_lines());
    println!("memory {:.2} x the file", grown as f64 / text.len() as f64);
    let (snapshot, started) = (document.snapshot(), Instant::now());
    let markers = Region::find_markers(&snapshot).len();
    println!("all {markers} markers found in {:.1?}", started.elapsed());
    drop((document, snapshot));
    jumps(&text);
    for (name, typed) in TYPED {
        for place in [0.02, 0.5, 0.98] {
            keystrokes(&text, (name, typed), place);
        }
    }
}

/// The worst case: every key far from the last, so that each parses a window anew.
fn jumps(text: &str) {
    let mut document = Document::new(text, Language::Rust);
    let lines = document.text().len_lines();
    let mut costs = Vec::new();
    for round in 0..1000_usize {
        let at = document.text().line_to_byte(round * 7919 * 13 % lines);
        let started = Instant::now();
        document.apply(&Edit::insert(at, ["x", "(", " ", "\"", ";"][round % 5])).expect("inside the text");
        let snapshot = document.snapshot();
        let region = Region::at(&snapshot, at + 1).expect("inside the text");
        plan(&snapshot, &region, &PlanSettings::default(), &|text: &str| text.len() / 3)
            .expect("a small region");
        costs.push(started.elapsed());
        document.apply(&Edit::delete(at..at + 1)).expect("inside the text");
    }
    report("every key elsewhere", costs);
}

/// Types `typed` at the end of a statement's line near `place` and prints the quantiles of each key's cost.
fn keystrokes(text: &str, (name, typed): (&str, &str), place: f64) {
    let mut document = Document::new(text, Language::Rust);
    let near = (text.len() as f64 * place) as usize;
    let mut at =
        near + text.as_bytes()[near..].windows(2).position(|pair| pair == b";\n").expect("a statement") + 2;
    let measure = |text: &str| text.len() / 3;
    let mut costs = Vec::new();
    for round in 0..=1000 / typed.len() {
        let start = at;
        for (index, key) in typed.char_indices() {
            let started = Instant::now();
            document.apply(&Edit::insert(start + index, key)).expect("inside the text");
            at = start + index + key.len_utf8();
            let snapshot = document.snapshot();
            let region = Region::at(&snapshot, at).expect("inside the text");
            plan(&snapshot, &region, &PlanSettings::default(), &measure).expect("a small region");
            costs.push(started.elapsed());
        }
        let rounds_apart = text.len() / 400;
        document.apply(&Edit::delete(start..at)).expect("inside the text");
        at = (start + rounds_apart * (round % 3)).min(text.len() - 200_000 / 2);
        at = document.text().line_to_byte(document.text().byte_to_line(at));
    }
    report(&format!("{name} at {place:.2}"), costs);
}

fn report(name: &str, mut costs: Vec<Duration>) {
    costs.sort();
    let of = |share: f64| costs[((costs.len() - 1) as f64 * share) as usize];
    let (p50, p95, p99, most) = (of(0.5), of(0.95), of(0.99), of(1.0));
    println!(
        "{name:24} p50 {p50:.2?}  p95 {p95:.2?}  p99 {p99:.2?}  max {most:.2?}  of {} keys",
        costs.len()
    );
}

/// This process's resident bytes, from the kernel.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<usize>().ok()).unwrap_or(0) * 1024
}
