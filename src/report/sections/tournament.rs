//! What one order of all candidates of a prompt made of comparisons of two.

use crate::report::words::{count, share};
use crate::report::{Row, Section};
use crate::run::Report;

pub(super) fn section(report: &Report) -> Option<Section> {
    let found = report.annotator.tournament.as_ref()?;
    let rows = vec![
        Row::new(
            "Orders",
            format!("{} of {} pairs", count(found.orders), count(found.pairs)),
            "Prompts with three candidates or more, whose comparisons became one order (annotator.tournament)",
        ),
        Row::new(
            "Labels overruled",
            count(found.overruled),
            "Pairs of which the better response is another in the order of all candidates than in the comparison of these two",
        ),
        Row::new(
            "No order explains",
            share(found.inconsistency),
            "Of the squares of all margins: 0 where comparisons agree; the more, the more often A beats B, B beats C, and C beats A",
        ),
    ];
    Some(Section { title: "Tournament", rows, ..Section::default() })
}
