//! Make the demonstration's tokenizer and decoders from nothing: the world's own text, a
//! fixed seed, and this program's training loop.

use std::path::Path;
use std::sync::Arc;

use burn::tensor::Device;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer as Inner};

use crate::batch::Sequence;
use crate::builtin::world;
use crate::model::{Checkpoint, ModelFiles, Storage, build, read_config, save};
use crate::run::{RunError, normal};
use crate::text::Tokenizer;
use crate::train::{
    AdamW, Ended, ExecutionPlan, Flow, Metrics, Sampler, Schedule, SftTask, Start, TrainerCallback,
    Training, train,
};

/// Steps of each model in the compiled-in assets.
pub const PRETRAIN_STEPS: u64 = 2000;

const END: &str = "<|endoftext|>";
const VOCABULARY: usize = 1024;
const TEXTS: usize = 24_000;
const SEED: u64 = 20_260_304;
/// Standard deviation of initial weights.
const INIT_SD: f64 = 0.02;

/// Pretrain `weak` and `strong` into folders of `out`, in f16.
///
/// # Errors
///
/// A file cannot be written, or the device fails.
pub fn pretrain(
    out: &Path,
    steps: u64,
    device: &Device,
    tell: &mut dyn FnMut(&str),
) -> Result<(), RunError> {
    let texts: Vec<String> =
        world::pretraining_text(TEXTS, SEED).map(|(prompt, response)| prompt + &response).collect();
    let tokenizer = tokenizer(&texts).map_err(|e| RunError::Impossible(e.to_string()))?;
    for (name, hidden, layers, ffn) in [("weak", 64, 3, 176), ("strong", 128, 4, 344)] {
        let folder = out.join(name);
        let write = |file: &str, text: &str| {
            let path = folder.join(file);
            crate::files::write(&path, text.as_bytes())
                .map_err(|source| RunError::Write { path, source })
        };
        std::fs::create_dir_all(&folder)
            .map_err(|source| RunError::Write { path: folder.clone(), source })?;
        write("tokenizer.json", &tokenizer)?;
        write("tokenizer_config.json", &tokenizer_config().to_string())?;
        write("config.json", &config(hidden, layers, ffn).to_string())?;
        tell(&format!("{name}: {steps} steps on {TEXTS} texts"));
        pretrain_one(&folder, &texts, steps, device, tell)?;
    }
    Ok(())
}

fn tokenizer(texts: &[String]) -> tokenizers::Result<String> {
    let mut inner = Inner::new(BPE::default());
    inner.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
    inner.with_decoder(Some(ByteLevel::default()));
    let trainer = BpeTrainer::builder()
        .show_progress(false)
        .vocab_size(VOCABULARY)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(vec![AddedToken::from(END, true)])
        .build();
    inner.train(&mut TrainerWrapper::from(trainer), texts.iter())?;
    inner.to_string(false)
}

fn tokenizer_config() -> Value {
    json!({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END, "pad_token": END})
}

fn config(hidden: usize, layers: usize, ffn: usize) -> Value {
    json!({
        "model_type": "llama", "architectures": ["LlamaForCausalLM"],
        "vocab_size": VOCABULARY, "hidden_size": hidden, "num_hidden_layers": layers,
        "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": ffn,
        "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "hidden_act": "silu", "tie_word_embeddings": true, "attention_bias": false,
        "mlp_bias": false, "bos_token_id": null, "eos_token_id": 0, "pad_token_id": 0,
    })
}

fn pretrain_one(
    folder: &Path,
    texts: &[String],
    steps: u64,
    device: &Device,
    tell: &mut dyn FnMut(&str),
) -> Result<(), RunError> {
    let files = ModelFiles::folder(folder)?;
    let tokenizer = Tokenizer::load(&files)?;
    let (family, shape, json) = read_config(&files)?;
    let nothing: Arc<[u32]> = Arc::from([]);
    let sequence = |text: &String| {
        let response = tokenizer.encode(&format!("{text}{END}"))?;
        Ok(Sequence { prompt: nothing.clone(), response })
    };
    let sequences = texts.iter().map(sequence).collect::<Result<Vec<_>, RunError>>()?;
    let training = Training {
        steps,
        learning_rate: 2e-3,
        batch_size: 32,
        accumulate: 1,
        schedule: Schedule::Cosine,
        warmup_steps: steps / 20,
        weight_decay: 0.05,
        max_grad_norm: 1.0,
        epochs: 1.0,
        ..Training::default()
    };
    let order = Sampler::new(sequences.len(), &training, true, SEED, 0);
    let model = build(shape, device, &initial_values)?;
    let start = Start::fresh(model, AdamW::new(training.weight_decay), ExecutionPlan::default());
    let mut task = SftTask::new(sequences, tokenizer.pad);
    let Ended::Done(decoder) = train(start, &mut task, order, &training, &mut Printer { tell })?
    else {
        return Err(RunError::Stopped);
    };
    let checkpoint =
        Checkpoint { decoder: *decoder, family, json, adapter: None, warnings: Vec::new() };
    save(folder, &checkpoint, None, Storage::F16)?;
    Ok(())
}

/// Norms start at 1, everything else at N(0, 0.02) from a stream of its own.
fn initial_values(path: &str, shape: &[usize]) -> Result<Vec<f32>, crate::model::ModelError> {
    let count = shape.iter().product();
    if shape.len() == 1 {
        return Ok(vec![1.0; count]);
    }
    let stream = path.bytes().fold(17u64, |h, b| h.wrapping_mul(31).wrapping_add(u64::from(b)));
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    rng.set_stream(stream);
    Ok((0..count).map(|_| (INIT_SD * normal(&mut rng)) as f32).collect())
}

struct Printer<'a> {
    tell: &'a mut dyn FnMut(&str),
}

impl TrainerCallback for Printer<'_> {
    fn before_step(&mut self) -> Flow {
        Flow::Go
    }

    fn after_step(&mut self, step: u64, total: u64, metrics: &Metrics) {
        if step == 1 || step == total || step.is_multiple_of(50) {
            let get = |name: &str| metrics.get(name).unwrap_or(f64::NAN);
            (self.tell)(&format!(
                "  step {step}/{total}  loss {:.4}  {:.0} tokens/s",
                get("loss"),
                get("tokens_per_second")
            ));
        }
    }

    fn wants_checkpoint(&mut self, _step: u64, _total: u64) -> bool {
        false
    }

    fn warn(&mut self, message: String) {
        (self.tell)(&message);
    }
}
