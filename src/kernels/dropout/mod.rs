//! A product of inputs of which some are dropped (arXiv 1207.0580).
//!
//! Which are dropped is a function of a key and of an input's place, computed again wherever it is
//! needed: nothing of it is kept between the passes, and no generator is advanced.

mod gpu;

use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use burn_flex::FlexTensor;

use super::arguments::Dropped;
use super::cpu::{self, Floats, tensor};

/// x·W, `[M, in]`·`[in, out]`, with some of x dropped.
pub(crate) fn dropped_matmul(x: Tensor<2>, weight: Tensor<2>, dropped: Dropped) -> Tensor<2> {
    let (x, weight) = (x.into_dispatch(), weight.into_dispatch());
    Tensor::from_dispatch(Dispatch::dropped_matmul(x, weight, dropped))
}

/// The same in plain operations, what is kept given as a matrix of zeros and ones.
pub(crate) fn plain_dropped_matmul(
    x: Tensor<2>,
    weight: Tensor<2>,
    kept: Tensor<2>,
    dropped: Dropped,
) -> Tensor<2> {
    (x * kept.mul_scalar(dropped.scale)).matmul(weight)
}

/// The operation, with its backward pass.
#[backend_extension(Flex, Cube, Autodiff)]
pub(crate) trait DroppedMatmul: Backend {
    /// See [`dropped_matmul`].
    fn dropped_matmul(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        dropped: Dropped,
    ) -> FloatTensor<Self>;
}

/// Both passes on one backend.
trait Kernels: Backend {
    /// See [`dropped_matmul`].
    fn product(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        dropped: Dropped,
    ) -> FloatTensor<Self>;

    /// The gradient of the weight, from that of the product.
    fn weight_slope(
        x: FloatTensor<Self>,
        grad_output: FloatTensor<Self>,
        dropped: Dropped,
    ) -> FloatTensor<Self>;

    /// The gradient of x.
    fn input_slope(
        grad_output: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        dropped: Dropped,
    ) -> FloatTensor<Self>;
}

impl Kernels for Flex {
    fn product(x: FlexTensor, weight: FlexTensor, dropped: Dropped) -> FlexTensor {
        let (rows, [inner, outer]) = (x.shape()[0], [0, 1].map(|i| weight.shape()[i]));
        let [x, weight] = [&x, &weight].map(Floats::of);
        let out = cpu::dropped_product(x.get(), weight.get(), rows, [inner, outer], dropped);
        tensor(out, [rows, outer])
    }

    fn weight_slope(x: FlexTensor, grad_output: FlexTensor, dropped: Dropped) -> FlexTensor {
        let (rows, sizes) = (x.shape()[0], [x.shape()[1], grad_output.shape()[1]]);
        let [x, grad_output] = [&x, &grad_output].map(Floats::of);
        tensor(cpu::dropped_weight_slope(x.get(), grad_output.get(), rows, sizes, dropped), sizes)
    }

    fn input_slope(grad_output: FlexTensor, weight: FlexTensor, dropped: Dropped) -> FlexTensor {
        let (rows, [inner, outer]) = (grad_output.shape()[0], [0, 1].map(|i| weight.shape()[i]));
        let [grad_output, weight] = [&grad_output, &weight].map(Floats::of);
        let out = cpu::dropped_input_slope(
            grad_output.get(),
            weight.get(),
            rows,
            [inner, outer],
            dropped,
        );
        tensor(out, [rows, inner])
    }
}

impl Kernels for CubeBackend {
    fn product(x: CubeTensor, weight: CubeTensor, dropped: Dropped) -> CubeTensor {
        Self::float_matmul(gpu::drop_inputs(x, dropped), weight)
    }

    fn weight_slope(x: CubeTensor, grad_output: CubeTensor, dropped: Dropped) -> CubeTensor {
        Self::float_matmul(Self::float_transpose(gpu::drop_inputs(x, dropped)), grad_output)
    }

    fn input_slope(grad_output: CubeTensor, weight: CubeTensor, dropped: Dropped) -> CubeTensor {
        gpu::drop_inputs(Self::float_matmul(grad_output, Self::float_transpose(weight)), dropped)
    }
}

impl DroppedMatmul for Flex {
    fn dropped_matmul(x: FlexTensor, weight: FlexTensor, dropped: Dropped) -> FlexTensor {
        Self::product(x, weight, dropped)
    }
}

impl DroppedMatmul for CubeBackend {
    fn dropped_matmul(x: CubeTensor, weight: CubeTensor, dropped: Dropped) -> CubeTensor {
        Self::product(x, weight, dropped)
    }
}

impl<B: Kernels, C: CheckpointStrategy> DroppedMatmul for Autodiff<B, C> {
    fn dropped_matmul(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        dropped: Dropped,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Product;

        impl<B: Kernels> Backward<B, 2> for Product {
            type State = (FloatTensor<B>, FloatTensor<B>, Dropped);

            fn backward(
                self,
                ops: Ops<Self::State, 2>,
                grads: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let grad_output = grads.consume::<B>(&ops.node);
                let (x, weight, dropped) = ops.state;
                let [of_x, of_weight] = ops.parents;
                // First the weight's, so that the inputs are gone when theirs is made.
                if let Some(node) = of_weight {
                    grads.register::<B>(node.id, B::weight_slope(x, grad_output.clone(), dropped));
                }
                if let Some(node) = of_x {
                    grads.register::<B>(node.id, B::input_slope(grad_output, weight, dropped));
                }
            }
        }

        let [(x, a), (weight, b)] = [x, weight].map(FloatTensor::<Self>::into_parts);
        let y = B::product(x.clone(), weight.clone(), dropped);
        match Product.prepare::<C>([a, b]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((x, weight, dropped), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }
}
