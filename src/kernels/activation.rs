//! The non-linearity of feed-forward blocks, alone or as a gate.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Tensor, activation};
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_flex::FlexTensor;

use super::arguments::Activation;
use super::cpu::{self, Floats, tensor};
use super::gradients::register;
use crate::device::is_cpu;

/// f(x), or f(x)·up, of the same shape.
pub(crate) fn activate(kind: Activation, x: Tensor<2>, up: Option<Tensor<2>>) -> Tensor<2> {
    if is_cpu(&x.device()) {
        let x = x.into_dispatch();
        return Tensor::from_dispatch(match up {
            Some(up) => Dispatch::fused_gate(x, up.into_dispatch(), kind),
            None => Dispatch::fused_activation(x, kind),
        });
    }
    let y = match kind {
        Activation::Silu => activation::silu(x),
        Activation::Relu => activation::relu(x),
        Activation::Gelu => activation::gelu(x),
        Activation::GeluTanh => activation::gelu_approximate(x),
    };
    match up {
        Some(up) => y * up,
        None => y,
    }
}

/// Both on the CPU backend.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait FusedActivation: Backend {
    /// f(x).
    fn fused_activation(x: FloatTensor<Self>, kind: Activation) -> FloatTensor<Self>;

    /// f(x)·up.
    fn fused_gate(
        x: FloatTensor<Self>,
        up: FloatTensor<Self>,
        kind: Activation,
    ) -> FloatTensor<Self>;
}

impl FusedActivation for Flex {
    fn fused_activation(x: FlexTensor, kind: Activation) -> FlexTensor {
        let (shape, x) = (x.shape(), Floats::of(&x));
        tensor(cpu::activate(kind, x.get(), None), shape)
    }

    fn fused_gate(x: FlexTensor, up: FlexTensor, kind: Activation) -> FlexTensor {
        let shape = x.shape();
        let [x, up] = [&x, &up].map(Floats::of);
        tensor(cpu::activate(kind, x.get(), Some(up.get())), shape)
    }
}

impl<C: CheckpointStrategy> FusedActivation for Autodiff<Flex, C> {
    fn fused_activation(x: FloatTensor<Self>, kind: Activation) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Alone;

        impl Backward<Flex, 1> for Alone {
            type State = (FlexTensor, Activation);

            fn backward(
                self,
                ops: Ops<Self::State, 1>,
                grads: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let grad_output = grads.consume::<Flex>(&ops.node);
                let (x, kind) = ops.state;
                let shape = x.shape();
                let [x, grad_output] = [&x, &grad_output].map(Floats::of);
                let (dx, _) = cpu::activate_backward(kind, x.get(), None, grad_output.get());
                let parents = ops.parents.map(|node| node.map(|node| node.id));
                register(grads, parents, [tensor(dx, shape)]);
            }
        }

        let (x, node) = x.into_parts();
        let y = Flex::fused_activation(x.clone(), kind);
        match Alone.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((x, kind), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn fused_gate(
        x: FloatTensor<Self>,
        up: FloatTensor<Self>,
        kind: Activation,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Gate;

        impl Backward<Flex, 2> for Gate {
            type State = (FlexTensor, FlexTensor, Activation);

            fn backward(
                self,
                ops: Ops<Self::State, 2>,
                grads: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let grad_output = grads.consume::<Flex>(&ops.node);
                let (x, up, kind) = ops.state;
                let shape = x.shape();
                let [x, up, grad_output] = [&x, &up, &grad_output].map(Floats::of);
                let (dx, d_up) =
                    cpu::activate_backward(kind, x.get(), Some(up.get()), grad_output.get());
                let found = [dx, d_up.unwrap_or_default()];
                let parents = ops.parents.map(|node| node.map(|node| node.id));
                register(grads, parents, found.map(|values| tensor(values, shape.clone())));
            }
        }

        let [(x, a), (up, b)] = [x, up].map(FloatTensor::<Self>::into_parts);
        let y = Flex::fused_gate(x.clone(), up.clone(), kind);
        match Gate.prepare::<C>([a, b]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((x, up, kind), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }
}
