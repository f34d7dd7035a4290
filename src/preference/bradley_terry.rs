//! The Bradley–Terry loss of annotators.

use burn::tensor::Tensor;
use burn::tensor::activation::log_sigmoid;

/// Bradley–Terry loss −log σ(s⁺ − s⁻) of each pair, `[N]` (CW-PO, eq. 3).
pub fn bradley_terry(chosen: Tensor<1>, rejected: Tensor<1>) -> Tensor<1> {
    log_sigmoid(chosen - rejected).neg()
}
