//! Operations on slices for the CPU backend: vectorised for the machine that runs them, threaded
//! over rows, and cut at places that do not depend on the number of threads, so that results do
//! not either.

mod activation;
mod adamw;
mod attention;
mod dropout;
mod matrix;
mod norm;
mod readout;
mod rotary;
mod simd;
mod tensor;

pub(super) use activation::{activate, activate_backward};
pub(super) use adamw::adamw;
pub(super) use attention::{attend, attend_backward};
pub(super) use dropout::{dropped_input_slope, dropped_product, dropped_weight_slope};
pub(super) use norm::{normalise, normalise_backward};
pub(crate) use readout::{Beside, head_gradient, read_targets};
pub(super) use rotary::rotate;
pub(super) use tensor::{Floats, ints, owned, tensor};
