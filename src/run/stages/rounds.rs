//! Rounds of alignment: on the labelled pairs, then on what the policy itself writes.
//!
//! Each is a training of the stage by itself. What the policy wrote when a round began, and what the reference says
//! of it, are files of the run, so that a resumed round does not need the policy that wrote them.

use super::super::Recipe;
use super::super::error::RunError;
use super::super::event::Event;
use super::super::session::Session;
use super::super::stage::Stage;
use super::super::state::ROUNDS;
use super::super::training::{Course, Phase};
use super::aligning::Aligning;
use super::compared::{Base, take, write as write_log_probs};
use super::material::{LabelledPair, Material, reference};
use super::prepared::Prepared;
use super::sampling::{self, drawn, prompts};
use super::work::Work;
use super::written_pairs::{self, Wrote};
use crate::data::{read_annotations, write_annotations};
use crate::files::sync_folder_of;
use crate::model::{Checkpoint, Decoder};
use crate::train::{ExecutionPlan, Sampler, Task};

/// The table of what the policy wrote when a round began, counted from 0.
fn table(round: usize) -> String {
    format!("{ROUNDS}/{}.parquet", round + 1)
}

/// What the reference of the same round says of it.
fn log_probs(round: usize) -> String {
    format!("{ROUNDS}/{}-reference.safetensors", round + 1)
}

/// Train the policy in all rounds that are left; returns it, and the steps of all.
///
/// # Errors
///
/// Training fails, or what a round begins with cannot be made.
pub(super) fn align(
    session: &mut Session<'_>,
    work: &Work,
    mut aligning: Aligning,
) -> Result<(Checkpoint, u64), RunError> {
    let recipe = session.recipe.clone();
    let (training, rounds) = (&recipe.policy.training, recipe.online.rounds);
    let about = Stage::POLICY.about();
    let each = planned(&recipe, work.prepared()?, work.material(session)?, &aligning);
    let from = session.phase(Stage::POLICY);
    let mut before: u64 = (0..from).map(|round| steps_of(session, round)).sum();
    // Of the labelled pairs, in all rounds.
    let selected = aligning.kept.clone();
    if let Some(warning) = warning(&recipe) {
        session.warn(warning)?;
    }
    for number in from..rounds {
        if number > 0 || recipe.rejects_own() {
            // What the training before has used is of no use to what comes now.
            session.device.memory_cleanup();
            aligning = begin(session, work, aligning, &selected, number)?;
        }
        let Aligning { order, mut task, plan, mut checkpoint, kept } = aligning;
        let steps = order.total;
        tell_steps(session, number, steps)?;
        let phase =
            Phase { number, before, total: before + steps + each * (rounds - 1 - number) as u64 };
        // No two rounds drop the same.
        let at = ExecutionPlan { seed: plan.seed ^ (number as u64) << 48, ..plan };
        let course = Course { order: order.clone(), training, plan: at };
        checkpoint.decoder =
            session.train_phase(about, phase, checkpoint.decoder, &mut task, course)?;
        before += steps;
        aligning = Aligning { kept, order, checkpoint, task, plan };
    }
    Ok((aligning.checkpoint, before))
}

/// Steps of all rounds, as far as that is known before they begin.
pub(super) fn total(
    session: &mut Session<'_>,
    work: &Work,
    aligning: &Aligning,
) -> Result<u64, RunError> {
    let recipe = session.recipe.clone();
    let written = recipe.rounds_written() as u64;
    let first = if recipe.rejects_own() { 0 } else { aligning.order.total };
    Ok(first + written * planned(&recipe, work.prepared()?, work.material(session)?, aligning))
}

/// Steps of a round in which every prompt makes a pair.
fn planned(recipe: &Recipe, prepared: &Prepared, material: &Material, aligning: &Aligning) -> u64 {
    if recipe.rounds_written() == 0 {
        return 0;
    }
    let pairs = if recipe.rejects_own() {
        drawn(recipe, &aligning.kept, 0).len()
    } else {
        prompts(recipe, prepared, material, 0).len()
    };
    Sampler::new(pairs, &recipe.policy.training, false, recipe.seed, 0).total
}

/// The steps of a round that is complete.
fn steps_of(session: &Session<'_>, round: usize) -> u64 {
    let known = session.state.now.report.rounds.get(&(round + 1).to_string());
    known.map_or(0, |found| found.steps)
}

/// Tell once how many steps a round takes, where there are several or one that begins with what is written for it.
fn tell_steps(session: &mut Session<'_>, round: usize, steps: u64) -> Result<(), RunError> {
    if session.recipe.rounds_written() == 0 || steps_of(session, round) == steps {
        return Ok(());
    }
    session.measured(&format!("rounds.{}.steps", round + 1), steps as f64)
}

/// What is to be said of an annotator that labels what it has not learned from.
pub(super) fn warning(recipe: &Recipe) -> Option<String> {
    let asked = !recipe.rejects_own() && recipe.rounds_written() > 0;
    asked.then(|| "online.rounds: the annotator learned from other texts than the policy writes, and is less often right on those (with a fixed weak annotator the paper's online runs failed, arXiv 2603.04968); compare with online.rounds = 1".to_owned())
}

