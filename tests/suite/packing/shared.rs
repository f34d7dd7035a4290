//! What tests of packed rows share, on every device.

use std::collections::BTreeMap;

use burn::tensor::{Device, Int, Tensor};
use confide::batch::{Batch, Piece, SegmentKind, Sequence};
use confide::model::{Decoder, input};
use confide::train::{Gradients, OutputKind, Pass, PassSettings};

use crate::common::vector;

/// Sequences in one row, where a head of up to so many tokens stands once before all prompts that begin with it; some
/// of what is shared is one stretch with what continues it.
pub(super) fn behind_heads(head: usize, sequences: &[&Sequence], pad: u32) -> Batch {
    let cut = |sequence: &Sequence| {
        let even = sequence.prompt.last().is_none_or(|token| token % 2 == 0);
        if even { head } else { head / 2 }.min(sequence.prompt.len())
    };
    let mut pieces: Vec<Piece<'_>> = Vec::new();
    let mut heads: BTreeMap<&[u32], Vec<usize>> = BTreeMap::new();
    for (i, sequence) in sequences.iter().enumerate() {
        heads.entry(&sequence.prompt[..cut(sequence)]).or_default().push(i);
    }
    for (head, of_head) in heads {
        let kind = SegmentKind::Prompt;
        let before = (!head.is_empty()).then(|| {
            pieces.push(Piece { tokens: head, kind, after: None, joined: false });
            pieces.len() - 1
        });
        let mut prompts: BTreeMap<&[u32], Vec<usize>> = BTreeMap::new();
        for &i in &of_head {
            prompts.entry(&sequences[i].prompt).or_default().push(i);
        }
        for (k, (prompt, members)) in prompts.into_iter().enumerate() {
            let tokens = &prompt[head.len()..];
            let joined = k == 0 && before.is_some();
            pieces.push(Piece { tokens, kind, after: before, joined });
            let after = pieces.len() - 1;
            for (n, i) in members.into_iter().enumerate() {
                let (tokens, kind) = (&sequences[i].response[..], SegmentKind::Response(i));
                let joined = n == 0 && i % 3 == 0;
                pieces.push(Piece { tokens, kind, after: Some(after), joined });
            }
        }
    }
    Batch::of_pieces(&pieces, pad)
}

/// What every token of these sequences in one packed row sees, as attention reads it, behind such heads.
pub(super) fn spans(head: usize, sequences: &[Sequence], device: &Device) -> Tensor<2, Int> {
    let all: Vec<&Sequence> = sequences.iter().collect();
    input(&behind_heads(head, &all, 0), device).spans.unwrap()
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
