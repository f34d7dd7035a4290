//! Annotators that label together, each by itself and all of them as one.

use std::path::Path;

use crate::preference::Combine;
use crate::report::words::{count, number, share};
use crate::report::{Line, Row, Section, Table};
use crate::run::{CombinationReport, Report, VoiceReport};

pub(super) fn section(report: &Report) -> Option<Section> {
    let found = report.annotator.combination.as_ref()?;
    let rows = vec![
        Row::new("Combined by", rule(found.rule), "annotator.combine"),
        Row::new(
            "Held-out pairs",
            count(found.together.held_out),
            "Labelled pairs that they are measured on together, and each on those of which it says something",
        ),
    ];
    let estimated = found.rule == Combine::DawidSkene;
    let mut columns = vec!["right", "calibration error", "AURC", "silent"];
    columns.extend(estimated.then_some("estimated right"));
    let all = found.annotators.iter().chain(std::iter::once(&found.together));
    let lines = all.map(|voice| line(found, voice, estimated)).collect();
    let table = Some(Table { columns, lines });
    Some(Section { title: "Annotators together", rows, table, ..Section::default() })
}

fn rule(rule: Combine) -> &'static str {
    match rule {
        Combine::None => "nothing",
        Combine::Mean => "the mean of their log-odds",
        Combine::DawidSkene => "accuracies that Dawid and Skene's model estimates",
        Combine::Product => "the sum of their log-odds",
    }
}

fn line(found: &CombinationReport, voice: &VoiceReport, estimated: bool) -> Line {
    let explanation = if voice.column.is_empty() {
        "What the policy learns from, before a gate".to_owned()
    } else {
        format!(
            "{}: its log-odds are the column {}; it says something of {} of {} pairs",
            voice.name,
            voice.column,
            count(found.pairs - voice.silent),
            count(found.pairs)
        )
    };
    let mut values =
        vec![share(voice.accuracy), share(voice.ece), number(voice.aurc), count(voice.silent)];
    values.extend(estimated.then(|| share(voice.estimated)));
    // Of a table in some folder, its name there.
    let name = Path::new(&voice.name).file_name().unwrap_or(voice.name.as_ref());
    Line { name: name.to_string_lossy().into_owned(), explanation, values }
}
