//! Calibration: what is fitted against SciPy and scikit-learn, and in whole runs.

use std::collections::HashSet;
use std::path::Path;

use confide::data::{AnnotatedPair, read_annotations};
use confide::preference::{
    CalibrationMethod, Calibrator, Doubt, FEW, Fitted, Temperature, Weighting, aurc,
    aurc_difference, aurc_difference_over, calibration, confidence, selective_curve,
};
use confide::run::{Control, Event, Job, Recipe, Report, RunError, execute};
use serde_json::Value;

use crate::common::{assert_close, fixture, numbers, printed, program, ran};

fn fitted(method: CalibrationMethod, signed: &[f64]) -> Option<Fitted> {
    let weighting =
        Weighting { calibration: method, temperature: Temperature::Fit, ..Weighting::default() };
    weighting.calibrator(signed)
}

fn sets() -> Vec<Value> {
    fixture("calibration.json")["sets"].as_array().unwrap().clone()
}

#[test]
fn the_temperature_is_that_of_scipy() {
    for set in sets() {
        let signed = numbers(&set["signed"]);
        let found = fitted(CalibrationMethod::Temperature, &signed).unwrap();
        assert_eq!((found.pairs, &found.doubts[..]), (signed.len(), &[][..]));
        let t = found.calibrator.temperature().unwrap();
        assert_close(&[t], &[set["temperature"].as_f64().unwrap()], 1e-6, "T");
        let nll = |t: f64| calibration(&signed, &Calibrator::Temperature(t)).unwrap().nll;
        assert_close(&[nll(t), nll(t / 2.0), nll(2.0 * t)], &numbers(&set["nll"]), 1e-7, "nll");
        assert!(nll(t) < nll(t * 0.999) && nll(t) < nll(t * 1.001), "{t} is no minimum");
        // Which response stands first, and in which order pairs do, is nothing to it.
        let turned: Vec<f64> = signed.iter().rev().copied().collect();
        let again = fitted(CalibrationMethod::Temperature, &turned).unwrap().calibrator;
        assert_close(&[again.temperature().unwrap()], &[t], 1e-9, "turned");
    }
}

#[test]
fn the_isotonic_regression_is_that_of_scikit_learn() {
    for set in sets() {
        let signed = numbers(&set["signed"]);
        let found = fitted(CalibrationMethod::Isotonic, &signed).unwrap();
        let Calibrator::Isotonic(isotonic) = &found.calibrator else { panic!("{found:?}") };
        let at = numbers(&set["isotonic"]["at"]);
        let p: Vec<f64> = at.iter().map(|d| isotonic.probability(*d)).collect();
        assert_close(&p, &numbers(&set["isotonic"]["p"]), 1e-9, "p");
        let most = set["most"].as_f64().unwrap();
        assert!(isotonic.knots.is_sorted_by(|a, b| a[0] < b[0] && a[1] <= b[1]));
        assert!(isotonic.knots.iter().all(|knot| (0.5..=most + 1e-12).contains(&knot[1])));
        for (d, p) in at.iter().zip(&p) {
            // 2p − 1, which is what C is of log-odds.
            assert_close(&[confidence(found.calibrator.log_odds(*d))], &[2.0 * p - 1.0], 1e-9, "C");
        }
    }
}

#[test]
fn calibrated_probabilities_are_measured_as_stated() {
    for set in sets() {
        let (signed, held_out) = (numbers(&set["signed"]), numbers(&set["held_out"]));
        for (method, name) in [
            (CalibrationMethod::Temperature, "temperature"),
            (CalibrationMethod::Isotonic, "isotonic"),
        ] {
            let found = fitted(method, &signed).unwrap();
            let found = calibration(&held_out, &found.calibrator).unwrap();
            let wanted = numbers(&set["calibrated"][name]);
            assert_close(&[found.ece, found.nll, found.brier], &wanted, 1e-6, name);
            let right = held_out.iter().filter(|m| **m > 0.0).count() as f64;
            assert_eq!(found.accuracy, right / held_out.len() as f64, "labels stay as they are");
        }
    }
}

