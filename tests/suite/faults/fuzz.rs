//! Files of models that were altered at random: whatever is in them, nothing panics.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use confide::data::{Message, Prompt, Role};
use confide::model::{Sampling, generate, load};
use confide::text::{Chat, ChatStyle, Encoder};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::*;
use crate::common::repository;

/// How long one of these tests may look for trouble.
const LONGEST: Duration = Duration::from_secs(20);

/// Values that stand where others are expected.
fn odd() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        Just(String::new()),
        Just("gelu".to_owned()),
        Just("<|endoftext|>".to_owned()),
        Just("<s>".to_owned()),
        "\\PC{0,6}",
        Just("x".repeat(70_000)),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop_oneof![
            Just(0i64),
            Just(1),
            Just(-1),
            Just(2),
            Just(7),
            Just(1 << 31),
            Just(1 << 40),
            Just(i64::MAX)
        ]
        .prop_map(Value::from),
        Just(json!(u64::MAX)),
        prop_oneof![Just(0.0f64), Just(-1.5), Just(1e308), Just(1e-308)].prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    prop_oneof![
        4 => leaf.clone(),
        1 => prop::collection::vec(leaf.clone(), 0..3).prop_map(Value::from),
        1 => prop::collection::hash_map("[a-z_]{1,8}", leaf, 0..3)
            .prop_map(|map| Value::Object(map.into_iter().collect())),
    ]
}

/// One alteration: of the node that a number chooses.
#[derive(Clone, Debug)]
enum Change {
    Replace(Value),
    Remove,
    /// A copy of another node.
    Copy(usize),
    /// The number beside the one that is there.
    Shift(i64),
}

fn change() -> impl Strategy<Value = (usize, Change)> {
    let kind = prop_oneof![
        3 => odd().prop_map(Change::Replace),
        1 => Just(Change::Remove),
        1 => any::<usize>().prop_map(Change::Copy),
        2 => (-3i64..4).prop_map(Change::Shift),
    ];
    (any::<usize>(), kind)
}

/// Nodes of a document that are worth altering; of long lists the first few.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map.iter().take(40) {
                let next = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                found.push(next.clone());
                pointers(inner, &next, found);
            }
        }
        Value::Array(list) => {
            for (i, inner) in list.iter().enumerate().take(4) {
                let next = format!("{at}/{i}");
                found.push(next.clone());
                pointers(inner, &next, found);
            }
        }
        _ => {}
    }
}

fn alter(document: &mut Value, (at, change): &(usize, Change)) {
    let mut all = Vec::new();
    pointers(document, "", &mut all);
    if all.is_empty() {
        return;
    }
    let place = &all[at % all.len()];
    let other = match change {
        Change::Copy(from) => document.pointer(&all[from % all.len()]).cloned(),
        _ => None,
    };
    match change {
        Change::Remove => {
            let (parent, key) = place.rsplit_once('/').unwrap();
            let key = key.replace("~1", "/").replace("~0", "~");
            match document.pointer_mut(parent) {
                Some(Value::Object(map)) => drop(map.remove(&key)),
                Some(Value::Array(list)) => drop(list.remove(key.parse().unwrap())),
                _ => {}
            }
        }
        _ => {
            let Some(node) = document.pointer_mut(place) else { return };
            match change {
                Change::Replace(value) => *node = value.clone(),
                Change::Copy(_) => *node = other.unwrap_or_default(),
                Change::Shift(by) => {
                    if let Some(number) = node.as_i64() {
                        *node = json!(number.saturating_add(*by));
                    }
                }
                Change::Remove => {}
            }
        }
    }
}

