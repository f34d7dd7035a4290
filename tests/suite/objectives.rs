//! Objectives against check values, against sums written out, and in parts.

use std::path::Path;

use burn::tensor::{Device, Tensor};
use confide::batch::{Batch, Ranked, Sequence};
use confide::data::{AnnotatedPair, Prompt, Side, read_annotations};
use confide::model::{ModelFiles, load, token_log_probs};
use confide::preference::{
    MismatchedLogProbs, OBJECTIVES, Objective, PairLogProbs, Preference, PromptLogProbs, Recent,
    joint_reference,
};
use confide::registry::{Choice, Constants};
use confide::run::{Event, Recipe, Stage, estimate, find_model};
use confide::text::{Encoder, Tokenizer};
use confide::train::{PolicyPair, PreferenceTask, Task, WeightedMean};
use proptest::prelude::*;

use crate::common::{assert_close, ran, vector};

fn preference(name: &str, beta: f64, constants: &[(&str, f64)]) -> Preference {
    let all = Constants::default();
    let constants = constants.iter().fold(all, |all, (key, value)| all.with(key, *value));
    let objective = Choice::<dyn Objective>::named(name).unwrap();
    Preference { objective: objective.into(), beta, constants, ..Preference::default() }
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
    let mut all = PairLogProbs::new(of(0), of(1), of(2));
    let each = |f: fn(&Numbers) -> f64| tensor(pairs.iter().map(f));
    all.prompts = Some(PromptLogProbs {
        policy: each(of_prompt),
        tokens: each(|_| (PROMPT.len() - 1) as f64),
    });
    all.mismatched = Some(MismatchedLogProbs {
        policy: each(|p| mismatched(p, 0)),
        reference: each(|p| mismatched(p, 1)),
    });
    vector(preference.losses(&all))
}

const PROMPT: [u32; 6] = [1; 6];

/// The log-probability of a pair's prompt under the policy.
fn of_prompt(pair: &Numbers) -> f64 {
    -3.0 + pair[0][0] / 4.0
}

