//! Gradients by parameter name.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Bool, Device, Tensor};

/// Gradients by parameter name, each flattened, on the device without autodiff.
#[derive(Debug, Default)]
pub struct Gradients(pub(super) BTreeMap<String, Tensor<1>>);

impl Gradients {
    /// Add the gradients of the parameters of `module`, whose own path is `prefix`.
    pub(super) fn collect<M: Module>(
        &mut self,
        from: &mut burn::tensor::Gradients,
        module: &M,
        prefix: &str,
    ) {
        let path = if prefix.is_empty() { Vec::new() } else { vec![prefix.to_owned()] };
        module.visit(&mut Collect { path, from, into: self });
    }

    /// Add one gradient.
    pub fn add<const D: usize>(&mut self, name: String, gradient: Tensor<D>) {
        let count = gradient.shape().num_elements();
        let gradient = gradient.reshape([count]);
        let sum = match self.0.remove(&name) {
            Some(earlier) => earlier + gradient,
            None => gradient,
        };
        self.0.insert(name, sum);
    }

    /// Names and gradients, flattened.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor<1>)> {
        self.0.iter().map(|(name, gradient)| (name.as_str(), gradient))
    }

    /// The norm over all parameters, `[1]`.
    pub fn norm(&self, device: &Device) -> Tensor<1> {
        let squares: Vec<Tensor<1>> = self.0.values().map(|g| g.clone().square().sum()).collect();
        if squares.is_empty() {
            return Tensor::zeros([1], device);
        }
        Tensor::cat(squares, 0).sum().sqrt()
    }

    /// Zeros in place of all gradients where the one number of `held` is true.
    pub(super) fn hold(&mut self, held: &Tensor<1, Bool>) {
        for gradient in self.0.values_mut() {
            let held = held.clone().expand([gradient.dims()[0]]);
            gradient.inplace(|g| g.mask_fill(held, 0.0));
        }
    }

    /// Scale down to a norm of at most `limit`, as torch's `clip_grad_norm_` does.
    pub fn clip(&mut self, norm: &Tensor<1>, limit: f64) {
        let scale = norm.clone().add_scalar(1e-6).recip().mul_scalar(limit).clamp_max(1.0);
        for gradient in self.0.values_mut() {
            gradient.inplace(|g| g * scale.clone());
        }
    }
}

struct Collect<'a> {
    path: Vec<String>,
    from: &'a mut burn::tensor::Gradients,
    into: &'a mut Gradients,
}

impl ModuleVisitor for Collect<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = param.val().grad_remove(self.from) {
            self.into.add(self.path.join("."), gradient);
        }
    }
}
