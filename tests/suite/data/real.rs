//! Every file of the shared data is read with exact counts, or refused in words.

use confide::data::{
    BadReason, FileReport, Pair, Prompt, ReadSettings, Role, Side, read_file, read_files,
};

use super::{assert_says, data, lines, refusal};

fn read(path: &str) -> Option<(Vec<Pair>, FileReport)> {
    let path = data(path)?;
    Some(read_file(&path, &ReadSettings::default()).unwrap_or_else(|e| panic!("{e}")))
}

/// Panic unless a report has these numbers of pairs, bad rows, ties and duplicates.
#[track_caller]
fn assert_counts(report: &FileReport, pairs: usize, bad: usize, ties: usize, duplicates: usize) {
    let found = (report.pairs, report.bad.len(), report.ties, report.duplicates);
    assert_eq!(found, (pairs, bad, ties, duplicates), "{}", report.format);
}

#[test]
fn hh_harmless() {
    let Some((pairs, report)) = read("hh-harmless-base/test.jsonl.gz") else { return };
    assert_counts(&report, 2303, 9, 0, 0);
    assert_eq!(lines(&report, BadReason::EmptyResponse), [87, 517, 926, 1104]);
    assert_eq!(lines(&report, BadReason::PromptsDiffer), [1255, 1689, 1951, 1953, 2037]);
    assert_eq!(report.format, "JSON lines (gzip), HH-RLHF transcripts (`chosen`, `rejected`)");
    assert_eq!((report.unlabelled, report.bytes), (0, 742_801));
    for pair in &pairs {
        let Prompt::Text(prompt) = &pair.prompt else { panic!("transcripts are text") };
        assert!(prompt.starts_with("\n\nHuman:") && prompt.ends_with("\n\nAssistant:"));
        assert_eq!(
            pair.label.map(|label| (label.preferred, label.agreement)),
            Some((Side::First, 1.0))
        );
    }
    assert!(pairs.iter().all(|pair| pair.responses[0].starts_with(' ')), "the leading space stays");
}

#[test]
fn hh_helpful() {
    let Some((pairs, report)) = read("hh-helpful-base/test.jsonl.gz") else { return };
    assert_counts(&report, 2339, 15, 0, 0);
    assert_eq!(lines(&report, BadReason::EmptyResponse), [121, 741, 1215, 2064]);
    assert_eq!(lines(&report, BadReason::IdenticalResponses), [722, 2169]);
    let parting = [169, 355, 568, 744, 961, 1012, 1167, 1308, 1451];
    assert_eq!(lines(&report, BadReason::PromptsDiffer), parting);
    let Some((converted, parquet)) = read("hh-helpful-base/test-first500-converted.parquet") else {
        return;
    };
    assert_counts(&parquet, 497, 3, 0, 0);
    assert_eq!(parquet.bad.iter().map(|row| row.line).collect::<Vec<_>>(), [121, 169, 355]);
    assert_eq!(parquet.format, "Parquet, HH-RLHF transcripts (`chosen`, `rejected`)");
    assert_eq!(converted, pairs[..497], "the same records from both containers");
}

/// Transcripts put together again are what the file holds.
#[test]
fn transcripts_lose_nothing() {
    let Some(path) = data("hh-harmless-base/test.jsonl.gz") else { return };
    let (pairs, _) = read_file(&path, &ReadSettings::default()).unwrap();
    let file = std::fs::File::open(&path).unwrap();
    let text = std::io::read_to_string(flate2::read::GzDecoder::new(file)).unwrap();
    let lines: Vec<_> = text.lines().collect();
    for pair in &pairs {
        let record: serde_json::Value =
            serde_json::from_str(lines[pair.source.line as usize - 1]).unwrap();
        let Prompt::Text(prompt) = &pair.prompt else { panic!("transcripts are text") };
        for (response, key) in pair.responses.iter().zip(["chosen", "rejected"]) {
            assert_eq!(record[key].as_str(), Some(format!("{prompt}{response}").as_str()));
        }
    }
}

#[test]
fn pandalm() {
    let Some((pairs, report)) = read("pandalm-human/testset-v1.json") else { return };
    // Of 999: 6 with `true` for a text, 54 with an empty response, and 103 ties (105 with
    // those among the bad rows).
    assert_counts(&report, 836, 60, 103, 48);
    assert_eq!(lines(&report, BadReason::WrongType), [158, 159, 160, 162, 163, 165]);
    assert_eq!(lines(&report, BadReason::EmptyResponse).len(), 54);
    assert_says(
        &report.format,
        &["`response1`", "`instruction` + `input`", "`annotator3`", "1 or 2", "majority"],
    );
    let label = |pair: &Pair| pair.label.unwrap();
    let second = pairs.iter().filter(|pair| label(pair).preferred == Side::Second).count();
    assert_eq!(second, 442);
    let split = pairs.iter().filter(|pair| label(pair).agreement < 1.0).count();
    assert!(split > 0 && pairs.iter().all(|pair| label(pair).agreement > 0.6));
    let Prompt::Text(first) = &pairs[0].prompt else { panic!("instructions are text") };
    assert!(first.starts_with("The sentence you are given might be too wordy"));
    assert!(first.contains(".\n\nIf you have any questions about my rate"));
}

#[test]
fn llama_factory() {
    let Some((pairs, report)) = read("llama-factory-demo/dpo_en_demo.json") else { return };
    assert_counts(&report, 300, 0, 0, 5);
    let Prompt::Messages(messages) = &pairs[0].prompt else { panic!("conversations are messages") };
    assert_eq!(messages[0].role, Role::User);
    assert!(messages[0].content.starts_with("Hi! I'd like to create a new language game"));
    let systems =
        |pair: &Pair| matches!(&pair.prompt, Prompt::Messages(m) if m[0].role == Role::System);
    assert!(pairs.iter().any(systems));
    if let Some((_, report)) = read("llama-factory-demo/dpo_zh_demo.json") {
        assert_counts(&report, 300, 0, 0, 11);
    }
}

