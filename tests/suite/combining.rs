//! Several annotators at once: Dawid and Skene's model against numpy and SciPy, and whole runs.

use std::collections::BTreeMap;
use std::path::Path;

use confide::annotate::{Further, Said, toward_first};
use confide::data::{AnnotatedPair, Side, read_annotations, write_annotations};
use confide::preference::{
    Calibrator, Combine, DawidSkene, Fitted, Vote, aurc, calibration, disagreement, mean_log_odds,
    sum_log_odds,
};
use confide::run::{Control, Event, Job, Recipe, Report, RunError, execute};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::common::{assert_close, fixture, numbers, ran};

fn votes(case: &Value) -> Vec<Vec<Vote>> {
    let vote = |value: &Value| value.as_i64().map(|side| side == 1);
    let row = |row: &Value| row.as_array().unwrap().iter().map(vote).collect();
    case["votes"].as_array().unwrap().iter().map(row).collect()
}

fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

#[test]
fn accuracies_and_posteriors_are_those_of_numpy_and_scipy() {
    let cases = fixture("dawid_skene.json");
    for case in cases.as_array().unwrap() {
        let votes = votes(case);
        let found = DawidSkene::fit(&votes).unwrap();
        assert!(found.converged);
        assert_close(&found.accuracies, &numbers(&case["accuracies"]), 1e-6, "accuracies");
        let p: Vec<f64> =
            votes.iter().take(40).map(|votes| sigmoid(found.log_odds(votes))).collect();
        assert_close(&p, &numbers(&case["p"]), 1e-6, "posteriors");
        let last = *found.course.last().unwrap();
        assert_close(&[last], &[case["log_posterior"].as_f64().unwrap()], 1e-6, "density");
    }
}

/// Random annotators of whom many are silent, some are bad, and some say nothing at all.
fn drawn(seed: u64) -> Vec<Vec<Vote>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let width = rng.random_range(1..7);
    let accuracies: Vec<f64> = (0..width).map(|_| rng.random_range(0.2..1.0)).collect();
    let silent: Vec<f64> = (0..width).map(|_| rng.random_range(-0.5..1.1)).collect();
    (0..rng.random_range(1..120))
        .map(|_| {
            let best = rng.random::<bool>();
            let vote = |(a, silent): (&f64, &f64)| {
                let right = rng.random::<f64>() < *a;
                (rng.random::<f64>() >= *silent).then_some(best == right)
            };
            accuracies.iter().zip(&silent).map(vote).collect()
        })
        .collect()
}

#[test]
fn no_step_of_em_makes_the_votes_less_likely() {
    let mut rose = 0;
    for seed in 0..200 {
        let Some(found) = DawidSkene::fit(&drawn(seed)) else { continue };
        for steps in found.course.windows(2) {
            assert!(steps[1] >= steps[0] - 1e-10 * steps[0].abs(), "{seed}: {steps:?}");
            rose += usize::from(steps[1] > steps[0]);
        }
        assert!(found.accuracies.iter().all(|a| *a > 0.0 && *a < 1.0), "{seed}: {found:?}");
    }
    assert!(rose > 1000, "{rose}");
}

#[test]
fn the_order_of_annotators_and_of_responses_changes_nothing() {
    for seed in 0..60 {
        let votes = drawn(seed);
        let Some(found) = DawidSkene::fit(&votes) else { continue };
        let turned: Vec<Vec<Vote>> =
            votes.iter().map(|row| row.iter().rev().copied().collect()).collect();
        let again = DawidSkene::fit(&turned).unwrap();
        let reversed: Vec<f64> = again.accuracies.iter().rev().copied().collect();
        assert_eq!(found.accuracies, reversed, "{seed}");
        for (row, other) in votes.iter().zip(&turned) {
            assert_eq!(found.log_odds(row).to_bits(), again.log_odds(other).to_bits());
            let swapped: Vec<Vote> = row.iter().map(|vote| vote.map(|first| !first)).collect();
            assert_eq!(found.log_odds(row), -found.log_odds(&swapped));
        }
        let swapped: Vec<Vec<Vote>> = votes
            .iter()
            .map(|row| row.iter().map(|vote| vote.map(|first| !first)).collect())
            .collect();
        let other = DawidSkene::fit(&swapped).unwrap();
        assert_close(&other.accuracies, &found.accuracies, 1e-6, "responses change places");
    }
    let z = [0.1, -3.7, 1e-9, 2.3, 0.7];
    let turned = [2.3, 1e-9, 0.7, 0.1, -3.7];
    assert_eq!(mean_log_odds(&z).to_bits(), mean_log_odds(&turned).to_bits());
    assert_eq!(sum_log_odds(&z).to_bits(), sum_log_odds(&turned).to_bits());
    assert_eq!(disagreement(&z).to_bits(), disagreement(&turned).to_bits());
}

