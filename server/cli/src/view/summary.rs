//! The list of candidates and the line that says what they cost.

use super::diff::excerpt;
use super::scene::fit;
use crate::failure::Failure;
use crate::output::{Output, Tone};
use lacuna_engine::Stats;
use lacuna_lsp::rank::{Offer, short_reason};

/// Lines shown of each candidate.
const LINES_MAX: usize = 6;

/// Prints the numbered candidates, best first; `chosen` is marked, and may be the refined text as it is.
pub fn candidates(output: &mut Output, offers: &[Offer], chosen: Option<usize>) -> Result<(), Failure> {
    let (width, _) = output.size();
    for (index, offer) in offers.iter().enumerate() {
        let tone = match offer.is_usable() {
            true if chosen == Some(index) => Tone::Bright,
            true => Tone::Plain,
            false => Tone::Dim,
        };
        let mark = if chosen == Some(index) { '*' } else { ' ' };
        let label = format!("{mark}{:>2}  {:>8.2}  ", index + 1, offer.candidate.score);
        let indent = " ".repeat(label.chars().count());
        for (line, text) in excerpt(offer.text(), LINES_MAX).iter().enumerate() {
            let lead = if line == 0 { &label } else { &indent };
            let row = fit(&vec![(Tone::Place, lead.clone()), (tone, text.to_string())], width);
            let painted: String = row.iter().map(|(tone, text)| output.paint(*tone, text)).collect();
            output.line(&painted)?;
        }
        if let Err(rejected) = &offer.outcome {
            let head = if offer.text().is_empty() { label } else { indent };
            let reason = output.paint(Tone::Dim, &format!("{head}({})", short_reason(rejected)));
            output.line(&reason)?;
        }
    }
    Ok(())
}

/// What an answer cost, in one line.
pub fn cost(offers: &[Offer], chosen: Option<usize>, stats: &Stats) -> String {
    let best = offers.get(chosen.unwrap_or(0)).map_or(0, |offer| offer.candidate.steps);
    format!(
        "{} · {} · {:.1} tokens per forward · {:.0} ms (first frame {:.0} ms)",
        counted(offers.len(), "candidate"),
        counted(best, "step"),
        stats.tokens_per_forward,
        stats.total_ms,
        stats.first_frame_ms,
    )
}

/// `1 step`, `2 steps`.
pub fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lacuna_engine::{Candidate, Origin};
    use lacuna_text::{Change, Rejected, Spliced};

    fn offer(text: &str, usable: bool) -> Offer {
        let candidate = Candidate {
            text: text.to_owned(),
            tokens: 2,
            score: -1.5,
            log_prob_hole: 0.0,
            log_prob_suffix: 0.0,
            confidence: None,
            entropy_mean: 0.0,
            origin: Origin::Noise,
            steps: 4,
            settled: true,
        };
        let spliced = Spliced {
            change: Change::new(0..0, text),
            text: text.to_owned(),
            errors_before: 0,
            errors_after: 0,
        };
        Offer { candidate, outcome: if usable { Ok(spliced) } else { Err(Rejected::Blank) } }
    }

    #[test]
    fn candidates_are_numbered_and_rejections_explained() {
        let (mut output, captured) = Output::captured(false, false);
        candidates(&mut output, &[offer("a\nb", true), offer("c", false)], Some(0)).unwrap();
        let expected = "* 1     -1.50  a\n               b\n  2     -1.50  c\n               (blank)\n";
        assert_eq!(captured.text(), expected);
    }

    #[test]
    fn the_cost_speaks_of_the_chosen_candidate() {
        let stats =
            Stats { tokens_per_forward: 2.54, total_ms: 143.4, first_frame_ms: 21.0, ..Stats::default() };
        let line = cost(&[offer("a", true)], Some(0), &stats);
        assert_eq!(line, "1 candidate · 4 steps · 2.5 tokens per forward · 143 ms (first frame 21 ms)");
    }
}
