//! Rounds of alignment on the policy's own responses, in whole runs.

mod compared;
mod own;
mod resumed;

use std::path::Path;

use burn::tensor::Device;
use confide::annotate::{all_log_probs, score_sequences};
use confide::batch::Sequence;
use confide::builtin::gold_reward;
use confide::data::{AnnotatedPair, Side, read_annotations};
use confide::evaluate::sample_whole;
use confide::model::{Generated, ModelError, ModelFiles, Sampling, load, load_named, score_pad};
use confide::report::{as_text, in_full};
use confide::run::{Event, Metrics, Recipe, Report, Stage, estimate, find_model};
use confide::text::{Encoder, TextError, Tokenizer};

use crate::common::{assert_close, ran, repository};

fn recipe(settings: &[(&str, &str)]) -> Recipe {
    let text = "device = 'cpu'\nname = 'rounds'\n\
        data = { files = ['builtin:demo'], limit = 60, labelled = 0.4, held_out = 0.2 }\n\
        annotator = { model = 'builtin:weak', steps = 2, batch_size = 4, learning_rate = 1e-3 }\n\
        sft = { epochs = 0 }\n\
        policy = { model = 'builtin:strong', batch_size = 4, accumulate = 1, epochs = 1, \
        learning_rate = 1e-4 }\n\
        online = { rounds = 2, prompts = 8, max_new_tokens = 12 }\n\
        evaluate = { samples = 0 }";
    let set: Vec<(String, String)> =
        settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Recipe::parse(text, Path::new("rounds.toml"), &set).unwrap()
}

fn run(folder: &Path, settings: &[(&str, &str)]) -> (Report, Vec<Event>) {
    let recipe = recipe(settings);
    recipe.check("rounds.toml").unwrap();
    let (report, events) = ran(recipe, folder);
    (report.unwrap(), events)
}

fn table(folder: &Path, round: usize) -> Vec<AnnotatedPair> {
    read_annotations(&folder.join(format!("rounds/{round}.parquet"))).unwrap()
}

/// Numbers of the policy's steps.
fn steps(events: &[Event]) -> Vec<(u64, Metrics)> {
    let step = |event: &Event| match event {
        Event::Step { stage: Stage::POLICY, step, metrics } => Some((*step, metrics.clone())),
        _ => None,
    };
    events.iter().filter_map(step).collect()
}

fn numbers(events: &[Event], name: &str) -> Vec<f64> {
    steps(events).iter().map(|(_, metrics)| metrics.get(name).unwrap()).collect()
}

/// The scores that a trained annotator gives texts, read by itself.
fn scores(files: &ModelFiles, texts: &[(String, String)]) -> Vec<f64> {
    let encoder = Encoder::plain(Tokenizer::load(files).unwrap());
    let annotator = load(files, &Device::flex()).unwrap().decoder;
    let pad = score_pad(files, encoder.tokenizer.pad).unwrap();
    let sequence = |(prompt, response): &(String, String)| {
        encoder.sequence(&confide::data::Prompt::Text(prompt.clone()), response).unwrap()
    };
    let sequences: Vec<Sequence> = texts.iter().map(sequence).collect();
    let all: Vec<&Sequence> = sequences.iter().collect();
    let quiet = &mut |_| Ok::<(), ModelError>(());
    score_sequences(&annotator, &all, pad, 1, quiet).unwrap().into_iter().map(f64::from).collect()
}

