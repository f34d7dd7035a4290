//! What labels reward that can be counted in a text, people's and the annotator's side by side
//! (arXiv 2402.11296).

use serde::Serialize;

use super::super::Recipe;
use super::super::error::RunError;
use super::super::session::Session;
use super::super::stage::{AboutStage, Stage, Whose};
use super::confidence::PART;
use super::labels::by_human;
use super::work::Work;
use super::{StageDefinition, Then};
use crate::batch::Ranked;

pub(super) struct Dissect;

impl Stage {
    /// Compare what people and the annotator reward.
    pub const DISSECT: Self = Self("dissect");
}

static ABOUT: AboutStage = AboutStage {
    stage: Stage::DISSECT,
    title: "Dissection",
    part: &PART,
    model: Whose::Annotator,
    computes: false,
    seed: 7,
};

/// A property of a text: its name, and how much the text has of it.
type Property = (&'static str, fn(&str) -> usize);

const PROPERTIES: &[Property] = &[
    ("characters", |text| text.chars().count()),
    ("lines", |text| text.lines().count()),
    ("list items", |text| {
        text.lines().filter(|line| line.trim_start().starts_with(['-', '*', '•'])).count()
    }),
    ("digits", |text| text.chars().filter(char::is_ascii_digit).count()),
    ("questions", |text| text.matches('?').count()),
    ("exclamations", |text| text.matches('!').count()),
    ("capitals", |text| text.chars().filter(|c| c.is_uppercase()).count()),
];

/// How often the preferred response has more of a property than the other, where they differ in it.
#[derive(Debug, PartialEq, Serialize)]
struct Reward {
    property: &'static str,
    /// By human labels of the labelled split; none where no two responses differ.
    human: Option<f64>,
    /// By the annotator's labels of the unlabelled split.
    annotator: Option<f64>,
}

impl StageDefinition for Dissect {
    fn about(&self) -> &'static AboutStage {
        &ABOUT
    }

    /// Labels that are people's own are not compared with themselves.
    fn is_skipped(&self, recipe: &Recipe) -> bool {
        recipe.annotator.kind.reads().labels()
    }

    fn run(&self, session: &mut Session<'_>, work: &Work) -> Result<Then, RunError> {
        let (prepared, labels) = (work.prepared()?, work.labels()?);
        session.stage(Stage::DISSECT, PROPERTIES.len() as u64, |session| {
            let responses = |pair: usize| prepared.pairs[pair].responses.each_ref();
            let known = prepared.split.labelled.iter().map(|&pair| &prepared.pairs[pair]);
            let human = known.filter(|pair| pair.label.is_some());
            let human: Vec<Ranked<&String>> =
                human.map(|pair| by_human(pair, pair.responses.each_ref())).collect();
            let weak = labels
                .iter()
                .map(|label| Ranked::of(responses(label.pair), label.chosen.index() == 1));
            let weak: Vec<Ranked<&String>> = weak.collect();
            let found: Vec<Reward> = PROPERTIES
                .iter()
                .map(|&(property, count)| Reward {
                    property,
                    human: more(&human, count),
                    annotator: more(&weak, count),
                })
                .collect();
            session.tabulated("dissection", &found)
        })?;
        Ok(Then::Next)
    }
}

/// The share of pairs whose preferred response has more, among those whose responses differ.
fn more(pairs: &[Ranked<&String>], count: fn(&str) -> usize) -> Option<f64> {
    let counts = pairs.iter().map(|pair| (count(pair.chosen), count(pair.rejected)));
    let differing: Vec<bool> = counts.filter(|(a, b)| a != b).map(|(a, b)| a > b).collect();
    let right = differing.iter().filter(|more| **more).count();
    (!differing.is_empty()).then(|| right as f64 / differing.len() as f64)
}
