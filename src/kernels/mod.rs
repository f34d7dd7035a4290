//! Fused operations with backward passes of their own, each beside what it equals in plain burn.

mod frozen_linear;

pub(crate) use frozen_linear::frozen_matmul;
