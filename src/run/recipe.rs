//! The recipe: everything that decides a run, as one TOML file.

use serde::{Deserialize, Serialize};

use crate::data::{ColumnMap, Limits, Media, Pairing, ReadSettings};
use crate::device::{Candidate, Memory};
use crate::model::{LoraSettings, Precision};
use crate::preference::{Objective, Weighting};
use crate::settings::{Field, settings};
use crate::text::{ChatStyle, ControlWords};
use crate::train::{PairSampling, Schedule, Training};

/// Who labels the unlabelled split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnnotatorKind {
    /// A Bradley–Terry reward head, trained on the labelled split.
    #[default]
    RewardHead,
    /// The human labels themselves, with weight 1: the Human baseline.
    Human,
    /// The files: their labels, and the margins or probabilities that come with them.
    File,
}

/// What a mean over weighted pairs divides by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalisation {
    /// The number of pairs: (1/N) Σ wℓ, the paper's equation 7.
    #[default]
    Pairs,
    /// The sum of the weights: Σ wℓ / Σ w.
    Weights,
}

settings! {
    /// Which pairs, and how they are split.
    pub struct DataSettings {
        /// Preference files with human labels (HH-RLHF, prompt/chosen/rejected, …; JSON, JSON lines, gzip, CSV, Parquet), or "builtin:demo".
        pub files: Vec<String> = Vec::new(),
        /// More pairs for the unlabelled split; labels in them, if any, are used for evaluation only.
        pub unlabelled: Vec<String> = Vec::new(),
        /// Files kept for evaluation, in place of or beside the held-out share.
        pub held_out_files: Vec<String> = Vec::new(),
        /// Share of the training pairs whose human labels train the annotator.
        pub labelled: f64 = 0.3,
        /// Share of all prompts kept for evaluation.
        pub held_out: f64 = 0.1,
        /// Which of several rated or ranked responses to one prompt make pairs: best-worst, adjacent (each against the next better one) or all (each two that differ). auto: best-worst, and all in trees of ranked replies.
        pub pairing: Pairing = Pairing::Auto,
        /// Pictures, sounds and films, which language models do not see. refuse: a row with one is a bad row. leave-out: the text is read without them.
        pub media: Media = Media::Refuse,
        /// Which columns hold what, where files do not say so themselves: see [data.columns].
        pub columns: ColumnMap = ColumnMap::default(),
        /// How prompts are written. auto: messages by the model's chat template, or as a Human/Assistant transcript where it has none; plain text as it is. template: everything by the chat template (transcripts are cut into turns, other text is what a user says). hh: everything as a transcript. plain: the words alone.
        pub chat: ChatStyle = ChatStyle::Auto,
        /// File with a chat template (Jinja) for all models, in place of their own; empty means each model's own.
        pub chat_template: String = String::new(),
        /// Words of the data that a model's tokenizer reads as control tokens (`</s>`, `<|im_end|>`). keep: they are control tokens, as in TRL. escape: a space behind their first character makes them words. refuse: such a pair is left out.
        pub special_tokens: ControlWords = ControlWords::Keep,
        /// Longest prompt + response in tokens.
        pub max_length: usize = 512,
        /// Refuse to begin where max_length loses more than this share of the pairs (of 20 or more); 1 never refuses.
        pub max_lost: f64 = 0.5,
        /// Use only the first so many readable pairs; 0 means all.
        pub limit: usize = 0,
        /// Most rows of one file, and pairs that come of them: a small packed file can unpack to any number.
        pub max_rows: usize = Limits::default().max_rows,
        /// Most bytes of one row.
        pub max_row_bytes: usize = Limits::default().max_row_bytes,
        /// GiB of memory that the rows of one file may take; 0 for half of what is free.
        pub max_memory: f64 = 0.0,
        /// Draw batches in a seeded random order; false keeps the order of the files.
        pub shuffle: bool = true,
    }
}

impl DataSettings {
    /// How the files are read.
    pub fn reading(&self) -> ReadSettings {
        let &Self { pairing, media, max_rows, max_row_bytes, max_memory, .. } = self;
        let limits = Limits { max_rows, max_row_bytes, max_memory };
        ReadSettings { pairing, media, columns: self.columns.clone(), limits }
    }

    /// The settings that are no section of their own, with their documentation.
    fn fields() -> Vec<Field> {
        Self::FIELDS.iter().copied().filter(|field| field.name != "columns").collect()
    }
}

