//! Which pairs a step is made of, and which of them are computed.

use burn::tensor::{Device, Tensor};
use confide::batch::{Ranked, Sequence};
use confide::model::{Decoder, ModelFiles, load};
use confide::preference::{Objective, Preference, Weighting};
use confide::registry::Choice;
use confide::train::{
    AdamW, Ended, ExecutionPlan, Flow, Metrics, MovingReference, OutputKind, PairSampling,
    PendingMetrics, PolicyPair, PreferenceTask, Sampler, Schedule, Start, Task, TrainerCallback,
    Training, WeightedMean, train,
};
use proptest::prelude::*;

use crate::common::{assert_close, repository};

fn training(batch_size: usize) -> Training {
    Training {
        batch_size,
        accumulate: 1,
        warmup_steps: 0,
        schedule: Schedule::Constant,
        weight_decay: 0.0,
        learning_rate: 1e-2,
        ..Training::default()
    }
}

/// How often each pair is drawn in an epoch.
fn counts(order: &Sampler, epoch: u64, steps: u64, weights: &[f64]) -> Vec<usize> {
    let mut counts = vec![0; weights.len()];
    for step in epoch * steps..(epoch + 1) * steps {
        order.draw(step, weights).into_iter().for_each(|i| counts[i] += 1);
    }
    counts
}

proptest! {
    /// An epoch draws as many pairs as there are, each as often as its weight says, to less than
    /// one; on average exactly as often, so that the gradient is that of the weighted loss.
    #[test]
    fn pairs_are_drawn_in_proportion_to_their_weights(
        weights in prop::collection::vec(prop_oneof![Just(0.0), 0.001f64..1.0], 2..40),
        batch in 1usize..9,
        seed in any::<u64>(),
    ) {
        prop_assume!(weights.iter().sum::<f64>() > 0.0);
        let n = weights.len();
        let order = Sampler::new(n, &training(batch), true, seed, 3);
        let steps = n.div_ceil(batch) as u64;
        let total: f64 = weights.iter().sum();
        const EPOCHS: u64 = 300;
        let mut sums = vec![0.0; n];
        for epoch in 0..EPOCHS {
            let counts = counts(&order, epoch, steps, &weights);
            prop_assert_eq!(counts.iter().sum::<usize>(), n);
            for ((sum, count), weight) in sums.iter_mut().zip(counts).zip(&weights) {
                let expected = n as f64 * weight / total;
                prop_assert!((count as f64 - expected).abs() < 1.0 + 1e-9, "{} for {}", count, expected);
                *sum += count as f64;
            }
        }
        for (sum, weight) in sums.iter().zip(&weights) {
            let expected = n as f64 * weight / total;
            let part = expected.fract();
            let error = (part * (1.0 - part) / EPOCHS as f64).sqrt();
            let mean = sum / EPOCHS as f64;
            prop_assert!((mean - expected).abs() <= 5.0 * error + 1e-6, "{} for {}", mean, expected);
        }
    }
}

#[test]
fn a_draw_depends_on_seed_stage_step_and_weights_alone() {
    let weights: Vec<f64> = (0..30).map(|i| f64::from(i) / 30.0).collect();
    let order = |seed, stage| Sampler::new(30, &training(4), true, seed, stage);
    let draw = |seed, stage, step| order(seed, stage).draw(step, &weights);
    assert_eq!(draw(1, 2, 9), draw(1, 2, 9));
    assert_ne!(draw(1, 2, 9), draw(2, 2, 9));
    assert_ne!(draw(1, 2, 9), draw(1, 3, 9));
    assert_ne!(draw(1, 2, 1), draw(1, 2, 9), "another epoch");
    assert!(order(1, 2).draw(3, &[0.0; 30]).is_empty());
}

fn model() -> Decoder {
    let folder = repository("tests/fixtures/models/llama-tied");
    load(&ModelFiles::folder(&folder).unwrap(), &Device::flex()).unwrap().decoder
}

fn pairs(margins: &[f64]) -> Vec<PolicyPair> {
    let pair = |i: usize, margin: f64| {
        let prompt: std::sync::Arc<[u32]> = (1..4 + i as u32 % 3).collect();
        let side = |start: u32| Sequence {
            prompt: prompt.clone(),
            response: (start..start + 3 + i as u32 % 4).collect(),
        };
        PolicyPair {
            sides: Ranked { chosen: side(20 + i as u32), rejected: side(9) },
            reference: Ranked { chosen: -20.0, rejected: -21.0 },
            margin,
            mismatched: Some((side(31), -19.0)),
        }
    };
    margins.iter().enumerate().map(|(i, margin)| pair(i, *margin)).collect()
}

fn task(pairs: Vec<PolicyPair>, threshold: f64, sampling: PairSampling) -> PreferenceTask {
    let preference = Preference::named("dpo", 0.5).unwrap();
    let weighting = Weighting { threshold, ..Weighting::default() };
    PreferenceTask::new(pairs, 0, preference, WeightedMean::Pairs, Some(weighting))
        .with_sampling(sampling)
}