/// That of another pair's response behind it, under the policy or the reference.
fn mismatched(pair: &Numbers, model: usize) -> f64 {
    -5.0 + 0.75 * pair[model][1]
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
        "cpo" => {
            let nll = -pairs.iter().map(|p| p[0][0]).sum::<f64>()
                / pairs.iter().map(|p| p[2][0]).sum::<f64>();
            mean(&|[p, ..]| -log_sigmoid(beta * (p[0] - p[1]))) + nll
        }
        "orpo" => {
            let sums = pairs.iter().map(|p| (p[0][0] + of_prompt(p), p[2][0] + 5.0));
            let (all, tokens) = sums.fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y));
            let log_odds = |p: f64, t: f64| p / t - (1.0 - (p / t).exp()).ln();
            let odds = mean(&|[p, _, t]| log_sigmoid(log_odds(p[0], t[0]) - log_odds(p[1], t[1])));
            -all / tokens - beta * odds
        }
        "kto" => {
            let moved = (beta * mean(&|p| mismatched(p, 0) - mismatched(p, 1))).max(0.0);
            let lost = |value: f64| 1.0 - log_sigmoid(value).exp();
            mean(&|[p, r, _]| {
                (lost(beta * (p[0] - r[0]) - moved) + lost(moved - beta * (p[1] - r[1]))) / 2.0
            })
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

/// In probabilities, as the paper has it: 1/π̃ = Σ_k a_k/π_k.
fn joint(base: [f64; 2], other: [f64; 2]) -> [f64; 2] {
    let gaps = [base, other].map(|of: [f64; 2]| (of[0] - of[1]).abs());
    let share = gaps[0] / (gaps[0] + gaps[1]);
    [0, 1].map(|i| -(share / base[i].exp() + (1.0 - share) / other[i].exp()).ln())
}

fn ranked([chosen, rejected]: [f64; 2]) -> Ranked<f64> {
    Ranked { chosen, rejected }
}

/// A trust region of 1 leaves the other reference as it is where it is no further than the base from certain.
#[test]
fn several_references_are_one_as_mrpo_has_it() {
    let wide = preference("mrpo", 0.1, &[("mrpo_eta", 1.0)]);
    for (base, other) in [([-12.0, -9.0], [-12.5, -9.5]), ([-30.0, -31.0], [-28.0, -35.0])] {
        let found = joint_reference(ranked(base), &[ranked(other)], &wide);
        assert_close(&found.into_array(), &joint(base, other), 1e-9, "two references");
        // The same one twice is that one.
        let same = joint_reference(ranked(base), &[ranked(base); 2], &wide);
        assert_close(&same.into_array(), &base, 1e-9, "one, three times");
    }
    // η = 0.1, shared 1 : 2 by how unlikely the responses are: within a thirtieth and a fifteenth of the base's.
    let narrow = preference("mrpo", 0.1, &[("mrpo_eta", 0.1)]);
    let found = joint_reference(ranked([-30.0, -60.0]), &[ranked([-30.0, -60.0])], &narrow);
    assert_close(&found.into_array(), &[-30.0, -60.0], 1e-9, "inside");
    let (base, far) = ([-30.0, -60.0], [-90.0, -180.0]);
    let found = joint_reference(ranked(base), &[ranked(far)], &narrow);
    let gaps = [30.0, 90.0].map(|gap| gap / 120.0);
    let led = [-30.0 * (1.0 + 0.1 / 3.0), -60.0 * (1.0 + 0.2 / 3.0)];
    let expected = [0, 1].map(|i| {
        let base: f64 = base[i];
        -(gaps[0] * (-base).exp() + gaps[1] * f64::exp(-led[i])).ln()
    });
    assert_close(&found.into_array(), &expected, 1e-9, "outside");
}

/// Labels that the policy agrees with least are smoothed, once the warm-up is over.
#[test]
fn doubtful_labels_are_those_of_the_least_logits() {
    let settings =
        preference("spa", 1.0, &[("spa_share", 0.1), ("spa_window", 50.0), ("spa_warmup", 0.2)]);
    let mut recent = Recent::default();
    assert_eq!(recent.border(50, 100, &settings), None);
    let logits: Vec<f32> = (0..80).map(|i| (i * 37 % 80) as f32).collect();
    logits.chunks(8).for_each(|step| recent.push(step, &settings));
    let mut sorted = logits[30..].to_vec();
    sorted.sort_by(f32::total_cmp);
    assert_eq!(recent.border(19, 100, &settings), None);
    let border = recent.border(20, 100, &settings).unwrap();
    assert_eq!(border, f64::from(sorted[5] + sorted[6]) / 2.0);
    let zero = || tensor([0.0, 0.0]);
    let both = |chosen: [f64; 2]| Ranked { chosen: tensor(chosen), rejected: zero() };
    let mut pairs = PairLogProbs::new(both([-2.0, 3.0]), both([0.0; 2]), both([1.0; 2]));
    pairs.doubtful = Some(0.5);
    let expected = [-0.9 * log_sigmoid(-2.0) - 0.1 * log_sigmoid(2.0), -log_sigmoid(3.0)];
    assert_close(&vector(settings.losses(&pairs)), &expected, 1e-6, "spa");
    // De-coupled, it is the other label that is doubted; losses are of the policy as it is.
    pairs.extrapolated = Some(both([4.0, -3.0]));
    assert_close(&vector(pairs.doubted(&settings)), &[4.0, -3.0], 1e-6, "what doubts");
    let expected = [-log_sigmoid(-2.0), -0.9 * log_sigmoid(3.0) - 0.1 * log_sigmoid(-3.0)];
    assert_close(&vector(settings.losses(&pairs)), &expected, 1e-6, "de-coupled");
}

/// A margin is what a pair has to be told apart by, and several losses are added.
#[test]
fn offsets_and_mixtures_are_sums() {
    let both = |chosen: f64| Ranked { chosen: tensor([chosen]), rejected: tensor([0.0]) };
    let mut pairs = PairLogProbs::new(
        both(3.0),
        both(0.0),
        Ranked { chosen: tensor([2.0]), rejected: tensor([2.0]) },
    );
    pairs.margins = Some(tensor([1.5]));
    let offset = Preference { offset: 0.4, ..preference("dpo", 0.5, &[]) };
    assert_close(&vector(offset.losses(&pairs)), &[-log_sigmoid(1.5 - 0.6)], 1e-6, "odpo");
    let mixture = Preference {
        objective: serde_json::from_str("[\"sigmoid\", \"sft\"]").unwrap(),
        loss_weights: vec![1.0, 0.5],
        ..preference("dpo", 0.5, &[])
    };
    let expected = -log_sigmoid(1.5) - 0.5 * 3.0 / 2.0;
    assert_close(&vector(mixture.losses(&pairs)), &[expected], 1e-6, "dpo + sft");
    assert_eq!(mixture.objective.name(), "dpo + sft");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn means_over_a_batch_are_those_of_the_papers(
        pairs in prop::collection::vec(numbers(), 1..9), beta in 0.05..2.0f64,
    ) {
        for name in ["aot", "aot_unpaired", "sft", "simpo", "alphapo", "cpo", "orpo", "kto"] {
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
            // In f32 a mean of log-ratios of 60 depends on the order in its last digits.
            let largest = if objective.needs().mismatched { 4.0 * largest } else { largest };
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
                let side = |i: usize| Sequence { prompt: PROMPT.into(), response: vec![2; tokens[i] as usize] };
                let reference_of = *reference;
                let sides = Ranked { chosen: side(0), rejected: side(1) };
                let reference = Ranked { chosen: reference[0], rejected: reference[1] };
                let mismatched = Some((side(0), mismatched(&[*policy, reference_of, *tokens], 1)));
                PolicyPair { sides, reference, margin: 40.0, mismatched }
            };
            let mut task = PreferenceTask::new(
                pairs.iter().map(of).collect(), 0, preference, WeightedMean::Pairs,
                Some(confide::preference::Weighting::default()),
            );
            let items: Vec<usize> = (0..pairs.len()).collect();
            task.begin(&items);
            let each = |f: &dyn Fn(&Numbers) -> f64| pairs.iter().map(f).collect::<Vec<f64>>();
            let mut sides = vec![each(&|pair| pair[0][0]), each(&|pair| pair[0][1])];
            let needs = objective.needs();
            if needs.mismatched {
                sides.push(each(&|pair| mismatched(pair, 0)));
            }
            if needs.prompts {
                (0..sides.len()).for_each(|_| sides.push(each(&of_prompt)));
            }
            let found = f64::from(task.loss(&items, tensor(sides.concat())).into_scalar::<f32>());
            prop_assert!((found - mean).abs() <= 1e-4 * mean.abs().max(1.0), "{name}: {found} {mean}");
        }
    }
}

