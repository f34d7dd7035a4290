//! What the parts of a training step take, each waited for: the layers forward, the read-out, the
//! way back, the update.

use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};
use confide::batch::{Batch, Sequence};
use confide::model::{Decoder, ModelFiles, load};
use confide::train::{AdamW, Gradients, OutputKind, Pass, PassSettings};
use serde_json::json;

use super::pairs::{pairs_of, settings};

const ROUNDS: usize = 7;

pub(crate) fn run(words: &[String]) {
    // The task's name stands where the other benchmarks of pairs have theirs.
    let words: Vec<String> = std::iter::once("parts".to_owned()).chain(words.to_vec()).collect();
    let settings = settings(&words);
    let files = ModelFiles::folder(settings.model.as_ref()).expect("a model folder");
    let (pairs, pad) = pairs_of(&files, &settings);
    let device = &settings.device;
    for &batch in &settings.batches {
        let rows: Vec<&Sequence> = pairs.iter().take(batch).flatten().collect();
        let packed = Batch::packed(&rows, pad);
        let mut model = load(&files, device).expect("a model").decoder;
        let mut optimiser = AdamW::new(0.0);
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let (times, updated) = step(model, &mut optimiser, &packed, rows.len(), device);
            model = updated;
            rounds.push(times);
        }
        // The first rounds pay for kernels.
        let median = |part: usize| {
            let mut times: Vec<f64> = rounds[2..].iter().map(|times| 1e3 * times[part]).collect();
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        };
        let [scored, forward, backward, update] = [0, 1, 2, 3].map(median);
        println!(
            "{}",
            json!({
                "task": "parts", "batch": batch, "layers_ms": scored,
                "readout_ms": (forward - scored).max(0.0), "backward_ms": backward,
                "optimiser_ms": update,
            })
        );
    }
}

/// Seconds of the layers alone, of a forward pass with its read-out, of the way back, of the update.
fn step(
    model: Decoder,
    optimiser: &mut AdamW,
    batch: &Batch,
    sequences: usize,
    device: &Device,
) -> ([f64; 4], Decoder) {
    let timed = |begun: Instant| {
        device.sync().expect("the device works");
        begun.elapsed().as_secs_f64()
    };
    let settings = PassSettings { recompute: false, seed: 0 };
    let width = model.config().embedding;
    let head = Tensor::from_data(TensorData::new(vec![0.01f32; width], [width, 1]), device);
    let scored = model.clone().with_score(head);
    let begun = Instant::now();
    drop(Pass::forward(&scored, batch, OutputKind::Scores, settings));
    let layers = timed(begun);
    let begun = Instant::now();
    let pass = Pass::forward(&model, batch, OutputKind::LogProbs, settings);
    let forward = timed(begun);
    let mut gradients = Gradients::default();
    let begun = Instant::now();
    pass.backward(&Tensor::full([sequences], -0.5 / sequences as f32, device), &mut gradients);
    let backward = timed(begun);
    let begun = Instant::now();
    let updated = optimiser.step(model, gradients, 1e-5);
    ([layers, forward, backward, timed(begun)], updated)
}
