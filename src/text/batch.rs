//! Batches: rows of tokens, made of segments.
//!
//! A row is a list of segments; a response segment continues a prompt segment of its
//! row. Today each row holds one prompt and one response. Nothing that reads a batch
//! relies on that: readers ask for [`Batch::targets`] and [`Batch::ends`].

use super::Sequence;

/// What a segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentKind {
    /// Context only.
    Prompt,
    /// The response of this sequence.
    Response(usize),
}

/// A stretch of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Row.
    pub row: usize,
    /// First token in the row.
    pub start: usize,
    /// One past the last token.
    pub end: usize,
    /// What it is.
    pub kind: SegmentKind,
    /// Index of the segment that it continues.
    pub after: Option<usize>,
}

/// A token whose probability counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Position in the flattened batch whose hidden state predicts it.
    pub from: usize,
    /// The token.
    pub token: u32,
    /// The sequence that it belongs to.
    pub sequence: usize,
}

/// Rows of equal, bucketed length, padded on the right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// R.
    pub rows: usize,
    /// T, a value of [`bucket`].
    pub length: usize,
    /// Ids, `[R · T]`.
    pub tokens: Vec<u32>,
    /// Position of each token in its sequence, `[R · T]`.
    pub positions: Vec<u32>,
    /// The segments, row by row.
    pub segments: Vec<Segment>,
    /// S, the number of sequences.
    pub sequences: usize,
    pad: Option<u32>,
}

/// The padded length for `n` positions: at most an eighth longer, eight values an octave.
///
/// Few lengths mean few tensor shapes, and a GPU keeps kernels and memory per shape.
pub fn bucket(n: usize) -> usize {
    let octave = n.max(1).ilog2();
    let step = (1usize << octave.saturating_sub(3)).max(16);
    n.max(1).div_ceil(step) * step
}

impl Batch {
    /// One sequence to a row, in order. `pad` fills the rows and is no end of a sequence;
    /// without one, a sequence ends at its last token, whatever that is.
    pub fn one_per_row(sequences: &[&Sequence], pad: impl Into<Option<u32>>) -> Self {
        let pad = pad.into();
        let longest = sequences.iter().map(|s| s.len()).max().unwrap_or(1);
        let length = bucket(longest);
        let rows = sequences.len();
        let mut tokens = vec![pad.unwrap_or(0); rows * length];
        let mut positions = vec![0; rows * length];
        let mut segments = Vec::with_capacity(2 * rows);
        for (row, sequence) in sequences.iter().enumerate() {
            let at = row * length;
            let all = sequence.prompt.iter().chain(&sequence.response);
            for (i, &token) in all.enumerate() {
                tokens[at + i] = token;
                positions[at + i] = i as u32;
            }
            let split = sequence.prompt.len();
            let prompt = segments.len();
            segments.push(Segment {
                row,
                start: 0,
                end: split,
                kind: SegmentKind::Prompt,
                after: None,
            });
            segments.push(Segment {
                row,
                start: split,
                end: sequence.len(),
                kind: SegmentKind::Response(row),
                after: Some(prompt),
            });
        }
        Self { rows, length, tokens, positions, segments, sequences: rows, pad }
    }

    /// Every response token with the position that predicts it; a token with nothing
    /// before it is predicted by nothing and left out.
    pub fn targets(&self) -> Vec<Target> {
        let mut targets = Vec::new();
        for segment in &self.segments {
            let SegmentKind::Response(sequence) = segment.kind else { continue };
            let base = segment.row * self.length;
            let before = segment
                .after
                .map(|i| &self.segments[i])
                .filter(|prompt| prompt.end > prompt.start)
                .map(|prompt| base + prompt.end - 1);
            for i in segment.start..segment.end {
                let from = if i == segment.start { before } else { Some(base + i - 1) };
                let Some(from) = from else { continue };
                targets.push(Target { from, token: self.tokens[base + i], sequence });
            }
        }
        targets
    }

    /// For each sequence, the position of its rightmost token that is not padding: where
    /// transformers reads a score.
    pub fn ends(&self) -> Vec<usize> {
        let mut ends = vec![0; self.sequences];
        for segment in &self.segments {
            let SegmentKind::Response(sequence) = segment.kind else { continue };
            let base = segment.row * self.length;
            let mut chain = vec![segment];
            if let Some(prompt) = segment.after {
                chain.push(&self.segments[prompt]);
            }
            ends[sequence] = chain
                .iter()
                .flat_map(|s| (s.start..s.end).rev())
                .map(|i| base + i)
                .find(|&i| self.pad != Some(self.tokens[i]))
                .unwrap_or(base);
        }
        ends
    }

    /// Response tokens of each sequence.
    pub fn response_lengths(&self) -> Vec<usize> {
        let mut lengths = vec![0; self.sequences];
        for segment in &self.segments {
            if let SegmentKind::Response(sequence) = segment.kind {
                lengths[sequence] += segment.end - segment.start;
            }
        }
        lengths
    }

    /// Tokens that are not padding.
    pub fn real_tokens(&self) -> usize {
        self.segments.iter().map(|s| s.end - s.start).sum()
    }

    /// Token positions that are computed, padding included.
    pub fn computed_tokens(&self) -> usize {
        self.rows * self.length
    }
}