/// The weak annotator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnnotatorSettings {
    /// Who labels.
    pub kind: AnnotatorKind,
    /// Folder or hub name of the backbone, or `builtin:weak`.
    pub model: String,
    /// How weights that are not trained are stored.
    pub precision: Precision,
    /// How it is trained.
    #[serde(flatten)]
    pub training: Training,
    /// What is trained of it.
    pub lora: LoraSettings,
}

/// Supervised fine-tuning on the chosen responses, before alignment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SftSettings {
    /// How it is trained; 0 epochs skip the stage.
    #[serde(flatten)]
    pub training: Training,
}

/// The policy and its objective.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PolicySettings {
    /// Folder or hub name of the model, or `builtin:strong`.
    pub model: String,
    /// How weights that are not trained are stored.
    pub precision: Precision,
    /// The preference loss.
    pub objective: Objective,
    /// β, the strength of the pull towards the reference.
    pub beta: f64,
    /// ε of `rdpo`: the share of labels taken to be wrong.
    pub label_noise: f64,
    /// What the weighted mean divides by.
    pub normalisation: Normalisation,
    /// Whether adapters drop nothing while the policy is aligned, as TRL has it.
    pub disable_dropout: bool,
    /// How confidence enters training: by weights, or by how often a pair is drawn.
    pub sampling: PairSampling,
    /// How it is trained.
    #[serde(flatten)]
    pub training: Training,
    /// What is trained of it, in SFT and in alignment.
    pub lora: LoraSettings,
}

settings! {
    /// What is measured at the end.
    pub struct EvaluateSettings {
        /// A gold reward model, which judges sampled responses at the end: folder or hub name of a sequence classifier with one label; empty means none but that of the built-in demonstration.
        pub gold: String = String::new(),
        /// How the gold model's weights are stored: f32, f16, bf16, int8 or int4.
        pub gold_precision: Precision = Precision::F32,
        /// Held-out prompts to which the base model, the SFT model and the policy each write a response, where a gold reward is known.
        pub samples: usize = 96,
        /// Longest sampled response in tokens.
        pub max_new_tokens: usize = 96,
        /// Temperature of the samples; 0 takes the likeliest token.
        pub temperature: f64 = 1.0,
    }
}

/// Everything that decides a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// Name of the run; part of its folder's name.
    pub name: String,
    /// Seed of all randomness.
    pub seed: u64,
    /// `auto`, `cpu`, `gpu` or `gpu:N`.
    pub device: String,
    /// GiB that a run may take of the device's memory; 0 for what the device tells.
    pub device_memory: f64,
    /// Least seconds between two checkpoints, longer where they would take more than 2 % of the
    /// time; 0 writes one after every step.
    pub checkpoint_seconds: f64,
    /// The data.
    pub data: DataSettings,
    /// The annotator.
    pub annotator: AnnotatorSettings,
    /// From margins to weights.
    pub confidence: Weighting,
    /// Fine-tuning before alignment.
    pub sft: SftSettings,
    /// The policy.
    pub policy: PolicySettings,
    /// The evaluation.
    pub evaluate: EvaluateSettings,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            name: "run".to_owned(),
            seed: 0,
            device: "auto".to_owned(),
            device_memory: 0.0,
            checkpoint_seconds: 60.0,
            data: DataSettings::default(),
            annotator: AnnotatorSettings {
                kind: AnnotatorKind::RewardHead,
                model: String::new(),
                precision: Precision::F32,
                lora: LoraSettings::default(),
                training: Training {
                    epochs: 5.0,
                    learning_rate: 1e-5,
                    batch_size: 32,
                    accumulate: 1,
                    schedule: Schedule::Constant,
                    warmup_steps: 0,
                    weight_decay: 0.0,
                    ..Training::default()
                },
            },
            confidence: Weighting::default(),
            sft: SftSettings {
                training: Training { epochs: 3.0, learning_rate: 1e-5, ..Training::default() },
            },
            policy: PolicySettings {
                model: String::new(),
                precision: Precision::F32,
                lora: LoraSettings::default(),
                objective: Objective::Dpo,
                beta: 0.5,
                label_noise: 0.1,
                normalisation: Normalisation::Pairs,
                sampling: PairSampling::Every,
                disable_dropout: true,
                training: Training { epochs: 5.0, learning_rate: 5e-6, ..Training::default() },
            },
            evaluate: EvaluateSettings::default(),
        }
    }
}

