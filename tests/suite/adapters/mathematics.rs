//! The mathematics of low-rank adapters: forward, gradients, dropout, what stays frozen.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use confide::model::{
    Checkpoint, Decoder, Dropout, Linear, SavedTensor, Storage, Targets, collect_tensors,
    collect_trained, save, sequence_log_probs, take_tensors,
};
use confide::train::{AdamW, PassSettings};

use super::shared::*;
use crate::common::{assert_close, vector};

/// Every family, every linear layer adapted; the last three have a scalar head.
const BASES: [&str; 9] = [
    "llama",
    "llama-tied",
    "qwen2",
    "qwen3",
    "gpt2",
    "opt-postln",
    "llama-score",
    "gpt2-score",
    "opt-postln-score",
];

fn adapted(base: &str, targets: Targets, dropout: f64) -> Checkpoint {
    let mut adapter = plain(3, targets);
    adapter.dropout = dropout;
    with_adapter(open(&base_folder(base)), adapter)
}

fn evaluated(decoder: &Decoder) -> Vec<f64> {
    outputs(decoder, &batch())
}

fn matrix(rows: usize, columns: usize, seed: u64) -> Tensor<2> {
    let values = random(rows * columns, seed, 1.0);
    Tensor::from_data(TensorData::new(values, [rows, columns]), &Device::flex())
}

#[test]
fn an_adapter_adds_what_its_product_would_add_to_the_weight() {
    let checkpoint = shaken(adapted("gpt2", Targets::AllLinear, 0.0));
    let adapter = checkpoint.adapter.as_ref().unwrap();
    let mut seen = 0;
    for (path, linear) in checkpoint.decoder.linears() {
        let lora = linear.lora.as_ref().unwrap();
        let [input, _] = linear.weight.val().dims();
        let x = matrix(5, input, 3);
        // x·(W + s·A·B) + b, with s = α/r of the settings.
        let scale = adapter.alpha / adapter.rank as f64;
        let delta = lora.a.val().matmul(lora.b.val()).mul_scalar(scale);
        let bias = linear.bias.as_ref().unwrap().val().unsqueeze::<2>();
        let wanted = x.clone().matmul(linear.weight.val() + delta.clone()) + bias;
        let found = linear.forward(x.unsqueeze_dim(0), None);
        assert_close(&vector(found), &vector(wanted), 1e-5, &path);
        assert_close(&vector(lora.delta()), &vector(delta), 1e-6, &path);
        seen += 1;
    }
    assert_eq!(seen, 8);
}

#[test]
fn a_merged_decoder_equals_base_and_adapter() {
    for base in BASES {
        let checkpoint = shaken(adapted(base, Targets::AllLinear, 0.1));
        let folder = tempfile::tempdir().unwrap();
        save(folder.path(), &checkpoint, Some(0), Storage::F32).unwrap();
        let merged = open(folder.path());
        assert!(merged.decoder.linears().iter().all(|(_, linear)| linear.lora.is_none()));
        assert_close(&evaluated(&merged.decoder), &evaluated(&checkpoint.decoder), 1e-4, base);
    }
}

#[test]
fn a_fresh_adapter_changes_nothing_at_all() {
    for base in BASES {
        let plain = open(&base_folder(base));
        for targets in [Targets::Names(Vec::new()), Targets::AllLinear] {
            let fresh = adapted(base, targets, 0.3);
            assert_eq!(evaluated(&fresh.decoder), evaluated(&plain.decoder), "{base}");
        }
    }
}

/// Gradients g along and across each trained tensor, by differences of the output f. f32 rounds f,
/// some tens, to about 1e-5; with steps h so that f moves by h·|g| = 0.1, that is an error of
/// 1e-4·|g| in the slope. Two steps (h and h/2) together cancel the error of order h².
#[test]
fn gradients_are_the_slopes_of_the_outputs() {
    for base in BASES {
        let checkpoint = shaken(adapted(base, Targets::AllLinear, 0.0));
        let decoder = &checkpoint.decoder;
        let cotangent = [-0.5f32, 0.7];
        let settings = PassSettings { recompute: base.len() % 2 == 0, seed: 0 };
        let (_, gradients) = pass(decoder, &batch(), &cotangent, settings);
        let gradients = by_name(&gradients);
        let trained = collect_trained(decoder);
        assert!(trained.keys().eq(gradients.keys()), "{base}");
        let at = |name: &str, direction: &[f32], step: f64| {
            let mut moved = trained[name].clone();
            let values = moved.values.iter_mut().zip(direction);
            values.for_each(|(value, d)| *value += step as f32 * d);
            let moved = BTreeMap::from([(name.to_owned(), moved)]);
            let found = evaluated(&take_tensors(decoder.clone(), moved));
            found.iter().zip(cotangent).map(|(f, c)| f * f64::from(c)).sum::<f64>()
        };
        for (name, gradient) in &gradients {
            let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
            let step = (0.1 / norm).clamp(0.002, 0.02);
            // OPT's slopes jump where a ReLU opens; a step may end before the jump.
            let steps = if base.starts_with("opt") { vec![step, step / 8.0] } else { vec![step] };
            // Along the gradient, where the slope is its norm, and across.
            let along: Vec<f32> = gradient.iter().map(|g| (g / norm.max(1e-9)) as f32).collect();
            let length = (gradient.len() as f32).sqrt();
            let across: Vec<f32> =
                random(gradient.len(), 9, 1.7).iter().map(|v| v / length).collect();
            for direction in [along, across] {
                let slope =
                    |h: f64| (at(name, &direction, h) - at(name, &direction, -h)) / (2.0 * h);
                let wanted: f64 =
                    gradient.iter().zip(&direction).map(|(g, d)| g * f64::from(*d)).sum();
                let found = |h: &f64| (4.0 * slope(h / 2.0) - slope(*h)) / 3.0;
                let found: Vec<f64> = steps.iter().map(found).collect();
                let near = |f: &f64| (f - wanted).abs() <= 2e-3 * norm.max(1.0);
                assert!(found.iter().any(near), "{base} {name}: {found:?}, not {wanted}");
            }
        }
    }
}

