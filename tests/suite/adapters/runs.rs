//! Whole runs with adapters: traces, resuming, what they leave.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use confide::model::load_named;
use confide::run::{Control, Event, Job, Metrics, Recipe, RunError, Stage, execute};
use serde_json::Value;

use super::peft_out::against_peft;
use super::python;
use super::shared::*;
use crate::common::{events, program, shared, trace};

const SETTINGS: &[&str] = &[
    "checkpoint_seconds=0",
    "data.limit=120",
    "data.max_length=96",
    "annotator.epochs=1",
    "annotator.batch_size=8",
    "annotator.learning_rate=3e-3",
    "annotator.precision=f16",
    "annotator.lora.rank=4",
    "annotator.lora.dropout=0.1",
    "annotator.lora.targets=all-linear",
    "sft.batch_size=16",
    "sft.epochs=0.5",
    "policy.batch_size=4",
    "policy.accumulate=2",
    "policy.epochs=1",
    "policy.learning_rate=2e-3",
    "policy.precision=int8",
    "policy.lora.rank=4",
    "policy.lora.rslora=true",
    "policy.lora.merge=true",
    "confidence.threshold=0.01",
    "evaluate.samples=6",
    "evaluate.max_new_tokens=24",
];

fn confide(arguments: &[&str]) -> Command {
    let mut command = program();
    command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn demo(out: &Path, more: &[&str]) -> Command {
    let mut command = confide(&["demo", "--out", out.to_str().unwrap(), "--device", "cpu"]);
    for set in SETTINGS.iter().chain(more) {
        command.args(["--set", set]);
    }
    command
}

fn report(out: &Path) -> Value {
    let text = std::fs::read_to_string(out.join("report.json")).unwrap();
    let mut report: Value = serde_json::from_str(&text).unwrap();
    report.as_object_mut().unwrap().remove("seconds");
    report
}

fn kill_at_step(mut command: Command, out: &Path, stage: &str, step: u64) {
    let mut child = command.spawn().unwrap();
    let begun = Instant::now();
    let reached = |e: &Value| e["event"] == "step" && e["stage"] == stage && e["step"] == step;
    while !events(out).iter().any(reached) {
        assert!(begun.elapsed() < Duration::from_secs(180), "{stage} {step} never came");
        assert!(child.try_wait().unwrap().is_none(), "the run ended before {stage} {step}");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

fn files_of(out: &Path, folder: &str) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(out.join(folder))
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|e| (e.file_name().into_string().unwrap(), std::fs::read(e.path()).unwrap()))
        .collect();
    files.sort();
    files
}

fn names(files: &[(String, Vec<u8>)]) -> Vec<&str> {
    files.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn a_run_with_adapters_is_resumed_as_if_nothing_had_happened_and_leaves_adapters() {
    let folder = tempfile::tempdir().unwrap();
    let (calm, killed) = (folder.path().join("calm"), folder.path().join("killed"));
    assert!(demo(&calm, &[]).status().unwrap().success());
    let wanted = trace(&calm);
    assert!(wanted.len() > 15, "{} steps", wanted.len());

    let path = killed.to_str().unwrap();
    kill_at_step(demo(&killed, &[]), &killed, "annotator", 2);
    kill_at_step(confide(&["resume", path]), &killed, "sft", 1);
    kill_at_step(confide(&["resume", path]), &killed, "policy", 3);
    assert!(confide(&["resume", path]).status().unwrap().success());
    assert_eq!(trace(&killed), wanted);
    assert_eq!(report(&killed), report(&calm));
    for part in ["annotator", "policy", "policy-merged"] {
        let (found, wanted) = (files_of(&killed, part), files_of(&calm, part));
        assert_eq!(names(&found), names(&wanted), "{part}");
        assert!(found == wanted, "{part}");
    }
    the_exports_are_complete(&calm);
    generate_continues(&calm);
}

fn the_exports_are_complete(out: &Path) {
    let adapter = ["adapter_config.json", "adapter_model.safetensors"];
    for (part, has, lacks) in [
        ("annotator", &adapter[..], &["model.safetensors", "config.json"][..]),
        ("policy", &adapter[..], &["model.safetensors", "config.json"][..]),
        ("policy-merged", &["model.safetensors", "config.json"][..], &adapter[..]),
    ] {
        let files = files_of(out, part);
        let names = names(&files);
        for name in has.iter().chain(&["tokenizer.json", "tokenizer_config.json"]) {
            assert!(names.contains(name), "{part} lacks {name}: {names:?}");
        }
        assert!(!lacks.iter().any(|name| names.contains(name)), "{part}: {names:?}");
    }
    assert!(!out.join("annotator-merged").exists());
    let annotator = config_of(&out.join("annotator"));
    assert_eq!(annotator["task_type"], "SEQ_CLS");
    assert_eq!(annotator["base_model_name_or_path"], "builtin:weak");
    let policy = config_of(&out.join("policy"));
    assert_eq!((&policy["task_type"], &policy["r"]), (&"CAUSAL_LM".into(), &4.into()));
    let tensors = load_named(&out.join("policy/adapter_model.safetensors")).unwrap();
    assert!(tensors.values().all(|t| t.values.iter().any(|v| *v != 0.0)), "B was not trained");
    // The adapter on int8 weights, and those weights with the adapter in them.
    let precision = confide::model::Precision::Int8;
    let narrow = open_as(&out.join("policy"), precision).decoder;
    let merged = open(&out.join("policy-merged")).decoder;
    let found = outputs(&merged, &batch());
    crate::common::assert_close(&found, &outputs(&narrow, &batch()), 1e-4, "merged");
}

fn generate_continues(out: &Path) {
    let generate = |model: &Path| {
        let model = model.to_str().unwrap();
        let prompt = "\n\nHuman: How do I cook rice?\n\nAssistant:";
        let mut command =
            confide(&["generate", model, "--prompt", prompt, "--json", "--device", "cpu"]);
        command.args(["--temperature", "0", "--max-new-tokens", "12"]);
        let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            found["tokens"].as_array().unwrap().len(),
            found["logprobs"].as_array().unwrap().len()
        );
        found
    };
    for part in ["policy", "policy-merged"] {
        let found = generate(&out.join(part));
        assert!(!found["text"].as_str().unwrap().is_empty(), "{part}");
    }
}

/// A run of DPO with human labels on real pairs; its folder and steps.
fn real_run(out: &Path, policy: &str) -> Option<(PathBuf, Vec<Metrics>)> {
    let folder = out.join("run");
    let job = Job::Fresh {
        recipe: Box::new(real_recipe(policy)?),
        folder: folder.clone(),
        download: false,
    };
    Some((folder, sit(job, u64::MAX).unwrap()))
}

/// Work on a run until it ends, or is stopped after a step of the policy's; its steps.
fn sit(job: Job, last: u64) -> Result<Vec<Metrics>, RunError> {
    let control = Control::default();
    let stop = control.clone();
    let mut steps = Vec::new();
    let outcome = execute(job, control, &mut |event| {
        if let Event::Step { stage: Stage::POLICY, step, mut metrics } = event {
            metrics.0.remove("tokens_per_second");
            steps.push(metrics);
            if step == last {
                stop.stop();
            }
        }
    });
    match outcome {
        Ok(_) => Ok(steps),
        Err(RunError::Stopped) if last < u64::MAX => Ok(steps),
        Err(error) => Err(error),
    }
}

fn real_recipe(policy: &str) -> Option<Recipe> {
    let model = shared("data/models/stories260K-hf")?;
    let pairs = shared("data/hh-harmless-base/test.jsonl.gz")?;
    let text = format!(
        "device = 'cpu'\ndata = {{ files = ['{}'], labelled = 1.0, held_out = 0.1, limit = 24, max_length = 160, max_lost = 1 }}\n\
         annotator = {{ kind = 'human' }}\nsft = {{ epochs = 0 }}\n\
         [policy]\nmodel = '{}'\nsteps = 4\nlearning_rate = 5e-3\nbatch_size = 4\naccumulate = 1\nbeta = 0.1\n\
         schedule = 'constant'\n{policy}",
        pairs.display(),
        model.display(),
    );
    let recipe = Recipe::parse(&text, Path::new("lora.toml"), &[]).unwrap();
    recipe.check("lora.toml").unwrap();
    Some(recipe)
}

#[test]
fn a_stopped_run_goes_on_with_what_it_would_have_dropped() {
    let _alone = alone();
    let out = tempfile::tempdir().unwrap();
    let policy = "precision = 'int4'\nmicro_batch = 2\ndisable_dropout = false\n[policy.lora]\nrank = 3\ndropout = 0.2\n";
    let Some((calm, wanted)) = real_run(&out.path().join("calm"), policy) else { return };
    let folder = out.path().join("stopped");
    let job = Job::Fresh {
        recipe: Box::new(real_recipe(policy).unwrap()),
        folder: folder.clone(),
        download: false,
    };
    let mut steps = sit(job, 2).unwrap();
    assert_eq!(steps.len(), 2);
    let resumed = Job::Resume { folder: folder.clone(), device: None };
    steps.extend(sit(resumed, u64::MAX).unwrap());
    assert_eq!(steps, wanted);
    // It did drop, which alignment does not by itself.
    let policy = policy.replace("disable_dropout = false", "disable_dropout = true");
    let (_, otherwise) = real_run(&out.path().join("whole"), &policy).unwrap();
    assert_ne!(otherwise, wanted);
    assert_eq!(files_of(&folder, "policy"), files_of(&calm, "policy"));
}

#[test]
fn rewards_begin_at_exactly_zero() {
    for (precision, recompute) in [("f32", "always"), ("int8", "never"), ("bf16", "always")] {
        let out = tempfile::tempdir().unwrap();
        let policy = format!(
            "precision = '{precision}'\nrecompute = '{recompute}'\n[policy.lora]\nrank = 4\ndropout = 0.0\n"
        );
        let Some((_, steps)) = real_run(out.path(), &policy) else { return };
        for key in ["rewards/chosen", "rewards/rejected", "rewards/margins"] {
            assert_eq!(steps[0].get(key), Some(0.0), "{precision} {key}");
        }
        let loss = steps[0].get("loss").unwrap();
        assert!((loss - std::f64::consts::LN_2).abs() < 1e-6, "{precision}: {loss}");
        assert!(steps[3].get("loss").unwrap() < loss, "{precision} does not learn");
    }
}

#[test]
fn peft_opens_the_policy_of_a_run_by_itself() {
    let _alone = alone();
    let out = tempfile::tempdir().unwrap();
    let lora = "[policy.lora]\nrank = 4\ntargets = ['all-linear']\nmerge = true\n";
    let Some((run, _)) = real_run(out.path(), lora) else { return };
    let policy = run.join("policy");
    let base = config_of(&policy)["base_model_name_or_path"].as_str().unwrap().to_owned();
    assert!(Path::new(&base).is_absolute() && Path::new(&base).join("config.json").is_file());
    // Into memory of our own: `shared` holds it read-only.
    let decoder = open(&policy).decoder;
    let Some(error) = against_peft(Path::new(&base), &policy, &decoder) else { return };
    eprintln!("largest difference of the run's policy {error:e}");
    assert!(error <= 1e-4, "{error:e}");
    let script = "import sys, torch\n\
        from peft import AutoPeftModelForCausalLM\n\
        from transformers import AutoModelForCausalLM, AutoTokenizer\n\
        ids = torch.tensor([[5, 9, 11, 3]])\n\
        adapted = AutoPeftModelForCausalLM.from_pretrained(sys.argv[1])(ids).logits\n\
        merged = AutoModelForCausalLM.from_pretrained(sys.argv[2])(ids).logits\n\
        tokens = [AutoTokenizer.from_pretrained(f)('a story').input_ids for f in sys.argv[1:3]]\n\
        print((adapted - merged).abs().max().item(), tokens[0] == tokens[1] != [])";
    let merged = run.join("policy-merged");
    let words = python::run(&["-c", script, policy.to_str().unwrap(), merged.to_str().unwrap()]);
    let (error, tokens) = words.split_once(' ').unwrap();
    assert!(error.parse::<f64>().unwrap() <= 1e-4 && tokens == "True", "{words}");
}

/// A cache of the hub's with one model in it: `org/tiny`, at this commit.
fn cache_with_a_model(folder: &Path) -> Option<String> {
    let model = shared("data/models/stories260K-hf")?;
    let commit = "0123456789abcdef0123456789abcdef01234567".to_owned();
    let place = folder.join("models--org--tiny");
    let snapshot = place.join("snapshots").join(&commit);
    std::fs::create_dir_all(&snapshot).unwrap();
    std::fs::create_dir_all(place.join("refs")).unwrap();
    std::fs::write(place.join("refs/main"), &commit).unwrap();
    for entry in std::fs::read_dir(model).unwrap().map(|e| e.unwrap()) {
        std::fs::write(snapshot.join(entry.file_name()), std::fs::read(entry.path()).unwrap())
            .unwrap();
    }
    Some(commit)
}

#[test]
fn an_adapter_of_a_model_on_the_hub_names_it_as_peft_does() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("hub");
    let Some(pairs) = shared("data/hh-harmless-base/test.jsonl.gz") else { return };
    let Some(commit) = cache_with_a_model(&cache) else { return };
    let recipe = folder.path().join("recipe.toml");
    let text = format!(
        "device = 'cpu'\ndata = {{ files = ['{}'], labelled = 1.0, limit = 12, max_length = 160, max_lost = 1 }}\n\
         annotator = {{ kind = 'human' }}\nsft = {{ epochs = 0 }}\n\
         policy = {{ model = 'org/tiny', steps = 1, batch_size = 4, accumulate = 1, lora = {{ rank = 2 }} }}",
        pairs.display()
    );
    std::fs::write(&recipe, text).unwrap();
    let run = folder.path().join("run");
    let in_cache = |mut command: Command| {
        let command = command.env("HF_HUB_CACHE", &cache).env("HF_HUB_OFFLINE", "1");
        let output = command.stderr(Stdio::piped()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let (recipe, out) = (recipe.to_str().unwrap(), run.to_str().unwrap());
    in_cache(confide(&["run", recipe, "--out", out]));
    let config = config_of(&run.join("policy"));
    assert_eq!(config["base_model_name_or_path"], "org/tiny");
    assert_eq!(config["revision"], commit.as_str());
    let policy = run.join("policy");
    let policy = policy.to_str().unwrap();
    in_cache(confide(&["generate", policy, "--prompt", "Once", "--max-new-tokens", "2"]));
}
