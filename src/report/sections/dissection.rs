//! What labels reward, of what can be counted in a response.

use crate::dissect::{Dissection, Found};
use crate::report::words::{count, share};
use crate::report::{Line, Row, Section, Table};
use crate::run::Report;

/// How many properties are named beside the table.
const NAMED: usize = 3;

pub(super) fn section(report: &Report) -> Option<Section> {
    let found = report.dissection.as_ref()?;
    let [human, weak] = [found.human_explained, found.weak_explained];
    let both = human.is_some() && weak.is_some();
    let mut rows = vec![Row::new("Compared", count(found.pairs) + " pairs", whose(found))];
    for (name, told) in [("People's labels explained", human), ("Its labels explained", weak)] {
        let explanation = "Labels that what can be counted in the responses tells rightly, on the pairs that it was fitted to; guessing would reach 50 %";
        rows.extend(told.map(|_| Row::new(name, share(told), explanation)));
    }
    let ranked = found.ranked();
    let sure = || ranked.iter().filter(|found| found.telling().is_sure());
    rows.extend(sure().take(NAMED).map(|found| named(found, both)));
    if sure().count() == 0 {
        let name = if both { "Differs from people" } else { "Rewarded" };
        rows.push(Row::new(name, "in nothing sure", "All 95 % intervals have 0 in them"));
    }
    Some(Section {
        title: if weak.is_some() { "What the annotator rewards" } else { "What the labels reward" },
        rows,
        table: Some(table(found)),
        ..Section::default()
    })
}

/// Whose labels are compared, and how.
fn whose(found: &Dissection) -> String {
    let whose = match (found.human_explained, found.weak_explained) {
        (Some(_), Some(_)) => "People's labels and the annotator's of the same pairs are",
        (None, _) => {
            "The annotator's labels are alone, for people gave too few of these pairs one, and"
        }
        (_, None) => "The labels that the pairs came with are",
    };
    format!(
        "{whose} explained by {} properties of the responses at once: a logistic regression with few coefficients other than 0",
        found.properties.len()
    )
}

/// A property of which something is sure.
fn named(found: &Found, both: bool) -> Row {
    let effect = found.telling();
    let name = match (both, effect.value > 0.0) {
        (true, true) => "More than people do",
        (true, false) => "Less than people do",
        (false, true) => "Wins with",
        (false, false) => "Loses with",
    };
    Row::new(
        name,
        format!("{} {:+.2}", found.title, effect.value),
        format!("{} With its 95 % interval: {effect}", found.summary),
    )
}

/// All of it.
fn table(found: &Dissection) -> Table {
    let line = |found: &Found| {
        let all = [&found.human, &found.weak, &found.difference];
        let values = all.into_iter().flatten().map(ToString::to_string).collect();
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