#[test]
fn margins_that_fix_no_temperature_give_one_with_a_doubt() {
    let doubts = |signed: &[f64]| {
        let found = fitted(CalibrationMethod::Temperature, signed).unwrap();
        let t = found.calibrator.temperature().unwrap();
        assert!(t.is_finite() && t > 0.0, "{t}");
        assert_eq!(found.warnings().len(), found.doubts.len());
        (t, found.doubts)
    };
    let many = |margins: [f64; 3]| margins.repeat(FEW);
    // All right, all wrong, right and wrong alike, nothing but ties.
    let (lowest, separable) = doubts(&many([0.5, 1.0, 1.5]));
    assert_close(&[lowest], &[0.01], 1e-9, "the lowest T");
    assert_eq!(separable, [Doubt::Separable]);
    assert_eq!(doubts(&many([-0.5, -1.0, -1.5])).1, [Doubt::Useless]);
    assert_eq!(doubts(&many([1.0, -1.0, 0.0])).1, [Doubt::Useless]);
    assert_eq!(doubts(&many([0.0; 3])), (1.0, vec![Doubt::Useless]));
    assert_eq!(doubts(&[1.0, -0.2]).1, [Doubt::Few]);
    assert!(fitted(CalibrationMethod::Temperature, &[]).is_none());
    assert!(fitted(CalibrationMethod::Temperature, &[f64::NAN]).is_none());

    let isotonic = |signed: &[f64]| fitted(CalibrationMethod::Isotonic, signed).unwrap();
    assert_eq!(isotonic(&many([-0.5, -1.0, -1.5])).doubts, [Doubt::Useless]);
    // n labels that are all right: (n + 1)/(n + 2), Laplace.
    let sure = isotonic(&many([0.5, 1.0, 1.5]));
    let n = 3.0 * FEW as f64;
    assert_close(&[sure.calibrator.log_odds(1.0)], &[(n + 1.0_f64).ln()], 1e-9, "logit");
    assert_eq!(sure.calibrator.log_odds(0.0), 0.0, "a coin decides a tie");
    assert!(sure.doubts.is_empty());
    assert!(fitted(CalibrationMethod::Isotonic, &[]).is_none());
}

#[test]
fn what_is_stated_is_fitted_on_nothing() {
    let stated = Weighting { temperature: Temperature::Stated(2.5), ..Weighting::default() };
    assert!(!stated.fits());
    let found = stated.calibrator(&[1.0, -1.0]).unwrap();
    assert_eq!((found.calibrator, found.pairs), (Calibrator::Temperature(2.5), 0));
}

#[test]
fn the_area_under_the_curve_of_risk_is_that_of_numpy() {
    let wanted = &fixture("calibration.json")["aurc"];
    let of = |name: &str| numbers(&wanted[name]);
    let (first, second) = (of("first"), of("second"));
    let found = [aurc(&first).unwrap(), aurc(&second).unwrap()];
    assert_close(&found, &of("area"), 1e-12, "area");
    assert_close(&[aurc(&of("tied")).unwrap()], &of_one(&wanted["tied_area"]), 1e-12, "tied");
    // It is the mean of the curve that the window draws.
    let curve = selective_curve(&first);
    let mean = curve.iter().map(|point| 1.0 - point.accuracy).sum::<f64>() / curve.len() as f64;
    assert_close(&[found[0]], &[mean], 1e-12, "curve");
    assert_eq!((aurc(&[]), aurc(&[1.0, 2.0]), aurc(&[-1.0, 0.0])), (None, Some(0.0), Some(1.0)));

    let rows = wanted["resamples"].as_array().unwrap();
    let places = |row: &Value| numbers(row).into_iter().map(|place| place as usize).collect();
    let difference = aurc_difference_over(&first, &second, rows.iter().map(places)).unwrap();
    assert_close(&[difference.value], &[found[0] - found[1]], 1e-12, "difference");
    assert_close(&difference.interval, &of("interval"), 1e-12, "interval");
    // One at a time.
    for (row, wanted) in rows.iter().zip(of("differences")) {
        let [low, high] =
            aurc_difference_over(&first, &second, std::iter::once(places(row))).unwrap().interval;
        assert_close(&[low, high], &[wanted, wanted], 1e-12, "resample");
    }
}

#[test]
fn a_paired_bootstrap_tells_a_better_confidence_from_the_same_one() {
    let wanted = &fixture("calibration.json")["aurc"];
    let (first, second) = (numbers(&wanted["first"]), numbers(&wanted["second"]));
    let same = aurc_difference(&first, &first, 1).unwrap();
    assert_eq!((same.value, same.interval), (0.0, [0.0, 0.0]));
    let other = aurc_difference(&first, &second, 1).unwrap();
    let [low, high] = other.interval;
    assert!(low < other.value && other.value < high, "{other:?}");
    assert_eq!(aurc_difference(&first, &second, 1), Some(other), "the same seed");
    let turned = aurc_difference(&second, &first, 1).unwrap();
    assert_close(&turned.interval, &[-high, -low], 1e-12, "turned");
    // More resamples of another generator: as wide, within what 2,000 leave open.
    let rows = numbers(&wanted["interval"]);
    assert!((high - low) / (rows[1] - rows[0]) > 0.6 && (high - low) / (rows[1] - rows[0]) < 1.6);
    assert!(aurc_difference(&[], &[], 1).is_none());
}

