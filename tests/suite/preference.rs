//! Objectives, confidence, calibration and schedules against numbers made elsewhere.

use std::collections::BTreeMap;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use confide::batch::Ranked;
use confide::evaluate::wilson;
use confide::model::Linear;
use confide::preference::{
    Calibrator, Objective, PairLogProbs, Preference, Said, Scheme, Weighting, bradley_terry,
    calibration, confidence, effective_sample_size, selective_curve,
};
use confide::registry::{Choice, Constants};
use confide::train::{AdamW, Gradients, Schedule};
use proptest::prelude::*;
use serde_json::Value;

use crate::common::{assert_close, fixture, numbers, vector};

fn tensor(values: &[f64], device: &Device) -> Tensor<1> {
    let values: Vec<f32> = values.iter().map(|v| *v as f32).collect();
    Tensor::from_floats(values.as_slice(), device)
}

/// Loss and its derivatives by Δw and Δl, for one pair.
fn loss_and_gradient(preference: &Preference, ratios: [f64; 2], tokens: [f64; 2]) -> [f64; 3] {
    let device = Device::flex().autodiff();
    let chosen = tensor(&ratios[..1], &device).require_grad();
    let rejected = tensor(&ratios[1..], &device).require_grad();
    let zero = || tensor(&[0.0], &device);
    let losses = preference.losses(&PairLogProbs::new(
        Ranked { chosen: chosen.clone(), rejected: rejected.clone() },
        Ranked { chosen: zero(), rejected: zero() },
        Ranked { chosen: tensor(&tokens[..1], &device), rejected: tensor(&tokens[1..], &device) },
    ));
    let gradients = losses.clone().sum().backward();
    // What a loss does not look at has no derivative.
    let derivative = |t: &Tensor<1>| t.grad(&gradients).map_or(0.0, |found| vector(found)[0]);
    [vector(losses.inner())[0], derivative(&chosen), derivative(&rejected)]
}

fn preference(objective: &str, beta: f64) -> Preference {
    Preference::named(objective, beta).unwrap()
}

fn scheme(name: &str) -> Choice<dyn Scheme> {
    Choice::named(name).unwrap()
}

/// Weights of a split at a temperature.
fn weigh(weighting: &Weighting, temperature: f64, margins: &[f64]) -> Vec<f64> {
    let (calibrator, none) = (Calibrator::Temperature(temperature), BTreeMap::new());
    let said: Vec<Said<'_>> = margins.iter().map(|d| (*d, &none)).collect();
    weighting.weigh(&weighting.judge(&calibrator, &said).unwrap())
}

#[test]
fn objectives_and_their_gradients_agree_with_torch() {
    for case in fixture("numbers.json")["objectives"].as_array().unwrap() {
        let get = |name: &str| case[name].as_f64().unwrap();
        let (ratios, tokens, beta) = ([get("dw"), get("dl")], [get("nw"), get("nl")], get("beta"));
        for (objective, name) in
            [("dpo", "dpo"), ("rdpo", "rdpo"), ("ipo", "ipo_mean"), ("hinge", "hinge")]
        {
            let found = loss_and_gradient(&preference(objective, beta), ratios, tokens);
            assert_close(&found, &numbers(&case[name]), 2e-5, &format!("{name} of {case}"));
        }
    }
}

/// One minus the entropy of the label in bits, against the sum written out.
#[test]
fn entropy_weighs_what_a_label_tells() {
    for (margin, temperature) in [(0.0, 1.0), (0.3, 1.0), (1.0, 2.0), (4.0, 1.0), (80.0, 1.0)] {
        let p: f64 = 1.0 / (1.0 + f64::exp(-margin / temperature));
        let entropy: f64 =
            [p, 1.0 - p].iter().filter(|p| **p > 0.0).map(|p| -p * p.ln() / 2f64.ln()).sum();
        let found = scheme("entropy").weight(margin / temperature);
        assert!((found - (1.0 - entropy)).abs() < 1e-9, "{margin}: {found} {entropy}");
    }
    assert_eq!(scheme("entropy").weight(0.0), 0.0);
}

