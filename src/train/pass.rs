//! One pass through a decoder and back.
//!
//! The chain rule is followed by hand across three borders, so that little is kept between the
//! passes: tokens → hidden states (layer by layer, each computed again under autodiff when its
//! turn comes), hidden states → outputs (in closed form, see `model::readout`), outputs → loss
//! (the task's own, under autodiff). Recomputing layers is known as gradient checkpointing
//! (arXiv 1604.06174).

use burn::module::Module;
use burn::tensor::Tensor;

use super::Gradients;
use crate::batch::Batch;
use crate::model::{
    Context, Decoder, DecoderInput, Dropout, Head, Reading, ResponseLogProbs, ResponseTargets,
    ends, input, ints, rows_at,
};

/// What a task reads from a decoder: one number for each sequence of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputKind {
    /// The summed log-probability of its response.
    LogProbs,
    /// Its score.
    Scores,
}

impl OutputKind {
    /// Whether scores are read.
    pub fn is_scores(self) -> bool {
        self == Self::Scores
    }
}

/// How a pass is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassSettings {
    /// Keep only what enters each layer, and compute the layer again in the backward pass.
    pub recompute: bool,
    /// Seed of what adapters drop.
    pub seed: u64,
}

/// A forward pass, ready to go back.
pub struct Pass<'a> {
    model: &'a Decoder,
    /// The same weights under autodiff.
    active: Decoder,
    input: DecoderInput,
    context: Context,
    kept: Kept,
    outputs: Outputs,
    shape: [usize; 3],
}

enum Kept {
    /// The graph from tokens to hidden states, by its end.
    Graph(Box<Tensor<3>>),
    /// What entered each layer, and what left the last.
    Inputs(Vec<Tensor<3>>),
}

enum Outputs {
    LogProbs(Box<(ResponseTargets, ResponseLogProbs)>),
    Scores { places: Vec<u32>, hidden: Box<Tensor<2>>, values: Box<Tensor<1>> },
}

impl<'a> Pass<'a> {
    /// Compute a batch; `model` is without autodiff.
    pub fn forward(
        model: &'a Decoder,
        batch: &Batch,
        readout: OutputKind,
        settings: PassSettings,
    ) -> Self {
        Self::forward_reading(model, batch, readout, &Reading::default(), settings)
    }

    /// The same with more that is read of log-probabilities.
    pub fn forward_reading(
        model: &'a Decoder,
        batch: &Batch,
        readout: OutputKind,
        reading: &Reading,
        settings: PassSettings,
    ) -> Self {
        let targets =
            (readout == OutputKind::LogProbs).then(|| ResponseTargets::of(batch, reading));
        let active = model.clone().train();
        let input = input(batch, &model.device());
        let context = model.context(&input, Some(Dropout::new(settings.seed)));
        let (kept, hidden) = if settings.recompute {
            let mut inputs = vec![model.embed(&input)];
            for i in 0..model.layers.len() {
                let x = inputs[i].clone();
                inputs.push(run_layer(model, i, x, &context));
            }
            let hidden = model.finish(inputs[inputs.len() - 1].clone());
            (Kept::Inputs(inputs), hidden)
        } else {
            let mut x = active.embed(&input);
            for i in 0..active.layers.len() {
                x = run_layer(&active, i, x, &context);
            }
            let hidden = active.finish(x);
            (Kept::Graph(Box::new(hidden.clone())), hidden.inner())
        };
        let shape = hidden.dims();
        let outputs = match targets {
            Some(targets) => {
                let read = targets.read(model, hidden, true);
                Outputs::LogProbs(Box::new((targets, read)))
            }
            None => {
                let places = ends(batch);
                let hidden = rows_at(hidden, &places);
                let values = model.scores(hidden.clone());
                Outputs::Scores { places, hidden: Box::new(hidden), values: Box::new(values) }
            }
        };
        Self { model, active, input, context, kept, outputs, shape }
    }

    /// One number for each sequence, `[S]`, or as many as the reading asks for; without autodiff.
    pub fn outputs(&self) -> Tensor<1> {
        match &self.outputs {
            Outputs::LogProbs(found) => found.1.outputs.clone(),
            Outputs::Scores { values, .. } => (**values).clone(),
        }
    }

    /// Add the gradients of Σ cotangent·output, cotangent `[S]`.
    pub fn backward(self, cotangent: &Tensor<1>, gradients: &mut Gradients) {
        let Self { model, active, input, context, kept, outputs, shape } = self;
        let cotangent = outputs_backward(model, &active, outputs, cotangent, shape, gradients);
        match kept {
            Kept::Graph(hidden) => {
                if hidden.is_tracked() {
                    let mut found = pull(*hidden, cotangent);
                    gradients.collect(&mut found, &active, "");
                }
            }
            Kept::Inputs(inputs) => {
                Recomputation { active: &active, input: &input, context: &context }
                    .backward(inputs, cotangent, gradients);
            }
        }
    }
}

fn run_layer(model: &Decoder, i: usize, x: Tensor<3>, context: &Context) -> Tensor<3> {
    model.layers[i].forward(x, &context.of_layer(i), None)
}

