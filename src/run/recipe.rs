//! The recipe: everything that decides a run, as one TOML file.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::recipe_online::OnlineSettings;
use crate::annotate::{Annotating, Annotator};
use crate::data::{ColumnMap, Limits as ReadLimits, Media, Pairing, ReadSettings};
use crate::device::{Candidate, Memory};
use crate::dissect::DissectSettings;
use crate::model::{LoraSettings, Precision};
use crate::preference::{Divergence, Mixture, Objective, Preference, Weighting};
use crate::registry::{self, Choice, Constants};
use crate::settings::{Field, Holds, Limits, Settings, Words, settings};
use crate::text::{ChatStyle, ControlWords};
use crate::train::{PairSampling, Schedule, Training};

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
        pub files: Vec<String> = Vec::new() => { holds: Holds::Files },
        /// More pairs for the unlabelled split; labels in them, if any, are used for evaluation only.
        pub unlabelled: Vec<String> = Vec::new() => { title: "More unlabelled", holds: Holds::List },
        /// Files kept for evaluation, in place of or beside the held-out share.
        pub held_out_files: Vec<String> = Vec::new() => { title: "More held out", holds: Holds::List },
        /// Share of the training pairs whose human labels train the annotator.
        pub labelled: f64 = 0.3 => { title: "Labelled share", limits: Limits::SHARE },
        /// Share of the labelled pairs that calibrate the annotator's confidence and do not train it, by prompt. Used only where something is fitted on them: confidence.temperature = "fit", confidence.calibration = "isotonic".
        pub calibration: f64 = 0.2 => {
            title: "Calibration share",
            limits: Limits::below(0.0, 1.0, "a share from 0 to below 1"),
        },
        /// Share of all prompts kept for evaluation.
        pub held_out: f64 = 0.1 => {
            title: "Held-out share",
            limits: Limits::below(0.0, 1.0, "a share from 0 to below 1"),
        },
        /// Which of several rated or ranked responses to one prompt make pairs: best-worst, adjacent (each against the next better one) or all (each two that differ). auto: best-worst, and all in trees of ranked replies.
        pub pairing: Pairing = Pairing::Auto => {
            title: "Pairs of ranked answers",
            words: Words::Of(&[
                ("auto", "as the data suggest"),
                ("best-worst", "the best against the worst"),
                ("adjacent", "each against the next"),
                ("all", "each two that differ"),
            ]),
        },
        /// Pictures, sounds and films, which language models do not see. refuse: a row with one is a bad row. leave-out: the text is read without them.
        pub media: Media = Media::Refuse => {
            title: "Pictures and sounds",
            words: Words::Of(&[("refuse", "skip their rows"), ("leave-out", "leave them out, and tell")]),
        },
        /// Which columns hold what, where files do not say so themselves: see [data.columns].
        #[section(columns)]
        pub columns: ColumnMap = ColumnMap::default(),
        /// How prompts are written. auto: messages by the model's chat template, or as a Human/Assistant transcript where it has none; plain text as it is. template: everything by the chat template (transcripts are cut into turns, other text is what a user says). hh: everything as a transcript. plain: the words alone.
        pub chat: ChatStyle = ChatStyle::Auto => {
            title: "Write prompts",
            words: Words::Of(&[
                ("auto", "as the model's template has it"),
                ("template", "all by a chat template"),
                ("hh", "all as Human/Assistant"),
                ("plain", "as the words alone"),
            ]),
        },
        /// File with a chat template (Jinja) for all models, in place of their own; empty means each model's own.
        pub chat_template: String = String::new() => { zero: "the model's own" },
        /// Words of the data that a model's tokenizer reads as control tokens (`</s>`, `<|im_end|>`). keep: they are control tokens, as in TRL. escape: a space behind their first character makes them words. refuse: such a pair is left out.
        pub special_tokens: ControlWords = ControlWords::Keep => {
            title: "Control tokens in texts",
            words: Words::Of(&[
                ("keep", "stay control tokens"),
                ("escape", "become words"),
                ("refuse", "leave their pairs out"),
            ]),
        },
        /// Longest prompt + response in tokens.
        pub max_length: usize = 512 => {
            title: "Longest pair",
            unit: "tokens",
            limits: Limits::at_least(2.0, "at least 2 tokens"),
        },
        /// Refuse to begin where max_length loses more than this share of the pairs (of 20 or more); 1 never refuses.
        pub max_lost: f64 = 0.5 => { title: "Begin if it loses at most", limits: Limits::SHARE },
        /// Use only the first so many readable pairs; 0 means all.
        pub limit: usize = 0 => { title: "Use at most", unit: "pairs", zero: "all pairs" },
        /// Most rows of one file, and pairs that come of them: a small packed file can unpack to any number.
        pub max_rows: usize = ReadLimits::default().max_rows => {
            title: "Most rows of a file",
            limits: Limits::at_least(1.0, "at least 1"),
            advanced: true,
        },
        /// Most bytes of one row.
        pub max_row_bytes: usize = ReadLimits::default().max_row_bytes => {
            title: "Most bytes of a row",
            limits: Limits::at_least(1.0, "at least 1"),
            advanced: true,
        },
        /// GiB of memory that the rows of one file may take; 0 for half of what is free.
        pub max_memory: f64 = 0.0 => {
            title: "Most memory of a file",
            unit: "GiB",
            zero: "half of what is free",
            limits: Limits::at_least(0.0, "0 or a number of GiB"),
            advanced: true,
        },
        /// Draw batches in a seeded random order; false keeps the order of the files.
        pub shuffle: bool = true,
    }
}

