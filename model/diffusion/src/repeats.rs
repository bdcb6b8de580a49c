//! Repeats: what a document holds already is likely to be written again.
//!
//! A causal pass reads some hundred tokens before the hole; the file is longer, and goes on behind it. What follows what in all
//! of it is counted, and the pass's prediction is the prior of those counts: for each order o, from the shortest,
//! `p(token) ← (count(token after the last o tokens) + w·u·p(token)) / (n + w·u)`, with n places where these o tokens stood,
//! u different tokens that followed, and w the order's weight. It is a cache of n-grams (Kuhn and De Mori 1990; for code Tu, Su
//! and Devanbu 2014) under Witten and Bell's smoothing, with a network in the place of its shortest order. The weights belong to a
//! checkpoint (`lacuna.repeats`): a small model gains most. Without them nothing changes.
//!
//! The code right before and after the hole is counted too, and read again when candidates are scored: what it says of itself
//! is the same for all of them, but for the token at either edge where one merges with a candidate.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Stands between two texts; no token has this id.
const BREAK: u32 = u32::MAX;

/// Places looked at for one prediction, the last ones of all texts: a bound on the work where a document is one token over and over.
const PLACES_MAX: usize = 256;

/// How much the network's prediction weighs against what followed the last `order` tokens elsewhere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RepeatOrder {
    /// Tokens of context, at least 1.
    pub order: usize,
    /// Weight of the shorter orders for each different token that followed.
    pub weight: f32,
}

/// The counts of one request's texts.
#[derive(Debug)]
pub(crate) struct Repeats {
    orders: Arc<[RepeatOrder]>,
    longest: usize,
    /// All texts, with [`BREAK`] before and after each.
    tokens: Vec<u32>,
    /// Where each token stands, except right before a [`BREAK`]; ascending.
    places: HashMap<u32, Vec<u32>>,
}

/// What followed a context elsewhere, for each order that occurs, the shortest first.
#[derive(Debug)]
pub(crate) struct Seen(Vec<Followers>);

/// What one order says of the next token.
#[derive(Debug)]
struct Followers {
    /// Share of the probability that the shorter orders keep.
    keep: f32,
    /// Tokens that followed, and how much each gains.
    gains: Vec<(u32, f32)>,
}

impl Repeats {
    /// Counts what `texts` hold; `orders` ascend. `None` where there is nothing to count or no order to count by.
    pub(crate) fn new(orders: &Arc<[RepeatOrder]>, texts: &[&[u32]]) -> Option<Self> {
        let longest = orders.last()?.order;
        let mut tokens = vec![BREAK];
        for text in texts.iter().filter(|text| !text.is_empty()) {
            tokens.extend_from_slice(text);
            tokens.push(BREAK);
        }
        let mut places: HashMap<u32, Vec<u32>> = HashMap::new();
        for (at, pair) in tokens.windows(2).enumerate() {
            if !pair.contains(&BREAK) {
                places.entry(pair[0]).or_default().push(at as u32);
            }
        }
        (!places.is_empty()).then(|| Self { orders: Arc::clone(orders), longest, tokens, places })
    }

    /// Tokens of context that matter.
    pub(crate) const fn longest(&self) -> usize {
        self.longest
    }

    /// What followed `context` elsewhere. Its last [`Repeats::longest`] tokens matter.
    pub(crate) fn seen(&self, context: &[u32]) -> Seen {
        let Some((last, before)) = context.split_last() else { return Seen(Vec::new()) };
        let Some(places) = self.places.get(last) else { return Seen(Vec::new()) };
        let places = &places[places.len().saturating_sub(PLACES_MAX)..];
        let follower = |&at: &u32| (self.tokens[at as usize + 1], 1 + self.shared(at as usize, before));
        let mut followers: Vec<(u32, usize)> = places.iter().map(follower).collect();
        followers.sort_unstable();
        // Where a shorter context has not been seen, no longer one has.
        Seen(self.orders.iter().map_while(|&order| Followers::count(&followers, order)).collect())
    }

    /// How many of the tokens before place `at` are the last ones of `before`; no more than matter.
    fn shared(&self, at: usize, before: &[u32]) -> usize {
        let there = self.tokens[..at].iter().rev();
        there.zip(before.iter().rev()).take(self.longest - 1).take_while(|(a, b)| a == b).count()
    }
}

