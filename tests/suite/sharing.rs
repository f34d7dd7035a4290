//! What several questions begin with is computed once.

use std::collections::BTreeSet;
use std::path::Path;

use burn::tensor::Device;
use confide::annotate::{
    Annotating, Annotator, Asked, Judging, Positions, Sharing, all_log_odds, encode_questions,
};
use confide::batch::{Batch, Sequence};
use confide::data::{Pair, Pairing, ReadSettings, read_files};
use confide::model::{ModelError, ModelFiles, load, next_token_log_odds};
use confide::registry::Choice;
use confide::text::{Chat, Encoder, Fit, Tokenizer};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::common::{assert_close, repository, shared, vector};

/// Questions whose tokens branch off each other, some of them twice, with a border somewhere.
fn questions(seed: u64, count: usize, longest: usize, alphabet: u32) -> Vec<Sequence> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut all: Vec<Vec<u32>> = Vec::new();
    for _ in 0..count {
        let kept = match all.len() {
            0 => Vec::new(),
            n => {
                let from: &Vec<u32> = &all[rng.random_range(0..n)];
                from[..rng.random_range(0..=from.len())].to_vec()
            }
        };
        let more = rng.random_range(usize::from(kept.is_empty())..=longest);
        let more = (0..more).map(|_| rng.random_range(1..=alphabet));
        all.push(kept.into_iter().chain(more).take(longest).collect());
    }
    all.into_iter()
        .map(|tokens| {
            let (prompt, response) = tokens.split_at(rng.random_range(0..=tokens.len()));
            Sequence { prompt: prompt.into(), response: response.to_vec() }
        })
        .collect()
}

fn whole(question: &Sequence) -> Vec<u32> {
    question.prompt.iter().chain(&question.response).copied().collect()
}

/// What the token at which a sequence of a packed row ends sees.
fn seen(batch: &Batch, sequence: usize) -> Vec<u32> {
    let end = batch.ends()[sequence];
    let span = batch.spans()[end];
    let stretches = [span.head, span.prompt, [span.own, end + 1]];
    stretches.into_iter().flat_map(|[from, to]| from..to).map(|i| batch.tokens[i]).collect()
}

proptest! {
    /// Each distinct question is asked once, whatever batches hold, of all of its tokens.
    #[test]
    fn batches_ask_what_is_asked(seed in any::<u64>(), count in 1usize..40, size in 1usize..50) {
        let all = questions(seed, count, 12, 3);
        let all: Vec<&Sequence> = all.iter().collect();
        let (once, places) = Sharing::of(&all);
        let distinct: BTreeSet<Vec<u32>> = all.iter().map(|question| whole(question)).collect();
        let mut found = Vec::new();
        let batches: Vec<Batch> = once.batches(size).collect();
        for batch in &batches {
            prop_assert!(batch.sequences <= size);
            found.extend((0..batch.sequences).map(|sequence| seen(batch, sequence)));
        }
        prop_assert_eq!(found.len(), distinct.len());
        for (question, place) in all.iter().zip(places) {
            prop_assert_eq!(&found[place], &whole(question));
        }
        let shapes: Vec<usize> = once.shapes(size).iter().map(|shape| shape.tokens).collect();
        prop_assert_eq!(shapes, batches.iter().map(|batch| batch.length).collect::<Vec<_>>());
    }
}

/// How many turns the way to a leaf of the tree of these, sorted, takes if branches stand in the best order, the first of
/// each fork being none; and how many nodes it has behind `depth`. Whoever ends at a fork is there.
fn turns(sorted: &[Vec<u32>], depth: usize) -> (usize, usize) {
    let ended = usize::from(sorted.first().is_some_and(|tokens| tokens.len() == depth));
    let branches = sorted[ended..].chunk_by(|a, b| a[depth] == b[depth]);
    let below: Vec<(usize, usize)> = branches.map(|some| turns(some, depth + 1)).collect();
    let nodes = below.iter().map(|(_, nodes)| nodes + 1).sum();
    let mut each: Vec<usize> = below.into_iter().map(|(turns, _)| turns).collect();
    each.sort_unstable_by(|a, b| b.cmp(a));
    // What shares nothing has nothing to turn from.
    let turn = |place: usize| usize::from(place > 0 && depth > 0);
    let most = each.iter().enumerate().map(|(place, turns)| turns + turn(place));
    (most.max().unwrap_or(0), nodes)
}

/// Nothing is there twice where two turns suffice; where they do not, it takes no more positions than the best of all
/// ways to cut each question twice and to share what is alike.
#[test]
fn what_is_shared_is_there_once_as_far_as_three_stretches_go() {
    let (mut shared, mut copied) = (0, 0);
    for seed in 0..400 {
        let (count, longest) = if seed % 2 == 0 { (40, 14) } else { (4, 5) };
        let all = questions(seed, count, longest, 2);
        let all: Vec<&Sequence> = all.iter().collect();
        let (once, _) = Sharing::of(&all);
        let distinct: Vec<Vec<u32>> = once.questions().map(whole).collect();
        let found: usize = once.batches(100).map(|batch| batch.real_tokens()).sum();
        let (turns, nodes) = turns(&distinct, 0);
        assert_eq!(Positions::of(&once, 100).least, nodes);
        match turns {
            0..=2 => assert_eq!(found, nodes, "seed {seed}: {distinct:?}"),
            _ => assert!(found > nodes, "seed {seed}: {distinct:?}"),
        }
        if count == 4 {
            assert!(found <= cut_twice(&distinct), "seed {seed}: {distinct:?}");
        }
        (shared, copied) = (shared + usize::from(turns <= 2), copied + usize::from(turns > 2));
    }
    assert!(shared > 50 && copied > 50, "{shared}, {copied}");
}