#[derive(Default)]
struct Watch {
    steps: Vec<Metrics>,
    warnings: Vec<String>,
}

impl TrainerCallback for Watch {
    fn before_step(&mut self) -> Flow {
        Flow::Go
    }
    fn after_step(&mut self, _: u64, _: u64, metrics: &Metrics) {
        self.steps.push(metrics.clone());
    }
    fn wants_checkpoint(&mut self, _: u64, _: u64) -> bool {
        false
    }
    fn warn(&mut self, message: String) {
        self.warnings.push(message);
    }
}

fn run(mut task: PreferenceTask, batch: usize) -> (Decoder, Watch) {
    let training = training(batch);
    let order = Sampler::new(task.len(), &training, false, 0, 0);
    let plan = ExecutionPlan::default();
    let start = Start::fresh(model(), AdamW::new(0.0), plan);
    let mut watch = Watch::default();
    match train(start, &mut task, order, &training, &mut watch).unwrap() {
        Ended::Done(model) => (*model, watch),
        Ended::Stopped => panic!("nobody stopped it"),
    }
}

fn weights_of(model: &Decoder) -> Vec<f64> {
    let tensors = confide::model::collect_tensors(model);
    tensors.values().flat_map(|t| t.values.iter().map(|v| f64::from(*v))).collect()
}

/// Pairs below the threshold stay in N, and are in nothing else: not in what is computed, not in
/// the means, not in the tokens.
#[test]
fn pairs_of_weight_0_are_counted_but_not_computed() {
    let all = pairs(&[3.0, 0.1, 0.2, 2.0]);
    let kept: Vec<PolicyPair> = [0, 3].map(|i: usize| all[i].clone()).to_vec();
    let (_, whole) = run(task(all.clone(), 0.5, PairSampling::Every), 4);
    let (_, part) = run(task(kept.clone(), 0.5, PairSampling::Every), 2);
    let get = |watch: &Watch, name: &str| watch.steps[0].get(name).unwrap();
    for name in
        ["rewards/chosen", "rewards/rejected", "rewards/margins", "logps/chosen", "num_tokens"]
    {
        assert_eq!(get(&whole, name), get(&part, name), "{name}");
    }
    for name in ["loss", "grad_norm", "weight/mean"] {
        assert_close(&[get(&whole, name)], &[0.5 * get(&part, name)], 1e-6, name);
    }
    let tokens: usize = kept.iter().flat_map(|p| p.sides.each()).map(Sequence::len).sum();
    assert_eq!(get(&whole, "num_tokens"), tokens as f64);
}

#[test]
fn a_step_without_weights_changes_nothing() {
    for sampling in [PairSampling::Every, PairSampling::Proportional] {
        let (model_after, watch) = run(task(pairs(&[0.1, 0.2]), 0.9, sampling), 2);
        assert_eq!(weights_of(&model_after), weights_of(&model()));
        assert_eq!(watch.steps[0].get("loss"), Some(0.0));
        assert_eq!(watch.steps[0].get("rewards/margins"), None);
        assert!(watch.warnings.is_empty(), "{:?}", watch.warnings);
    }
}

/// Σ over draws of factor·gradient has the expectation of Σ weight·gradient: with one pair to a
/// step and the loss divided by the number drawn, the mean loss over many epochs is the weighted
/// one.
#[test]
fn the_loss_of_drawn_pairs_is_that_of_weighted_ones_on_average() {
    let all = pairs(&[3.0, 0.3, 0.9, 2.0, 0.05]);
    let n = all.len();
    let device = Device::flex();
    let losses = |task: &mut PreferenceTask, items: &[usize]| -> f64 {
        task.begin(items);
        let log_probs: Vec<f32> = [0.0, 1.0]
            .iter()
            .flat_map(|side| items.iter().map(move |i| -20.0 - side * *i as f32))
            .collect();
        let loss = task.loss(items, Tensor::from_floats(log_probs.as_slice(), &device));
        f64::from(loss.into_scalar::<f32>())
    };
    let mut weighted = task(all.clone(), 0.0, PairSampling::Every);
    let every: Vec<usize> = (0..n).collect();
    let expected = losses(&mut weighted, &every);
    let mut drawn = task(all, 0.0, PairSampling::Proportional);
    let mut order = Sampler::new(n, &training(n), true, 5, 0);
    const EPOCHS: u64 = 2000;
    let found: Vec<f64> = (0..EPOCHS)
        .map(|step| {
            let items = drawn.items(&mut order, step);
            losses(&mut drawn, &items)
        })
        .collect();
    let mean = found.iter().sum::<f64>() / EPOCHS as f64;
    let variance = found.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / EPOCHS as f64;
    let error = (variance / EPOCHS as f64).sqrt();
    assert!((mean - expected).abs() <= 4.0 * error, "{mean} ± {error}, expected {expected}");
    assert!(variance > 0.0, "the draws differ");
}

