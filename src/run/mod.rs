//! A run: from a recipe to a policy, stage by stage, told in events.

mod cache;
mod caching;
mod checkpoint;
mod checkpoint_folder;
mod control;
mod disk;
mod error;
mod estimate;
mod event;
mod export;
mod fault;
mod fold;
mod folder;
mod folder_error;
mod job;

mod models;
mod planning;
mod recipe;
mod recipe_combining;
mod recipe_confidence;
mod recipe_file;
mod recipe_objective;
mod recipe_online;
mod recipe_rounds;
mod recipe_sft;
mod report;
mod resume;
mod session;
mod sizes;
mod stage;
mod stages;
mod state;
mod summary;
mod training;
mod view;
mod worker;

pub use cache::{cache_folder, check_cache};
pub use control::Control;
pub use disk::Disk;
pub use error::RunError;
pub use estimate::{Advice, Estimate, estimate};
pub use event::Event;
pub use folder::{can_resume, new_folder, read_events};
pub use folder_error::FolderError;
pub use job::Job;
pub use models::{fetch_model, find_model};
pub use recipe::{
    AnnotatorSettings, DataSettings, EvaluateSettings, Normalisation, PolicySettings, Recipe,
    Setting, SftPairs, SftSettings,
};
pub use recipe_file::RecipeError;
pub use recipe_online::{OnlineSettings, RoundReference};
pub use report::{
    AnnotatorReport, CombinationReport, ConfidenceReport, DataReport, FittedReport, GateReport,
    KeptReport, PolicyReport, QuestionReport, Report, RoundReport, TournamentReport, VoiceReport,
};
pub use stage::{AboutStage, Part, Shows, Stage, StageEstimate, Whose};
pub(crate) use stages::normal;
pub use stages::{lengths_in, lengths_of, written};
pub use summary::{DataSummary, FileSummary, PromptsReport};
pub use view::{Curves, Level, LogLine, MOST_POINTS, RunView, StageState, Status};
pub use worker::{RunHandle, execute, spawn};

pub use crate::evaluate::{GoldReport, GoldSample};
pub use crate::train::Metrics;
