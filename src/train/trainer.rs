//! The training loop.

use std::time::Instant;

use burn::tensor::Tensor;

use super::callback::{Flow, TrainError, TrainerCallback};
use super::pending::{PendingQueue, PendingStep, read};
use super::plan::joined;
use super::task::Task;
use super::{
    AdamW, ExecutionPlan, Gradients, Metrics, Pass, PassSettings, PendingMetrics, Sampler, Training,
};
use crate::batch::Batch;
use crate::device::is_cpu;
use crate::model::{Decoder, ModelError, first_not_finite};

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
    pub plan: ExecutionPlan,
}

impl Start {
    /// From the first step.
    pub fn fresh(model: Decoder, optimiser: AdamW, plan: ExecutionPlan) -> Self {
        Self { model, optimiser, step: 0, tokens: 0, skipped: 0, plan }
    }
}

/// How training ended.
pub enum Ended {
    /// All steps are done; the model is without autodiff.
    Done(Box<Decoder>),
    /// Stopped by the callback after a checkpoint.
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
    mut order: Sampler,
    training: &Training,
    callback: &mut dyn TrainerCallback,
) -> Result<Ended, TrainError> {
    let Start { mut model, mut optimiser, step: first, mut tokens, skipped, plan } = start;
    let warmup = warmup_steps(training, order.total, callback);
    let allowed = training.skip_nonfinite;
    let mut queue = PendingQueue::new(&model.device(), order.total, skipped, allowed);
    for step in first..order.total {
        if callback.before_step() == Flow::Stop {
            queue.rest(callback)?;
            callback.checkpoint(step, &model, &optimiser, task)?;
            return Ok(Ended::Stopped);
        }
        task.before_step(step, order.total);
        let begun = Instant::now();
        let items = task.items(&mut order, step);
        let rate = training.learning_rate * training.schedule.factor(step, warmup, order.total);
        let gradients = backward(&model, task, &items, training, &plan.at(step));
        let (next, mut unread) = update(model, gradients, &mut optimiser, task, rate, training)?;
        model = next;
        task.after_step(step + 1, &model)?;
        let computed = task.computed(&items);
        let computed = task.sequences(&computed).iter().map(|s| s.len()).sum::<usize>();
        tokens += computed as u64;
        unread.metrics.set("learning_rate", rate);
        unread.metrics.set("num_tokens", tokens as f64);
        queue.put(PendingStep { step: step + 1, begun, tokens: computed, unread }, callback)?;
        if queue.diverged().is_some() || step + 1 == order.total {
            queue.rest(callback)?;
        }
        if let Some(found) = queue.diverged() {
            let sound = first_not_finite(&model).is_none();
            if sound {
                callback.checkpoint(step + 1, &model, &optimiser, task)?;
            }
            return Err(TrainError::Diverged { found, sound });
        }
        if callback.wants_checkpoint(step + 1, order.total) {
            queue.rest(callback)?;
            callback.checkpoint(step + 1, &model, &optimiser, task)?;
        }
    }
    Ok(Ended::Done(Box::new(model)))
}

/// Warm-up is at most a tenth of the steps: a longer one would be most of a short run.
fn warmup_steps(training: &Training, total: u64, callback: &mut dyn TrainerCallback) -> u64 {
    let most = total / 10;
    if training.warmup_steps > most && total > 0 {
        callback.warn(format!(
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
    plan: &ExecutionPlan,
) -> (Gradients, Vec<Tensor<1>>) {
    task.begin(items);
    let mut gradients = Gradients::default();
    let computed = task.computed(items);
    let parts: Vec<&[usize]> = plan.parts(&computed, training.batch_size).collect();
    if task.whole_batch() && parts.len() > 1 {
        let loss = of_whole_batch(model, task, &computed, &parts, plan, &mut gradients);
        return (gradients, vec![loss]);
    }
    let mut losses = Vec::new();
    for (i, part) in parts.into_iter().enumerate() {
        let pass = forward(model, task, part, i, plan);
        let (loss, cotangent) = loss_and_gradient(task, part, pass.outputs());
        losses.push(loss);
        if let Some(cotangent) = cotangent {
            pass.backward(&cotangent, &mut gradients);
        }
    }
    (gradients, losses)
}

/// The pass of the `i`-th part of a step.
fn forward<'a>(
    model: &'a Decoder,
    task: &dyn Task,
    part: &[usize],
    i: usize,
    plan: &ExecutionPlan,
) -> Pass<'a> {
    let batch = Batch::packed(&task.sequences(part), task.pad());
    let seed = plan.seed.wrapping_mul(31).wrapping_add(i as u64);
    let settings = PassSettings { recompute: plan.recompute, seed };
    Pass::forward_reading(model, &batch, task.output_kind(), &task.reading(part), settings)
}

/// The loss of items, and its derivative by what was read of them.
fn loss_and_gradient(
    task: &mut dyn Task,
    items: &[usize],
    outputs: Tensor<1>,
) -> (Tensor<1>, Option<Tensor<1>>) {
    let outputs = outputs.autodiff().require_grad();
    let loss = task.loss(items, outputs.clone());
    let mut found = loss.backward();
    (loss.inner(), outputs.grad_remove(&mut found))
}

/// A loss that sees a whole step, whose passes do not fit into memory together: what is read of all
/// parts first, then the loss and its derivative, then each part's pass again and its way back.
fn of_whole_batch(
    model: &Decoder,
    task: &mut dyn Task,
    items: &[usize],
    parts: &[&[usize]],
    plan: &ExecutionPlan,
    gradients: &mut Gradients,
) -> Tensor<1> {
    let read: Vec<Tensor<1>> = parts
        .iter()
        .enumerate()
        .map(|(i, part)| forward(model, task, part, i, plan).outputs())
        .collect();
    task.in_parts_of(parts[0].len());
    let (loss, cotangent) = loss_and_gradient(task, items, joined(&read, parts));
    let Some(cotangent) = cotangent else { return loss };
    let sides = read[0].dims()[0] / parts[0].len();
    let mut before = 0;
    for (i, part) in parts.iter().enumerate() {
        let of_side = |k: usize| cotangent.clone().narrow(0, k * items.len() + before, part.len());
        let own = Tensor::cat((0..sides).map(of_side).collect(), 0);
        forward(model, task, part, i, plan).backward(&own, gradients);
        before += part.len();
    }
    loss
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
) -> Result<(Decoder, PendingMetrics), ModelError> {
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
    Ok((model, PendingMetrics { metrics: of_task.metrics, numbers, finish: Box::new(finish) }))
}