fn of_one(value: &Value) -> [f64; 1] {
    [value.as_f64().unwrap()]
}

const LENGTH: &str = "device = 'cpu'\nname = 'calibrated'\n\
    data = { files = ['builtin:demo'], limit = 400, labelled = 0.5, calibration = 0.4, held_out = 0.2 }\n\
    annotator = { kind = 'length' }\nsft = { epochs = 0 }\n\
    policy = { model = 'builtin:strong', steps = 2, batch_size = 4, accumulate = 1 }\n\
    evaluate = { samples = 0 }";

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

fn part<'a>(table: &'a [AnnotatedPair], name: &str) -> Vec<&'a AnnotatedPair> {
    table.iter().filter(|pair| pair.split == name).collect()
}

fn signed(pairs: &[&AnnotatedPair]) -> Vec<f64> {
    pairs.iter().filter_map(|pair| pair.signed_margin()).collect()
}

/// The pairs that calibrate come out of the labelled split, by prompt; what a run reports is measured on the
/// held-out split; and the policy trains with the weights that follow.
#[test]
fn a_run_fits_on_a_split_of_its_own_and_measures_on_another() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, fit) = (folder.path().join("plain"), folder.path().join("fit"));
    let before = run(&plain, &[]).0.unwrap();
    let (after, events) = run(&fit, &[("confidence.temperature", "fit")]);
    let after = after.unwrap();
    let table = |run: &Path| read_annotations(&run.join("annotations.parquet")).unwrap();
    let (old, new) = (table(&plain), table(&fit));

    let (held_out, unlabelled) = (part(&new, "held_out"), part(&new, "unlabelled"));
    let calibrating = part(&new, "calibration");
    assert_eq!(held_out, part(&old, "held_out"));
    assert_eq!(unlabelled, part(&old, "unlabelled"));
    assert!(part(&old, "calibration").is_empty());
    let counted = &after.data.summary;
    assert_eq!(counted.calibration, calibrating.len());
    assert_eq!(counted.labelled + counted.calibration, before.data.summary.labelled);
    assert!(calibrating.len() > FEW, "{}", calibrating.len());
    let prompts = |pairs: &[&AnnotatedPair]| -> HashSet<String> {
        pairs.iter().map(|pair| pair.prompt.clone()).collect()
    };
    assert!(
        prompts(&calibrating)
            .is_disjoint(&prompts(&[held_out.clone(), unlabelled.clone()].concat()))
    );

    let found = after.confidence.calibration.as_ref().unwrap();
    let t = found.calibrator.temperature().unwrap();
    let nll = |t: f64| calibration(&signed(&calibrating), &Calibrator::Temperature(t)).unwrap().nll;
    assert!(nll(t) < nll(t * 0.99) && nll(t) < nll(t * 1.01) && found.pairs == calibrating.len());
    assert_eq!(found.before, before.annotator.calibration);
    assert_eq!(found.after, after.annotator.calibration);
    let measured = calibration(&signed(&held_out), &found.calibrator).unwrap();
    assert_eq!(after.annotator.nll, Some(measured.nll));
    // Calibration changes no order; an annotator that looks at lengths is no better than lengths.
    let area = aurc(&signed(&held_out));
    assert_eq!((before.annotator.aurc, after.annotator.aurc), (area, area));
    let name = "annotator.aurc_less_longer";
    let difference = after.measured[name].as_f64().unwrap();
    let [low, high] = after.intervals[name];
    assert!(difference.abs() < 0.02 && low <= difference && difference <= high, "{difference}");
    let counts = events.iter().filter(
        |event| matches!(event, Event::Tabulated { name, .. } if name == "confidence.calibration"),
    );
    assert_eq!(counts.count(), 1);
    assert!(before.confidence.calibration.is_none());
    let text = confide::report::as_text(&after, "");
    assert!(text.contains(&format!("{t:.4}")) && text.contains("Calibration pairs"), "{text}");

    // The weights that the policy trained with, by the same mean.
    let mean = |pairs: &[&AnnotatedPair], t: f64| {
        pairs.iter().map(|p| (p.margin / (2.0 * t)).tanh()).sum::<f64>() / pairs.len() as f64
    };
    assert_close(&[after.confidence.mean.unwrap()], &[mean(&unlabelled, t)], 1e-12, "mean C");
    assert_close(&[before.confidence.mean.unwrap()], &[mean(&unlabelled, 1.0)], 1e-12, "mean C");
}

