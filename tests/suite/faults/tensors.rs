//! Files of models: tensors that nobody reads, heads that are tied in name alone, weights that are
//! stored in ways that are not read.

use confide::model::{SavedTensor, load, load_named, save_tensors, survey};

use super::*;
use crate::common::program;

/// Change the tensors of a model's file.
fn tensors(
    model: &Model,
    change: impl FnOnce(&mut std::collections::BTreeMap<String, SavedTensor>),
) {
    let path = model.path().join("model.safetensors");
    let mut tensors = load_named(&path).unwrap();
    change(&mut tensors);
    save_tensors(&path, &tensors, Storage::F32).unwrap();
}

fn numbers(shape: &[usize], value: f32) -> SavedTensor {
    SavedTensor { shape: shape.to_vec(), values: vec![value; shape.iter().product()] }
}

fn refusal(model: &Model) -> String {
    load(&model.files(), &Device::flex()).expect_err("it was read").to_string()
}

#[test]
fn tensors_that_nobody_reads_are_told_and_known_buffers_are_not() {
    let model = Model::llama();
    assert!(survey(&model.files()).unwrap().warnings.is_empty());
    tensors(&model, |all| {
        for i in 0..2 {
            all.insert(
                format!("model.layers.{i}.self_attn.rotary_emb.inv_freq"),
                numbers(&[4], 1.0),
            );
        }
        let embedding = all["model.embed_tokens.weight"].clone();
        all.insert("lm_head.weight".to_owned(), embedding);
    });
    assert!(survey(&model.files()).unwrap().warnings.is_empty(), "buffers, and the tied head");
    tensors(&model, |all| {
        for i in 0..2 {
            for part in ["gate_proj", "up_proj", "down_proj"] {
                all.insert(format!("model.layers.{i}.mlp.{part}.bias"), numbers(&[24], 1.0));
            }
        }
    });
    let found = load(&model.files(), &Device::flex()).unwrap().warnings;
    assert_eq!(found.len(), 1, "{found:?}");
    let words =
        ["model.safetensors", "6 of ", "model.layers.0.mlp.gate_proj.bias", "2 more", "mlp_bias"];
    assert_says(&found[0], &words);

    let outcome = run(model.path(), &some_pairs(model.path()), &[]);
    outcome.report.as_ref().unwrap();
    outcome.warned(&words);
    let folder = model.path().to_str().unwrap();
    let args = ["generate", folder, "--prompt", "Hi", "--max-new-tokens", "1", "--device", "cpu"];
    let output = program().args(args).output().unwrap();
    assert_says(&String::from_utf8_lossy(&output.stderr), &words);

    // A whole layer more.
    let model = Model::llama();
    model.change("config.json", |json| json["num_hidden_layers"] = json!(1));
    let found = survey(&model.files()).unwrap().warnings;
    assert_says(&found[0], &["9 of ", "model.layers.1.", "same model"]);
}

/// A shard may hold what the index does not list.
#[test]
fn tensors_that_an_index_leaves_out_are_told() {
    let from = crate::common::repository("tests/fixtures/models/llama-sharded");
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let files = ModelFiles::folder(folder.path()).unwrap();
    assert!(survey(&files).unwrap().warnings.is_empty());
    let path = folder.path().join("model-00001-of-00004.safetensors");
    let mut all = load_named(&path).unwrap();
    all.insert("model.layers.0.mlp.up_proj.bias".to_owned(), numbers(&[24], 1.0));
    save_tensors(&path, &all, Storage::F32).unwrap();
    let found = survey(&files).unwrap().warnings;
    assert_says(&found[0], &["index.json", "1 of ", "model.layers.0.mlp.up_proj.bias"]);
}

#[test]
fn gpt2_masks_are_buffers_and_its_biases_are_not() {
    let model = Model::gpt2(32);
    tensors(&model, |all| {
        for i in 0..2 {
            all.insert(format!("transformer.h.{i}.attn.bias"), numbers(&[1, 1, 32, 32], 1.0));
            all.insert(format!("transformer.h.{i}.attn.masked_bias"), numbers(&[1], -1e4));
        }
    });
    assert!(survey(&model.files()).unwrap().warnings.is_empty());
    tensors(&model, |all| {
        all.remove("transformer.h.0.attn.c_attn.bias");
    });
    assert_says(&refusal(&model), &["transformer.h.0.attn.c_attn.bias", "missing"]);
}

