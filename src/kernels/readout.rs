//! Log-probabilities of targets from hidden states on the CPU backend, and their gradients, as one
//! walk over the vocabulary; `model::readout` says how.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Int, Tensor};
use burn_flex::FlexTensor;

use super::cpu::{self, Floats, ints, tensor};

pub(crate) use cpu::Beside;

/// What was read of targets.
pub(crate) struct TargetsRead {
    /// Log-probabilities, `[M]`.
    pub(crate) values: Tensor<1>,
    /// Log-sum-exps, `[M]`.
    pub(crate) log_sum_exps: Tensor<1>,
    /// ∂value/∂hidden, `[M, E]`, if it was asked for.
    pub(crate) jacobian: Option<Tensor<2>>,
    /// log Σ_v π(v)², `[M]`, if it was asked for.
    pub(crate) log_sum_sq_probs: Option<Tensor<1>>,
}

/// Log-probabilities of one target for each hidden state `[M, E]` under a head `[V, E]` in f32.
pub(crate) fn read_targets(
    hidden: Tensor<2>,
    head: Tensor<2>,
    targets: Tensor<1, Int>,
    beside: Beside,
) -> TargetsRead {
    let Beside { jacobian, sum_sq } = beside;
    let (values, log_sum_exps, score_grads, squares) = Dispatch::fused_targets(
        hidden.into_dispatch(),
        head.into_dispatch(),
        targets.into_dispatch(),
        jacobian,
        sum_sq,
    );
    TargetsRead {
        values: Tensor::from_dispatch(values),
        log_sum_exps: Tensor::from_dispatch(log_sum_exps),
        jacobian: jacobian.then(|| Tensor::from_dispatch(score_grads)),
        log_sum_sq_probs: sum_sq.then(|| Tensor::from_dispatch(squares)),
    }
}

/// The gradient of Σ cotangent·log p with respect to the head, `[V, E]`.
pub(crate) fn head_gradient(
    hidden: Tensor<2>,
    head: Tensor<2>,
    targets: Tensor<1, Int>,
    [log_sum_exps, cotangent]: [Tensor<1>; 2],
) -> Tensor<2> {
    Tensor::from_dispatch(Dispatch::fused_head_gradient(
        hidden.into_dispatch(),
        head.into_dispatch(),
        targets.into_dispatch(),
        log_sum_exps.into_dispatch(),
        cotangent.into_dispatch(),
    ))
}

/// Both on the CPU backend.
#[backend_extension(Flex)]
pub(crate) trait FusedReadout: Backend {
    /// Values, log-sum-exps, ∂value/∂hidden and log Σ_v π(v)² (both empty unless asked for).
    fn fused_targets(
        hidden: FloatTensor<Self>,
        head: FloatTensor<Self>,
        targets: IntTensor<Self>,
        jacobian: bool,
        sum_sq: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// See [`head_gradient`].
    fn fused_head_gradient(
        hidden: FloatTensor<Self>,
        head: FloatTensor<Self>,
        targets: IntTensor<Self>,
        log_sum_exps: FloatTensor<Self>,
        cotangent: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

impl FusedReadout for Flex {
    fn fused_targets(
        hidden: FlexTensor,
        head: FlexTensor,
        targets: FlexTensor,
        jacobian: bool,
        sum_sq: bool,
    ) -> (FlexTensor, FlexTensor, FlexTensor, FlexTensor) {
        let width = hidden.layout().shape()[1];
        let [hidden, head] = [&hidden, &head].map(Floats::of);
        let targets = ints(&targets);
        let m = targets.len();
        let beside = Beside { jacobian, sum_sq };
        let read = cpu::read_targets(hidden.get(), head.get(), &targets, width, beside);
        let score_grads = if jacobian { [m, width] } else { [0, width] };
        (
            tensor(read.values, [m]),
            tensor(read.log_sum_exps, [m]),
            tensor(read.jacobian, score_grads),
            tensor(read.log_sum_sq_probs, [if sum_sq { m } else { 0 }]),
        )
    }

    fn fused_head_gradient(
        hidden: FlexTensor,
        head: FlexTensor,
        targets: FlexTensor,
        log_sum_exps: FlexTensor,
        cotangent: FlexTensor,
    ) -> FlexTensor {
        let shape = head.layout().shape().clone();
        let [hidden, head, log_sum_exps, cotangent] =
            [&hidden, &head, &log_sum_exps, &cotangent].map(Floats::of);
        let found = cpu::head_gradient(
            hidden.get(),
            head.get(),
            &ints(&targets),
            [log_sum_exps.get(), cotangent.get()],
            shape[1],
        );
        tensor(found, shape)
    }
}