/// The fewest positions that questions take, each in three segments, the first of which is there once for all that have
/// it, and the second for all that have both.
fn cut_twice(distinct: &[Vec<u32>]) -> usize {
    let ends: Vec<Vec<[usize; 2]>> = distinct
        .iter()
        .map(|tokens| (0..=tokens.len()).flat_map(|b| (0..=b).map(move |a| [a, b])).collect())
        .collect();
    let choices: usize = ends.iter().map(Vec::len).product();
    let positions = |mut choice: usize| {
        let (mut segments, mut positions) = (BTreeSet::new(), 0);
        for (tokens, of_one) in distinct.iter().zip(&ends) {
            let [a, b] = of_one[choice % of_one.len()];
            choice /= of_one.len();
            positions += if segments.insert((0, &tokens[..a])) { a } else { 0 };
            positions += if segments.insert((a + 1, &tokens[..b])) { b - a } else { 0 };
            positions += tokens.len() - b;
        }
        positions
    };
    (0..choices).map(positions).min().unwrap()
}

/// Whatever they share and in whichever batches, answers are those of each question by itself.
#[test]
fn answers_are_those_of_single_questions() {
    for family in ["llama3-rope", "gpt2", "qwen2-window"] {
        let folder = repository("tests/fixtures/models").join(family);
        let decoder = load(&ModelFiles::folder(&folder).unwrap(), &Device::flex()).unwrap().decoder;
        let all = questions(3, 24, 20, 5);
        let all: Vec<&Sequence> = all.iter().filter(|q| !whole(q).is_empty()).collect();
        let quiet = &mut |_| Ok::<(), ModelError>(());
        let single = Batch::one_per_row(&all, None);
        let single = vector(next_token_log_odds(&decoder, &single, [3, 40]));
        for size in [1, 5, 9, 24] {
            let found = all_log_odds(&decoder, &all, [3, 40], size, quiet).unwrap();
            let found: Vec<f64> = found.into_iter().map(f64::from).collect();
            assert_close(&found, &single, 1e-5, family);
        }
    }
}

/// A template that brings a system message, as those of instruct models do.
const SYSTEM: &str = "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}<|im_start|>system\nYou are a helpful AI assistant that knows more than it says.<|im_end|>\n{% endif %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

/// GPT-2's tokenizer as a model's folder, and the pairs of the files beside it.
fn real(folder: &Path, data: &str, pairing: Pairing) -> Option<Vec<Pair>> {
    let (source, data) = (shared("data/models/gpt2-tokenizer")?, shared(data)?);
    for (from, to) in [("encoder.json", "vocab.json"), ("vocab.bpe", "merges.txt")] {
        std::fs::write(folder.join(to), std::fs::read(source.join(from)).unwrap()).unwrap();
    }
    let config = r#"{"model_type": "gpt2", "bos_token_id": 50256, "eos_token_id": 50256}"#;
    std::fs::write(folder.join("config.json"), config).unwrap();
    let settings = ReadSettings { pairing, ..ReadSettings::default() };
    Some(read_files(&[data], &settings).unwrap().pairs)
}

/// How many times the least positions questions about pairs take, of both forms, with a template and without, in batches
/// of 32.
fn ratios(folder: &Path, pairs: &[Pair], what: &str) -> Vec<f64> {
    let files = ModelFiles::folder(folder).unwrap();
    let plain = Encoder::plain(Tokenizer::load(&files).unwrap());
    std::fs::write(folder.join("chat_template.jinja"), SYSTEM).unwrap();
    let chat = Encoder::load(&files, &Chat::default()).unwrap();
    assert!(chat.template().is_some());
    let annotator = Choice::<dyn Annotator>::named("judge").unwrap();
    let indexes: Vec<usize> = (0..pairs.len()).collect();
    let each = |(encoder, judge): (&Encoder, Asked)| {
        let judging = Judging { judge, ..Judging::default() };
        let settings = Annotating { judging, ..Annotating::default() };
        let asking = encode_questions(encoder, annotator.0, &settings, pairs, &indexes).unwrap();
        let fits = asking.encoded.pairs.iter().filter_map(|pair| pair.fit(Fit::Whole, 1024));
        let sides: Vec<[Sequence; 2]> = fits.collect();
        let (once, _) = Sharing::of(&sides.iter().flatten().collect::<Vec<_>>());
        let ratio = Positions::of(&once, 32).ratio();
        let chat = encoder.template().is_some();
        eprintln!("{what}, {judge:?}, chat {chat}: {ratio:.4} of the least positions");
        ratio
    };
    [(&plain, Asked::YesNo), (&plain, Asked::AB), (&chat, Asked::YesNo), (&chat, Asked::AB)]
        .into_iter()
        .map(each)
        .collect()
}

/// Real conversations, with the usual questions: next to nothing is computed twice.
#[test]
fn real_conversations_take_hardly_more_positions_than_they_must() {
    for (data, pairing) in [
        ("data/hh-harmless-base/test.jsonl.gz", Pairing::default()),
        ("data/hh-helpful-base/test.jsonl.gz", Pairing::default()),
        ("data/oasst-trees/en_100_tree.jsonl", Pairing::All),
        ("data/pandalm-human/testset-v1.json", Pairing::default()),
        ("data/truthfulqa-csv/TruthfulQA.csv", Pairing::All),
        ("data/instruction-preference-1100/instruction-data-with-preference.json", Pairing::All),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let Some(pairs) = real(folder.path(), data, pairing) else { continue };
        let some = &pairs[..pairs.len().min(256)];
        for ratio in ratios(folder.path(), some, data) {
            assert!((1.0..=1.05).contains(&ratio), "{data}: {ratio}");
        }
    }
}
