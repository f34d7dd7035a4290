//! What stages look at when they say what they will take of memory.

use std::cell::OnceCell;

use burn::tensor::Device;

use super::super::error::RunError;
use super::super::sizes::{adapter_of, footprint_of, shape_of};
use super::super::stage::{Stage, StageEstimate};
use super::super::{Recipe, find_model};
use super::encode::{encoder_at, max_length, none_is_left};
use super::labels::for_policy;
use super::material::no_pair_fits;
use super::prepared::Prepared;
use super::questions::questions;
use super::same_tokens::Written;
use crate::annotate::{Shapes, Sharing, scoring_needs, shapes_of};
use crate::batch::Sequence;
use crate::device;
use crate::model::{
    Adapter, DecoderConfig, Family, Footprint, LoraSettings, ModelError, ModelFiles, Precision,
    parameters,
};
use crate::text::{Encoded, Encoder, Fit, encode_pairs};
use crate::train::{ExecutionPlan, OutputKind, Sampler, Task, Training};

/// What the stages of one recipe look at; what several of them need is made once.
pub(crate) struct Estimating<'a> {
    pub(super) recipe: &'a Recipe,
    pub(super) prepared: &'a Prepared,
    device: &'a Device,
    /// Bytes that a stage may take, where that is known.
    limit: Option<u64>,
    annotator: OnceCell<Reader>,
    policy: OnceCell<Learner>,
    held_out: OnceCell<Vec<[Sequence; 2]>>,
}

/// A model of a recipe, by its settings and its way of writing prompts, and what it takes.
pub(super) struct Reader {
    pub(super) files: ModelFiles,
    pub(super) encoder: Encoder,
    pub(super) footprint: Footprint,
}

/// The policy with the pairs that it learns from; which response of each is chosen is not known yet.
pub(super) struct Learner {
    reader: Reader,
    pub(super) pairs: Vec<[Sequence; 2]>,
}

impl Learner {
    /// What the policy takes.
    pub(super) fn footprint(&self) -> &Footprint {
        &self.reader.footprint
    }

    /// Its files.
    pub(super) fn files(&self) -> &ModelFiles {
        &self.reader.files
    }

    /// The same, and its way of writing prompts.
    pub(super) fn written(&self) -> Written<'_> {
        (&self.reader.files, &self.reader.encoder)
    }

    /// What fills its rows.
    pub(super) fn pad(&self) -> u32 {
        self.reader.encoder.tokenizer.pad
    }
}

impl<'a> Estimating<'a> {
    /// Of a recipe whose pairs these are, with so many bytes of the device's memory for each stage.
    pub(crate) fn new(
        recipe: &'a Recipe,
        prepared: &'a Prepared,
        device: &'a Device,
        limit: Option<u64>,
    ) -> Self {
        Self {
            recipe,
            prepared,
            device,
            limit,
            annotator: OnceCell::new(),
            policy: OnceCell::new(),
            held_out: OnceCell::new(),
        }
    }

    /// The annotator's model.
    pub(super) fn annotator(&self) -> Result<&Reader, RunError> {
        made(&self.annotator, || {
            let settings = &self.recipe.annotator;
            let (precision, lora) = (settings.precision, &settings.lora);
            self.open(&settings.model, precision, lora, "annotator")
        })
    }

    /// The policy's model and pairs.
    pub(super) fn policy(&self) -> Result<&Learner, RunError> {
        made(&self.policy, || {
            let settings = &self.recipe.policy;
            let (precision, lora) = (settings.precision, &settings.lora);
            let reader = self.open(&settings.model, precision, lora, "policy")?;
            let indexes = for_policy(self.recipe, self.prepared);
            let pairs = self.training(&reader, &indexes, Fit::Start, ["policy", "training"])?;
            if pairs.is_empty() && !indexes.is_empty() {
                return Err(no_pair_fits(max_length(self.recipe, &reader.files)?));
            }
            Ok(Learner { reader, pairs })
        })
    }

    /// The held-out pairs in the policy's tokens.
    pub(super) fn held_out(&self) -> Result<&[[Sequence; 2]], RunError> {
        let held_out = &self.prepared.split.held_out;
        let found = || self.fitting(&self.policy()?.reader, held_out, Fit::Start);
        made(&self.held_out, found).map(Vec::as_slice)
    }

    /// As [`Estimating::fitting`], for pairs that a run trains on.
    pub(super) fn training(
        &self,
        reader: &Reader,
        indexes: &[usize],
        fit: Fit,
        names: [&str; 2],
    ) -> Result<Vec<[Sequence; 2]>, RunError> {
        let encoded = encode_pairs(&reader.encoder, &self.prepared.pairs, indexes)?;
        none_is_left(&encoded, self.prepared, indexes.len(), names)?;
        self.those_that_fit(reader, &encoded, fit)
    }

    /// Pairs that fit, in a model's tokens.
    pub(super) fn fitting(
        &self,
        reader: &Reader,
        indexes: &[usize],
        fit: Fit,
    ) -> Result<Vec<[Sequence; 2]>, RunError> {
        let encoded = encode_pairs(&reader.encoder, &self.prepared.pairs, indexes)?;
        self.those_that_fit(reader, &encoded, fit)
    }

    /// Where it is computed.
    pub(super) fn device(&self) -> &Device {
        self.device
    }