fn refusal(settings: &[(&str, &str)]) -> Option<String> {
    let set: Vec<(String, String)> = settings
        .iter()
        .map(|(key, value)| (format!("policy.{key}"), (*value).to_owned()))
        .collect();
    confide::demo::recipe().with(&set).err().map(|error| error.to_string())
}

/// What has no meaning is refused at once, with the setting, the reason, and what would have one.
#[test]
fn combinations_without_a_meaning_are_refused() {
    for (settings, words) in [
        (&[("objective", "simpo"), ("ld_alpha", "0.5")][..], "policy.ld_alpha has no meaning"),
        (&[("objective", "aot"), ("use_weighting", "true")], "take one of dpo, ipo"),
        (&[("objective", "kto"), ("f_divergence_type", "forward_kl")], "objective kto"),
        (&[("objective", "ipo"), ("odpo_alpha", "0.1")], "policy.odpo_alpha has no meaning"),
        (&[("objective", "[\"dpo\", \"cpo\"]"), ("ref_model_sync_steps", "4")], "objective cpo"),
        (&[("objective", "mrpo")], "policy.references is empty"),
        (&[("objective", "kto"), ("batch_size", "1"), ("accumulate", "1")], "two pairs a step"),
        (&[("loss_weights", "[1.0, 0.5]")], "2 numbers for 1 objectives (dpo)"),
        (&[("objective", "[\"dpo\", \"sft\"]"), ("loss_weights", "[1.0, -1.0]")], "holds -1"),
        (&[("objective", "[\"dpo\", \"sigmoid\"]")], "dpo stands there twice"),
        (&[("objective", "[]")], "no objective is named"),
        (&[("objective", "[\"dpo\", \"dopo\"]")], "“dopo” is not an objective"),
        (&[("ref_model_sync_steps", "4"), ("lora.rank", "4")], "policy.lora.rank = 0"),
        (
            &[("objective", "spa"), ("spa_lambda", "0.5"), ("ref_model_sync_steps", "4")],
            "set policy.spa_lambda = 0",
        ),
        (
            &[("ref_model_sync_steps", "4"), ("references", "[\"builtin:strong\"]")],
            "set one of the two",
        ),
    ] {
        let found = refusal(settings).unwrap_or_else(|| panic!("{settings:?} is not refused"));
        assert!(found.contains(words), "{settings:?}: {found}");
    }
    for settings in [
        &[("objective", "[\"sigmoid\", \"sft\"]"), ("loss_weights", "[1, 0.5]")][..],
        &[("objective", "spa"), ("odpo_alpha", "0.1"), ("ld_alpha", "0.5")],
        &[("objective", "mrpo"), ("references", "[\"builtin:strong\"]")],
        &[("objective", "aot"), ("ref_model_sync_steps", "4")],
    ] {
        assert_eq!(refusal(settings), None, "{settings:?}");
    }
}

