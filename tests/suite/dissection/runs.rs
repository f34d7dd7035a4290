//! What labels reward, in whole runs.

use std::path::Path;

use confide::dissect::{Dissection, properties};
use confide::report::{as_text, in_full, sections};
use confide::run::{Event, Recipe, Report, Stage};

use crate::common::ran;

fn run(folder: &Path, settings: &[(&str, &str)]) -> (Report, Vec<Event>) {
    let text = "device = 'cpu'\nname = 'why'\n\
        data = { files = ['builtin:demo'], limit = 120, labelled = 0.2, held_out = 0.1 }\n\
        annotator = { kind = 'length' }\nsft = { epochs = 0 }\n\
        policy = { model = 'builtin:strong', epochs = 0 }\nevaluate = { samples = 0 }";
    let set: Vec<(String, String)> =
        settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let recipe = Recipe::parse(text, Path::new("why.toml"), &set).unwrap();
    recipe.check("why.toml").unwrap();
    let (report, events) = ran(recipe, &folder.join("run"));
    (report.unwrap(), events)
}

fn of(report: &Report) -> &Dissection {
    report.dissection.as_ref().unwrap()
}

#[test]
fn the_longer_response_is_found_to_be_what_the_length_annotator_rewards() {
    let folder = tempfile::tempdir().unwrap();
    let (report, events) = run(folder.path(), &[]);
    let found = of(&report);
    assert_eq!(found.properties.len(), properties().count());
    assert_eq!(found.pairs, report.data.summary.unlabelled);
    let characters = found.properties.iter().find(|p| p.property == "characters").unwrap();
    let (human, weak) = (characters.human.unwrap(), characters.weak.unwrap());
    assert!(weak.is_sure() && weak.value > human.value, "{human:?} {weak:?}");
    assert!(characters.difference.unwrap().interval[0] > 0.0);
    assert!(found.weak_explained.unwrap() > 0.95, "{:?}", found.weak_explained);
    assert!(found.human_explained.unwrap() < found.weak_explained.unwrap());
    assert_eq!(found.inexact, 0);

    // It is told in an event, in the file, in words, and in full.
    let told =
        |event: &&Event| matches!(event, Event::Tabulated { name, .. } if name == "dissection");
    assert_eq!(events.iter().filter(told).count(), 1);
    let file = std::fs::read_to_string(folder.path().join("run/report.json")).unwrap();
    let read: Report = serde_json::from_str(&file).unwrap();
    assert_eq!(read.dissection.as_ref(), Some(found));
    let (short, full) = (as_text(&report, "x"), in_full(&report, "x"));
    let lines = |text: &str| text.lines().filter(|line| line.contains("than people do")).count();
    assert!((1..=3).contains(&lines(&short)), "{short}");
    assert!(short.contains("People's labels explained"), "{short}");
    for property in properties() {
        assert!(full.contains(&format!("\n  {:<28}", property.title)), "{}", property.title);
    }
    assert!(full.contains("difference"));
    let why = sections(&report).into_iter().find(|section| section.table.is_some()).unwrap();
    assert!(why.table.unwrap().lines.iter().all(|line| line.values.len() == 3));
}

/// Labels that the pairs came with are explained alone; so are those of an annotator where people gave none.
#[test]
fn labels_without_others_are_explained_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (report, _) = run(folder.path(), &[("annotator.kind", "human")]);
    let found = of(&report);
    assert!(found.human_explained.is_some() && found.weak_explained.is_none());
    assert!(found.properties.iter().all(|p| p.human.is_some() && p.difference.is_none()));
    let text = as_text(&report, "x");
    assert!(
        text.contains("What the labels reward") && !text.contains("Its labels explained"),
        "{text}"
    );

    let folder = tempfile::tempdir().unwrap();
    let line = |i: usize| {
        let long = "and so on ".repeat(1 + i % 4);
        format!(
            "{{\"prompt\":\"What is {i}?\",\"responses\":[\"It is {long}\",\"No {}.\"]}}",
            i * 7
        )
    };
    let path = folder.path().join("more.jsonl");
    std::fs::write(&path, (0..30).map(line).collect::<Vec<_>>().join("\n")).unwrap();
    let more = path.display().to_string();
    let (report, _) = run(
        folder.path(),
        &[("data.unlabelled", &more), ("data.labelled", "0.9"), ("data.max_length", "200")],
    );
    let found = of(&report);
    assert!(found.weak_explained.is_some() && found.human_explained.is_none());
    assert!(found.properties.iter().all(|p| p.weak.is_some() && p.difference.is_none()));
    assert!(found.pairs > 30, "{}", found.pairs);
    assert!(
        report
            .warnings
            .iter()
            .any(|warning| warning.contains("what people reward is not looked for"))
    );
    let text = as_text(&report, "x");
    assert!(text.contains("Its labels explained") && !text.contains("People's labels"), "{text}");
}

#[test]
fn how_many_pairs_are_compared_is_chosen_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let (report, _) = run(folder.path(), &[("dissect.pairs", "40")]);
    assert_eq!(of(&report).pairs, 40);
    let all = report.data.summary.unlabelled;
    let told = format!("looked for in 40 of {all} pairs");
    assert!(report.warnings.iter().any(|warning| warning.contains(&told)), "{:?}", report.warnings);

    let folder = tempfile::tempdir().unwrap();
    let (report, events) = run(folder.path(), &[("dissect.pairs", "0")]);
    assert!(report.dissection.is_none() && !as_text(&report, "x").contains("reward"));
    let begun = |event: &Event| matches!(event, Event::StageStarted { stage, .. } if *stage == Stage::DISSECT);
    assert!(!events.iter().any(begun));

    let folder = tempfile::tempdir().unwrap();
    let (report, _) = run(folder.path(), &[("dissect.pairs", "19")]);
    assert!(report.dissection.is_none());
    assert!(
        report.warnings.iter().any(|w| w.contains("19 pairs have one")),
        "{:?}",
        report.warnings
    );
}