/// The table of check values: (Δw, Δl, β) → DPO, rDPO 0.1, IPO on sums.
#[test]
fn objectives_give_the_check_values() {
    let table = [
        ([0.0, 0.0], 0.1, [std::f64::consts::LN_2, std::f64::consts::LN_2, 25.0]),
        ([2.0, -1.0], 0.1, [0.554355, 0.516855, 4.0]),
        ([-1.0, 1.0], 0.5, [1.313262, 1.438262, 9.0]),
    ];
    for (ratios, beta, [dpo, rdpo, ipo]) in table {
        let loss =
            |objective| loss_and_gradient(&preference(objective, beta), ratios, [1.0, 1.0])[0];
        let found = [loss("dpo"), loss("rdpo"), loss("ipo")];
        assert_close(&found, &[dpo, rdpo, ipo], 1e-6, "check values");
    }
}

/// max(0, 1 − z): 1 − z with slopes −β and β below the edge, nothing above it.
#[test]
fn the_hinge_ends_at_a_margin_of_one() {
    let at = |ratios| loss_and_gradient(&preference("hinge", 0.5), ratios, [3.0, 4.0]);
    assert_close(&at([1.0, 0.5]), &[0.75, -0.5, 0.5], 1e-6, "below");
    assert_close(&at([-2.0, 1.0]), &[2.5, -0.5, 0.5], 1e-6, "far below");
    assert_close(&at([3.0, 0.5]), &[0.0, 0.0, 0.0], 1e-6, "above");
}

