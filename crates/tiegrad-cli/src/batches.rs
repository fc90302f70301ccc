//! Blocks of tokens and the tokens that follow them, as nanoGPT cuts them from a text.

use crate::rng::{self, Stream};

/// `rows` blocks of `cols` tokens, row-major, and for each token the one that follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    /// What the model sees.
    pub(crate) x: Vec<u32>,
    /// What it should predict, place by place.
    pub(crate) y: Vec<u32>,
    /// Number of blocks.
    pub(crate) rows: usize,
    /// Tokens per block.
    pub(crate) cols: usize,
}

impl Batch {
    /// Number of predictions.
    pub(crate) fn tokens(&self) -> usize {
        self.rows * self.cols
    }

    /// An empty batch, to be filled.
    pub(crate) fn new() -> Batch {
        Batch {
            x: Vec::new(),
            y: Vec::new(),
            rows: 0,
            cols: 0,
        }
    }

    fn clear(&mut self, cols: usize) {
        self.x.clear();
        self.y.clear();
        self.rows = 0;
        self.cols = cols;
    }

    fn push(&mut self, tokens: &[u32], start: usize) {
        self.x.extend_from_slice(&tokens[start..start + self.cols]);
        self.y
            .extend_from_slice(&tokens[start + 1..start + 1 + self.cols]);
        self.rows += 1;
    }

    /// Fills the batch with `rows` blocks from random places of `tokens`, which is longer than `cols`. What is drawn
    /// depends on `(seed, stream, index, part)` only.
    pub(crate) fn draw(
        &mut self,
        tokens: &[u32],
        rows: usize,
        cols: usize,
        (seed, stream, index, part): (u64, Stream, u64, u64),
    ) {
        let mut rng = rng::generator(seed, stream, index, part);
        let places = (tokens.len() - cols) as u64;
        self.clear(cols);
        for _ in 0..rows {
            self.push(tokens, rng::below(&mut rng, places) as usize);
        }
    }
}

/// Walks all of `tokens` in consecutive blocks: batches of up to `rows` blocks of `cols` tokens, at last the shorter block
/// that remains. Every token but the first is predicted exactly once.
pub(crate) fn consecutive(
    tokens: &[u32],
    rows: usize,
    cols: usize,
) -> impl Iterator<Item = Batch> + '_ {
    let predictions = tokens.len().saturating_sub(1);
    let mut start = 0;
    std::iter::from_fn(move || {
        let left = predictions - start;
        if left == 0 {
            return None;
        }
        let mut batch = Batch::new();
        batch.clear(cols.min(left));
        while batch.rows < rows && start + batch.cols <= predictions {
            batch.push(tokens, start);
            start += batch.cols;
        }
        Some(batch)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_the_next_tokens() {
        let tokens: Vec<u32> = (0..100).collect();
        let mut batch = Batch::new();
        batch.draw(&tokens, 12, 8, (3, Stream::TrainBatch, 5, 0));
        assert_eq!((batch.rows, batch.cols, batch.tokens()), (12, 8, 96));
        for (row_x, row_y) in batch.x.chunks(8).zip(batch.y.chunks(8)) {
            assert!(row_x.windows(2).all(|w| w[1] == w[0] + 1));
            assert!(row_x.iter().zip(row_y).all(|(x, y)| *y == x + 1));
        }
        let mut again = Batch::new();
        again.draw(&tokens, 12, 8, (3, Stream::TrainBatch, 5, 0));
        assert_eq!(batch, again);
        again.draw(&tokens, 12, 8, (3, Stream::TrainBatch, 6, 0));
        assert_ne!(batch.x, again.x);
    }

    #[test]
    fn first_and_last_places_are_drawn() {
        let tokens: Vec<u32> = (0..7).collect();
        let mut batch = Batch::new();
        batch.draw(&tokens, 200, 4, (0, Stream::EvalTrain, 0, 0));
        let starts: std::collections::BTreeSet<u32> = batch.x.chunks(4).map(|row| row[0]).collect();
        assert_eq!(starts.into_iter().collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(batch.y.iter().max(), Some(&6));
    }

    #[test]
    fn consecutive_blocks_predict_everything_once() {
        for (len, rows, cols) in [(23, 2, 4), (25, 2, 4), (9, 3, 4), (5, 1, 9), (2, 1, 1)] {
            let tokens: Vec<u32> = (0..len).collect();
            let batches: Vec<Batch> = consecutive(&tokens, rows, cols).collect();
            let x: Vec<u32> = batches.iter().flat_map(|b| b.x.clone()).collect();
            let y: Vec<u32> = batches.iter().flat_map(|b| b.y.clone()).collect();
            assert_eq!(x, (0..len - 1).collect::<Vec<_>>());
            assert_eq!(y, (1..len).collect::<Vec<_>>());
            assert!(
                batches
                    .iter()
                    .all(|b| b.rows <= rows && b.cols <= cols && b.x.len() == b.tokens())
            );
        }
        assert_eq!(consecutive(&[1], 2, 4).count(), 0);
        assert_eq!(consecutive(&[], 2, 4).count(), 0);
    }
}