impl DataSettings {
    /// How the files are read.
    pub fn reading(&self) -> ReadSettings {
        let &Self { pairing, media, max_rows, max_row_bytes, max_memory, .. } = self;
        let limits = ReadLimits { max_rows, max_row_bytes, max_memory };
        ReadSettings { pairing, media, columns: self.columns.clone(), limits }
    }
}

settings! {
    /// The weak annotator.
    pub struct AnnotatorSettings {
        /// Who labels the unlabelled split.
        pub kind: Choice<dyn Annotator> = Choice::default() => {
            title: "Who labels",
            words: Words::Listed(registry::words::<dyn Annotator>),
        },
        /// Folder of a Hugging Face checkpoint, a name on the hub (org/name), or builtin:weak.
        pub model: String = String::new() => {
            aliases: &["model_name_or_path"],
            holds: Holds::Model,
        },
        /// How weights that are not trained are stored: f32, f16, bf16, int8 or int4; all but f32 need an adapter (lora.rank above 0).
        pub precision: Precision = Precision::F32 => { title: "Other weights", words: PRECISIONS },
        /// How many members label together, for a scalar head: each learns from a resample (with replacement) of the labelled pairs, from a head and in an order of its own. Their mean margin labels; how far they differ stands in the table as spread (see ensemble_tau). 1 learns from the pairs as they are.
        pub ensemble: usize = 1 => {
            title: "Members",
            limits: Limits::between(1.0, 64.0, "from 1 to 64 members"),
            advanced: true,
        },
        /// How it is trained.
        #[serde(flatten)]
        pub training: Training = Training {
            epochs: 5.0,
            learning_rate: 1e-5,
            batch_size: 32,
            accumulate: 1,
            schedule: Schedule::Constant,
            warmup_steps: 0,
            weight_decay: 0.0,
            ..Training::default()
        },
        /// What is trained of it.
        #[section(lora)]
        pub lora: LoraSettings = LoraSettings::default(),
        /// The constants of annotators.
        #[serde(flatten)]
        pub constants: Annotating = Annotating::default(),
    }
}

/// Which pairs supervised fine-tuning learns from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SftPairs {
    /// All that have a label, however sure it is: the paper's form.
    #[default]
    All,
    /// Those whose weight is above 0.
    Kept,
}