impl Seen {
    /// Mixes the log-probabilities `[vocabulary]` of what follows.
    pub(crate) fn mix(&self, log_probs: &mut [f32]) {
        let mut gained: BTreeMap<u32, f32> = BTreeMap::new();
        let mut keep = 1.0; // of what a shorter order says, after the longer ones took their share
        for order in self.0.iter().rev() {
            for &(token, gain) in &order.gains {
                *gained.entry(token).or_default() += gain * keep;
            }
            keep *= order.keep;
        }
        let keep = keep.ln();
        log_probs.iter_mut().for_each(|log_prob| *log_prob += keep);
        for (token, gain) in gained {
            if let Some(log_prob) = log_probs.get_mut(token as usize) {
                *log_prob = (log_prob.exp() + gain).ln();
            }
        }
    }

    /// The mixed log-probability of `token`, of which the network says `log_prob`.
    pub(crate) fn log_prob(&self, token: u32, log_prob: f32) -> f32 {
        let (mut gained, mut keep) = (0.0, 1.0);
        for order in self.0.iter().rev() {
            let gain = order.gains.iter().find(|(id, _)| *id == token).map_or(0.0, |gain| gain.1);
            gained += gain * keep;
            keep *= order.keep;
        }
        // What was never seen keeps its logarithm, however small.
        let kept = log_prob + keep.ln();
        if gained > 0.0 { (kept.exp() + gained).ln() } else { kept }
    }
}

impl Followers {
    /// Of `seen` (token that followed, tokens of context shared; sorted) those that share `order.order`.
    fn count(seen: &[(u32, usize)], order: RepeatOrder) -> Option<Self> {
        let mut counts: Vec<(u32, f32)> = Vec::new();
        for &(token, _) in seen.iter().filter(|(_, shared)| *shared >= order.order) {
            match counts.last_mut() {
                Some((last, count)) if *last == token => *count += 1.0,
                _ => counts.push((token, 1.0)),
            }
        }
        if counts.is_empty() {
            return None;
        }
        let prior = order.weight * counts.len() as f32;
        let total = counts.iter().map(|(_, count)| count).sum::<f32>() + prior;
        counts.iter_mut().for_each(|(_, count)| *count /= total);
        Some(Self { keep: prior / total, gains: counts })
    }
}

/// Texts that were turned into tokens lately: between two keystrokes most of what is near stays as it is.
#[derive(Debug, Default)]
pub(crate) struct TokenCache {
    /// Most recently used last.
    kept: Vec<(String, Arc<[u32]>)>,
}

impl TokenCache {
    /// Texts kept.
    const KEPT_MAX: usize = 8;

