//! Annotators without a model, in whole runs.

use std::path::Path;

use confide::annotate::{ANNOTATORS, Annotation, Seen, without_model};
use confide::data::{Side, read_annotations};
use confide::registry::Choice;
use confide::run::{Event, Recipe, Report};

use crate::common::ran;

fn run(folder: &Path, settings: &[(&str, &str)]) -> (Report, Vec<Event>) {
    let text = "device = 'cpu'\nname = 'annotators'\n\
        data = { files = ['builtin:demo'], limit = 60, labelled = 0.3, held_out = 0.2 }\n\
        annotator = { kind = 'length' }\nsft = { epochs = 0 }\n\
        policy = { model = 'builtin:strong', steps = 2, batch_size = 4, accumulate = 1 }\n\
        evaluate = { samples = 0 }";
    let set: Vec<(String, String)> =
        settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let recipe = Recipe::parse(text, Path::new("length.toml"), &set).unwrap();
    recipe.check("length.toml").unwrap();
    let (report, events) = ran(recipe, &folder.join("run"));
    (report.unwrap(), events)
}

/// One that looks at texts alone labels and is measured like any other, and nothing is trained for it.
#[test]
fn the_longer_response_is_labelled_and_measured() {
    let folder = tempfile::tempdir().unwrap();
    let (report, events) = run(folder.path(), &[]);
    let table = read_annotations(&folder.path().join("run/annotations.parquet")).unwrap();
    for pair in &table {
        let [first, second] = pair.responses.each_ref().map(|text| text.chars().count() as f64);
        let longer = if first > second { Side::First } else { Side::Second };
        assert!(first == second || pair.label == longer, "{pair:?}");
        let expected = ((1.0 + first).ln() - (1.0 + second).ln()).abs();
        assert!((pair.margin - expected).abs() < 1e-5, "{} {expected}", pair.margin);
    }
    assert!(table.iter().any(|pair| pair.split == "held_out"));
    // By its own measure it is right as often as the longer response, but for ties.
    let (accuracy, longer) =
        (report.annotator.accuracy.unwrap(), report.annotator.longer_is_better.unwrap());
    assert!(accuracy <= longer && longer - accuracy < 0.2, "{accuracy} {longer}");
    assert_eq!(report.annotator.steps, 0);
    let trained =
        |event: &Event| matches!(event, Event::Step { stage, .. } if stage.name() == "annotator");
    assert!(!events.iter().any(trained) && !folder.path().join("run/annotator").exists());
}

/// All of them, whoever adds one: what they say of themselves is there, and the same pair gets the same
/// answer twice.
#[test]
fn annotators_say_what_they_are() {
    for annotator in ANNOTATORS {
        let about = annotator.about();
        assert!(!about.title.is_empty() && about.summary.ends_with('.'), "{}", about.name);
        assert_eq!(
            Choice::<dyn confide::annotate::Annotator>::named(about.name).unwrap().name(),
            about.name
        );
        let (pairs, _) = confide::builtin::pairs("demo", 1).unwrap();
        let (pair, pool) = (&pairs[0], Default::default());
        let seen = Seen { pair, scores: Some([0.5, -1.0]), spread: 0.0, pool };
        let said = annotator.annotate(&seen, &Default::default());
        assert_eq!(said, annotator.annotate(&seen, &Default::default()));
        if annotator.reads().model() {
            let Some(Annotation::Scores([first, second])) = said else { panic!("{said:?}") };
            assert!(first > second, "{}", about.name);
        }
        let advised = without_model().contains(&format!("\"{}\"", about.name));
        assert_eq!(advised, !annotator.reads().model(), "{}", about.name);
    }
}
