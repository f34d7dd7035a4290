//! The device failed while it computed: how the run goes on.

use super::error::RunError;
use super::job::Job;
use super::session::Session;
use super::stage::Stage;
use crate::device::{self, Class, Fault};
use crate::model::ModelError;
use crate::train::{ExecutionPlan, TrainError};

/// How often in a row a device may be lost before the run gives it up.
const MOST_LOSSES: usize = 3;

/// The faults of a run in this process.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Losses since the run last came further.
    losses: usize,
    /// How far it was at the last one.
    reached: Option<(usize, (usize, u64))>,
    /// How it goes on after the last one, until it does.
    pub(super) next: Option<Next>,
}

/// How a run goes on.
#[derive(Debug)]
pub(super) struct Next {
    /// What is told of it.
    pub(super) note: String,
    /// A stage that has to be computed in a smaller way.
    pub(super) reduced: Option<(Stage, ExecutionPlan)>,
    /// The threshold that was in force.
    pub(super) threshold: f64,
}

impl Faults {
    /// The job that goes on where work ended with an error.
    ///
    /// # Errors
    ///
    /// The error itself where no device failed; what to do where there is no way on.
    pub(super) fn way_on(
        &mut self,
        session: &Session<'_>,
        error: RunError,
    ) -> Result<Job, RunError> {
        let on_cpu = session.hardware.class == Class::Cpu;
        let words = if may_be_the_device(&error) { error.to_string() } else { String::new() };
        let fault = (!on_cpu).then(|| device::fault_of(&session.device, &words)).flatten();
        let (Some(fault), false) = (fault, matches!(error, RunError::Stopped)) else {
            return Err(error);
        };
        log::warn!("{fault:?}: {error}");
        let stage = session.state.under_way.as_ref().map(|under_way| under_way.stage);
        let reduced = match fault {
            Fault::OutOfMemory => {
                let smaller = stage.and_then(|stage| smaller(session, stage));
                Some(smaller.ok_or_else(|| too_small(session, stage))?)
            }
            Fault::Lost => {
                self.count(session, &error)?;
                None
            }
        };
        let note = note(session, stage, reduced);
        let threshold = session.threshold.get();
        self.next = Some(Next { note, reduced, threshold });
        let folder = session.folder.path().to_owned();
        Ok(Job::Resume { folder, device: Some(session.hardware.id.clone()) })
    }

    fn count(&mut self, session: &Session<'_>, error: &RunError) -> Result<(), RunError> {
        let checkpoints = session.state.under_way.iter().flat_map(|u| &u.checkpoints);
        let step = checkpoints.map(|checkpoint| (checkpoint.phase, checkpoint.step)).max();
        let reached = Some((session.state.done.len(), step.unwrap_or_default()));
        self.losses = if self.reached == reached { self.losses + 1 } else { 1 };
        self.reached = reached;
        if self.losses <= MOST_LOSSES {
            return Ok(());
        }
        let words = crate::legible::cut(&error.to_string()).into_owned();
        Err(RunError::Fault {
            device: session.hardware.describe(),
            found: format!("it was lost {} times in a row ({words})", self.losses),
            advice: format!(
                "update the graphics driver, or go on on the processor (`confide resume {} --device cpu`)",
                session.folder.path().display()
            ),
        })
    }
}

/// Whether an error's words can be a device's; others are what they say.
fn may_be_the_device(error: &RunError) -> bool {
    matches!(
        error,
        RunError::Panic(_)
            | RunError::Write { .. }
            | RunError::Model(ModelError::Device(_))
            | RunError::Train(TrainError::Model(ModelError::Device(_)) | TrainError::Checkpoint(_))
    )
}

/// The stage whose plan the present one computes by, and the next smaller plan, if there is one.
fn smaller(session: &Session<'_>, stage: Stage) -> Option<(Stage, ExecutionPlan)> {
    let recipe = &session.recipe;
    let planned = stage.definition().planned_as();
    let training = planned.definition().training(recipe).map(|(_, training)| training);
    let whole = training.map_or(usize::MAX, |training| training.batch_size);
    let plan = *session.state.now.plans.get(&planned)?;
    let at_once = if plan.micro_batch == 0 { whole } else { plan.micro_batch.min(whole) };
    let plan = ExecutionPlan { async_checkpoint: false, ..plan };
    if at_once > 1 {
        Some((planned, ExecutionPlan { micro_batch: at_once.div_ceil(2), ..plan }))
    } else if training.is_some() && !plan.recompute {
        Some((planned, ExecutionPlan { recompute: true, ..plan }))
    } else {
        None
    }
}

fn too_small(session: &Session<'_>, stage: Option<Stage>) -> RunError {
    let place = stage.map_or("before the first stage".to_owned(), |stage| {
        format!("in the stage “{}”, which cannot be computed in smaller parts", stage.name())
    });
    RunError::Fault {
        device: session.hardware.describe(),
        found: format!("it ran out of memory {place}"),
        advice: format!(
            "close what else uses the device, take shorter texts (data.max_length), adapters (lora.rank) or a smaller model in another run, or go on on the processor (`confide resume {} --device cpu`)",
            session.folder.path().display()
        ),
    }
}

fn note(
    session: &Session<'_>,
    stage: Option<Stage>,
    reduced: Option<(Stage, ExecutionPlan)>,
) -> String {
    let place = stage.map_or(String::new(), |stage| format!(" in the stage “{}”", stage.name()));
    let step = stage.and_then(|stage| session.state.checkpoints(stage).last()).map(|c| c.step);
    let from = step.map_or("from its last finished stage".to_owned(), |step| {
        format!("from the checkpoint of step {step}")
    });
    let device = session.hardware.describe();
    match reduced {
        Some((_, plan)) => format!(
            "{device} ran out of memory{place}: the run goes on {from}, with {} computed at once{}; batches stay as they are",
            plan.micro_batch,
            if plan.recompute { " and layers computed again in the backward pass" } else { "" }
        ),
        None => {
            format!("{device} was lost{place}: it was started again, and the run goes on {from}")
        }
    }
}
