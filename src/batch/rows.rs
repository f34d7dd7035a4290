//! Batches: rows of tokens, made of segments.
//!
//! A row is a list of segments; a response segment continues a prompt segment of its
//! row. [`Batch::packed`] puts everything into one row and each prompt there once, whoever
//! continues it (arXiv 2410.20305), [`Batch::packed_behind`] also what all prompts begin with;
//! [`Batch::one_per_row`] is the plain layout that both equal. Nothing that reads a batch relies on
//! any of them: readers ask for [`Batch::targets`] and [`Batch::ends`].

use std::collections::HashMap;

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
    /// Its place in the response, or in the prompt.
    pub index: usize,
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
    /// Whether rows hold more than one sequence, so that causality alone does not say what a
    /// token sees.
    pub packed: bool,
    pad: Option<u32>,
}

/// What one token of a packed row sees: `[head.0, head.1)`, `[prompt.0, prompt.1)` and `[own, itself]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First and one past the last token of what its prompt shares with the others of its row; empty,
    /// at the beginning of its prompt, where they share nothing.
    pub head: [usize; 2],
    /// First and one past the last token of the prompt that it continues; empty in a prompt.
    pub prompt: [usize; 2],
    /// First token of its own segment.
    pub own: usize,
    /// One past the last token that may see it: the end of what shares its prompt.
    pub group_end: usize,
}

/// The padded length for `n` positions: at most 15 or a thirty-second more.
///
/// Few lengths mean few tensor shapes, and a GPU keeps kernels and memory per shape.
pub fn bucket(n: usize) -> usize {
    let octave = n.max(1).ilog2();
    let step = (1usize << octave.saturating_sub(5)).max(16);
    n.max(1).div_ceil(step) * step
}

/// How many tokens all prompts begin with alike; those of a single one are all alike.
pub fn common_head(sequences: &[&Sequence]) -> usize {
    let Some((first, rest)) = sequences.split_first() else { return 0 };
    let common = |other: &&Sequence| {
        first.prompt.iter().zip(&*other.prompt).take_while(|(a, b)| a == b).count()
    };
    rest.iter().map(common).min().unwrap_or(first.prompt.len())
}

/// The segment of this index and all that it continues, the nearest first.
fn chain(segments: &[Segment], from: Option<usize>) -> impl Iterator<Item = &Segment> {
    let next = |segment: &&Segment| segment.after.map(|i| &segments[i]);
    std::iter::successors(from.map(|i| &segments[i]), next)
}

/// A row under construction.
#[derive(Default)]
struct Row {
    tokens: Vec<u32>,
    positions: Vec<u32>,
    segments: Vec<Segment>,
}

impl Row {
    /// Append a segment; returns its index.
    fn push(&mut self, tokens: &[u32], kind: SegmentKind, after: Option<usize>) -> usize {
        let before: usize = chain(&self.segments, after).map(|s| s.end - s.start).sum();
        let start = self.tokens.len();
        self.tokens.extend(tokens);
        self.positions.extend((before..before + tokens.len()).map(|i| i as u32));
        self.segments.push(Segment { row: 0, start, end: self.tokens.len(), kind, after });
        self.segments.len() - 1
    }
}

/// Indexes of sequences, those of each prompt together, in the order in which prompts first appear.
fn by_prompt(sequences: &[&Sequence]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut known: HashMap<&[u32], usize> = HashMap::new();
    for (i, sequence) in sequences.iter().enumerate() {
        let group = *known.entry(&sequence.prompt).or_insert(groups.len());
        if group == groups.len() {
            groups.push(Vec::new());
        }
        groups[group].push(i);
    }
    groups
}

impl Batch {
    /// All sequences in one row, behind each other, and each prompt once before the responses that
    /// continue it; sequences keep their indexes. `pad` as in [`Batch::one_per_row`].
    pub fn packed(sequences: &[&Sequence], pad: impl Into<Option<u32>>) -> Self {
        Self::packed_behind(0, sequences, pad)
    }

