//! A language model that is asked for its judgement, against transformers.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use confide::annotate::{
    Annotating, Annotation, Annotator, Asked, Asking, Judging, Positions, Seen, Sharing,
    encode_questions,
};
use confide::batch::Sequence;
use confide::data::{
    AnnotatedPair, Pair, Pairing, ReadSettings, Side, read_annotations, read_files,
};
use confide::model::ModelFiles;
use confide::registry::Choice;
use confide::run::{Control, Job, Recipe, Report, RunError, Stage, estimate, execute};
use confide::text::{Encoder, Tokenizer};
use serde_json::Value;

use crate::common::{assert_close, fixture, ids, numbers, repository};

/// The pairs of the fixture as a file.
fn data(folder: &Path, expected: &Value) -> PathBuf {
    let rows = expected["pairs"].as_array().unwrap().iter().map(|row| {
        let mut row = row.clone();
        row["label"] = 1.into();
        row.to_string()
    });
    let path = folder.join("pairs.jsonl");
    std::fs::write(&path, rows.collect::<Vec<_>>().join("\n")).unwrap();
    path
}

fn recipe(data: &Path, model: &Path, settings: &[(&str, &str)]) -> Recipe {
    let text = format!(
        "device = 'cpu'\nname = 'judge'\n\
         data = {{ files = ['{}'], labelled = 0, held_out = 0 }}\n\
         annotator = {{ kind = 'judge', model = '{}', batch_size = 2 }}\n\
         policy = {{ model = 'builtin:strong', epochs = 0 }}",
        data.display(),
        model.display(),
    );
    let set: Vec<(String, String)> =
        settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Recipe::parse(&text, Path::new("judge.toml"), &set).unwrap()
}

fn run(recipe: Recipe, folder: &Path) -> Result<(Report, Vec<AnnotatedPair>), RunError> {
    let job = Job::Fresh { recipe: Box::new(recipe), folder: folder.to_owned(), download: false };
    let report = execute(job, Control::default(), &mut |_| {})?;
    let table = read_annotations(&folder.join("annotations.parquet")).unwrap();
    Ok((report, table))
}

#[test]
fn answers_are_as_probable_as_in_transformers() {
    let expected = fixture("judge/expected.json");
    let model = repository("tests/fixtures/judge");
    for case in expected["cases"].as_array().unwrap() {
        let form = case["judge"].as_str().unwrap();
        let chat = case["chat"].as_str().unwrap();
        let own =
            if case["own"] == true { expected["prompts"][form].as_str().unwrap() } else { "" };
        let what = format!("{form}, {chat}, own {}", case["own"]);
        let place = tempfile::tempdir().unwrap();
        let prompt = Value::from(own).to_string();
        let settings =
            [("annotator.judge", form), ("data.chat", chat), ("annotator.prompt", &prompt)];
        let recipe = recipe(&data(place.path(), &expected), &model, &settings);
        let folder = place.path().join("run");
        let (report, mut table) = run(recipe, &folder).unwrap();
        table.sort_by_key(|pair| pair.pair);
        let names = if form == "a-b" { ["first_1", "first_2"] } else { ["yes_1", "yes_2"] };
        let found: Vec<f64> =
            table.iter().flat_map(|pair| names.map(|name| pair.columns[name])).collect();
        assert_close(&found, &numbers(&case["probabilities"]), 1e-4, &what);
        let signed = |pair: &AnnotatedPair| match pair.label {
            Side::First => pair.margin,
            Side::Second => -pair.margin,
        };
        let found: Vec<f64> = table.iter().map(signed).collect();
        assert_close(&found, &numbers(&case["margins"]), 2e-4, &what);
        // Nothing is trained.
        assert_eq!(report.annotator.steps, 0);
        assert!(!folder.join("annotator").exists());
        assert!(report.measured["annotator.positions_over_least"].as_f64().unwrap() >= 1.0);
        let told = &report.prompts["annotator"];
        assert!(told.prompt.contains("capital of France"), "{told:?}");
        bias(&report, form, &numbers(&case["probabilities"]), &what);
    }
}

