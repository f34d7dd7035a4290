//! Rotation of queries and keys by their positions (arXiv 2104.09864), halves split as in Hugging
//! Face checkpoints.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_flex::FlexTensor;

use super::cpu::{self, Floats, tensor};
use super::gradients::register;
use crate::device::is_cpu;

/// Rotate heads `[B, T, heads, head_dim]` by angles whose cosines and sines are
/// `[B, T, 1, head_dim / 2]`.
pub(crate) fn rotate(x: Tensor<4>, cos: &Tensor<4>, sin: &Tensor<4>) -> Tensor<4> {
    let [cos, sin] = [cos, sin].map(Clone::clone);
    if is_cpu(&x.device()) {
        let [x, cos, sin] = [x, cos, sin].map(Tensor::into_dispatch);
        return Tensor::from_dispatch(Dispatch::fused_rotation(x, cos, sin, false));
    }
    let half = x.dims()[3] / 2;
    let (a, b) = (x.clone().narrow(3, 0, half), x.narrow(3, half, half));
    let first = a.clone() * cos.clone() - b.clone() * sin.clone();
    let second = b * cos + a * sin;
    Tensor::cat(vec![first, second], 3)
}

/// The same on the CPU backend.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait FusedRotation: Backend {
    /// See [`rotate`]; `back` turns the other way, which is also the way of the gradient.
    fn fused_rotation(
        x: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        back: bool,
    ) -> FloatTensor<Self>;
}

impl FusedRotation for Flex {
    fn fused_rotation(x: FlexTensor, cos: FlexTensor, sin: FlexTensor, back: bool) -> FlexTensor {
        let shape = x.shape();
        let half = shape[3] / 2;
        let [x, cos, sin] = [&x, &cos, &sin].map(Floats::of);
        tensor(cpu::rotate(x.get(), [cos.get(), sin.get()], half, back), shape)
    }
}

impl<C: CheckpointStrategy> FusedRotation for Autodiff<Flex, C> {
    fn fused_rotation(
        x: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        back: bool,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Rotation;

        impl Backward<Flex, 1> for Rotation {
            type State = (FlexTensor, FlexTensor, bool);

            fn backward(
                self,
                ops: Ops<Self::State, 1>,
                grads: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let grad_output = grads.consume::<Flex>(&ops.node);
                let (cos, sin, back) = ops.state;
                let parents = ops.parents.map(|node| node.map(|node| node.id));
                register(grads, parents, [Flex::fused_rotation(grad_output, cos, sin, !back)]);
            }
        }

        let (x, node) = x.into_parts();
        let [cos, sin] = [cos, sin].map(|angles| angles.into_primitive());
        let y = Flex::fused_rotation(x, cos.clone(), sin.clone(), back);
        match Rotation.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((cos, sin, back), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }
}
