//! Weights as expressions: their values against Python's, what is refused, and whole runs.

use std::collections::BTreeMap;
use std::path::Path;

use confide::data::{AnnotatedPair, read_annotations};
use confide::preference::{Calibrator, Expression, Said, Weight, Weighting};
use confide::run::{Event, Recipe, Report, RunError};

use crate::common::{assert_close, fixture, numbers, ran};

fn weighting(formula: &str) -> Weighting {
    Weighting {
        weight: Weight::parse(&format!("expr: {formula}")).unwrap(),
        ..Weighting::default()
    }
}

/// Weights of pairs of these margins, each with a column.
fn weigh(
    weighting: &Weighting,
    pairs: &[(f64, BTreeMap<String, f64>)],
) -> Result<Vec<f64>, String> {
    let said: Vec<Said<'_>> = pairs.iter().map(|(d, columns)| (*d, columns)).collect();
    weighting.judge(&Calibrator::NONE, &said).map(|judged| weighting.weigh(&judged))
}

fn with(name: &str, value: f64) -> BTreeMap<String, f64> {
    [(name.to_owned(), value)].into()
}

#[test]
fn expressions_have_the_values_of_python() {
    let fixture = &fixture("calibration.json")["expressions"];
    let rows = numbers(&fixture["pairs"]);
    let pairs: Vec<_> = rows.chunks(2).map(|row| (row[0], with("s", row[1]))).collect();
    for case in fixture["values"].as_array().unwrap() {
        let text = case["text"].as_str().unwrap();
        let weighting = weighting(text);
        weighting.check(&["s"]).unwrap_or_else(|e| panic!("{text}: {e}"));
        for (pair, wanted) in pairs.iter().zip(numbers(&case["values"])) {
            let found = weigh(&weighting, std::slice::from_ref(pair));
            if wanted.is_nan() {
                let error = found.unwrap_err();
                assert!(
                    error.contains("expected a finite number") && error.contains("d = 0"),
                    "{error}"
                );
            } else {
                assert_close(&found.unwrap(), &[wanted.max(0.0)], 1e-12, text);
            }
        }
    }
}

#[test]
fn numbers_that_are_none_stay_so() {
    for text in
        ["min(ln(-d), 1)", "max(1, ln(-d))", "clamp(ln(-d), 0, 1)", "clamp(d, 0, ln(-d))", "max()"]
    {
        let error = weigh(&weighting(text), &[(1.0, BTreeMap::new())]).unwrap_err();
        assert!(error.contains("it is NaN where p = 0.73"), "{text}: {error}");
    }
    let error = weigh(&weighting("1 / (d - 1)"), &[(1.0, BTreeMap::new())]).unwrap_err();
    assert!(error.contains("confidence.weight = \"expr: 1 / (d - 1)\""), "{error}");
    let error = weigh(&weighting("exp(d)"), &[(1000.0, with("s", 2.0))]).unwrap_err();
    assert!(error.contains("it is inf where") && error.contains("s = 2"), "{error}");
}

#[test]
fn what_cannot_be_computed_is_refused_before_it_is_needed() {
    let deep = |open: &str, close: &str| format!("{}p{}", open.repeat(400), close.repeat(400));
    for (text, words) in [
        ("", "it is empty"),
        ("2 *", "syntax error"),
        ("(p", "syntax error"),
        ("p p", "syntax error"),
        ("spread", "nothing is called “spread”; there are p, d, C, s, and the functions min, max"),
        ("log(p)", "nothing is called “log”"),
        ("p.q", "no number"),
        ("p ^ 2", "pow(p, 2)"),
        ("-p ** 2", "pow(p, 2)"),
        ("'a'", "has no meaning"),
        ("[p][0]", "has no meaning"),
        ("p | abs", "has no meaning"),
        ("p > 0.5", "true or false"),
        ("clamp(p)", "missing"),
        ("none", "no number"),
        ("p if d > 100 else none", "no number"),
        (&deep("(", ")"), "recursion"),
        (&deep("-", ""), ""),
        (&"p + ".repeat(300), "expected 1000 or fewer"),
    ] {
        let found = weighting(text).check(&["s"]);
        if words.is_empty() {
            continue;
        }
        let error = found.unwrap_err();
        assert!(
            error.starts_with("confidence.weight = \"expr:") && error.contains(words),
            "{text}: {error}"
        );
    }
    // What has a pole somewhere is none of these.
    for text in ["1 / s", "1 / (p - 0.5)", "ln(d)"] {
        weighting(text).check(&["s"]).unwrap();
    }
    assert!(Weight::parse("tanh").unwrap_err().contains("or “expr: ” and a formula"));
}

#[test]
fn a_column_that_pairs_lack_is_named_with_those_that_there_are() {
    let pairs = [(1.0, with("spread", 0.1)), (2.0, with("other", 0.1)), (3.0, BTreeMap::new())];
    let error = weigh(&weighting("C * (1 - spread)"), &pairs).unwrap_err();
    assert!(error.contains("no column “spread” for 2 of 3 annotated pairs"), "{error}");
    assert!(error.contains("there are p, d, C, other, spread"), "{error}");
}

#[test]
fn an_expression_is_of_the_calibrated_probability() {
    let weighting = weighting("p - 0.25 * C");
    let (none, calibrator) = (BTreeMap::new(), Calibrator::Temperature(2.0));
    let judged = weighting.judge(&calibrator, &[(3.0, &none)]).unwrap();
    let p = 1.0 / (1.0 + (-1.5_f64).exp());
    assert_close(&weighting.weigh(&judged), &[p - 0.25 * (2.0 * p - 1.0)], 1e-12, "calibrated");
}

