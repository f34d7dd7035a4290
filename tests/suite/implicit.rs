//! The DPO reward of a weak model as an annotator, in whole runs.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use confide::batch::{Batch, Sequence};
use confide::data::{AnnotatedPair, Pair, Prompt, ReadSettings, read_annotations, read_files};
use confide::model::{
    Decoder, ModelFiles, Storage, load, load_named, save, sequence_log_probs, take_tensors,
};
use confide::run::{Control, Event, Job, Metrics, Recipe, RunError, Stage, execute, find_model};
use confide::text::{Chat, Encoder};
use serde_json::json;

use crate::common::{assert_close, numbers, printed, python, vector};

/// The demonstration's weak model as a folder.
fn weak(folder: &Path) -> PathBuf {
    let files = find_model("builtin:weak").unwrap();
    let folder = folder.join("weak");
    std::fs::create_dir(&folder).unwrap();
    save(&folder, &load(&files, &Device::flex()).unwrap(), None, Storage::F32).unwrap();
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        std::fs::write(folder.join(name), &*files.bytes(name).unwrap().unwrap()).unwrap();
    }
    folder
}

fn data(folder: &Path) -> PathBuf {
    let row = |i: usize| {
        let (right, wrong) = (format!(" It is {i}."), format!(" I say {i} {i} {i}."));
        json!({"prompt": format!("What is number {i}?"), "chosen": right, "rejected": wrong})
    };
    let lines: Vec<String> = (0..40).map(|i| row(i).to_string()).collect();
    let path = folder.join("pairs.jsonl");
    std::fs::write(&path, lines.join("\n")).unwrap();
    path
}

fn recipe(place: &Path, model: &Path, settings: &str) -> Recipe {
    let text = format!(
        "device = 'cpu'\nname = 'implicit'\ncheckpoint_seconds = 0\n\
         data = {{ files = ['{}'], labelled = 0.4, held_out = 0.2 }}\n\
         policy = {{ model = 'builtin:strong', epochs = 0 }}\n[annotator]\nkind = 'implicit'\n\
         model = '{}'\nsteps = 5\nbatch_size = 4\nlearning_rate = 1e-3\nbeta = 0.25\n{settings}",
        data(place).display(),
        model.display(),
    );
    let recipe = Recipe::parse(&text, Path::new("implicit.toml"), &[]).unwrap();
    recipe.check("implicit.toml").unwrap();
    recipe
}

fn job(recipe: &Recipe, folder: &Path) -> Job {
    Job::Fresh { recipe: Box::new(recipe.clone()), folder: folder.to_owned(), download: false }
}

/// Numbers of the annotator's steps.
fn run(job: Job) -> Vec<(u64, Metrics)> {
    let mut steps = Vec::new();
    execute(job, Control::default(), &mut |event| {
        if let Event::Step { stage: Stage::ANNOTATOR, step, metrics } = event {
            steps.push((step, metrics));
        }
    })
    .unwrap();
    steps
}

/// The pairs of a table in a model's tokens, with the scores that the table has.
fn asked(place: &Path, model: &Path, table: &[AnnotatedPair]) -> Vec<([Sequence; 2], [f32; 2])> {
    let files = ModelFiles::folder(model).unwrap();
    let encoder = Encoder::load(&files, &Chat::default()).unwrap();
    let path = place.join("pairs.jsonl");
    let pool = read_files(&[path], &ReadSettings::default()).unwrap().pairs;
    let of = |row: &AnnotatedPair| {
        let Pair { prompt, responses, .. } =
            pool.iter().find(|pair| pair.responses == row.responses).unwrap();
        assert!(matches!(prompt, Prompt::Text(_)));
        let side = |k: usize| encoder.sequence(prompt, &responses[k]).unwrap();
        ([side(0), side(1)], row.scores)
    };
    table.iter().map(of).collect()
}

fn log_probs(decoder: &Decoder, sequences: &[&Sequence]) -> Vec<f64> {
    // One to a row, which is not how runs compute them.
    vector(sequence_log_probs(decoder, &Batch::one_per_row(sequences, 0)))
}