#[test]
fn one_annotator_is_what_it_is_and_several_are_what_the_formulas_say() {
    for z in [0.0, 0.1, -7.3, 1e-300, 40.0] {
        assert_eq!(mean_log_odds(&[z]).to_bits(), f64::to_bits(z));
        assert_eq!(sum_log_odds(&[z]).to_bits(), f64::to_bits(z));
        assert_eq!(disagreement(&[z]), 0.0);
    }
    assert_eq!((mean_log_odds(&[]), sum_log_odds(&[]), disagreement(&[])), (0.0, 0.0, 0.0));
    let z = [1.2, -0.4, 0.9];
    // A product of experts: p ∝ Π p_k; its log-odds are their sum.
    let (yes, no): (f64, f64) =
        (z.iter().map(|z| sigmoid(*z)).product(), z.iter().map(|z| sigmoid(-z)).product());
    assert_close(&[sigmoid(sum_log_odds(&z))], &[yes / (yes + no)], 1e-12, "product");
    let root = 1.0 / 3.0;
    let mean = yes.powf(root) / (yes.powf(root) + no.powf(root));
    assert_close(&[sigmoid(mean_log_odds(&z))], &[mean], 1e-12, "geometric mean");
    assert_close(&[disagreement(&[60.0, -60.0])], &[0.25], 1e-12, "nobody agrees");
    // Nobody says anything, of anything.
    assert_eq!(DawidSkene::fit(&[vec![None, None], vec![None, None]]), None);
    assert_eq!(DawidSkene::fit(&[]), None);
}

const LENGTH: &str = "device = 'cpu'\nname = 'combined'\n\
    data = { files = ['builtin:demo'], limit = 300, labelled = 0.5, calibration = 0.4, held_out = 0.3 }\n\
    annotator = { kind = 'length' }\nsft = { epochs = 0 }\n\
    policy = { model = 'builtin:strong', epochs = 0 }\nevaluate = { samples = 0 }";

fn recipe(settings: &[(&str, &str)]) -> Recipe {
    let set: Vec<(String, String)> =
        settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Recipe::parse(LENGTH, Path::new("length.toml"), &set).unwrap()
}

fn run(folder: &Path, settings: &[(&str, &str)]) -> (Result<Report, RunError>, Vec<Event>) {
    let recipe = recipe(settings);
    recipe.check("length.toml").unwrap();
    ran(recipe, folder)
}

fn table(folder: &Path) -> Vec<AnnotatedPair> {
    read_annotations(&folder.join("annotations.parquet")).unwrap()
}

fn signed(pairs: &[AnnotatedPair], split: &str, column: Option<&str>) -> Vec<f64> {
    let of = |pair: &AnnotatedPair| {
        let toward = column.map_or_else(|| toward_first(pair), |name| pair.columns[name]);
        Some(if pair.human? == Side::First { toward } else { -toward })
    };
    pairs.iter().filter(|pair| pair.split == split).filter_map(of).collect()
}

/// By pair, what must be the same whoever is asked first.
fn labels(pairs: &[AnnotatedPair]) -> BTreeMap<Option<u64>, (Side, u64, [f32; 2], u64)> {
    let of = |pair: &AnnotatedPair| {
        let apart = pair.columns["disagreement"].to_bits();
        (pair.pair, (pair.label, pair.margin.to_bits(), pair.scores, apart))
    };
    pairs.iter().map(of).collect()
}