/// What is told of the first place, against the probabilities of the fixture.
fn bias(report: &Report, form: &str, probabilities: &[f64], what: &str) {
    let names = ["first_wins_both", "second_wins_both", "first_mean"];
    let found = names.map(|name| report.measured.get(&format!("annotator.{name}")));
    if form == "yes-no" {
        assert_eq!(found, [None; 3], "{what}");
        assert_eq!([report.annotator.position_bias, report.annotator.consistent], [None; 2]);
        return;
    }
    let pairs = probabilities.as_chunks::<2>().0;
    let share = |wins: fn(&f64) -> bool| {
        pairs.iter().filter(|both| both.iter().all(wins)).count() as f64 / pairs.len() as f64
    };
    let mean = probabilities.iter().sum::<f64>() / probabilities.len() as f64;
    let wanted = [share(|p| *p > 0.5), share(|p| *p < 0.5), mean];
    let found = found.map(|value| value.unwrap().as_f64().unwrap());
    assert_close(&found, &wanted, 1e-4, what);
    let first = probabilities.iter().filter(|p| **p > 0.5).count() as f64;
    let differ = pairs.iter().filter(|[a, b]| (*a > 0.5) != (*b > 0.5)).count() as f64;
    let wanted = [first / probabilities.len() as f64 - 0.5, differ / pairs.len() as f64];
    let found = [report.annotator.position_bias, report.annotator.consistent].map(Option::unwrap);
    assert_close(&found, &wanted, 1e-12, what);
}

fn judging(judge: Asked) -> Annotating {
    Annotating { judging: Judging { judge, ..Judging::default() }, ..Annotating::default() }
}

fn asked(encoder: &Encoder, pairs: &[Pair], judge: Asked) -> Asking {
    let annotator = Choice::<dyn Annotator>::named("judge").unwrap();
    let all: Vec<usize> = (0..pairs.len()).collect();
    encode_questions(encoder, annotator.0, &judging(judge), pairs, &all).unwrap()
}

/// Log-odds of both orders, of a judge that always says A with 9 to 1, and of one that knows.
#[test]
fn a_preference_for_the_first_place_cancels() {
    let annotator = Choice::<dyn Annotator>::named("judge").unwrap();
    let (pairs, _) = confide::builtin::pairs("demo", 1).unwrap();
    let margin = |odds: [f64; 2]| {
        let seen =
            Seen { pair: &pairs[0], scores: Some(odds), spread: 0.0, pool: Default::default() };
        match annotator.annotate(&seen, &judging(Asked::AB)) {
            Some(Annotation::Scores([first, second])) => first - second,
            other => panic!("{other:?}"),
        }
    };
    assert!(margin([9.0_f64.ln(); 2]).abs() < 1e-12);
    // p = (0.9 + 1 − 0.3)/2 = 0.8.
    let found = margin([9.0_f64.ln(), (0.3_f64 / 0.7).ln()]);
    assert_close(&[found], &[4.0_f64.ln()], 1e-12, "mean of both orders");
    // Nobody is surer than a number can say.
    assert_close(&[margin([800.0, -800.0])], &[800.0], 1e-9, "very sure");
}

/// The nodes of a trie, one by one.
fn trie(sequences: &[&Sequence]) -> usize {
    let mut nodes = BTreeSet::new();
    for sequence in sequences {
        let all: Vec<u32> = sequence.prompt.iter().chain(&sequence.response).copied().collect();
        nodes.extend((1..=all.len()).map(|end| all[..end].to_vec()));
    }
    nodes.len()
}