    /// As [`Batch::packed`], and the first `head` tokens of all prompts, or as many as they have in common,
    /// once before all of them.
    pub fn packed_behind(
        head: usize,
        sequences: &[&Sequence],
        pad: impl Into<Option<u32>>,
    ) -> Self {
        let pad = pad.into();
        let head = head.min(common_head(sequences));
        let mut row = Row::default();
        let before =
            (head > 0).then(|| row.push(&sequences[0].prompt[..head], SegmentKind::Prompt, None));
        for members in by_prompt(sequences) {
            let prompt = &sequences[members[0]].prompt[head..];
            let prompt = row.push(prompt, SegmentKind::Prompt, before);
            for i in members {
                row.push(&sequences[i].response, SegmentKind::Response(i), Some(prompt));
            }
        }
        let length = bucket(row.tokens.len());
        row.tokens.resize(length, pad.unwrap_or(0));
        row.positions.resize(length, 0);
        Self {
            rows: 1,
            length,
            tokens: row.tokens,
            positions: row.positions,
            segments: row.segments,
            sequences: sequences.len(),
            packed: true,
            pad,
        }
    }

    /// What each token sees, `[R · T]`, in places of the flattened batch; padding sees itself.
    pub fn spans(&self) -> Vec<Span> {
        let alone = |i: usize| Span { head: [i; 2], prompt: [i; 2], own: i, group_end: i + 1 };
        let mut spans: Vec<Span> = (0..self.rows * self.length).map(alone).collect();
        let mut ends: Vec<usize> = self.segments.iter().map(|s| s.end).collect();
        for (i, segment) in self.segments.iter().enumerate().rev() {
            if let Some(before) = segment.after {
                ends[before] = ends[before].max(ends[i]);
            }
        }
        for (segment, end) in self.segments.iter().zip(ends) {
            let base = segment.row * self.length;
            let own = base + segment.start;
            let places = |s: &Segment| [base + s.start, base + s.end];
            let mut before = chain(&self.segments, segment.after).map(places);
            let prompt = match segment.kind {
                SegmentKind::Prompt => [own; 2],
                SegmentKind::Response(_) => before.next().unwrap_or([own; 2]),
            };
            let head = before.next().unwrap_or([prompt[0]; 2]);
            let span = Span { head, prompt, own, group_end: base + end };
            spans[own..base + segment.end].fill(span);
        }
        spans
    }

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
        Self { rows, length, tokens, positions, segments, sequences: rows, packed: false, pad }
    }

    /// Every response token with the position that predicts it; a token with nothing
    /// before it is predicted by nothing and left out.
    pub fn targets(&self) -> Vec<Target> {
        let mut targets = Vec::new();
        for segment in &self.segments {
            if let SegmentKind::Response(sequence) = segment.kind {
                self.predicted(segment, sequence, 0, &mut |target| targets.push(target));
            }
        }
        targets
    }

    /// Every prompt token but the first with the position that predicts it, and the sequences that continue
    /// its prompt, the first of which it is said to belong to.
    pub fn prompt_targets(&self) -> Vec<(Target, Vec<usize>)> {
        let mut targets = Vec::new();
        for segment in self.segments.iter().filter(|s| s.kind == SegmentKind::Prompt) {
            let continues = |other: &Segment| {
                chain(&self.segments, other.after).any(|before| std::ptr::eq(before, segment))
            };
            let own = self.segments.iter().filter(|other| continues(other));
            let sequences: Vec<usize> = own
                .filter_map(|other| match other.kind {
                    SegmentKind::Response(sequence) => Some(sequence),
                    SegmentKind::Prompt => None,
                })
                .collect();
            let Some(&sequence) = sequences.first() else { continue };
            let before = chain(&self.segments, segment.after).map(|s| s.end - s.start).sum();
            let mut found = |target| targets.push((target, sequences.clone()));
            self.predicted(segment, sequence, before, &mut found);
        }
        targets
    }

    /// The tokens of a segment that something predicts, with their places, counted on from `first`.
    fn predicted(
        &self,
        segment: &Segment,
        sequence: usize,
        first: usize,
        found: &mut dyn FnMut(Target),
    ) {
        let base = segment.row * self.length;
        let before = chain(&self.segments, segment.after)
            .find(|s| s.end > s.start)
            .map(|s| base + s.end - 1);
        for i in segment.start..segment.end {
            let from = if i == segment.start { before } else { Some(base + i - 1) };
            let Some(from) = from else { continue };
            let (token, index) = (self.tokens[base + i], first + i - segment.start);
            found(Target { from, token, sequence, index });
        }
    }

    /// For each sequence, the position of its rightmost token that is not padding: where
    /// transformers reads a score.
    pub fn ends(&self) -> Vec<usize> {
        let mut ends = vec![0; self.sequences];
        for (place, segment) in self.segments.iter().enumerate() {
            let SegmentKind::Response(sequence) = segment.kind else { continue };
            let base = segment.row * self.length;
            ends[sequence] = chain(&self.segments, Some(place))
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
