//! One order of several candidates, of comparisons of two.

use std::collections::BTreeMap;
use std::path::Path;

use confide::data::{AnnotatedPair, Side};
use confide::preference::{Comparison, strengths};
use confide::report::in_full;
use confide::run::{Recipe, Report};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use crate::common::{assert_close, ran, repository};

/// What least squares are told by: what is left of a candidate's comparisons sums to 0. So it is for any graph, in
/// parts or not, and strengths of what is connected sum to 0.
#[test]
fn what_no_strength_explains_is_orthogonal_to_all_of_them() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    for case in 0..300 {
        let count = rng.random_range(2..14);
        let edges = rng.random_range(1..40);
        let comparisons: Vec<Comparison> = (0..edges)
            .map(|_| {
                let (i, k) = (rng.random_range(0..count), rng.random_range(0..count));
                (i, k, rng.random_range(-5.0..5.0))
            })
            .collect();
        let found = strengths(count, &comparisons);
        let mut left = vec![0.0; count];
        for &(i, k, margin) in comparisons.iter().filter(|(i, k, _)| i != k) {
            let rest = margin - (found[i] - found[k]);
            left[i] += rest;
            left[k] -= rest;
        }
        assert_close(&left, &vec![0.0; count], 1e-9, &format!("case {case}: {comparisons:?}"));
        assert_close(&[found.iter().sum()], &[0.0], 1e-9, "sum");
    }
}

#[test]
fn complete_comparisons_are_means_and_consistent_ones_stay() {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    for count in 2..9_usize {
        let couples = || (0..count).flat_map(|i| (i + 1..count).map(move |k| (i, k)));
        let all: Vec<Comparison> =
            couples().map(|(i, k)| (i, k, rng.random_range(-3.0..3.0))).collect();
        let mut means = vec![0.0; count];
        for (i, k, margin) in &all {
            means[*i] += margin / count as f64;
            means[*k] -= margin / count as f64;
        }
        assert_close(&strengths(count, &all), &means, 1e-12, "means");

        let own: Vec<f64> = (0..count).map(|_| rng.random_range(-3.0..3.0)).collect();
        // A chain suffices where nothing contradicts itself.
        let chain: Vec<Comparison> = (1..count).map(|k| (k, k - 1, own[k] - own[k - 1])).collect();
        let found = strengths(count, &chain);
        for (i, k) in couples() {
            assert_close(&[found[i] - found[k]], &[own[i] - own[k]], 1e-9, "chain");
        }
    }
    // Each beats the next: none is better than another.
    assert_close(&strengths(3, &[(0, 1, 2.0), (1, 2, 2.0), (2, 0, 2.0)]), &[0.0; 3], 0.0, "cycle");
    assert_eq!(strengths(2, &[(0, 1, 0.3)]), [0.15, -0.15]);
    // What there is not, and what is compared with itself, is nothing.
    assert_eq!(strengths(2, &[(0, 5, 1.0), (1, 1, 4.0)]), [0.0, 0.0]);
}

/// Lists of four, three and two answers; the first two prompts alike but for a letter.
fn recipe(place: &Path, settings: &[(&str, &str)]) -> Recipe {
    let row = |prompt: &str, responses: &[&str]| {
        let ranks: Vec<usize> = (1..=responses.len()).collect();
        json!({"prompt": prompt, "responses": responses, "ranks": ranks}).to_string()
    };
    let rows = [
        row("Name a colour.", &["Blue.", "Red, I think.", "Grey is one.", "No."]),
        row("Name a color.", &["Blue.", "Green is a colour.", "No."]),
        row("Say hello.", &["Hello!", "Why?"]),
    ];
    let data = place.join("candidates.jsonl");
    std::fs::write(&data, rows.join("\n")).unwrap();
    let text = format!(
        "device = 'cpu'\nname = 'tournament'\n\
         data = {{ files = ['{}'], pairing = 'all', labelled = 0, held_out = 0, chat = 'plain' }}\n\
         annotator = {{ kind = 'judge', judge = 'a-b', model = '{}', tournament = true }}\n\
         policy = {{ model = 'builtin:strong', epochs = 0 }}",
        data.display(),
        repository("tests/fixtures/judge").display(),
    );
    let set: Vec<(String, String)> =
        settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Recipe::parse(&text, Path::new("tournament.toml"), &set).unwrap()
}

fn run(place: &Path, name: &str, settings: &[(&str, &str)]) -> (Report, Vec<AnnotatedPair>) {
    let folder = place.join(name);
    let (report, _) = ran(recipe(place, settings), &folder);
    let table = confide::data::read_annotations(&folder.join("annotations.parquet")).unwrap();
    (report.unwrap(), table)
}

