//! Step-by-step agreement with TRL on real pairs and a real pretrained model.
//!
//! Reads `../shared`; the traces in `tests/fixtures/trl` were made from the same files.

use std::io::Read;
use std::path::{Path, PathBuf};

use confide::run::{Control, Event, Job, Recipe, Stage, execute};
use serde_json::{Value, json};

use crate::common::{assert_close, fixture, ids, numbers, shared};

/// Agreement asked for: 1e-3 · max(1, |value|).
const TOLERANCE: f64 = 1e-3;

/// Agreement with trainers that tokenise in their own way.
const OTHERS: f64 = 3e-3;

fn run(text: &str, out: &Path) -> Vec<(Stage, confide::run::Metrics)> {
    let recipe = Recipe::parse(text, Path::new("trl.toml"), &[]).unwrap();
    let mut steps = Vec::new();
    let job = Job::Fresh { recipe: Box::new(recipe), folder: out.to_owned(), download: false };
    let outcome = execute(job, Control::default(), &mut |event| {
        if let Event::Step { stage, metrics, .. } = event {
            steps.push((stage, metrics));
        }
    });
    outcome.unwrap();
    steps
}

fn compare(
    steps: &[(Stage, confide::run::Metrics)],
    stage: Stage,
    trace: &Value,
    names: &[&str],
    tolerance: f64,
) {
    let wanted = trace["steps"].as_array().unwrap();
    assert!(steps.len() >= 5 && steps.len() <= wanted.len(), "{} steps", steps.len());
    for (i, ((found_in, metrics), wanted)) in steps.iter().zip(wanted).enumerate() {
        assert_eq!(*found_in, stage);
        for name in names {
            let (found, wanted) = (metrics.get(name).unwrap(), wanted[*name].as_f64().unwrap());
            assert_close(&[found], &[wanted], tolerance, &format!("step {} {name}", i + 1));
        }
    }
}

fn policy_trace(name: &str, settings: &str) {
    let Some(model) = shared("data/models/stories260K-hf") else { return };
    policy_trace_from(&model, name, settings, &REWARDS, |_, _| ());
}

/// What an objective that is compared with a reference tells of a step.
const REWARDS: [&str; 9] = [
    "loss",
    "grad_norm",
    "rewards/chosen",
    "rewards/rejected",
    "rewards/margins",
    "rewards/accuracies",
    "logps/chosen",
    "logps/rejected",
    "num_tokens",
];

/// `look` is given the trace and the run's folder.
fn policy_trace_from(
    model: &Path,
    name: &str,
    settings: &str,
    names: &[&str],
    look: impl FnOnce(&Value, &Path),
) {
    let Some(pairs) = shared("data/hh-harmless-base/test.jsonl.gz") else { return };
    let trace = fixture(&format!("trl/{name}.json"));
    let out = tempfile::tempdir().unwrap();
    let pairs = match trace["settings"].get("weights") {
        Some(_) => weighted(&pairs, out.path()),
        None => pairs,
    };
    let own = matches!(trace["settings"]["task"].as_str(), Some("cpo" | "orpo"));
    let tolerance = if own { OTHERS } else { TOLERANCE };
    let wanted = trace["steps"].as_array().unwrap().len();
    let text = format!(
        "device = 'cpu'\ndata = {{ files = ['{}'], labelled = 1.0, held_out = 0.0, shuffle = false, limit = {} }}\n\
         annotator = {{ kind = 'human' }}\nsft = {{ epochs = 0 }}\n\
         [policy]\nmodel = '{}'\nsteps = {wanted}\nlearning_rate = {:?}\nbatch_size = 4\naccumulate = 1\n\
         schedule = 'constant'\nwarmup_steps = 0\nweight_decay = 0.0\nmax_grad_norm = 0.0\n{settings}",
        pairs.display(),
        trace["settings"]["limit"],
        model.display(),
        trace["settings"]["lr"].as_f64().unwrap(),
    );
    let steps = run(&text, out.path().join("run").as_path());
    assert_eq!(steps.len(), wanted);
    compare(&steps, Stage::POLICY, &trace, names, tolerance);
    look(&trace, &out.path().join("run"));
}