#[test]
fn a_second_round_learns_from_what_the_annotator_says_of_the_policys_responses() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("run");
    let (report, events) = run(&folder, &[("online.reference", "previous")]);
    let rows = table(&folder, 2);
    assert!(rows.len() > 4 && rows.len() <= 8, "{}", rows.len());
    assert!(!folder.join("rounds/1.parquet").exists());

    // What stands in the table is what the annotator says of these texts, the better one on top.
    let texts: Vec<(String, String)> = rows
        .iter()
        .flat_map(|row| row.responses.clone().map(|text| (row.prompt.clone(), text)))
        .collect();
    let annotator = ModelFiles::folder(&folder.join("annotator")).unwrap();
    for (row, own) in rows.iter().zip(scores(&annotator, &texts).chunks(2)) {
        assert_close(&row.scores.map(f64::from), own, 1e-5, "scores");
        assert_close(&[row.margin], &[(own[0] - own[1]).abs()], 1e-5, "margin");
        assert_eq!(row.label == Side::First, own[0] > own[1]);
        assert_ne!(row.responses[0], row.responses[1]);
        assert_eq!((row.split.as_str(), row.human), ("unlabelled", None));
    }
    // Each is about a prompt that the policy was trained on, each prompt once.
    let known = read_annotations(&folder.join("annotations.parquet")).unwrap();
    let mut prompts: Vec<&str> = Vec::new();
    for row in &rows {
        let source = known.iter().find(|pair| pair.pair == row.pair).unwrap();
        assert_eq!((source.prompt.as_str(), source.split.as_str()), (&*row.prompt, "unlabelled"));
        assert!(!prompts.contains(&row.prompt.as_str()));
        prompts.push(&row.prompt);
    }

    // Steps are counted on, and the learning rate and what is compared with begin afresh.
    let first = report.rounds["1"].steps;
    let all: Vec<u64> = steps(&events).iter().map(|(step, _)| *step).collect();
    assert_eq!(all, (1..=first + rows.len().div_ceil(4) as u64).collect::<Vec<_>>());
    assert_eq!(report.policy.steps, all.len() as u64);
    let rates = numbers(&events, "learning_rate");
    assert!(rates[0] == 1e-4 && rates[first as usize - 1] < rates[0]);
    assert_eq!(rates[first as usize], 1e-4);
    let margins = numbers(&events, "rewards/margins");
    assert!(margins[0] == 0.0 && margins[first as usize] == 0.0, "{margins:?}");
    assert!(margins[first as usize - 1] != 0.0);

    // The gold reward of the built-in world judges the annotator.
    let right = rows.iter().filter_map(|row| {
        let [a, b] = row.responses.each_ref().map(|text| gold_reward(&row.prompt, text));
        assert_eq!([row.columns["gold_1"], row.columns["gold_2"]], [a, b]);
        (a != b).then(|| f64::from(u8::from((a > b) == (row.label == Side::First))))
    });
    let right: Vec<f64> = right.collect();
    let found = &report.rounds["2"];
    let accuracy = right.iter().sum::<f64>() / right.len() as f64;
    assert_close(&[found.annotator_accuracy.unwrap()], &[accuracy], 1e-12, "accuracy");
    assert!(found.annotator_ece.is_some() && found.confidence.is_some());
    assert_eq!((found.prompts, found.pairs, found.alike), (8, rows.len(), 8 - rows.len()));
    let warned = |words: &str| report.warnings.iter().filter(|w| w.contains(words)).count();
    assert_eq!(warned("learned from other texts"), 1, "{:?}", report.warnings);
    let glance = as_text(&report, "here");
    let right = format!("annotator right on {:.1} %", 100.0 * accuracy);
    let pairs = format!("{} of {} own pairs, {right}", found.kept, found.pairs);
    assert!(glance.contains("Round 2") && glance.contains(&pairs), "{glance}");
    assert!(in_full(&report, "here").contains("annotator right"));
}

/// The policy of the beginning, or of the round's: only the former has been left behind by then.
#[test]
fn rounds_compare_with_the_first_policy_unless_they_are_told_otherwise() {
    let place = tempfile::tempdir().unwrap();
    let (report, events) = run(&place.path().join("initial"), &[]);
    let first = report.rounds["1"].steps as usize;
    let margins = numbers(&events, "rewards/margins");
    assert!(margins[0] == 0.0 && margins[first] != 0.0, "{margins:?}");
    // Both have the same first round, and so the same responses in the second.
    let (_, others) = run(&place.path().join("previous"), &[("online.reference", "previous")]);
    let losses = |events: &[Event]| numbers(events, "loss");
    assert_eq!(losses(&events)[..first], losses(&others)[..first]);
    let both = ["initial", "previous"].map(|name| table(&place.path().join(name), 2));
    assert_eq!(both[0], both[1]);
    assert_ne!(losses(&events)[first], losses(&others)[first]);
}

