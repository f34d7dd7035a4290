//! One step of AdamW (arXiv 1711.05101), moments and weights in one walk.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Bool, Tensor};
use burn_flex::FlexTensor;

use super::arguments::AdamWStep;
use super::cpu::{self, Floats};
use crate::device::is_cpu;

/// Values and both moments after a step, `[n]` each; as they were where the one number of `held`
/// is true, and then the gradient has to be zero. Only a device with a queue is asked that: others
/// know before they step.
pub(crate) fn adamw(
    values: Tensor<1>,
    gradient: Tensor<1>,
    [first, second]: [Tensor<1>; 2],
    s: AdamWStep,
    held: Option<&Tensor<1, Bool>>,
) -> [Tensor<1>; 3] {
    if is_cpu(&values.device()) {
        let [values, gradient, first, second] =
            [values, gradient, first, second].map(Tensor::into_dispatch);
        let (values, first, second) = Dispatch::fused_adamw(values, gradient, first, second, s);
        return [values, first, second].map(Tensor::from_dispatch);
    }
    // A factor, or the one that changes nothing.
    let times = |x: Tensor<1>, factor: f32, otherwise: f32| match held {
        None => x.mul_scalar(factor),
        Some(held) => {
            let factors = Tensor::full([1], factor, &x.device());
            x * factors.mask_fill(held.clone(), otherwise)
        }
    };
    let share = gradient.clone().mul_scalar(s.first[1]);
    let first = times(first, s.first[0], 1.0) + share;
    let share = gradient.square().mul_scalar(s.second[1]);
    let second = times(second, s.second[0], 1.0) + share;
    let root = second.clone().mul_scalar(s.second_scale).sqrt().add_scalar(s.epsilon);
    let change = times(first.clone() / root, s.rate * s.first_scale, 0.0);
    [times(values, s.decay, 1.0) - change, first, second]
}

/// The same on the CPU backend.
#[backend_extension(Flex)]
pub(crate) trait FusedAdamW: Backend {
    /// See [`adamw`].
    fn fused_adamw(
        values: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        settings: AdamWStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

impl FusedAdamW for Flex {
    fn fused_adamw(
        values: FlexTensor,
        gradient: FlexTensor,
        first: FlexTensor,
        second: FlexTensor,
        settings: AdamWStep,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        // In place where nobody else holds the tensor.
        let [mut values, mut first, mut second] = [values, first, second].map(cpu::owned);
        let gradient = Floats::of(&gradient);
        let moments = [first.storage_mut(), second.storage_mut()];
        cpu::adamw(values.storage_mut(), gradient.get(), moments, settings);
        (values, first, second)
    }
}
