//! Measures what a keystroke asks before any inference.
//!
//!     cargo run --release -p lacuna-text --example keystroke

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "an example reports on stdout and stops on surprises"
)]

use lacuna_text::{Document, Edit, Language, Snapshot, quiet};
use std::hint::black_box;
use std::time::{Duration, Instant};

const SOURCE: &str = include_str!("../src/edit.rs");

fn main() {
    let lines = SOURCE.repeat((1 << 20) / SOURCE.len());
    let one_line = "f(\"a b\",[1],{c:d});".repeat((1 << 20) / 19);
    let numbers = format!("[{}]", "1,".repeat(60_000));
    measure("a file of 345 lines", SOURCE, Language::Rust);
    measure("1 MB of lines", &lines, Language::Rust);
    measure("1 MB in one line, JavaScript", &one_line, Language::JavaScript);
    measure("1 MB in one line, no grammar", &one_line, Language::PlainText);
    measure("120 KB in one array, parsed whole", &numbers, Language::Json);
}

/// Types at places all over a document and asks at each, with the tree the edit left.
fn measure(name: &str, text: &str, language: Language) {
    let mut document = Document::new(text, language);
    let mut snapshots = Vec::new();
    for round in 0..200_usize {
        let at = text.len() * (round * 37 % 200) / 200;
        let key = [" ", "(", "}", ";", "\""][round % 5];
        document.apply(&Edit::insert(at, key)).expect("inside the text");
        snapshots.push((document.snapshot(), at + 1));
        document.apply(&Edit::delete(at..at + 1)).expect("inside the text");
    }
    report(&format!("{name}: quiet"), &snapshots, quiet);
}

fn report<T>(name: &str, snapshots: &[(Snapshot, usize)], ask: impl Fn(&Snapshot, usize) -> T) {
    let time = |(snapshot, at): &(Snapshot, usize)| {
        let started = Instant::now();
        black_box(ask(snapshot, *at));
        started.elapsed()
    };
    let mut costs: Vec<Duration> = snapshots.iter().map(time).collect();
    costs.sort();
    let of = |share: f64| costs[((costs.len() - 1) as f64 * share) as usize];
    println!("{name:48} p50 {:.1?}  p99 {:.1?}  max {:.1?}", of(0.5), of(0.99), of(1.0));
}