/// Training weighs with calibrated values: all pairs in one batch have the mean of the table.
#[test]
fn the_policy_trains_with_calibrated_weights() {
    let folder = tempfile::tempdir().unwrap();
    for (name, calibration) in [
        ("t", ("confidence.temperature", "fit")),
        ("isotonic", ("confidence.calibration", "isotonic")),
    ] {
        let run_folder = folder.path().join(name);
        let sizes =
            [("policy.steps", "1"), ("policy.batch_size", "4"), ("policy.accumulate", "16")];
        let settings =
            [&sizes[..], &[calibration, ("data.limit", "150"), ("confidence.threshold", "0.1")]];
        let (report, events) = run(&run_folder, &settings.concat());
        let report = report.unwrap();
        let calibrator = report.confidence.calibration.unwrap().calibrator;
        let table = read_annotations(&run_folder.join("annotations.parquet")).unwrap();
        let unlabelled = part(&table, "unlabelled");
        let weights: Vec<f64> = unlabelled
            .iter()
            .map(|pair| confidence(calibrator.log_odds(pair.margin)))
            .map(|c| if c >= 0.1 { c } else { 0.0 })
            .collect();
        let kept = weights.iter().filter(|w| **w > 0.0).count();
        assert!((1..weights.len()).contains(&kept), "{name}: {kept} of {}", weights.len());
        assert_eq!(report.confidence.kept, kept, "{name}");
        let step = events.iter().find_map(|event| match event {
            Event::Step { metrics, .. } => Some(metrics),
            _ => None,
        });
        let step = step.unwrap();
        let count = weights.len() as f64;
        let mean = weights.iter().sum::<f64>() / count;
        let found = [step.get("weight/mean").unwrap(), step.get("weight/kept").unwrap()];
        assert_close(&found, &[mean, kept as f64 / count], 1e-9, name);
    }
}

#[test]
fn few_pairs_are_warned_of_and_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let few = [("confidence.temperature", "fit"), ("data.calibration", "0.1")];
    let (report, _) = run(&folder.path().join("few"), &few);
    let told = report.unwrap().warnings;
    assert!(
        told.iter().any(|w| w.contains("too few to believe") && w.contains("data.calibration")),
        "{told:?}"
    );
    let none = [("confidence.calibration", "isotonic"), ("data.labelled", "0")];
    let error = run(&folder.path().join("none"), &none).0.unwrap_err().to_string();
    assert!(error.contains("data.calibration = 0.4") && error.contains("data.labelled"), "{error}");
}

/// What cannot be fitted, and what has no meaning together, is refused with the setting's name.
#[test]
fn calibration_without_meaning_is_refused() {
    for (settings, words) in [
        (
            &[("annotator.kind", "human"), ("confidence.temperature", "fit")][..],
            "repeats the labels",
        ),
        (
            &[("annotator.kind", "file"), ("confidence.calibration", "isotonic")],
            "repeats the labels",
        ),
        (&[("data.calibration", "0"), ("confidence.temperature", "fit")], "data.calibration = 0.2"),
        (
            &[("confidence.temperature", "fit"), ("confidence.calibration", "isotonic")],
            "takes the place of T",
        ),
        (
            &[("confidence.temperature", "2"), ("confidence.calibration", "isotonic")],
            "takes the place of T",
        ),
        (&[("confidence.temperature", "0")], "above 0"),
        (&[("data.calibration", "1")], "below 1"),
    ] {
        let found = recipe(settings).check("x").unwrap_err().to_string();
        assert!(
            found.contains(words) && found.contains("confidence.") || found.contains("data."),
            "{found}"
        );
    }
    for kind in ["length", "random"] {
        let settings = [("annotator.kind", kind), ("confidence.temperature", "fit")];
        recipe(&settings).check("x").unwrap();
    }
}