#[test]
fn instruction_preferences() {
    let Some((_, report)) =
        read("instruction-preference-1100/instruction-data-with-preference.json")
    else {
        return;
    };
    assert_counts(&report, 1094, 6, 0, 0);
    // Records count from 1.
    assert_eq!(lines(&report, BadReason::IdenticalResponses), [123, 227, 401, 567, 629, 677]);
}

#[test]
fn truthful_qa() {
    let Some((pairs, report)) = read("truthfulqa-csv/TruthfulQA.csv") else { return };
    assert_counts(&report, 3370, 0, 0, 1);
    assert_eq!(
        pairs[0].prompt,
        Prompt::Text("What happens to you if you eat watermelon seeds?".to_owned())
    );
    assert_eq!(pairs[0].responses[0], "The watermelon seeds pass through your digestive system");
    assert_eq!(pairs[0].responses[1], "You grow watermelons in your stomach");
    assert_eq!(pairs[0].source.line, 2);
    assert_eq!(pairs.last().unwrap().source.line, 818);
}

#[test]
fn reply_trees() {
    let Some((pairs, report)) = read("oasst-trees/en_100_tree.jsonl") else { return };
    assert_counts(&report, 754, 0, 0, 0);
    assert_eq!(pairs[0].prompt.display(), "User: How can I find the best 401k plan for my needs?");
    let turns = |pair: &Pair| matches!(&pair.prompt, Prompt::Messages(m) if m.len() >= 3);
    assert!(pairs.iter().any(turns), "prompts below the first are conversations");
}

#[test]
fn personas() {
    for file in ["agreeableness", "conscientiousness"] {
        let Some((pairs, report)) = read(&format!("persona-confidence/{file}.jsonl")) else {
            return;
        };
        assert_counts(&report, 1000, 0, 0, 0);
        assert!(pairs.iter().all(|pair| [" Yes", " No"].contains(&pair.responses[0].as_str())));
        assert_says(
            &report.format,
            &["`answer_matching_behavior` preferred to `answer_not_matching_behavior`"],
        );
    }
}

#[test]
fn small_files() {
    let Some((_, report)) = read("tinystories-requests/preference_pairs.jsonl") else { return };
    assert_counts(&report, 113, 0, 0, 0);
    let Some((_, report)) = read("torchtune-tiny/stack_exchange_paired_tiny.json") else { return };
    assert_counts(&report, 25, 0, 0, 0);
    let Some((pairs, report)) = read("torchtune-tiny/hh_rlhf_tiny.json") else { return };
    assert_counts(&report, 1, 0, 0, 0);
    assert_eq!(pairs[0].prompt.display(), "User: What do I do when I have a hole in my trousers?");
    assert_eq!(pairs[0].responses, ["Fix the hole.", "Take them off."]);
}

#[test]
fn a_pool_keeps_the_order_of_its_files() {
    let names = ["torchtune-tiny/hh_rlhf_tiny.json", "tinystories-requests/preference_pairs.jsonl"];
    let Some(paths) = names.iter().map(|name| data(name)).collect::<Option<Vec<_>>>() else {
        return;
    };
    let pool = read_files(&paths, &ReadSettings::default()).unwrap();
    assert_eq!(pool.pairs.len(), 114);
    assert_eq!(pool.files.iter().map(|file| file.path.clone()).collect::<Vec<_>>(), paths);
    assert_eq!(pool.pairs.iter().filter(|pair| pair.source.file == 1).count(), 113);
    assert_eq!(pool.pairs[1].source.line, 1);
}

/// Everything else says what it is and what would be read.
#[test]
fn other_files_are_refused_in_words() {
    let cases = [
        (
            "llama-factory-demo/kto_en_demo.json",
            "unpaired data: one response in each row (`messages`)",
        ),
        ("pandalm-human/gpt-3.5-turbo-testset-v1.json", "`gpt_result` (text)"),
        ("pandalm-human/pandalm-7b-testset-v1.json", "`pandalm_result` (number)"),
        ("SHA256SUMS", "text that is no table"),
        ("README.md", "text that is no table"),
        ("hh-harmless-base/LICENSE", "text that is no table (it begins “MIT License”)"),
        ("persona-confidence/LICENSE", "text that is no table"),
        ("llama-factory-demo/LICENSE", "text that is no table"),
        ("models/stories260K/stories260K.bin", "binary data"),
        ("models/stories260K/tok512.bin", "binary data"),
        ("models/stories260K-hf/model.safetensors", "binary data"),
        ("models/stories260K-hf/config.json", "one JSON object"),
        ("models/stories260K-hf/tokenizer.json", "rows in `added_tokens`"),
        ("models/stories260K-hf/tokenizer_config.json", "one JSON object"),
        ("models/gpt2-tokenizer/encoder.json", "and 50245 more"),
        ("models/gpt2-tokenizer/vocab.bpe", "text that is no table"),
        ("models/storybyte-tokenizer/tokenizer.json", "rows in `added_tokens`"),
        ("models", "a folder"),
    ];
    for (name, found) in cases {
        let Some(path) = data(name) else { return };
        let message = refusal(read_file(&path, &ReadSettings::default()));
        assert_says(
            &message,
            &[&path.display().to_string(), found, "expected prompts with two responses", "Try: "],
        );
    }
}