/// What a round begins with: what the policy writes now, as pairs, and what the reference says of them.
fn begin(
    session: &mut Session<'_>,
    work: &Work,
    aligning: Aligning,
    selected: &[usize],
    round: usize,
) -> Result<Aligning, RunError> {
    let (prepared, own) = (work.prepared()?, session.recipe.rejects_own());
    let material = work.material(session)?;
    let fresh = !session.produced.contains_key(&table(round));
    if fresh {
        let folder = session.folder.path().join(ROUNDS);
        let made = std::fs::create_dir_all(&folder).and_then(|()| sync_folder_of(&folder));
        made.map_err(|source| RunError::Write { path: folder, source })?;
        let decoder = &aligning.checkpoint.decoder;
        let wrote = written(session, (prepared, material), decoder, selected, round)?;
        write_annotations(&session.folder.path().join(table(round)), &wrote.rows)?;
        session.produced(&table(round))?;
        written_pairs::tell(session, &wrote, round)?;
    }
    let rows = read_annotations(&session.folder.path().join(table(round)))?;
    let pairs = written_pairs::pairs(session, prepared, material, &rows)?;
    let mut next = aligning.again(session, material, &pairs, own, round);
    if fresh {
        tell(session, &mut next, (rows.len(), &pairs[..]), round)?;
    }
    compare(session, work, &mut next, round)?;
    Ok(next)
}

/// Let the policy write, and see which response of each pair is preferred; `selected` are the labelled pairs that
/// it learns from.
fn written(
    session: &mut Session<'_>,
    (prepared, material): (&Prepared, &Material),
    decoder: &Decoder,
    selected: &[usize],
    round: usize,
) -> Result<Wrote, RunError> {
    let recipe = session.recipe.clone();
    let own = recipe.rejects_own();
    let (asked, count) = if own {
        let pairs: Vec<usize> = selected.iter().map(|&pair| material.pairs[pair].1.pair).collect();
        (drawn(&recipe, &pairs, round), 1)
    } else {
        (prompts(&recipe, prepared, material, round), recipe.online.num_generations)
    };
    let message = format!(
        "round {} of {}: the policy writes {count} response{} to each of {} prompts",
        round + 1,
        recipe.online.rounds,
        if count == 1 { "" } else { "s" },
        asked.len()
    );
    session.emit(Event::Note { message })?;
    let turn = (count, round);
    let found = sampling::write(session, prepared, material, decoder, &asked, turn)?;
    if own {
        Ok(written_pairs::against(prepared, material, found))
    } else {
        written_pairs::preferred(session, prepared, found)
    }
}

/// Tell what the policy learns from in a round, and what of it is left out.
fn tell(
    session: &mut Session<'_>,
    next: &mut Aligning,
    (rows, pairs): (usize, &[LabelledPair]),
    round: usize,
) -> Result<(), RunError> {
    if pairs.len() < rows {
        session.warn(format!(
            "round {}: {} of {rows} pairs are left out, because nothing of their responses is left within data.max_length, their responses are the same in what is left, or they are refused",
            round + 1,
            rows - pairs.len()
        ))?;
    }
    // Under the threshold that is in force.
    next.task.before_step(0, next.order.total);
    let all: Vec<usize> = (0..next.kept.len()).collect();
    let kept = next.task.computed(&all).len();
    session.measured(&format!("rounds.{}.pairs", round + 1), pairs.len() as f64)?;
    session.measured(&format!("rounds.{}.kept", round + 1), kept as f64)?;
    if kept == 0 {
        session.warn(format!(
            "round {}: no pair is left with a weight above 0, so that the policy learns nothing in it; look at the responses in {}, write longer ones (online.max_new_tokens), or lower confidence.threshold",
            round + 1,
            table(round)
        ))?;
    }
    Ok(())
}

/// Let the objective know what the round's reference says of its pairs.
fn compare(
    session: &mut Session<'_>,
    work: &Work,
    next: &mut Aligning,
    round: usize,
) -> Result<(), RunError> {
    let name = log_probs(round);
    if !session.recipe.policy.objective.needs().reference || next.kept.is_empty() {
        return Ok(());
    }
    if !session.produced.contains_key(&name) {
        if session.recipe.compares_with_previous() {
            let base = Base { decoder: &next.checkpoint.decoder, lasts: false };
            write_log_probs(session, work, next, base, &name)?;
        } else {
            let material = work.material(session)?;
            let start = reference(session, material)?.decoder.without_dropout();
            write_log_probs(session, work, next, Base { decoder: &start, lasts: true }, &name)?;
        }
    }
    take(session, next, &name)
}

/// What rounds add to what will be done, in a sentence; empty for one round on labelled pairs.
pub(super) fn plan(recipe: &Recipe) -> String {
    let online = &recipe.online;
    let rounds = online.rounds;
    if recipe.rejects_own() {
        return match rounds {
            1 => " Rejected are responses that it writes itself before it begins.".to_owned(),
            _ => format!(
                " Rejected are responses that it writes itself, anew in each of {rounds} rounds."
            ),
        };
    }
    if rounds == 1 {
        return String::new();
    }
    let prompts = match online.prompts {
        0 => "each training prompt".to_owned(),
        some => format!("{some} training prompts"),
    };
    format!(
        " In {} it then writes {} responses to {prompts}, the annotator labels the best against the worst of them, and it learns on from these.",
        if rounds == 2 {
            "a second round".to_owned()
        } else {
            format!("{} more rounds", rounds - 1)
        },
        online.num_generations
    )
}
