//! Reward models: as annotators without training, as gold judges, and as what a run exports.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use confide::batch::{Batch, Sequence};
use confide::data::read_annotations;
use confide::model::{
    ModelFiles, Storage, is_reward_model, load, save, score_pad, sequence_scores,
};
use confide::run::{Control, Job, Recipe, Report, RunError, execute, find_model};
use confide::text::{Chat, Encoder, Tokenizer};
use serde_json::{Value, json};

use crate::common::{assert_close, numbers};

const TEMPLATE: &str = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ eos_token }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}";

/// The demonstration's weak model with a scalar head, as a folder; `pad` goes into its
/// `config.json`.
fn reward_model(folder: &Path, pad: Option<u32>, template: Option<&str>) -> PathBuf {
    let files = find_model("builtin:weak").unwrap();
    let mut checkpoint = load(&files, &Device::flex()).unwrap();
    let width = checkpoint.decoder.config().embedding;
    let weights: Vec<f32> = (0..width).map(|i| ((i * 37 % 19) as f32 - 9.0) / 40.0).collect();
    let weight = Tensor::from_data(TensorData::new(weights, [width, 1]), &Device::flex());
    checkpoint.decoder = checkpoint.decoder.with_score(weight);
    let folder = folder.join("reward");
    std::fs::create_dir(&folder).unwrap();
    save(&folder, &checkpoint, pad, Storage::F32).unwrap();
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        std::fs::write(folder.join(name), &*files.bytes(name).unwrap().unwrap()).unwrap();
    }
    if let Some(template) = template {
        std::fs::write(folder.join("chat_template.jinja"), template).unwrap();
    }
    folder
}

fn scores(folder: &Path, sequences: &[Sequence], pad: Option<u32>) -> Vec<f64> {
    let files = ModelFiles::folder(folder).unwrap();
    let model = load(&files, &Device::flex()).unwrap().decoder;
    let batch = Batch::one_per_row(&sequences.iter().collect::<Vec<_>>(), pad);
    let values = sequence_scores(&model, &batch).try_into_vec_as::<f32>().unwrap();
    values.into_iter().map(f64::from).collect()
}

fn sequence(tokens: &[u32]) -> Sequence {
    Sequence { prompt: tokens[..2].into(), response: tokens[2..].to_vec() }
}

#[test]
fn a_score_is_read_where_config_json_says() {
    let place = tempfile::tempdir().unwrap();
    let folder = reward_model(place.path(), None, None);
    let files = ModelFiles::folder(&folder).unwrap();
    assert!(is_reward_model(&files).unwrap());
    let tokenizer = Tokenizer::load(&files).unwrap();
    let eos = tokenizer.eos;
    // The tokenizer pads with EOS; config.json names no padding token, and that is what counts.
    assert_eq!(tokenizer.pad, eos);
    assert_eq!(score_pad(&files, tokenizer.pad).unwrap(), None);
    let (long, short) = (sequence(&[11, 12, 13, 14, eos]), sequence(&[11, 12, 13, 14]));
    let shorter = sequence(&[21, 22, eos]);
    let at_end = scores(&folder, &[long.clone(), shorter.clone()], None);
    let before = scores(&folder, &[long.clone(), shorter], Some(eos));
    let without = scores(&folder, &[short], None);
    assert_close(&before[..1], &without, 1e-5, "EOS as padding is skipped");
    assert!((at_end[0] - before[0]).abs() > 1e-3, "{at_end:?} {before:?}");
    assert!((at_end[1] - before[1]).abs() > 1e-3, "{at_end:?} {before:?}");

    let other = tempfile::tempdir().unwrap();
    let folder = reward_model(other.path(), Some(14), None);
    let files = ModelFiles::folder(&folder).unwrap();
    assert_eq!(score_pad(&files, tokenizer.pad).unwrap(), Some(14));
    // A model without a head of its own is read by its tokenizer.
    let headless = find_model("builtin:weak").unwrap();
    assert!(!is_reward_model(&headless).unwrap());
    assert_eq!(score_pad(&headless, 7).unwrap(), Some(7));
}

