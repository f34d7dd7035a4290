//! Tokenizers of folders with `vocab.json` and `merges.txt` but no `tokenizer.json`, against
//! transformers; `tests/fixtures/make_tokenizers.py` made the folders.

use std::path::Path;

use confide::model::ModelFiles;
use confide::text::{TextError, Tokenizer};
use serde_json::Value;

use crate::common::{fixture, ids, repository, shared};

fn load(folder: &Path) -> Result<Tokenizer, TextError> {
    Tokenizer::load(&ModelFiles::folder(folder).unwrap())
}

fn compare(name: &str, tokenizer: &Tokenizer, expected: &Value) {
    let texts = expected["texts"].as_array().unwrap();
    assert!(texts.len() >= 15, "{name}: {} texts", texts.len());
    for text in texts {
        let wanted = ids(&text["ids"]);
        let text_of = |key: &str| text[key].as_str().unwrap();
        let found = tokenizer.encode(text_of("text")).unwrap();
        assert_eq!(found, wanted, "{name}: {:?}", text_of("text"));
        assert_eq!(tokenizer.decode(&wanted).unwrap(), text_of("decoded"), "{name}");
    }
    let id = |key: &str| expected["special"][key][1].as_u64().map(|id| id as u32);
    assert_eq!(Some(tokenizer.eos), id("eos"), "{name}");
    assert_eq!(Some(tokenizer.pad), id("pad").or(id("eos")), "{name}");
}

#[test]
fn vocabularies_and_merges_cut_texts_as_transformers_does() {
    for name in ["gpt2", "added", "opt", "qwen2"] {
        let folder = repository("tests/fixtures/tokenizers").join(name);
        let tokenizer = load(&folder).unwrap();
        compare(name, &tokenizer, &fixture(&format!("tokenizers/{name}/expected.json")));
    }
}

#[test]
fn gpt2s_own_vocabulary_is_read() {
    let Some(source) = shared("data/models/gpt2-tokenizer") else { return };
    let folder = tempfile::tempdir().unwrap();
    let copy = |from: &str, to: &str| {
        std::fs::copy(source.join(from), folder.path().join(to)).unwrap();
    };
    copy("encoder.json", "vocab.json");
    copy("vocab.bpe", "merges.txt");
    let config = r#"{"model_type": "gpt2", "bos_token_id": 50256, "eos_token_id": 50256}"#;
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    let tokenizer = load(folder.path()).unwrap();
    assert_eq!(tokenizer.vocabulary(), 50257);
    compare("gpt2-real", &tokenizer, &fixture("tokenizers/gpt2-real.json"));
}

/// A copy of the small GPT-2 folder in which one file is another, or absent.
fn damaged(file: &str, text: Option<&str>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let source = repository("tests/fixtures/tokenizers/gpt2");
    for file in ["config.json", "special_tokens_map.json", "vocab.json", "merges.txt"] {
        std::fs::copy(source.join(file), folder.path().join(file)).unwrap();
    }
    let path = folder.path().join(file);
    match text {
        Some(text) => std::fs::write(path, text).unwrap(),
        None => std::fs::remove_file(path).unwrap(),
    }
    load(folder.path()).expect_err("a damaged file").to_string()
}

#[test]
fn damaged_files_are_named_with_their_lines() {
    let cases: [(&str, Option<&str>, &[&str]); 12] = [
        ("vocab.json", None, &["tokenizer.json", "vocab.json with merges.txt"]),
        ("merges.txt", None, &["merges.txt", "no such file"]),
        ("vocab.json", Some("{\n\"a\": 1,\n\"b\""), &["vocab.json", "line 3"]),
        ("vocab.json", Some("{\n\"a\": -1}"), &["vocab.json", "-1", "line 2"]),
        ("vocab.json", Some("[]"), &["vocab.json", "line 1", "tokens and ids"]),
        ("vocab.json", Some("{\"a\": 0}"), &["merges.txt", "line 2", "not in vocab.json"]),
        ("merges.txt", Some("#version: 0.2\nĠ a\nn"), &["merges.txt", "line 3", "“n”"]),
        ("merges.txt", Some("Ġ a\nn d x"), &["merges.txt", "line 2", "“n d x”"]),
        ("merges.txt", Some("Ġ a\nz z"), &["merges.txt", "line 2", "“zz”"]),
        ("added_tokens.json", Some("{\"n\": 9999}"), &["added_tokens.json", "“n”", "9999"]),
        ("added_tokens.json", Some("{\"new\": 5}"), &["both have id 5"]),
        (
            "config.json",
            Some("{\"model_type\": \"llama\"}"),
            &["tokenizer.json", "“llama”", "qwen2"],
        ),
    ];
    for (file, text, words) in cases {
        let error = damaged(file, text);
        for word in words {
            assert!(error.contains(word), "{file} {text:?}: “{word}” is not in: {error}");
        }
    }
    let bytes = damaged_bytes(b"\xc4\xa0 a\nn \xff\n");
    assert!(bytes.contains("merges.txt") && bytes.contains("line 2"), "{bytes}");
}

fn damaged_bytes(merges: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let source = repository("tests/fixtures/tokenizers/gpt2");
    for file in ["config.json", "vocab.json"] {
        std::fs::copy(source.join(file), folder.path().join(file)).unwrap();
    }
    std::fs::write(folder.path().join("merges.txt"), merges).unwrap();
    load(folder.path()).expect_err("bytes that are no text").to_string()
}