#[test]
fn annotators_label_by_the_mean_or_the_sum_of_what_each_says() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain");
    let report = run(&plain, &[]).0.unwrap();
    assert_eq!(report.annotator.combination, None);
    assert!(table(&plain).iter().all(|pair| pair.columns.is_empty()));
    let alone: BTreeMap<_, f64> =
        table(&plain).iter().map(|pair| (pair.pair, toward_first(pair))).collect();
    for (rule, parts) in [("mean", 2.0), ("product", 1.0)] {
        let own = folder.path().join(rule);
        let settings = [("annotator.combine", rule), ("annotator.with", "[\"random\"]")];
        let report = run(&own, &settings).0.unwrap();
        let pairs = table(&own);
        assert_eq!(pairs.len(), alone.len());
        for pair in &pairs {
            let [length, random] = ["z_length", "z_random"].map(|name| pair.columns[name]);
            assert_eq!(length, alone[&pair.pair]);
            assert_close(&[toward_first(pair)], &[(length + random) / parts], 1e-12, rule);
            assert_close(&[pair.columns["disagreement"]], &[variance(length, random)], 1e-12, "p");
            let both = pair.scores[0] - pair.scores[1];
            assert!((f64::from(both) - toward_first(pair)).abs() < 1e-5, "{pair:?}");
        }
        measured(&report, &pairs, &["z_length", "z_random"]);
        // The same with the other one first.
        let turned = folder.path().join(format!("{rule} turned"));
        let other = [("annotator.kind", "random"), ("annotator.with", "longer")];
        run(&turned, &[&other[..], &[("annotator.combine", rule)]].concat()).0.unwrap();
        assert_eq!(labels(&table(&turned)), labels(&pairs));
    }
}

fn variance(a: f64, b: f64) -> f64 {
    ((sigmoid(a) - sigmoid(b)) / 2.0).powi(2)
}

/// What is told of each and of all is what its columns in the table say.
fn measured(report: &Report, pairs: &[AnnotatedPair], columns: &[&str]) {
    let told = report.annotator.combination.as_ref().unwrap();
    assert_eq!(told.pairs, pairs.len());
    let names: Vec<&str> = told.annotators.iter().map(|voice| voice.column.as_str()).collect();
    assert_eq!(names, columns);
    for voice in told.annotators.iter().chain([&told.together]) {
        let column = (!voice.column.is_empty()).then_some(&voice.column[..]);
        let held_out = signed(pairs, "held_out", column);
        let found = calibration(&held_out, &Calibrator::NONE).unwrap();
        assert!(held_out.len() > 30 && voice.held_out == held_out.len());
        assert_eq!((voice.accuracy, voice.ece), (Some(found.accuracy), Some(found.ece)));
        assert_eq!((voice.aurc, voice.silent), (aurc(&held_out), 0));
    }
    assert_eq!(report.annotator.accuracy, told.together.accuracy);
    assert_eq!(report.annotator.aurc, told.together.aurc);
    let name = "annotator.aurc_together_less_alone";
    let difference = told.together.aurc.unwrap() - told.annotators[0].aurc.unwrap();
    assert_close(&[report.measured[name].as_f64().unwrap()], &[difference], 1e-12, name);
    let text = confide::report::as_text(report, "");
    assert!(text.contains("Annotators together") && text.contains("Combined by"), "{text}");
}

#[test]
fn each_annotator_is_calibrated_by_itself_and_then_all_together() {
    let folder = tempfile::tempdir().unwrap();
    let settings = [
        ("annotator.combine", "product"),
        ("annotator.with", "random"),
        ("confidence.temperature", "fit"),
    ];
    let report = run(folder.path().join("fit").as_path(), &settings).0.unwrap();
    let pairs = table(&folder.path().join("fit"));
    let plain = folder.path().join("plain");
    run(
        &plain,
        &[("annotator.combine", "mean"), ("annotator.with", "random"), ("confidence.gate", "true")],
    )
    .0
    .unwrap();
    let raw: BTreeMap<_, _> =
        table(&plain).into_iter().map(|pair| (pair.pair, pair.columns)).collect();
    let told = report.annotator.combination.as_ref().unwrap();
    for voice in &told.annotators {
        let of = |pair: &AnnotatedPair| raw[&pair.pair][&voice.column];
        let calibrating: Vec<f64> = pairs
            .iter()
            .filter(|pair| pair.split == "calibration")
            .map(|pair| of(pair) * if pair.human.unwrap() == Side::First { 1.0 } else { -1.0 })
            .collect();
        let fitted = Fitted::temperature(&calibrating).unwrap();
        assert!(calibrating.len() > 30);
        assert_eq!(voice.calibrator.as_ref(), Some(&fitted.calibrator), "{}", voice.name);
        for pair in &pairs {
            assert_eq!(pair.columns[&voice.column], fitted.calibrator.signed(of(pair)));
        }
    }
    for pair in &pairs {
        let sum = pair.columns["z_length"] + pair.columns["z_random"];
        assert_close(&[toward_first(pair)], &[sum], 1e-12, "sum");
    }
    let fitted = Fitted::temperature(&signed(&pairs, "calibration", None)).unwrap();
    assert_eq!(report.confidence.calibration.unwrap().calibrator, fitted.calibrator);
    assert_eq!(told.together.calibrator, Some(fitted.calibrator));
}