#[test]
fn a_classifier_with_several_labels_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let folder = reward_model(place.path(), None, None);
    let weights = std::fs::read(folder.join("model.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&weights).unwrap();
    let width = tensors.tensor("score.weight").unwrap().shape()[1];
    let three = vec![0u8; 3 * width * 4];
    let changed: Vec<_> = tensors
        .tensors()
        .into_iter()
        .map(|(name, view)| {
            let three = safetensors::tensor::TensorView::new(view.dtype(), vec![3, width], &three);
            if name == "score.weight" { (name, three.unwrap()) } else { (name, view) }
        })
        .collect();
    let bytes = safetensors::serialize(changed, None).unwrap();
    std::fs::write(folder.join("model.safetensors"), bytes).unwrap();
    let files = ModelFiles::folder(&folder).unwrap();
    for words in [
        load(&files, &Device::flex()).unwrap_err().to_string(),
        is_reward_model(&files).unwrap_err().to_string(),
    ] {
        assert!(words.contains("with 3 labels") && words.contains("num_labels = 1"), "{words}");
    }
}

fn data(folder: &Path) -> PathBuf {
    let pair = |i: usize| {
        json!({
            "prompt": [{"role": "user", "content": format!("What is number {i}?")}],
            "chosen": [{"role": "assistant", "content": format!("It is {i}.")}],
            "rejected": [{"role": "assistant", "content": format!("I say {i} {i} {i}.")}],
        })
    };
    let lines: Vec<String> = (0..40).map(|i| pair(i).to_string()).collect();
    let path = folder.join("talk.jsonl");
    std::fs::write(&path, lines.join("\n")).unwrap();
    path
}

fn run(folder: &Path, settings: &str) -> Result<Report, RunError> {
    let text = format!(
        "device = 'cpu'\nname = 'reward'\n\
         data = {{ files = ['{}'], labelled = 0.4, held_out = 0.3 }}\n\
         sft = {{ steps = 1, batch_size = 4, accumulate = 1 }}\n\
         policy = {{ model = 'builtin:strong', steps = 1, batch_size = 4, accumulate = 1 }}\n{settings}",
        data(folder).display(),
    );
    let recipe = Recipe::parse(&text, Path::new("reward.toml"), &[]).unwrap();
    let job = Job::Fresh { recipe: Box::new(recipe), folder: folder.join("run"), download: false };
    execute(job, Control::default(), &mut |_| {})
}

#[test]
fn a_reward_model_labels_as_it_is_and_judges_samples() {
    let place = tempfile::tempdir().unwrap();
    let folder = reward_model(place.path(), Some(0), Some(TEMPLATE));
    let name = folder.display();
    let settings = format!(
        "annotator = {{ model = '{name}', epochs = 0 }}\n\
         evaluate = {{ gold = '{name}', samples = 6, max_new_tokens = 8 }}"
    );
    let report = run(place.path(), &settings).unwrap();
    assert!(!place.path().join("run/annotator").exists(), "nothing was trained");
    assert_eq!(report.annotator.steps, 0);
    assert!(report.prompts["annotator"].style.contains("chat_template.jinja"));
    assert!(report.prompts["gold"].prompt.starts_with("<user>What is number"));

    // Scores of the annotations are those of the model, read where its config.json says.
    let files = ModelFiles::folder(&folder).unwrap();
    let encoder = Encoder::load(&files, &Chat::default()).unwrap();
    let annotated = read_annotations(&place.path().join("run/annotations.parquet")).unwrap();
    let pool = confide::data::read_files(
        &[place.path().join("talk.jsonl")],
        &confide::data::ReadSettings::default(),
    )
    .unwrap();
    let first = &annotated[0];
    let pair = pool.pairs.iter().find(|p| p.responses == first.responses).unwrap();
    let sides = [0, 1].map(|k| encoder.sequence(&pair.prompt, &pair.responses[k]).unwrap());
    let wanted = scores(&folder, &sides, Some(0));
    assert_close(&first.scores.map(f64::from), &wanted, 1e-4, "scores");

    let gold = report.gold.unwrap();
    assert_eq!((gold.prompts, gold.model.as_str()), (6, folder.to_str().unwrap()));
    assert!((0.0..=1.0).contains(&gold.win_rate) && gold.accuracy.is_some());
    assert!(
        gold.win_rate_interval[0] <= gold.win_rate && gold.win_rate <= gold.win_rate_interval[1]
    );
    // The shown samples carry the rewards that the model gives them.
    let sample = &gold.samples[0];
    let asked = pool.pairs.iter().find(|p| p.prompt.display() == sample.prompt).unwrap();
    let sides = [&sample.before, &sample.after]
        .map(|(text, _)| encoder.sequence(&asked.prompt, text).unwrap());
    let wanted = scores(&folder, &sides, Some(0));
    assert_close(&[sample.before.1, sample.after.1], &wanted, 1e-4, "gold rewards");
}

#[test]
fn what_cannot_score_is_refused_before_any_training() {
    let place = tempfile::tempdir().unwrap();
    let settings = "annotator = { kind = 'human' }\nevaluate = { gold = 'builtin:strong' }";
    let words = run(place.path(), settings).unwrap_err().to_string();
    assert!(words.contains("evaluate.gold = \"builtin:strong\" is no reward model"), "{words}");
    assert!(!place.path().join("run/policy").exists());

    let place = tempfile::tempdir().unwrap();
    let words =
        run(place.path(), "annotator = { model = 'builtin:weak', epochs = 0 }").unwrap_err();
    let words = words.to_string();
    assert!(words.contains("is no reward model") && words.contains("annotator.epochs"), "{words}");
}

/// The JSON that a script prints, where there is a Python with transformers.
fn python(script: &str, arguments: &[&str]) -> Option<Value> {
    let mut command = crate::common::python()?;
    let text = crate::common::printed(command.args(["-c", script]).args(arguments));
    Some(serde_json::from_str(&text).unwrap())
}

/// Scores of conversations (prompt, response) by transformers, one at a time.
const SCRIPT: &str = "
import json, sys, torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
folder, talks = sys.argv[1], json.load(open(sys.argv[2]))
tok = AutoTokenizer.from_pretrained(folder)
model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
scores = []
for prompt, response in talks:
    messages = [{'role': 'user', 'content': prompt}, {'role': 'assistant', 'content': response}]
    ids = tok.apply_chat_template(messages, return_dict=True)['input_ids']
    with torch.no_grad():
        scores.append(model(input_ids=torch.tensor([ids])).logits[0, 0].item())
print(json.dumps({'scores': scores, 'labels': model.config.num_labels, 'pad': model.config.pad_token_id}))
";

#[test]
fn the_exported_annotator_scores_alike_in_transformers() {
    for (pad, trained) in [(None, false), (Some(0), true), (Some(5), true)] {
        let place = tempfile::tempdir().unwrap();
        let template = place.path().join("own.jinja");
        std::fs::write(&template, TEMPLATE).unwrap();
        let model = if trained {
            reward_model(place.path(), pad, None).display().to_string()
        } else {
            // A fresh head on a language model.
            "builtin:weak".to_owned()
        };
        let settings = format!(
            "annotator = {{ model = '{model}', steps = 2, batch_size = 4, learning_rate = 1e-3 }}"
        );
        let text = format!(
            "device = 'cpu'\ndata = {{ files = ['{}'], labelled = 0.4, held_out = 0.3, chat_template = '{}' }}\n\
             policy = {{ model = 'builtin:strong', epochs = 0 }}\n{settings}",
            data(place.path()).display(),
            template.display(),
        );
        let recipe = Recipe::parse(&text, Path::new("reward.toml"), &[]).unwrap();
        let folder = place.path().join("run");
        let job = Job::Fresh { recipe: Box::new(recipe), folder: folder.clone(), download: false };
        execute(job, Control::default(), &mut |_| {}).unwrap();

        let annotated = read_annotations(&folder.join("annotations.parquet")).unwrap();
        let pool = confide::data::read_files(
            &[place.path().join("talk.jsonl")],
            &confide::data::ReadSettings::default(),
        )
        .unwrap();
        let (mut talks, mut wanted) = (Vec::new(), Vec::new());
        for pair in &annotated {
            let source = pool.pairs.iter().find(|p| p.responses == pair.responses).unwrap();
            let confide::data::Prompt::Messages(messages) = &source.prompt else { unreachable!() };
            for (response, score) in pair.responses.iter().zip(pair.scores) {
                talks.push(json!([messages[0].content, response]));
                wanted.push(f64::from(score));
            }
        }
        let file = place.path().join("talks.json");
        std::fs::write(&file, json!(talks).to_string()).unwrap();
        let annotator = folder.join("annotator");
        let arguments = [annotator.to_str().unwrap(), file.to_str().unwrap()];
        let Some(found) = python(SCRIPT, &arguments) else { return };
        assert_eq!(found["labels"], 1);
        let what = format!("pad {pad:?}, trained {trained}");
        assert_close(&numbers(&found["scores"]), &wanted, 1e-4, &what);
        eprintln!("{what}: {} scores agree, pad_token_id {}", wanted.len(), found["pad"]);
    }
}
