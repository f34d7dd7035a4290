//! What goes wrong with models that people really have: files that do not fit each other, weights
//! that are no numbers, training that diverges, turns without an end.

mod broken;
mod controls;
mod divergence;
mod ends;
mod estimated;
mod first_step;
mod fuzz;
mod ids;
mod sizes;
mod strangers;
mod tensors;

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use confide::model::{Checkpoint, ModelFiles, Storage, build, read_config, save};
use confide::run::{Event, Recipe, Report, RunError, find_model};
use serde_json::{Value, json};

use crate::common::ran;

/// Tokens of the demonstration's tokenizer.
const VOCABULARY: usize = 1024;

/// A folder with a tiny model of a family, random weights, and the demonstration's tokenizer.
struct Model(tempfile::TempDir);

impl Model {
    /// Llama, two layers of 16.
    fn llama() -> Self {
        Self::of(&json!({
            "model_type": "llama", "vocab_size": VOCABULARY, "hidden_size": 16,
            "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
            "max_position_embeddings": 512, "tie_word_embeddings": true, "eos_token_id": 0,
        }))
    }

    /// GPT-2 with so many learned positions.
    fn gpt2(positions: usize) -> Self {
        Self::of(&json!({
            "model_type": "gpt2", "vocab_size": VOCABULARY, "n_embd": 16, "n_layer": 2,
            "n_head": 2, "n_positions": positions, "eos_token_id": 0,
        }))
    }

    fn of(config: &Value) -> Self {
        let model = Self(tempfile::tempdir().unwrap());
        model.write("config.json", config.to_string());
        let weak = find_model("builtin:weak").unwrap();
        for file in ["tokenizer.json", "tokenizer_config.json"] {
            model.write(file, &*weak.bytes(file).unwrap().unwrap());
        }
        let (family, shape, json) = read_config(&model.files()).unwrap();
        let mut state = 1u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 40) as f32 / (1 << 24) as f32 - 0.5
        };
        let fill: Vec<f32> = (0..1 << 16).map(|_| 0.3 * random()).collect();
        let values = |path: &str, shape: &[usize]| {
            let start = path.bytes().map(usize::from).sum::<usize>();
            let count: usize = shape.iter().product();
            let norm = shape.len() == 1 && path.ends_with("weight");
            let at = |i: usize| if norm { 1.0 } else { fill[(start * 97 + i) % fill.len()] };
            Ok((0..count).map(at).collect())
        };
        let decoder = build(shape, &Device::flex(), &values).unwrap();
        let checkpoint = Checkpoint { decoder, family, json, adapter: None, warnings: Vec::new() };
        save(model.path(), &checkpoint, None, Storage::F32).unwrap();
        model
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn files(&self) -> ModelFiles {
        ModelFiles::folder(self.path()).unwrap()
    }

    fn write(&self, file: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path().join(file), content).unwrap();
    }

    /// Change a JSON file; one that is not there begins empty.
    fn change(&self, file: &str, change: impl FnOnce(&mut Value)) {
        let bytes = std::fs::read(self.path().join(file)).unwrap_or_else(|_| b"{}".to_vec());
        let mut json: Value = serde_json::from_slice(&bytes).unwrap();
        change(&mut json);
        self.write(file, json.to_string());
    }

    /// Add a token to the tokenizer alone.
    fn add_token(&self, id: usize, content: &str) {
        self.change("tokenizer.json", |json| {
            json["added_tokens"].as_array_mut().unwrap().push(json!({
                "id": id, "content": content, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true,
            }));
        });
    }
}

/// Pairs in a file; each is a prompt and two responses.
fn data(folder: &Path, pairs: &[[&str; 3]]) -> PathBuf {
    let line = |[prompt, chosen, rejected]: &[&str; 3]| {
        json!({"prompt": prompt, "chosen": chosen, "rejected": rejected}).to_string()
    };
    let path = folder.join("pairs.jsonl");
    std::fs::write(&path, pairs.iter().map(line).collect::<Vec<_>>().join("\n")).unwrap();
    path
}

/// Twelve different pairs.
fn some_pairs(folder: &Path) -> PathBuf {
    let texts: Vec<[String; 3]> = (0..12)
        .map(|i| [format!("How is number {i}?"), format!(" It is {i}."), format!(" No {i} {i}.")])
        .collect();
    let pairs: Vec<[&str; 3]> = texts.iter().map(|t| t.each_ref().map(String::as_str)).collect();
    data(folder, &pairs)
}

/// Run a recipe over a file with a model as the policy; the outcome, what was told, the folder.
struct Outcome {
    report: Result<Report, RunError>,
    events: Vec<Event>,
    folder: PathBuf,
    _place: tempfile::TempDir,
}

impl Outcome {
    fn warnings(&self) -> Vec<&str> {
        let events = self.events.iter();
        events
            .filter_map(|event| match event {
                Event::Warning { message, .. } => Some(message.as_str()),
                _ => None,
            })
            .collect()
    }

    #[track_caller]
    fn error(&self) -> String {
        self.report.as_ref().expect_err("the run ended well").to_string()
    }

    /// The warning that holds all these words.
    #[track_caller]
    fn warned(&self, words: &[&str]) {
        let warnings = self.warnings();
        let all = |warning: &&&str| words.iter().all(|word| warning.contains(word));
        assert!(warnings.iter().any(|w| all(&w)), "{words:?} are in none of {warnings:?}");
    }
}

/// One epoch of DPO with human labels in batches of 4, and whatever `settings` say instead.
fn run(model: &Path, data: &Path, settings: &[(&str, &str)]) -> Outcome {
    let place = tempfile::tempdir().unwrap();
    let text = format!(
        "device = 'cpu'\ndata = {{ files = ['{}'], labelled = 1.0, held_out = 0.0 }}\n\
         annotator = {{ kind = 'human', model = '{}' }}\nsft = {{ epochs = 0 }}\n\
         policy = {{ model = '{}', epochs = 1, batch_size = 4, accumulate = 1 }}\n\
         evaluate = {{ samples = 0 }}",
        data.display(),
        model.display(),
        model.display(),
    );
    let set: Vec<(String, String)> =
        settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let recipe = Recipe::parse(&text, Path::new("faults.toml"), &set).unwrap();
    let folder = place.path().join("run");
    let (report, events) = ran(recipe, &folder);
    Outcome { report, events, folder, _place: place }
}

/// Panic unless every word is in a text.
#[track_caller]
fn assert_says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "“{word}” is not in: {text}");
    }
}
