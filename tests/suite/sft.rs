//! What fine-tuning learns from, in whole runs.

use std::collections::BTreeSet;
use std::path::Path;

use confide::data::read_annotations;
use confide::preference::Weighting;
use confide::run::{Control, Event, Job, Recipe, Report, RunError, Stage, estimate, execute};

use crate::common::repository;

struct Outcome {
    report: Report,
    events: Vec<Event>,
}

fn run(
    folder: &Path,
    settings: &[(&str, &str)],
    control: &Control,
    mut seen: impl FnMut(&Event),
) -> Result<Outcome, RunError> {
    let text = "device = 'cpu'\nname = 'sft'\n\
        data = { files = ['builtin:demo'], limit = 60, labelled = 0.3, held_out = 0.2, max_length = 96 }\n\
        annotator = { kind = 'length' }\n\
        sft = { epochs = 1, batch_size = 4, accumulate = 1, learning_rate = 1e-3 }\n\
        policy = { model = 'builtin:strong', steps = 1, batch_size = 4, accumulate = 1 }\n\
        dissect = { pairs = 0 }\nevaluate = { samples = 0 }";
    let set: Vec<(String, String)> =
        settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let recipe = Recipe::parse(text, Path::new("sft.toml"), &set).unwrap();
    recipe.check("sft.toml").unwrap();
    let folder = folder.join("run");
    let job = if folder.exists() {
        Job::Resume { folder, device: None }
    } else {
        Job::Fresh { recipe: Box::new(recipe), folder, download: false }
    };
    let mut events = Vec::new();
    let report = execute(job, control.clone(), &mut |event| {
        seen(&event);
        events.push(event);
    })?;
    Ok(Outcome { report, events })
}

/// Steps that fine-tuning takes, as it says at its beginning.
fn steps(events: &[Event]) -> u64 {
    let begun = events.iter().find_map(|event| match event {
        Event::StageStarted { stage, total } if *stage == Stage::SFT => Some(*total),
        _ => None,
    });
    begun.unwrap()
}

/// Losses of the steps of fine-tuning.
fn losses(events: &[Event]) -> Vec<(u64, u64)> {
    let of = |event: &Event| match event {
        Event::Step { stage, step, metrics } if *stage == Stage::SFT => {
            Some((*step, metrics.get("loss")?.to_bits()))
        }
        _ => None,
    };
    events.iter().filter_map(of).collect()
}

/// The margins of the unlabelled split in a run's table.
fn margins(folder: &Path) -> Vec<f64> {
    let table = read_annotations(&folder.join("run/annotations.parquet")).unwrap();
    table.iter().filter(|pair| pair.split == "unlabelled").map(|pair| pair.margin).collect()
}

#[test]
fn fine_tuning_on_what_is_kept_sees_no_other_pair() {
    let control = Control::default;
    let all = tempfile::tempdir().unwrap();
    let everything =
        run(all.path(), &[("confidence.threshold", "0.1")], &control(), |_| ()).unwrap();
    let kept = tempfile::tempdir().unwrap();
    let settings = [("confidence.threshold", "0.1"), ("sft.pairs", "kept")];
    let some = run(kept.path(), &settings, &control(), |_| ()).unwrap();
    let weighting = Weighting { threshold: 0.1, ..Weighting::default() };
    let weights = weighting.weights(&margins(kept.path()));
    let above = weights.iter().filter(|weight| **weight > 0.0).count();
    assert!(above > 5 && above + 5 < weights.len(), "{above} of {}", weights.len());
    assert_eq!(steps(&everything.events), weights.len().div_ceil(4) as u64);
    assert_eq!(steps(&some.events), above.div_ceil(4) as u64);
    let told = format!("learns from {above} of {} pairs", weights.len());
    assert!(some.report.warnings.iter().any(|warning| warning.contains(&told)));
    assert!(!everything.report.warnings.iter().any(|warning| warning.contains("learns from")));
    let differ: BTreeSet<_> = losses(&some.events).into_iter().collect();
    assert!(losses(&everything.events).iter().all(|step| !differ.contains(step)));

    // Where nothing is dropped, it is what it was, to the last bit.
    let same = tempfile::tempdir().unwrap();
    let settings = [("confidence.weight", "uniform"), ("sft.pairs", "kept")];
    let same = run(same.path(), &settings, &control(), |_| ()).unwrap();
    assert_eq!(losses(&same.events), losses(&everything.events));
    // Labels that are believed have weight 1 each.
    let human = tempfile::tempdir().unwrap();
    let settings =
        [("annotator.kind", "human"), ("confidence.threshold", "0.9"), ("sft.pairs", "kept")];
    let human = run(human.path(), &settings, &control(), |_| ()).unwrap();
    assert_eq!(steps(&human.events), steps(&everything.events));
}