#[test]
fn a_policy_equal_to_its_reference_has_loss_ln_2_and_the_full_gradient() {
    let [loss, by_chosen, by_rejected] =
        loss_and_gradient(&preference("dpo", 0.5), [0.0, 0.0], [3.0, 4.0]);
    assert_close(
        &[loss, by_chosen, by_rejected],
        &[std::f64::consts::LN_2, -0.25, 0.25],
        1e-6,
        "DPO at 0",
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn gradients_agree_with_finite_differences(
        dw in -6.0..6.0f64, dl in -6.0..6.0f64, nw in 1..40u32, nl in 1..40u32, beta in 0.05..1.0f64,
    ) {
        let tokens = [f64::from(nw), f64::from(nl)];
        for objective in Choice::<dyn Objective>::all().map(|objective| objective.name()) {
            let at = |ratios| loss_and_gradient(&preference(objective, beta), ratios, tokens);
            let [loss, by_dw, by_dl] = at([dw, dl]);
            let step = 0.005;
            // Odds are of probabilities, whose logarithms are negative.
            if objective == "orpo" && (dw.max(dl) > -0.1) {
                continue;
            }
            // Differences across a hinge's edge are no derivative.
            if objective == "hinge" && (beta * (dw - dl) - 1.0).abs() < 3.0 * beta * step {
                continue;
            }
            let slope = |up: [f64; 2], down: [f64; 2]| (at(up)[0] - at(down)[0]) / (2.0 * step);
            let numeric = [
                slope([dw + step, dl], [dw - step, dl]),
                slope([dw, dl + step], [dw, dl - step]),
            ];
            let tolerance = 2e-3 * (1.0 + loss.abs());
            prop_assert!((by_dw - numeric[0]).abs() < tolerance, "{objective:?} {by_dw} {numeric:?}");
            prop_assert!((by_dl - numeric[1]).abs() < tolerance, "{objective:?} {by_dl} {numeric:?}");
        }
    }

    #[test]
    fn weights_stay_in_range_and_ignore_what_they_should(
        margins in prop::collection::vec(0.0..12.0f64, 1..60),
        temperature in 0.2..4.0f64, threshold in 0.0..0.9f64, top in 0.0..1.0f64,
    ) {
        for weight in Choice::<dyn Scheme>::all() {
            let constants = Constants::default().with("top", top);
            let weighting = Weighting { weight: weight.into(), threshold, constants, ..Weighting::default() };
            let weights = weigh(&weighting, temperature, &margins);
            prop_assert_eq!(weights.len(), margins.len());
            for (w, d) in weights.iter().zip(&margins) {
                prop_assert!((0.0..=1.0).contains(w));
                if confidence(d / temperature) < threshold {
                    prop_assert_eq!(*w, 0.0);
                }
            }
            let ess = effective_sample_size(&weights);
            prop_assert!(ess <= margins.len() as f64 + 1e-9);
        }
        let constants = Constants::default().with("top", top);
        let all = Weighting { weight: scheme("top").into(), constants, ..Weighting::default() };
        let all = weigh(&all, temperature, &margins);
        let kept = (top * margins.len() as f64).round() as usize;
        prop_assert_eq!(all.iter().filter(|w| **w > 0.0).count(), kept);
    }
}

#[test]
fn confidence_and_weights_agree_with_their_definitions() {
    let table = [
        (0.0, 0.0),
        (0.5, 0.244919),
        (1.0, 0.462117),
        (2.0, 0.761594),
        (3.0, 0.905148),
        (5.0, 0.986614),
    ];
    for (d, c) in table {
        assert_close(&[confidence(d)], &[c], 1e-6, "C");
    }
    for case in fixture("numbers.json")["confidence"].as_array().unwrap() {
        let d = case["d"].as_f64().unwrap();
        let weight = |name: &str, temperature| {
            weigh(
                &Weighting { weight: scheme(name).into(), ..Weighting::default() },
                temperature,
                &[d],
            )[0]
        };
        let found = [
            weight("sigmoid", 1.0),
            weight("sigmoid", 2.0),
            weight("half-sigmoid", 1.0),
            weight("clipped", 1.0),
            weight("scaled", 1.0),
        ];
        let wanted: Vec<f64> = ["tanh_half", "tanh_half_t2", "sigmoid", "clip1", "clip02"]
            .iter()
            .map(|name| case[*name].as_f64().unwrap())
            .collect();
        assert_close(&found, &wanted, 1e-9, &format!("{case}"));
    }
}

#[test]
fn uniform_weights_leave_the_effective_sample_size_at_n() {
    assert_close(&[effective_sample_size(&[1.0; 7])], &[7.0], 1e-12, "all equal");
    assert_close(&[effective_sample_size(&[1.0, 0.0, 0.0])], &[1.0], 1e-12, "one");
    assert_close(&[effective_sample_size(&[0.0; 3])], &[0.0], 1e-12, "none");
}

#[test]
fn calibration_agrees_with_independent_code() {
    for case in fixture("numbers.json")["calibration"].as_array().unwrap() {
        let margins = numbers(&case["margin"]);
        let correct = numbers(&case["correct"]);
        let signed: Vec<f64> =
            margins.iter().zip(&correct).map(|(m, c)| if *c > 0.0 { *m } else { -m }).collect();
        let found =
            calibration(&signed, &Calibrator::Temperature(case["temperature"].as_f64().unwrap()))
                .unwrap();
        let wanted =
            [&case["ece15"], &case["nll"], &case["brier"]].map(|v: &Value| v.as_f64().unwrap());
        assert_close(&[found.ece, found.nll, found.brier], &wanted, 1e-9, "ece, nll, brier");
        let risks: Vec<f64> = selective_curve(&signed).iter().map(|p| 1.0 - p.accuracy).collect();
        let aurc = risks.iter().sum::<f64>() / risks.len() as f64;
        assert_close(&[aurc], &[case["aurc"].as_f64().unwrap()], 1e-9, "aurc");
    }
    assert!(calibration(&[], &Calibrator::NONE).is_none());
}

#[test]
fn schedules_agree_with_transformers() {
    for case in fixture("numbers.json")["schedules"].as_array().unwrap() {
        let schedule = if case["kind"] == "cosine" { Schedule::Cosine } else { Schedule::Constant };
        let (warmup, total) = (case["warmup"].as_u64().unwrap(), case["total"].as_u64().unwrap());
        let wanted = numbers(&case["multipliers"]);
        let found: Vec<f64> =
            (0..wanted.len() as u64).map(|i| schedule.factor(i, warmup, total)).collect();
        assert_close(&found, &wanted, 1e-9, &format!("{schedule:?} {warmup}/{total}"));
    }
}

/// Two matrices, so that weight decay applies to both.
#[derive(Module, Debug)]
struct Two {
    a: Linear,
    b: Linear,
}

#[test]
fn adamw_with_clipping_agrees_with_torch() {
    let device = Device::flex();
    let row = |v: &Value| tensor(&numbers(v), &device);
    let matrix = |v: &Value| Linear::new(Param::from_tensor(row(v).unsqueeze::<2>()), None);
    for case in fixture("numbers.json")["adamw"].as_array().unwrap() {
        let rate = case["lr"].as_f64().unwrap();
        let mut optimiser = AdamW::new(case["weight_decay"].as_f64().unwrap());
        let mut model = Two { a: matrix(&case["start"][0]), b: matrix(&case["start"][1]) };
        let steps = case["gradients"].as_array().unwrap();
        for (i, wanted) in steps.iter().enumerate() {
            let mut gradients = Gradients::default();
            gradients.add("a.weight".to_owned(), row(&wanted[0]));
            gradients.add("b.weight".to_owned(), row(&wanted[1]));
            let norm = gradients.norm(&Device::flex());
            if let Some(limit) = case["max_norm"].as_f64() {
                gradients.clip(&norm, limit);
                assert_close(
                    &vector(norm),
                    &[case["f32"]["norms"][i].as_f64().unwrap()],
                    1e-5,
                    "norm",
                );
            }
            model = optimiser.step(model, gradients, rate);
            let after = &case["f32"]["after"][i];
            for (linear, wanted) in [(&model.a, &after[0]), (&model.b, &after[1])] {
                let found = vector(linear.weight.val());
                assert_close(&found, &numbers(wanted), 1e-5, &format!("step {i}"));
            }
        }
    }
}

#[test]
fn biases_do_not_decay() {
    let device = Device::flex();
    let ones = || Param::from_tensor(Tensor::<1>::ones([3], &device));
    let weight = Param::from_tensor(Tensor::<2>::ones([1, 3], &device));
    let model = Linear::new(weight, Some(ones()));
    let mut gradients = Gradients::default();
    for name in ["weight", "bias"] {
        gradients.add(name.to_owned(), Tensor::<1>::zeros([3], &device));
    }
    let model = AdamW::new(0.5).step(model, gradients, 0.1);
    assert_close(&vector(model.bias.unwrap().val()), &[1.0; 3], 1e-9, "bias");
    assert_close(&vector(model.weight.val()), &[0.95; 3], 1e-6, "weight");
}

#[test]
fn scores_shifted_together_change_no_label_and_no_loss() {
    let device = Device::flex();
    let (a, b) = (tensor(&[0.3, -1.0], &device), tensor(&[0.1, 2.0], &device));
    let plain = vector(bradley_terry(a.clone(), b.clone()));
    let shifted = vector(bradley_terry(a.add_scalar(5.0), b.add_scalar(5.0)));
    assert_close(&shifted, &plain, 1e-5, "shift");
}

#[test]
fn wilson_intervals_agree() {
    for case in fixture("numbers.json")["wilson"].as_array().unwrap() {
        let row = numbers(case);
        // [successes, n, level, low, high]; only 95 % intervals are reported here.
        if (row[2] - 0.95).abs() < 1e-9 {
            assert_close(&wilson(row[0], row[1]), &row[3..5], 1e-6, "wilson");
        }
    }
}

#[test]
fn swapping_the_candidates_changes_neither_label_nor_confidence() {
    use confide::data::{AnnotatedPair, Side, weak_label};
    let pair = |responses: [&str; 2], scores: [f32; 2], human| AnnotatedPair {
        pair: None,
        margin: f64::from(scores[0] - scores[1]).abs(),
        columns: BTreeMap::new(),
        split: "unlabelled".to_owned(),
        prompt: "p".to_owned(),
        responses: responses.map(str::to_owned),
        human: Some(human),
        scores,
        label: weak_label(scores, || panic!("no tie")),
    };
    let plain = pair(["good", "bad"], [0.7, -0.4], Side::First);
    let swapped = pair(["bad", "good"], [-0.4, 0.7], Side::Second);
    assert_eq!((plain.chosen(), plain.rejected()), ("good", "bad"));
    assert_eq!((swapped.chosen(), swapped.rejected()), ("good", "bad"));
    assert_eq!(plain.margin, swapped.margin);
    assert_eq!((plain.agrees(), swapped.agrees()), (Some(true), Some(true)));
}

#[test]
fn weights_of_one_give_the_unweighted_loss() {
    use confide::batch::{Batch, Sequence};
    use confide::model::{ModelFiles, load, read_sequences, sequence_log_probs};
    use confide::train::{PolicyPair, PreferenceTask, Task, WeightedMean};
    let folder = crate::common::repository("tests/fixtures/models/llama-tied");
    let model = load(&ModelFiles::folder(&folder).unwrap(), &Device::flex()).unwrap().decoder;
    let side = |ids: &[u32]| Sequence { prompt: [3, 9].into(), response: ids.to_vec() };
    let pairs: Vec<PolicyPair> = [0.1, 2.5]
        .into_iter()
        .map(|margin| PolicyPair {
            sides: Ranked { chosen: side(&[5, 7, 1]), rejected: side(&[8, 2]) },
            reference: Ranked { chosen: -9.0, rejected: -8.0 - margin },
            margin,
            mismatched: Some((side(&[4, 4, 6]), -11.0)),
        })
        .collect();
    let uniform = Weighting { weight: scheme("uniform").into(), ..Weighting::default() };
    for objective in Choice::<dyn Objective>::all().map(|objective| objective.name()) {
        for mean in [WeightedMean::Pairs, WeightedMean::Weights] {
            let loss = |weighting| {
                let preference = preference(objective, 0.5);
                let mut task = PreferenceTask::new(pairs.clone(), 0, preference, mean, weighting);
                task.begin(&[0, 1]);
                let outputs = read_sequences(
                    &model,
                    &Batch::one_per_row(&task.sequences(&[0, 1]), task.pad()),
                    &task.reading(&[0, 1]),
                );
                vector(task.loss(&[0, 1], outputs))
            };
            assert_eq!(loss(Some(uniform.clone())), loss(None), "{objective:?} {mean:?}");
        }
    }
    // A weight that comes with a pair multiplies what the weighting gives it.
    let loss = |pairs: &[PolicyPair], given: Vec<f64>| {
        let (preference, items) = (preference("dpo", 0.5), Vec::from_iter(0..pairs.len()));
        let task = PreferenceTask::new(pairs.to_vec(), 0, preference, WeightedMean::Pairs, None);
        let mut task = task.with_given_weights(given);
        task.begin(&items);
        let batch = Batch::one_per_row(&task.sequences(&items), task.pad());
        vector(task.loss(&items, sequence_log_probs(&model, &batch)))[0]
    };
    let alone = [0, 1].map(|i| loss(&pairs[i..=i], vec![1.0]));
    let expected = (0.25 * alone[0] + 3.0 * alone[1]) / 2.0;
    assert_close(&[loss(&pairs, vec![0.25, 3.0])], &[expected], 1e-6, "given");
}
