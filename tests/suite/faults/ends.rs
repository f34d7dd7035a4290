//! Ends of turns: written once, trained, and named where a model is exported.

use confide::data::{Message, Prompt, Role};
use confide::text::{Chat, Encoder};

use super::*;
use crate::common::program;

const CHATML: &str = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
const ENDLESS: &str = "{% for m in messages %}{% if m.role == 'user' %}### Instruction:\n{{ m.content }}\n\n### Response:\n{% else %}{{ m.content }}\n\n{% endif %}{% endfor %}";

/// A model whose template writes two tokens of its own.
fn chatml() -> Model {
    let model = Model::of(&json!({
        "model_type": "llama", "vocab_size": VOCABULARY + 2, "hidden_size": 16,
        "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24,
        "max_position_embeddings": 512, "tie_word_embeddings": true, "eos_token_id": 0,
    }));
    model.add_token(VOCABULARY, "<|im_start|>");
    model.add_token(VOCABULARY + 1, "<|im_end|>");
    model.write("chat_template.jinja", CHATML);
    model
}

/// Conversations in a file, every response with these words behind it.
fn talks(folder: &Path, behind: &str) -> PathBuf {
    let turn = |role: &str, content: String| json!({"role": role, "content": content});
    let line = |i: usize| {
        json!({
            "prompt": [turn("user", format!("What is number {i}?"))],
            "chosen": [turn("assistant", format!("It is {i}.{behind}"))],
            "rejected": [turn("assistant", format!("No {i} {i}.{behind}"))],
        })
        .to_string()
    };
    let path = folder.join("talks.jsonl");
    std::fs::write(&path, (0..12).map(line).collect::<Vec<_>>().join("\n")).unwrap();
    path
}

#[test]
fn a_template_without_an_end_is_told() {
    let model = Model::llama();
    model.write("chat_template.jinja", ENDLESS);
    let talks = talks(model.path(), "");
    let outcome = run(model.path(), &talks, &[]);
    outcome.report.as_ref().unwrap();
    let words = ["no end token", "chat_template.jinja", "eos_token", "data.chat_template"];
    outcome.warned(&[&words[..], &["12 of 12 training pairs"]].concat());
    let output = program()
        .args(["inspect", talks.to_str().unwrap(), "--model", model.path().to_str().unwrap()])
        .output()
        .unwrap();
    assert!(output.status.success());
    assert_says(&String::from_utf8_lossy(&output.stderr), &words);

    // The same with an end, and text that gets one, are in order.
    for (template, data) in
        [(Some(format!("{ENDLESS}{{{{ eos_token }}}}")), talks), (None, some_pairs(model.path()))]
    {
        if let Some(template) = template {
            model.write("chat_template.jinja", template);
        }
        let outcome = run(model.path(), &data, &[]);
        let warnings = outcome.warnings();
        assert!(warnings.iter().all(|w| !w.contains("no end token")), "{warnings:?}");
    }
}

/// A tokenizer that cuts its own end of text into pieces.
#[test]
fn text_whose_end_is_no_token_is_told() {
    let model = Model::llama();
    model.change("tokenizer.json", |json| json["added_tokens"] = json!([]));
    let outcome = run(model.path(), &some_pairs(model.path()), &[]);
    outcome.warned(&["12 of 12 training pairs", "no end token", "“<|endoftext|>”", "added tokens"]);
}

#[test]
fn an_exported_model_names_the_ends_it_was_trained_on() {
    let end = VOCABULARY + 1;
    for (own, wanted) in [
        (json!({"eos_token_id": 0, "max_new_tokens": 64}), json!([0, end])),
        (json!({"eos_token_id": [end, 0], "top_p": 0.5}), json!([end, 0])),
        (Value::Null, json!([0, end])),
    ] {
        let model = chatml();
        if !own.is_null() {
            model.write("generation_config.json", own.to_string());
        }
        let outcome = run(model.path(), &talks(model.path(), ""), &[]);
        outcome.report.as_ref().unwrap();
        let policy = ModelFiles::folder(&outcome.folder.join("policy")).unwrap();
        let found = policy.json("generation_config.json").unwrap().unwrap();
        assert_eq!(found["eos_token_id"], wanted);
        for key in ["max_new_tokens", "top_p"] {
            assert_eq!(found.get(key), own.get(key), "what else it says stays");
        }
        let encoder = Encoder::load(&policy, &Chat::default()).unwrap();
        assert!(encoder.stop().contains(&(end as u32)));
        assert_eq!(encoder.tokenizer.eos, 0, "text ends as before");
    }
    // Nothing is added where the model's own files name all.
    let model = Model::llama();
    let outcome = run(model.path(), &some_pairs(model.path()), &[]);
    assert!(!outcome.folder.join("policy/generation_config.json").exists());
}

#[test]
fn ends_that_data_bring_along_are_written_once() {
    let model = chatml();
    let encoder = Encoder::load(&model.files(), &Chat::default()).unwrap();
    let turn = |role, content: &str| Message::new(role, content);
    let prompt = Prompt::Messages(vec![
        turn(Role::User, "one"),
        turn(Role::Assistant, "two<|im_end|>\n"),
        turn(Role::User, "three"),
    ]);
    let plain = Prompt::Messages(vec![
        turn(Role::User, "one"),
        turn(Role::Assistant, "two"),
        turn(Role::User, "three"),
    ]);
    let wanted = encoder.sequence(&plain, "four").unwrap();
    for end in ["", "<|im_end|>", "<|im_end|>\n", "<|endoftext|>"] {
        assert_eq!(encoder.sequence(&prompt, &format!("four{end}")).unwrap(), wanted, "{end}");
        assert_eq!(encoder.brings_end(&plain, &format!("four{end}")), !end.is_empty());
    }
    // What stands within is said, not an end.
    let within = encoder.whole(&plain, "say <|im_end|> aloud").unwrap().text;
    assert!(within.contains("say <|im_end|> aloud<|im_end|>"), "{within}");
    let outcome = run(model.path(), &talks(model.path(), "<|im_end|>"), &[]);
    outcome.warned(&["12 of 12 training pairs", "brings the end of its turn", "once"]);

    // Text ends with one end-of-text token, too.
    let text = Prompt::Text("Once ".to_owned());
    let wanted = encoder.sequence(&text, "upon").unwrap();
    for end in ["<|endoftext|>", "<|endoftext|>\n"] {
        assert_eq!(encoder.sequence(&text, &format!("upon{end}")).unwrap(), wanted);
    }
}
