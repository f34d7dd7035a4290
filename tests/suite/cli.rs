//! The program as other programs see it: output, exit codes, refusals.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::common::{fixture, ids, numbers, program, shared};

fn confide(args: &[&str]) -> Output {
    program().args(args).output().unwrap()
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn every_command_teaches() {
    for command in [
        "demo", "run", "resume", "inspect", "convert", "estimate", "devices", "report", "generate",
        "window", "pretrain",
    ] {
        let output = confide(&[command, "--help"]);
        assert_eq!(code(&output), 0, "{command}");
        assert!(output.stdout.len() > 200, "{command} says little");
    }
    let help = String::from_utf8(confide(&["run", "--help"]).stdout).unwrap();
    for key in [
        "learning_rate",
        "label_noise",
        "threshold",
        "held_out_files",
        "normalisation",
        "data.columns",
        "pairing = \"auto\"",
        "reading = \"\"",
    ] {
        assert!(help.contains(key), "run --help does not tell of {key}");
    }
}

#[test]
fn bad_arguments_and_bad_recipes_end_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = folder.path().join("r.toml");
    let run = |text: &str| {
        std::fs::write(&recipe, text).unwrap();
        confide(&[
            "run",
            recipe.to_str().unwrap(),
            "--out",
            folder.path().join("o").to_str().unwrap(),
        ])
    };
    assert_eq!(code(&confide(&["no-such-command"])), 2);
    let cases = [
        ("[policy]\nbetta = 0.1", "beta"),
        ("[policy]\nbeta = 'much'", "a number"),
        (
            "data = { files = ['x'] }\nannotator = { kind = 'human' }\npolicy = { model = 'm', beta = 0 }",
            "above 0",
        ),
        ("data = { files = ['x'] }", "policy.model"),
        ("data = { files = ['x'] }\npolicy = { model = 'm' }", "annotator.model"),
        ("policy = { model = 'm' }", "data.files"),
        ("[policy]\nobjective = 'pdo'", "dpo"),
        ("seed = -1", "0 or more"),
        ("[data", "line 1"),
    ];
    for (text, word) in cases {
        let output = run(text);
        assert_eq!(code(&output), 2, "{text}: {}", stderr(&output));
        assert!(stderr(&output).contains(word), "{text}: {}", stderr(&output));
    }
    let line = stderr(&run("name = 'x'\n\n[data]\nlabeled = 0.5\n"));
    assert!(line.contains("line 4") && line.contains("data.labelled"), "{line}");
}

#[test]
fn what_cannot_be_found_ends_with_1_and_says_what() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = folder.path().join("r.toml");
    for (model, missing) in [("builtin:strong", "none.jsonl"), ("./no-model", "no-model")] {
        let text = format!(
            "device = 'cpu'\ndata = {{ files = ['none.jsonl'] }}\npolicy = {{ model = '{model}' }}\nannotator = {{ kind = 'human' }}"
        );
        std::fs::write(&recipe, text).unwrap();
        let out = folder.path().join(missing);
        let output = confide(&["run", recipe.to_str().unwrap(), "--out", out.to_str().unwrap()]);
        assert_eq!(code(&output), 1);
        assert!(stderr(&output).contains(missing), "{}", stderr(&output));
    }
    for args in [["resume", "nowhere"], ["report", "nowhere"], ["inspect", "nowhere.jsonl"]] {
        let output = confide(&args);
        assert_eq!(code(&output), 1, "{args:?}");
        assert!(stderr(&output).contains("nowhere"), "{args:?}: {}", stderr(&output));
    }
}

#[test]
fn a_folder_that_holds_a_run_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("recipe.toml"), "name = 'mine'").unwrap();
    let output = confide(&["demo", "--out", folder.path().to_str().unwrap()]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("holds a run"), "{}", stderr(&output));
    assert_eq!(
        std::fs::read_to_string(folder.path().join("recipe.toml")).unwrap(),
        "name = 'mine'"
    );
}

