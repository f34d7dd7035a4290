//! Batches: rows of tokens, made of segments.
//!
//! A row is a list of segments; a response segment continues a prompt segment of its
//! row. [`Batch::packed`] puts everything into one row and each prompt there once, whoever
//! continues it (arXiv 2410.20305), [`Batch::of_pieces`] whatever continues what;
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
    /// Whether it stands right behind that one and is one stretch of tokens with it.
    pub joined: bool,
}

/// A segment to be, of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'t> {
    /// Its tokens.
    pub tokens: &'t [u32],
    /// What it is.
    pub kind: SegmentKind,
    /// Index of the piece that it continues, which stands before it.
    pub after: Option<usize>,
    /// Whether its tokens stand right behind those of that piece, and are one stretch with them: a token sees three
    /// stretches, its own included, of which each may be many pieces.
    pub joined: bool,
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

/// What one token of a packed row sees: `[head.0, head.1)`, `[prompt.0, prompt.1)` and `[own, itself]`, three stretches of
/// tokens one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First and one past the last token of what its prompt continues; empty, at the beginning of its prompt, where that
    /// continues nothing.
    pub head: [usize; 2],
    /// First and one past the last token of what its own stretch continues; empty in a prompt.
    pub prompt: [usize; 2],
    /// First token of its own stretch.
    pub own: usize,
    /// One past the last token that may see it: the end of what continues its segment.
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

/// The segment of this index and all that it continues, the nearest first.
fn chain(segments: &[Segment], from: Option<usize>) -> impl Iterator<Item = &Segment> {
    let next = |segment: &&Segment| segment.after.map(|i| &segments[i]);
    std::iter::successors(from.map(|i| &segments[i]), next)
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
    /// Where the tokens of a segment and of all that it continues stand in its row, the nearest first.
    fn stretches<'b>(&'b self, segment: &'b Segment) -> impl Iterator<Item = [usize; 2]> + 'b {
        let mut next = Some(segment);
        std::iter::from_fn(move || {
            let mut segment = next?;
            let end = segment.end;
            while let (true, Some(before)) = (segment.joined, segment.after) {
                segment = &self.segments[before];
            }
            next = segment.after.map(|before| &self.segments[before]);
            Some([segment.start, end])
        })
    }

    /// All sequences in one row, behind each other, and each prompt once before the responses that
    /// continue it; sequences keep their indexes. `pad` as in [`Batch::one_per_row`].
    pub fn packed(sequences: &[&Sequence], pad: impl Into<Option<u32>>) -> Self {
        let mut pieces: Vec<Piece<'_>> = Vec::with_capacity(2 * sequences.len());
        for members in by_prompt(sequences) {
            let prompt = pieces.len();
            let kind = SegmentKind::Prompt;
            let tokens = &sequences[members[0]].prompt[..];
            pieces.push(Piece { tokens, kind, after: None, joined: false });
            pieces.extend(members.into_iter().map(|i| Piece {
                tokens: &sequences[i].response[..],
                kind: SegmentKind::Response(i),
                after: Some(prompt),
                joined: false,
            }));
        }
        Self::of_pieces(&pieces, pad)
    }

    /// Pieces in one row, behind each other; the responses among them are the sequences, each there once. `pad` as in
    /// [`Batch::one_per_row`].
    pub fn of_pieces(pieces: &[Piece<'_>], pad: impl Into<Option<u32>>) -> Self {
        let pad = pad.into();
        let (mut tokens, mut positions) = (Vec::new(), Vec::new());
        let mut segments: Vec<Segment> = Vec::with_capacity(pieces.len());
        for &Piece { tokens: own, kind, after, joined } in pieces {
            let before: usize = chain(&segments, after).map(|s| s.end - s.start).sum();
            let start = tokens.len();
            tokens.extend(own);
            positions.extend((before..before + own.len()).map(|i| i as u32));
            segments.push(Segment { row: 0, start, end: tokens.len(), kind, after, joined });
        }
        let length = bucket(tokens.len());
        tokens.resize(length, pad.unwrap_or(0));
        positions.resize(length, 0);
        let response = |segment: &&Segment| matches!(segment.kind, SegmentKind::Response(_));
        let sequences = segments.iter().filter(response).count();
        Self { rows: 1, length, tokens, positions, segments, sequences, packed: true, pad }
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
            let mut stretches = self.stretches(segment).map(|s| s.map(|place| base + place));
            let own = stretches.next().map_or(base + segment.start, |[start, _]| start);
            let (nearest, next) = (stretches.next(), stretches.next());
            // A prompt stands where responses see it.
            let (head, prompt) = match (segment.kind, nearest, next) {
                (SegmentKind::Prompt, head, None) => (head, None),
                (_, prompt, head) => (head, prompt),
            };
            let prompt = prompt.unwrap_or([own; 2]);
            let head = head.unwrap_or([prompt[0]; 2]);
            let span = Span { head, prompt, own, group_end: base + end };
            spans[base + segment.start..base + segment.end].fill(span);
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
                joined: false,
            });
            segments.push(Segment {
                row,
                start: split,
                end: sequence.len(),
                kind: SegmentKind::Response(row),
                after: Some(prompt),
                joined: false,
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
