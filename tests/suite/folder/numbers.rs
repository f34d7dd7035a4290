//! Numbers that are not finite are written so that they can be read again.

use std::collections::BTreeMap;

use confide::annotate::{Tried, Unasked};
use confide::dissect::{Dissection, Effect, Found};
use confide::preference::{Bin, Calibration};
use confide::run::{
    AnnotatorReport, ConfidenceReport, DataReport, Event, GoldReport, GoldSample, KeptReport,
    Metrics, PolicyReport, QuestionReport, Report, RoundReport, TournamentReport, read_events,
};

/// Every number of a report; a new one has to be added here.
fn report(x: f64) -> Report {
    let bins = vec![Bin { count: 1, confidence: x, accuracy: x }];
    let calibration = Calibration { count: 1, accuracy: x, ece: x, nll: x, brier: x, bins };
    let sample = |text: &str| (text.to_owned(), x);
    Report {
        name: "n".to_owned(),
        data: DataReport::default(),
        prompts: BTreeMap::new(),
        annotator: AnnotatorReport {
            kind: String::new(),
            accuracy: Some(x),
            ece: Some(x),
            nll: Some(x),
            aurc: Some(x),
            longer_is_better: Some(x),
            steps: 1,
            calibration: Some(calibration),
            position_bias: Some(x),
            consistent: Some(x),
            tournament: Some(TournamentReport {
                orders: 1,
                pairs: 1,
                overruled: 1,
                inconsistency: Some(x),
            }),
            question: Some(QuestionReport {
                before: "b".to_owned(),
                prompt: "p".to_owned(),
                instruction: "i".to_owned(),
                fairness: [x, x],
                pairs: 1,
                fairness_further: Some([x, x]),
                further: 1,
                epochs: 1,
                tried: vec![Tried { words: "w".to_owned(), fairness: x }],
                unasked: Unasked::default(),
            }),
            combination: None,
        },
        confidence: ConfidenceReport {
            mean: Some(x),
            kept: 1,
            agreement: Some(x),
            agreement_kept: Some(x),
            calibration: None,
            gate: None,
        },
        dissection: Some(Dissection {
            pairs: 1,
            human_explained: Some(x),
            weak_explained: Some(x),
            resamples: 200,
            prior_scale: x,
            inexact: 0,
            properties: vec![Found {
                property: "p".to_owned(),
                title: "t".to_owned(),
                summary: "s".to_owned(),
                scale: x,
                differing: x,
                human: Some(Effect { value: x, interval: [x, x] }),
                weak: Some(Effect { value: x, interval: [x, x] }),
                difference: Some(Effect { value: x, interval: [x, x] }),
            }],
        }),
        policy: PolicyReport {
            objective: String::new(),
            steps: 1,
            kept: Some(KeptReport { mean: x, last: x, steps: 3 }),
            rewards_margin: Some(x),
            rewards_accuracy: Some(x),
        },
        rounds: BTreeMap::from([("2".to_owned(), round(x))]),
        gold: Some(GoldReport {
            model: String::new(),
            accuracy: Some(x),
            prompts: 1,
            base: x,
            sft: x,
            policy: x,
            win_rate: x,
            win_rate_interval: [x, x],
            samples: vec![GoldSample {
                prompt: "p".to_owned(),
                before: sample("b"),
                after: sample("a"),
            }],
        }),
        skipped_steps: BTreeMap::new(),
        device: "d".to_owned(),
        seconds: x,
        intervals: BTreeMap::new(),
        measured: BTreeMap::new(),
        warnings: Vec::new(),
    }
}

fn round(x: f64) -> RoundReport {
    RoundReport {
        steps: 1,
        prompts: 1,
        alike: 0,
        silent: 0,
        pairs: 1,
        kept: 1,
        length: Some(x),
        ended: Some(x),
        confidence: Some(x),
        annotator_accuracy: Some(x),
        annotator_ece: Some(x),
        gold: Some(x),
    }
}

#[test]
fn a_report_without_one_finite_number_is_read_back() {
    for x in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.0, -0.0, 1e308, 0.1 + 0.2] {
        let written = report(x);
        let text = serde_json::to_string(&written).unwrap();
        let read: Report = serde_json::from_str(&text).unwrap();
        assert_eq!(format!("{read:?}"), format!("{written:?}"));
        assert!(!text.contains("null"), "{text}");
    }
    let text = serde_json::to_string(&report(f64::NAN)).unwrap();
    assert!(text.contains("\"nll\":\"NaN\""), "{text}");
    // What is not known is something else.
    let empty = Report::default();
    let read: Report = serde_json::from_str(&serde_json::to_string(&empty).unwrap()).unwrap();
    assert_eq!(read, empty);
}

#[test]
fn events_without_finite_numbers_are_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut metrics = Metrics::default();
    for (name, value) in
        [("a", f64::NAN), ("b", f64::INFINITY), ("c", f64::NEG_INFINITY), ("d", 2.5)]
    {
        metrics.set(name, value);
    }
    let stage = confide::run::Stage::POLICY;
    let written = vec![
        Event::Step { stage, step: 1, metrics },
        Event::Threshold { value: f64::INFINITY },
        Event::StageEnded { stage, seconds: f64::NAN, peak_memory: None },
        Event::Finished { report: Box::new(report(f64::NAN)) },
    ];
    let lines = written.iter().map(|event| serde_json::to_string(event).unwrap() + "\n");
    std::fs::write(folder.path().join("events.jsonl"), lines.collect::<String>()).unwrap();
    let read = read_events(folder.path()).unwrap();
    assert_eq!(format!("{read:?}"), format!("{written:?}"));
    // Files of earlier versions have null in place of NaN.
    let old = r#"{"event":"step","stage":"policy","step":2,"metrics":{"loss":null}}"#;
    std::fs::write(folder.path().join("events.jsonl"), format!("{old}\n")).unwrap();
    let read = read_events(folder.path()).unwrap();
    assert!(matches!(&read[..], [Event::Step { metrics, .. }] if metrics.0["loss"].is_nan()));
}

#[test]
fn settings_are_finite() {
    let recipe = super::tiny();
    for (key, value) in [
        ("checkpoint_seconds", "inf"),
        ("policy.max_grad_norm", "inf"),
        ("policy.beta", "inf"),
        ("confidence.temperature", "inf"),
        ("sft.weight_decay", "nan"),
    ] {
        let error = recipe.with(&[(key.to_owned(), value.to_owned())]).unwrap_err().to_string();
        assert!(error.contains(key) && error.contains("finite number"), "{error}");
    }
}
