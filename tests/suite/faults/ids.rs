//! Tokens and positions that a model does not have.

use confide::text::{Chat, Encoder, TextError, Tokenizer, encode_pairs};

use super::*;
use crate::common::program;

#[test]
fn a_token_beyond_the_embedding_is_refused_before_anything_is_computed() {
    let model = Model::llama();
    model.add_token(VOCABULARY, "<tool>");
    let pairs = data(
        model.path(),
        &[["Hello? ", "yes", "no"], ["Which? ", "the <tool> there", "none"], ["So? ", "a", "b"]],
    );
    let words = ["tokenizer.json", "“<tool>”", "id 1024", "vocab_size", "is 1024", "line 2"];
    let outcome = run(model.path(), &pairs, &[]);
    assert_says(&outcome.error(), &words);
    outcome.warned(&["policy", "“<tool>”, id 1024", "no row"]);
    // Where others train first, before that.
    let settings = [("annotator.kind", "reward-head"), ("annotator.model", "builtin:weak")];
    let outcome = run(model.path(), &pairs, &settings);
    assert_says(&outcome.error(), &words);
    let trained = outcome.events.iter().any(|event| matches!(event, Event::Step { .. }));
    assert!(!trained, "a step was taken first");

    let recipe = model.path().join("recipe.toml");
    let text = format!(
        "device = 'cpu'\ndata = {{ files = ['{}'], labelled = 1.0 }}\nannotator = {{ kind = 'human' }}\n\
         policy = {{ model = '{}' }}",
        pairs.display(),
        model.path().display()
    );
    std::fs::write(&recipe, text).unwrap();
    let estimate = program().arg("estimate").arg(&recipe).output().unwrap();
    assert_eq!(estimate.status.code(), Some(1));
    assert_says(&String::from_utf8_lossy(&estimate.stderr), &words[..5]);

    let folder = model.path().to_str().unwrap();
    let ask = |prompt: &str| {
        let args = ["generate", folder, "--prompt", prompt, "--max-new-tokens", "2"];
        program().args(args).args(["--device", "cpu"]).output().unwrap()
    };
    assert!(ask("Hello").status.success());
    let refused = ask("Hello <tool>");
    assert_eq!(refused.status.code(), Some(1));
    assert_says(&String::from_utf8_lossy(&refused.stderr), &words[..5]);
}

#[test]
fn a_token_beyond_the_embedding_that_nobody_uses_is_told() {
    let model = Model::llama();
    model.add_token(VOCABULARY, "<tool>");
    let outcome = run(model.path(), &some_pairs(model.path()), &[]);
    outcome.report.as_ref().unwrap();
    outcome.warned(&["policy", "1 tokens", "“<tool>”", "vocab_size is 1024"]);
}

#[test]
fn an_end_token_beyond_the_embedding_is_refused() {
    let model = Model::llama();
    model.add_token(VOCABULARY, "</end>");
    model.change("tokenizer_config.json", |json| json["eos_token"] = json!("</end>"));
    let error = Tokenizer::load(&model.files()).unwrap_err();
    assert!(matches!(&error, TextError::Beyond { id: 1024, rows: 1024, .. }), "{error}");
}

#[test]
fn padding_beyond_the_embedding_is_another_token() {
    let model = Model::llama();
    model.add_token(VOCABULARY, "<pad>");
    model.change("tokenizer_config.json", |json| json["pad_token"] = json!("<pad>"));
    model.change("config.json", |json| json["pad_token_id"] = json!(VOCABULARY));
    let tokenizer = Tokenizer::load(&model.files()).unwrap();
    assert!((tokenizer.pad as usize) < VOCABULARY && tokenizer.pad != tokenizer.eos);
    let pairs = some_pairs(model.path());
    let settings = [("annotator.kind", "reward-head"), ("annotator.steps", "2")];
    let settings = [&settings[..], &[("data.labelled", "0.5")]].concat();
    run(model.path(), &pairs, &settings).report.unwrap();

    // A reward model as it is, too.
    let reward = Model::llama();
    reward.change("config.json", |json| json["pad_token_id"] = json!(VOCABULARY));
    let path = reward.path().join("model.safetensors");
    let mut tensors = confide::model::load_named(&path).unwrap();
    let head = confide::model::SavedTensor { shape: vec![1, 16], values: vec![0.5; 16] };
    tensors.insert("score.weight".to_owned(), head);
    confide::model::save_tensors(&path, &tensors, Storage::F32).unwrap();
    let settings = [("annotator.kind", "reward-head"), ("annotator.epochs", "0")];
    let settings = [&settings[..], &[("data.labelled", "0.0"), ("policy.epochs", "0")]].concat();
    run(reward.path(), &pairs, &settings).report.unwrap();

    // Stop tokens that the model cannot write are none.
    model.change("config.json", |json| json["eos_token_id"] = json!([0, 5000]));
    assert_eq!(Tokenizer::load(&model.files()).unwrap().stop, [0]);
}