/// With one round the section changes nothing, and nothing is written.
#[test]
fn one_round_is_a_run_without_rounds() {
    let place = tempfile::tempdir().unwrap();
    let one = ("online.rounds", "1");
    let (plain, events) = run(&place.path().join("plain"), &[one]);
    let (same, others) = run(
        &place.path().join("same"),
        &[
            one,
            ("online.prompts", "3"),
            ("online.temperature", "0.5"),
            ("online.num_generations", "4"),
        ],
    );
    assert_eq!(numbers(&events, "loss"), numbers(&others, "loss"));
    let policy = |name: &str| {
        std::fs::read(place.path().join(name).join("policy/model.safetensors")).unwrap()
    };
    assert_eq!(policy("plain"), policy("same"));
    assert!(!place.path().join("same/rounds").exists());
    assert!(plain.rounds.is_empty() && same.rounds.is_empty());
    // A recipe of before has no such section.
    let mut table = toml::Table::try_from(recipe(&[one])).unwrap();
    table.remove("online");
    let before = Recipe::parse(&table.to_string(), Path::new("before.toml"), &[]).unwrap();
    assert_eq!(before.online, Recipe::default().online);
}

/// Four responses to each of three prompts, by a policy that stays what it was.
const DRAWN: [(&str, &str); 4] = [
    ("online.num_generations", "4"),
    ("online.prompts", "3"),
    ("policy.learning_rate", "1e-30"),
    ("policy.steps", "1"),
];

/// The responses that the policy of [`DRAWN`] writes to each prompt of a second round.
fn drawn(rows: &[AnnotatedPair]) -> Vec<(String, Generated)> {
    let files = find_model("builtin:strong").unwrap();
    let encoder = Encoder::plain(Tokenizer::load(&files).unwrap());
    let policy = load(&files, &Device::flex()).unwrap().decoder;
    let prompts: Vec<Vec<u32>> = rows
        .iter()
        .flat_map(|row| {
            let ids = encoder.tokenizer.encode_open(&row.prompt).unwrap();
            std::iter::repeat_n(ids, 4)
        })
        .collect();
    let sampling =
        Sampling { max_new_tokens: 12, temperature: 0.9, seed: 2 << 32, ..Sampling::default() };
    let poll: &mut dyn FnMut() -> Result<(), Wrong> = &mut || Ok(());
    let drawn =
        sample_whole(&policy, &encoder.tokenizer, &encoder.stop(), &prompts, &sampling, poll);
    drawn.unwrap()
}

/// The longest of four responses against the shortest, by the annotator that prefers longer ones. The policy stays
/// what it was, so that the same responses can be drawn here.
#[test]
fn the_best_of_all_responses_stands_against_the_worst() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("run");
    run(&folder, &[&[("annotator.kind", "length")], &DRAWN[..]].concat());
    let rows = table(&folder, 2);
    let drawn = drawn(&rows);
    assert_eq!(drawn.len(), 12);
    for (row, four) in rows.iter().zip(drawn.chunks(4)) {
        let length = |text: &str| text.chars().count();
        let lengths = || four.iter().map(|(text, _)| length(text));
        assert_eq!(length(row.chosen()), lengths().max().unwrap());
        assert_eq!(length(row.rejected()), lengths().min().unwrap());
        let ended = |text: &str| {
            let (_, said) = four.iter().find(|(found, _)| found == text).unwrap();
            f64::from(u8::from(said.ended))
        };
        let wanted = row.responses.each_ref().map(|text| ended(text));
        assert_eq!([row.columns["ended_1"], row.columns["ended_2"]], wanted);
    }
}

