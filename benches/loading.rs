//! From a file to a usable pool: `cargo bench --bench loading -- [PAIRS]`.
//!
//! Tiles HH harmless from `../shared` into a `.jsonl.gz` of at least PAIRS rows (default 160,000),
//! reads it, and tokenises all pairs with GPT-2's vocabulary: in this process, and in one of its own, as the program
//! does it, in turns. Prints seconds, those of all cores together (which hold on a machine that has other work), and
//! peak memory over the size of the text.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used)]

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use confide::data::{Pair, read_files};
use confide::model::ModelFiles;
use confide::text::{Chat, Encoder, Isolation, Limits, encode_pairs};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

#[path = "shared.rs"]
mod shared;
use shared::status;

/// How often pairs are tokenised in either way.
const ROUNDS: usize = 7;

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
    let files = gpt2(&source, folder.path());
    let before = status("VmRSS:").unwrap_or(0.0);

    let begun = Instant::now();
    let pool =
        read_files(&[file], &confide::data::ReadSettings::default()).expect("readable pairs");
    let parse = begun.elapsed().as_secs_f64();
    let mib = text as f64 / f64::from(1 << 20);
    println!("{} pairs, {mib:.0} MiB of text", pool.pairs.len());
    println!("parse     {parse:6.2} s");
    let read = status("VmHWM:").unwrap_or(0.0) - before;

    // What is apart takes memory here first, so that the other way cannot hide it.
    let mut found: [Vec<Tokenised>; 2] = [Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        for way in [1 - round % 2, round % 2] {
            let tokenised = tokenise(&files, &pool.pairs, way == 1);
            if found.iter().all(Vec::is_empty) {
                let all = status("VmHWM:").unwrap_or(0.0) - before;
                println!(
                    "memory    {:.2} times the text after parsing, {:.2} in all, and {:.0} MiB of the tokenizer's process",
                    read / mib,
                    all / mib,
                    tokenised.child
                );
            }
            found[way].push(tokenised);
        }
    }
    let tokens = found[0][0].tokens;
    assert!(found.iter().flatten().all(|one| one.tokens == tokens), "the same tokens");
    println!("tokens    {:.1} million", tokens as f64 / 1e6);
    for (what, of) in [
        ("seconds", (|one| one.seconds) as fn(&Tokenised) -> f64),
        ("seconds of all cores", |one| one.work),
    ] {
        let all = found.each_ref().map(|way| way.iter().map(of).collect::<Vec<f64>>());
        println!("{what}: here {:.2?}, apart {:.2?}", all[0], all[1]);
        let [here, apart] = all.map(median);
        let more = 100.0 * (apart / here - 1.0);
        println!("tokenise  {here:.2} here, {apart:.2} apart: {more:+.2} %");
    }
}

/// What tokenising took.
struct Tokenised {
    seconds: f64,
    /// Seconds of processor time, of both processes.
    work: f64,
    tokens: usize,
    /// Peak memory of the tokenizer's process in MiB.
    child: f64,
}

/// From a model's files to the tokens of all pairs.
fn tokenise(files: &ModelFiles, pairs: &[Pair], apart: bool) -> Tokenised {
    let indexes: Vec<usize> = (0..pairs.len()).collect();
    let (begun, worked) = (Instant::now(), work("self"));
    let chat = Chat::default();
    let encoder = if apart {
        let program = env!("CARGO_BIN_EXE_confide").into();
        Encoder::load_apart(files, &chat, Isolation { program, limits: Limits::default() })
    } else {
        Encoder::load_here(files, &chat)
    };
    let encoder = encoder.expect("a tokenizer");
    let encoded = encode_pairs(&encoder, pairs, &indexes).expect("tokens");
    let seconds = begun.elapsed().as_secs_f64();
    let child = encoder.process_id().map(|process| process.to_string());
    let work = work("self") - worked + child.as_deref().map_or(0.0, work);
    let peak = child.and_then(|process| {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
        line.split_whitespace().nth(1)?.parse::<f64>().ok()
    });
    let sides = encoded.pairs.iter().flat_map(|pair| &pair.sides);
    let tokens = sides.map(|side| side.len()).sum();
    Tokenised { seconds, work, tokens, child: peak.unwrap_or(0.0) / 1024.0 }
}

/// Seconds of processor time that a process has had; 0 where there is no `/proc`.
fn work(process: &str) -> f64 {
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let behind = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    behind.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
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

/// GPT-2's tokenizer, its own two files.
fn gpt2(source: &Path, folder: &Path) -> ModelFiles {
    let from = source.join("models/gpt2-tokenizer");
    std::fs::copy(from.join("encoder.json"), folder.join("vocab.json")).expect("encoder.json");
    std::fs::copy(from.join("vocab.bpe"), folder.join("merges.txt")).expect("vocab.bpe");
    let config = r#"{"model_type": "gpt2", "bos_token_id": 50256, "eos_token_id": 50256}"#;
    std::fs::write(folder.join("config.json"), config).expect("room");
    ModelFiles::folder(folder).expect("a folder")
}
