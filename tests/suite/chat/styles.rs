//! How prompts of every kind are written, and cut into tokens.

use confide::data::{Pair, Prompt, Source, read_files};
use confide::model::ModelFiles;
use confide::run::find_model;
use confide::text::{Chat, ChatStyle, Encoder, Tokenizer, encode_pairs};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{message, now};
use crate::common::{fixture, ids, shared};

const CHATML: &str = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

/// A folder with the demonstration's tokenizer, two tokens more, and a template.
fn model(template: Option<&str>) -> (tempfile::TempDir, ModelFiles) {
    let files = find_model("builtin:weak").unwrap();
    let mut tokenizer: Value =
        serde_json::from_slice(&files.bytes("tokenizer.json").unwrap().unwrap()).unwrap();
    let count = Tokenizer::load(&files).unwrap().vocabulary();
    add_tokens(&mut tokenizer, count, &["<|im_start|>", "<|im_end|>"]);
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
    write("config.json", "{}".to_owned());
    write("tokenizer.json", tokenizer.to_string());
    let mut config = files.json("tokenizer_config.json").unwrap().unwrap();
    config["chat_template"] = json!(template);
    write("tokenizer_config.json", config.to_string());
    let files = ModelFiles::folder(folder.path()).unwrap();
    (folder, files)
}

fn add_tokens(tokenizer: &mut Value, first: usize, tokens: &[&str]) {
    for (i, token) in tokens.iter().enumerate() {
        tokenizer["added_tokens"].as_array_mut().unwrap().push(json!({
            "id": first + i, "content": token, "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": true,
        }));
    }
}

fn encoder(template: Option<&str>, style: ChatStyle) -> Encoder {
    let chat = Chat { style, now: now(), ..Chat::default() };
    Encoder::load(&model(template).1, &chat).unwrap()
}

fn written(encoder: &Encoder, prompt: &Prompt, response: &str) -> [String; 2] {
    [encoder.prompt(prompt).unwrap().text, encoder.whole(prompt, response).unwrap().text]
}

fn talk() -> Prompt {
    Prompt::Messages(vec![message("system", "S"), message("user", "Q")])
}

fn transcript() -> Prompt {
    Prompt::Text("\n\nHuman: Q1\nmore\n\nAssistant: A1\n\nHuman: Q2\n\nAssistant:".to_owned())
}

#[test]
fn auto_takes_the_template_for_messages_alone() {
    let with = encoder(Some(CHATML), ChatStyle::Auto);
    let head =
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n";
    assert_eq!(written(&with, &talk(), "R"), [head.to_owned(), format!("{head}R<|im_end|>\n")]);
    let eos = with.tokenizer.eos_text.clone();
    let text = Prompt::Text("Once".to_owned());
    assert_eq!(written(&with, &text, " upon"), ["Once".to_owned(), format!("Once upon{eos}")]);
    assert!(with.describe().contains("chat template in"), "{}", with.describe());

    let without = encoder(None, ChatStyle::Auto);
    let head = "\n\nSystem: S\n\nHuman: Q\n\nAssistant:";
    assert_eq!(written(&without, &talk(), "R"), [head.to_owned(), format!("{head} R{eos}")]);
    assert!(without.describe().contains("there is no chat template"));
}

#[test]
fn template_takes_transcripts_and_text_for_conversations() {
    let encoder = encoder(Some(CHATML), ChatStyle::Template);
    let [_, whole] = written(&encoder, &transcript(), " A2");
    assert_eq!(
        whole,
        "<|im_start|>user\nQ1\nmore<|im_end|>\n<|im_start|>assistant\nA1<|im_end|>\n<|im_start|>user\nQ2<|im_end|>\n<|im_start|>assistant\nA2<|im_end|>\n"
    );
    let [head, whole] = written(&encoder, &Prompt::Text("Once".to_owned()), " upon");
    assert_eq!(head, "<|im_start|>user\nOnce<|im_end|>\n<|im_start|>assistant\n");
    assert_eq!(whole, head + " upon<|im_end|>\n");

    let chat = Chat { style: ChatStyle::Template, ..Chat::default() };
    let words = Encoder::load(&model(None).1, &chat).unwrap_err().to_string();
    assert!(
        words.contains("has no chat template") && words.contains("data.chat_template"),
        "{words}"
    );
}

#[test]
fn hh_and_plain_leave_the_template_alone() {
    let hh = encoder(Some(CHATML), ChatStyle::Hh);
    let eos = hh.tokenizer.eos_text.clone();
    let head = "\n\nSystem: S\n\nHuman: Q\n\nAssistant:";
    assert_eq!(written(&hh, &talk(), "R"), [head.to_owned(), format!("{head} R{eos}")]);
    let head = "\n\nHuman: Once\n\nAssistant:";
    let text = Prompt::Text("Once".to_owned());
    assert_eq!(written(&hh, &text, "R"), [head.to_owned(), format!("{head} R{eos}")]);
    let Prompt::Text(same) = transcript() else { unreachable!() };
    assert_eq!(written(&hh, &transcript(), " R"), [same.clone(), format!("{same} R{eos}")]);

    let plain = encoder(Some(CHATML), ChatStyle::Plain);
    assert_eq!(
        written(&plain, &talk(), "R"),
        ["S\n\nQ\n\n".to_owned(), format!("S\n\nQ\n\nR{eos}")]
    );
    assert_eq!(written(&plain, &transcript(), " R"), [same.clone(), format!("{same} R{eos}")]);
}