#[derive(Debug)]
struct Wrong;

impl From<ModelError> for Wrong {
    fn from(_: ModelError) -> Self {
        Self
    }
}

impl From<TextError> for Wrong {
    fn from(_: TextError) -> Self {
        Self
    }
}

/// Whoever can say something of texts that no file has labels rounds; several responses have one best by all of
/// them.
#[test]
fn every_annotator_of_texts_labels_rounds() {
    let judge = repository("tests/fixtures/judge");
    let judge = judge.to_str().unwrap();
    let place = tempfile::tempdir().unwrap();
    let kinds: [&[(&str, &str)]; 7] = [
        &[("annotator.kind", "implicit")],
        &[("annotator.kind", "gptscore")],
        &[("annotator.kind", "judge"), ("annotator.model", judge)],
        &[("annotator.kind", "judge"), ("annotator.model", judge), ("annotator.judge", "a-b")],
        &[
            ("annotator.kind", "trained-judge"),
            ("annotator.model", judge),
            ("annotator.judge", "a-b"),
        ],
        &[("annotator.kind", "random")],
        &[("annotator.ensemble", "2")],
    ];
    let shared = [("online.num_generations", "3"), ("online.prompts", "4"), ("policy.steps", "1")];
    for (i, kind) in kinds.into_iter().enumerate() {
        let folder = place.path().join(i.to_string());
        let (report, _) = run(&folder, &[&shared[..], kind].concat());
        let rows = table(&folder, 2);
        assert!(!rows.is_empty() && rows.len() == report.rounds["2"].pairs, "{kind:?}");
        for row in &rows {
            let [first, second] = row.scores;
            assert!((first > second) == (row.label == Side::First) || first == second, "{row:?}");
            assert_close(&[f64::from((first - second).abs())], &[row.margin], 1e-4, "margin");
        }
        // What the annotator has told of its own stage stays as it was.
        let told = report.measured.get("annotator.distinct_responses");
        assert!(told.is_none_or(|found| found.as_u64().unwrap() > 20), "{told:?}");
    }
}

/// What a filter takes of the first labels it takes of later ones: half of them, those with the largest margins.
#[test]
fn filters_apply_in_each_round() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("run");
    let settings = [
        ("confidence.weight", "top"),
        ("confidence.top", "0.5"),
        ("policy.batch_size", "2"),
        ("online.reference", "previous"),
    ];
    let (report, events) = run(&folder, &settings);
    let round = &report.rounds["2"];
    let half = (0.5 * round.pairs as f64).round() as usize;
    assert!(half > 2 && round.kept == half, "{round:?}");
    assert_eq!(round.steps as usize, half.div_ceil(2));
    assert!(numbers(&events, "weight/mean").iter().all(|mean| *mean == 1.0));
    // The reference is asked about these alone.
    let saved = load_named(&folder.join("rounds/2-reference.safetensors")).unwrap();
    assert_eq!(saved["log_probs"].shape, [half, 2]);
}

