//! The short way to token ids against the `tokenizers` library, over random text.

use std::path::Path;

use confide::model::ModelFiles;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokenizers::Model;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

use crate::common::shared;

const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

fn byte_level(use_regex: bool) -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex})
}

fn split(pattern: &str) -> Value {
    let split = json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false});
    json!({"type": "Sequence", "pretokenizers": [split, byte_level(false)]})
}

/// `tokenizer.json` of a small vocabulary with this way of cutting text.
fn tokenizer_json(cuts: &Value, normalizer: &Value, bos: bool) -> Value {
    let corpus = "the cat's hat isn't THE cat's HAT; we'll see 1234 and 56, don't you? naïve déjà vu 日本語 日本 \n\n  Human: yes\n\nAssistant: no, they've 1000 cats  ";
    let mut trainer = BpeTrainer::builder().vocab_size(420).show_progress(false);
    trainer = trainer.initial_alphabet(ByteLevel::alphabet().into_iter().collect());
    let mut tokenizer = tokenizers::Tokenizer::new(BPE::default());
    tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
    let mut trainer = tokenizers::models::TrainerWrapper::BpeTrainer(trainer.build());
    tokenizer.train(&mut trainer, [corpus].into_iter()).unwrap();
    let mut json: Value = serde_json::from_str(&tokenizer.to_string(false).unwrap()).unwrap();
    let size = tokenizer.get_model().get_vocab_size();
    let added = |i: usize, content: &str, normalized: bool, special: bool| {
        json!({"id": size + i, "content": content, "single_word": false, "lstrip": false,
               "rstrip": false, "normalized": normalized, "special": special})
    };
    json["added_tokens"] = json!([
        added(0, "<|end|>", false, true),
        added(1, "<|end|><|end|>", false, true),
        added(2, "</s>", true, true),
        added(3, "cats", true, false),
        added(4, "<s>", false, true),
    ]);
    json["pre_tokenizer"] = cuts.clone();
    json["normalizer"] = normalizer.clone();
    if bos {
        json["post_processor"] = json!({"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [size + 4], "tokens": ["<s>"]}}});
    }
    json
}

/// Both tokenizers of a `tokenizer.json`.
fn both(json: &Value) -> (confide::text::Tokenizer, tokenizers::Tokenizer) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tokenizer.json"), json.to_string()).unwrap();
    let config = json!({"model_type": "gpt2", "eos_token_id": 5});
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    (
        ours(folder.path()),
        tokenizers::Tokenizer::from_file(folder.path().join("tokenizer.json")).unwrap(),
    )
}

fn ours(folder: &Path) -> confide::text::Tokenizer {
    confide::text::Tokenizer::load(&ModelFiles::folder(folder).unwrap()).unwrap()
}

const SNIPPETS: &[&str] = &[
    " ",
    " ",
    "  ",
    "   ",
    "\t",
    "\n",
    "\r\n",
    "\n\n",
    " \n ",
    "\u{a0}",
    "\u{3000}",
    "\u{85}",
    "\u{2028}",
    "\u{200b}",
    "\u{feff}",
    "\0",
    "\u{7f}",
    "the",
    "The",
    "cat",
    "cats",
    "catsup",
    "HAT",
    "naïve",
    "nai\u{308}ve",
    "'s",
    "'S",
    "'ſ",
    "'t",
    "'re",
    "'RE",
    "'ll",
    "’s",
    "'",
    "''",
    "don't",
    "1",
    "12",
    "1234567",
    "½",
    "٣",
    "Ⅷ",
    "日本語",
    "日",
    "é",
    "e\u{301}",
    "\u{301}",
    "ﬁ",
    "😀",
    "👩‍👩‍👧",
    "🇫🇷",
    "…",
    "--",
    "!",
    "?!",
    ".",
    "$1,000.00",
    "<|end|>",
    "<|end|><|end|>",
    "<|end",
    "</s>",
    "<s>",
    "<",
    "_a_b",
    "ß",
    "İ",
    "Å",
    "\u{212b}",
    "한국어",
    "\u{1112}\u{1161}",
    "\u{10ffff}",
    "\u{e000}",
    "Human:",
    "\u{1d7d8}",
];

fn texts(seed: u64, count: usize) -> impl Iterator<Item = String> {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(move |_| {
        let length = rng.random_range(0..24);
        (0..length).map(|_| *SNIPPETS.choose(&mut rng).unwrap()).collect()
    })
}

#[track_caller]
fn assert_same(
    what: &str,
    (ours, theirs): &(confide::text::Tokenizer, tokenizers::Tokenizer),
    text: &str,
) {
    for special in [true, false] {
        let found = if special { ours.encode(text) } else { ours.encode_bare(text) };
        let wanted = theirs.encode(text, special).unwrap();
        assert_eq!(found.unwrap(), wanted.get_ids(), "{what}, {text:?}");
    }
}

#[test]
fn ids_are_those_of_the_tokenizer() {
    let nfc = json!({"type": "NFC"});
    let digits = |alone: bool| {
        let digits = json!({"type": "Digits", "individual_digits": alone});
        json!({"type": "Sequence", "pretokenizers": [digits, byte_level(true)]})
    };
    let kinds = [
        ("GPT-2", byte_level(true), Value::Null, false),
        ("with NFC", byte_level(true), nfc.clone(), false),
        ("begins with a token", byte_level(true), Value::Null, true),
        ("Qwen2", split(QWEN2), nfc, false),
        ("Llama 3", split(LLAMA3), Value::Null, true),
        ("digits alone", digits(true), Value::Null, false),
        ("digits together", digits(false), Value::Null, false),
    ];
    for (seed, (what, cuts, normalizer, bos)) in (0..).zip(kinds) {
        let pair = both(&tokenizer_json(&cuts, &normalizer, bos));
        assert!(pair.0.is_byte_level(), "{what}");
        for text in texts(seed, 1500) {
            assert_same(what, &pair, &text);
        }
        for text in ["a".repeat(3000), " ".repeat(2000) + "x", "\n".repeat(999)] {
            assert_same(what, &pair, &text);
        }
    }
}

/// Classes of characters come from tables, which two libraries need not share.
#[test]
fn every_character_is_of_the_same_class() {
    for cuts in [byte_level(true), split(LLAMA3)] {
        let pair = both(&tokenizer_json(&cuts, &Value::Null, false));
        let characters: Vec<char> =
            (0..0x32000).chain(0xe_0000..0xe_0200).filter_map(char::from_u32).collect();
        for part in characters.chunks(512) {
            let text: String = part.iter().map(|c| format!("x{c}1 {c}{c}.")).collect();
            assert_same("all characters", &pair, &text);
        }
    }
}

/// What the short way does not know is left to the tokenizer, and comes out the same.
#[test]
fn other_tokenizers_keep_their_own_way() {
    let json = |change: &dyn Fn(&mut Value)| {
        let mut json = tokenizer_json(&byte_level(true), &Value::Null, false);
        change(&mut json);
        json
    };
    let kinds: [(&str, Value); 6] = [
        ("a space before", json(&|j| j["pre_tokenizer"]["add_prefix_space"] = true.into())),
        ("white space with a token", json(&|j| j["added_tokens"][0]["lstrip"] = true.into())),
        ("whole words only", json(&|j| j["added_tokens"][3]["single_word"] = true.into())),
        (
            "a possessive repetition",
            json(&|j| j["pre_tokenizer"] = split(r"\p{N}{1,3}+|\s+|[^\s\p{N}]+")),
        ),
        ("an unknown look-behind", json(&|j| j["pre_tokenizer"] = split(r"(?<=a)b|\s+|\S+"))),
        ("no byte level", json(&|j| j["pre_tokenizer"] = json!({"type": "Whitespace"}))),
    ];
    for (seed, (what, json)) in (100..).zip(kinds) {
        let pair = both(&json);
        assert!(!pair.0.is_byte_level(), "{what}");
        for text in texts(seed, 100) {
            assert_same(what, &pair, &text);
        }
    }
}

#[test]
fn real_transcripts_have_the_ids_of_the_tokenizer() {
    let Some(folder) = shared("data/models/storybyte-tokenizer") else { return };
    let Some(file) = shared("data/hh-harmless-base/test.jsonl.gz") else { return };
    let theirs = tokenizers::Tokenizer::from_file(folder.join("tokenizer.json")).unwrap();
    let copy = tempfile::tempdir().unwrap();
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        if folder.join(name).exists() {
            std::fs::copy(folder.join(name), copy.path().join(name)).unwrap();
        }
    }
    let config = json!({"model_type": "gpt2", "eos_token_id": 0});
    std::fs::write(copy.path().join("config.json"), config.to_string()).unwrap();
    let pair = (ours(copy.path()), theirs);
    assert!(pair.0.is_byte_level());
    let (pairs, _) =
        confide::data::read_file(&file, &confide::data::ReadSettings::default()).unwrap();
    for pairs_of in pairs.iter().take(300) {
        for response in &pairs_of.responses {
            assert_same("HH harmless", &pair, response);
        }
    }
}
