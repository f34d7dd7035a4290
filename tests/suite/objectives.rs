//! Objectives against check values, against sums written out, and in parts.

use burn::tensor::{Device, Tensor};
use confide::batch::{Ranked, Sequence};
use confide::preference::{OBJECTIVES, Objective, PairLogProbs, Preference};
use confide::registry::{Choice, Constants};
use confide::train::{PolicyPair, PreferenceTask, Task, WeightedMean};
use proptest::prelude::*;

use crate::common::{assert_close, vector};

fn preference(name: &str, beta: f64, constants: &[(&str, f64)]) -> Preference {
    let all = Constants::default();
    let constants = constants.iter().fold(all, |all, (key, value)| all.with(key, *value));
    let objective = Choice::<dyn Objective>::named(name).unwrap();
    Preference { objective, beta, constants, ..Preference::default() }
}

fn tensor(values: impl IntoIterator<Item = f64>) -> Tensor<1> {
    let values: Vec<f32> = values.into_iter().map(|value| value as f32).collect();
    Tensor::from_floats(values.as_slice(), &Device::flex())
}

/// A pair as numbers: log-probabilities under policy and reference, tokens; chosen, then rejected.
type Numbers = [[f64; 2]; 3];

fn losses(preference: &Preference, pairs: &[Numbers]) -> Vec<f64> {
    let of = |what: usize| Ranked {
        chosen: tensor(pairs.iter().map(|pair| pair[what][0])),
        rejected: tensor(pairs.iter().map(|pair| pair[what][1])),
    };
    vector(preference.losses(&PairLogProbs { policy: of(0), reference: of(1), tokens: of(2) }))
}

/// (Δw, Δl, β) → the losses of the papers' formulas, worked out by hand.
#[test]
fn objectives_give_the_check_values() {
    let names = [
        ("cdpo", &[("label_noise", 0.1)][..]),
        ("exo_pair", &[("exo_smoothing", 1e-3)]),
        ("nca_pair", &[]),
        ("bco_pair", &[]),
        ("sppo_hard", &[]),
        ("apo_zero", &[]),
        ("apo_down", &[]),
        ("discopop", &[("discopop_tau", 0.05)]),
    ];
    let ln2 = std::f64::consts::LN_2;
    let table = [
        ([0.0, 0.0], 0.1, [ln2, 2.761231, 1.386294, 1.386294, 50.0, 1.0, 1.0, 0.846574]),
        (
            [2.0, -1.0],
            0.1,
            [0.584355, 2.258199, 1.319407, 1.242536, 25.0, 0.925187, 0.975391, 0.740357],
        ),
        (
            [-1.0, 1.0],
            0.5,
            [1.213262, 4.468040, 1.698154, 1.948154, 8.0, 1.244919, 1.108599, 1.313262],
        ),
    ];
    for (ratios, beta, expected) in table {
        for ((name, constants), expected) in names.iter().zip(expected) {
            let found = losses(&preference(name, beta, constants), &[[ratios, [0.0; 2], [1.0; 2]]]);
            assert_close(&found, &[expected], 2e-6 * expected.max(1.0), name);
        }
    }
}

fn log_sigmoid(x: f64) -> f64 {
    x.min(0.0) - (-x.abs()).exp().ln_1p()
}

