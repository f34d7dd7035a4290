//! x·W for a W that is stored narrow and never trained.
//!
//! It equals `x.matmul(W.dequantize())`, whose graph would hold the dense W from the forward pass
//! to the backward pass. This operation keeps the stored W, widens it again in backward, and
//! makes no gradient of its shape.

use burn::backend::tensor::{FloatTensor, QuantizedTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, Wgpu, backend_extension};
use burn::tensor::{DType, Tensor};
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind, unary};

/// `[M, in]`·`[in, out]` → `[M, out]`; no gradient reaches a weight that is stored in fewer bits
/// than `x`.
pub(crate) fn frozen_matmul(x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    let packed = matches!(weight.dtype(), DType::QFloat(_));
    let (x, weight) = (x.into_dispatch(), weight.inner().into_dispatch());
    let product = if packed {
        Dispatch::packed_matmul(x, weight)
    } else {
        Dispatch::narrow_matmul(x, weight)
    };
    Tensor::from_dispatch(product)
}

/// The operation on every backend.
#[backend_extension(Flex, Cube, Autodiff)]
pub(crate) trait FrozenLinear: Backend {
    /// x·W, W quantised.
    fn packed_matmul(x: FloatTensor<Self>, weight: QuantizedTensor<Self>) -> FloatTensor<Self> {
        let dtype = x.dtype();
        Self::float_matmul(x, Self::dequantize(weight, dtype.into()))
    }

    /// x·W, W in another float type than x.
    fn narrow_matmul(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        let dtype = x.dtype();
        Self::float_matmul(x, Self::float_cast(weight, dtype.into()))
    }
}

impl FrozenLinear for Flex {}

impl FrozenLinear for Wgpu {}

impl<B: FrozenLinear, C: CheckpointStrategy> FrozenLinear for Autodiff<B, C> {
    fn packed_matmul(x: FloatTensor<Self>, weight: QuantizedTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct PackedMatmul;

        impl<B: Backend> Backward<B, 1> for PackedMatmul {
            type State = QuantizedTensor<B>;

            fn backward(
                self,
                ops: Ops<Self::State, 1>,
                grads: &mut Gradients,
                _checkpointer: &mut Checkpointer,
            ) {
                let weight = ops.state;
                unary::<B, _>(ops.parents, ops.node, grads, |grad| {
                    let dtype = grad.dtype();
                    let wide = B::dequantize(weight, dtype.into());
                    B::float_matmul(grad, B::float_transpose(wide))
                });
            }
        }

        let (x, node) = x.into_parts();
        match PackedMatmul.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(weight.clone(), B::packed_matmul(x, weight)),
            OpsKind::UnTracked(prep) => prep.finish(B::packed_matmul(x, weight)),
        }
    }

    fn narrow_matmul(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct NarrowMatmul;

        impl<B: Backend> Backward<B, 1> for NarrowMatmul {
            type State = FloatTensor<B>;

            fn backward(
                self,
                ops: Ops<Self::State, 1>,
                grads: &mut Gradients,
                _checkpointer: &mut Checkpointer,
            ) {
                let weight = ops.state;
                unary::<B, _>(ops.parents, ops.node, grads, |grad| {
                    let dtype = grad.dtype();
                    let wide = B::float_cast(weight, dtype.into());
                    B::float_matmul(grad, B::float_transpose(wide))
                });
            }
        }

        let (x, node) = x.into_parts();
        let weight = weight.into_primitive();
        match NarrowMatmul.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(weight.clone(), B::narrow_matmul(x, weight)),
            OpsKind::UnTracked(prep) => prep.finish(B::narrow_matmul(x, weight)),
        }
    }
}
