//! How long and how fast a model is trained.

use serde::{Deserialize, Serialize};

use crate::settings::{Limits, Words, settings};

/// How the learning rate moves after warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// Half a cosine wave, down to 0 at the last step.
    #[default]
    Cosine,
    /// Stays where warm-up left it.
    Constant,
}

/// Whether layers are computed again in the backward pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GradientCheckpointing {
    /// Where memory is short.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

settings! {
    /// How long and how fast a model is trained.
    pub struct Training {
        /// Passes over the data; 0 skips the stage.
        pub epochs: f64 = 1.0 => {
            aliases: &["num_train_epochs"],
            limits: Limits::at_least(0.0, "0 or more passes"),
        },
        /// Optimiser steps; 0 means as many as the epochs need.
        pub steps: u64 = 0 => { aliases: &["max_steps"], zero: "as the epochs need" },
        /// Highest learning rate.
        pub learning_rate: f64 = 1e-5 => { limits: Limits::POSITIVE },
        /// Pairs (or responses, in SFT) computed at once.
        pub batch_size: usize = 16 => {
            aliases: &["per_device_train_batch_size"],
            limits: Limits::at_least(1.0, "at least 1"),
        },
        /// Batches whose gradients are added up before one optimiser step.
        pub accumulate: usize = 4 => {
            aliases: &["gradient_accumulation_steps"],
            limits: Limits::at_least(1.0, "at least 1"),
        },
        /// cosine: down to 0 at the end. constant: stays.
        pub schedule: Schedule = Schedule::Cosine => {
            aliases: &["lr_scheduler_type"],
            words: Words::Of(&[("cosine", "cosine, down to 0"), ("constant", "constant")]),
        },
        /// Steps over which the learning rate rises from 0; at most 10 % of all steps.
        pub warmup_steps: u64 = 100 => { title: "Warm-up", unit: "steps" },
        /// AdamW's weight decay; never applied to biases and norms.
        pub weight_decay: f64 = 0.05 => { limits: Limits::NOT_NEGATIVE },
        /// Gradients are scaled down to this norm; 0 turns clipping off.
        pub max_grad_norm: f64 = 1.0 => {
            title: "Clip gradients at",
            zero: "off",
            limits: Limits::at_least(0.0, "0 (off) or more"),
        },
        /// Steps whose loss or gradient is no finite number that are skipped; at the next one training stops. 0 stops at the first.
        pub skip_nonfinite: u64 = 3 => { title: "Skip broken steps", unit: "at most", advanced: true },
        /// Pairs of a batch that are computed at once, to save memory; 0 takes as many as fit.
        pub micro_batch: usize = 0 => { title: "At once", zero: "as many as fit", advanced: true },
        /// Compute layers again in the backward pass instead of keeping what they computed, to save memory: auto, always or never.
        pub recompute: GradientCheckpointing = GradientCheckpointing::Auto => {
            title: "Recompute layers",
            words: Words::Of(&[
                ("auto", "where memory is short"),
                ("always", "always"),
                ("never", "never"),
            ]),
            advanced: true,
        },
    }
}

impl Schedule {
    /// The factor on the learning rate at optimiser step `step`, counted from 0.
    ///
    /// As in transformers: linear warm-up from 0, then half a cosine wave that
    /// reaches 0 at `total`.
    pub fn factor(self, step: u64, warmup: u64, total: u64) -> f64 {
        if step < warmup {
            return step as f64 / warmup.max(1) as f64;
        }
        match self {
            Self::Constant => 1.0,
            Self::Cosine => {
                let rest = total.saturating_sub(warmup).max(1);
                let progress = (step - warmup) as f64 / rest as f64;
                (0.5 * (1.0 + (std::f64::consts::PI * progress).cos())).max(0.0)
            }
        }
    }
}