/// A stated T divides once, whatever the rule.
#[test]
fn a_stated_temperature_divides_what_they_say_together() {
    let folder = tempfile::tempdir().unwrap();
    let both = [("annotator.combine", "mean"), ("annotator.with", "random")];
    let (warm, cold) = (folder.path().join("warm"), folder.path().join("cold"));
    let report = run(&warm, &[&both[..], &[("confidence.temperature", "4")]].concat()).0.unwrap();
    run(&cold, &both).0.unwrap();
    let (warm, cold) = (table(&warm), table(&cold));
    for (warm, cold) in warm.iter().zip(&cold) {
        assert_eq!((warm.pair, warm.margin, warm.label), (cold.pair, cold.margin, cold.label));
        assert_eq!(warm.columns["z_random"], cold.columns["z_random"] / 4.0);
    }
    let unlabelled = cold.iter().filter(|pair| pair.split == "unlabelled");
    let c: Vec<f64> = unlabelled.map(|pair| (pair.margin / 8.0).tanh()).collect();
    let mean = c.iter().sum::<f64>() / c.len() as f64;
    assert_close(&[report.confidence.mean.unwrap()], &[mean], 1e-12, "mean C");
}

/// Annotations that others have left: with the responses in the other order, without some pairs, and with a
/// pair twice.
fn doctored(from: &Path, to: &Path, change: impl Fn(usize, &mut AnnotatedPair) -> bool) {
    let kept = table(from).into_iter().enumerate().filter_map(|(i, mut pair)| {
        pair.pair = None;
        change(i, &mut pair).then_some(pair)
    });
    write_annotations(to, &kept.collect::<Vec<_>>()).unwrap();
}

#[test]
fn what_earlier_runs_said_is_joined_by_texts_and_weighed_by_agreement() {
    let folder = tempfile::tempdir().unwrap();
    let earlier = folder.path().join("earlier");
    run(&earlier, &[("annotator.kind", "random")]).0.unwrap();
    let other = folder.path().join("other.parquet");
    let before: BTreeMap<_, f64> =
        table(&earlier).iter().map(|pair| (pair.pair, toward_first(pair))).collect();
    // The other way round, and of every fourth pair nothing.
    doctored(&earlier, &other, |i, pair| {
        pair.responses.reverse();
        pair.human = None;
        pair.label = if i % 3 == 0 { pair.label } else { pair.label.other() };
        i % 4 != 0
    });
    let with = format!("[{earlier:?}, {other:?}]");
    let run_folder = folder.path().join("run");
    let settings = [("annotator.combine", "dawid-skene"), ("annotator.with", &with)];
    let report = run(&run_folder, &settings).0.unwrap();
    let pairs = table(&run_folder);
    let places: BTreeMap<_, usize> =
        table(&earlier).iter().enumerate().map(|(i, pair)| (pair.pair, i)).collect();
    for pair in &pairs {
        assert_eq!(pair.columns["z_table_1"], before[&pair.pair], "a whole run's folder");
        let i = places[&pair.pair];
        let sign = if i % 3 == 0 { -1.0 } else { 1.0 };
        let wanted = (i % 4 != 0).then_some(sign * before[&pair.pair]);
        assert_eq!(pair.columns.get("z_table_2").copied(), wanted, "turned");
    }
    let told = report.annotator.combination.as_ref().unwrap();
    let silent = pairs.iter().filter(|pair| !pair.columns.contains_key("z_table_2")).count();
    assert_eq!((told.annotators[1].silent, told.annotators[2].silent), (0, silent));
    assert!(report.warnings.iter().any(|w| w.contains(&format!("says nothing of {silent} of"))));

    let names = ["z_length", "z_table_1", "z_table_2"];
    let vote = |pair: &AnnotatedPair| -> Vec<Vote> {
        let z = names.map(|name| pair.columns.get(name).copied().filter(|z| *z != 0.0));
        z.map(|z| z.map(|z| z > 0.0)).to_vec()
    };
    // From the unlabelled split alone, and no human label.
    let unlabelled = pairs.iter().filter(|pair| pair.split == "unlabelled").map(vote);
    let wanted = DawidSkene::fit(&unlabelled.collect::<Vec<_>>()).unwrap();
    let estimated: Vec<f64> = told.annotators.iter().filter_map(|v| v.estimated).collect();
    assert_eq!((estimated, told.together.estimated), (wanted.accuracies.clone(), None));
    for pair in &pairs {
        assert_eq!(toward_first(pair).abs(), wanted.log_odds(&vote(pair)).abs());
        assert!(pair.margin == 0.0 || toward_first(pair) == wanted.log_odds(&vote(pair)));
    }
    assert!(confide::report::in_full(&report, "").contains("estimated right"));
}