/// Losses that see a whole batch, and those that need no reference, from their papers' formulas over sorted
/// lists and plain sums.
fn written_out(name: &str, pairs: &[Numbers], beta: f64) -> f64 {
    let n = pairs.len() as f64;
    let sorted = |of: &dyn Fn(&Numbers) -> f64| {
        let mut values: Vec<f64> = pairs.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let by_rank = |above: Vec<f64>, below: Vec<f64>| {
        let ranks = above.into_iter().zip(below);
        ranks.map(|(a, b)| -log_sigmoid(beta * (a - b))).sum::<f64>() / n
    };
    let mean = |of: &dyn Fn(&Numbers) -> f64| pairs.iter().map(of).sum::<f64>() / n;
    match name {
        "aot" => by_rank(sorted(&|p| p[0][0] - p[0][1]), sorted(&|p| p[1][0] - p[1][1])),
        "aot_unpaired" => by_rank(sorted(&|p| p[0][0] - p[1][0]), sorted(&|p| p[0][1] - p[1][1])),
        "sft" => {
            -pairs.iter().map(|p| p[0][0]).sum::<f64>() / pairs.iter().map(|p| p[2][0]).sum::<f64>()
        }
        "simpo" => mean(&|[p, _, t]| -log_sigmoid(beta * (p[0] / t[0] - p[1] / t[1]) - 0.5)),
        "alphapo" => mean(&|[p, _, t]| {
            let reward = |p: f64, t: f64| (1.0 - (p / t).exp().powf(-0.25)) / 0.25;
            -log_sigmoid(beta * (reward(p[0], t[0]) - reward(p[1], t[1])) - 0.5)
        }),
        other => panic!("{other}"),
    }
}

fn numbers() -> impl Strategy<Value = Numbers> {
    let two = |range: std::ops::Range<f64>| [range.clone(), range];
    (two(-60.0..-1.0), two(-60.0..-1.0), two(3.0..40.0))
        .prop_map(|(p, r, t)| [p, r, t.map(f64::floor)])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn means_over_a_batch_are_those_of_the_papers(
        pairs in prop::collection::vec(numbers(), 1..9), beta in 0.05..2.0f64,
    ) {
        for name in ["aot", "aot_unpaired", "sft", "simpo", "alphapo"] {
            let found = losses(&preference(name, beta, &[]), &pairs);
            prop_assert_eq!(found.len(), pairs.len());
            let mean = found.iter().sum::<f64>() / found.len() as f64;
            let expected = written_out(name, &pairs, beta);
            prop_assert!((mean - expected).abs() < 1e-4 * expected.abs().max(1.0), "{name}: {mean} {expected}");
        }
    }

    /// Whoever of a batch comes first, every pair keeps its loss, and its weight with it.
    #[test]
    fn the_order_of_a_batch_changes_no_loss(
        pairs in prop::collection::vec(numbers(), 2..7), beta in 0.05..1.0f64, turn in 1usize..6,
    ) {
        for objective in OBJECTIVES {
            let name = objective.about().name;
            let preference = preference(name, beta, &[]);
            let mut expected = losses(&preference, &pairs);
            let mut turned = pairs.clone();
            let turn = turn % pairs.len();
            turned.rotate_left(turn);
            expected.rotate_left(turn);
            let largest = expected.iter().fold(1.0f64, |most, loss| most.max(loss.abs()));
            for (found, expected) in losses(&preference, &turned).iter().zip(&expected) {
                prop_assert!((found - expected).abs() <= 1e-5 * largest, "{name}: {found} {expected}");
            }
        }
    }

    /// Weights of 1 are no weights: the step's loss is the plain mean of its pairs', for every objective.
    #[test]
    fn weights_of_one_give_the_unweighted_loss(
        pairs in prop::collection::vec(numbers(), 1..6), beta in 0.05..1.0f64,
    ) {
        for objective in OBJECTIVES {
            let name = objective.about().name;
            let preference = preference(name, beta, &[]);
            let plain = losses(&preference, &pairs);
            let mean = plain.iter().sum::<f64>() / plain.len() as f64;
            let of = |[policy, reference, tokens]: &Numbers| {
                let side = |i: usize| Sequence { prompt: vec![1].into(), response: vec![2; tokens[i] as usize] };
                let _ = policy;
                let sides = Ranked { chosen: side(0), rejected: side(1) };
                let reference = Ranked { chosen: reference[0], rejected: reference[1] };
                PolicyPair { sides, reference, margin: 40.0 }
            };
            let mut task = PreferenceTask::new(
                pairs.iter().map(of).collect(), 0, preference, WeightedMean::Pairs,
                Some(confide::preference::Weighting::default()),
            );
            let items: Vec<usize> = (0..pairs.len()).collect();
            task.begin(&items);
            let sides = [0, 1].into_iter().flat_map(|side| pairs.iter().map(move |pair| pair[0][side]));
            let found = f64::from(task.loss(&items, tensor(sides)).into_scalar::<f32>());
            prop_assert!((found - mean).abs() <= 1e-4 * mean.abs().max(1.0), "{name}: {found} {mean}");
        }
    }
}