#[test]
fn a_head_that_differs_from_the_embedding_is_kept() {
    let model = Model::llama();
    let plain = load(&model.files(), &Device::flex()).unwrap().decoder;
    tensors(&model, |all| {
        let mut head = all["model.embed_tokens.weight"].clone();
        head.values.iter_mut().for_each(|v| *v = -*v);
        all.insert("lm_head.weight".to_owned(), head);
    });
    let found = load(&model.files(), &Device::flex()).unwrap();
    assert!(!found.decoder.config().tied);
    assert_says(&found.warnings[0], &["lm_head.weight", "tie_word_embeddings", "is used"]);
    // The logits are those of the head in the file: here the negative of the tied ones.
    let hidden = burn::tensor::Tensor::<2>::ones([1, 16], &Device::flex());
    let logits =
        |decoder: &confide::model::Decoder| crate::common::vector(decoder.logits(hidden.clone()));
    let negative: Vec<f64> = logits(&plain).iter().map(|v| -v).collect();
    crate::common::assert_close(&logits(&found.decoder), &negative, 1e-6, "logits");

    // It is trained apart, written apart, and read again as it was written.
    let outcome = run(model.path(), &some_pairs(model.path()), &[]);
    outcome.report.as_ref().unwrap();
    outcome.warned(&["lm_head.weight", "differs from the embedding"]);
    let written = ModelFiles::folder(&outcome.folder.join("policy")).unwrap();
    assert_eq!(written.config().unwrap()["tie_word_embeddings"], false);
    let again = load(&written, &Device::flex()).unwrap();
    assert!(again.decoder.head.is_some() && again.warnings.is_empty(), "{:?}", again.warnings);
}

#[test]
fn quantised_checkpoints_are_named_as_such() {
    let weight = "model.layers.0.self_attn.q_proj.weight";
    let packed = |model: &Model, name: &str, more: &[&str]| {
        tensors(model, |all| {
            all.remove(weight);
            all.insert(name.to_owned(), numbers(&[128, 1], 1.0));
            for name in more {
                all.insert((*name).to_owned(), numbers(&[4], 1.0));
            }
        });
    };
    for (config, name, more, words) in [
        (
            json!({"quant_method": "bitsandbytes", "load_in_4bit": true}),
            weight,
            &["model.layers.0.self_attn.q_proj.weight.absmax"][..],
            ["bitsandbytes", "absmax"],
        ),
        (
            json!({"quant_method": "awq", "bits": 4}),
            "model.layers.0.self_attn.q_proj.qweight",
            &["model.layers.0.self_attn.q_proj.scales"],
            ["awq", "qweight"],
        ),
        (
            Value::Null,
            "model.layers.0.self_attn.q_proj.qweight",
            &["model.layers.0.self_attn.q_proj.qzeros"],
            ["GPTQ or AWQ", "qweight"],
        ),
        (
            json!({"quant_method": "compressed-tensors"}),
            "model.layers.0.self_attn.q_proj.weight_packed",
            &[],
            ["compressed-tensors", "weight_packed"],
        ),
    ] {
        let model = Model::llama();
        packed(&model, name, more);
        if !config.is_null() {
            model.change("config.json", |json| json["quantization_config"] = config);
        }
        let error = refusal(&model);
        assert_says(&error, &["is quantised", "precision = \"int4\"", "float16"]);
        assert_says(&error, &words);
    }
    // One whose weights were written out again in floats is read, whatever its settings remember.
    let model = Model::llama();
    model.change("config.json", |json| {
        json["quantization_config"] = json!({"quant_method": "gptq"});
    });
    load(&model.files(), &Device::flex()).unwrap();
}

#[test]
fn pointers_of_git_lfs_are_named_as_such() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0f\nsize 97128\n";
    for file in ["model.safetensors", "tokenizer.json", "config.json"] {
        let model = Model::llama();
        model.write(file, pointer);
        let folder = model.path().to_str().unwrap();
        let args = ["generate", folder, "--prompt", "Hi", "--device", "cpu"];
        let output = program().args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_says(&words, &[file, "Git LFS", "git lfs pull"]);
    }
}

#[test]
fn weights_of_other_kinds_are_named_with_a_way_out() {
    for (file, words) in [
        ("pytorch_model.bin", &["only pytorch_model.bin", "save_file", "safetensors"][..]),
        ("pytorch_model-00001-of-00002.bin", &["only pytorch_model-00001", "save_file"]),
        ("model-00001-of-00002.safetensors", &["model-00001-of-00002", "index", "missing"]),
        ("tiny-Q4_K_M.gguf", &["tiny-Q4_K_M.gguf", "llama.cpp"]),
        ("consolidated.00.pth", &["consolidated.00.pth"]),
    ] {
        let model = Model::llama();
        let from = model.path().join("model.safetensors");
        std::fs::rename(from, model.path().join(file)).unwrap();
        assert_says(&refusal(&model), words);
    }
}

