//! What labels reward that can be counted in a response, people's and the annotator's side by side
//! (arXiv 2402.11296).

use std::collections::HashMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::super::Recipe;
use super::super::error::RunError;
use super::super::session::Session;
use super::super::stage::{AboutStage, Stage, Whose};
use super::confidence::PART;
use super::labels::Labelled;
use super::prepared::Prepared;
use super::random::stream;
use super::work::Work;
use super::{StageDefinition, Then};
use crate::data::{PromptKey, Side};
use crate::dissect::{Both, Compared, LONGEST, Rows, differences, dissect};

pub(super) struct Dissect;

impl Stage {
    /// Find out what people and the annotator reward.
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

/// Of fewer pairs nothing can be said.
const FEWEST: usize = 20;

/// Pairs that are read between two looks at whether the run was stopped.
const AT_ONCE: usize = 256;

impl StageDefinition for Dissect {
    fn about(&self) -> &'static AboutStage {
        &ABOUT
    }

    fn is_skipped(&self, recipe: &Recipe) -> bool {
        recipe.dissect.pairs == 0
    }

    fn run(&self, session: &mut Session<'_>, work: &Work) -> Result<Then, RunError> {
        if self.is_skipped(&session.recipe) {
            return Ok(Then::Next);
        }
        let (prepared, labels) = (work.prepared()?, work.labels()?);
        let settings = session.recipe.dissect.clone();
        session.stage(Stage::DISSECT, settings.resamples as u64, |session| {
            let mut rng = ChaCha8Rng::seed_from_u64(session.recipe.seed);
            rng.set_stream(stream::DISSECT);
            let judged = Judged::of(session, prepared, labels)?.at_most(session, &mut rng)?;
            if judged.labels.len() < FEWEST {
                let found = judged.labels.len();
                return session.warn(format!(
                    "what the labels reward is not looked for: {found} pairs have one, and fewer than {FEWEST} tell nothing"
                ));
            }
            let compared = judged.compare(session, prepared)?;
            let total = settings.resamples as u64;
            let found = dissect(compared, &settings, rng.random(), &mut |done| {
                session.progress(Stage::DISSECT, done as u64, total)
            })?;
            if found.inexact > 0 {
                session.warn(format!(
                    "what the labels reward: {} of the fits are not exact; a smaller dissect.prior_scale makes them easier",
                    found.inexact
                ))?;
            }
            session.tabulated("dissection", &found)
        })?;
        Ok(Then::Next)
    }
}

/// Labelled pairs that are compared, and who labelled them.
struct Judged {
    labels: Vec<Labelled>,
    human: bool,
    weak: bool,
}

impl Judged {
    /// Pairs that people and the annotator labelled; where there are too few, the annotator's alone; where the
    /// labels are those that the pairs came with, these.
    fn of(
        session: &mut Session<'_>,
        prepared: &Prepared,
        labels: &[Labelled],
    ) -> Result<Self, RunError> {
        if session.recipe.annotator.kind.reads().labels() {
            return Ok(Self { labels: labels.to_vec(), human: true, weak: false });
        }
        let by_both = labels.iter().filter(|label| prepared.pairs[label.pair].label.is_some());
        let by_both: Vec<Labelled> = by_both.copied().collect();
        let (both, all) = (by_both.len(), labels.len());
        if both >= FEWEST {
            if both < all {
                session.warn(format!(
                    "what the labels reward is compared on the {both} of {all} pairs that people labelled, too"
                ))?;
            }
            return Ok(Self { labels: by_both, human: true, weak: true });
        }
        if both > 0 {
            session.warn(format!(
                "what people reward is not looked for: they labelled {both} of the annotator's {all} pairs, and fewer than {FEWEST} tell nothing"
            ))?;
        }
        Ok(Self { labels: labels.to_vec(), human: false, weak: true })
    }

    /// No more of them than the recipe asks for.
    fn at_most(
        mut self,
        session: &mut Session<'_>,
        rng: &mut ChaCha8Rng,
    ) -> Result<Self, RunError> {
        let (most, all) = (session.recipe.dissect.pairs, self.labels.len());
        if all > most {
            session.warn(format!(
                "what the labels reward is looked for in {most} of {all} pairs, drawn by the seed; dissect.pairs = {all} takes all"
            ))?;
            let mut drawn = rand::seq::index::sample(rng, all, most).into_vec();
            drawn.sort_unstable();
            self.labels = drawn.into_iter().map(|at| self.labels[at]).collect();
        }
        Ok(self)
    }

    /// What their responses differ by.
    fn compare(
        &self,
        session: &mut Session<'_>,
        prepared: &Prepared,
    ) -> Result<Compared, RunError> {
        let mut rows = Vec::with_capacity(self.labels.len());
        let mut cut = 0;
        for part in self.labels.chunks(AT_ONCE) {
            session.poll()?;
            let read = |label: &Labelled| {
                let pair = &prepared.pairs[label.pair];
                let responses = pair.responses.each_ref().map(String::as_str);
                differences(&pair.prompt.display(), responses)
            };
            let found: Vec<(Vec<f64>, bool)> = part.par_iter().map(read).collect();
            cut += found.iter().filter(|(_, cut)| *cut).count();
            rows.extend(found.into_iter().map(|(row, _)| row));
        }
        if cut > 0 {
            session.warn(format!(
                "what the labels reward: {cut} pairs have texts of more than {LONGEST} bytes, and only the beginnings of these are counted in"
            ))?;
        }
        let sign = |side: Side| if side == Side::First { 1.0 } else { -1.0 };
        let human = self.labels.iter().filter_map(|label| prepared.pairs[label.pair].label);
        let human = self.human.then(|| human.map(|label| sign(label.preferred)).collect());
        let weak = self.labels.iter().map(|label| sign(label.chosen));
        let labels = Both { human, weak: self.weak.then(|| weak.collect()) };
        Ok(Compared { rows: Rows::new(rows), labels, groups: self.prompts(prepared) })
    }

    /// The number of each pair's prompt.
    fn prompts(&self, prepared: &Prepared) -> Vec<usize> {
        let mut known: HashMap<PromptKey, usize> = HashMap::new();
        let mut number = |label: &Labelled| {
            let next = known.len();
            *known.entry(prepared.pairs[label.pair].prompt.key()).or_insert(next)
        };
        self.labels.iter().map(&mut number).collect()
    }
}