/// The pairs with a weight each, which follows from the place among those whose replies are not blank, as in the
/// script that made the traces.
fn weighted(pairs: &Path, folder: &Path) -> PathBuf {
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(pairs).unwrap())
        .read_to_string(&mut text)
        .unwrap();
    let reply = |row: &Value, side: &str| {
        let text = row[side].as_str().unwrap();
        text.rsplit("\n\nAssistant:").next().unwrap_or_default().trim().to_owned()
    };
    let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let rows =
        rows.filter(|row| ["chosen", "rejected"].iter().all(|side| !reply(row, side).is_empty()));
    let weigh = |(i, mut row): (usize, Value)| {
        row["weight"] = ((i * 7 % 11) as f64 / 10.0).into();
        row.to_string() + "\n"
    };
    let path = folder.join("weighted.jsonl");
    std::fs::write(&path, rows.take(60).enumerate().map(weigh).collect::<String>()).unwrap();
    path
}

#[test]
fn dpo_follows_trl_for_20_steps() {
    policy_trace("dpo_sigmoid_beta0.1", "beta = 0.1");
}

/// Every other loss of its trainer, over some steps.
#[test]
fn all_losses_follow_trl() {
    for (name, settings) in [
        ("hinge", "beta = 0.1"),
        ("sigmoid_norm", "beta = 2.0"),
        ("exo_pair", "beta = 0.1\nexo_smoothing = 0.001"),
        ("nca_pair", "beta = 0.1"),
        ("bco_pair", "beta = 0.1"),
        ("sppo_hard", "beta = 0.1"),
        ("aot", "beta = 0.1"),
        ("aot_unpaired", "beta = 0.1"),
        ("apo_zero", "beta = 0.1"),
        ("apo_down", "beta = 0.1"),
        ("discopop", "beta = 0.05"),
    ] {
        policy_trace(&format!("dpo_{name}"), &format!("{settings}\nobjective = '{name}'"));
    }
}

/// What changes a loss: tokens beyond the shorter response, the policy's own weights, several losses, a reference
/// that moves.
#[test]
fn what_changes_a_loss_follows_trl() {
    for (name, settings) in [
        ("ld", "ld_alpha = 0.5"),
        ("wpo", "use_weighting = true"),
        ("ld_wpo", "objective = 'ipo'\nld_alpha = 0.25\nuse_weighting = true"),
        ("mixture", "loss_type = ['sigmoid', 'sft']\nloss_weights = [1.0, 0.5]"),
        ("sync", "ref_model_sync_steps = 2\nref_model_mixup_alpha = 0.6"),
    ] {
        policy_trace(&format!("dpo_{name}"), &format!("beta = 0.1\n{settings}"));
    }
}

/// Each pair's loss multiplied by a weight of its own. Some weigh nothing: TRL's rewards are means over them too,
/// these over pairs that count.
#[test]
fn weighted_losses_follow_trl() {
    let Some(model) = shared("data/models/stories260K-hf") else { return };
    for (name, settings) in [
        ("sigmoid", "beta = 0.1"),
        ("ipo", "beta = 0.1"),
        ("robust", "beta = 0.1\nlabel_noise = 0.1"),
        ("hinge", "beta = 0.1"),
        ("sigmoid_norm", "beta = 2.0"),
        ("exo_pair", "beta = 0.1\nexo_smoothing = 0.001"),
        ("nca_pair", "beta = 0.1"),
        ("bco_pair", "beta = 0.1"),
        ("sppo_hard", "beta = 0.1"),
        ("apo_zero", "beta = 0.1"),
        ("apo_down", "beta = 0.1"),
        ("discopop", "beta = 0.05"),
    ] {
        let settings = format!("{settings}\nobjective = '{name}'");
        let name = format!("weighted_{name}");
        policy_trace_from(&model, &name, &settings, &["loss", "grad_norm"], |_, _| ());
    }
}

