//! The list of candidates and the line that says what they cost.

use super::diff::excerpt;
use super::scene::fit;
use crate::failure::Failure;
use crate::output::{Output, Tone};
use lacuna_engine::Stats;
use lacuna_lsp::rank::{Offer, short_reason};

/// Lines shown of each candidate.
const LINES_MAX: usize = 6;

/// Prints the numbered candidates, best first; `chosen` is marked, and may be the refined text as it is. Those that cannot
/// be used are shown to who wants `all`, and where there is nothing else.
pub fn candidates(
    output: &mut Output,
    offers: &[Offer],
    chosen: Option<usize>,
    all: bool,
) -> Result<(), Failure> {
    let (width, _) = output.size();
    let all = all || chosen.is_none();
    for (index, offer) in offers.iter().enumerate() {
        if !all && !offer.is_usable() && chosen != Some(index) {
            continue;
        }
        let tone = match offer.is_usable() {
            true if chosen == Some(index) => Tone::Bright,
            true => Tone::Plain,
            false => Tone::Dim,
        };
        let mark = if chosen == Some(index) { '*' } else { ' ' };
        let label = format!("{mark}{:>2}  {}  ", index + 1, how_sure(offer));
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

/// How probably a candidate is right, where the checkpoint says how to tell; else what it was ranked by, in nats.
fn how_sure(offer: &Offer) -> String {
    match offer.candidate.confidence {
        Some(sure) if sure < 0.01 => format!("{:>5}", "<1 %"),
        Some(sure) => format!("{:>3.0} %", sure * 100.0),
        None => format!("{:>8.2}", offer.candidate.score),
    }
}

/// What an answer cost, in one line; with `all`, what only a measurer wants to know, too.
pub fn cost(offers: &[Offer], chosen: Option<usize>, stats: &Stats, all: bool) -> String {
    let best = offers.get(chosen.unwrap_or(0));
    let mut parts = vec![counted(offers.len(), "candidate")];
    let hidden = |(index, offer): &(usize, &Offer)| !offer.is_usable() && chosen != Some(*index);
    let hidden = offers.iter().enumerate().filter(hidden).count();
    if hidden > 0 && !all && chosen.is_some() {
        parts[0].push_str(&format!(" ({hidden} unusable, -v shows them)"));
    }
    parts.push(counted(best.map_or(0, |offer| offer.candidate.steps), "step"));
    if all {
        parts.push(format!("{:.1} tokens per forward", stats.tokens_per_forward));
    }
    parts.push(format!("{:.0} ms (first frame {:.0} ms)", stats.total_ms, stats.first_frame_ms));
    parts.join(" · ")
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
        candidates(&mut output, &[offer("a\nb", true), offer("c", false)], Some(0), true).unwrap();
        let expected = "* 1     -1.50  a\n               b\n  2     -1.50  c\n               (blank)\n";
        assert_eq!(captured.text(), expected);
    }

    #[test]
    fn a_person_sees_how_sure_the_model_is_and_what_can_be_used() {
        let (mut output, captured) = Output::captured(false, false);
        let mut offers = [offer("a\nb", true), offer("d", true), offer("c", false)];
        offers[0].candidate.confidence = Some(0.409);
        offers[1].candidate.confidence = Some(0.004);
        candidates(&mut output, &offers, Some(0), false).unwrap();
        assert_eq!(captured.text(), "* 1   41 %  a\n            b\n  2   <1 %  d\n");
        let line = cost(&offers, Some(0), &Stats::default(), false);
        assert!(line.starts_with("3 candidates (1 unusable, -v shows them) · 4 steps · "), "{line}");
        assert!(!line.contains("forward"), "{line}");
        let kept = cost(&offers[2..], Some(0), &Stats::default(), false);
        assert!(kept.starts_with("1 candidate · "), "what refining keeps is shown: {kept}");
        let (mut output, captured) = Output::captured(false, false);
        candidates(&mut output, &offers[2..], None, false).unwrap();
        assert!(captured.text().contains("(blank)"), "all there is: {:?}", captured.text());
    }

    #[test]
    fn the_cost_speaks_of_the_chosen_candidate() {
        let stats =
            Stats { tokens_per_forward: 2.54, total_ms: 143.4, first_frame_ms: 21.0, ..Stats::default() };
        let line = cost(&[offer("a", true)], Some(0), &stats, true);
        assert_eq!(line, "1 candidate · 4 steps · 2.5 tokens per forward · 143 ms (first frame 21 ms)");
    }
}
