//! A report for the terminal.

use std::fmt::Write;

use super::{Section, Table, sections};
use crate::run::Report;

/// As text, what a glance takes in; `place` says where the report lies.
pub fn as_text(report: &Report, place: &str) -> String {
    written(report, place, |_| None)
}

/// The same with the tables of its sections.
pub fn in_full(report: &Report, place: &str) -> String {
    written(report, place, |section| section.table.as_ref())
}

fn written(report: &Report, place: &str, table: fn(&Section) -> Option<&Table>) -> String {
    let mut text = format!("\n{}: report in {place}\n", report.name);
    for section in sections(report) {
        let _ = writeln!(text, "\n{}", section.title);
        if let Some(headline) = &section.headline {
            let _ = writeln!(text, "  {} {} ({})", headline.value, headline.words, headline.note);
        }
        for row in &section.rows {
            let _ = writeln!(text, "  {:<28} {}", row.name, row.value);
        }
        if let Some(table) = table(&section) {
            let mut line = |name: &str, values: &mut dyn Iterator<Item = &str>| {
                let cells: String = values.map(|value| format!(" {value:<21}")).collect();
                let _ = writeln!(text, "{}", format!("  {name:<28}{cells}").trim_end());
            };
            line("", &mut table.columns.iter().copied());
            for row in &table.lines {
                line(&row.name, &mut row.values.iter().map(String::as_str));
            }
        }
    }
    let _ = writeln!(text, "\n{:.1} s on {}", report.seconds, report.device);
    for warning in &report.warnings {
        let _ = writeln!(text, "  warning: {warning}");
    }
    text
}