/// The gradients of Σ cotangent·y.
fn pull<const D: usize>(y: Tensor<D>, cotangent: Tensor<D>) -> burn::tensor::Gradients {
    (y * cotangent).sum().backward()
}

/// From outputs to hidden states: returns their cotangent `[R, T, E]`, adds the heads' gradients.
fn outputs_backward(
    model: &Decoder,
    active: &Decoder,
    outputs: Outputs,
    cotangent: &Tensor<1>,
    [r, t, width]: [usize; 3],
    gradients: &mut Gradients,
) -> Tensor<3> {
    let (places, rows) = match outputs {
        Outputs::LogProbs(found) => {
            let (targets, read) = *found;
            let cotangent = read.target_cotangent(cotangent);
            let (name, weight) = match &active.head {
                Some(head) => ("head.weight", head.weight.val()),
                None => ("embedding.weight", active.embedding.weight.val()),
            };
            if weight.is_require_grad() {
                let head = Head::of(model);
                let found = head.weight_gradient(
                    &read.hidden,
                    &targets.tokens,
                    &read.log_probs,
                    &cotangent,
                );
                gradients.add(name.to_owned(), found);
                if let Some(taught) = &targets.taught {
                    let found = taught.weight_gradient(&read.hidden, &targets.tokens, &cotangent);
                    gradients.add(name.to_owned(), found);
                }
            }
            let Some(jacobian) = read.log_probs.jacobian else {
                unreachable!("a pass that goes back asks for the jacobian");
            };
            (targets.from, jacobian * cotangent.unsqueeze_dim(1))
        }
        Outputs::Scores { places, hidden, .. } => {
            let hidden = hidden.autodiff().require_grad();
            let mut found = pull(active.scores(hidden.clone()), cotangent.clone());
            if let Some(score) = &active.score {
                gradients.collect(&mut found, score, "score");
            }
            let rows =
                hidden.grad_remove(&mut found).unwrap_or_else(|| hidden.inner().zeros_like());
            (places, rows)
        }
    };
    let device = rows.device();
    let places = ints(&places, [places.len()], &device);
    Tensor::<2>::zeros([r * t, width], &device)
        .select_assign(0, places, rows, burn::tensor::IndexingUpdateOp::Add)
        .reshape([r, t, width])
}

/// Computes parts of the decoder again, from the last to the first.
struct Recomputation<'a> {
    active: &'a Decoder,
    input: &'a DecoderInput,
    context: &'a Context,
}

impl Recomputation<'_> {
    fn backward(
        &self,
        mut inputs: Vec<Tensor<3>>,
        cotangent: Tensor<3>,
        gradients: &mut Gradients,
    ) {
        let embeds = self.embedding_trains();
        // The first layer below which nothing trains ends the way back.
        let first = if embeds { 0 } else { self.first_trained_layer() };
        let mut cotangent = Some(cotangent);
        if let (Some(x), Some(c)) = (inputs.pop(), cotangent.take()) {
            let needs_input = first < self.active.layers.len() || embeds;
            let x = leaf(x, needs_input);
            let y = self.active.finish(x.clone());
            if y.is_tracked() {
                let mut found = pull(y, c);
                gradients.collect(&mut found, &self.active.norm, "norm");
                gradients.collect(&mut found, &self.active.project_out, "project_out");
                cotangent = x.grad_remove(&mut found);
            }
        }
        for i in (first..self.active.layers.len()).rev() {
            let (Some(x), Some(c)) = (inputs.pop(), cotangent.take()) else { return };
            let x = leaf(x, i > first || embeds);
            let y = run_layer(self.active, i, x.clone(), self.context);
            if !y.is_tracked() {
                return;
            }
            let mut found = pull(y, c);
            gradients.collect(&mut found, &self.active.layers[i], &format!("layers.{i}"));
            cotangent = x.grad_remove(&mut found);
        }
        if let (true, Some(c)) = (embeds, cotangent) {
            let mut found = pull(self.active.embed(self.input), c);
            gradients.collect(&mut found, &self.active.embedding, "embedding");
            gradients.collect(&mut found, &self.active.positions, "positions");
            gradients.collect(&mut found, &self.active.project_in, "project_in");
        }
    }

    fn embedding_trains(&self) -> bool {
        trains(&self.active.embedding)
            || trains(&self.active.positions)
            || trains(&self.active.project_in)
    }

    fn first_trained_layer(&self) -> usize {
        let layers = &self.active.layers;
        layers.iter().position(trains).unwrap_or(layers.len())
    }
}

/// A tensor that begins a graph; one that does not require its gradient costs nothing.
fn leaf(x: Tensor<3>, needs_gradient: bool) -> Tensor<3> {
    let x = x.autodiff();
    if needs_gradient { x.require_grad() } else { x }
}

/// Whether any parameter of a module under autodiff is trained.
fn trains<M: Module>(module: &M) -> bool {
    struct Any(bool);
    impl burn::module::ModuleVisitor for Any {
        fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<Tensor<D>>) {
            self.0 |= param.val().is_require_grad();
        }
    }
    let mut any = Any(false);
    module.visit(&mut any);
    any.0
}
