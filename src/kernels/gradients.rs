//! Gradients on their way to the parents of an operation.

use burn::backend::Flex;
use burn_autodiff::NodeId;
use burn_autodiff::grads::Gradients;
use burn_flex::FlexTensor;

/// Hand gradients to those parents that want them.
pub(super) fn register<const N: usize>(
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
