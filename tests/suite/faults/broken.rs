//! Training in which one step has no finite loss.

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use confide::batch::Sequence;
use confide::model::{Decoder, SavedTensor, collect_tensors};
use confide::train::{
    AdamW, Ended, ExecutionPlan, Flow, Metrics, NonFinite, OutputKind, PendingMetrics, Sampler,
    Schedule, Start, Task, TrainerCallback, Training, train,
};

/// The negative sum of log-probabilities, times NaN in one step.
struct Broken {
    sequences: Vec<Sequence>,
    at: Option<usize>,
    step: usize,
}

impl Task for Broken {
    fn len(&self) -> usize {
        self.sequences.len()
    }

    fn begin(&mut self, _: &[usize]) {
        self.step += 1;
    }

    fn output_kind(&self) -> OutputKind {
        OutputKind::LogProbs
    }

    fn sequences(&self, items: &[usize]) -> Vec<&Sequence> {
        items.iter().map(|&i| &self.sequences[i]).collect()
    }

    fn pad(&self) -> Option<u32> {
        Some(0)
    }

    fn loss(&mut self, _: &[usize], outputs: Tensor<1>) -> Tensor<1> {
        let factor = if self.at == Some(self.step) { f64::NAN } else { -1.0 };
        outputs.sum().mul_scalar(factor)
    }

    fn metrics(&mut self) -> PendingMetrics {
        PendingMetrics::known(Metrics::default())
    }
}

/// Notes the steps that were skipped.
#[derive(Default)]
struct Watch(Vec<NonFinite>);

impl TrainerCallback for Watch {
    fn before_step(&mut self) -> Flow {
        Flow::Go
    }

    fn after_step(&mut self, _: u64, _: u64, _: &Metrics) {}

    fn wants_checkpoint(&mut self, _: u64, _: u64) -> bool {
        false
    }

    fn warn(&mut self, message: String) {
        panic!("{message}");
    }

    fn skipped(&mut self, found: NonFinite, _: u64) {
        self.0.push(found);
    }
}

/// The weights after so many steps, one of which may be broken, and which were skipped.
fn run(
    decoder: &Decoder,
    at: Option<usize>,
    steps: u64,
) -> (BTreeMap<String, SavedTensor>, Vec<NonFinite>) {
    let side = |i: u32| Sequence { prompt: [3, 9].into(), response: vec![5 + i, 7, 1] };
    let training = Training {
        batch_size: 2,
        accumulate: 1,
        steps,
        learning_rate: 1e-2,
        warmup_steps: 0,
        schedule: Schedule::Constant,
        ..Training::default()
    };
    let mut task = Broken { sequences: (0..4).map(side).collect(), at, step: 0 };
    let order = Sampler::new(4, &training, false, 0, 0);
    let start = Start::fresh(decoder.clone(), AdamW::new(0.1), ExecutionPlan::default());
    let mut watch = Watch::default();
    match train(start, &mut task, order, &training, &mut watch).unwrap() {
        Ended::Done(model) => (collect_tensors(&*model), watch.0),
        Ended::Stopped => panic!("nobody stopped it"),
    }
}

pub(crate) fn skipping_leaves_everything(decoder: &Decoder) {
    let (before, none) = run(decoder, None, 3);
    let (after, skipped) = run(decoder, Some(4), 4);
    assert!(none.is_empty());
    assert_eq!(skipped, [NonFinite { what: "loss", step: 4, skipped: 0 }]);
    assert!(before == after, "the skipped step changed a weight");
    // One in the middle: later steps go on with finite numbers, and elsewhere than without it.
    let (other, skipped) = run(decoder, Some(2), 4);
    assert_eq!(skipped, [NonFinite { what: "loss", step: 2, skipped: 0 }]);
    assert!(other.values().all(|t| t.values.iter().all(|v| v.is_finite())));
    assert!(other != run(decoder, None, 4).0);
}
