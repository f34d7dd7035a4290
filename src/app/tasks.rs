//! Work that must not hold back a frame: each on a thread of its own, each ending in a message.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::command::Command;
use super::drops::Kind;
use super::inspection::Preview;
use super::pairs::{PairTable, Query, Weights};
use crate::device::Candidate;
use crate::hub::CachedModel;
use crate::run::{Estimate, Recipe, RunView, estimate, fetch_model, lengths_of};
use crate::text::Lengths;

/// How a background task ended.
pub(crate) enum Done {
    /// Preference files were read.
    Inspected(Box<Preview>),
    /// Annotations were read, those of the run with this number.
    Annotations(u64, Result<PairTable, String>),
    /// A run folder was read.
    Opened(Box<Opened>),
    /// The devices of this machine.
    Devices(Vec<Candidate>),
    /// The models of the local hub cache.
    Models(Vec<CachedModel>),
    /// A recipe was read.
    Recipe(PathBuf, Result<Box<Recipe>, String>),
    /// What paths are, for files that hover over the window.
    Hovering(Vec<PathBuf>, Vec<Kind>),
    /// What paths are, for files that were dropped.
    Dropped(Vec<PathBuf>, Vec<Kind>),
    /// The rows that a query leaves, for the weights of this number.
    Rows(Box<Query>, u64, Vec<u32>),
    /// Something that the user chose in a dialog; `None` if the dialog was closed.
    Picked(Option<Command>),
    /// A model is being fetched: its name, bytes here, bytes in all.
    Fetching(String, u64, u64),
    /// A model was fetched from the hub, or why not.
    Fetched(String, Result<(), String>),
    /// What a recipe will take of its device's memory, or why nobody knows.
    Estimated(Result<Estimate, String>, BTreeMap<String, Lengths>),
    /// A file was written.
    Saved(PathBuf, Result<(), String>),
    /// The task ended with a panic.
    Panicked(&'static str, String),
}

/// An old run, read from its folder.
pub(crate) struct Opened {
    /// The folder.
    pub folder: PathBuf,
    /// Its events, folded; or why not.
    pub view: Result<RunView, String>,
    /// Its annotations, if it has any.
    pub table: Option<Result<PairTable, String>>,
}

/// Starts tasks and collects their endings.
pub(crate) struct Tasks {
    ctx: egui::Context,
    sender: Sender<Done>,
    receiver: Receiver<Done>,
}

impl Tasks {
    /// No tasks yet; `ctx` is repainted when one ends.
    pub(crate) fn new(ctx: egui::Context) -> Self {
        let (sender, receiver) = channel();
        Self { ctx, sender, receiver }
    }

    /// Do `work` on a thread of its own; `what` names it if it panics.
    pub(crate) fn spawn(&self, what: &'static str, work: impl FnOnce() -> Done + Send + 'static) {
        let (sender, ctx) = (self.sender.clone(), self.ctx.clone());
        let guarded = move || {
            let done = catch_unwind(AssertUnwindSafe(work))
                .unwrap_or_else(|panic| Done::Panicked(what, panic_text(&*panic)));
            // Nobody listens any more once the window is closed.
            let _ = sender.send(done);
            ctx.request_repaint();
        };
        if let Err(error) = std::thread::Builder::new().name(what.to_owned()).spawn(guarded) {
            let _ = self.sender.send(Done::Panicked(what, error.to_string()));
        }
    }

    /// Find the rows of a query in the background.
    pub(crate) fn rows(
        &self,
        query: Query,
        number: u64,
        table: Arc<PairTable>,
        weights: Arc<Weights>,
    ) {
        self.spawn("sorting pairs", move || {
            let rows = query.rows(&table, &weights);
            Done::Rows(Box::new(query), number, rows)
        });
    }

    /// Estimate the memory of a recipe in the background.
    pub(crate) fn estimate(&self, recipe: Recipe, runs: PathBuf) {
        self.spawn("estimating memory", move || {
            let found = estimate(&recipe, &runs).map_err(|error| error.to_string());
            // A limit on lengths that loses too much is refused, and shown all the same.
            let lengths = match &found {
                Ok(estimate) => estimate.lengths.clone(),
                Err(_) => lengths_of(&recipe).unwrap_or_default(),
            };
            Done::Estimated(found, lengths)
        });
    }

    /// Fetch a model from the hub in the background.
    pub(crate) fn fetch(&self, model: String) {
        let (sender, ctx) = (self.sender.clone(), self.ctx.clone());
        self.spawn("fetching a model", move || {
            let fetched = fetch_model(&model, true, &mut |progress| {
                let (done, total) = (progress.all_done_bytes, progress.all_total_bytes);
                ctx.request_repaint();
                // The window was closed: what is here stays for the next time.
                sender.send(Done::Fetching(model.clone(), done, total)).is_ok()
            });
            Done::Fetched(model, fetched.map(drop).map_err(|error| error.to_string()))
        });
    }

    /// The next ending, if there is one.
    pub(crate) fn next(&self) -> Option<Done> {
        self.receiver.try_recv().ok()
    }
}

/// What a thread panicked with.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
}