/// What later rounds are compared with is the model that alignment began with, adapter or not: its
/// log-probabilities of the table's responses, which end only where the policy ended them.
#[test]
fn the_first_policy_speaks_of_later_responses() {
    let place = tempfile::tempdir().unwrap();
    for (i, rank) in ["0", "4"].into_iter().enumerate() {
        let folder = place.path().join(i.to_string());
        let settings = [("policy.lora.rank", rank), ("online.max_new_tokens", "30")];
        let (report, events) = run(&folder, &settings);
        let rows = table(&folder, 2);
        let files = find_model("builtin:strong").unwrap();
        let encoder = Encoder::plain(Tokenizer::load(&files).unwrap());
        let policy = load(&files, &Device::flex()).unwrap().decoder;
        let ended = |row: &AnnotatedPair, side: usize| row.columns[["ended_1", "ended_2"][side]];
        let mut sequences = Vec::new();
        for row in &rows {
            for side in [row.label.index(), row.label.other().index()] {
                let prompt = confide::data::Prompt::Text(row.prompt.clone());
                let mut all = encoder.sequence(&prompt, &row.responses[side]).unwrap();
                if ended(row, side) == 0.0 {
                    assert!(encoder.stop().contains(&all.response.pop().unwrap()));
                }
                sequences.push(all);
            }
        }
        let unended = rows.iter().flat_map(|row| [ended(row, 0), ended(row, 1)]);
        let unended = unended.filter(|ended| *ended == 0.0).count();
        assert!(unended > 0 && unended < sequences.len(), "{unended}");
        let told = |warning: &String| warning.contains("are learned without an end");
        assert!(report.warnings.iter().any(told), "{:?}", report.warnings);
        let all: Vec<&Sequence> = sequences.iter().collect();
        let quiet = &mut |_| Ok::<(), ModelError>(());
        let own = all_log_probs(&policy, &all, encoder.tokenizer.pad, 1, quiet).unwrap();
        let saved = load_named(&folder.join("rounds/2-reference.safetensors")).unwrap();
        let known: Vec<f64> = saved["log_probs"].values.iter().map(|v| f64::from(*v)).collect();
        let own: Vec<f64> = own.into_iter().map(f64::from).collect();
        assert_close(&known, &own, 1e-4, "log-probabilities");
        assert!(numbers(&events, "loss").iter().all(|loss| loss.is_finite()));
    }
}

/// Objectives with more sequences, more references or none learn in rounds as well.
#[test]
fn every_kind_of_objective_learns_in_rounds() {
    let place = tempfile::tempdir().unwrap();
    let objectives: [&[(&str, &str)]; 5] = [
        &[("policy.objective", "kto")],
        &[("policy.objective", "orpo")],
        &[
            ("policy.objective", "spa"),
            ("policy.spa_warmup", "0"),
            ("online.reference", "previous"),
        ],
        &[("policy.objective", "mrpo"), ("policy.references", "['builtin:strong']")],
        &[
            ("policy.objective", "aot"),
            ("policy.ld_alpha", "0.5"),
            ("policy.sampling", "proportional"),
        ],
    ];
    let shared = [("annotator.kind", "length"), ("policy.steps", "2"), ("online.rounds", "3")];
    for (i, objective) in objectives.into_iter().enumerate() {
        let folder = place.path().join(i.to_string());
        let (report, events) = run(&folder, &[&shared[..], objective].concat());
        let losses = numbers(&events, "loss");
        assert!(losses.len() == 6 && losses.iter().all(|loss| loss.is_finite()), "{losses:?}");
        let compared = folder.join("rounds/3-reference.safetensors").exists();
        assert_eq!(compared, !objective.contains(&("policy.objective", "orpo")));
        assert_eq!(report.rounds.len(), 3);
    }
}

/// The gate of the first labels judges later ones: its log-odds by the coefficients that were told.
#[test]
fn the_gate_of_the_first_labels_judges_later_ones() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("run");
    let settings = [
        ("annotator.kind", "length"),
        ("confidence.gate", "true"),
        ("data.limit", "150"),
        ("policy.steps", "1"),
    ];
    let (report, _) = run(&folder, &settings);
    let gate = report.confidence.gate.unwrap().gate;
    let rows = table(&folder, 2);
    assert!(rows.len() > 4);
    for row in rows {
        let parts = gate.features.iter().map(|feature| {
            feature.coefficient * (row.columns[&feature.name] - feature.mean) / feature.scale
        });
        let expected = (gate.intercept + parts.sum::<f64>()).max(0.0);
        assert_close(&[row.margin], &[expected], 1e-9, "log-odds");
        let [first, second] = row.responses.each_ref().map(|text| text.chars().count());
        assert_eq!(row.label == Side::First, first > second, "{row:?}");
    }
}

