//! How far a judge's answers depend on which response stands first, and the question that it was asked.

use crate::report::words::{count, share};
use crate::report::{Passages, Row, Section};
use crate::run::{QuestionReport, Report};

pub(super) fn section(report: &Report) -> Option<Section> {
    let a = &report.annotator;
    let mut rows = Vec::new();
    rows.extend(a.position_bias.map(|bias| {
        Row::new(
            "Prefers the first place by",
            format!("{:+.1} %", 100.0 * bias),
            "How much more often than in half of all questions the response in first place is preferred, before the answers to both orders are averaged; of a judge that reads the responses alone it is 0",
        )
    }));
    rows.extend(a.consistent.map(|both| {
        Row::new(
            "The same in both orders",
            share(Some(both)),
            "Pairs of which it prefers the same response whichever stands first; of the others their place decides",
        )
    }));
    if let Some(found) = &a.question {
        rows.extend(question(found));
    }
    let new = a.question.as_ref().filter(|found| found.is_new());
    let passages = new.map(passages).into_iter().collect();
    (!rows.is_empty()).then(|| Section { title: "Judge", rows, passages, ..Section::default() })
}

/// The question as it was, and as it is now.
fn passages(found: &QuestionReport) -> Passages {
    let [before, after] = found.fairness.map(|fairness| format!("fairness {fairness:.3}"));
    Passages {
        title: "The judge's question".to_owned(),
        before: ["As it was".to_owned(), before, found.before.clone()],
        after: ["As it is asked".to_owned(), after, found.prompt.clone()],
    }
}

/// The question that was looked for.
fn question(found: &QuestionReport) -> Vec<Row> {
    let both = |[before, after]: [f64; 2]| format!("{before:.3} → {after:.3}");
    let what = "−|share of answers for the first place − ½|, with the question as it was and as it is now: 0 is the fairest, −0.5 the least fair";
    let mut rows = vec![Row::new(
        "Fairness of its question",
        format!("{} on {} pairs", both(found.fairness), count(found.pairs)),
        what,
    )];
    rows.extend(found.fairness_further.map(|fairness| {
        let value = format!("{} on {} pairs", both(fairness), count(found.further));
        Row::new("The same on further pairs", value, what)
    }));
    rows.push(Row::new(
        "Wordings asked",
        format!("{}, {} not asked", count(found.tried.len()), count(found.unasked.all())),
        "Its instruction as it was and paraphrases; what was wrong with the others is among the warnings",
    ));
    rows.push(Row::new(
        "annotator.prompt",
        // What JSON escapes, TOML reads.
        serde_json::to_string(&found.prompt).unwrap_or_default(),
        "Its question as a recipe takes it",
    ));
    rows
}