#[test]
fn where_nothing_is_kept_the_run_says_what_to_change() {
    let folder = tempfile::tempdir().unwrap();
    let settings = [("confidence.threshold", "1.0"), ("sft.pairs", "kept")];
    let error = run(folder.path(), &settings, &Control::default(), |_| ()).map(|_| ()).unwrap_err();
    let words = error.to_string();
    assert!(words.contains("none of") && words.contains("sft.pairs = \"all\""), "{words}");
    // One that does not fine-tune needs none.
    let folder = tempfile::tempdir().unwrap();
    let settings = [("confidence.threshold", "1.0"), ("sft.pairs", "kept"), ("sft.epochs", "0")];
    run(folder.path(), &settings, &Control::default(), |_| ()).map(|_| ()).unwrap();
}

/// The threshold may move while fine-tuning is under way, and the run may be resumed: what is learned from is
/// decided when it begins.
#[test]
fn a_threshold_that_moves_changes_no_fine_tuning_that_has_begun() {
    let settings = [
        ("confidence.threshold", "0.1"),
        ("sft.pairs", "kept"),
        ("sft.batch_size", "2"),
        ("checkpoint_seconds", "0"),
    ];
    let whole = tempfile::tempdir().unwrap();
    let undisturbed = run(whole.path(), &settings, &Control::default(), |_| ()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let control = Control::default();
    let stopped = run(folder.path(), &settings, &control, |event| match event {
        Event::Step { stage, step: 2, .. } if *stage == Stage::SFT => control.set_threshold(0.9),
        Event::Step { stage, step: 4, .. } if *stage == Stage::SFT => control.stop(),
        _ => (),
    });
    assert!(matches!(stopped.map(|_| ()), Err(RunError::Stopped)));
    let resumed = run(folder.path(), &settings, &Control::default(), |_| ()).unwrap();
    let all = losses(&undisturbed.events);
    let rest = losses(&resumed.events);
    assert!(!rest.is_empty() && rest.len() < all.len());
    assert_eq!(rest, all[all.len() - rest.len()..]);
    let moved =
        |event: &Event| matches!(event, Event::StageStarted { stage, .. } if *stage == Stage::SFT);
    assert!(!resumed.events.iter().any(moved), "it goes on from its checkpoint");
}

/// Settings of a run whose first steps a teacher teaches.
const TAUGHT: [(&str, &str); 5] = [
    ("sft.distill_steps", "4"),
    ("sft.teacher", "builtin:weak"),
    ("sft.batch_size", "2"),
    ("checkpoint_seconds", "0"),
    ("policy.epochs", "1"),
];

/// Its losses part from those of plain fine-tuning at the first step; a run that is stopped within the taught steps
/// or behind them goes on to the last bit.
#[test]
fn a_teacher_teaches_the_first_steps_and_a_resumed_run_goes_on_in_the_middle() {
    let folder = tempfile::tempdir().unwrap();
    let taught = run(folder.path(), &TAUGHT, &Control::default(), |_| ()).unwrap();
    assert_eq!(taught.report.measured["sft.distilled_steps"], 4.0);
    let plain = tempfile::tempdir().unwrap();
    let plain = run(plain.path(), &TAUGHT[2..], &Control::default(), |_| ()).unwrap();
    let (all, plain) = (losses(&taught.events), losses(&plain.events));
    assert!(all.len() == plain.len() && all.len() > 6, "{}", all.len());
    // What was learned differs, so that later losses do, too.
    assert!(all.iter().zip(&plain).all(|(taught, plain)| taught != plain));
    for stop in [2, 6] {
        let folder = tempfile::tempdir().unwrap();
        let control = Control::default();
        let stopped = run(folder.path(), &TAUGHT, &control, |event| match event {
            Event::Step { stage, step, .. } if *stage == Stage::SFT && *step == stop => {
                control.stop();
            }
            _ => (),
        });
        assert!(matches!(stopped.map(|_| ()), Err(RunError::Stopped)));
        let resumed = run(folder.path(), &TAUGHT, &Control::default(), |_| ()).unwrap();
        let rest = losses(&resumed.events);
        assert!(!rest.is_empty() && rest.len() < all.len());
        assert_eq!(rest, all[all.len() - rest.len()..], "stopped at {stop}");
    }
}

/// The annotator's own model teaches where no other is named; more steps than there are is told.
#[test]
fn the_annotators_model_teaches_where_none_is_named() {
    let settings = [
        ("annotator.kind", "reward-head"),
        ("annotator.model", "builtin:weak"),
        ("annotator.steps", "1"),
    ];
    let [a, b, c] = settings;
    let own = tempfile::tempdir().unwrap();
    let unnamed = [a, b, c, ("sft.distill_steps", "1000")];
    let unnamed = run(own.path(), &unnamed, &Control::default(), |_| ()).unwrap();
    let told = "is more than the";
    assert!(unnamed.report.warnings.iter().any(|warning| warning.contains(told)));
    let named = tempfile::tempdir().unwrap();
    let settings = [a, b, c, ("sft.distill_steps", "1000"), ("sft.teacher", "builtin:weak")];
    let named = run(named.path(), &settings, &Control::default(), |_| ()).unwrap();
    assert_eq!(losses(&unnamed.events), losses(&named.events));
}

/// Fine-tuning on the hardest half takes half the steps, is told, and goes on after a stop to the last bit.
#[test]
fn the_hardest_responses_alone_are_learned() {
    let settings = [
        ("sft.select_share", "0.5"),
        ("sft.teacher", "builtin:weak"),
        ("sft.batch_size", "2"),
        ("checkpoint_seconds", "0"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let hardest = run(folder.path(), &settings, &Control::default(), |_| ()).unwrap();
    let plain = tempfile::tempdir().unwrap();
    let plain = run(plain.path(), &settings[2..], &Control::default(), |_| ()).unwrap();
    let pairs = margins(folder.path()).len();
    assert_eq!(steps(&plain.events), pairs.div_ceil(2) as u64);
    assert_eq!(steps(&hardest.events), pairs.div_ceil(2).div_ceil(2) as u64);
    let told = format!("learns from {} of {pairs} responses", pairs.div_ceil(2));
    assert!(hardest.report.warnings.iter().any(|warning| warning.contains(&told)));
    // Every token is among so many, and all are taken: what is learned is what it was.
    let all = [("sft.select_top_k", "1000000"), settings[1], settings[2]];
    let everything = tempfile::tempdir().unwrap();
    let everything = run(everything.path(), &all, &Control::default(), |_| ()).unwrap();
    assert_eq!(losses(&everything.events), losses(&plain.events));

    let folder = tempfile::tempdir().unwrap();
    let control = Control::default();
    let stopped = run(folder.path(), &settings, &control, |event| match event {
        Event::Step { stage, step: 3, .. } if *stage == Stage::SFT => control.stop(),
        _ => (),
    });
    assert!(matches!(stopped.map(|_| ()), Err(RunError::Stopped)));
    let resumed = run(folder.path(), &settings, &Control::default(), |_| ()).unwrap();
    let (all, rest) = (losses(&hardest.events), losses(&resumed.events));
    assert!(!rest.is_empty() && rest.len() < all.len());
    assert_eq!(rest, all[all.len() - rest.len()..]);
}

/// What is wrong with asking for a teacher, as the recipe's check says it.
fn refused(settings: &[(&str, &str)]) -> String {
    let text = "data = { files = ['builtin:demo'] }\nannotator = { kind = 'length' }\n\
        policy = { model = 'builtin:strong' }\nsft = { distill_steps = 8 }";
    let set: Vec<(String, String)> =
        settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let recipe = Recipe::parse(text, Path::new("sft.toml"), &set).unwrap();
    recipe.check("sft.toml").map_or_else(|error| error.to_string(), |()| String::new())
}

#[test]
fn a_teacher_that_has_no_meaning_is_refused() {
    let named = ("sft.teacher", "builtin:weak");
    assert_eq!(refused(&[named]), "");
    assert!(refused(&[]).contains("sft.teacher is missing"));
    assert_eq!(refused(&[("sft.distill_steps", "0")]), "");
    assert!(refused(&[named, ("sft.epochs", "0")]).contains("leaves fine-tuning out"));
    assert!(refused(&[named, ("sft.distill_weight", "0")]).contains("sft.distill_weight = 0"));
    assert!(refused(&[named, ("sft.distill_temperature", "0")]).contains("above 0"));
    let (off, half) = (("sft.distill_steps", "0"), ("sft.select_share", "0.5"));
    assert!(refused(&[off, half]).contains("sft.teacher is missing: sft.select_share = 0.5"));
    assert!(refused(&[off, half, named, ("sft.epochs", "0")]).contains("leaves fine-tuning out"));
    assert_eq!(refused(&[off, half, named]), "");
}

/// The teacher's weights are among those that an estimate counts, and what is read of it among activations.
#[test]
fn an_estimate_counts_the_teacher() {
    let needs = |settings: &[(&str, &str)]| {
        let set: Vec<(String, String)> =
            settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let text = "device = 'cpu'\ndata = { files = ['builtin:demo'], limit = 60, max_length = 96 }\n\
            annotator = { kind = 'length' }\npolicy = { model = 'builtin:strong' }";
        let recipe = Recipe::parse(text, Path::new("sft.toml"), &set).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let stages = estimate(&recipe, folder.path()).unwrap().stages;
        stages.into_iter().find(|found| found.stage == Stage::SFT).unwrap().needs
    };
    let (plain, taught) = (needs(&[]), needs(&TAUGHT[..2]));
    let weak = std::fs::metadata(repository("assets/weak/model.safetensors")).unwrap().len();
    let (more, file) = ((taught.weights - plain.weights) as f64, weak as f64);
    // The file may hold halves, and a header.
    assert!((0.9..=2.1).contains(&(more / file)), "{more} bytes more for a file of {file}");
    assert!(taught.activations > plain.activations);
    assert_eq!((taught.gradients, taught.optimiser), (plain.gradients, plain.optimiser));
}

/// What ends a run whose teacher is this, before anything is trained.
fn ended_by(teacher: &Path) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut trained = false;
    let settings = [("sft.distill_steps", "1"), ("sft.teacher", teacher.to_str().unwrap())];
    let found = run(folder.path(), &settings, &Control::default(), |event| {
        trained |= matches!(event, Event::Step { .. });
    });
    assert!(!trained);
    found.map(|_| ()).unwrap_err().to_string()
}

/// A folder with a model and the tokenizer of the demonstration.
fn with_tokenizer(model: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(model.join(file), folder.path().join(file)).unwrap();
    }
    for file in ["tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(repository("assets/strong").join(file), folder.path().join(file)).unwrap();
    }
    folder
}

#[test]
fn a_teacher_that_cannot_teach_is_refused_before_anything_is_trained() {
    let models = repository("tests/fixtures/models");
    for (name, expected) in [
        ("llama", "in other tokens than the policy builtin:strong (64 and "),
        ("llama-score", "is a sequence classifier"),
        ("opt", "has learned 64 positions, and sequences of the policy may have 96 tokens"),
    ] {
        let teacher = with_tokenizer(&models.join(name));
        let words = ended_by(teacher.path());
        assert!(words.starts_with("sft.teacher: ") && words.contains(expected), "{words}");
    }
    // As many tokens, of which two have changed their places.
    let teacher = with_tokenizer(&repository("assets/weak"));
    let path = teacher.path().join("tokenizer.json");
    let mut tokenizer: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let ids = tokenizer["model"]["vocab"].as_object_mut().unwrap();
    let (a, e) = (ids["a"].clone(), ids["e"].clone());
    ids.insert("a".to_owned(), e);
    ids.insert("e".to_owned(), a);
    std::fs::write(&path, tokenizer.to_string()).unwrap();
    let words = ended_by(teacher.path());
    assert!(words.starts_with("sft.teacher: ") && words.contains("in other tokens"), "{words}");
}