/// Run cases until they are done or time is up; the number of those that ran.
fn bounded<S: Strategy>(
    cases: u32,
    strategy: &S,
    check: impl Fn(S::Value) -> Result<(), String>,
) -> usize
where
    S::Value: Clone + std::fmt::Debug,
{
    let begun = Instant::now();
    let ran = AtomicUsize::new(0);
    let config = Config { cases, max_shrink_iters: 200, ..Config::default() };
    // The same cases on every machine, unless somebody looks for others.
    let mut runner = if std::env::var_os("CONFIDE_TEST_RANDOM").is_some() {
        TestRunner::new(config)
    } else {
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
    };
    let outcome = runner.run(strategy, |case| {
        if begun.elapsed() > LONGEST {
            return Ok(());
        }
        ran.fetch_add(1, Ordering::Relaxed);
        check(case).map_err(TestCaseError::fail)
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    ran.into_inner()
}

fn talk() -> Prompt {
    let turn = |role, content: &str| Message::new(role, content);
    Prompt::Messages(vec![
        turn(Role::System, "Be brief."),
        turn(Role::User, "Once upon"),
        turn(Role::Assistant, "a time 7! <|endoftext|>"),
        turn(Role::User, "\u{1F600} and\n\n then\u{0301}?"),
    ])
}

/// All that is done with an encoder before anything is computed: ids that come out are the
/// model's.
fn use_encoder(encoder: &Encoder, rows: u64) -> Result<(), String> {
    for prompt in [talk(), Prompt::Text("Hello, ".to_owned()), Prompt::Text(String::new())] {
        for response in ["", "yes <|endoftext|>", "a b c\n"] {
            if let Ok(sequence) = encoder.sequence(&prompt, response) {
                let ids = sequence.prompt.iter().chain(&sequence.response);
                if let Some(id) = ids.copied().find(|id| u64::from(*id) >= rows) {
                    return Err(format!("id {id} of {rows}"));
                }
                let _ = encoder.is_endless(&sequence.response);
                let _ = encoder.tokenizer.decode_after(&sequence.prompt, &sequence.response);
            }
            let _ = encoder.brings_end(&prompt, response);
        }
    }
    let _ = (encoder.stop(), encoder.describe(), encoder.why_endless(), encoder.tokenizer.beyond());
    match encoder.stop().iter().find(|id| u64::from(**id) >= rows) {
        Some(id) => Err(format!("stop token {id} of {rows}")),
        None => Ok(()),
    }
}

fn rows(files: &ModelFiles) -> u64 {
    files.config().ok().and_then(|c| c["vocab_size"].as_u64()).unwrap_or(u64::MAX)
}

/// Read a model as far as it can be read, and write a token with it.
fn use_model(model: &Model) -> Result<(), String> {
    let files = model.files();
    let chat = Chat::default();
    let Ok(encoder) = Encoder::load(&files, &chat) else { return Ok(()) };
    use_encoder(&encoder, rows(&files))?;
    let Ok(checkpoint) = load(&files, &Device::flex()) else { return Ok(()) };
    let Ok(rendered) = encoder.prompt(&Prompt::Text("Hi".to_owned())) else { return Ok(()) };
    let Ok(ids) = encoder.encode(&rendered) else { return Ok(()) };
    let sampling = Sampling { max_new_tokens: 2, temperature: 0.0, ..Sampling::default() };
    if let Ok(found) = generate(&checkpoint.decoder, &[ids], &encoder.stop(), &sampling) {
        let _ = encoder.tokenizer.decode(&found[0].tokens);
    }
    Ok(())
}

#[test]
fn altered_settings_never_panic() {
    for model in [Model::llama(), Model::gpt2(24)] {
        let config = std::fs::read(model.path().join("config.json")).unwrap();
        let config: Value = serde_json::from_slice(&config).unwrap();
        let changes = prop::collection::vec(change(), 1..4);
        let files = [
            ("config.json", config),
            ("tokenizer_config.json", json!({"eos_token": "<|endoftext|>", "pad_token": "!"})),
            ("generation_config.json", json!({"eos_token_id": [0, 5], "pad_token_id": 3})),
        ];
        let ran = bounded(400, &(0..files.len(), changes), |(which, changes)| {
            for (name, document) in &files {
                model.write(name, document.to_string());
            }
            let (name, document) = &files[which];
            let mut document = document.clone();
            changes.iter().for_each(|change| alter(&mut document, change));
            model.write(name, document.to_string());
            use_model(&model)
        });
        assert!(ran > 20, "{ran} cases ran");
    }
}

/// A small tokenizer of every kind: byte-level BPE, and as others are made.
pub(super) fn tokenizers() -> Vec<Value> {
    let added = json!([
        {"id": 0, "content": "<|endoftext|>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true},
        {"id": 9, "content": "<x>", "single_word": false, "lstrip": true, "rstrip": true, "normalized": true, "special": false},
    ]);
    let frame = json!({
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<x>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {"<x>": {"id": "<x>", "ids": [9], "tokens": ["<x>"]}},
    });
    let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    let of = |normalizer: Value, pre: Value, model: Value, decoder: Value| {
        json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
            "normalizer": normalizer, "pre_tokenizer": pre, "post_processor": frame,
            "decoder": decoder, "model": model,
        })
    };
    let bpe = |fallback: bool| {
        json!({
            "type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": fallback,
            "vocab": {"<|endoftext|>": 0, "<unk>": 1, "H": 2, "i": 3, "Hi": 4, "e": 5, "Ġ": 6, "▁": 7, "He": 8},
            "merges": [["H", "i"], ["H", "e"]],
        })
    };
    let words = json!({"type": "WordLevel", "vocab": {"<|endoftext|>": 0, "<unk>": 1, "Hi": 2}, "unk_token": "<unk>"});
    let pieces = json!({"type": "WordPiece", "unk_token": "<unk>", "continuing_subword_prefix": "##", "max_input_chars_per_word": 20, "vocab": {"<|endoftext|>": 0, "<unk>": 1, "H": 2, "##i": 3}});
    let unigram = json!({"type": "Unigram", "unk_id": 1, "byte_fallback": false, "vocab": [["<|endoftext|>", 0.0], ["<unk>", -9.0], ["H", -1.0], ["i", -2.0], ["▁", -1.5]]});
    let metaspace =
        json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": true});
    vec![
        of(Value::Null, byte_level.clone(), bpe(false), byte_level),
        of(
            json!({"type": "Prepend", "prepend": "▁"}),
            Value::Null,
            bpe(true),
            json!({"type": "ByteFallback"}),
        ),
        of(json!({"type": "NFC"}), json!({"type": "Whitespace"}), words, Value::Null),
        of(
            json!({"type": "Lowercase"}),
            json!({"type": "BertPreTokenizer"}),
            pieces,
            json!({"type": "WordPiece", "prefix": "##", "cleanup": true}),
        ),
        of(Value::Null, metaspace.clone(), unigram, metaspace),
    ]
}

#[test]
fn altered_tokenizers_never_panic() {
    let model = Model::llama();
    model.write("tokenizer_config.json", json!({"eos_token": "<|endoftext|>"}).to_string());
    let all = tokenizers();
    for tokenizer in &all {
        model.write("tokenizer.json", tokenizer.to_string());
        Encoder::load(&model.files(), &Chat::default()).expect("a sound tokenizer is read");
        use_model(&model).unwrap();
    }
    let changes = prop::collection::vec(change(), 1..4);
    let ran = bounded(600, &(0..all.len(), changes), |(which, changes)| {
        let mut document = all[which].clone();
        changes.iter().for_each(|change| alter(&mut document, change));
        model.write("tokenizer.json", document.to_string());
        use_model(&model)
    });
    assert!(ran > 50, "{ran} cases ran");
}

/// The library's tree of pieces is as deep as the longest one, and deeper than any stack.
#[test]
fn a_piece_as_long_as_a_book_is_refused() {
    let model = Model::llama();
    model.write("tokenizer_config.json", json!({"eos_token": "<|endoftext|>"}).to_string());
    for tokenizer in tokenizers().iter_mut().filter(|t| t["model"]["vocab"].is_array()) {
        let pieces = tokenizer["model"]["vocab"].as_array_mut().unwrap();
        pieces.push(json!(["x".repeat(70_000), -9.0]));
        for named in [true, false] {
            if !named {
                tokenizer["model"].as_object_mut().unwrap().remove("type");
            }
            model.write("tokenizer.json", tokenizer.to_string());
            let refused = Encoder::load(&model.files(), &Chat::default()).unwrap_err();
            assert!(refused.to_string().contains("has 70000 bytes"), "{refused}");
        }
    }
}

/// Parts of templates, in any order.
fn template() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "{% for m in messages %}",
        "{% endfor %}",
        "{{ m.content }}",
        "{{ m['role'] }}",
        "{% if add_generation_prompt %}",
        "{% else %}",
        "{% elif loop.last %}",
        "{% endif %}",
        "{{ eos_token }}",
        "{{ bos_token }}",
        "<|endoftext|>",
        "{{ messages[0].content | trim }}",
        "{{ raise_exception('no') }}",
        "{% set x = x + 1 %}",
        "{{ x }}",
        "{{- '\\n' -}}",
        "{{ m.content.split('a')[3] }}",
        "{{ messages[-1]['content'][5:2] }}",
        "{{ 1 / 0 }}",
        "{{ strftime_now('%Q') }}",
        "{{ tools | tojson }}",
        "{# word #}",
        "{%",
        "}}",
        "{{",
        "{% generation %}",
        "{% endgeneration %}",
        "{% macro f(a) %}",
        "{% endmacro %}",
        "{{ f(f) }}",
        "word",
        "question",
        "{{ m }}",
        "{{ range(99999999) | length }}",
        "{{ 'a' * 1000000000 }}",
        "{{ namespace(a=1).a }}",
        "{% raw %}",
        "{% endraw %}",
        "\u{1F600}",
        "{{ undefined.x.y }}",
        "{{ ''.join(messages) }}",
        "{{ messages[99].content }}",
    ]);
    prop::collection::vec(part, 0..14).prop_map(|parts| parts.concat())
}

