//! Behaviour of the library against independent references, one module for each room.
//!
//! Tests that read `../shared` say that they are skipped where it is absent.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod adapters;
mod annotators;
mod byte_level;
mod calibration;
mod chat;
mod checkpoints;
mod cli;
mod combining;
mod common;
mod corpus;
mod data;
mod dissection;
mod ensemble;
mod expressions;
mod faults;
mod file_annotator;
mod folder;
mod gate;
mod gptscore;
mod hub;
mod implicit;
#[cfg(unix)]
mod interrupts;
mod judge;
mod layers;
mod lengths;
mod limits;
mod memory;
mod models;
mod objectives;
mod packing;
mod passes;
mod preference;
mod resume;
mod reward;
mod rewording;
mod rounds;
mod sampling;
mod sft;
mod sharing;
mod tournament;
mod trained_judge;
mod trl;
mod view;
mod vocabulary;
mod window;
mod world;
