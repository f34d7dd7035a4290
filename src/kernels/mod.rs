//! Fused operations with backward passes of their own, each beside what it equals in plain burn.
//!
//! On the CPU backend they are loops over slices (`cpu/`). On a GPU attention and dropout are
//! kernels; the others are the plain operations there.

mod activation;
mod adamw;
mod arguments;
mod attention;
#[doc(hidden)]
pub mod check;
mod cpu;
mod dropout;
mod frozen_linear;
mod gradients;
mod norm;
mod readout;
mod rotary;

pub(crate) use activation::activate;
pub(crate) use adamw::adamw;
pub use arguments::Activation;
pub(crate) use arguments::{AdamWStep, Dropped, SegmentAttention};
pub(crate) use attention::{has_attention_kernel, segment_attention};
pub(crate) use dropout::dropped_matmul;
pub(crate) use frozen_linear::frozen_matmul;
pub(crate) use norm::{layer_norm, rms_norm};
pub(crate) use readout::{Beside, head_gradient, read_targets};
pub(crate) use rotary::rotate;
