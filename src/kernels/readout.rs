//! Log-probabilities of targets from hidden states on the CPU backend, and their gradients, as one
//! walk over the vocabulary; `model::readout` says how.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Int, Tensor};
use burn_flex::FlexTensor;

use super::cpu::{self, Floats, ints, tensor};

/// What was read of targets.
pub(crate) struct TargetsRead {
    /// Log-probabilities, `[M]`.
    pub(crate) values: Tensor<1>,
    /// Logarithms of the normalisers, `[M]`.
    pub(crate) normalisers: Tensor<1>,
    /// ∂value/∂hidden, `[M, E]`, if it was asked for.
    pub(crate) jacobian: Option<Tensor<2>>,
}

/// Log-probabilities of one target for each hidden state `[M, E]` under a head `[V, E]` in f32.
pub(crate) fn read_targets(
    hidden: Tensor<2>,
    head: Tensor<2>,
    targets: Tensor<1, Int>,
    jacobian: bool,
) -> TargetsRead {
    let (values, normalisers, slopes) = Dispatch::fused_targets(
        hidden.into_dispatch(),
        head.into_dispatch(),
        targets.into_dispatch(),
        jacobian,
    );
    TargetsRead {
        values: Tensor::from_dispatch(values),
        normalisers: Tensor::from_dispatch(normalisers),
        jacobian: jacobian.then(|| Tensor::from_dispatch(slopes)),
    }
}

/// The gradient of Σ cotangent·log p with respect to the head, `[V, E]`.
pub(crate) fn head_gradient(
    hidden: Tensor<2>,
    head: Tensor<2>,
    targets: Tensor<1, Int>,
    [normalisers, cotangent]: [Tensor<1>; 2],
) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::fused_head_gradient(
        hidden.into_dispatch(),
        head.into_dispatch(),
        targets.into_dispatch(),
        normalisers.into_dispatch(),
        cotangent.into_dispatch(),
    ))
}

/// Both on the CPU backend.
#[backend_extension(Flex)]
pub(crate) trait FusedReadout: Backend {
    /// Values, normalisers, and ∂value/∂hidden (empty unless asked for).
    fn fused_targets(
        hidden: FloatTensor<Self>,
        head: FloatTensor<Self>,
        targets: IntTensor<Self>,
        jacobian: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// See [`head_gradient`].
    fn fused_head_gradient(
        hidden: FloatTensor<Self>,
        head: FloatTensor<Self>,
        targets: IntTensor<Self>,
        normalisers: FloatTensor<Self>,
        cotangent: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

impl FusedReadout for Flex {
    fn fused_targets(
        hidden: FlexTensor,
        head: FlexTensor,
        targets: FlexTensor,
        jacobian: bool,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let width = hidden.layout().shape()[1];
        let [hidden, head] = [&hidden, &head].map(Floats::of);
        let targets = ints(&targets);
        let m = targets.len();
        let read = cpu::read_targets(hidden.get(), head.get(), &targets, width, jacobian);
        let slopes = if jacobian { [m, width] } else { [0, width] };
        (tensor(read.values, [m]), tensor(read.normalisers, [m]), tensor(read.jacobian, slopes))
    }

    fn fused_head_gradient(
        hidden: FlexTensor,
        head: FlexTensor,
        targets: FlexTensor,
        normalisers: FlexTensor,
        cotangent: FlexTensor,
    ) -> FlexTensor {
        let shape = head.layout().shape().clone();
        let [hidden, head, normalisers, cotangent] =
            [&hidden, &head, &normalisers, &cotangent].map(Floats::of);
        let found = cpu::head_gradient(
            hidden.get(),
            head.get(),
            &ints(&targets),
            [normalisers.get(), cotangent.get()],
            shape[1],
        );
        tensor(found, shape)
    }
}