fn signed(pair: &AnnotatedPair) -> f64 {
    if pair.label == Side::First { pair.margin } else { -pair.margin }
}

#[test]
fn all_pairs_of_a_prompt_follow_one_order() {
    let place = tempfile::tempdir().unwrap();
    for kind in ["judge", "random"] {
        let kind = ("annotator.kind", kind);
        let (alone, plain) = run(place.path(), "alone", &[kind, ("annotator.tournament", "false")]);
        let (report, table) = run(place.path(), "ordered", &[kind]);
        std::fs::remove_dir_all(place.path().join("alone")).unwrap();
        std::fs::remove_dir_all(place.path().join("ordered")).unwrap();
        assert_eq!(alone.annotator.tournament, None);
        assert_eq!(table.len(), 6 + 3 + 1);
        let mut sums: BTreeMap<(&str, &str), f64> = BTreeMap::new();
        let mut counts: BTreeMap<&str, f64> = BTreeMap::new();
        for (row, before) in table.iter().zip(&plain) {
            assert_eq!((row.pair, &row.responses), (before.pair, &before.responses));
            assert_close(&[row.columns["pairwise_margin"]], &[signed(before)], 0.0, "alone");
            assert!(!before.columns.contains_key("rank_1"));
            for (k, sign) in [1.0, -1.0].into_iter().enumerate() {
                *sums.entry((&row.prompt, &row.responses[k])).or_default() += sign * signed(before);
            }
            *counts.entry(&row.prompt).or_default() += 1.0;
        }
        let (mut overruled, mut squares, mut left) = (0, 0.0, 0.0);
        for (row, before) in table.iter().zip(&plain) {
            // Pairs of n candidates are n(n − 1)/2.
            let n = (1.0 + (1.0 + 8.0 * counts[&*row.prompt]).sqrt()) / 2.0;
            let sum = |k: usize| sums[&(&*row.prompt, &*row.responses[k])];
            assert_close(&[signed(row)], &[(sum(0) - sum(1)) / n], 1e-9, "margin");
            let scores = row.scores.map(f64::from);
            assert_close(&[scores[0] - scores[1]], &[signed(row)], 1e-5, "scores");
            let better = |k: usize| {
                let of_prompt = sums.iter().filter(|((prompt, _), _)| *prompt == row.prompt);
                1 + of_prompt.filter(|(_, other)| **other > sum(k) + 1e-9).count()
            };
            let ranks = [row.columns["rank_1"], row.columns["rank_2"]];
            assert_eq!(ranks, [better(0) as f64, better(1) as f64], "{row:?}");
            if n > 2.5 {
                overruled += usize::from(row.label != before.label);
                squares += signed(before).powi(2);
                left += (signed(before) - signed(row)).powi(2);
            } else {
                assert_eq!((row.label, row.margin), (before.label, before.margin));
            }
        }
        let found = report.annotator.tournament.clone().unwrap();
        assert_eq!((found.orders, found.pairs, found.overruled), (2, 9, overruled));
        assert_close(&[found.inconsistency.unwrap()], &[left / squares], 1e-9, "inconsistency");
        assert!((0.0..=1.0).contains(&found.inconsistency.unwrap()) && left > 0.0);
        let told = in_full(&report, "");
        assert!(told.contains("Tournament") && told.contains("2 of 9 pairs"), "{told}");
    }
}

/// Two candidates are in order already; what an expression may read is what the table has.
#[test]
fn what_has_nothing_to_order_says_so() {
    let place = tempfile::tempdir().unwrap();
    let (report, table) = run(place.path(), "two", &[("data.pairing", "best-worst")]);
    assert_eq!(report.annotator.tournament, None);
    assert!(report.warnings.iter().any(|told| told.contains("annotator.tournament")));
    assert!(table.iter().all(|row| row.columns["rank_1"] + row.columns["rank_2"] == 3.0));

    let weight = ("confidence.weight", "expr: C * (rank_1 == 1 or rank_2 == 1)");
    recipe(place.path(), &[weight]).check("t.toml").unwrap();
    for (settings, words) in [
        (&[weight, ("annotator.tournament", "false")][..], "rank_1"),
        (&[("annotator.judge", "yes-no")], "\"judge\" says of each by itself"),
        (&[("annotator.kind", "gptscore")], "\"gptscore\" says of each by itself"),
        (&[("annotator.kind", "human")], "believes its labels"),
    ] {
        let found = recipe(place.path(), settings).check("t.toml").unwrap_err().to_string();
        assert!(found.contains(words), "{found}");
    }
}
