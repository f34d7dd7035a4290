//! Putting low-rank adapters onto a frozen model.

use std::path::Path;

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::adapter::module_name;
use super::tensors::set_trained;
use super::{Adapter, Checkpoint, Decoder, Lora, ModelError};

/// Freeze a model and give its targets fresh adapters: A uniform in ±1/√in, B zero, so that the
/// model computes what it did. A scalar head stays trained.
///
/// # Errors
///
/// No module is a target.
pub fn add_adapter(
    mut checkpoint: Checkpoint,
    adapter: Adapter,
    seed: u64,
    path: &Path,
) -> Result<Checkpoint, ModelError> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(STREAM);
    let family = checkpoint.family;
    let device = checkpoint.decoder.device();
    let mut names = Vec::new();
    let mut found = 0;
    for (ours, linear) in checkpoint.decoder.linears_mut() {
        let name = module_name(family, &ours);
        if let Some(rank) = adapter.rank_of(&name, family.adapted) {
            let [input, output] = linear.dims();
            let bound = 1.0 / (input as f32).sqrt();
            let a = (0..input * rank).map(|_| bound * (2.0 * rng.random::<f32>() - 1.0)).collect();
            let b = vec![0.0; rank * output];
            let scale = adapter.scale_of(&name, rank);
            let shape = [input, rank, output];
            linear.lora = Some(fresh(a, b, shape, (scale, adapter.dropout), &device));
            found += 1;
        }
        names.push(name);
    }
    if found == 0 {
        return Err(adapter.no_target(&names, path));
    }
    checkpoint.decoder = train_adapters_only(checkpoint.decoder);
    checkpoint.adapter = Some(adapter);
    Ok(checkpoint)
}

/// Stream of randomness of fresh adapters.
const STREAM: u64 = 5;

pub(super) fn fresh(
    a: Vec<f32>,
    b: Vec<f32>,
    [input, rank, output]: [usize; 3],
    (scale, dropout): (f64, f64),
    device: &Device,
) -> Lora {
    let param = |values: Vec<f32>, shape: [usize; 2]| {
        Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), device))
    };
    Lora { a: param(a, [input, rank]), b: param(b, [rank, output]), scale, dropout }
}

/// Adapters and the scalar head are trained, nothing else.
pub(super) fn train_adapters_only(decoder: Decoder) -> Decoder {
    set_trained(decoder, &|path| path.contains(".lora.") || path.starts_with("score."))
}
