//! What a reward that nothing was trained on says of sampled responses.

use crate::report::words::{count, share};
use crate::report::{Headline, Passages, Row, Section};
use crate::run::{GoldReport, Report};

pub(super) fn section(report: &Report) -> Option<Section> {
    let gold = report.gold.as_ref()?;
    let [low, high] = gold.win_rate_interval.map(Some).map(share);
    let headline = Headline {
        value: share(Some(gold.win_rate)),
        words: "of samples beat those of the fine-tuned model".to_owned(),
        note: format!(
            "{} prompts, {}; 95 % interval {low} to {high}",
            count(gold.prompts),
            judge(gold)
        ),
    };
    let reward = |value: f64| format!("{value:.2}");
    let mut rows = vec![
        Row::new(
            "Before training",
            reward(gold.base),
            "Mean gold reward of the stronger model as it came",
        ),
        Row::new("After fine-tuning", reward(gold.sft), "Mean gold reward of the reference"),
        Row::new("After alignment", reward(gold.policy), "Mean gold reward of the aligned policy"),
    ];
    if gold.accuracy.is_some() {
        rows.push(Row::new(
            "Gold model right",
            share(gold.accuracy),
            "Held-out pairs under the sampled prompts on which the gold model agrees with the humans",
        ));
    }
    let note = |value: f64| format!("gold reward {value:.2}");
    let passages = gold.samples.iter().map(|sample| Passages {
        title: sample.prompt.clone(),
        before: ["Fine-tuned".to_owned(), note(sample.before.1), sample.before.0.clone()],
        after: ["Aligned".to_owned(), note(sample.after.1), sample.after.0.clone()],
    });
    Some(Section {
        title: "Gold reward",
        headline: Some(headline),
        rows,
        passages: passages.collect(),
        ..Section::default()
    })
}

/// Whose reward it is.
fn judge(gold: &GoldReport) -> String {
    match gold.model.as_str() {
        "" => "true reward".to_owned(),
        model => format!("judged by {}", model.rsplit(['/', '\\']).next().unwrap_or(model)),
    }
}