settings! {
    /// Supervised fine-tuning on the chosen responses, before alignment.
    pub struct SftSettings {
        /// all: the chosen response of every labelled pair, however sure its label is, as in the paper. kept: of those alone whose weight is above 0 under confidence.weight and the threshold that is in force when fine-tuning begins, so that the model does not imitate what a doubtful label prefers.
        pub pairs: SftPairs = SftPairs::All => {
            title: "Learns from",
            words: Words::Of(&[("all", "all labelled pairs"), ("kept", "those that the threshold keeps")]),
        },
        /// Learn from the hardest responses alone, this share of them, with which SALT's selection of data (SALT_DS, arXiv 2410.18779) ranks "challenging yet learnable" ones: by the median loss, under the teacher, of those tokens that are among the teacher's likeliest (select_top_k). The paper found no consistent gain in it. 1: all.
        pub select_share: f64 = 1.0 => {
            title: "Learns from the hardest",
            limits: Limits::between(0.001, 1.0, "a share from 0.001 to 1"),
            advanced: true,
        },
        /// For select_share: a token counts where it is among so many of the teacher's likeliest ones; 10 is the paper's.
        pub select_top_k: u64 = 10 => {
            title: "… as far as among the likeliest",
            unit: "tokens",
            limits: Limits::at_least(1.0, "1 or more"),
            advanced: true,
        },
        /// SALT (arXiv 2410.18779): in the first so many steps each response token is also compared with what a weak teacher finds likely there, (1 − ω)·CE(data) + ω·CE(teacher), which is a gentler start than the data alone; the steps after them learn from the data alone, so that the loss jumps between. The paper distils for the first 36,000 of 208,000 steps of pretraining, about a sixth, and found 20,000 to 60,000 as good. 0: none.
        pub distill_steps: u64 = 0 => {
            title: "Learns from a teacher for",
            unit: "steps",
            zero: "none",
            advanced: true,
        },
        /// The teacher, of distill_steps and of select_share: a folder or a hub name of a language model with the policy's tokenizer and vocabulary. Empty takes annotator.model as it is before it learns to annotate, where that is a language model. It stays frozen, is stored with policy.precision, and is held in memory only while it is asked.
        pub teacher: String = String::new() => { zero: "the annotator's model", advanced: true },
        /// ω, the teacher's share in the loss of those steps; 1 leaves the data's own tokens out. 0.667 is the paper's, as far as it is known.
        pub distill_weight: f64 = 0.667 => {
            title: "The teacher's share ω",
            limits: Limits::SHARE,
            advanced: true,
        },
        /// What the teacher's logits are divided by: below 1 it is surer than it was trained to be, at 1 it is itself. 0.25 is the paper's, as far as it is known.
        pub distill_temperature: f64 = 0.25 => {
            title: "The teacher's temperature",
            limits: Limits::POSITIVE,
            advanced: true,
        },
        /// How it is trained; 0 epochs skip the stage.
        #[serde(flatten)]
        pub training: Training =
            Training { epochs: 3.0, learning_rate: 1e-5, ..Training::default() },
    }
}

