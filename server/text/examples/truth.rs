//! Takes pieces out of real files and splices them back: how often the true text is kept as it is, by kind of hole.
//!
//!     cargo run --release -p lacuna-text --example truth -- FILE... [-v]

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example reports on stdout")]

use lacuna_text::{Document, Edit, Language, PlanSettings, Reason, Region, RegionKind, plan, splice};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

#[derive(Default)]
struct Tally {
    holes: usize,
    kept: usize,
    altered: usize,
    rejected: usize,
}

fn main() {
    let (flags, files): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|arg| arg.starts_with('-'));
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    for file in files {
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        let language = Language::from_path(Path::new(&file));
        for (kind, range) in holes(&text) {
            let tally = tallies.entry(format!("{language} {kind:?}")).or_default();
            tally.holes += 1;
            match put_back(&text, language, kind, range.clone()) {
                Ok(after) if after == text => tally.kept += 1,
                outcome => {
                    let why = match outcome {
                        Ok(_) => "altered".to_owned(),
                        Err(why) => why,
                    };
                    if why == "altered" {
                        tally.altered += 1
                    } else {
                        tally.rejected += 1
                    }
                    if !flags.is_empty() {
                        eprintln!("{file}:{range:?} {kind:?} {why}: {:?}", &text[range.clone()]);
                    }
                }
            }
        }
    }
    for (name, Tally { holes, kept, altered, rejected }) in tallies {
        println!("{name:20} {holes:6} holes  {kept:6} kept  {altered:5} altered  {rejected:5} rejected");
    }
}

/// Rests of lines, spans between brackets and runs of lines, spread over the text.
fn holes(text: &str) -> Vec<(RegionKind, Range<usize>)> {
    let starts: Vec<usize> = std::iter::once(0)
        .chain(text.match_indices('\n').map(|(at, _)| at + 1))
        .filter(|&at| at < text.len())
        .collect();
    let mut holes = Vec::new();
    for (index, &start) in starts.iter().enumerate() {
        let line = text[start..].lines().next().unwrap_or_default();
        let code = start + line.len() - line.trim_start().len();
        let end = start + line.len();
        if line.trim().is_empty() || index % 5 != 0 {
            continue;
        }
        let middle =
            (code..end).skip((end - code) * (1 + index % 3) / 4).find(|&at| text.is_char_boundary(at));
        holes.extend(middle.map(|middle| (RegionKind::Line, middle..end)));
        if let (Some(open), Some(close)) = (line.find('('), line.rfind(')'))
            && open + 1 < close
        {
            holes.push((RegionKind::Span, start + open + 1..start + close));
        }
        if let Some(&next) = starts.get(index + 1 + index % 3) {
            holes.push((RegionKind::Lines, code..code + text[code..next].trim_end().len()));
        }
    }
    holes
}

fn put_back(text: &str, language: Language, kind: RegionKind, range: Range<usize>) -> Result<String, String> {
    let truth = &text[range.clone()];
    let without = format!("{}{}", &text[..range.start], &text[range.end..]);
    let mut document = Document::new(&without, language);
    let region = Region { range: range.start..range.start, kind, reason: Reason::Selection };
    let snapshot = document.snapshot();
    let measure = |text: &str| text.len() / 3;
    let plan = plan(&snapshot, &region, &PlanSettings::default(), &measure).map_err(|why| why.to_string())?;
    let spliced = splice(&snapshot, &plan, truth).map_err(|why| why.to_string())?;
    document.apply(&Edit::single(spliced.change)).map_err(|why| why.to_string())?;
    Ok(document.text().to_string())
}