/// The losses of its other trainers, which cut long responses where its DPO trainer drops the pair, and whose means
/// are those of batches padded to their own lengths. Rewards of ORPO are means over tokens.
#[test]
fn losses_without_a_reference_follow_trl() {
    let Some(model) = shared("data/models/stories260K-hf") else { return };
    let names = [
        "loss",
        "grad_norm",
        "rewards/chosen",
        "rewards/rejected",
        "rewards/margins",
        "rewards/accuracies",
    ];
    for (name, settings) in [
        ("cpo", "objective = 'cpo'\nbeta = 0.1"),
        ("cpo_simpo", "objective = 'simpo'\nbeta = 2.0\nsimpo_gamma = 0.5"),
        (
            "cpo_alphapo",
            "objective = 'alphapo'\nbeta = 2.0\nsimpo_gamma = 0.5\nalphapo_alpha = 0.25",
        ),
        ("orpo", "objective = 'orpo'\nbeta = 0.1"),
    ] {
        policy_trace_from(&model, name, settings, &names, |_, _| ());
    }
}

/// Its loss looks at no reference, and none is computed for it: rewards are no log-ratios here.
#[test]
fn sft_follows_trl() {
    let Some(model) = shared("data/models/stories260K-hf") else { return };
    let names = ["loss", "grad_norm", "logps/chosen", "logps/rejected", "num_tokens"];
    policy_trace_from(&model, "dpo_sft", "beta = 0.1\nobjective = 'sft'", &names, |_, _| ());
}

#[test]
fn divergences_follow_trl() {
    for name in ["forward_kl", "js_divergence", "alpha_divergence"] {
        policy_trace(&format!("dpo_{name}"), &format!("beta = 0.1\nf_divergence_type = '{name}'"));
    }
}

#[test]
fn ipo_follows_trl_for_20_steps() {
    policy_trace("dpo_ipo_beta0.1", "beta = 0.1\nobjective = 'ipo'");
}

#[test]
fn rdpo_follows_trl_for_20_steps() {
    policy_trace("dpo_robust_beta0.1", "beta = 0.1\nobjective = 'rdpo'\nlabel_noise = 0.1");
}

/// What the adapter has become after the last step.
fn compare_adapters(trace: &Value, run: &Path) {
    let path = run.join("policy/adapter_model.safetensors");
    let found = confide::model::load_named(&path).unwrap();
    let wanted = trace["final"].as_object().unwrap();
    assert!(found.keys().eq(wanted.keys()), "{:?}", found.keys());
    for (name, tensor) in found {
        let norm = tensor.values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        let wanted = wanted[&name][1].as_f64().unwrap();
        assert!((norm - wanted).abs() <= TOLERANCE * wanted, "{name}: {norm}, not {wanted}");
    }
}

#[test]
fn dpo_of_an_adapter_follows_trl_for_20_steps() {
    // Its base is in `../shared`, seen from the repository.
    if shared("data/models/stories260K-hf").is_none() {
        return;
    }
    let adapter = crate::common::repository("tests/fixtures/trl/dpo_lora");
    let settings = "beta = 0.1\nrecompute = 'always'";
    policy_trace_from(&adapter, "dpo_lora", settings, &REWARDS, compare_adapters);
}

