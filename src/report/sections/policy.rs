//! What the policy learned, on pairs that nothing was trained on.

use crate::report::words::{count, number, share};
use crate::report::{Row, Section};
use crate::run::Report;

pub(super) fn section(report: &Report) -> Option<Section> {
    let p = &report.policy;
    let objective = &p.objective;
    let named = !objective.is_empty();
    let named = named.then(|| Row::new("Objective", objective, "policy.objective"));
    let numbers = [
        Row::new(
            "Right on held-out pairs",
            share(p.rewards_accuracy),
            "Held-out pairs with a positive reward margin under human labels",
        ),
        Row::new("Reward margin", number(p.rewards_margin), "Mean, on held-out pairs"),
        Row::new("Steps", count(p.steps as usize), "Optimiser steps"),
    ];
    let mut rows: Vec<Row> = named.into_iter().chain(numbers).collect();
    let kept = p.kept.map(|kept| [("in a step", kept.mean), ("in the last step", kept.last)]);
    rows.extend(kept.into_iter().flatten().map(|(which, found)| {
        let explanation =
            "Pairs of a step that the threshold leaves with a weight above 0, wherever it was then";
        Row::new(format!("Kept {which}"), share(Some(found)), explanation)
    }));
    Some(Section { title: "Policy", rows, ..Section::default() })
}
