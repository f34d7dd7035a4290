//! In which order items are seen: a function of (seed, stage, step) alone.

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Training;

/// The order of items over all steps of a stage.
#[derive(Clone, Debug)]
pub struct Sampler {
    items: usize,
    per_step: usize,
    shuffle: bool,
    seed: u64,
    stage: u64,
    /// Optimiser steps in all.
    pub total: u64,
    epoch: Option<(u64, Vec<usize>)>,
}

impl Sampler {
    /// Steps of `batch_size · accumulate` items; the last one of an epoch may be smaller.
    pub fn new(items: usize, training: &Training, shuffle: bool, seed: u64, stage: u64) -> Self {
        let per_step = (training.batch_size * training.accumulate).max(1);
        let per_epoch = items.div_ceil(per_step) as f64;
        let by_epochs = (training.epochs * per_epoch).ceil() as u64;
        let wanted = if training.steps > 0 { training.steps } else { by_epochs };
        let total = if items == 0 || training.epochs <= 0.0 { 0 } else { wanted };
        Self { items, per_step, shuffle, seed, stage, total, epoch: None }
    }

    /// The items of a step, counted from 0.
    pub fn step(&mut self, step: u64) -> Vec<usize> {
        let per_epoch = self.items.div_ceil(self.per_step).max(1) as u64;
        let (epoch, k) = (step / per_epoch, (step % per_epoch) as usize);
        if self.epoch.as_ref().is_none_or(|(known, _)| *known != epoch) {
            self.epoch = Some((epoch, self.permutation(epoch)));
        }
        let order = self.epoch.as_ref().map_or(&[][..], |(_, order)| order);
        let start = (k * self.per_step).min(order.len());
        let end = (start + self.per_step).min(order.len());
        order[start..end].to_vec()
    }

    /// The items of a step when items are drawn with probability proportional to their weights:
    /// as many draws an epoch as there are items, so that there are as many steps as without.
    ///
    /// The draws of an epoch are one systematic sample: evenly spaced points, all moved by the same
    /// random share of their distance, on the line of cumulative weights. An item is then drawn
    /// n·w/Σw times, rounded up or down. It is a function of (seed, stage, step) and the weights;
    /// without any weight nothing is drawn.
    pub fn draw(&self, step: u64, weights: &[f64]) -> Vec<usize> {
        let per_epoch = self.items.div_ceil(self.per_step).max(1) as u64;
        let (epoch, k) = (step / per_epoch, (step % per_epoch) as usize);
        let mut rng = self.generator(epoch);
        let total: f64 = weights.iter().sum();
        if total <= 0.0 {
            return Vec::new();
        }
        let offset: f64 = rng.random();
        let mut drawn = Vec::with_capacity(self.items);
        let mut reached = 0.0;
        for (i, weight) in weights.iter().enumerate() {
            reached += weight / total * self.items as f64;
            while drawn.len() < self.items && offset + (drawn.len() as f64) < reached {
                drawn.push(i);
            }
        }
        if self.shuffle {
            drawn.shuffle(&mut rng);
        }
        let start = (k * self.per_step).min(drawn.len());
        let end = (start + self.per_step).min(drawn.len());
        drawn[start..end].to_vec()
    }

    /// The items of the steps of one whole epoch, the first.
    pub fn first_epoch(&self) -> Vec<Vec<usize>> {
        self.permutation(0).chunks(self.per_step).map(<[usize]>::to_vec).collect()
    }

    fn permutation(&self, epoch: u64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.items).collect();
        if self.shuffle {
            order.shuffle(&mut self.generator(epoch));
        }
        order
    }

    fn generator(&self, epoch: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream((self.stage << 32) | epoch);
        rng
    }
}
