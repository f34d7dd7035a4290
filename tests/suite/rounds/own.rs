//! SPIN: preferred responses against those that the policy writes.

use super::*;

const SPIN: (&str, &str) = ("policy.objective", "spin");

/// In each round, the first included, the human's choice stands against a response of the policy, which is the
/// reference: the loss begins at ln 2.
#[test]
fn preferred_responses_are_held_against_the_policys_own() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("run");
    let (report, events) = run(&folder, &[SPIN, ("annotator.kind", "human")]);
    let pairs = confide::builtin::pairs("demo", 0).unwrap().0;
    for round in [1, 2] {
        let rows = table(&folder, round);
        assert_eq!(rows.len(), 8);
        for row in &rows {
            let pair = &pairs[row.pair.unwrap() as usize];
            let preferred = pair.label.unwrap().preferred;
            assert_eq!(row.responses[0], pair.responses[preferred.index()]);
            assert_eq!(row.label, Side::First);
            assert!(!pair.responses.contains(&row.responses[1]));
        }
    }
    assert_ne!(table(&folder, 1), table(&folder, 2));
    let started = |wanted: Stage| {
        let is =
            |event: &Event| matches!(event, Event::StageStarted { stage, .. } if *stage == wanted);
        events.iter().any(is)
    };
    assert!(!started(Stage::REFERENCE) && started(Stage::POLICY));
    let (losses, margins) = (numbers(&events, "loss"), numbers(&events, "rewards/margins"));
    assert_eq!((losses.len(), report.rounds["1"].steps, report.rounds["2"].steps), (4, 2, 2));
    for first in [0, 2] {
        assert_close(&losses[first..=first], &[std::f64::consts::LN_2], 1e-6, "first loss");
        assert_eq!(margins[first], 0.0);
    }
    assert!(margins[1] != 0.0 && margins[3] != 0.0);
    assert!(!report.warnings.iter().any(|warning| warning.contains("learned from other texts")));
}

/// How sure the label is weighs the pair: its confidence is that of the annotations.
#[test]
fn labels_weigh_what_they_weigh_elsewhere() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("run");
    let settings = [SPIN, ("online.rounds", "1"), ("online.prompts", "0"), ("policy.steps", "1")];
    let (_, events) = run(&folder, &[&settings[..], &[("policy.batch_size", "100")]].concat());
    let known = read_annotations(&folder.join("annotations.parquet")).unwrap();
    let rows = table(&folder, 1);
    let labelled = known.iter().filter(|pair| pair.split == "unlabelled").count();
    assert!(rows.len() > 20 && rows.len() <= labelled, "{} of {labelled}", rows.len());
    let mut weights = Vec::new();
    for row in &rows {
        let pair = known.iter().find(|pair| pair.pair == row.pair).unwrap();
        assert_eq!((&*row.responses[0], row.margin), (pair.chosen(), pair.margin));
        weights.push((pair.margin / 2.0).tanh());
    }
    let mean = weights.iter().sum::<f64>() / weights.len() as f64;
    assert_close(&numbers(&events, "weight/mean"), &[mean], 1e-9, "weight/mean");
    assert_close(&numbers(&events, "loss"), &[mean * std::f64::consts::LN_2], 1e-6, "loss");
}

/// −log σ(β(Δw − Δl)) and its slopes, written out.
#[test]
fn the_loss_is_logistic_in_both_log_ratios() {
    use confide::batch::Ranked;
    use confide::preference::{PairLogProbs, Preference};

    let beta = 0.1;
    let preference = Preference::named("spin", beta).unwrap();
    for [dw, dl] in [[0.0, 0.0], [2.0, -1.0], [-3.0, 4.0], [0.5, 30.0]] {
        let tensor = |x: f64| burn::tensor::Tensor::<1>::from_floats([x as f32], &Device::flex());
        let both = |x: [f64; 2]| Ranked { chosen: tensor(x[0]), rejected: tensor(x[1]) };
        let pairs =
            PairLogProbs::new(both([dw - 7.0, dl - 9.0]), both([-7.0, -9.0]), both([3.0; 2]));
        let found = crate::common::vector(preference.losses(&pairs));
        let expected = (1.0 + (-beta * (dw - dl)).exp()).ln();
        assert_close(&found, &[expected], 1e-5, "spin");
    }
}