#[test]
fn folders_of_other_kinds_are_named_with_a_way_out() {
    for (file, words) in [
        ("tiny-Q4_K_M.gguf", &["llama.cpp"][..]),
        ("params.json", &["transformers' layout"]),
        ("readme.txt", &["there is no config.json; expected"]),
    ] {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join(file), "x").unwrap();
        let words_of = ModelFiles::folder(place.path()).unwrap_err().to_string();
        assert_says(&words_of, words);
    }
    let place = tempfile::tempdir().unwrap();
    let cache = place.path().join("models--org--tiny");
    std::fs::create_dir_all(cache.join("snapshots")).unwrap();
    assert_says(&ModelFiles::folder(&cache).unwrap_err().to_string(), &["name org/tiny"]);

    let model = Model::llama();
    let from = model.path().join("tokenizer.json");
    std::fs::rename(from, model.path().join("tokenizer.model")).unwrap();
    let words = confide::text::Tokenizer::load(&model.files()).unwrap_err().to_string();
    assert_says(&words, &["tokenizer.model", "SentencePiece", "save_pretrained"]);
}

#[test]
fn models_that_are_more_than_text_are_named_as_such() {
    let model = Model::llama();
    model.change("config.json", |json| {
        json["model_type"] = json!("gemma3");
        json["vision_config"] = json!({});
        json["text_config"] = json!({});
    });
    assert_says(&refusal(&model), &["“gemma3”", "text and images", "gemma3_text"]);
}

/// An adapter's folder, without weights.
fn adapter(folder: &Path, base: &str) -> PathBuf {
    let adapter = folder.join("adapter");
    std::fs::create_dir(&adapter).unwrap();
    let config = json!({
        "peft_type": "LORA", "base_model_name_or_path": base, "r": 2,
        "target_modules": ["q_proj"],
    });
    std::fs::write(adapter.join("adapter_config.json"), config.to_string()).unwrap();
    adapter
}

#[test]
fn adapters_without_what_they_need_say_so() {
    let place = tempfile::tempdir().unwrap();
    let model = Model::llama();
    let base = place.path().join("base");
    std::fs::create_dir(&base).unwrap();
    for entry in std::fs::read_dir(model.path()).unwrap().map(Result::unwrap) {
        std::fs::copy(entry.path(), base.join(entry.file_name())).unwrap();
    }
    // Beside the adapter, by a name that could be one on the hub too.
    let folder = adapter(place.path(), "base");
    let find = |folder: &Path| find_model(folder.to_str().unwrap());
    let load_it = |folder: &Path| load(&find(folder).unwrap(), &Device::flex()).unwrap_err();
    let words = load_it(&folder).to_string();
    assert_says(&words, &["adapter_config.json", "no adapter_model.safetensors"]);
    std::fs::write(folder.join("adapter_model.bin"), b"pickle").unwrap();
    let words = load_it(&folder).to_string();
    assert_says(&words, &["only adapter_model.bin", "adapter_model.safetensors", "python -c"]);

    for base in ["/home/somebody/models/llama", "../elsewhere", "nobody/has-this"] {
        let place = tempfile::tempdir().unwrap();
        let folder = adapter(place.path(), base);
        let words = find(&folder).unwrap_err().to_string();
        assert_says(&words, &["adapter_config.json", "base_model_name_or_path", base, "not here"]);
    }
}

#[test]
fn no_cause_is_printed_twice() {
    let place = tempfile::tempdir().unwrap();
    let folder = adapter(place.path(), "builtin:weak");
    std::fs::create_dir(folder.join("adapter_model.safetensors")).unwrap();
    let recipe = place.path().join("absent.toml");
    for args in [
        vec!["generate", folder.to_str().unwrap(), "--prompt", "Hi", "--device", "cpu"],
        vec!["run", recipe.to_str().unwrap()],
        vec!["report", place.path().to_str().unwrap()],
    ] {
        let output = program().args(&args).output().unwrap();
        assert!(!output.status.success());
        let words = String::from_utf8_lossy(&output.stderr).to_lowercase();
        for cause in ["no such file or directory", "is a directory", "entity not found"] {
            assert!(words.matches(cause).count() <= 1, "{words}");
        }
    }
}
