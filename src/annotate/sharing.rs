//! Questions in rows that hold once what several of them begin with.
//!
//! A token of a packed row sees two stretches of tokens before its own ([`Span`](crate::batch::Span)), and what stands
//! right behind what it continues is one stretch with it. So what questions begin with, a tree, is laid out branch by
//! branch: the first one behind each fork goes on as if there were no other, and all others begin a stretch of their
//! own. A question whose way takes more than two such turns has some of its tokens once more.

use std::ops::Range;

use crate::batch::{Batch, Piece, SegmentKind, Sequence, bucket};
use crate::model::BatchShape;

/// Distinct questions, in the order of their tokens.
#[derive(Clone, Debug, Default)]
pub struct Sharing<'s> {
    asked: Vec<&'s Sequence>,
}

/// Stretches that a token sees before its own.
const TURNS: usize = 2;

impl<'s> Sharing<'s> {
    /// Of questions, and for each of them its place among the distinct ones.
    pub fn of(questions: &[&'s Sequence]) -> (Self, Vec<usize>) {
        let mut sorted: Vec<usize> = (0..questions.len()).collect();
        sorted.sort_by(|&a, &b| tokens(questions[a]).cmp(tokens(questions[b])));
        let mut places = vec![0; questions.len()];
        let mut asked: Vec<&'s Sequence> = Vec::new();
        for i in sorted {
            if asked.last().is_none_or(|last| !tokens(last).eq(tokens(questions[i]))) {
                asked.push(questions[i]);
            }
            places[i] = asked.len() - 1;
        }
        (Self { asked }, places)
    }

    /// The questions, in the order in which they are computed.
    pub fn questions(&self) -> impl ExactSizeIterator<Item = &'s Sequence> {
        self.asked.iter().copied()
    }

    /// Batches of up to so many, which hold them in order.
    pub fn batches(&self, size: usize) -> impl Iterator<Item = Batch> {
        // A question ends at its last token, whatever that is.
        self.trees(size).map(|tree| Batch::of_pieces(&tree.pieces(), None::<u32>))
    }

    /// The shapes of these batches, of which no tokens are predicted.
    pub fn shapes(&self, size: usize) -> Vec<BatchShape> {
        let shape = |tree: Tree| BatchShape { tokens: bucket(tree.positions()), targets: 0 };
        self.trees(size).map(shape).collect()
    }

    fn trees(&self, size: usize) -> impl Iterator<Item = Tree> {
        let shared = self.shared();
        parts(self.asked.len(), &shared, size).into_iter().map(move |part| {
            let within = part.start..part.end - 1;
            let tokens =
                self.asked[part].iter().map(|question| tokens(question).copied().collect());
            Tree { tokens: tokens.collect(), shared: shared[within].to_vec() }
        })
    }

    /// How many tokens each has in common with the next.
    fn shared(&self) -> Vec<usize> {
        self.asked.windows(2).map(|two| common(tokens(two[0]), tokens(two[1]))).collect()
    }

    /// Nodes of the prefix tree over all questions: in order, each adds what it does not share with the one before.
    fn nodes(&self) -> usize {
        let all: usize = self.asked.iter().map(|question| question.len()).sum();
        all - self.shared().iter().sum::<usize>()
    }
}

/// Consecutive ranges of up to `size` of all, each of which shares so much with the next; they end where neighbours
/// have least in common, within the last quarter.
fn parts(all: usize, shared: &[usize], size: usize) -> Vec<Range<usize>> {
    let size = size.max(1);
    let mut found = Vec::new();
    let mut start = 0;
    while all - start > size {
        let last = start + size;
        let least = (last - size / 4).max(start + 1);
        let end = (least..=last).min_by_key(|&end| (shared[end - 1], last - end)).unwrap_or(last);
        found.push(start..end);
        start = end;
    }
    found.extend((start < all).then_some(start..all));
    found
}

/// The questions of a batch, as leaves of a tree: tokens in order, and how many each has in common with the next.
struct Tree {
    tokens: Vec<Vec<u32>>,
    shared: Vec<usize>,
}

/// Where a branch goes on.
#[derive(Clone, Copy)]
struct Way {
    /// The piece that it continues, and whether it stands right behind it.
    after: Option<usize>,
    joined: bool,
    /// Tokens of it that are there.
    laid: usize,
    /// Where its stretch begins, and the piece that this continues.
    from: usize,
    before: Option<usize>,
    /// Further stretches that may begin.
    turns: usize,
}

/// A branch behind a fork, and the positions that it takes.
struct Ways {
    branch: Range<usize>,
    /// As the first one, which goes on as if there were no fork.
    on: usize,
    /// As one that begins a stretch behind the fork.
    turned: usize,
    /// As one that has the stretch that leads to the fork once more.
    again: usize,
}

impl Ways {
    /// As one that is not the first.
    fn apart(&self) -> usize {
        self.turned.min(self.again)
    }

    /// What it gains by being the first: what begins later, or turns more often, takes no fewer.
    fn gained(&self) -> usize {
        self.apart() - self.on
    }
}