/// A run that is stopped behind its annotations goes on without the earlier run, with the same numbers.
#[test]
fn a_resumed_run_has_what_was_said() {
    let folder = tempfile::tempdir().unwrap();
    let earlier = folder.path().join("earlier");
    run(&earlier, &[("annotator.kind", "random")]).0.unwrap();
    let with = format!("[{earlier:?}]");
    let settings = [
        ("annotator.combine", "product"),
        ("annotator.with", &with[..]),
        ("policy.epochs", "1"),
        ("policy.steps", "2"),
        ("policy.batch_size", "4"),
    ];
    let (calm, cut) = (folder.path().join("calm"), folder.path().join("cut"));
    let (calm_report, calm_events) = run(&calm, &settings);
    let control = Control::default();
    let job =
        Job::Fresh { recipe: Box::new(recipe(&settings)), folder: cut.clone(), download: false };
    let stopped = execute(job, control.clone(), &mut |event| {
        if matches!(event, Event::Annotated { .. }) {
            control.stop();
        }
    });
    assert!(stopped.is_err());
    std::fs::remove_dir_all(&earlier).unwrap();
    let mut events = Vec::new();
    let job = Job::Resume { folder: cut.clone(), device: None };
    let report = execute(job, Control::default(), &mut |event| events.push(event)).unwrap();
    let losses = |events: &[Event]| -> Vec<Option<f64>> {
        let loss = |event: &Event| match event {
            Event::Step { metrics, .. } => Some(metrics.get("loss")),
            _ => None,
        };
        events.iter().filter_map(loss).collect()
    };
    assert_eq!((losses(&events), losses(&events).len()), (losses(&calm_events), 2));
    assert_eq!(report.annotator, calm_report.unwrap().annotator);
    assert_eq!(table(&cut), table(&calm));
}

#[test]
fn a_table_that_says_two_things_of_a_pair_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let earlier = folder.path().join("earlier");
    run(&earlier, &[]).0.unwrap();
    let path = folder.path().join("twice.parquet");
    let mut pairs = table(&earlier);
    let pair = pairs.iter().find(|pair| pair.margin > 0.0).unwrap().clone();
    pairs.push(AnnotatedPair { label: pair.label.other(), ..pair.clone() });
    pairs.push(pair.clone());
    write_annotations(&path, &pairs).unwrap();
    let said = Said::read(&path).unwrap();
    assert_eq!(said.contradictions, 1);
    let of = |prompt: &str| said.of(prompt, &pair.responses);
    assert_eq!(of(&pair.prompt), Some(toward_first(&pair)), "the first counts");
    assert_eq!(of("never asked"), None);
    pairs[0].margin = f64::INFINITY;
    write_annotations(&path, &pairs).unwrap();
    let error = Said::read(&path).unwrap_err().to_string();
    assert!(error.contains("inf") && error.contains("twice.parquet"), "{error}");
}

#[test]
fn tables_of_other_pairs_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let earlier = folder.path().join("earlier");
    run(&earlier, &[("annotator.kind", "random")]).0.unwrap();
    let with = format!("[{earlier:?}]");
    let both = [("annotator.combine", "mean"), ("annotator.with", &with[..])];
    // The earlier run kept no calibration pairs apart.
    let fit = [&both[..], &[("confidence.temperature", "fit")]].concat();
    let error = run(&folder.path().join("fit"), &fit).0.unwrap_err().to_string();
    assert!(error.contains("calibration pairs") && error.contains("earlier run"), "{error}");
    let nowhere = [("annotator.combine", "mean"), ("annotator.with", "/no/such/run")];
    let error = run(&folder.path().join("nowhere"), &nowhere).0.unwrap_err().to_string();
    assert!(error.contains("neither an annotator nor a table"), "{error}");
    let path = folder.path().join("others.parquet");
    doctored(&earlier, &path, |_, pair| {
        pair.prompt.push('?');
        true
    });
    let with = format!("[{path:?}]");
    let both = [("annotator.combine", "mean"), ("annotator.with", &with[..])];
    let error = run(&folder.path().join("others"), &both).0.unwrap_err().to_string();
    assert!(error.contains("of none of the") && error.contains("others.parquet"), "{error}");
}

