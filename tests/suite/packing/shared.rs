//! What tests of packed rows share, on every device.

use burn::tensor::{Device, Int, Tensor};
use confide::batch::{Batch, Sequence};
use confide::model::{Decoder, input};
use confide::train::{Gradients, OutputKind, Pass, PassSettings};

use crate::common::vector;

/// What every token of these sequences in one packed row sees, as attention reads it; up to `head` tokens
/// that all begin with stand there once.
pub(super) fn spans(head: usize, sequences: &[Sequence], device: &Device) -> Tensor<2, Int> {
    let all: Vec<&Sequence> = sequences.iter().collect();
    input(&Batch::packed_behind(head, &all, 0), device).spans.unwrap()
}

/// Outputs and gradients of Σ ±output.
pub(super) fn pass(
    model: &Decoder,
    batch: &Batch,
    readout: OutputKind,
    recompute: bool,
) -> (Vec<f64>, Gradients) {
    let pass = Pass::forward(model, batch, readout, PassSettings { recompute, seed: 0 });
    let outputs = vector(pass.outputs());
    let signs: Vec<f32> = (0..outputs.len()).map(|i| if i % 2 == 0 { 1.0 } else { -0.7 }).collect();
    let mut gradients = Gradients::default();
    pass.backward(&Tensor::from_floats(signs.as_slice(), &model.device()), &mut gradients);
    (outputs, gradients)
}

/// ‖g − g′‖ and ‖g′‖ over all parameters.
pub(super) fn distance(found: &Gradients, expected: &Gradients) -> (f64, f64) {
    let (mut apart, mut size) = (0.0, 0.0);
    let names = |g: &Gradients| g.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
    assert_eq!(names(found), names(expected), "the same parameters have gradients");
    for ((_, f), (_, e)) in found.iter().zip(expected.iter()) {
        for (f, e) in vector(f.clone()).into_iter().zip(vector(e.clone())) {
            apart += (f - e).powi(2);
            size += e.powi(2);
        }
    }
    (apart.sqrt(), size.sqrt())
}