    /// What the annotator's model reads of pairs: the pairs themselves, or questions about them.
    pub(super) fn asked(
        &self,
        reader: &Reader,
        indexes: &[usize],
    ) -> Result<Vec<[Sequence; 2]>, RunError> {
        if !self.recipe.annotator.kind.reads().asks() {
            return self.fitting(reader, indexes, Fit::Whole);
        }
        let asking = questions(self.recipe, &reader.encoder, &self.prepared.pairs, indexes)?;
        self.those_that_fit(reader, &asking.encoded, Fit::Whole)
    }

    fn those_that_fit(
        &self,
        reader: &Reader,
        encoded: &Encoded,
        fit: Fit,
    ) -> Result<Vec<[Sequence; 2]>, RunError> {
        let max_length = max_length(self.recipe, &reader.files)?;
        Ok(encoded.pairs.iter().filter_map(|pair| pair.fit(fit, max_length)).collect())
    }

    /// The order in which a training takes its items.
    pub(super) fn order(&self, items: usize, training: &Training, stream: u64) -> Sampler {
        Sampler::new(items, training, self.recipe.data.shuffle, self.recipe.seed, stream)
    }

    /// What a training takes.
    pub(super) fn trained(
        &self,
        stage: Stage,
        footprint: &Footprint,
        task: &dyn Task,
        order: &Sampler,
        training: &Training,
    ) -> StageEstimate {
        let (plan, needs) = ExecutionPlan::choose(footprint, task, order, training, self.limit);
        StageEstimate { stage, needs, plan }
    }

    /// What forward passes over pairs take.
    pub(super) fn inferred(
        &self,
        stage: Stage,
        footprint: &Footprint,
        kind: OutputKind,
        pairs: &[[Sequence; 2]],
        batch_size: usize,
    ) -> StageEstimate {
        let sequences: Vec<&Sequence> = pairs.iter().flatten().collect();
        let shapes: Shapes<'_> = &|size| shapes_of(&sequences, size);
        self.inferred_in(stage, footprint, kind, shapes, batch_size)
    }

    /// What it takes to let the annotator's model read pairs.
    pub(super) fn read_by_annotator(
        &self,
        reader: &Reader,
        pairs: &[[Sequence; 2]],
    ) -> StageEstimate {
        let settings = &self.recipe.annotator;
        let (reads, batch) = (settings.kind.reads(), 2 * settings.training.batch_size);
        let (stage, footprint, kind) = (Stage::CONFIDENCE, &reader.footprint, reads.output());
        match reads.asks() {
            true => self.inferred_questions(stage, footprint, kind, pairs, batch),
            false => self.inferred(stage, footprint, kind, pairs, batch),
        }
    }

    /// What forward passes over questions take.
    pub(super) fn inferred_questions(
        &self,
        stage: Stage,
        footprint: &Footprint,
        kind: OutputKind,
        pairs: &[[Sequence; 2]],
        batch_size: usize,
    ) -> StageEstimate {
        let (questions, _) = Sharing::of(&pairs.iter().flatten().collect::<Vec<_>>());
        self.inferred_in(stage, footprint, kind, &|size| questions.shapes(size), batch_size)
    }

    fn inferred_in(
        &self,
        stage: Stage,
        footprint: &Footprint,
        kind: OutputKind,
        shapes: Shapes<'_>,
        batch_size: usize,
    ) -> StageEstimate {
        let (size, needs) =
            scoring_needs(footprint, kind.is_scores(), shapes, batch_size, self.limit);
        StageEstimate {
            stage,
            needs,
            plan: ExecutionPlan { micro_batch: size, ..ExecutionPlan::default() },
        }
    }

    fn open(
        &self,
        field: &str,
        precision: Precision,
        lora: &LoraSettings,
        section: &str,
    ) -> Result<Reader, RunError> {
        let files = find_model(field)?;
        let adapter = adapter_of(&files, lora, section)?;
        let encoder = encoder_at(self.recipe, &files, jiff::Zoned::now())?;
        let scored = section == "annotator" && self.recipe.annotator.kind.reads().head();
        let (family, config) = shape_of(&files)?;
        precision.check(self.device)?;
        fits_device(&config, scored, self.device)?;
        if let Some(adapter) = adapter.as_ref().filter(|_| files.adapter().is_none()) {
            targets(adapter, family, &config, scored, &format!("{section}.lora"))?;
        }
        let footprint = footprint_of(&files, adapter.as_ref(), precision, scored, self.device)?;
        Ok(Reader { files, encoder, footprint })
    }
}

/// What a cell holds, made the first time that it is asked for.
fn made<T>(cell: &OnceCell<T>, make: impl FnOnce() -> Result<T, RunError>) -> Result<&T, RunError> {
    if let Some(known) = cell.get() {
        return Ok(known);
    }
    let found = make()?;
    Ok(cell.get_or_init(|| found))
}

/// Whether the device has the room for each parameter.
fn fits_device(config: &DecoderConfig, scored: bool, device: &Device) -> Result<(), RunError> {
    let Some(most) = device::largest_tensor(device) else { return Ok(()) };
    let parameters = parameters(config, scored);
    match parameters.iter().find(|parameter| 4 * parameter.count() > most) {
        Some(parameter) => {
            let (tensor, bytes) = (parameter.path.clone(), 4 * parameter.count());
            Err(ModelError::Piece { tensor, bytes, most }.into())
        }
        None => Ok(()),
    }
}

/// Whether an adapter of the settings has a place in the model.
fn targets(
    adapter: &Adapter,
    family: &Family,
    config: &DecoderConfig,
    scored: bool,
    section: &str,
) -> Result<(), RunError> {
    Ok(adapter.check_targets(family, &parameters(config, scored), section.as_ref())?)
}
