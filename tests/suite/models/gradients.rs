//! Gradients of every parameter, with layers kept and with layers computed again.

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use confide::batch::Batch;
use confide::model::{Checkpoint, Decoder};
use confide::train::{Gradients, OutputKind, Pass, PassSettings};
use serde_json::Value;

use super::{FAMILIES, assert_within, batch, expected, open, sequences, vector, with_score};
use crate::common::numbers;

/// What is read of a batch, and the gradients of Σ cotangent·output.
fn pass(
    model: &Decoder,
    batch: &Batch,
    readout: OutputKind,
    cotangent: &[f32],
    recompute: bool,
) -> (Vec<f64>, Gradients) {
    let pass = Pass::forward(model, batch, readout, PassSettings { recompute, seed: 0 });
    let outputs = vector(pass.outputs());
    let mut gradients = Gradients::default();
    pass.backward(&Tensor::from_floats(cotangent, &model.device()), &mut gradients);
    (outputs, gradients)
}

/// Sums and norms of gradients, by the names of transformers.
pub(super) fn compare(
    name: &str,
    checkpoint: &Checkpoint,
    gradients: &Gradients,
    expected: &Value,
) {
    let family = checkpoint.family;
    let stored = |path: &str| match path {
        "head.weight" => "lm_head.weight".to_owned(),
        "score.weight" => path.to_owned(),
        _ => format!("{}{}", family.prefixes[0], family.stored(path).unwrap()),
    };
    let found: BTreeMap<String, Vec<f64>> =
        gradients.iter().map(|(path, g)| (stored(path), vector(g.clone()))).collect();
    let expected = expected.as_object().unwrap();
    let wanted: Vec<&String> = expected.keys().filter(|key| !found.contains_key(*key)).collect();
    assert!(wanted.is_empty(), "{name}: no gradients of {wanted:?}");
    for (parameter, values) in &found {
        let wanted = numbers(&expected[parameter]);
        let norm = values.iter().map(|v| v * v).sum::<f64>().sqrt();
        for (what, found, wanted_number) in
            [("sum", values.iter().sum(), wanted[0]), ("norm", norm, wanted[1])]
        {
            let error = f64::abs(found - wanted_number);
            assert!(
                error <= 1e-4 + 1e-4 * wanted[1],
                "{name} {parameter}: {what} {found} instead of {wanted_number}"
            );
        }
    }
}

#[test]
fn gradients_of_log_probabilities_agree() {
    for name in FAMILIES {
        let (checkpoint, expected) = (open(name), expected(name));
        let batch = batch(&sequences(&expected, 4));
        for recompute in [false, true] {
            // The loss of the fixture is −mean of both sums.
            let (sums, gradients) =
                pass(&checkpoint.decoder, &batch, OutputKind::LogProbs, &[-0.5, -0.5], recompute);
            assert_within(&sums, &numbers(&expected["sum_log_probs"]), name);
            compare(name, &checkpoint, &gradients, &expected["grads"]);
        }
    }
}

/// Scores of a batch and their gradients under the fixture's loss, −log σ(s₀ − s₁).
fn compare_scores(name: &str, checkpoint: &Checkpoint, expected: &Value) {
    let batch = batch(&sequences(expected, 4));
    let wanted = numbers(&expected["scores"]);
    let slope = (1.0 / (1.0 + (wanted[0] - wanted[1]).exp())) as f32;
    for recompute in [false, true] {
        let (scores, gradients) =
            pass(&checkpoint.decoder, &batch, OutputKind::Scores, &[-slope, slope], recompute);
        assert_within(&scores, &wanted, name);
        compare(name, checkpoint, &gradients, &expected["score_grads"]);
    }
}

#[test]
fn gradients_of_scores_agree() {
    for name in FAMILIES {
        let expected = expected(name);
        let mut checkpoint = open(name);
        checkpoint.decoder = with_score(checkpoint.decoder, &expected);
        compare_scores(name, &checkpoint, &expected);
    }
    compare_scores("llama-score", &open("llama-score"), &expected("llama-score"));
}