/// A layer that gives back its input, as its adapter lets it through.
fn window(dropout: f64) -> Linear {
    let mut adapter = plain(16, Targets::Names(vec!["0.self_attn.q_proj".to_owned()]));
    adapter.alpha = 16.0;
    adapter.dropout = dropout;
    let checkpoint = with_adapter(open(&base_folder("llama")), adapter);
    let identity: Vec<f32> = (0..256).map(|i| if i % 17 == 0 { 1.0 } else { 0.0 }).collect();
    let tensor = |values: Vec<f32>| SavedTensor { shape: vec![16, 16], values };
    let path = "layers.0.attention.query";
    let decoder = take_tensors(
        checkpoint.decoder,
        BTreeMap::from([
            (format!("{path}.weight"), tensor(vec![0.0; 256])),
            (format!("{path}.lora.a"), tensor(identity.clone())),
            (format!("{path}.lora.b"), tensor(identity)),
        ]),
    );
    let linears = decoder.linears();
    linears.into_iter().find(|(p, _)| p == path).unwrap().1.clone()
}

#[test]
fn dropout_zeroes_its_share_of_inputs_and_scales_the_rest() {
    for share in [0.05, 0.5] {
        let layer = window(share);
        let x = matrix(1000, 16, 4);
        let put_in = vector(x.clone());
        let out = vector(layer.forward(x.unsqueeze_dim(0), Some(Dropout::new(1))));
        let mut dropped = 0.0;
        for (x, y) in put_in.iter().zip(&out) {
            if *y == 0.0 {
                dropped += 1.0;
            } else {
                assert!((y - x / (1.0 - share)).abs() <= 1e-5, "{x} became {y}");
            }
        }
        let n = out.len() as f64;
        let sd = (n * share * (1.0 - share)).sqrt();
        assert!((dropped - n * share).abs() <= 4.0 * sd, "{dropped} of {n} dropped at {share}");
    }
}

#[test]
fn the_mean_over_seeds_is_what_nothing_dropped_gives() {
    let share = 0.3;
    let layer = window(share);
    let x = matrix(4, 16, 5);
    let wanted = vector(x.clone());
    let draws = 2000;
    let mut sums = vec![0.0; wanted.len()];
    for seed in 0..draws {
        let out = layer.forward(x.clone().unsqueeze_dim(0), Some(Dropout::new(seed)));
        let out = vector(out);
        sums.iter_mut().zip(out).for_each(|(sum, y)| *sum += y);
    }
    for (sum, x) in sums.iter().zip(&wanted) {
        // Five standard errors: one of 64 lies outside by chance once in 30 000 tests.
        let error = x.abs() * (share / (1.0 - share) / draws as f64).sqrt();
        let mean = sum / draws as f64;
        assert!((mean - x).abs() <= 5.0 * error + 1e-6, "{mean} instead of {x}");
    }
}

