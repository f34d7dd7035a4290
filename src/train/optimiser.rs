//! AdamW over named parameters.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Bool, Device, Tensor, TensorData};

use super::Gradients;
use crate::kernels::{AdamWStep, adamw};
use crate::model::{Handle, SavedTensor};

/// AdamW with β 0.9/0.999 and ε 1e-8 (arXiv 1711.05101); biases and norms do not decay.
#[derive(Clone)]
pub struct AdamW {
    weight_decay: f64,
    /// Steps so far, those that were skipped included.
    steps: u64,
    states: BTreeMap<String, Moments>,
}

/// Running means of a parameter's gradients and of their squares, flattened.
#[derive(Clone)]
struct Moments([Tensor<1>; 2]);

impl AdamW {
    /// A fresh optimiser.
    pub fn new(weight_decay: f64) -> Self {
        Self { weight_decay, steps: 0, states: BTreeMap::new() }
    }

    /// One step of a model without autodiff; parameters without a gradient stay.
    pub fn step<M: Module>(&mut self, model: M, gradients: Gradients, learning_rate: f64) -> M {
        self.step_unless(model, gradients, learning_rate, None)
    }

    /// As [`AdamW::step`]; where the one number of `held` is true, weights and moments stay, which
    /// only the device needs to know.
    pub(super) fn step_unless<M: Module>(
        &mut self,
        model: M,
        mut gradients: Gradients,
        learning_rate: f64,
        held: Option<Tensor<1, Bool>>,
    ) -> M {
        self.steps += 1;
        if let Some(held) = &held {
            gradients.hold(held);
        }
        model.map(&mut Step { path: Vec::new(), optimiser: self, gradients, learning_rate, held })
    }

    /// A step that changes nothing but the count of steps.
    pub(super) fn skip(&mut self) {
        self.steps += 1;
    }

    /// The moments by parameter name, as `first.NAME` and `second.NAME`.
    pub fn moments(&self) -> BTreeMap<String, SavedTensor> {
        self.handles().into_iter().map(|(name, handle)| (name, handle.read())).collect()
    }

    /// Handles of the moments, named as in [`AdamW::moments`].
    pub(crate) fn handles(&self) -> BTreeMap<String, Handle> {
        let mut found = BTreeMap::new();
        for (name, state) in &self.states {
            for (kind, moment) in ["first", "second"].into_iter().zip(&state.0) {
                found.insert(format!("{kind}.{name}"), Handle::vector(moment.clone()));
            }
        }
        found
    }

    /// Put back what [`AdamW::moments`] gave after `steps` steps.
    pub fn restore(
        &mut self,
        mut moments: BTreeMap<String, SavedTensor>,
        steps: u64,
        device: &Device,
    ) {
        self.steps = steps;
        let names: Vec<String> = moments
            .keys()
            .filter_map(|key| key.strip_prefix("first."))
            .map(str::to_owned)
            .collect();
        for name in names {
            let mut take = |kind: &str| {
                let saved = moments.remove(&format!("{kind}.{name}"))?;
                Some(Tensor::<1>::from_data(TensorData::new(saved.values, saved.shape), device))
            };
            if let (Some(first), Some(second)) = (take("first"), take("second")) {
                self.states.insert(name, Moments([first, second]));
            }
        }
    }
}

struct Step<'a> {
    path: Vec<String>,
    optimiser: &'a mut AdamW,
    gradients: Gradients,
    learning_rate: f64,
    held: Option<Tensor<1, Bool>>,
}

impl ModuleMapper for Step<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.join(".");
        let Some(gradient) = self.gradients.0.remove(&name) else { return param };
        let Moments(both) = self.optimiser.states.remove(&name).unwrap_or_else(|| {
            let zeros = gradient.zeros_like();
            Moments([zeros.clone(), zeros])
        });
        // Matrices decay; biases and norms, which are vectors, do not.
        let decay = if D > 1 { self.optimiser.weight_decay } else { 0.0 };
        let settings = AdamWStep::at(self.optimiser.steps, self.learning_rate, decay);
        let held = self.held.clone();
        let mut next = None;
        let param = param.map(|value| {
            let shape = value.dims();
            let count = value.shape().num_elements();
            let [value, first, second] =
                adamw(value.reshape([count]), gradient, both, settings, held.as_ref());
            next = Some(Moments([first, second]));
            value.reshape(shape)
        });
        if let Some(state) = next {
            self.optimiser.states.insert(name, state);
        }
        param
    }
}