/// A mixture is written into the recipe of a run as it was read.
#[test]
fn mixtures_stay_lists_in_recipes() {
    let set = |value: &str| [("policy.objective".to_owned(), value.to_owned())];
    let mixed = confide::demo::recipe().with(&set("[\"sigmoid\", \"sft\"]")).unwrap();
    let text = mixed.to_toml();
    let again = Recipe::parse(&text, Path::new("again.toml"), &[]).unwrap();
    assert_eq!(again, mixed);
    let one = mixed.with(&set("ipo")).unwrap();
    assert!(one.to_toml().contains("objective = \"ipo\""), "{}", one.to_toml());
}

/// A short run whose policy has these settings.
fn short(settings: &[(&str, &str)]) -> Recipe {
    let small = [
        ("data.limit", "60"),
        ("annotator.kind", "human"),
        ("sft.epochs", "0"),
        ("policy.steps", "4"),
        ("policy.batch_size", "4"),
        ("policy.accumulate", "1"),
        ("evaluate.samples", "0"),
        ("device", "cpu"),
    ];
    let own = settings.iter().map(|(key, value)| (format!("policy.{key}"), (*value).to_owned()));
    let set: Vec<(String, String)> = small
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into_iter()
        .chain(own)
        .collect();
    confide::demo::recipe().with(&set).unwrap()
}

/// The losses of its steps.
fn steps(settings: &[(&str, &str)]) -> Vec<f64> {
    let folder = tempfile::tempdir().unwrap();
    let (report, events) = ran(short(settings), &folder.path().join("run"));
    report.unwrap();
    let loss = |event: Event| match event {
        Event::Step { stage: Stage::POLICY, metrics, .. } => metrics.get("loss"),
        _ => None,
    };
    events.into_iter().filter_map(loss).collect()
}

/// Held-out rewards are of what the loss reads: what is longer in one response than in the other counts less, as it
/// does where TRL evaluates. Written out from each token's log-probability, under the models that a run leaves.
#[test]
fn held_out_rewards_count_excess_tokens_less() {
    let place = tempfile::tempdir().unwrap();
    let mut margins = Vec::new();
    for alpha in ["0.25", "1.0"] {
        let folder = place.path().join(alpha);
        let whose = ("annotator.kind".to_owned(), "length".to_owned());
        let settings = [("ld_alpha", alpha), ("learning_rate", "3e-3"), ("steps", "12")];
        let recipe = short(&settings).with(&[whose]);
        let recipe = recipe.unwrap();
        let report = ran(recipe.clone(), &folder).0.unwrap();
        let expected = recipe.policy.beta * log_ratio_margin(&folder, alpha.parse().unwrap());
        margins.push(report.policy.rewards_margin.unwrap());
        assert_close(&margins[margins.len() - 1..], &[expected], 1e-4, alpha);
    }
    assert!((margins[0] - margins[1]).abs() > 0.01, "{margins:?}");
}