/// Neighbours in a row, in a column and in the order of seeds drop as if by separate coins.
#[test]
fn what_is_dropped_in_one_place_says_nothing_of_another() {
    let share = 0.3;
    let layer = window(share);
    let ones = |rows: usize| Tensor::<3>::ones([1, rows, 16], &Device::flex());
    let draw = |seed: u64| -> Vec<f64> {
        let out = vector(layer.forward(ones(2000), Some(Dropout::new(seed))));
        out.iter().map(|y| f64::from(u8::from(*y == 0.0)) - share).collect()
    };
    let (one, other) = (draw(1), draw(2));
    let n = one.len() as f64;
    let correlation = |pairs: &mut dyn Iterator<Item = (f64, f64)>| {
        pairs.map(|(a, b)| a * b).sum::<f64>() / (n * share * (1.0 - share))
    };
    let apart = |distance: usize| {
        correlation(&mut one.iter().copied().zip(one.iter().skip(distance).copied()))
    };
    let found = [apart(1), apart(2), apart(16), apart(32), apart(16 * 256)];
    let seeds = correlation(&mut one.iter().copied().zip(other.iter().copied()));
    for correlation in found.into_iter().chain([seeds]) {
        // Five standard errors of a correlation that is none.
        assert!(correlation.abs() <= 5.0 / n.sqrt(), "{found:?}, between seeds {seeds}");
    }
}

/// Against plain operations on the mask that the fused product shows.
#[test]
fn a_product_of_dropped_inputs_and_its_gradients_equal_plain_ones() {
    use confide::kernels::check::dropped_product;
    let (key, share) = (0x0123_4567_89ab_cdef, 0.25);
    // More rows than a thread takes at a time.
    let (rows, inner, outer) = (1200, 20, 3);
    let identity: Vec<f32> =
        (0..inner * inner).map(|i| f32::from(u8::from(i % (inner + 1) == 0))).collect();
    let identity = Tensor::from_data(TensorData::new(identity, [inner, inner]), &Device::flex());
    let ones = Tensor::<2>::ones([rows, inner], &Device::flex());
    let seen = dropped_product(ones, identity, key, share, None);
    let kept = seen.mul_scalar(1.0 - share);
    let run = |kept: Option<Tensor<2>>| {
        let active = |t: Tensor<2>| t.autodiff().require_grad();
        let (x, w) = (active(matrix(rows, inner, 1)), active(matrix(inner, outer, 2)));
        let kept = kept.map(Tensor::autodiff);
        let y = dropped_product(x.clone(), w.clone(), key, share, kept);
        let mut gradients = (y.clone() * matrix(rows, outer, 3).autodiff()).sum().backward();
        let mut of = |t: &Tensor<2>| vector(t.grad_remove(&mut gradients).unwrap());
        let (dx, dw) = (of(&x), of(&w));
        [vector(y.inner()), dx, dw]
    };
    let (fused, plain) = (run(None), run(Some(kept)));
    for ((found, wanted), what) in fused.iter().zip(&plain).zip(["product", "dx", "dw"]) {
        assert_close(found, wanted, 1e-4, what);
    }
}

#[test]
fn what_is_dropped_is_a_function_of_the_seed() {
    let _alone = alone();
    for base in BASES {
        let checkpoint = shaken(adapted(base, Targets::AllLinear, 0.4));
        let decoder = &checkpoint.decoder;
        let run = |recompute: bool, seed: u64| {
            // The device's generator has no part in it, wherever it stands.
            Device::flex().seed(seed + 1000 * u64::from(recompute));
            let settings = PassSettings { recompute, seed };
            let (outputs, gradients) = pass(decoder, &batch(), &[1.0, -0.5], settings);
            (outputs, by_name(&gradients))
        };
        let (kept, recomputed) = (run(false, 3), run(true, 3));
        assert_eq!(kept.0, recomputed.0, "{base}");
        assert!(kept.1.keys().eq(recomputed.1.keys()));
        for (name, gradient) in &kept.1 {
            assert_close(&recomputed.1[name], gradient, 1e-5, &format!("{base} {name}"));
        }
        assert_eq!(kept.0, run(false, 3).0);
        assert_ne!(kept.0, run(false, 4).0, "{base}: another seed drops the same");
        // Layers draw for themselves: at equal weights they must not drop alike.
        assert_ne!(kept.0, evaluated(decoder), "{base}: nothing was dropped");
    }
}

#[test]
fn nothing_is_dropped_outside_training() {
    let _alone = alone();
    for base in ["llama", "gpt2-score"] {
        let with = |dropout: f64| {
            let decoder = shaken(adapted(base, Targets::AllLinear, dropout)).decoder;
            Device::flex().seed(2);
            let evaluated = evaluated(&decoder);
            let sampling = confide::model::Sampling {
                max_new_tokens: 8,
                temperature: 0.0,
                ..confide::model::Sampling::default()
            };
            let sampled = confide::model::generate(&decoder, &[vec![5, 9]], &[], &sampling);
            (evaluated, sampled.unwrap())
        };
        assert_eq!(with(0.6), with(0.0), "{base}");
    }
}