settings! {
    /// The policy and its objective.
    pub struct PolicySettings {
        /// Folder of a Hugging Face checkpoint, a name on the hub (org/name), or builtin:strong.
        pub model: String = String::new() => {
            aliases: &["model_name_or_path"],
            holds: Holds::Model,
        },
        /// How weights that are not trained are stored: f32, f16, bf16, int8 or int4; all but f32 need an adapter (lora.rank above 0).
        pub precision: Precision = Precision::F32 => { title: "Other weights", words: PRECISIONS },
        /// The preference loss, or a list of several whose losses are added.
        pub objective: Mixture = Mixture::default() => {
            aliases: &["loss_type"],
            words: Words::Listed(registry::words::<dyn Objective>),
            holds: Holds::Several,
        },
        /// What each of several losses is multiplied by, in their order; empty for 1 each.
        pub loss_weights: Vec<f64> = Vec::new() => {
            title: "Weights of the losses",
            holds: Holds::Numbers,
            zero: "1 each",
            advanced: true,
        },
        /// Strength of the pull towards the reference.
        pub beta: f64 = 0.5 => { title: "β", limits: Limits::POSITIVE },
        /// The distance from the reference that alignment keeps small, for objectives that are built on the difference of two log-ratios. reverse_kl: that of DPO.
        pub f_divergence_type: Divergence = Divergence::ReverseKl => {
            title: "Divergence",
            words: Words::Of(&[
                ("reverse_kl", "reverse KL (DPO)"),
                ("forward_kl", "forward KL"),
                ("js_divergence", "Jensen–Shannon"),
                ("alpha_divergence", "α-divergence"),
            ]),
            advanced: true,
        },
        /// The α of f_divergence_type = "alpha_divergence"; at 1 it is the reverse KL.
        pub f_alpha_divergence_coef: f64 = 0.5 => {
            title: "α of the α-divergence",
            limits: Limits::NOT_NEGATIVE,
            advanced: true,
        },
        /// ODPO (arXiv 2402.10571), for objectives that are a function of the logit: a pair has to be told apart by α times its margin d, so that what the annotator is surer of has to be learned more firmly. 0: by nothing.
        pub odpo_alpha: f64 = 0.0 => {
            title: "Margin as an offset α",
            zero: "none",
            limits: Limits::NOT_NEGATIVE,
            advanced: true,
        },
        /// LD-DPO (arXiv 2409.06411): how much the tokens count by which one response of a pair is longer than the other; 1 counts all alike. Rewards are told of what counts.
        pub ld_alpha: f64 = 1.0 => {
            title: "Excess tokens α",
            limits: Limits::SHARE,
            advanced: true,
        },
        /// WPO (arXiv 2406.11827): weigh each pair also by how likely the policy itself would write its responses, so that training is nearer to its own texts.
        pub use_weighting: bool = false => { title: "WPO weights", advanced: true },
        /// TR-DPO (arXiv 2404.09656): lead the reference towards the policy every so many steps, by ref_model_mixup_alpha; 0 leaves it where it is. Not with an adapter, whose factors cannot be mixed.
        pub ref_model_sync_steps: usize = 0 => {
            title: "Move reference every",
            unit: "steps",
            zero: "never",
            advanced: true,
        },
        /// The policy's share in a reference that moves: π_ref ← απ + (1 − α)π_ref.
        pub ref_model_mixup_alpha: f64 = 0.6 => {
            title: "Its share of the policy α",
            limits: Limits::SHARE,
            advanced: true,
        },
        /// More references (MRPO, arXiv 2405.16388): folders or hub names of models with the policy's tokenizer; 1/π_ref(y) = Σ_k a_k/π_k(y), the policy's start being one of them.
        pub references: Vec<String> = Vec::new() => {
            title: "More references",
            holds: Holds::Models,
            zero: "none",
            advanced: true,
        },
        /// pairs: divide the weighted losses by the number of pairs (the paper's form). weights: by the sum of weights.
        pub normalisation: Normalisation = Normalisation::Pairs => {
            title: "Divide by",
            words: Words::Of(&[("pairs", "number of pairs"), ("weights", "sum of weights")]),
        },
        /// Whether policy.lora.dropout is left out of alignment (SFT keeps it), so that the policy begins as its reference, which drops nothing; as in TRL.
        pub disable_dropout: bool = true => { title: "Align without dropout" },
        /// every: each pair once an epoch, its loss scaled by its weight. proportional: as many draws an epoch, with probability proportional to the weight, each loss scaled by the mean weight; the same gradient in expectation, and no time spent on pairs that hardly count.
        pub sampling: PairSampling = PairSampling::Every => {
            title: "Confidence as",
            words: Words::Of(&[
                ("every", "weight of the loss"),
                ("proportional", "chance of being drawn"),
            ]),
        },
        /// How it is trained.
        #[serde(flatten)]
        pub training: Training =
            Training { epochs: 5.0, learning_rate: 5e-6, ..Training::default() },
        /// What is trained of it, in SFT and in alignment.
        #[section(lora)]
        pub lora: LoraSettings = LoraSettings::default(),
        /// The constants of objectives.
        #[serde(flatten)]
        pub constants: Constants<dyn Objective> = Constants::default(),
    }
}

impl PolicySettings {
    /// The objective with its settings.
    pub fn preference(&self) -> Preference {
        Preference {
            objective: self.objective.clone(),
            loss_weights: self.loss_weights.clone(),
            beta: self.beta,
            divergence: self.f_divergence_type,
            divergence_alpha: self.f_alpha_divergence_coef,
            offset: self.odpo_alpha,
            use_weighting: self.use_weighting,
            ld_alpha: (self.ld_alpha < 1.0).then_some(self.ld_alpha),
            constants: self.constants.clone(),
        }
    }
}

/// How weights that are not trained may be stored.
const PRECISIONS: Words = Words::Of(&[
    ("f32", "32-bit floats"),
    ("f16", "16-bit floats (f16)"),
    ("bf16", "16-bit floats (bf16)"),
    ("int8", "8 bits"),
    ("int4", "4 bits"),
]);

