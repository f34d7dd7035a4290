//! Confide aligns a language model with preferences that a weaker model has labelled,
//! trusting each label by how sure the weak model was: confidence-weighted preference
//! optimisation (CW-PO, arXiv 2603.04968).
//!
//! The way through: `data` → `text` → `annotate` → `preference` → `train` → `evaluate`;
//! `run` drives it from a recipe and tells it in events, which `app` and `cli` show.

pub mod allocator;
pub mod annotate;
pub mod app;
pub mod batch;
pub mod builtin;
pub mod cli;
pub mod data;
pub mod demo;
pub mod device;
pub mod dissect;
pub mod evaluate;
mod files;
mod finite;
pub mod hub;
mod input;
pub mod interrupt;
pub mod kernels;
pub mod legible;
pub mod model;
pub mod preference;
pub mod registry;
pub mod report;
pub mod run;
pub mod settings;
pub mod text;
pub mod train;
