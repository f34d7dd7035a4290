//! Read the files, split the pairs, and look at every model that will read them.

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::super::error::RunError;
use super::super::event::Event;
use super::super::session::Session;
use super::super::stage::{AboutStage, Part, Shows, Stage, Whose};
use super::prepared::prepare;
use super::work::Work;
use super::{StageDefinition, Then};
use super::{check, combining, gold};
use crate::data::Pair;
use crate::files::hex;

pub(super) struct Data;

impl Stage {
    /// Read and split.
    pub const DATA: Self = Self("data");
}

static PART: Part = Part {
    title: "Data",
    explanation: "Read preference files and split them by prompt",
    shows: Shows::Data,
};

static ABOUT: AboutStage = AboutStage {
    stage: Stage::DATA,
    title: "Data",
    part: &PART,
    model: Whose::Annotator,
    computes: false,
    seed: 0,
};

impl StageDefinition for Data {
    fn about(&self) -> &'static AboutStage {
        &ABOUT
    }

    fn run(&self, session: &mut Session<'_>, work: &Work) -> Result<Then, RunError> {
        let (prepared, summary) = prepare(&session.recipe)?;
        session.same_input("data.files", &fingerprint(&prepared.pairs))?;
        session.stage(Stage::DATA, summary.pairs as u64, |session| {
            for file in &summary.files {
                for note in &file.notes {
                    session.warn(format!("{}: {note}", file.path.display()))?;
                }
            }
            session.emit(Event::Data { summary })
        })?;
        gold::check(session)?;
        check::run(session, &prepared)?;
        // Once it is written down what they said, tables of earlier runs may go.
        if !session.is_done(Stage::CONFIDENCE) {
            for (name, fingerprint) in combining::check(&session.recipe, &prepared)? {
                session.same_input(&name, &fingerprint)?;
            }
        }
        work.set_prepared(prepared);
        Ok(Then::Next)
    }
}

/// A hash of all that pairs say, whatever files they come from.
fn fingerprint(pairs: &[Pair]) -> String {
    let of_pair = |pair: &Pair| {
        let Pair { prompt, responses: [first, second], label, weight, .. } = pair;
        let rest = format!("{prompt:?}\n{label:?}\n{weight:?}\n{}\n", first.len());
        Sha256::new().chain_update(rest).chain_update(first).chain_update(second).finalize()
    };
    let all: Vec<_> = pairs.par_iter().map(of_pair).collect();
    let mut whole = Sha256::new();
    all.iter().for_each(|one| whole.update(one));
    hex(&whole.finalize())
}
