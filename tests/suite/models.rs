//! Decoders against transformers: logits, log-probabilities, gradients, scores, samples.

use burn::tensor::{Device, Tensor};
use confide::model::{
    Checkpoint, Decoder, DecoderInput, ModelFiles, Sampling, generate, load, sequence_log_probs,
    sequence_scores,
};
use confide::text::{Batch, Sequence};
use confide::train::{Gradients, Pass, PassSettings, Readout};
use serde_json::Value;

use crate::common::{assert_close, fixture, ids, numbers, repository};

const FAMILIES: [&str; 13] = [
    "llama",
    "llama-tied",
    "llama3-rope",
    "llama-linear",
    "mistral",
    "qwen2",
    "qwen2-untied",
    "qwen3",
    "gpt2",
    "gpt2-bare",
    "opt",
    "opt-postln",
    "opt-untied",
];

/// Folders of sequence classifiers.
const SCORED: [&str; 7] = [
    "llama-score",
    "mistral-score",
    "qwen2-score",
    "qwen3-score",
    "gpt2-score",
    "opt-score",
    "opt-postln-score",
];

/// Logits agree within 1e-4, whatever their size.
#[track_caller]
fn assert_logits(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}: count");
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= 1e-4, "{what}[{i}]: {f} instead of {e}");
    }
}

fn open(family: &str) -> Checkpoint {
    let folder = repository("tests/fixtures/models").join(family);
    load(&ModelFiles::folder(&folder).unwrap(), &Device::flex()).unwrap()
}

fn expected(family: &str) -> Value {
    fixture(&format!("models/{family}/expected.json"))
}

/// The fixture's two sequences without padding, cut into prompt and response at `split`.
fn sequences(expected: &Value, split: usize) -> Vec<Sequence> {
    let rows =
        |key: &str| expected["right"][key].as_array().unwrap().iter().map(ids).collect::<Vec<_>>();
    rows("input_ids")
        .into_iter()
        .zip(rows("attention_mask"))
        .map(|(row, mask)| {
            let real: Vec<u32> =
                row.iter().zip(&mask).filter(|(_, m)| **m == 1).map(|(t, _)| *t).collect();
            Sequence { prompt: real[..split].into(), response: real[split..].to_vec() }
        })
        .collect()
}

fn batch(sequences: &[Sequence]) -> Batch {
    Batch::one_per_row(&sequences.iter().collect::<Vec<_>>(), 0)
}

fn vector<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.try_into_vec_as::<f32>().unwrap().into_iter().map(f64::from).collect()
}

#[test]
fn logits_agree_with_transformers() {
    for family in FAMILIES {
        let (model, expected) = (open(family).decoder, expected(family));
        let sequences = sequences(&expected, 1);
        let batch = batch(&sequences);
        let hidden = model.hidden(&confide::model::input(&batch, &model.device()), None);
        for (row, sequence) in sequences.iter().enumerate() {
            let width = hidden.dims()[2];
            let real = hidden
                .clone()
                .slice([row..row + 1, 0..sequence.len()])
                .reshape([sequence.len(), width]);
            let wanted = numbers(&expected["logits"][row]);
            assert_logits(&vector(model.logits(real)), &wanted, &format!("{family} row {row}"));
        }
    }
}

/// What is read of a batch, and the gradients of Σ cotangent·output.
fn pass(
    model: &Decoder,
    batch: &Batch,
    readout: Readout,
    cotangent: &[f32],
    recompute: bool,
) -> (Vec<f64>, Gradients) {
    let pass = Pass::forward(model, batch, readout, PassSettings { recompute, seed: 0 });
    let outputs = vector(pass.outputs());
    let mut gradients = Gradients::default();
    pass.backward(&Tensor::from_floats(cotangent, &model.device()), &mut gradients);
    (outputs, gradients)
}

#[test]
fn summed_log_probabilities_and_their_gradients_agree() {
    for family in FAMILIES {
        let (model, expected) = (open(family).decoder, expected(family));
        let batch = batch(&sequences(&expected, 4));
        for recompute in [false, true] {
            let (sums, gradients) =
                pass(&model, &batch, Readout::LogProbs, &[-0.5, -0.5], recompute);
            assert_close(&sums, &numbers(&expected["sum_log_probs"]), 1e-4, family);
            compare_gradients(family, &gradients, &expected["grads"]);
        }
    }
}