/// Where all responses are the same there is nothing to learn, which is told, and the run goes on.
#[test]
fn a_round_without_pairs_is_told() {
    let place = tempfile::tempdir().unwrap();
    let settings = [("online.temperature", "1e-6"), ("policy.steps", "2"), ("online.prompts", "3")];
    let (report, events) = run(&place.path().join("run"), &settings);
    let round = &report.rounds["2"];
    assert_eq!((round.prompts, round.alike, round.pairs, round.steps), (3, 3, 0, 0));
    assert_eq!(steps(&events).len(), 2);
    for words in
        ["3 of 3 prompts make no pair", "learns nothing in it", "online.max_new_tokens = 12"]
    {
        let told = report.warnings.iter().any(|warning| warning.contains(words));
        assert!(told, "{words}: {:?}", report.warnings);
    }
}

#[test]
fn an_estimate_counts_what_rounds_take() {
    let place = tempfile::tempdir().unwrap();
    let of = |settings: &[(&str, &str)]| {
        let found = estimate(&recipe(settings), place.path()).unwrap();
        found.stages.iter().find(|stage| stage.stage == Stage::POLICY).unwrap().needs
    };
    let told = |settings: &[(&str, &str)]| {
        let found = estimate(&recipe(settings), place.path()).unwrap().warnings;
        found.iter().any(|warning| warning.contains("learned from other texts"))
    };
    assert_eq!([told(&[]), told(&[("online.rounds", "1")])], [true, false]);
    let one = of(&[("online.rounds", "1")]);
    let two = of(&[("online.max_new_tokens", "400")]);
    // Pairs as long as the policy may write are learned from.
    assert!(two.total() > one.total() && two.weights == one.weights, "{one:?} {two:?}");
    // An annotator that is larger than all that training takes stands beside the policy.
    let large = [("annotator.model", "builtin:strong"), ("annotator.batch_size", "512")];
    let adapter = [("policy.model", "builtin:weak"), ("policy.lora.rank", "1")];
    let alone = of(&[&large[..], &adapter, &[("online.rounds", "1")]].concat());
    let beside = of(&[&large[..], &adapter].concat());
    assert!(beside.weights > alone.weights && beside.total() > alone.total());
}

#[test]
fn rounds_that_mean_nothing_are_refused() {
    for (settings, words) in [
        (&[("annotator.kind", "human")][..], "repeats labels that the pairs come with"),
        (&[("annotator.kind", "file")], "reward-head"),
        (
            &[("annotator.combine", "mean"), ("annotator.with", "['length']")],
            "annotators cannot be combined",
        ),
        (&[("online.temperature", "0")], "no best and no worst"),
        (&[("policy.objective", "simpo"), ("online.reference", "initial")], "compares with no"),
        (&[("policy.ref_model_sync_steps", "4")], "moves the reference within a training"),
        (
            &[("policy.objective", "spa"), ("policy.spa_lambda", "0.5")],
            "leads the policy away from where its training began",
        ),
        (&[("online.num_generations", "1")], "from 2 to 64 responses"),
        (&[("online.rounds", "0")], "from 1 to 100 rounds"),
        (&[("policy.objective", "spin"), ("online.reference", "initial")], "\"previous\""),
        (&[("policy.objective", "spin"), ("online.num_generations", "4")], "leave it at 2"),
        (&[("policy.objective", "['spin', 'sft']")], "take one of them alone"),
        (&[("policy.objective", "spin"), ("policy.odpo_alpha", "1")], "policy.odpo_alpha"),
        (
            &[("policy.objective", "spin"), ("policy.ref_model_sync_steps", "4")],
            "policy.ref_model_sync_steps has no meaning",
        ),
    ] {
        let found = recipe(settings).check("rounds.toml").unwrap_err().to_string();
        assert!(found.contains(words), "{settings:?}: {found}");
    }
    for settings in [
        &[("annotator.kind", "human"), ("online.rounds", "1")][..],
        &[("annotator.kind", "human"), ("policy.objective", "spin")],
        &[("policy.objective", "simpo")],
        &[("policy.objective", "spin"), ("online.temperature", "0")],
    ] {
        recipe(settings).check("rounds.toml").unwrap();
    }
}
