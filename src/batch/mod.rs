//! Sequences and the rows that they are computed in: what `text` makes and `model` computes.

mod ranked;
mod rows;
mod sequence;

pub use ranked::Ranked;
pub use rows::{Batch, Segment, SegmentKind, Span, Target, bucket, common_head};
pub use sequence::Sequence;