#[test]
fn devices_are_listed_with_a_choice_and_its_reason() {
    let value = json(&confide(&["devices", "--json"]));
    let devices = value["devices"].as_array().unwrap();
    assert!(devices.iter().any(|d| d["id"] == "cpu"));
    assert!(devices.iter().any(|d| d["id"] == value["chosen"]));
    assert!(value["why"].as_str().unwrap().len() > 5);
    assert_eq!(code(&confide(&["devices", "--device", "abacus"])), 2);
}

#[test]
fn inspect_sums_over_files_and_fails_if_one_is_useless() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let row =
        |p: &str| format!("{{\"prompt\": \"{p}\", \"chosen\": \"yes\", \"rejected\": \"no\"}}\n");
    let one = write(
        "one.jsonl",
        &(row("a") + &row("b") + "{\"prompt\": \"c\", \"chosen\": \"\", \"rejected\": \"no\"}\n"),
    );
    let two = write("two.jsonl", &row("d"));
    let value = json(&confide(&["inspect", "--json", &one, &two]));
    assert_eq!((value["pairs"].as_u64(), value["bad_rows"].as_u64()), (Some(3), Some(1)));
    assert_eq!(value["files"].as_array().unwrap().len(), 2);
    assert_eq!(
        value["bad_by_reason"]
            .as_object()
            .unwrap()
            .values()
            .map(|n| n.as_u64().unwrap())
            .sum::<u64>(),
        1
    );
    let useless = write("useless.txt", "Dear diary,\nnothing happened.\n");
    assert_eq!(code(&confide(&["inspect", "--json", &one, &useless])), 1);
}

#[test]
fn a_run_ends_with_a_complete_report_and_json_alone_on_stdout() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let mut args = vec!["demo", "--json", "--device", "cpu", "--out", out.to_str().unwrap()];
    for set in [
        "data.limit=120",
        "annotator.epochs=1",
        "sft.steps=2",
        "policy.steps=3",
        "evaluate.samples=2",
        "evaluate.max_new_tokens=8",
    ] {
        args.extend(["--set", set]);
    }
    let report = json(&confide(&args));
    for path in [
        "/data/pairs",
        "/data/bad_rows",
        "/data/too_long",
        "/annotator/accuracy",
        "/annotator/ece",
        "/confidence/mean",
        "/policy/steps",
        "/policy/rewards_margin",
        "/policy/rewards_accuracy",
        "/device",
        "/seconds",
        "/gold/policy",
    ] {
        assert!(report.pointer(path).is_some_and(|v| !v.is_null()), "{path} in {report}");
    }
    assert_eq!(report["policy"]["steps"], 3);
    let file = std::fs::read_to_string(out.join("report.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&file).unwrap(), report);
    let shown = confide(&["report", out.to_str().unwrap()]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    for (section, row) in [("Annotator", "Calibration error"), ("Policy", "Reward margin")] {
        assert!(shown.contains(section) && shown.contains(row), "{shown}");
    }
    exported_models_load(&out);
}

fn exported_models_load(out: &Path) {
    let policy = out.join("policy");
    let sample = json(&confide(&[
        "generate",
        policy.to_str().unwrap(),
        "--prompt",
        "Hello",
        "--max-new-tokens",
        "4",
        "--temperature",
        "0",
        "--json",
        "--device",
        "cpu",
    ]));
    assert_eq!(
        sample["tokens"].as_array().unwrap().len(),
        sample["logprobs"].as_array().unwrap().len()
    );
    let config = std::fs::read_to_string(out.join("annotator/config.json")).unwrap();
    assert!(config.contains("LlamaForSequenceClassification"));
}

#[test]
fn an_annotator_without_work_for_the_policy_ends_well() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let output = confide(&[
        "demo",
        "--json",
        "--device",
        "cpu",
        "--out",
        out.to_str().unwrap(),
        "--set",
        "data.limit=60",
        "--set",
        "data.labelled=1.0",
        "--set",
        "annotator.steps=2",
    ]);
    let report = json(&output);
    assert!(report["annotator"]["accuracy"].is_number());
    assert_eq!(report["policy"]["steps"], 0);
    assert!(stderr(&output).contains("unlabelled"));
}

#[test]
fn greedy_text_of_a_real_model_agrees_with_transformers() {
    let Some(model) = shared("data/models/stories260K-hf") else { return };
    let greedy = fixture("stories260K.json")["greedy"].clone();
    let sample = json(&confide(&[
        "generate",
        model.to_str().unwrap(),
        "--prompt",
        "Once upon a time",
        "--max-new-tokens",
        "50",
        "--temperature",
        "0",
        "--json",
        "--device",
        "cpu",
    ]));
    assert_eq!(ids(&sample["tokens"]), ids(&greedy["tokens"]));
    crate::common::assert_close(
        &numbers(&sample["logprobs"]),
        &numbers(&greedy["log_probs"]),
        1e-4,
        "log-probabilities",
    );
    assert!(sample["text"].as_str().unwrap().starts_with(", there was a little girl"));
}

/// A shape that nobody knows is read by naming its columns, and written in a form that all know.
#[test]
fn named_columns_are_read_and_converted() {
    let folder = tempfile::tempdir().unwrap();
    let rows = folder.path().join("rows.jsonl");
    let row = |i: u32| {
        format!(
            "{{\"task\": {{\"say\": \"q{i}\"}}, \"x\": \"a\", \"y\": \"b\", \"n\": {}}}\n",
            2 * i
        )
    };
    std::fs::write(&rows, (0..3).map(row).collect::<String>()).unwrap();
    let rows = rows.to_str().unwrap();
    let unknown = confide(&["inspect", rows]);
    assert_eq!(code(&unknown), 1);
    assert!(stderr(&unknown).contains("--columns"), "{}", stderr(&unknown));
    let columns = "--columns=prompt=task.say,first=x,second=y,label=n,reading=0..4";
    let found = json(&confide(&["inspect", "--json", columns, rows]));
    assert_eq!((&found["pairs"], &found["ties"]), (&2.into(), &1.into()));
    let out = folder.path().join("out.jsonl");
    let out = out.to_str().unwrap();
    let convert = ["convert", "--json", columns, rows, "--out", out];
    assert_eq!(json(&confide(&convert))["written"]["pairs"], 2);
    let text = std::fs::read_to_string(out).unwrap();
    let pairs: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&pairs[0]["chosen"], &pairs[1]["chosen"]), (&"a".into(), &"b".into()));
    let again = confide(&convert);
    assert_eq!(code(&again), 1);
    assert!(stderr(&again).contains("there already"), "{}", stderr(&again));
    let wrong = confide(&["inspect", "--columns=promt=x", rows]);
    assert_eq!(code(&wrong), 2);
    assert!(stderr(&wrong).contains("promt"), "{}", stderr(&wrong));
}

