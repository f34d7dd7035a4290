//! From a file to a usable pool: `cargo bench --bench loading -- [PAIRS]`.
//!
//! Tiles HH harmless from `../shared` into a `.jsonl.gz` of at least PAIRS rows (default 160,000),
//! reads it, and tokenises all pairs with GPT-2's vocabulary. Prints seconds, and peak memory over the size of the text.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used)]

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use confide::data::read_files;
use confide::model::ModelFiles;
use confide::text::{Encoder, Tokenizer, encode_pairs};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

#[path = "shared.rs"]
mod shared;
use shared::status;

fn main() {
    confide::allocator::keep_freed_memory();
    let wanted = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(160_000);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    if !source.exists() {
        println!("{} is absent: nothing to read", source.display());
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (file, text) = tile(&source, folder.path(), wanted);
    let tokenizer = gpt2(&source, folder.path());
    let before = status("VmRSS:").unwrap_or(0.0);

    let begun = Instant::now();
    let pool =
        read_files(&[file], &confide::data::ReadSettings::default()).expect("readable pairs");
    let parse = begun.elapsed().as_secs_f64();
    let mib = text as f64 / f64::from(1 << 20);
    println!("{} pairs, {mib:.0} MiB of text", pool.pairs.len());
    println!("parse     {parse:6.2} s");
    let read = status("VmHWM:").unwrap_or(0.0) - before;

    let begun = Instant::now();
    let indexes: Vec<usize> = (0..pool.pairs.len()).collect();
    let encoded = encode_pairs(&Encoder::plain(tokenizer), &pool.pairs, &indexes).expect("tokens");
    let seconds = begun.elapsed().as_secs_f64();
    let tokens: usize =
        encoded.pairs.iter().flat_map(|pair| &pair.sides).map(|side| side.len()).sum();
    println!("tokenise  {seconds:6.2} s, {:.1} million tokens", tokens as f64 / 1e6);
    let all = status("VmHWM:").unwrap_or(0.0) - before;
    println!("memory    {:.2} times the text after parsing, {:.2} in all", read / mib, all / mib);
}

/// The file and the bytes of its text.
fn tile(source: &Path, folder: &Path, wanted: usize) -> (PathBuf, usize) {
    let packed = std::fs::File::open(source.join("hh-harmless-base/test.jsonl.gz")).expect("data");
    let mut text = String::new();
    GzDecoder::new(packed).read_to_string(&mut text).expect("text");
    let path = folder.join("pairs.jsonl.gz");
    let file = std::fs::File::create(&path).expect("a file");
    let mut encoder = GzEncoder::new(file, Compression::new(6));
    let (mut rows, mut bytes) = (0, 0);
    while rows < wanted {
        for line in text.lines() {
            rows += 1;
            bytes += line.len() + 1;
            writeln!(encoder, "{line}").expect("room");
        }
    }
    encoder.finish().expect("room");
    (path, bytes)
}

/// GPT-2's tokenizer from its own two files.
fn gpt2(source: &Path, folder: &Path) -> Tokenizer {
    let from = source.join("models/gpt2-tokenizer");
    std::fs::copy(from.join("encoder.json"), folder.join("vocab.json")).expect("encoder.json");
    std::fs::copy(from.join("vocab.bpe"), folder.join("merges.txt")).expect("vocab.bpe");
    let config = r#"{"model_type": "gpt2", "bos_token_id": 50256, "eos_token_id": 50256}"#;
    std::fs::write(folder.join("config.json"), config).expect("room");
    Tokenizer::load(&ModelFiles::folder(folder).expect("a folder")).expect("a tokenizer")
}
