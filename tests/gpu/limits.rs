//! What the least of devices allows: 128 MiB that a kernel sees of a buffer, 256 invocations and
//! 16 KiB in a work-group, 65,535 work-groups in a dimension.

use burn::tensor::{Device, Int, Tensor};
use confide::kernels::check::Shape;
use confide::model::{
    DecoderConfig, ModelError, ModelFiles, Precision, Storage, build, load_as, load_named,
    read_config, save_tensors,
};

use super::attention::kernels_agree;
use super::common::{assert_close, vector};
use super::{LEAST, gpu, model, shared, two_steps};

fn least() -> Option<std::sync::MutexGuard<'static, Device>> {
    LEAST.as_ref().map(|device| device.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
}

/// The widest heads need the most registers, the most columns and no more memory of their group.
#[test]
fn attention_fits_the_least_limits() {
    let Some(device) = least() else { return };
    for (heads, kv_heads, head_dim, window) in [(2, 1, 64, None), (1, 1, 256, Some(9))] {
        kernels_agree(&device, (11, 20), 3, 40, Shape { heads, kv_heads, head_dim, window });
    }
}

#[test]
fn training_fits_the_least_limits() {
    let Some(device) = least() else { return };
    for family in ["llama3-rope", "gpt2"] {
        let found = two_steps(model(family, &device));
        assert_close(&found, &two_steps(model(family, &Device::flex())), 1e-3, family);
    }
}

/// Seventeen million numbers are more than 65,535 work-groups of 256.
#[test]
fn operations_on_many_numbers_are_cut_into_dimensions() {
    let Some(device) = least() else { return };
    let (rows, columns) = (520, 32_768);
    let row = Tensor::<1, Int>::arange(0..rows as i64, &*device).float().reshape([rows, 1]);
    let column = Tensor::<1, Int>::arange(0..columns as i64, &*device).float();
    let all =
        row.clone().expand([rows, columns]) + column.clone().reshape([1, columns]).div_scalar(1e5);
    let sums = vector(all.clone().sum_dim(1).reshape([rows]));
    let of_columns: f64 = (0..columns).map(|c| c as f64 / 1e5).sum();
    let expected: Vec<f64> = (0..rows).map(|r| (r * columns) as f64 + of_columns).collect();
    assert_close(&sums, &expected, 1e-3, "sums of rows");
    let picked = [0i64, 519, 77];
    let tokens = Tensor::<1, Int>::from_ints(picked.map(|i| i as i32), &device);
    let chosen = vector(all.clone().select(0, tokens).narrow(1, columns - 1, 1).reshape([3]));
    let expected = picked.map(|i| i as f64 + (columns - 1) as f64 / 1e5);
    assert_close(&chosen, &expected, 1e-5, "chosen rows");
    let products = vector(all.matmul(column.reshape([columns, 1]).div_scalar(1e6)).reshape([rows]));
    let of_row = |r: usize| -> f64 {
        (0..columns).map(|c| (r as f64 + c as f64 / 1e5) * c as f64 / 1e6).sum()
    };
    let expected: Vec<f64> = (0..rows).map(of_row).collect();
    assert_close(&products, &expected, 1e-3, "products of rows");
}

/// A vocabulary of 2,100,000 by 16 in f32 takes 134.4 MB.
#[test]
fn a_table_larger_than_a_kernel_can_see_is_refused_in_a_sentence() {
    let Some(device) = least() else { return };
    let folder = tempfile::tempdir().unwrap();
    let files = shared::tiny_llama(folder.path(), [16, 32, 65]);
    let (_, config, _) = read_config(&files).unwrap();
    let config = DecoderConfig { vocabulary: 2_100_000, ..config };
    let nothing = |_: &str, shape: &[usize]| -> Result<Vec<f32>, ModelError> {
        Ok(vec![0.0; shape.iter().product()])
    };
    let error = build(config.clone(), &device, &nothing).unwrap_err();
    assert!(matches!(error, ModelError::Piece { bytes: 134_400_000, .. }), "{error}");
    for words in ["embedding", "134400000 bytes", "134217728", "device = \"cpu\""] {
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn weights_beyond_f16_are_refused() {
    let Some(device) = gpu() else { return };
    if Precision::F16.check(&device).is_err() {
        eprintln!("skipped: this adapter has no f16");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    shared::tiny_llama(folder.path(), [32, 64, 65]);
    let mut tensors = load_named(&folder.path().join("model.safetensors")).unwrap();
    let name = "model.layers.1.mlp.down_proj.weight";
    tensors.get_mut(name).unwrap().values[5] = -7e4;
    let path = folder.path().join("model.safetensors");
    save_tensors(&path, &tensors, Storage::F32).unwrap();
    let files = ModelFiles::folder(folder.path()).unwrap();
    let error = load_as(&files, &device, Precision::F16).unwrap_err();
    for words in ["layers.1.ffn.down.weight", "-70000", "65504", "bf16"] {
        assert!(error.to_string().contains(words), "{error}");
    }
}