/// Norms of gradients by parameter.
fn compare_gradients(family: &str, gradients: &Gradients, expected: &Value) {
    let checkpoint = open(family);
    let stored = |path: &str| match path {
        "head.weight" => "lm_head.weight".to_owned(),
        "score.weight" => path.to_owned(),
        _ => {
            format!("{}{}", checkpoint.family.prefixes[0], checkpoint.family.stored(path).unwrap())
        }
    };
    let found: std::collections::BTreeMap<String, f64> = gradients
        .iter()
        .map(|(path, g)| (stored(path), vector(g.clone().square().sum())[0].sqrt()))
        .collect();
    let expected = expected.as_object().unwrap();
    let names: Vec<&String> = found.keys().collect();
    assert_eq!(found.len(), expected.len(), "{family}: parameters with gradients: {names:?}");
    for (name, norm) in &found {
        let wanted = expected[name][1].as_f64().unwrap();
        let error = (norm - wanted).abs();
        assert!(error <= 1e-4 + 1e-4 * wanted, "{family} {name}: {norm} instead of {wanted}");
    }
}

#[test]
fn scores_agree_with_transformers() {
    for family in FAMILIES {
        let (checkpoint, expected) = (open(family), expected(family));
        let weights: Vec<f32> =
            numbers(&expected["score_weight"]).into_iter().map(|v| v as f32).collect();
        let width = weights.len();
        let weight =
            Tensor::<1>::from_floats(weights.as_slice(), &Device::flex()).reshape([width, 1]);
        let model = checkpoint.decoder.with_score(weight);
        let batch = batch(&sequences(&expected, 4));
        let wanted = numbers(&expected["scores"]);
        // The loss of the fixture is −log σ(s₀ − s₁).
        let slope = (1.0 / (1.0 + (wanted[0] - wanted[1]).exp())) as f32;
        let mut norms = expected["score_grads"].clone();
        // The language-model head has no part in a score.
        norms.as_object_mut().unwrap().remove("lm_head.weight");
        for recompute in [false, true] {
            let (scores, gradients) =
                pass(&model, &batch, Readout::Scores, &[-slope, slope], recompute);
            assert_close(&scores, &wanted, 1e-4, family);
            compare_gradients(family, &gradients, &norms);
        }
    }
}

#[test]
fn greedy_samples_agree_token_for_token() {
    for family in FAMILIES {
        let (model, expected) = (open(family).decoder, expected(family));
        let greedy = &expected["greedy"];
        let sampling = Sampling { max_new_tokens: 50, temperature: 0.0, ..Sampling::default() };
        // A second, shorter prompt in the batch must not change the first.
        let prompt = ids(&greedy["prompt"]);
        let prompts = [prompt.clone(), prompt[..2].to_vec()];
        let found = generate(&model, &prompts, &[], &sampling).unwrap();
        assert_eq!(found[0].tokens, ids(&greedy["tokens"]), "{family}");
        assert_close(&found[0].log_probs, &numbers(&greedy["log_probs"]), 1e-4, family);
    }
}

#[test]
fn left_padded_rows_agree_with_right_padded_ones() {
    for family in FAMILIES {
        let (model, expected) = (open(family).decoder, expected(family));
        let left = &expected["left"];
        let rows: Vec<Vec<u32>> = left["input_ids"].as_array().unwrap().iter().map(ids).collect();
        let masks: Vec<Vec<u32>> =
            left["attention_mask"].as_array().unwrap().iter().map(ids).collect();
        let (b, t) = (rows.len(), rows[0].len());
        let device = model.device();
        let ints = |values: Vec<u32>| {
            let values: Vec<i32> = values.into_iter().map(|v| v as i32).collect();
            Tensor::<1, burn::tensor::Int>::from_ints(values.as_slice(), &device).reshape([b, t])
        };
        let hides = |row: usize, q: usize, k: usize| k > q || (masks[row][k] == 0 && k != q);
        let hidden: Vec<bool> = (0..b)
            .flat_map(|r| (0..t).flat_map(move |q| (0..t).map(move |k| (r, q, k))))
            .map(|(r, q, k)| hides(r, q, k))
            .collect();
        let positions: Vec<u32> =
            left["position_ids"].as_array().unwrap().iter().flat_map(ids).collect();
        let input = DecoderInput {
            tokens: ints(rows.concat()),
            positions: ints(positions),
            hidden_keys: Some(Tensor::from_data(
                burn::tensor::TensorData::new(hidden, [b, t, t]),
                &device,
            )),
        };
        let states = model.hidden(&input, None);
        let width = states.dims()[2];
        let last = states.narrow(1, t - 1, 1).reshape([b, width]);
        assert_logits(&vector(model.logits(last)), &numbers(&expected["logits_left_last"]), family);
    }
}

#[test]
fn half_precision_files_and_scored_files_are_read() {
    for family in ["llama-tied-bf16", "llama-tied-f16"] {
        let (model, expected) = (open(family).decoder, expected(family));
        let sums = sequence_log_probs(&model, &batch(&sequences(&expected, 4)));
        assert_close(&vector(sums), &numbers(&expected["sum_log_probs"]), 1e-4, family);
    }
    for family in SCORED {
        let (model, expected) = (open(family).decoder, expected(family));
        let scores = sequence_scores(&model, &batch(&sequences(&expected, 4)));
        assert_close(&vector(scores), &numbers(&expected["scores"]), 1e-4, family);
    }
}