/// The pretrained model with the scalar head of the trace.
fn with_head(model: &Path, trace: &Value, folder: &Path) {
    use confide::model::{ModelFiles, Storage, load, save};
    let files = ModelFiles::folder(model).unwrap();
    let mut checkpoint = load(&files, &burn::tensor::Device::flex()).unwrap();
    let weights: Vec<f32> = numbers(&trace["score_weight"]).into_iter().map(|v| v as f32).collect();
    let weight =
        burn::tensor::Tensor::<1>::from_floats(weights.as_slice(), &burn::tensor::Device::flex());
    checkpoint.decoder = checkpoint.decoder.with_score(weight.reshape([weights.len(), 1]));
    save(folder, &checkpoint, None, Storage::F32).unwrap();
    std::fs::write(
        folder.join("tokenizer.json"),
        std::fs::read(model.join("tokenizer.json")).unwrap(),
    )
    .unwrap();
    let text = std::fs::read_to_string(model.join("tokenizer_config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    config["pad_token"] = trace["tokenizer"]["pad"]["token"].clone();
    std::fs::write(folder.join("tokenizer_config.json"), config.to_string()).unwrap();
}

fn annotator_trace(name: &str, wanted_steps: u64) {
    let Some(pairs) = shared("data/hh-harmless-base/test.jsonl.gz") else { return };
    annotator_trace_on(&pairs, name, wanted_steps, "");
}

fn annotator_trace_on(pairs: &Path, name: &str, wanted_steps: u64, settings: &str) {
    let Some(model) = shared("data/models/stories260K-hf") else { return };
    let trace = fixture(&format!("trl/{name}.json"));
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().join("model");
    std::fs::create_dir(&folder).unwrap();
    with_head(&model, &trace, &folder);
    let text = format!(
        "device = 'cpu'\ndata = {{ files = ['{}'], labelled = 1.0, held_out = 0.0, shuffle = false, limit = {} }}\n\
         policy = {{ model = '{}' }}\n\
         [annotator]\nmodel = '{}'\nsteps = {wanted_steps}\nlearning_rate = 2e-4\nbatch_size = 4\naccumulate = 1\n\
         schedule = 'constant'\nwarmup_steps = 0\nweight_decay = 0.0\nmax_grad_norm = 0.0\n{settings}",
        pairs.display(),
        trace["settings"]["limit"],
        model.display(),
        folder.display(),
    );
    let steps = run(&text, out.path().join("run").as_path());
    assert_eq!(steps.len() as u64, wanted_steps);
    compare(
        &steps,
        Stage::ANNOTATOR,
        &trace,
        &["loss", "margin", "accuracy", "grad_norm", "num_tokens"],
        TOLERANCE,
    );
}

#[test]
fn the_annotator_follows_trl_for_20_steps() {
    annotator_trace("reward", 20);
}

#[test]
fn the_annotator_reads_its_score_at_eos_where_padding_differs_from_it() {
    annotator_trace("reward_pad_unk", 6);
}

/// Scores that are held near 0, and exceed each other by a margin of each pair.
#[test]
fn the_annotator_centres_scores_and_learns_margins_as_trl_does() {
    let Some(pairs) = shared("data/hh-harmless-base/test.jsonl.gz") else { return };
    let reading = confide::data::ReadSettings::default();
    let pool = confide::data::read_files(&[pairs], &reading).unwrap();
    // The margins of `make_trl_traces.py`.
    let row = |pair: &confide::data::Pair| {
        let confide::data::Prompt::Text(prompt) = &pair.prompt else { unreachable!() };
        let [chosen, rejected] = &pair.responses;
        let margin = ((prompt.len() + chosen.len()) % 4 + 1) as f64 / 4.0;
        json!({"prompt": prompt, "chosen": chosen, "rejected": rejected, "margin": margin})
    };
    let rows: Vec<String> = pool.pairs.iter().map(|pair| row(pair).to_string()).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("margins.jsonl");
    std::fs::write(&path, rows.join("\n")).unwrap();
    let settings = "margin = 1\ncenter_rewards_coefficient = 0.05\n";
    annotator_trace_on(&path, "reward_margin", 10, settings);
}

#[test]
fn pairs_become_the_tokens_that_trl_trains_on() {
    use confide::text::{Encoder, Tokenizer, encode_pairs};
    let (Some(model), Some(pairs)) =
        (shared("data/models/stories260K-hf"), shared("data/hh-harmless-base/test.jsonl.gz"))
    else {
        return;
    };
    let trace = fixture("trl/dpo_sigmoid_beta0.1.json");
    let files = confide::model::ModelFiles::folder(&model).unwrap();
    let tokenizer = Tokenizer::load(&files).unwrap();
    let pool =
        confide::data::read_files(&[pairs], &confide::data::ReadSettings::default()).unwrap();
    let kept = ids(&trace["kept"]);
    let indexes: Vec<usize> = kept.iter().map(|i| *i as usize).collect();
    let encoded = encode_pairs(&Encoder::plain(tokenizer), &pool.pairs, &indexes).unwrap().pairs;
    for (pair, lengths) in encoded.iter().zip(trace["lengths"].as_array().unwrap()) {
        let found = [
            pair.sides[0].prompt.len(),
            pair.sides[0].response.len(),
            pair.sides[1].response.len(),
        ];
        assert_eq!(found.map(|n| n as u32).to_vec(), ids(lengths));
    }
    for (pair, wanted) in encoded.iter().zip(trace["first_ids"].as_array().unwrap()) {
        assert_eq!(pair.sides[0].prompt.to_vec(), ids(&wanted["prompt"]));
        assert_eq!(pair.sides[0].response, ids(&wanted["chosen"]));
        assert_eq!(pair.sides[1].response, ids(&wanted["rejected"]));
    }
}