/// Scores of a run's table against β times log-ratios of two models.
fn compare(
    asked: &[([Sequence; 2], [f32; 2])],
    ratios: impl Fn(&[&Sequence]) -> Vec<f64>,
    what: &str,
) {
    let sequences: Vec<&Sequence> = asked.iter().flat_map(|(sides, _)| sides).collect();
    let found: Vec<f64> = asked.iter().flat_map(|(_, scores)| scores.map(f64::from)).collect();
    let wanted: Vec<f64> = ratios(&sequences).into_iter().map(|ratio| 0.25 * ratio).collect();
    assert_close(&found, &wanted, 1e-4, what);
    assert!(found.iter().any(|score| score.abs() > 0.01), "{found:?}");
}

/// Log-probabilities of responses under each of some models, by transformers.
const SCRIPT: &str = "
import json, sys, torch
from transformers import AutoModelForCausalLM
sequences = json.load(open(sys.argv[1]))
found = []
for folder in sys.argv[2:]:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    sums = []
    for prompt, response in sequences:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([prompt + response])).logits[0].double()
        log_probs = logits.log_softmax(-1)
        start = len(prompt) - 1
        sums.append(sum(log_probs[start + i, token].item() for i, token in enumerate(response)))
    found.append(sums)
print(json.dumps(found))
";

#[test]
fn scores_are_log_ratios_of_what_was_learned_and_what_was_there() {
    let place = tempfile::tempdir().unwrap();
    let model = weak(place.path());
    let folder = place.path().join("run");
    let steps = run(job(&recipe(place.path(), &model, "sft_epochs = 0"), &folder));
    // DPO begins at its reference.
    let first = |name: &str| steps[0].1.get(name).unwrap();
    assert_close(&[first("loss")], &[2.0_f64.ln()], 1e-6, "first loss");
    assert_eq!((steps.len(), first("rewards/margins")), (5, 0.0));
    let table = read_annotations(&folder.join("annotations.parquet")).unwrap();
    assert!(table.iter().any(|pair| pair.split == "held_out"));
    let asked = asked(place.path(), &model, &table);
    let decoder = |folder: &Path| {
        load(&ModelFiles::folder(folder).unwrap(), &Device::flex()).unwrap().decoder
    };
    let (before, learned) = (decoder(&model), decoder(&folder.join("annotator")));
    let ratios = |sequences: &[&Sequence]| -> Vec<f64> {
        let pairs = log_probs(&learned, sequences).into_iter().zip(log_probs(&before, sequences));
        pairs.map(|(learned, before)| learned - before).collect()
    };
    compare(&asked, ratios, "one sequence to a row");

    let Some(mut command) = python() else { return };
    let file = place.path().join("sequences.json");
    let ids = |side: &Sequence| json!([side.prompt.to_vec(), side.response]);
    let all: Vec<_> = asked.iter().flat_map(|(sides, _)| sides.each_ref().map(ids)).collect();
    std::fs::write(&file, json!(all).to_string()).unwrap();
    let folders = [file, folder.join("annotator"), model];
    let found: serde_json::Value =
        serde_json::from_str(&printed(command.args(["-c", SCRIPT]).args(folders))).unwrap();
    let [learned, before] = [0, 1].map(|i| numbers(&found[i]));
    let ratios = |_: &[&Sequence]| learned.iter().zip(&before).map(|(a, b)| a - b).collect();
    compare(&asked, ratios, "transformers");
}