#[test]
fn an_expression_is_its_text_in_a_recipe() {
    let recipe = recipe(&[("confidence.weight", "expr: 2*p - 1")]);
    assert_eq!(recipe.confidence.weight, Weight::Expression(Expression::new(" 2*p - 1 ")));
    let toml = recipe.to_toml();
    assert!(toml.contains("weight = \"expr: 2*p - 1\""), "{toml}");
    assert_eq!(Recipe::parse(&toml, Path::new("x.toml"), &[]).unwrap(), recipe);
    recipe.check("x").unwrap();
    for (text, words) in [
        ("expr: 2*", "syntax error"),
        ("expr: C * disagreement", "nothing is called “disagreement”"),
        ("expr", "it is empty"),
    ] {
        let error =
            self::recipe(&[("confidence.weight", text)]).check("r.toml").unwrap_err().to_string();
        assert!(
            error.starts_with("r.toml: confidence.weight = \"expr:") && error.contains(words),
            "{error}"
        );
    }
}

fn recipe(settings: &[(&str, &str)]) -> Recipe {
    let text = "device = 'cpu'\nname = 'expressions'\n\
        data = { files = ['builtin:demo'], limit = 50, labelled = 0.3, held_out = 0.2 }\n\
        annotator = { kind = 'length' }\nsft = { epochs = 0 }\n\
        policy = { model = 'builtin:strong', steps = 1, batch_size = 4, accumulate = 8 }\n\
        evaluate = { samples = 0 }";
    let set: Vec<(String, String)> =
        settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Recipe::parse(text, Path::new("length.toml"), &set).unwrap()
}

struct Outcome {
    report: Result<Report, RunError>,
    events: Vec<Event>,
    unlabelled: Vec<AnnotatedPair>,
}

fn run(settings: &[(&str, &str)]) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe(settings);
    recipe.check("length.toml").unwrap();
    let run = folder.path().join("run");
    let (report, events) = ran(recipe, &run);
    let mut unlabelled = read_annotations(&run.join("annotations.parquet")).unwrap_or_default();
    unlabelled.retain(|pair| pair.split == "unlabelled");
    Outcome { report, events, unlabelled }
}

/// A metric of the one step.
fn metric(events: &[Event], name: &str) -> f64 {
    let mut found = events.iter().filter_map(|event| match event {
        Event::Step { metrics, .. } => metrics.get(name),
        _ => None,
    });
    found.next().unwrap()
}

/// What the window and the report make of the table is what the policy trains with.
#[test]
fn a_policy_trains_with_the_weights_of_an_expression() {
    let formula = "expr: 2 * C - 0.3 if d < 1 else 1.5";
    let settings = [("confidence.weight", formula), ("confidence.threshold", "0.05")];
    let Outcome { report, events, unlabelled } = run(&settings);
    let report = report.unwrap();
    let c = |pair: &AnnotatedPair| (pair.margin / 2.0).tanh();
    let value = |pair: &AnnotatedPair| if pair.margin < 1.0 { 2.0 * c(pair) - 0.3 } else { 1.5 };
    let weight = |pair: &AnnotatedPair| if c(pair) >= 0.05 { value(pair).max(0.0) } else { 0.0 };
    let weights: Vec<f64> = unlabelled.iter().map(weight).collect();
    let count = weights.len() as f64;
    assert!((24.0..=32.0).contains(&count), "{count} pairs are one step");
    let kept = weights.iter().filter(|w| **w > 0.0).count();
    let below = unlabelled.iter().filter(|pair| value(pair) < 0.0).count();
    assert!(kept > 0 && below > 0 && kept < weights.len(), "{kept} kept, {below} below 0");
    assert_eq!(report.confidence.kept, kept);
    let told = format!("confidence.weight gives {below} of {count} pairs a weight below 0");
    assert!(report.warnings.iter().any(|w| w.contains(&told)), "{:?}", report.warnings);

    let table = confide::app::pairs::PairTable::new(unlabelled);
    let shown = confide::app::pairs::Weights::new(&table, &recipe(&settings).confidence);
    assert_close(&shown.weight, &weights, 1e-12, "the window's");
    let mean = weights.iter().sum::<f64>() / count;
    assert_close(&[metric(&events, "weight/mean")], &[mean], 1e-9, "the trainer's");
    assert_close(
        &[metric(&events, "weight/effective_sample_size")],
        &[shown.effective],
        1e-9,
        "ess",
    );
}

/// C as an expression is the paper's weighting, whichever way confidence enters training.
#[test]
fn c_as_an_expression_is_the_weighting_of_the_paper() {
    for sampling in ["every", "proportional"] {
        let trained = |weight: &str| {
            let settings = [("confidence.weight", weight), ("policy.sampling", sampling)];
            let Outcome { report, events, .. } = run(&settings);
            report.unwrap();
            [metric(&events, "loss"), metric(&events, "weight/mean"), metric(&events, "grad_norm")]
        };
        assert_eq!(trained("expr: C"), trained("sigmoid"), "{sampling}");
    }
}

#[test]
fn a_weight_that_is_no_number_ends_the_run_with_the_pair() {
    let error =
        run(&[("confidence.weight", "expr: sqrt(C - 0.1)")]).report.unwrap_err().to_string();
    assert!(error.contains("it is NaN where p = 0.5") && error.contains("C = 0.0"), "{error}");
}