#[test]
fn templates_made_at_random_never_panic() {
    let model = Model::llama();
    let files = model.files();
    let ran = bounded(500, &template(), |source| {
        model.write("chat_template.jinja", source);
        for style in [ChatStyle::Auto, ChatStyle::Template] {
            let chat = Chat { style, ..Chat::default() };
            if let Ok(encoder) = Encoder::load(&files, &chat) {
                use_encoder(&encoder, rows(&files))?;
            }
        }
        Ok(())
    });
    assert!(ran > 50, "{ran} cases ran");
}

/// Tokenizers that come in parts.
#[test]
fn altered_vocabularies_never_panic() {
    let from = repository("tests/fixtures/tokenizers/added");
    let model = Model::llama();
    std::fs::remove_file(model.path().join("tokenizer.json")).unwrap();
    let names = ["added_tokens.json", "config.json", "special_tokens_map.json", "vocab.json"];
    let read = |name: &str| -> Value {
        serde_json::from_slice(&std::fs::read(from.join(name)).unwrap()).unwrap()
    };
    let documents: Vec<Value> = names.iter().map(|name| read(name)).collect();
    std::fs::copy(from.join("merges.txt"), model.path().join("merges.txt")).unwrap();
    std::fs::remove_file(model.path().join("tokenizer_config.json")).unwrap();
    let changes = prop::collection::vec(change(), 0..4);
    let ran = bounded(300, &(0..names.len(), changes), |(which, changes)| {
        for (i, (name, document)) in names.iter().zip(&documents).enumerate() {
            let mut document = document.clone();
            if i == which {
                changes.iter().for_each(|change| alter(&mut document, change));
            }
            model.write(name, document.to_string());
        }
        use_model(&model)
    });
    assert!(ran > 20, "{ran} cases ran");
}