settings! {
    /// What is measured at the end.
    pub struct EvaluateSettings {
        /// A gold reward model, which judges sampled responses at the end: folder or hub name of a sequence classifier with one label; empty means none but that of the built-in demonstration.
        pub gold: String = String::new() => { title: "Gold reward model", zero: "none" },
        /// How the gold model's weights are stored: f32, f16, bf16, int8 or int4.
        pub gold_precision: Precision = Precision::F32 => { title: "Its weights", words: PRECISIONS },
        /// Held-out prompts to which the base model, the SFT model and the policy each write a response, where a gold reward is known.
        pub samples: usize = 96 => { title: "Prompts" },
        /// Longest sampled response in tokens.
        pub max_new_tokens: usize = 96 => {
            title: "Longest response",
            unit: "tokens",
            limits: Limits::at_least(1.0, "at least 1"),
        },
        /// Temperature of the samples; 0 takes the likeliest token.
        pub temperature: f64 = 1.0 => { limits: Limits::NOT_NEGATIVE },
    }
}

settings! {
    /// Everything that decides a run.
    pub struct Recipe {
        /// Name of the run; part of its folder's name.
        pub name: String = "run".to_owned(),
        /// Seed of all randomness.
        pub seed: u64 = 0,
        /// auto, cpu, gpu or gpu:N; see `confide devices`.
        pub device: String = "auto".to_owned(),
        /// GiB that a run may take of the device's memory; 0 takes what the driver or the system tells.
        pub device_memory: f64 = 0.0 => {
            unit: "GiB",
            zero: "what it tells",
            limits: Limits::at_least(0.0, "0 or a number of GiB"),
        },
        /// Least seconds between two checkpoints, longer where they would take more than 2 % of the time; 0 writes one after every step.
        pub checkpoint_seconds: f64 = 60.0 => {
            title: "Checkpoint every",
            unit: "s",
            limits: Limits::NOT_NEGATIVE,
        },
        /// The data.
        #[section(data)]
        pub data: DataSettings = DataSettings::default(),
        /// The annotator.
        #[section(annotator)]
        pub annotator: AnnotatorSettings = AnnotatorSettings::default(),
        /// From margins to weights.
        #[section(confidence)]
        pub confidence: Weighting = Weighting::default(),
        /// What labels reward.
        #[section(dissect)]
        pub dissect: DissectSettings = DissectSettings::default(),
        /// Fine-tuning before alignment.
        #[section(sft)]
        pub sft: SftSettings = SftSettings::default(),
        /// The policy.
        #[section(policy)]
        pub policy: PolicySettings = PolicySettings::default(),
        /// Rounds on the policy's own responses.
        #[section(online)]
        pub online: OnlineSettings = OnlineSettings::default(),
        /// The evaluation.
        #[section(evaluate)]
        pub evaluate: EvaluateSettings = EvaluateSettings::default(),
    }
}

/// A setting and the section that it stands in.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The dotted name of the section; empty at the top.
    pub section: String,
    /// What is known of it.
    pub field: Field,
}

impl Setting {
    /// `section.name`, as `--set` takes it.
    pub fn key(&self) -> String {
        match self.section.as_str() {
            "" => self.field.name.to_owned(),
            section => format!("{section}.{}", self.field.name),
        }
    }
}

static SETTINGS: LazyLock<Vec<Setting>> = LazyLock::new(|| {
    let top = (String::new(), Recipe::fields());
    let sections = std::iter::once(top).chain(Recipe::sections());
    let expand = |(section, fields): (String, Vec<Field>)| {
        fields.into_iter().map(move |field| Setting { section: section.clone(), field })
    };
    sections.flat_map(expand).collect()
});

impl Recipe {
    /// What a run may take of a device's memory; `None` where nobody tells.
    pub fn memory(&self, device: &Candidate) -> Option<Memory> {
        if self.device_memory > 0.0 {
            let bytes = (self.device_memory * f64::from(1 << 30)) as u64;
            return Some(Memory { bytes, source: "device_memory in the recipe" });
        }
        device.memory()
    }

    /// Every setting with its documentation, in the order in which a person would read them.
    pub fn documentation() -> &'static [Setting] {
        &SETTINGS
    }

    /// One setting, by `section.key` or `key`.
    pub fn setting(path: &str) -> Option<&'static Setting> {
        let (section, name) = path.rsplit_once('.').unwrap_or(("", path));
        SETTINGS.iter().find(|s| s.section == section && s.field.name == name)
    }

    /// The documentation of one setting.
    pub fn explain(path: &str) -> Option<&'static str> {
        Self::setting(path).map(|setting| setting.field.doc.trim())
    }
}