#[test]
fn only_the_adapter_has_gradients_and_only_the_adapter_moves() {
    let _alone = alone();
    for base in BASES {
        let mut checkpoint = adapted(base, Targets::AllLinear, 0.1);
        let before = collect_tensors(&checkpoint.decoder);
        let own = |name: &str| name.contains(".lora.") || name == "score.weight";
        let mut optimiser = AdamW::new(0.1);
        for seed in 0..4 {
            let settings = PassSettings { recompute: seed % 2 == 0, seed };
            let (_, gradients) = pass(&checkpoint.decoder, &batch(), &[-1.0, 1.0], settings);
            let wanted: Vec<&String> = before.keys().filter(|name| own(name)).collect();
            let found: Vec<&str> = gradients.iter().map(|(name, _)| name).collect();
            assert_eq!(found, wanted, "{base}");
            for (name, gradient) in gradients.iter() {
                assert_eq!(gradient.dims()[0], before[name].values.len(), "{base} {name}");
            }
            checkpoint.decoder = optimiser.step(checkpoint.decoder, gradients, 1e-2);
        }
        let bits = |t: &SavedTensor| t.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        let after = collect_tensors(&checkpoint.decoder);
        assert!(after.keys().eq(before.keys()));
        for (name, tensor) in &after {
            assert_eq!(bits(tensor) == bits(&before[name]), !own(name), "{base} {name}");
        }
        let moments = optimiser.moments();
        assert_eq!(moments.len(), 2 * before.keys().filter(|name| own(name)).count());
        let trained = collect_trained(&checkpoint.decoder);
        assert!(trained.keys().all(|name| own(name)), "{base}: {:?}", trained.keys());
    }
}

#[test]
fn targets_choose_the_modules() {
    let path = std::path::Path::new("policy.lora");
    let count = |base: &str, adapter: confide::model::Adapter| {
        let checkpoint = confide::model::add_adapter(open(&base_folder(base)), adapter, 1, path);
        checkpoint.map(|c| c.decoder.linears().iter().filter(|(_, l)| l.lora.is_some()).count())
    };
    let names = |names: &[&str]| Targets::Names(names.iter().map(|n| (*n).to_owned()).collect());
    for (base, targets, wanted) in [
        ("llama", names(&[]), 4),
        ("gpt2", names(&[]), 2),
        ("llama", Targets::AllLinear, 14),
        ("gpt2", Targets::AllLinear, 8),
        ("opt-postln", Targets::AllLinear, 14),
        ("qwen2", names(&["q_proj", "layers.1.mlp.down_proj"]), 3),
        ("llama", Targets::Pattern(r"model\.layers\.0\..*".to_owned()), 7),
    ] {
        assert_eq!(count(base, plain(2, targets.clone())).unwrap(), wanted, "{base} {targets:?}");
    }
    let mut one = plain(2, Targets::AllLinear);
    (one.layers, one.excluded) = (Some(vec![1]), Some(names(&["q_proj", "down_proj"])));
    assert_eq!(count("llama", one).unwrap(), 5);
    // A part of a name is no name.
    for wrong in [names(&["proj"]), names(&["c_attn"]), Targets::Pattern("q_proj".to_owned())] {
        let message = count("llama", plain(2, wrong)).unwrap_err().to_string();
        assert!(message.contains("policy.lora") && message.contains("q_proj"), "{message}");
    }
}

#[test]
fn equal_seeds_draw_equal_adapters() {
    let draw = |seed: u64| {
        let base = open(&base_folder("llama"));
        let path = std::path::Path::new("policy.lora");
        let adapter = plain(3, Targets::AllLinear);
        let checkpoint = confide::model::add_adapter(base, adapter, seed, path).unwrap();
        collect_trained(&checkpoint.decoder)
    };
    assert!(draw(1) == draw(1) && draw(1) != draw(2));
    for (name, tensor) in draw(1) {
        if name.ends_with(".b") {
            assert!(tensor.values.iter().all(|v| *v == 0.0));
            continue;
        }
        // As PEFT draws A: uniform within ±1/√in, of standard deviation 1/√(3·in).
        let bound = 1.0 / (tensor.shape[0] as f32).sqrt();
        assert!(tensor.values.iter().all(|v| v.abs() <= bound), "{name}");
        let n = tensor.values.len() as f32;
        let sd = (tensor.values.iter().map(|v| v * v).sum::<f32>() / n).sqrt();
        assert!((sd * 3.0f32.sqrt() / bound - 1.0).abs() < 0.35, "{name}: {sd}");
    }
}

#[test]
fn log_probabilities_of_a_fresh_policy_are_the_reference_s_under_dropout_zero_in_training_too() {
    for base in ["llama", "gpt2", "opt-postln"] {
        let plain = open(&base_folder(base)).decoder;
        let fresh = adapted(base, Targets::AllLinear, 0.0).decoder;
        let reference = vector(sequence_log_probs(&plain, &batch()));
        for recompute in [false, true] {
            let settings = PassSettings { recompute, seed: 1 };
            assert_eq!(pass(&fresh, &batch(), &[1.0, 1.0], settings).0, reference, "{base}");
        }
    }
}
