//! GPTScore: mean log-probabilities of responses under a language model as it is, against transformers.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::Device;
use confide::annotate::{all_log_probs, distinct, distinct_log_probs};
use confide::batch::Sequence;
use confide::data::{AnnotatedPair, Side, read_annotations};
use confide::model::{ModelError, ModelFiles, load};
use confide::run::{Control, Job, Recipe, Report, Stage, estimate, execute};
use serde_json::Value;

use crate::common::{assert_close, fixture, numbers, repository};

fn recipe(place: &Path, expected: &Value, settings: &[(&str, &str)]) -> Recipe {
    let rows: Vec<String> =
        expected["prompts"].as_array().unwrap().iter().map(Value::to_string).collect();
    let data = place.join("candidates.jsonl");
    std::fs::write(&data, rows.join("\n")).unwrap();
    let text = format!(
        "device = 'cpu'\nname = 'gptscore'\n\
         data = {{ files = ['{}'], pairing = 'all', labelled = 0, held_out = 0 }}\n\
         annotator = {{ kind = 'gptscore', model = '{}', batch_size = 2 }}\n\
         policy = {{ model = 'builtin:strong', epochs = 0 }}",
        data.display(),
        repository("tests/fixtures/judge").display(),
    );
    let set: Vec<(String, String)> =
        settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Recipe::parse(&text, Path::new("gptscore.toml"), &set).unwrap()
}

fn run(recipe: Recipe, folder: &Path) -> (Report, Vec<AnnotatedPair>) {
    let job = Job::Fresh { recipe: Box::new(recipe), folder: folder.to_owned(), download: false };
    let report = execute(job, Control::default(), &mut |_| {}).unwrap();
    (report, read_annotations(&folder.join("annotations.parquet")).unwrap())
}

/// What transformers says of each response to each prompt.
fn means(expected: &Value, case: &Value) -> BTreeMap<(String, String), f64> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let rows =
        expected["prompts"].as_array().unwrap().iter().zip(case["means"].as_array().unwrap());
    rows.flat_map(|(row, means)| {
        let responses = row["responses"].as_array().unwrap().iter();
        responses.zip(numbers(means)).map(|(r, mean)| ((text(&row["prompt"]), text(r)), mean))
    })
    .collect()
}

#[test]
fn every_pair_of_candidates_follows_their_mean_log_probabilities() {
    let expected = fixture("gptscore.json");
    for case in expected["cases"].as_array().unwrap() {
        let chat = case["chat"].as_str().unwrap();
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("run");
        let (report, table) = run(recipe(place.path(), &expected, &[("data.chat", chat)]), &folder);
        let means = means(&expected, case);
        // Of four, three and two candidates each two are a pair.
        assert_eq!(table.len(), 6 + 3 + 1, "{chat}");
        for pair in &table {
            let mean = |k: usize| means[&(pair.prompt.clone(), pair.responses[k].clone())];
            let wanted = [mean(0), mean(1)];
            assert_close(&pair.scores.map(f64::from), &wanted, 1e-4, chat);
            let better = if wanted[0] > wanted[1] { Side::First } else { Side::Second };
            assert_eq!(pair.label, better, "{chat}: {pair:?}");
            assert_close(&[pair.margin], &[(wanted[0] - wanted[1]).abs()], 1e-4, chat);
        }
        // Twenty sides are nine responses: the same words to another prompt are one more.
        let responses = report.measured["annotator.distinct_responses"].as_f64();
        assert_eq!(responses, Some(9.0), "{chat}");
        // Nothing is trained.
        assert_eq!(report.annotator.steps, 0);
        assert!(!folder.join("annotator").exists());
    }
}

#[test]
fn each_distinct_response_is_computed_once() {
    let files = ModelFiles::folder(&repository("tests/fixtures/judge")).unwrap();
    let decoder = load(&files, &Device::flex()).unwrap().decoder;
    let sequence = |prompt: &[u32], response: &[u32]| Sequence {
        prompt: prompt.into(),
        response: response.to_vec(),
    };
    // The last two are the same tokens with another border.
    let all = [
        sequence(&[5, 6], &[7]),
        sequence(&[5, 6], &[9, 8, 4]),
        sequence(&[5, 6, 7], &[9, 8]),
        sequence(&[5, 6], &[7, 9, 8]),
    ];
    let order = [1, 0, 1, 3, 2, 0, 3, 1];
    let sequences: Vec<&Sequence> = order.iter().map(|&i| &all[i]).collect();
    let (found, places) = distinct(&sequences);
    assert_eq!(
        (found, places),
        (vec![&all[1], &all[0], &all[3], &all[2]], vec![0, 1, 0, 2, 3, 1, 2, 0])
    );

    let quiet = &mut |_| Ok::<(), ModelError>(());
    let wanted = all_log_probs(&decoder, &sequences, 0, 1, quiet).unwrap();
    let mut told = Vec::new();
    let progress = &mut |done| {
        told.push(done);
        Ok::<(), ModelError>(())
    };
    let found = distinct_log_probs(&decoder, &sequences, 0, 1, progress).unwrap();
    assert_eq!(found, wanted);
    // One at a time, so that each computed one is told once, as its share of all eight.
    assert_eq!(told, [2, 4, 6, 8]);
    assert!(distinct_log_probs(&decoder, &[], 0, 1, quiet).unwrap().is_empty());
}

/// What it takes is told before, of the stage that reads alone, and of the pairs that it reads.
#[test]
fn an_estimate_is_of_what_is_read() {
    let expected = fixture("gptscore.json");
    let place = tempfile::tempdir().unwrap();
    let settings = [("data.chat", "plain"), ("data.labelled", "0.4")];
    let (found, all) = (
        estimate(&recipe(place.path(), &expected, &settings), place.path()).unwrap(),
        estimate(&recipe(place.path(), &expected, &settings[..1]), place.path()).unwrap(),
    );
    let stages: Vec<Stage> = found.stages.iter().map(|stage| stage.stage).collect();
    assert_eq!(stages, [Stage::CONFIDENCE]);
    assert_eq!(all.lengths["annotator"].pairs, 10);
    assert!((1..10).contains(&found.lengths["annotator"].pairs), "{found:?}");
}

#[test]
fn members_have_nothing_to_differ_in() {
    let place = tempfile::tempdir().unwrap();
    let recipe = recipe(place.path(), &fixture("gptscore.json"), &[("annotator.ensemble", "3")]);
    let found = recipe.check("gptscore.toml").unwrap_err().to_string();
    assert!(found.contains("annotator.ensemble = 3") && found.contains("\"gptscore\""), "{found}");
}
