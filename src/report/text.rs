//! A report for the terminal.

use std::fmt::Write;

use super::sections;
use crate::run::Report;

/// As text; `place` says where the report lies.
pub fn as_text(report: &Report, place: &str) -> String {
    let mut text = format!("\n{}: report in {place}\n", report.name);
    for section in sections(report) {
        let _ = writeln!(text, "\n{}", section.title);
        if let Some(headline) = section.headline {
            let _ = writeln!(text, "  {} {} ({})", headline.value, headline.words, headline.note);
        }
        for row in section.rows {
            let _ = writeln!(text, "  {:<28} {}", row.name, row.value);
        }
    }
    let _ = writeln!(text, "\n{:.1} s on {}", report.seconds, report.device);
    for warning in &report.warnings {
        let _ = writeln!(text, "  warning: {warning}");
    }
    text
}
