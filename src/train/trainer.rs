//! The training loop.

use std::time::Instant;

use burn::tensor::Tensor;

use super::telling::{StepUnread, Teller, read};
use super::{
    AdamW, Gradients, Metrics, Order, Pass, PassSettings, Plan, Readout, Training, Unread,
};
use crate::device::is_cpu;
use crate::model::{Decoder, ModelError, first_not_finite};
use crate::text::{Batch, Sequence};

/// Why training ended early.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The model or its device failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A checkpoint could not be written.
    #[error("the checkpoint could not be written: {0}; is there space left?")]
    Checkpoint(String),
    /// More steps would have to be skipped than may be. The observer was given the last weights,
    /// unless they are no finite numbers themselves.
    #[error("{found}, after {} skipped ones (skip_nonfinite)", found.skipped)]
    Diverged {
        /// The step.
        found: NonFinite,
        /// Whether the weights of before are finite numbers.
        sound: bool,
    },
}

/// A step whose loss or gradient is no finite number, so that it changes no weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NonFinite {
    /// `loss` or `gradient`.
    pub what: &'static str,
    /// Counted from 1.
    pub step: u64,
    /// Steps of the training that were skipped before.
    pub skipped: u64,
}

impl std::fmt::Display for NonFinite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the {} of step {} is no finite number", self.what, self.step)
    }
}

/// What is trained: items with a loss.
pub trait Task {
    /// Items in one epoch.
    fn len(&self) -> usize;

    /// Whether there is nothing to train on.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The items of a step, counted from 0.
    fn items(&self, order: &mut Order, step: u64) -> Vec<usize> {
        order.step(step)
    }

    /// Those of a step's items that its loss depends on; the others are not computed.
    fn computed(&self, items: &[usize]) -> Vec<usize> {
        items.to_vec()
    }

    /// Begin an optimiser step over these items: fix what its loss is divided by.
    fn begin(&mut self, items: &[usize]);

    /// What the loss is a function of.
    fn readout(&self) -> Readout;

    /// The sequences of a part of the step's items, in the order in which
    /// [`Task::loss`] expects their outputs.
    fn sequences(&self, items: &[usize]) -> Vec<&Sequence>;

    /// What fills rows and is no end of a sequence; without one, a sequence ends at its last
    /// token, whatever that is.
    fn pad(&self) -> Option<u32>;

    /// The share of a part of the step's items in the step's loss, `[1]`, from what was read of
    /// its batch, `[S]`; shares add up.
    fn loss(&mut self, items: &[usize], outputs: Tensor<1>) -> Tensor<1>;

    /// The step's numbers beside those that the loop adds.
    fn metrics(&mut self) -> Unread;

    /// A new threshold, from the next step on.
    fn set_threshold(&mut self, _threshold: f64) {}
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Flow {
    /// Take the next step, with a new threshold if there is one.
    Go(Option<f64>),
    /// Write a checkpoint and end.
    Stop,
}

/// Who watches a training.
pub trait Observer {
    /// Asked before each step; may wait.
    fn before_step(&mut self) -> Flow;

    /// Told after each step, counted from 1.
    fn after_step(&mut self, step: u64, total: u64, metrics: &Metrics);

    /// Whether a checkpoint is due after this step.
    fn wants_checkpoint(&mut self, step: u64, total: u64) -> bool;

    /// Keep the state after so many steps.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    fn checkpoint(
        &mut self,
        step: u64,
        model: &Decoder,
        optimiser: &AdamW,
    ) -> Result<(), TrainError>;

    /// Something worth knowing.
    fn warn(&mut self, message: String);

    /// Told of each step that is skipped, of which `allowed` may be.
    fn skipped(&mut self, found: NonFinite, allowed: u64) {
        let number = found.skipped + 1;
        self.warn(format!(
            "{found}: it is skipped, {number} of the {allowed} that skip_nonfinite allows"
        ));
    }
}

/// Where training starts.
pub struct Start {
    /// The model, without autodiff.
    pub model: Decoder,
    /// The optimiser, fresh or restored.
    pub optimiser: AdamW,
    /// Steps already done.
    pub step: u64,
    /// Tokens already computed.
    pub tokens: u64,
    /// Steps that were skipped because their loss or gradient was no finite number.
    pub skipped: u64,
    /// How steps are computed.
    pub plan: Plan,
}

impl Start {
    /// From the first step.
    pub fn fresh(model: Decoder, optimiser: AdamW, plan: Plan) -> Self {
        Self { model, optimiser, step: 0, tokens: 0, skipped: 0, plan }
    }
}

/// How training ended.
pub enum Ended {
    /// All steps are done; the model is without autodiff.
    Done(Box<Decoder>),
    /// Stopped by the observer after a checkpoint.
    Stopped,
}