/// What TRL and PEFT call a setting is read as well; two names of one setting are one too many.
#[test]
fn settings_are_read_by_the_names_that_they_have_elsewhere() {
    use confide::run::Recipe;
    let read = |text: &str| Recipe::parse(text, "r.toml".as_ref(), &[]);
    let recipe = read(
        "[policy]\nloss_type = 'robust'\nlabel_smoothing = 0.2\ngradient_accumulation_steps = 3\n\
         num_train_epochs = 2\nlora = { r = 4, lora_alpha = 8 }\n",
    )
    .unwrap();
    let p = &recipe.policy;
    assert_eq!((p.objective.name().as_str(), p.constants.get("label_noise")), ("rdpo", 0.2));
    assert_eq!((p.training.accumulate, p.training.epochs), (3, 2.0));
    assert_eq!((p.lora.rank, p.lora.alpha), (4, 8.0));
    let written = recipe.to_toml();
    assert!(
        written.contains("objective = \"rdpo\"") && !written.contains("loss_type"),
        "{written}"
    );
    let set = [("policy.loss_type".to_owned(), "sigmoid".to_owned())];
    let set = Recipe::parse("", "r.toml".as_ref(), &set).unwrap();
    assert_eq!(set.policy.objective.name(), "dpo");
    let both = read("[policy]\nbatch_size = 2\nper_device_train_batch_size = 4\n").unwrap_err();
    assert!(both.to_string().contains("are one setting, policy.batch_size"), "{both}");
    let unknown = read("[policy]\nobjective = 'ppo'\n").unwrap_err().to_string();
    assert!(unknown.contains("“ppo” is not an objective; expected dpo, ipo, rdpo"), "{unknown}");
}
