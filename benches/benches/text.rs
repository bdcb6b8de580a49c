//! The text side on a 4 MB file: one edit, reparse and plan, as a distribution (p50, p99), and the memory it takes.
//!
//! `cargo bench -p lacuna-benches --bench text`
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a bench fails loudly and prints its figures"
)]

use criterion::{Criterion, criterion_group, criterion_main};
use lacuna_benches::{large_rust_file, quantile, resident_bytes};
use lacuna_text::{Document, Edit, Language, Measure, PlanSettings, Region, plan};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// About what the shipped tokenizer makes of code, without needing it here.
struct ThreeBytesAToken;

impl Measure for ThreeBytesAToken {
    fn tokens(&self, text: &str) -> usize {
        text.len().div_ceil(3)
    }
}

const FILE_BYTES: usize = 4 << 20;
const EDITS: usize = 1000;

/// One keystroke in the middle of a body, the reparse it causes, the region at the cursor, and the plan.
fn keystroke(document: &mut Document, offset: usize, typed: char) {
    let edit = Edit::insert(offset, typed.to_string());
    document.apply(&edit).expect("the offset lies inside the document");
    let snapshot = document.snapshot();
    let region =
        Region::at(&snapshot, offset + typed.len_utf8()).expect("there is a region anywhere in code");
    let planned = plan(&snapshot, &region, &PlanSettings::default(), &ThreeBytesAToken);
    black_box(planned.expect("the region came from this snapshot"));
}

/// Offsets just before a `total` somewhere in the file, spread over all of it.
fn places(text: &str, count: usize) -> Vec<usize> {
    (0..count)
        .map(|i| {
            let from = text.len() / (count + 1) * (i + 1);
            from + text[from..].find("total").unwrap_or(0)
        })
        .collect()
}

fn distribution(_: &mut Criterion) {
    let before = resident_bytes();
    let text = large_rust_file(FILE_BYTES);
    let mut document = Document::new(&text, Language::Rust);
    let after = resident_bytes();
    let places = places(&text, EDITS);
    let mut times: Vec<Duration> = Vec::with_capacity(EDITS);
    // Backwards, so that earlier places stay where they are.
    for (index, place) in places.into_iter().enumerate().rev() {
        let typed = ['x', '(', ' ', '"', ';'][index % 5];
        let start = Instant::now();
        keystroke(&mut document, place, typed);
        times.push(start.elapsed());
        document.apply(&Edit::delete(place..place + 1)).expect("the typed character is there");
    }
    let [p50, p99, worst] = [0.5, 0.99, 1.0].map(|share| quantile(&mut times, share).as_secs_f64() * 1e3);
    println!(
        "edit + reparse + plan, {} bytes, {EDITS} keystrokes: p50 {p50:.2} ms  p99 {p99:.2} ms  max {worst:.2} ms",
        text.len()
    );
    if let (Some(before), Some(after)) = (before, after) {
        // The String the document was made from is held too, hence one file less.
        let times_file = (after - before) as f64 / text.len() as f64 - 1.0;
        println!("memory of the open document: {times_file:.1} times the file");
    }
}

fn one_keystroke(criterion: &mut Criterion) {
    let text = large_rust_file(FILE_BYTES);
    let mut document = Document::new(&text, Language::Rust);
    let place = places(&text, 1)[0];
    criterion.bench_function("edit + reparse + plan, 4 MB", |bencher| {
        bencher.iter(|| {
            keystroke(&mut document, place, 'x');
            document.apply(&Edit::delete(place..place + 1)).expect("the typed character is there");
        });
    });
}

criterion_group!(benches, distribution, one_keystroke);
criterion_main!(benches);