#[test]
fn combinations_without_meaning_are_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let twice = format!("[{0:?}, {0:?}]", file.path());
    for (settings, key, words) in [
        (&[("annotator.with", "random")][..], "annotator.with", "\"none\" lets \"length\""),
        (&[("annotator.combine", "mean")], "annotator.combine", "nobody to combine \"length\""),
        (
            &[("annotator.combine", "dawid-skene"), ("annotator.with", "random")],
            "annotator.combine",
            "with 2 annotators",
        ),
        (
            &[("annotator.combine", "mean"), ("annotator.with", "longer")],
            "annotator.with",
            "\"longer\" would speak twice",
        ),
        (
            &[("annotator.combine", "mean"), ("annotator.with", &twice)],
            "annotator.with",
            "would speak twice",
        ),
        (
            &[("annotator.combine", "mean"), ("annotator.with", "judge")],
            "annotator.with",
            "policy.epochs = 0",
        ),
        (
            &[("annotator.combine", "mean"), ("annotator.with", "human")],
            "annotator.with",
            "repeats the labels",
        ),
        (
            &[
                ("annotator.combine", "mean"),
                ("annotator.with", "random"),
                ("annotator.kind", "file"),
            ],
            "annotator.combine",
            "repeats the labels",
        ),
        (
            &[("annotator.combine", "mean"), ("annotator.with", "nowhere")],
            "annotator.with",
            "neither an annotator nor a table",
        ),
    ] {
        let error = recipe(settings).check("x").unwrap_err();
        let text = error.to_string();
        let confide::run::RecipeError::Invalid { key: found, .. } = error else {
            panic!("{error}")
        };
        assert!(found == key && text.contains(words), "{found}: {text}");
    }
}

#[test]
fn weights_may_be_made_of_what_each_says() {
    let weight = "expr: p if z_length * z_random > 0 else 0.5 - disagreement";
    let folder = tempfile::tempdir().unwrap();
    let alone = recipe(&[("confidence.weight", weight)]).check("x").unwrap_err().to_string();
    assert!(alone.contains("nothing is called “disagreement”"), "{alone}");
    let settings = [
        ("annotator.combine", "product"),
        ("annotator.with", "random"),
        ("confidence.weight", weight),
        ("policy.epochs", "1"),
        ("policy.steps", "1"),
    ];
    let (report, _) = run(folder.path().join("run").as_path(), &settings);
    report.unwrap();
}

#[test]
fn paths_begin_at_the_recipe_and_names_stay() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("{LENGTH}\n").replace(
        "kind = 'length'",
        "kind = 'length', combine = 'dawid-skene', with = ['random', 'earlier']",
    );
    std::fs::create_dir(folder.path().join("earlier")).unwrap();
    let table = folder.path().join("earlier/annotations.parquet");
    std::fs::write(&table, "").unwrap();
    let path = folder.path().join("recipe.toml");
    std::fs::write(&path, text).unwrap();
    let recipe = Recipe::load(&path, &[]).unwrap();
    let combining = &recipe.annotator.constants.combining;
    assert_eq!(combining.combine, Combine::DawidSkene);
    assert_eq!(combining.with[0], "random");
    assert_eq!(Path::new(&combining.with[1]), folder.path().join("earlier"));
    assert_eq!(combining.further()[1], Further::Table(folder.path().join("earlier")));
    let columns = combining.columns(recipe.annotator.kind);
    assert_eq!(columns, ["z_length", "z_random", "z_table_1"]);
    assert_eq!(Recipe::parse(&recipe.to_toml(), &path, &[]).unwrap(), recipe);
    // And a recipe that knows nothing of it.
    let mut json = serde_json::to_value(&recipe).unwrap();
    for key in ["combine", "with"] {
        json["annotator"].as_object_mut().unwrap().remove(key).unwrap();
    }
    let read: Recipe = serde_json::from_value(json).unwrap();
    let combining = &read.annotator.constants.combining;
    assert_eq!((combining.combine, combining.with.len()), (Combine::None, 0));
}
