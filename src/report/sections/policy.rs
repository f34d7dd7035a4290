//! What the policy learned, on pairs that nothing was trained on.

use crate::report::words::{count, number, share};
use crate::report::{Row, Section};
use crate::run::Report;

pub(super) fn section(report: &Report) -> Option<Section> {
    let p = &report.policy;
    let rows = vec![
        Row::new(
            "Right on held-out pairs",
            share(p.rewards_accuracy),
            "Held-out pairs with a positive reward margin under human labels",
        ),
        Row::new("Reward margin", number(p.rewards_margin), "Mean, on held-out pairs"),
        Row::new("Steps", count(p.steps as usize), "Optimiser steps"),
    ];
    Some(Section { title: "Policy", rows, ..Section::default() })
}
