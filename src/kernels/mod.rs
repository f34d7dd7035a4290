//! Fused operations with backward passes of their own, each beside what it equals in plain burn.
//!
//! On the CPU backend they are loops over slices (`cpu/`). On a GPU attention and dropout are
//! kernels; the others are the plain operations there.

mod activation;
mod adamw;
mod attention;
#[doc(hidden)]
pub mod check;
mod cpu;
mod dropout;
mod frozen_linear;
mod norm;
mod readout;
mod rotary;

pub use activation::Activation;
pub(crate) use activation::activate;
pub(crate) use adamw::{AdamWStep, adamw};
pub(crate) use attention::{SegmentAttention, has_attention_kernel, segment_attention};
pub(crate) use dropout::{Dropped, dropped_matmul};
pub(crate) use frozen_linear::frozen_matmul;
pub(crate) use norm::{layer_norm, rms_norm};
pub(crate) use readout::{head_gradient, read_targets};
pub(crate) use rotary::rotate;

use burn::backend::Flex;
use burn_autodiff::NodeId;
use burn_autodiff::grads::Gradients;
use burn_flex::FlexTensor;

/// Hand gradients to those parents that want them.
fn register<const N: usize>(
    grads: &mut Gradients,
    parents: [Option<NodeId>; N],
    gradients: [FlexTensor; N],
) {
    for (parent, gradient) in parents.into_iter().zip(gradients) {
        if let Some(node) = parent {
            grads.register::<Flex>(node, gradient);
        }
    }
}
