//! An estimate refuses what a run refuses before its first stage, in the same words.

use std::path::Path;

use confide::run::{Recipe, estimate};
use serde_json::json;

use super::{Model, data, run, some_pairs};

/// What a run and an estimate of the same recipe say.
#[track_caller]
fn both_refuse(model: &Path, file: &Path, settings: &[(&str, &str)], word: &str) {
    let text = format!(
        "device = 'cpu'\ndata = {{ files = ['{}'], labelled = 1.0, held_out = 0.0 }}\n\
         annotator = {{ kind = 'human', model = '{}' }}\nsft = {{ epochs = 0 }}\n\
         policy = {{ model = '{}', epochs = 1, batch_size = 4, accumulate = 1 }}\n\
         evaluate = {{ samples = 0 }}",
        file.display(),
        model.display(),
        model.display(),
    );
    let set: Vec<(String, String)> =
        settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let recipe = Recipe::parse(&text, Path::new("faults.toml"), &set).unwrap();
    let estimated = estimate(&recipe, model).expect_err("the estimate accepts it").to_string();
    let ran = run(model, file, settings).error();
    assert_eq!(estimated, ran, "{settings:?}");
    assert!(ran.contains(word), "“{word}” is not in: {ran}");
}

#[test]
fn an_estimate_refuses_what_a_run_refuses() {
    let model = Model::llama();
    let pairs = some_pairs(model.path());
    let as_file = [("annotator.kind", "file")];
    both_refuse(model.path(), &pairs, &as_file, "do not say how sure");
    both_refuse(model.path(), &pairs, &[("data.max_length", "4")], "no pair fits");
    let gold = model.path().display().to_string();
    both_refuse(model.path(), &pairs, &[("evaluate.gold", &gold)], "no reward model");
    let adapter = [("policy.lora.rank", "4"), ("policy.lora.targets", "[\"absent\"]")];
    both_refuse(model.path(), &pairs, &adapter, "no module of this model");
    let trained = [("annotator.kind", "reward-head"), ("annotator.epochs", "0")];
    both_refuse(model.path(), &pairs, &trained, "no reward model");
    let none =
        [("annotator.kind", "reward-head"), ("data.labelled", "0"), ("annotator.epochs", "1")];
    both_refuse(model.path(), &pairs, &none, "no labelled pairs");
    let control = data(model.path(), &[["<|endoftext|> a", " b", " c"]]);
    let refuse = [("data.special_tokens", "refuse")];
    both_refuse(model.path(), &control, &refuse, "data.special_tokens");
    let many: Vec<[String; 3]> =
        (0..40).map(|i| [format!("q{i} {}", "long ".repeat(60)), "a".into(), "b".into()]).collect();
    let many: Vec<[&str; 3]> = many.iter().map(|t| t.each_ref().map(String::as_str)).collect();
    let many = data(model.path(), &many);
    both_refuse(model.path(), &many, &[("data.max_length", "32")], "data.max_lost");
    model.write("chat_template.jinja", "{{ raise_exception('never') }}");
    let all = [("data.chat", "template")];
    let pairs = some_pairs(model.path());
    both_refuse(model.path(), &pairs, &all, "never");
}

#[test]
fn an_estimate_refuses_models_that_a_run_refuses() {
    let model = Model::llama();
    let pairs = some_pairs(model.path());
    model.change("config.json", |json| json["intermediate_size"] = json!(25));
    both_refuse(model.path(), &pairs, &[], "has shape");
    model.change("config.json", |json| json["num_hidden_layers"] = json!(3));
    both_refuse(model.path(), &pairs, &[], "has shape");
}
