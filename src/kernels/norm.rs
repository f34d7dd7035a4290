//! Layer normalisation (arXiv 1607.06450) and RMS normalisation (arXiv 1910.07467).

use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Shape, Tensor};
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_flex::FlexTensor;

use super::cpu::{self, Floats, tensor};
use super::gradients::register;
use crate::device::is_cpu;

/// (x − mean)/√(variance + ε)·weight + bias over the last dimension, weight and bias `[width]`.
pub(crate) fn layer_norm<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    eps: f64,
) -> Tensor<D> {
    if is_cpu(&x.device()) {
        let [x, weight, bias] = [x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch()];
        return Tensor::from_dispatch(Dispatch::fused_layer_norm(x, weight, bias, eps));
    }
    // Not burn's: it has other operations under autodiff, and a policy that equals its
    // reference must give exactly the reference's log-probabilities.
    let centred = x.clone() - x.mean_dim(D - 1);
    let variance = centred.clone().square().mean_dim(D - 1);
    let y = centred / variance.add_scalar(eps).sqrt();
    y * weight.unsqueeze() + bias.unsqueeze()
}

/// x/√(mean(x²) + ε)·weight over the last dimension, weight `[width]`.
pub(crate) fn rms_norm<const D: usize>(x: Tensor<D>, weight: Tensor<1>, eps: f64) -> Tensor<D> {
    if is_cpu(&x.device()) {
        let [x, weight] = [x.into_dispatch(), weight.into_dispatch()];
        return Tensor::from_dispatch(Dispatch::fused_rms_norm(x, weight, eps));
    }
    let scale = x.clone().square().mean_dim(D - 1).add_scalar(eps).sqrt();
    x / scale * weight.unsqueeze()
}

/// Both on the CPU backend.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait FusedNorm: Backend {
    /// See [`layer_norm`].
    fn fused_layer_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        eps: f64,
    ) -> FloatTensor<Self>;

    /// See [`rms_norm`].
    fn fused_rms_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        eps: f64,
    ) -> FloatTensor<Self>;
}

impl FusedNorm for Flex {
    fn fused_layer_norm(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        eps: f64,
    ) -> FlexTensor {
        let (bias, shape) = (Floats::of(&bias), x.shape());
        forward(&x, &weight, Some(bias.get()), eps, shape)
    }

    fn fused_rms_norm(x: FlexTensor, weight: FlexTensor, eps: f64) -> FlexTensor {
        let shape = x.shape();
        forward(&x, &weight, None, eps, shape)
    }
}

fn forward(
    x: &FlexTensor,
    weight: &FlexTensor,
    bias: Option<&[f32]>,
    eps: f64,
    shape: Shape,
) -> FlexTensor {
    let (x, weight) = (Floats::of(x), Floats::of(weight));
    tensor(cpu::normalise(x.get(), weight.get(), bias, eps as f32), shape)
}

/// What both keep for their backward passes: x, weight, ε.
type State = (FlexTensor, FlexTensor, f64);

fn backward((x, weight, eps): State, grad_output: &FlexTensor, centred: bool) -> [FlexTensor; 3] {
    let shapes = [x.shape(), weight.shape()];
    let [x, weight, grad_output] = [&x, &weight, grad_output].map(Floats::of);
    let found =
        cpu::normalise_backward(x.get(), weight.get(), grad_output.get(), centred, eps as f32);
    let ([dx, d_weight, d_bias], [rows, width]) = (found, shapes);
    [tensor(dx, rows), tensor(d_weight, width.clone()), tensor(d_bias, width)]
}

impl<C: CheckpointStrategy> FusedNorm for Autodiff<Flex, C> {
    fn fused_layer_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        eps: f64,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct LayerNorm;

        impl Backward<Flex, 3> for LayerNorm {
            type State = State;

            fn backward(self, ops: Ops<State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
                let grad_output = grads.consume::<Flex>(&ops.node);
                let parents = ops.parents.map(|node| node.map(|node| node.id));
                register(grads, parents, backward(ops.state, &grad_output, true));
            }
        }

        let [(x, a), (weight, b), (bias, c)] =
            [x, weight, bias].map(FloatTensor::<Self>::into_parts);
        let y = Flex::fused_layer_norm(x.clone(), weight.clone(), bias, eps);
        match LayerNorm.prepare::<C>([a, b, c]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((x, weight, eps), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn fused_rms_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        eps: f64,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct RmsNorm;

        impl Backward<Flex, 2> for RmsNorm {
            type State = State;

            fn backward(self, ops: Ops<State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
                let grad_output = grads.consume::<Flex>(&ops.node);
                let [dx, d_weight, _] = backward(ops.state, &grad_output, false);
                let parents = ops.parents.map(|node| node.map(|node| node.id));
                register(grads, parents, [dx, d_weight]);
            }
        }

        let [(x, a), (weight, b)] = [x, weight].map(FloatTensor::<Self>::into_parts);
        let y = Flex::fused_rms_norm(x.clone(), weight.clone(), eps);
        match RmsNorm.prepare::<C>([a, b]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((x, weight, eps), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }
}