    /// The tokens of `text`, by `encode` where they are not at hand.
    pub(crate) fn tokens<E>(
        &mut self,
        text: &str,
        encode: impl FnOnce(&str) -> Result<Vec<u32>, E>,
    ) -> Result<Arc<[u32]>, E> {
        let entry = match self.kept.iter().position(|(known, _)| known == text) {
            Some(at) => self.kept.remove(at),
            None => (text.to_owned(), Arc::from(encode(text)?)),
        };
        let tokens = Arc::clone(&entry.1);
        if self.kept.len() >= Self::KEPT_MAX {
            self.kept.remove(0);
        }
        self.kept.push(entry);
        Ok(tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders(orders: &[(usize, f32)]) -> Arc<[RepeatOrder]> {
        orders.iter().map(|&(order, weight)| RepeatOrder { order, weight }).collect()
    }

    fn total(log_probs: &[f32]) -> f32 {
        log_probs.iter().map(|p| p.exp()).sum()
    }

    #[test]
    fn one_order_is_the_smoothed_count() {
        let repeats = Repeats::new(&orders(&[(1, 2.0)]), &[&[1, 2, 1, 2, 1, 3]]).unwrap();
        let mut log_probs = [0.25f32.ln(); 4];
        repeats.seen(&[1]).mix(&mut log_probs);
        // After 1: 2 twice, 3 once; two different ones, so the network weighs 4 against 3.
        let expected = [1.0 / 7.0, 1.0 / 7.0, 3.0 / 7.0, 2.0 / 7.0];
        for (log_prob, expected) in log_probs.iter().zip(expected) {
            assert!((log_prob.exp() - expected).abs() < 1e-6, "{log_probs:?}");
        }
    }

    #[test]
    fn a_longer_order_outweighs_a_shorter_one() {
        let text: &[u32] = &[5, 1, 2, 6, 1, 3, 6, 1, 3, 5, 1];
        let repeats = Repeats::new(&orders(&[(1, 1.0), (2, 0.1)]), &[text]).unwrap();
        let mut log_probs = [(1.0f32 / 8.0).ln(); 8];
        repeats.seen(&[5, 1]).mix(&mut log_probs);
        assert!(log_probs[2] > log_probs[3], "after 5 1 came 2, though after 1 mostly 3");
        assert!((total(&log_probs) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn one_token_gets_what_the_whole_row_gives_it() {
        let text: Vec<u32> = (0..200).map(|i| (i * i + i / 7) % 11).collect();
        let repeats =
            Repeats::new(&orders(&[(1, 10.0), (2, 6.0), (4, 2.0)]), &[&text, &text[50..90]]).unwrap();
        let row: Vec<f32> = (0..11).map(|i| ((i + 1) as f32 / 66.0).ln()).collect();
        for end in 0..text.len() {
            let context = &text[end.saturating_sub(4)..end];
            let mut mixed = row.clone();
            repeats.seen(context).mix(&mut mixed);
            assert!((total(&mixed) - 1.0).abs() < 1e-4);
            for token in 0..11u32 {
                let one = repeats.seen(context).log_prob(token, row[token as usize]);
                assert!((one - mixed[token as usize]).abs() < 1e-4, "{one} {mixed:?}");
            }
        }
    }

    #[test]
    fn texts_do_not_run_into_each_other() {
        let repeats = Repeats::new(&orders(&[(1, 1.0)]), &[&[1, 2], &[3, 4]]).unwrap();
        let row = 0.5f32.ln();
        assert_eq!(repeats.seen(&[2]).log_prob(3, row), row, "nothing was ever seen after 2");
        assert!(repeats.seen(&[3]).log_prob(4, row) > row);
    }

    #[test]
    fn an_impossible_token_stays_impossible_unless_it_stood_there() {
        let repeats = Repeats::new(&orders(&[(1, 1.0)]), &[&[1, 2]]).unwrap();
        let mut row = [f32::NEG_INFINITY, 0.0, f32::NEG_INFINITY];
        repeats.seen(&[1]).mix(&mut row);
        assert_eq!(row[0], f32::NEG_INFINITY);
        assert!((row[2].exp() - 0.5).abs() < 1e-6);
    }

    #[test]
    fn what_is_all_but_impossible_stays_finite() {
        let repeats = Repeats::new(&orders(&[(1, 1.0), (2, 1.0)]), &[&[1, 2, 1, 2]]).unwrap();
        let (one, mut row) = (repeats.seen(&[1]).log_prob(0, -200.0), [-200.0, 0.0, 0.0]);
        repeats.seen(&[1]).mix(&mut row);
        assert!(one.is_finite() && (one - row[0]).abs() < 1e-3, "{one} {row:?}");
    }

    #[test]
    fn a_document_of_one_token_is_no_more_work_than_another() {
        let text = vec![7; 100_000];
        let repeats = Repeats::new(&orders(&[(1, 1.0), (8, 1.0)]), &[&text]).unwrap();
        let start = std::time::Instant::now();
        for _ in 0..1000 {
            assert!(repeats.seen(&[7; 8]).log_prob(7, -1.0) > -0.1);
        }
        // Some ten microseconds each; all places would be thousands.
        assert!(start.elapsed().as_secs_f32() < 1.0, "{:?}", start.elapsed());
    }

    #[test]
    fn nothing_to_count_is_no_repeats() {
        assert!(Repeats::new(&orders(&[]), &[&[1, 2, 3]]).is_none());
        assert!(Repeats::new(&orders(&[(1, 1.0)]), &[&[1], &[]]).is_none());
    }

    #[test]
    fn tokens_are_made_once_as_long_as_a_text_is_kept() {
        let mut cache = TokenCache::default();
        let mut made = 0;
        for text in ["a", "b", "a", "c", "a"] {
            let tokens = cache
                .tokens(text, |text| {
                    made += 1;
                    Ok::<_, ()>(vec![text.len() as u32])
                })
                .unwrap();
            assert_eq!(*tokens, [1]);
        }
        assert_eq!(made, 3);
        for i in 0..20 {
            cache.tokens(&format!("{i}"), |_| Ok::<_, ()>(Vec::new())).unwrap();
        }
        assert_eq!(cache.kept.len(), TokenCache::KEPT_MAX);
    }
}