#[test]
fn a_temperature_is_a_number_or_the_word() {
    let fit = recipe(&[("confidence.temperature", "fit")]);
    assert_eq!(fit.confidence.temperature, Temperature::Fit);
    let text = fit.to_toml();
    assert!(text.contains("temperature = \"fit\""), "{text}");
    assert_eq!(Recipe::parse(&text, Path::new("again.toml"), &[]).unwrap(), fit);
    let json = serde_json::to_value(&fit).unwrap();
    assert_eq!(serde_json::from_value::<Recipe>(json).unwrap(), fit);
    // And back.
    let number = fit.with(&[("confidence.temperature".to_owned(), "3".to_owned())]).unwrap();
    assert_eq!(number.confidence.temperature, Temperature::Stated(3.0));
    assert_eq!(Recipe::parse(&number.to_toml(), Path::new("n.toml"), &[]).unwrap(), number);
    let wrong = "confidence = { temperature = 'fitted' }";
    let error = Recipe::parse(wrong, Path::new("w.toml"), &[]).unwrap_err().to_string();
    assert!(
        error.contains("“confidence.temperature”") && error.contains("a number or \"fit\""),
        "{error}"
    );
}

/// A recipe and a run of an earlier version, which know nothing of it.
#[test]
fn recipes_without_the_settings_have_their_defaults() {
    let mut json = serde_json::to_value(recipe(&[])).unwrap();
    json["confidence"].as_object_mut().unwrap().remove("calibration");
    json["data"].as_object_mut().unwrap().remove("calibration");
    let read: Recipe = serde_json::from_value(json).unwrap();
    assert!(!read.confidence.fits() && read.data.calibration == 0.2);
    assert_eq!(read.confidence.calibration, CalibrationMethod::Temperature);
}

/// A run that is stopped behind its annotations and goes on has the numbers of one that was not.
#[test]
fn a_resumed_run_finds_the_same_calibration() {
    let folder = tempfile::tempdir().unwrap();
    let (calm, cut) = (folder.path().join("calm"), folder.path().join("cut"));
    let settings = [("confidence.calibration", "isotonic"), ("policy.steps", "3")];
    let (calm_report, calm_events) = run(&calm, &settings);
    let steps = |events: &[Event]| -> Vec<(u64, Option<f64>)> {
        let step = |event: &Event| match event {
            Event::Step { step, metrics, .. } => Some((*step, metrics.get("loss"))),
            _ => None,
        };
        events.iter().filter_map(step).collect()
    };
    let control = Control::default();
    let job =
        Job::Fresh { recipe: Box::new(recipe(&settings)), folder: cut.clone(), download: false };
    let stopped = execute(job, control.clone(), &mut |event| {
        if matches!(event, Event::Annotated { .. }) {
            control.stop();
        }
    });
    assert!(stopped.is_err());
    let mut events = Vec::new();
    let job = Job::Resume { folder: cut, device: None };
    let resumed = execute(job, Control::default(), &mut |event| events.push(event)).unwrap();
    assert_eq!(steps(&events), steps(&calm_events));
    assert_eq!(steps(&events).len(), 3);
    assert_eq!(resumed.confidence, calm_report.unwrap().confidence);
}

/// With an annotator that learns: it learns from what calibration leaves, and the terminal tells of both.
#[test]
fn an_annotator_does_not_learn_from_the_calibration_split() {
    let folder = tempfile::tempdir().unwrap();
    let steps = |name: &str, more: &[&str]| {
        let out = folder.path().join(name);
        let mut command = program();
        command.arg("demo").arg("--out").arg(&out).args(["--device", "cpu"]);
        let small = ["data.limit=120", "data.max_length=96", "policy.epochs=0", "sft.epochs=0"];
        let learning = ["annotator.epochs=1", "annotator.batch_size=4", "data.calibration=0.5"];
        for set in small.iter().chain(&learning).chain(more) {
            command.args(["--set", set]);
        }
        printed(&mut command);
        let text = std::fs::read_to_string(out.join("report.json")).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let plain = steps("plain", &[]);
    let fit = steps("fit", &["confidence.temperature=fit"]);
    let count = |report: &Value, name: &str| report["data"][name].as_u64().unwrap();
    assert_eq!(count(&plain, "calibration"), 0);
    assert_eq!(count(&fit, "labelled") + count(&fit, "calibration"), count(&plain, "labelled"));
    let learnt = |report: &Value| report["annotator"]["steps"].as_u64().unwrap();
    assert_eq!(learnt(&fit), count(&fit, "labelled").div_ceil(4));
    assert!(learnt(&fit) < learnt(&plain));
    assert_eq!(
        fit["confidence"]["calibration"]["pairs"].as_u64(),
        Some(count(&fit, "calibration"))
    );
}