/// A loss that no pair has alone: every margin is compared with the mean over the step.
struct AgainstTheMean(PreferenceTask);

impl Task for AgainstTheMean {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn whole_batch(&self) -> bool {
        true
    }
    fn begin(&mut self, items: &[usize]) {
        self.0.begin(items);
    }
    fn output_kind(&self) -> OutputKind {
        self.0.output_kind()
    }
    fn sequences(&self, items: &[usize]) -> Vec<&Sequence> {
        self.0.sequences(items)
    }
    fn pad(&self) -> Option<u32> {
        self.0.pad()
    }
    fn loss(&mut self, items: &[usize], outputs: Tensor<1>) -> Tensor<1> {
        let n = items.len();
        let margins = outputs.clone().narrow(0, 0, n) - outputs.narrow(0, n, n);
        (margins.clone() - margins.mean()).square().mean()
    }
    fn metrics(&mut self) -> PendingMetrics {
        PendingMetrics::known(Metrics::default())
    }
}

/// Memory may split a step into parts, or not: a loss over the whole step is the same.
#[test]
fn a_loss_over_a_whole_step_is_the_same_in_parts() {
    let all = pairs(&[3.0, 0.3, 0.9, 2.0, 0.05, 1.0, 0.4]);
    let steps = |micro_batch: usize, recompute: bool| {
        let training = Training { steps: 3, ..training(7) };
        let order = Sampler::new(all.len(), &training, false, 0, 0);
        let mut task = AgainstTheMean(task(all.clone(), 0.0, PairSampling::Every));
        let plan = ExecutionPlan { micro_batch, recompute, ..ExecutionPlan::default() };
        let mut watch = Watch::default();
        let start = Start::fresh(model(), AdamW::new(0.0), plan);
        train(start, &mut task, order, &training, &mut watch).unwrap();
        let number = |name: &str| watch.steps.iter().map(|s| s.get(name).unwrap()).collect();
        let (losses, norms): (Vec<f64>, Vec<f64>) = (number("loss"), number("grad_norm"));
        [losses, norms].concat()
    };
    let whole = steps(0, false);
    assert!(whole[0] > 0.0 && whole[0] != whole[1], "{whole:?}");
    for (micro_batch, recompute) in [(3, false), (1, true), (4, true)] {
        assert_close(&steps(micro_batch, recompute), &whole, 1e-5, &format!("{micro_batch}"));
    }
}

/// The same of every objective, and of what changes one.
#[test]
fn every_objective_is_the_same_in_parts() {
    let all = pairs(&[3.0, 0.3, 0.9, 2.0, 0.05, 1.0, 0.4]);
    let steps = |preference: &Preference, moves: bool, micro_batch: usize| {
        let training = Training { steps: 4, ..training(7) };
        let order = Sampler::new(all.len(), &training, false, 0, 0);
        let mean = WeightedMean::Pairs;
        let mut task = PreferenceTask::new(
            all.clone(),
            0,
            preference.clone(),
            mean,
            Some(Weighting::default()),
        );
        if moves {
            task = task.with_moving_reference(MovingReference::new(&model(), 2, 0.6));
        }
        let plan = ExecutionPlan { micro_batch, ..ExecutionPlan::default() };
        let mut watch = Watch::default();
        let start = Start::fresh(model(), AdamW::new(0.0), plan);
        train(start, &mut task, order, &training, &mut watch).unwrap();
        let number = |name: &str| watch.steps.iter().map(|s| s.get(name).unwrap()).collect();
        let (losses, norms): (Vec<f64>, Vec<f64>) = (number("loss"), number("grad_norm"));
        [losses, norms].concat()
    };
    let named = |name: &str| Preference::named(name, 0.5).unwrap();
    let mut cases: Vec<(String, Preference, bool)> = Choice::<dyn Objective>::all()
        .map(|objective| (objective.name().to_owned(), named(objective.name()), false))
        .collect();
    let tails = Preference { ld_alpha: Some(0.3), ..named("ipo") };
    let own = Preference { use_weighting: true, offset: 0.2, ..named("dpo") };
    let both = Preference {
        objective: serde_json::from_str("[\"orpo\", \"aot\"]").unwrap(),
        ..named("dpo")
    };
    let all_at_once = Preference { use_weighting: true, ld_alpha: Some(0.5), ..named("hinge") };
    for (name, preference, moves) in [
        ("tails", tails, false),
        ("the policy's own weights", own, false),
        ("orpo + aot", both, false),
        ("a reference that moves", all_at_once, true),
        ("a reference that moves, seen at once", named("aot"), true),
    ] {
        cases.push((name.to_owned(), preference, moves));
    }
    for (name, preference, moves) in cases {
        let whole = steps(&preference, moves, 0);
        assert!(whole.iter().all(|number| number.is_finite()), "{name}: {whole:?}");
        let scale = whole.iter().fold(1.0f64, |most, number| most.max(number.abs()));
        assert_close(&steps(&preference, moves, 3), &whole, 1e-5 * scale, &name);
    }
}