impl Tree {
    /// Tokens of the row, without padding.
    fn positions(&self) -> usize {
        let all = 0..self.tokens.len();
        self.end(&all) + self.behind(&all, 0, TURNS)
    }

    /// The pieces of the row.
    fn pieces(&self) -> Vec<Piece<'_>> {
        let mut pieces = Vec::with_capacity(2 * self.tokens.len());
        let way = Way { after: None, joined: false, laid: 0, from: 0, before: None, turns: TURNS };
        self.lay(0..self.tokens.len(), way, &mut pieces);
        pieces
    }

    /// Append the pieces of a branch.
    fn lay<'t>(&'t self, branch: Range<usize>, way: Way, pieces: &mut Vec<Piece<'t>>) {
        let Way { after, joined, laid, from, turns, .. } = way;
        let end = self.end(&branch);
        let leaf = branch.len() == 1;
        let (mut fork, mut joins) = (after, joined);
        if end > laid || leaf {
            let tokens = &self.tokens[branch.start][laid..end];
            let kind = if leaf { SegmentKind::Response(branch.start) } else { SegmentKind::Prompt };
            pieces.push(Piece { tokens, kind, after, joined });
            (fork, joins) = (Some(pieces.len() - 1), true);
        }
        if leaf {
            return;
        }
        // One that the others go on from has all of its tokens.
        if self.tokens[branch.start].len() == end {
            let kind = SegmentKind::Response(branch.start);
            pieces.push(Piece { tokens: &[], kind, after: fork, joined: joins });
        }
        let mut ways = self.ways(&branch, from, turns);
        // `max_by_key` takes the last of several; the first keeps the order of the questions.
        let first = (0..ways.len()).rev().max_by_key(|&k| ways[k].gained()).unwrap_or_default();
        let on = Way { after: fork, joined: joins, laid: end, ..way };
        self.lay(ways.remove(first).branch, on, pieces);
        for other in ways {
            let turns = turns.saturating_sub(1);
            let turned =
                Way { after: fork, joined: false, laid: end, from: end, before: fork, turns };
            let again = Way { after: way.before, joined: false, laid: from, ..way };
            let way = if other.turned < other.again { turned } else { again };
            self.lay(other.branch, way, pieces);
        }
    }

    /// Positions behind what a branch has in common, where the stretch that this belongs to begins at `from`.
    fn behind(&self, branch: &Range<usize>, from: usize, turns: usize) -> usize {
        if branch.len() == 1 {
            return 0;
        }
        let ways = self.ways(branch, from, turns);
        let all: usize = ways.iter().map(Ways::apart).sum();
        all - ways.iter().map(Ways::gained).max().unwrap_or(0)
    }

    /// What each branch behind a fork takes.
    fn ways(&self, branch: &Range<usize>, from: usize, turns: usize) -> Vec<Ways> {
        let fork = self.end(branch);
        let of = |branch: Range<usize>| {
            let (end, behind) = (self.end(&branch), self.behind(&branch, from, turns));
            let turned = match turns {
                0 => usize::MAX,
                turns => end - fork + self.behind(&branch, fork, turns - 1),
            };
            Ways { on: end - fork + behind, again: end - from + behind, turned, branch }
        };
        self.branches(branch, fork).into_iter().map(of).collect()
    }

    /// How many tokens all of a branch have in common.
    fn end(&self, branch: &Range<usize>) -> usize {
        let between = &self.shared[branch.start..branch.end - 1];
        between.iter().copied().min().unwrap_or_else(|| self.tokens[branch.start].len())
    }

    /// Those that have more than `end` tokens in common; one that ends there is none of them.
    fn branches(&self, branch: &Range<usize>, end: usize) -> Vec<Range<usize>> {
        let first = branch.start + usize::from(self.tokens[branch.start].len() == end);
        let cuts = (first..branch.end - 1).filter(|&i| self.shared[i] <= end).map(|i| i + 1);
        let starts: Vec<usize> = std::iter::once(first).chain(cuts).collect();
        let ends = starts.iter().copied().skip(1).chain([branch.end]);
        starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect()
    }
}

/// All tokens of a question.
fn tokens(question: &Sequence) -> impl Iterator<Item = &u32> {
    question.prompt.iter().chain(&question.response)
}

/// How many tokens two questions begin with alike.
pub(super) fn common<'t>(
    a: impl IntoIterator<Item = &'t u32>,
    b: impl IntoIterator<Item = &'t u32>,
) -> usize {
    a.into_iter().zip(b).take_while(|(x, y)| x == y).count()
}

/// Positions of questions that are computed in batches of so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Positions {
    /// That packed batches compute, padding included.
    pub computed: usize,
    /// That would do: the nodes of a prefix tree over all of them.
    pub least: usize,
}

impl Positions {
    /// Of these questions.
    pub fn of(questions: &Sharing<'_>, batch_size: usize) -> Self {
        let shapes = questions.shapes(batch_size);
        Self { computed: shapes.iter().map(|shape| shape.tokens).sum(), least: questions.nodes() }
    }

    /// How many times the least is computed.
    pub fn ratio(&self) -> f64 {
        self.computed as f64 / self.least.max(1) as f64
    }
}