#[test]
fn the_reference_is_the_model_after_its_fine_tuning() {
    let place = tempfile::tempdir().unwrap();
    let model = weak(place.path());
    let folder = place.path().join("run");
    let settings = "sft_epochs = 2\nsft_learning_rate = 1e-3";
    let recipe = recipe(place.path(), &model, settings);
    let steps = run(job(&recipe, &folder));
    // 4 steps of fine-tuning an epoch, then 5 of DPO, which begins at its reference.
    let tuning = steps.len() - 5;
    assert!(tuning >= 4 && steps[..tuning].iter().all(|(_, m)| m.get("rewards/margins").is_none()));
    let first = |name: &str| steps[tuning].1.get(name).unwrap();
    assert_close(&[first("loss")], &[2.0_f64.ln()], 1e-6, "first loss of DPO");
    assert_eq!(first("rewards/margins"), 0.0);

    let table = read_annotations(&folder.join("annotations.parquet")).unwrap();
    let asked = asked(place.path(), &model, &table);
    let base = load(&ModelFiles::folder(&model).unwrap(), &Device::flex()).unwrap().decoder;
    let path = folder.join("checkpoints/annotator-reference.safetensors");
    let tuned = take_tensors(base.clone(), load_named(&path).unwrap());
    let files = ModelFiles::folder(&folder.join("annotator")).unwrap();
    let learned = load(&files, &Device::flex()).unwrap().decoder;
    let of = |decoder: &Decoder, sequences: &[&Sequence]| log_probs(decoder, sequences);
    let ratios = |sequences: &[&Sequence]| -> Vec<f64> {
        let pairs = of(&learned, sequences).into_iter().zip(of(&tuned, sequences));
        pairs.map(|(learned, before)| learned - before).collect()
    };
    compare(&asked, ratios, "against the tuned model");
    // Chosen responses of the labelled split have become likelier by fine-tuning alone.
    let right: Vec<&Sequence> = asked.iter().map(|(sides, _)| &sides[0]).collect();
    let (before, after) = (of(&base, &right), of(&tuned, &right));
    assert!(after.iter().sum::<f64>() > before.iter().sum::<f64>() + 1.0);

    // Stopped while it learns by DPO, it goes on there, with the same reference.
    let stopped = place.path().join("stopped");
    let control = Control::default();
    let stop = control.clone();
    let at = tuning as u64 + 2;
    let ended = execute(job(&recipe, &stopped), control, &mut |event| {
        if matches!(event, Event::Step { stage: Stage::ANNOTATOR, step, .. } if step == at) {
            stop.stop();
        }
    });
    assert!(matches!(ended, Err(RunError::Stopped)));
    let resumed = run(Job::Resume { folder: stopped.clone(), device: None });
    let loss = |steps: &[(u64, Metrics)]| -> Vec<(u64, Option<f64>)> {
        steps.iter().map(|(step, metrics)| (*step, metrics.get("loss"))).collect()
    };
    assert_eq!(loss(&resumed), loss(&steps[tuning + 2..]));
    assert_eq!(read_annotations(&stopped.join("annotations.parquet")).unwrap(), table);
}

/// An adapter is an annotator as well: its reference is the adapter as fine-tuning left it.
#[test]
fn an_adapter_is_compared_with_the_adapter_before() {
    let place = tempfile::tempdir().unwrap();
    let model = weak(place.path());
    let folder = place.path().join("run");
    let settings =
        "sft_epochs = 1\nsft_learning_rate = 1e-2\n[annotator.lora]\nrank = 4\ndropout = 0.1";
    let steps = run(job(&recipe(place.path(), &model, settings), &folder));
    let first = &steps[steps.len() - 5].1;
    assert_close(&[first.get("loss").unwrap()], &[2.0_f64.ln()], 1e-6, "first loss of DPO");
    let table = read_annotations(&folder.join("annotations.parquet")).unwrap();
    assert!(table.iter().all(|pair| pair.margin > 0.0));
    assert!(folder.join("annotator/adapter_model.safetensors").is_file());
}

#[test]
fn without_training_it_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let recipe = recipe(place.path(), Path::new("builtin:weak"), "");
    let set = [("annotator.epochs".to_owned(), "0".to_owned())];
    let found = recipe.with(&set).unwrap_err().to_string();
    assert!(found.contains("annotator.epochs = 0") && found.contains("learns nothing"), "{found}");
}

/// What earlier versions did not know is at its default: recipes in states and events are still read.
#[test]
fn recipes_without_newer_settings_are_read() {
    let mut json = serde_json::to_value(Recipe::default()).unwrap();
    let annotator = json["annotator"].as_object_mut().unwrap();
    for name in ["ensemble", "ensemble_tau", "beta", "sft_epochs"] {
        assert!(annotator.remove(name).is_some(), "{name}");
    }
    assert_eq!(serde_json::from_value::<Recipe>(json).unwrap(), Recipe::default());
}
