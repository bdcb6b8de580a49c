//! Measures context beyond the file: 40 open documents of 500 lines each, cut for the first time and kept cut.
//!
//!     cargo run --release -p lacuna-text --example context -- [FILE...]
//!
//! With files it also prints what the middle of the first one is shown of the others.

#![expect(clippy::print_stdout, reason = "an example reports on stdout")]

use lacuna_text::context::{Index, Neighbour, Query, render, snippets};
use lacuna_text::{Document, Edit, Language};
use std::path::Path;
use std::time::{Duration, Instant};

const SOURCES: [&str; 4] = [
    include_str!("../src/document.rs"),
    include_str!("../src/edit.rs"),
    include_str!("../src/language.rs"),
    include_str!("../src/region/cursor.rs"),
];
const DOCUMENTS: usize = 40;
const LINES: usize = 500;
const TOKENS_MAX: usize = 512;

fn measure(text: &str) -> usize {
    text.len() / 3
}

fn main() {
    let files: Vec<String> = std::env::args().skip(1).collect();
    if !files.is_empty() {
        return show(&files);
    }
    let lines: Vec<&str> = SOURCES.iter().flat_map(|source| source.lines()).collect();
    let mut documents: Vec<(String, Document)> = (0..DOCUMENTS)
        .map(|n| {
            // Each its own names, so that texts are alike but not the same.
            let text = lines.iter().cycle().skip(n * 97).take(LINES).map(|line| format!("{line}\n"));
            let text = text.collect::<String>().replace("text", &format!("text{n}"));
            (format!("src/{n}.rs"), Document::new(&text, Language::Rust))
        })
        .collect();
    let (mut cold, mut warm, mut switched) = (Vec::new(), Vec::new(), Vec::new());
    let (mut index, mut shown) = (Index::default(), 0);
    for round in 0..200_usize {
        let here = round % DOCUMENTS;
        let at = documents[here].1.text().line_to_byte(round * 31 % LINES);
        // Whoever is edited is cut anew when it is a neighbour again.
        let edited = documents[here].1.apply(&Edit::insert(at, " "));
        assert!(edited.is_ok(), "a line's start is inside the text");
        let snapshot = documents[here].1.snapshot();
        let query = Query { name: &documents[here].0, snapshot: &snapshot, hole: at..at };
        let others: Vec<Neighbour<'_>> =
            documents.iter().map(|(name, document)| Neighbour { name, snapshot: document }).collect();
        let time = |costs: &mut Vec<Duration>, ask: &mut dyn FnMut() -> usize| {
            let started = Instant::now();
            let found = ask();
            costs.push(started.elapsed());
            found
        };
        shown += time(&mut cold, &mut || snippets(&query, &others, TOKENS_MAX, &measure).len());
        time(&mut switched, &mut || index.snippets(&query, &others, TOKENS_MAX, &measure).len());
        time(&mut warm, &mut || index.snippets(&query, &others, TOKENS_MAX, &measure).len());
    }
    println!("{:.1} snippets a query", shown as f64 / cold.len() as f64);
    report("all cut anew", cold);
    report("one changed since the last query", switched);
    report("none changed", warm);
}

fn report(name: &str, mut costs: Vec<Duration>) {
    costs.sort();
    let of = |share: f64| costs[((costs.len() - 1) as f64 * share) as usize];
    println!("{name:36} p50 {:.2?}  p99 {:.2?}  max {:.2?}", of(0.5), of(0.99), of(1.0));
}

fn show(files: &[String]) {
    let open = |file: &String| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        (file.clone(), Document::new(&text, Language::from_path(Path::new(file))).snapshot())
    };
    let documents: Vec<_> = files.iter().map(open).collect();
    let others: Vec<Neighbour<'_>> =
        documents.iter().skip(1).map(|(name, snapshot)| Neighbour { name, snapshot }).collect();
    let (name, snapshot) = &documents[0];
    let at = snapshot.text().line_to_byte(snapshot.text().len_lines() / 2);
    let query = Query { name, snapshot, hole: at..at };
    let found = snippets(&query, &others, TOKENS_MAX, &measure);
    println!("{}", render(&found, snapshot.language()));
    for snippet in &found {
        println!("{:6.2} {}", snippet.score, snippet.name);
    }
}