#[test]
fn a_conversation_gets_no_special_tokens_beyond_its_own() {
    let encoder = encoder(Some(CHATML), ChatStyle::Auto);
    let count = encoder.tokenizer.vocabulary() as u32;
    let (start, end) = (count - 2, count - 1);
    let sequence = encoder.sequence(&talk(), "R").unwrap();
    assert_eq!(sequence.prompt.iter().filter(|id| **id == start).count(), 3);
    assert_eq!(sequence.response.iter().filter(|id| **id == end).count(), 1);
    assert!(!sequence.response.contains(&encoder.tokenizer.eos));
    assert!(encoder.stop().contains(&end), "a sampled response ends with its turn");
    assert!(encoder.stop().contains(&encoder.tokenizer.eos));
    assert_eq!(self::encoder(None, ChatStyle::Auto).stop().len(), 1);
}

#[test]
fn pairs_that_a_template_refuses_are_set_apart() {
    let picky = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        .to_owned() + CHATML;
    let encoder = encoder(Some(&picky), ChatStyle::Auto);
    let pair = |prompt| Pair {
        prompt,
        responses: ["a".to_owned(), "b".to_owned()],
        label: None,
        weight: 1.0,
        source: Source { file: 0, line: 1 },
    };
    let pairs = [pair(Prompt::Messages(vec![message("user", "Q")])), pair(talk())];
    let encoded = encode_pairs(&encoder, &pairs, &[0, 1]).unwrap();
    assert_eq!(encoded.pairs.len(), 1);
    assert_eq!(encoded.refused.len(), 1);
    assert_eq!(encoded.refused[0].0, 1);
    assert!(encoded.refused[0].1.to_string().ends_with("no system"));
}

/// A template that writes the prompt otherwise once a response follows.
#[test]
fn a_prompt_that_reads_otherwise_before_a_response_is_noticed() {
    let odd = CHATML.to_owned() + "{% if add_generation_prompt %}<think>{% endif %}";
    let prompt = Prompt::Messages(vec![message("user", "Q")]);
    let pair = Pair {
        prompt,
        responses: ["a".to_owned(), "b".to_owned()],
        label: None,
        weight: 1.0,
        source: Source { file: 0, line: 1 },
    };
    let merged = |template: &str| {
        let encoder = encoder(Some(template), ChatStyle::Auto);
        encode_pairs(&encoder, std::slice::from_ref(&pair), &[0]).unwrap().merged()
    };
    assert_eq!([merged(CHATML), merged(&odd)], [0, 1]);
}

#[test]
fn conversations_become_the_tokens_that_trl_trains_on() {
    let (Some(tokenizer), Some(pairs)) = (
        shared("data/models/storybyte-tokenizer/tokenizer.json"),
        shared("data/llama-factory-demo/dpo_en_demo.json"),
    ) else {
        return;
    };
    let all = fixture("chat.json");
    let trace = &all["trl"];
    let named = all["templates"].as_array().unwrap();
    let template = named.iter().find(|t| t["name"] == trace["template"]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut json: Value = serde_json::from_slice(&std::fs::read(tokenizer).unwrap()).unwrap();
    let first = json["model"]["vocab"].as_object().unwrap().len();
    add_tokens(&mut json, first, &["<|im_start|>", "<|im_end|>"]);
    let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
    write("config.json", "{}".to_owned());
    write("tokenizer.json", json.to_string());
    write("tokenizer_config.json", json!({"eos_token": "<|im_end|>"}).to_string());
    write("chat_template.jinja", template["template"].as_str().unwrap().to_owned());
    let files = ModelFiles::folder(folder.path()).unwrap();
    let encoder = Encoder::load(&files, &Chat::default()).unwrap();

    let pool = read_files(&[pairs], &confide::data::ReadSettings::default()).unwrap();
    let indexes: Vec<usize> = (0..pool.pairs.len()).collect();
    let encoded = encode_pairs(&encoder, &pool.pairs, &indexes).unwrap();
    assert!(encoded.refused.is_empty());
    let parts = |i: usize| {
        let [chosen, rejected] = &encoded.pairs[i].sides;
        [chosen.prompt.to_vec(), chosen.response.clone(), rejected.response.clone()]
    };
    for (i, wanted) in trace["first"].as_array().unwrap().iter().enumerate() {
        for (found, wanted) in parts(i).iter().zip(wanted.as_array().unwrap()) {
            assert_eq!(*found, ids(wanted), "pair {i}");
        }
    }
    let digest = |ids: &Vec<u32>| -> String {
        let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        Sha256::digest(bytes)[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let digests = trace["digests"].as_array().unwrap();
    assert_eq!(encoded.pairs.len(), digests.len());
    for (i, wanted) in digests.iter().enumerate() {
        assert_eq!(json!(parts(i).map(|ids| digest(&ids))), *wanted, "pair {i}");
    }
}