#[test]
fn conversations_are_computed_once() {
    let expected = fixture("judge/expected.json");
    let folder = tempfile::tempdir().unwrap();
    let path = data(folder.path(), &expected);
    let pairs = read_files(&[path], &ReadSettings::default()).unwrap().pairs;
    let files = ModelFiles::folder(&repository("tests/fixtures/judge")).unwrap();
    let encoder = Encoder::plain(Tokenizer::load(&files).unwrap());
    let asking = asked(&encoder, &pairs, Asked::YesNo);
    assert_eq!(asking.answers.unwrap().to_vec(), ids(&expected["cases"][1]["answers"]));
    let sequences: Vec<&Sequence> = asking.encoded.pairs.iter().flat_map(|p| &p.sides).collect();
    let (once, _) = Sharing::of(&sequences);
    for size in [2, 4, 100] {
        let found = Positions::of(&once, size);
        assert_eq!(found.least, trie(&sequences), "{size} at once");
        let rows: Vec<usize> = once.batches(size).map(|batch| batch.length).collect();
        assert_eq!(found.computed, rows.iter().sum::<usize>(), "{size} at once");
        assert!(rows.len() >= sequences.len().div_ceil(size));
    }
    // Two pairs of one conversation share it, as do both questions about a pair.
    let prompt = |pair: usize| &asking.encoded.pairs[pair].sides[0].prompt;
    assert!(prompt(0).len() > 5 && prompt(0) == prompt(1) && prompt(1) != prompt(2));
    assert!(asking.encoded.pairs.iter().flat_map(|p| &p.sides).all(|s| !s.response.is_empty()));
}

/// A question that several pairs of one prompt ask, because a response stands in each of them, is asked once.
#[test]
fn a_response_of_several_pairs_is_asked_about_once() {
    let row = r#"{"prompt": "Name a colour.", "responses": ["Blue.", "Red.", "Grey is one."], "ranks": [1, 2, 3]}"#;
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("rated.jsonl");
    std::fs::write(&path, row).unwrap();
    let settings = ReadSettings { pairing: Pairing::All, ..ReadSettings::default() };
    let pairs = read_files(&[path], &settings).unwrap().pairs;
    assert_eq!(pairs.len(), 3);
    let files = ModelFiles::folder(&repository("tests/fixtures/judge")).unwrap();
    let encoder = Encoder::plain(Tokenizer::load(&files).unwrap());
    let sequences = |judge| -> usize {
        let asking = asked(&encoder, &pairs, judge);
        let all: Vec<&Sequence> = asking.encoded.pairs.iter().flat_map(|p| &p.sides).collect();
        assert_eq!(all.len(), 6);
        Sharing::of(&all).0.questions().len()
    };
    assert_eq!((sequences(Asked::YesNo), sequences(Asked::AB)), (3, 6));
}

#[test]
fn questions_that_mean_nothing_are_refused() {
    let expected = fixture("judge/expected.json");
    let place = tempfile::tempdir().unwrap();
    let data = data(place.path(), &expected);
    let model = repository("tests/fixtures/judge");
    for (judge, prompt, words) in [
        ("yes-no", "'Is it good? {response}'", "no {prompt}"),
        ("a-b", "'{prompt} {response_a} or?'", "no {response_b}"),
    ] {
        let settings = [("annotator.judge", judge), ("annotator.prompt", prompt)];
        let found = recipe(&data, &model, &settings).check("judge.toml").unwrap_err().to_string();
        assert!(found.contains(words), "{found}");
    }
    // The demonstration's tokenizer knows no Yes.
    for (what, recipe) in [
        ("run", recipe(&data, Path::new("builtin:weak"), &[])),
        ("estimate", recipe(&data, Path::new("builtin:weak"), &[("annotator.judge", "yes-no")])),
    ] {
        let found = if what == "run" {
            run(recipe, &place.path().join("run")).map(drop).unwrap_err().to_string()
        } else {
            estimate(&recipe, place.path()).map(drop).unwrap_err().to_string()
        };
        assert!(found.contains("single token") && found.contains("“Yes”"), "{what}: {found}");
    }
}

/// What it takes is told before, of the stage that asks alone.
#[test]
fn an_estimate_is_of_the_questions() {
    let expected = fixture("judge/expected.json");
    let place = tempfile::tempdir().unwrap();
    let data = data(place.path(), &expected);
    let recipe = recipe(&data, &repository("tests/fixtures/judge"), &[("data.chat", "plain")]);
    let found = estimate(&recipe, place.path()).unwrap();
    let stages: Vec<Stage> = found.stages.iter().map(|stage| stage.stage).collect();
    assert_eq!(stages, [Stage::CONFIDENCE]);
    let lengths = &found.lengths["annotator"];
    // The question is longer than the pair itself.
    assert!(lengths.pairs == 6 && lengths.quantiles[0] > 40, "{lengths:?}");
}
