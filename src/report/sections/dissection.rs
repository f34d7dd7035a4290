//! What labels reward, of what can be counted in a response.

use crate::dissect::{Dissection, Effect, Found};
use crate::report::words::{count, share};
use crate::report::{Line, Row, Section, Table};
use crate::run::Report;

/// How many properties are named beside the table.
const NAMED: usize = 3;

pub(super) fn section(report: &Report) -> Option<Section> {
    let found = report.dissection.as_ref()?;
    let both = found.human_explained.is_some() && found.weak_explained.is_some();
    let mut rows = vec![Row::new(
        "Compared",
        format!("{} pairs, {}", count(found.pairs), whose(found)),
        "Labels of the same pairs, explained by 35 properties of their responses at once: a logistic regression with few coefficients other than 0",
    )];
    let explained = [found.human_explained, found.weak_explained].into_iter().flatten();
    let explained: Vec<String> = explained.map(|part| share(Some(part))).collect();
    rows.push(Row::new(
        "Explained",
        explained.join(", "),
        "Share of these labels, people's first, that what can be counted tells rightly, on the pairs that it was fitted to; guessing would reach 50 %",
    ));
    let sure: Vec<&Found> =
        found.ranked().into_iter().filter(|found| found.telling().is_sure()).collect();
    rows.extend(sure.iter().take(NAMED).map(|found| named(found, both)));
    if sure.is_empty() {
        let what = if both {
            "of no property is it sure that they differ"
        } else {
            "nothing that is sure"
        };
        rows.push(Row::new("Rewarded", what, "All 95 % intervals have 0 in them"));
    }
    Some(Section {
        title: "Why: what labels reward",
        rows,
        table: Some(table(found)),
        ..Section::default()
    })
}

/// Whose labels are compared.
fn whose(found: &Dissection) -> &'static str {
    match (found.human_explained, found.weak_explained) {
        (Some(_), Some(_)) => "people's labels and the annotator's",
        (None, _) => "the annotator's labels alone; people gave too few",
        (_, None) => "the labels that they came with",
    }
}

/// A property of which something is sure.
fn named(found: &Found, both: bool) -> Row {
    let effect = found.telling();
    let name = match (both, effect.value > 0.0) {
        (true, true) => "Annotator rewards more",
        (true, false) => "Annotator rewards less",
        (false, true) => "Counts for a response",
        (false, false) => "Counts against a response",
    };
    Row::new(name, format!("{}  {}", found.title, estimate(&effect)), &found.summary)
}

/// A coefficient with its interval.
fn estimate(effect: &Effect) -> String {
    let [low, high] = effect.interval;
    format!("{:+.2} [{low:.2}, {high:.2}]", effect.value)
}

/// All of it.
fn table(found: &Dissection) -> Table {
    let line = |found: &Found| {
        let all = [&found.human, &found.weak, &found.difference];
        let values = all.into_iter().flatten().map(estimate).collect();
        Line { name: found.title.clone(), explanation: found.summary.clone(), values }
    };
    let mut columns = Vec::new();
    if found.human_explained.is_some() {
        columns.push("people");
    }
    if found.weak_explained.is_some() {
        columns.push("annotator");
    }
    if columns.len() == 2 {
        columns.push("difference");
    }
    Table { columns, lines: found.ranked().into_iter().map(line).collect() }
}