#[test]
fn learned_positions_bound_the_length() {
    let model = Model::gpt2(24);
    let long = "word ".repeat(40);
    let pairs = [
        ["Short? ", "yes", "no"],
        ["How? ", long.as_str(), "no"],
        ["What? ", "it is", "not so"],
        [long.as_str(), "yes", "no"],
    ];
    let pairs = data(model.path(), &pairs);
    let outcome = run(model.path(), &pairs, &[]);
    let report = outcome.report.as_ref().unwrap();
    let words = ["policy has learned 24 positions", "held to 24 tokens", "data.max_length = 512"];
    outcome.warned(&words);
    assert_eq!(report.data.too_long, 1, "the prompt of one fills them");
    // As an annotator it must see whole pairs.
    let settings = [("annotator.kind", "reward-head"), ("data.labelled", "0.5")];
    let settings = [&settings[..], &[("annotator.steps", "1"), ("policy.epochs", "0")]].concat();
    let outcome = run(model.path(), &pairs, &settings);
    assert_eq!(outcome.report.as_ref().unwrap().data.too_long, 2);
    outcome.warned(&["annotator has learned 24 positions"]);
    // Where the recipe asks for less, there is nothing to tell.
    let outcome = run(model.path(), &pairs, &[("data.max_length", "20")]);
    assert!(
        outcome.warnings().iter().all(|w| !w.contains("positions")),
        "{:?}",
        outcome.warnings()
    );
}

#[test]
fn rotary_positions_beyond_what_was_trained_are_told() {
    let model = Model::llama();
    model.change("config.json", |json| json["max_position_embeddings"] = json!(16));
    let outcome = run(model.path(), &some_pairs(model.path()), &[]);
    outcome.report.as_ref().unwrap();
    outcome.warned(&["data.max_length = 512", "16 positions", "policy"]);
}

/// What a tokenizer puts around texts: nothing stays behind a prompt, nothing comes twice.
#[test]
fn a_tokenizer_that_ends_texts_ends_no_prompt_and_no_response_twice() {
    let model = Model::llama();
    model.change("tokenizer.json", |json| {
        json["post_processor"] = json!({
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "!", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}},
            ],
            "pair": [
                {"Sequence": {"id": "A", "type_id": 0}},
                {"Sequence": {"id": "B", "type_id": 0}},
            ],
            "special_tokens": {
                "<|endoftext|>": {"id": "<|endoftext|>", "ids": [0], "tokens": ["<|endoftext|>"]},
                "!": {"id": "!", "ids": [1], "tokens": ["!"]},
            },
        });
    });
    let encoder = Encoder::load(&model.files(), &Chat::default()).unwrap();
    let own = encoder.tokenizer.encode("Hello").unwrap();
    assert_eq!((own.first(), own.last()), (Some(&1), Some(&0)), "the tokenizer frames texts");
    let pool = confide::data::read_files(
        &[some_pairs(model.path())],
        &confide::data::ReadSettings::default(),
    )
    .unwrap();
    let encoded = encode_pairs(&encoder, &pool.pairs, &[0, 1, 2]).unwrap();
    assert_eq!(encoded.merged(), 0, "no end behind the prompt differs from what follows it");
    for pair in &encoded.pairs {
        for side in &pair.sides {
            assert_eq!(side.prompt[0], 1);
            assert!(!side.prompt.contains(&0), "{:?}", side.prompt);
            assert_eq!(side.response.iter().filter(|id| **id == 0).count(), 1);
            assert_eq!(side.response.last(), Some(&0));
        }
    }
    // A beginning that the text has already is not put before it again.
    let ids = encoder.tokenizer.encode_open("!Hello").unwrap();
    assert_eq!(ids.iter().filter(|id| **id == 1).count(), 1, "{ids:?}");
}