const TOP: &[Field] = &[
    Field { name: "name", doc: " Name of the run; part of its folder's name." },
    Field { name: "seed", doc: " Seed of all randomness." },
    Field { name: "device", doc: " auto, cpu, gpu or gpu:N; see `confide devices`." },
    Field {
        name: "device_memory",
        doc: " GiB that a run may take of the device's memory; 0 takes what the driver or the system tells.",
    },
    Field {
        name: "checkpoint_seconds",
        doc: " Least seconds between two checkpoints, longer where they would take more than 2 % of the time; 0 writes one after every step.",
    },
];

const ANNOTATOR: &[Field] = &[
    Field {
        name: "kind",
        doc: " reward-head: train a scalar head on the labelled split; with annotator.epochs = 0, take a reward model as it is. human: take the human labels, weight 1. file: take the labels of the files with the margins or probabilities that come with them (see data.columns.margin).",
    },
    Field {
        name: "model",
        doc: " Folder of a Hugging Face checkpoint, a name on the hub (org/name), or builtin:weak.",
    },
    PRECISION,
];

const PRECISION: Field = Field {
    name: "precision",
    doc: " How weights that are not trained are stored: f32, f16, bf16, int8 or int4; all but f32 need an adapter (lora.rank above 0).",
};

const POLICY: &[Field] = &[
    Field {
        name: "model",
        doc: " Folder of a Hugging Face checkpoint, a name on the hub (org/name), or builtin:strong.",
    },
    PRECISION,
    Field { name: "objective", doc: " dpo, ipo or rdpo." },
    Field { name: "beta", doc: " Strength of the pull towards the reference." },
    Field {
        name: "label_noise",
        doc: " For rdpo: the share of labels taken to be wrong, below 0.5.",
    },
    Field {
        name: "normalisation",
        doc: " pairs: divide the weighted losses by the number of pairs (the paper's form). weights: by the sum of weights.",
    },
    Field {
        name: "sampling",
        doc: " every: each pair once an epoch, its loss scaled by its weight. proportional: as many draws an epoch, with probability proportional to the weight, each loss scaled by the mean weight; the same gradient in expectation, and no time spent on pairs that hardly count.",
    },
    Field {
        name: "disable_dropout",
        doc: " Whether policy.lora.dropout is left out of alignment (SFT keeps it), so that the policy begins as its reference, which drops nothing; as in TRL.",
    },
];

impl Recipe {
    /// What a run may take of a device's memory; `None` where nobody tells.
    pub fn memory(&self, device: &Candidate) -> Option<Memory> {
        if self.device_memory > 0.0 {
            let bytes = (self.device_memory * f64::from(1 << 30)) as u64;
            return Some(Memory { bytes, source: "device_memory in the recipe" });
        }
        device.memory()
    }

    /// Every setting with its documentation: (section, field); the top level has an empty section.
    pub fn documentation() -> Vec<(&'static str, Field)> {
        let data = DataSettings::fields();
        let sections: [(&'static str, &[&[Field]]); 10] = [
            ("", &[TOP]),
            ("data", &[&data]),
            ("data.columns", &[ColumnMap::FIELDS]),
            ("annotator", &[ANNOTATOR, Training::FIELDS]),
            ("annotator.lora", &[LoraSettings::FIELDS]),
            ("confidence", &[Weighting::FIELDS]),
            ("sft", &[Training::FIELDS]),
            ("policy", &[POLICY, Training::FIELDS]),
            ("policy.lora", &[LoraSettings::FIELDS]),
            ("evaluate", &[EvaluateSettings::FIELDS]),
        ];
        let expand = |(section, lists): (&'static str, &[&[Field]])| {
            let fields: Vec<Field> = lists.concat();
            fields.into_iter().map(move |field| (section, field)).collect::<Vec<_>>()
        };
        sections.into_iter().flat_map(expand).collect()
    }

    /// The documentation of one setting, `section.key` or `key`.
    pub fn explain(path: &str) -> Option<&'static str> {
        let (section, key) = path.rsplit_once('.').unwrap_or(("", path));
        Self::documentation()
            .into_iter()
            .find(|(s, field)| *s == section && field.name == key)
            .map(|(_, field)| field.doc.trim())
    }
}
