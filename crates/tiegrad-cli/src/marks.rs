//! Two marks that a loss can be held against, computed from a text alone.
//!
//! Both are in nats per character, like the losses, and both are taken over the training part: they are the losses on that
//! part of the best model that knows no context (how often each character occurs) and of the best one that knows the
//! character before (how often each pair occurs). A model below the second mark has learned more than pairs.

use std::collections::HashMap;
use std::hash::Hash;

/// The marks of a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Marks {
    /// Entropy of single characters.
    pub(crate) unigram: f64,
    /// Entropy of a character given the one before.
    pub(crate) bigram: f64,
}

impl Marks {
    /// The marks of a series of tokens; zero where there is nothing to count.
    ///
    /// `unigram = H(X)` over all tokens. `bigram = H(Y | X) = H(X, Y) - H(X)` over all pairs of neighbours, so that the
    /// `H(X)` in it leaves out the last token, which has no successor. O(tokens).
    pub(crate) fn of(tokens: &[u32]) -> Marks {
        let firsts = &tokens[..tokens.len().saturating_sub(1)];
        let pairs = tokens.windows(2).map(|pair| (pair[0], pair[1]));
        Marks {
            unigram: entropy(tokens.iter().copied()),
            bigram: (entropy(pairs) - entropy(firsts.iter().copied())).max(0.0),
        }
    }
}

/// `-sum p ln p` of the observed frequencies, added in a fixed order.
fn entropy<K: Hash + Ord>(items: impl Iterator<Item = K>) -> f64 {
    let mut counts: HashMap<K, u64> = HashMap::new();
    for item in items {
        *counts.entry(item).or_default() += 1;
    }
    let mut counts: Vec<u64> = counts.into_values().collect();
    counts.sort_unstable();
    let total = counts.iter().sum::<u64>() as f64;
    counts
        .iter()
        .map(|&n| n as f64 / total)
        .map(|p| -p * p.ln())
        .sum()
}

#[cfg(test)]
mod tests {
    use std::f64::consts::LN_2;

    use super::*;
    use crate::text::{Corpus, Source};

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} {b}");
    }

    #[test]
    fn small_cases_by_hand() {
        // a b a b a: firsts a b a b; each determines its successor
        let marks = Marks::of(&[0, 1, 0, 1, 0]);
        close(marks.unigram, -(0.6 * 0.6_f64.ln() + 0.4 * 0.4_f64.ln()));
        close(marks.bigram, 0.0);
        // a a b b a: pairs aa ab bb ba, all equally often: one bit is left after the first letter
        close(Marks::of(&[0, 0, 1, 1, 0]).bigram, LN_2);
        // four letters equally often
        close(Marks::of(&[0, 1, 2, 3]).unigram, 4.0_f64.ln());
        // firsts a a a b (p = 3/4, 1/4); after a: a, b, c equally; after b: only a
        close(Marks::of(&[0, 0, 1, 0, 2]).bigram, 0.75 * 3.0_f64.ln());
    }

    #[test]
    fn nothing_to_count() {
        assert_eq!(
            Marks::of(&[]),
            Marks {
                unigram: 0.0,
                bigram: 0.0
            }
        );
        assert_eq!(
            Marks::of(&[4]),
            Marks {
                unigram: 0.0,
                bigram: 0.0
            }
        );
    }

    #[test]
    fn marks_of_the_built_in_text() {
        let text = Source::BuiltIn.read().unwrap();
        let corpus = Corpus::new(&Source::BuiltIn, &text, 64).unwrap();
        let marks = Marks::of(&corpus.train);
        assert_eq!(
            format!("{:.2} {:.2}", marks.unigram, marks.bigram),
            "2.94 2.37"
        );
    }
}