/// Train to the end of `order`.
///
/// # Errors
///
/// The device fails, a checkpoint cannot be written, or the loss or its gradient is no finite
/// number in more steps than may be skipped.
pub fn train(
    start: Start,
    task: &mut dyn Task,
    mut order: Order,
    training: &Training,
    observer: &mut dyn Observer,
) -> Result<Ended, TrainError> {
    let Start { mut model, mut optimiser, step: first, mut tokens, skipped, plan } = start;
    let warmup = warmup_steps(training, order.total, observer);
    let allowed = training.skip_nonfinite;
    let mut teller = Teller::new(&model.device(), order.total, skipped, allowed);
    for step in first..order.total {
        match observer.before_step() {
            Flow::Go(threshold) => {
                if let Some(threshold) = threshold {
                    task.set_threshold(threshold);
                }
            }
            Flow::Stop => {
                teller.rest(observer)?;
                observer.checkpoint(step, &model, &optimiser)?;
                return Ok(Ended::Stopped);
            }
        }
        let begun = Instant::now();
        let items = task.items(&mut order, step);
        let rate = training.learning_rate * training.schedule.factor(step, warmup, order.total);
        let gradients = backward(&model, task, &items, training, &plan.at(step));
        let (next, mut unread) = update(model, gradients, &mut optimiser, task, rate, training)?;
        model = next;
        let computed = task.computed(&items);
        let computed = task.sequences(&computed).iter().map(|s| s.len()).sum::<usize>();
        tokens += computed as u64;
        unread.metrics.set("learning_rate", rate);
        unread.metrics.set("num_tokens", tokens as f64);
        teller.put(StepUnread { step: step + 1, begun, tokens: computed, unread }, observer)?;
        if teller.diverged().is_some() || step + 1 == order.total {
            teller.rest(observer)?;
        }
        if let Some(found) = teller.diverged() {
            let sound = first_not_finite(&model).is_none();
            if sound {
                observer.checkpoint(step + 1, &model, &optimiser)?;
            }
            return Err(TrainError::Diverged { found, sound });
        }
        if observer.wants_checkpoint(step + 1, order.total) {
            teller.rest(observer)?;
            observer.checkpoint(step + 1, &model, &optimiser)?;
        }
    }
    Ok(Ended::Done(Box::new(model)))
}

/// Warm-up is at most a tenth of the steps: a longer one would be most of a short run.
fn warmup_steps(training: &Training, total: u64, observer: &mut dyn Observer) -> u64 {
    let most = total / 10;
    if training.warmup_steps > most && total > 0 {
        observer.warn(format!(
            "warmup_steps = {} is more than a tenth of the {total} steps; {most} are used",
            training.warmup_steps
        ));
    }
    training.warmup_steps.min(most)
}

/// The gradients of a step, and the shares of its loss.
fn backward(
    model: &Decoder,
    task: &mut dyn Task,
    items: &[usize],
    training: &Training,
    plan: &Plan,
) -> (Gradients, Vec<Tensor<1>>) {
    task.begin(items);
    let mut gradients = Gradients::default();
    let mut losses = Vec::new();
    for (i, part) in plan.parts(&task.computed(items), training.batch_size).enumerate() {
        let batch = Batch::packed(&task.sequences(part), task.pad());
        let seed = plan.seed.wrapping_mul(31).wrapping_add(i as u64);
        let settings = PassSettings { recompute: plan.recompute, seed };
        let pass = Pass::forward(model, &batch, task.readout(), settings);
        let outputs = pass.outputs().autodiff().require_grad();
        let loss = task.loss(part, outputs.clone());
        let mut found = loss.backward();
        losses.push(loss.inner());
        if let Some(cotangent) = outputs.grad_remove(&mut found) {
            pass.backward(&cotangent, &mut gradients);
        }
    }
    (gradients, losses)
}

/// The model after the step, and what the step tells: `loss`, `grad_norm` and the task's numbers.
/// A step whose loss or gradient is no finite number leaves the model as it is.
fn update(
    model: Decoder,
    (mut gradients, losses): (Gradients, Vec<Tensor<1>>),
    optimiser: &mut AdamW,
    task: &mut dyn Task,
    rate: f64,
    training: &Training,
) -> Result<(Decoder, Unread), ModelError> {
    let device = model.device();
    let norm = gradients.norm(&device);
    if training.max_grad_norm > 0.0 {
        gradients.clip(&norm, training.max_grad_norm);
    }
    let loss = match losses.is_empty() {
        true => norm.zeros_like(),
        false => Tensor::cat(losses, 0).sum(),
    };
    let both = Tensor::cat(vec![loss.clone(), norm.clone()], 0);
    let model = if !is_cpu(&device) {
        // The device decides for itself: to ask it would let its queue run empty.
        let held = both.is_finite().all().bool_not();
        optimiser.step_unless(model, gradients, rate, Some(held))
    } else if read(both)?.iter().all(|number| number.is_finite()) {
        optimiser.step(model, gradients, rate)
    } else {
        optimiser.skip();
        model
    };
    let of_task = task.metrics();
    let mut numbers = vec![loss, norm];
    numbers.extend(of_task.numbers);
    let finish = |numbers: &[f64], metrics: &mut Metrics| {
        metrics.set("loss", numbers[0]);
        metrics.set("grad_norm", numbers[1]);
        (of_task.finish)(&numbers[2..], metrics);
    };
    Ok((model, Unread { metrics: of_task.metrics, numbers, finish: Box::new(finish) }))
}
