//! Sequences and the rows that they are computed in: what `text` makes and `model` computes.

mod ranked;
mod rows;
mod sequence;

pub use ranked::Ranked;
pub use rows::{Batch, Piece, Segment, SegmentKind, Span, Target, bucket};
pub use sequence::Sequence;