/// The mean difference of log-ratios of a run's policy to its start, on the held-out pairs.
fn log_ratio_margin(folder: &Path, alpha: f64) -> f64 {
    let start = find_model("builtin:strong").unwrap();
    let encoder = Encoder::plain(Tokenizer::load(&start).unwrap());
    let policy = ModelFiles::folder(&folder.join("policy")).unwrap();
    let [policy, start] = [&policy, &start].map(|f| load(f, &Device::flex()).unwrap().decoder);
    let mut table = read_annotations(&folder.join("annotations.parquet")).unwrap();
    table.retain(|pair| pair.split == "held_out" && pair.human.is_some());
    let margin = |pair: &AnnotatedPair| {
        let prompt = Prompt::Text(pair.prompt.clone());
        let [first, second] =
            pair.responses.each_ref().map(|text| encoder.sequence(&prompt, text).unwrap());
        let shorter = first.response.len().min(second.response.len());
        let ratio = |side: &Sequence| {
            let batch = Batch::one_per_row(&[side], 0);
            let [policy, start] = [&policy, &start].map(|m| vector(token_log_probs(m, &batch)));
            let ratios = policy.iter().zip(&start).map(|(policy, start)| policy - start);
            let part = |(t, ratio)| if t < shorter { ratio } else { alpha * ratio };
            ratios.enumerate().map(part).sum::<f64>()
        };
        let margin = ratio(&first) - ratio(&second);
        if pair.human == Some(Side::First) { margin } else { -margin }
    };
    table.iter().map(margin).sum::<f64>() / table.len() as f64
}

/// Each further reference stands beside the policy while it is asked, and none beside another.
#[test]
fn an_estimate_counts_further_references() {
    let folder = tempfile::tempdir().unwrap();
    let weights = |references: &str| {
        let recipe = short(&[("objective", "mrpo"), ("references", references)]);
        let stages = estimate(&recipe, folder.path()).unwrap().stages;
        stages.iter().find(|found| found.stage == Stage::REFERENCE).unwrap().needs.weights
    };
    let plain = estimate(&short(&[("objective", "dpo")]), folder.path()).unwrap().stages;
    let policy = plain.iter().find(|found| found.stage == Stage::REFERENCE).unwrap().needs.weights;
    let strong = weights("[\"builtin:strong\"]");
    assert_eq!(strong, 2 * policy);
    assert!((policy + 1..strong).contains(&weights("[\"builtin:weak\"]")));
    assert_eq!(weights("[\"builtin:weak\", \"builtin:strong\"]"), strong);
}

/// Two references that are one and the same are one, and what compares with none of them runs to its end as well.
#[test]
fn objectives_with_more_sequences_or_references_run() {
    let plain = steps(&[("objective", "dpo")]);
    let twice = steps(&[("objective", "mrpo"), ("references", "[\"builtin:strong\"]")]);
    assert_eq!(plain.len(), 4);
    assert_close(&twice, &plain, 1e-4, "the same reference twice");
    let other = steps(&[("references", "[\"builtin:weak\"]"), ("mrpo_eta", "0.5")]);
    assert!((other[0] - plain[0]).abs() > 1e-3, "{other:?} {plain:?}");
    for objective in ["kto", "orpo"] {
        let losses = steps(&[("objective", objective)]);
        assert!(losses.len() == 4 && losses.iter().all(|loss| loss.is_finite()), "{losses:?}");
    }
    // At the first step nothing has moved: ½ (½ + ½).
    assert_close(&steps(&[("objective", "kto")])[..1], &[0.5], 1e-5, "kto at its start");
}
