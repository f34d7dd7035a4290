//! AdamW over named parameters.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param};
use burn::optim::{AdamWConfig, AdamWState, AdaptiveMomentumState, Optimizer};
use burn::tensor::{Device, Tensor, TensorData};

use super::Gradients;
use crate::model::SavedTensor;

/// AdamW with β 0.9/0.999 and ε 1e-8 (arXiv 1711.05101); biases and norms do not decay.
#[derive(Clone)]
pub struct AdamW {
    decayed: burn::optim::AdamW,
    plain: burn::optim::AdamW,
    states: BTreeMap<String, AdamWState<1>>,
}

impl AdamW {
    /// A fresh optimiser.
    pub fn new(weight_decay: f64) -> Self {
        let config = AdamWConfig::new().with_beta_1(0.9).with_beta_2(0.999).with_epsilon(1e-8);
        Self {
            decayed: config.clone().with_weight_decay(weight_decay as f32).build(),
            plain: config.with_weight_decay(0.0).build(),
            states: BTreeMap::new(),
        }
    }

    /// One step of a model without autodiff; parameters without a gradient stay.
    pub fn step<M: Module>(&mut self, model: M, gradients: Gradients, learning_rate: f64) -> M {
        model.map(&mut Step { path: Vec::new(), optimiser: self, gradients, learning_rate })
    }

    /// The moments by parameter name, as `first.NAME` and `second.NAME`.
    pub fn moments(&self) -> BTreeMap<String, SavedTensor> {
        let mut saved = BTreeMap::new();
        for (name, state) in &self.states {
            let moments =
                [("first", &state.momentum.moment_1), ("second", &state.momentum.moment_2)];
            for (kind, moment) in moments {
                let values = moment.to_data_as::<f32>().try_into_vec::<f32>().unwrap_or_default();
                saved.insert(
                    format!("{kind}.{name}"),
                    SavedTensor { shape: vec![values.len()], values },
                );
            }
        }
        saved
    }

    /// Put back what [`AdamW::moments`] gave after `steps` steps.
    pub fn restore(
        &mut self,
        mut moments: BTreeMap<String, SavedTensor>,
        steps: u64,
        device: &Device,
    ) {
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
                let momentum = AdaptiveMomentumState::new(steps as usize, first, second);
                self.states.insert(name, AdamWState::new(momentum));
            }
        }
    }
}

struct Step<'a> {
    path: Vec<String>,
    optimiser: &'a mut AdamW,
    gradients: Gradients,
    learning_rate: f64,
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
        let state = self.optimiser.states.remove(&name);
        // Matrices decay; biases and norms, which are vectors, do not.
        let rule = if D > 1 { &self.optimiser.decayed } else { &self.optimiser.plain };
        let mut next = None;
        let param = param.map(|value| {
            let shape = value.dims();
            let count = value.shape().num_elements();
            let flat = value.reshape([count]);
            let (flat, state) = rule.step(self.learning_rate, flat, gradient, state);
            next = state;
            flat.reshape(shape)
        });
        if let Some(state) = next {
            self.optimiser.states.insert(name, state);
        }
        param
    }
}
