//! Files of many blocks: every record is read once, and told with its line.

use confide::data::{BadReason, Prompt};
use rand::{RngExt, SeedableRng};
use serde_json::json;

use super::{assert_says, gzip, read, refusal};

/// Lines of random lengths, some blank, some bad, with the numbers of the good and of the bad.
fn random_lines(seed: u64, bytes: usize) -> (String, Vec<(u64, String)>, Vec<u64>) {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let (mut text, mut good, mut bad) = (String::new(), Vec::new(), Vec::new());
    for line in 1.. {
        if text.len() > bytes && !good.is_empty() {
            break;
        }
        // Now and then a line that is longer than a block.
        let most = if rng.random_range(0..400) == 0 { 1_500_000 } else { 4000 };
        let length = rng.random_range(1..most);
        let prompt: String = "grün 日本 \u{1f600} word ".chars().cycle().take(length).collect();
        // The first lines decide what the file is.
        match if line < 70 { 9 } else { rng.random_range(0..12) } {
            0 => text.push_str(&" ".repeat(rng.random_range(0..3))),
            1 => {
                text.push_str("{\"prompt\": \"cut");
                bad.push(line);
            }
            _ => {
                let row = json!({"prompt": prompt, "chosen": "yes", "rejected": "no"});
                text.push_str(&row.to_string());
                good.push((line, prompt));
            }
        }
        text.push_str(if rng.random_range(0..4) == 0 { "\r\n" } else { "\n" });
    }
    if rng.random_range(0..2) == 0 {
        text.truncate(text.trim_end().len());
    }
    (text, good, bad)
}

#[test]
fn records_of_every_block_are_read_with_their_lines() {
    for seed in 0..6 {
        let (text, good, bad) = random_lines(seed, 6_000_000);
        let text = if seed == 3 { format!("\u{feff}{text}") } else { text };
        let bytes = if seed % 2 == 0 { text.into_bytes() } else { gzip(text.as_bytes()) };
        let (pairs, report) = read(bytes).unwrap();
        let found: Vec<(u64, &str)> = pairs
            .iter()
            .map(|pair| match &pair.prompt {
                Prompt::Text(text) => (pair.source.line, text.as_str()),
                Prompt::Messages(_) => panic!("prompts are text"),
            })
            .collect();
        let wanted: Vec<(u64, &str)> =
            good.iter().map(|(line, text)| (*line, text.as_str())).collect();
        assert_eq!(found.len(), wanted.len(), "seed {seed}");
        assert!(found == wanted, "seed {seed}: another line or text");
        let lines: Vec<u64> = report.bad.iter().map(|row| row.line).collect();
        assert_eq!(lines, bad, "seed {seed}");
        assert!(report.bad.iter().all(|row| row.reason == BadReason::UnreadableLine));
        assert!(report.format.starts_with("JSON lines"), "{}", report.format);
    }
}

#[test]
fn damage_far_inside_is_told_with_its_line() {
    let row = "{\"prompt\": \"a question\", \"chosen\": \"yes\", \"rejected\": \"no\"}\n";
    let mut bytes = row.repeat(60_000).into_bytes();
    let line = 54_321;
    bytes[(line - 1) * row.len() + 15] = 0xff;
    for bytes in [bytes.clone(), gzip(&bytes)] {
        assert_says(&refusal(read(bytes)), &["is damaged", "line 54321 is not UTF-8"]);
    }
    let whole = gzip(row.repeat(60_000).as_bytes());
    let cut = &whole[..whole.len() - 60];
    assert_says(&refusal(read(cut)), &["is damaged", "gzip", "whole lines"]);
}
