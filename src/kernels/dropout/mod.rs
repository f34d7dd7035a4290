//! A product of inputs of which some are dropped (arXiv 1207.0580).
//!
//! Which are dropped is a function of a key and of an input's place, computed again wherever it is
//! needed: nothing of it is kept between the passes, and no generator is advanced.

mod gpu;

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

use super::cpu::{self, Floats, tensor};

/// What is dropped, and what becomes of the rest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Dropped {
    /// Of the hash that decides.
    pub(crate) key: [u32; 2],
    /// Hashes below it are dropped.
    pub(crate) threshold: u32,
    /// What the rest is multiplied by, so that the mean stays.
    pub(crate) scale: f32,
}

impl Dropped {
    /// A share of the inputs, from 0 to below 1.
    pub(crate) fn new(key: u64, share: f64) -> Self {
        Self {
            key: [key as u32, (key >> 32) as u32],
            threshold: (share * 2f64.powi(32)) as u32,
            scale: (1.0 / (1.0 - share)) as f32,
        }
    }
}

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

/// What both passes are made of, on one backend.
trait Kernel: Backend {
    /// A matrix with some of its numbers dropped; to do so once more changes nothing but the scale.
    fn drop_inputs(x: FloatTensor<Self>, dropped: Dropped) -> FloatTensor<Self>;
}

impl Kernel for Flex {
    fn drop_inputs(mut x: FlexTensor, dropped: Dropped) -> FlexTensor {
        let width = x.shape()[1];
        let whole = x.is_contiguous() && x.layout().start_offset() == 0;
        let exact = x.bytes().len() == 4 * x.layout().num_elements();
        if whole
            && exact
            && let Some(values) = x.try_storage_mut()
        {
            cpu::drop_inputs_in_place(values, width, dropped);
            return x;
        }
        let shape = x.shape();
        tensor(cpu::drop_inputs(Floats::of(&x).get(), width, dropped), shape)
    }
}

impl Kernel for CubeBackend {
    fn drop_inputs(x: CubeTensor, dropped: Dropped) -> CubeTensor {
        gpu::drop_inputs(x, dropped)
    }
}

impl DroppedMatmul for Flex {
    fn dropped_matmul(x: FlexTensor, weight: FlexTensor, dropped: Dropped) -> FlexTensor {
        forward::<Self>(x, weight, dropped)
    }
}

impl DroppedMatmul for CubeBackend {
    fn dropped_matmul(x: CubeTensor, weight: CubeTensor, dropped: Dropped) -> CubeTensor {
        forward::<Self>(x, weight, dropped)
    }
}

fn forward<B: Kernel>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    dropped: Dropped,
) -> FloatTensor<B> {
    B::float_matmul(B::drop_inputs(x, dropped), weight)
}

impl<B: Kernel, C: CheckpointStrategy> DroppedMatmul for Autodiff<B, C> {
    fn dropped_matmul(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        dropped: Dropped,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Product;

        impl<B: Kernel> Backward<B, 2> for Product {
            type State = (FloatTensor<B>, FloatTensor<B>, Dropped);

            fn backward(
                self,
                ops: Ops<Self::State, 2>,
                grads: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let slope = grads.consume::<B>(&ops.node);
                let (x, weight, dropped) = ops.state;
                let [of_x, of_weight] = ops.parents;
                // First the weight's, so that the inputs are gone when theirs is made.
                if let Some(node) = of_weight {
                    let inputs = B::float_transpose(B::drop_inputs(x, dropped));
                    grads.register::<B>(node.id, B::float_matmul(inputs, slope.clone()));
                }
                if let Some(node) = of_x {
                    let through = B::float_matmul(slope, B::float_transpose(weight));
                    grads.register::<B>(node.id, B::drop_inputs(through, dropped));
                }
            }
        }

        let [(x, a), (weight, b)] = [x, weight].map(FloatTensor::<Self>::into_parts);
        let y = forward::<B>(x.clone(), weight.clone(), dropped);
        match Product.prepare::<C>([a, b]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((x, weight, dropped), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }
}
