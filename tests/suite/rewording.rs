//! A judge's question in other words, so that its answers depend less on which response stands first.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use confide::annotate::{
    Answer, Asker, Instruction, Judging, Rewording, Tried, Unasked, fairness, paraphrase_request,
    position_bias, reword,
};
use confide::data::{AnnotatedPair, read_annotations};
use confide::report::{as_text, sections};
use confide::run::{
    Control, Event, Job, QuestionReport, Recipe, Report, RunError, Stage, estimate, execute,
};
use serde_json::Value;

use crate::common::{assert_close, fixture, repository};

/// Counted by hand: the first place is preferred in three of four questions, in none, in half.
#[test]
fn fairness_is_the_distance_from_half() {
    let pairs: [(&[[f64; 2]], f64); 5] = [
        (&[[2.0, 0.1], [-1.0, 3.0]], 0.25),
        (&[[-0.1, -5.0]], -0.5),
        (&[[4.0, -1.0], [-2.0, 0.5]], 0.0),
        // No preference is none for the first place.
        (&[[0.0, 1.0]], 0.0),
        (&[], 0.0),
    ];
    for (odds, bias) in pairs {
        assert_eq!(position_bias(odds), bias, "{odds:?}");
        assert_eq!(fairness(odds), -bias.abs(), "{odds:?}");
    }
    // One third and two thirds are equally far from half, to the last bit.
    let third = [[1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]];
    assert_eq!(fairness(&third), fairness(&third.map(|both| both.map(|z: f64| -z))));
}

const PLACES: [&str; 4] = ["{prompt}", "{response}", "{response_a}", "{response_b}"];

#[test]
fn an_instruction_is_the_longest_line_without_a_place() {
    let text = "Talk:\n{prompt}\n\nA: {response_a} and many more words of its own\n  Say which is better.  \nB: {response_b}\nAnswer:";
    let found = Instruction::of(text, ["A", "B"], &PLACES).unwrap();
    assert_eq!(found.words, "Say which is better.");
    assert_eq!(found.with(&found.words), text);
    let other = found.with("A or B?");
    assert_eq!(other, text.replace("Say which is better.", "A or B?"));
    assert_eq!(
        Instruction::of("{prompt}\n{response_a}\n{response_b}\nA or\n", ["A", "B"], &PLACES),
        None
    );
    // The usual questions have one, to a model that is talked to and to one that writes on.
    for chat in [true, false] {
        let judging = Judging { judge: confide::annotate::Asked::AB, ..Judging::default() };
        let found = judging.instruction(chat).unwrap();
        assert_eq!(found.words, "Which response is more helpful, honest and harmless?");
        assert_eq!(found.with(&found.words), judging.text(chat));
    }
}

/// Answers that are written in advance, and the fairness of each instruction by its number at the end.
struct Script {
    answers: Vec<Vec<&'static str>>,
    asked: Vec<(String, usize)>,
    judged: Vec<String>,
}

impl Asker<String> for Script {
    fn write(&mut self, instruction: &str, count: usize) -> Result<Vec<Answer>, String> {
        self.asked.push((instruction.to_owned(), count));
        let next = if self.answers.is_empty() { Vec::new() } else { self.answers.remove(0) };
        // “…” stands for an end that was cut off.
        let answer = |text: &&str| Answer {
            text: text.trim_end_matches('…').to_owned(),
            ended: !text.ends_with('…'),
        };
        Ok(next.iter().map(answer).collect())
    }

    fn judge(&mut self, question: &str) -> Result<Option<f64>, String> {
        self.judged.push(question.to_owned());
        let number = question.lines().next_back().and_then(|line| line.rsplit(' ').next());
        Ok(number.and_then(|number| number.parse().ok()))
    }

    fn progress(&mut self, epochs: u64) -> Result<(), String> {
        if epochs > 8 { Err("too many".to_owned()) } else { Ok(()) }
    }
}

fn script(answers: &[&[&'static str]], epochs: u64) -> (Script, confide::annotate::Reworded) {
    let question = "{prompt}\n{response_a}\n{response_b}\nIs A or B better?";
    let instruction = Instruction::of(question, ["A", "B"], &PLACES).unwrap();
    let answers = answers.iter().map(|epoch| epoch.to_vec()).collect();
    let mut script = Script { answers, asked: Vec::new(), judged: Vec::new() };
    let settings = Rewording { optimise_prompt: epochs, paraphrases: 4, ..Rewording::default() };
    let known = (["A", "B"], &PLACES[..]);
    let found = reword(&instruction, -0.4, known, &settings, &mut script).unwrap();
    (script, found)
}

fn tried(words: &str, fairness: f64) -> Tried {
    Tried { words: words.to_owned(), fairness }
}

#[test]
fn the_best_wording_is_said_in_other_words_until_nothing_is_fairer() {
    let (script, found) = script(
        &[
            &[
                "Here it is:\n\n\"A or B? -0.3\"\nThat was it.",
                "B, or A? -0.2",
                "Rather A, not B: -0.2",
            ],
            &["Of A and B -0.4", "Of B and A -0.35"],
            &["A? B? -0.1", "A/B -0"],
            &["never A, never B 0"],
        ],
        9,
    );
    // The question as it is is one of the first; what is as fair, or less, takes nobody's place.
    let asked: Vec<(&str, usize)> = script.asked.iter().map(|(s, n)| (s.as_str(), *n)).collect();
    assert_eq!(asked, [("Is A or B better?", 3), ("B, or A? -0.2", 4), ("B, or A? -0.2", 4)]);
    assert_eq!((&found.best, found.epochs), (&tried("A/B -0", 0.0), 3));
    assert_eq!(found.tried.len(), 1 + 3 + 2 + 2);
    assert_eq!(found.tried[..2], [tried("Is A or B better?", -0.4), tried("A or B? -0.3", -0.3)]);
    assert_eq!(script.judged[0], "{prompt}\n{response_a}\n{response_b}\nA or B? -0.3");
    assert_eq!(found.unasked, Unasked::default());
}

#[test]
fn what_cannot_stand_in_the_question_is_not_asked_and_counted() {
    let (script, found) = script(
        &[
            &[
                "Is A best? -0.1",
                "a or b? -0.1",
                "Is {response_a} A or B? -0.1",
                "",
                "A, or B -0.1…",
                "A \u{fffd} B -0.1",
                "A \u{1b}[0m B -0.1",
            ],
            &["“Is A or B better?”", "A or B, without a number", "A and B -0.39", "A and B -0.39"],
        ],
        2,
    );
    let unasked = Unasked { unwritten: 4, lost: 2, places: 1, known: 2, unaskable: 1 };
    assert_eq!((found.unasked, found.unasked.all()), (unasked, 10));
    assert_eq!((found.best, found.epochs), (tried("A and B -0.39", -0.39), 2));
    assert_eq!(script.judged.len(), 2);
    assert!(
        paraphrase_request("Is A or B better?", ["A", "B"], false).contains("Is A or B better?")
    );
}

fn data(folder: &Path) -> PathBuf {
    let rows = fixture("judge/expected.json")["pairs"].as_array().unwrap().clone();
    let rows = rows.into_iter().map(|mut row| {
        row["label"] = 1.into();
        row.to_string()
    });
    let path = folder.join("pairs.jsonl");
    std::fs::write(&path, rows.collect::<Vec<_>>().join("\n")).unwrap();
    path
}

/// Six pairs, judged by a model of random weights; the demonstration's model paraphrases, which knows words and
/// nothing of judging.
fn recipe(folder: &Path, settings: &[(&str, &str)]) -> Recipe {
    let text = format!(
        "device = 'cpu'\nname = 'question'\n\
         data = {{ files = ['{}'], labelled = 0, held_out = 0 }}\n\
         policy = {{ model = 'builtin:strong', epochs = 0 }}\n\
         [annotator]\nkind = 'judge'\njudge = 'a-b'\nmodel = '{}'\nbatch_size = 2\n\
         prompt = \"{{prompt}}\\nA: {{response_a}}\\nB: {{response_b}}\\nSay which is better now.\\nBetter:\"\n\
         optimise_prompt = 3\noptimise_items = 6\nparaphraser = 'builtin:strong'",
        data(folder).display(),
        repository("tests/fixtures/judge").display(),
    );
    let set: Vec<(String, String)> =
        settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Recipe::parse(&text, Path::new("question.toml"), &set).unwrap()
}

fn run(recipe: Recipe, folder: &Path) -> Result<(Report, Vec<AnnotatedPair>), RunError> {
    let job = Job::Fresh { recipe: Box::new(recipe), folder: folder.to_owned(), download: false };
    let report = execute(job, Control::default(), &mut |_| {})?;
    Ok((report, table(folder)))
}

fn table(folder: &Path) -> Vec<AnnotatedPair> {
    let mut table = read_annotations(&folder.join("annotations.parquet")).unwrap();
    table.sort_by_key(|pair| pair.pair);
    table
}

fn question(report: &Report) -> &QuestionReport {
    report.annotator.question.as_ref().unwrap()
}

/// What the run then says of all pairs with the question that it found is what it was chosen for, and what a
/// run says whose recipe has that question.
#[test]
fn a_run_asks_the_question_that_it_found() {
    let place = tempfile::tempdir().unwrap();
    let (report, said) = run(recipe(place.path(), &[]), &place.path().join("run")).unwrap();
    let found = question(&report);
    assert!(found.is_new() && found.fairness[1] > found.fairness[0], "{found:?}");
    // All six are the unlabelled split, so that nothing further is left.
    assert_eq!((found.pairs, found.further, found.fairness_further), (6, 0, None));
    let bias = report.annotator.position_bias.unwrap();
    assert_close(&[-bias.abs()], &[found.fairness[1]], 1e-12, "fairness of what was labelled");
    let best = found.tried.iter().map(|tried| tried.fairness).fold(f64::MIN, f64::max);
    assert_eq!(found.fairness[1], best);

    let prompt = Value::from(found.prompt.as_str()).to_string();
    let settings = [("annotator.prompt", prompt.as_str()), ("annotator.optimise_prompt", "0")];
    let (again, same) = run(recipe(place.path(), &settings), &place.path().join("again")).unwrap();
    assert_eq!((said, again.annotator.question), (same, None));

    // And the question as it was is as unfair as was told.
    let settings = [("annotator.optimise_prompt", "0")];
    let (before, _) = run(recipe(place.path(), &settings), &place.path().join("before")).unwrap();
    let bias = before.annotator.position_bias.unwrap();
    assert_close(&[-bias.abs()], &[found.fairness[0]], 1e-12, "fairness before");
    let text = as_text(&report, "here");
    for words in ["Prefers the first place by", "Fairness of its question", "annotator.prompt"] {
        assert!(text.contains(words), "{text}");
    }
    assert!(sections(&report).iter().any(|section| !section.passages.is_empty()));
}

/// A run that was stopped behind its search does not search again, and ends as one that was not.
#[test]
fn a_resumed_run_asks_the_same_question() {
    let place = tempfile::tempdir().unwrap();
    let (whole, said) = run(recipe(place.path(), &[]), &place.path().join("whole")).unwrap();
    let folder = place.path().join("stopped");
    let recipe = recipe(place.path(), &[]);
    let job = Job::Fresh { recipe: Box::new(recipe), folder: folder.clone(), download: false };
    let control = Control::default();
    let commands = control.clone();
    let stopped = execute(job, control, &mut |event| {
        if matches!(event, Event::StageStarted { stage, .. } if stage == Stage::CONFIDENCE) {
            commands.stop();
        }
    });
    assert!(matches!(stopped, Err(RunError::Stopped)), "{stopped:?}");
    let searches = RefCell::new(0);
    let job = Job::Resume { folder: folder.clone(), device: None };
    let report = execute(job, Control::default(), &mut |event| {
        if matches!(event, Event::StageStarted { stage, .. } if stage == Stage::QUESTION) {
            *searches.borrow_mut() += 1;
        }
    });
    assert_eq!(*searches.borrow(), 0);
    assert_eq!(report.unwrap().annotator, whole.annotator);
    assert_eq!(table(&folder), said);
}

/// A model of random bytes writes no text: nothing of it is asked, and all is counted.
#[test]
fn the_judge_itself_may_paraphrase() {
    let place = tempfile::tempdir().unwrap();
    let settings = [("annotator.paraphraser", ""), ("annotator.optimise_prompt", "2")];
    let (report, said) = run(recipe(place.path(), &settings), &place.path().join("run")).unwrap();
    let found = question(&report);
    assert_eq!((found.is_new(), found.epochs, found.fairness[1]), (false, 2, found.fairness[0]));
    assert_eq!(found.tried.len() + found.unasked.all(), 1 + 4 + 5, "{found:?}");
    let told = format!("{} of 9 paraphrases", found.unasked.all());
    assert!(report.warnings.iter().any(|warning| warning.starts_with(&told)), "{report:?}");
    let settings = [("annotator.optimise_prompt", "0")];
    let (_, as_it_is) = run(recipe(place.path(), &settings), &place.path().join("plain")).unwrap();
    assert_eq!(said, as_it_is);
}

/// A second model is in memory beside the judge.
#[test]
fn an_estimate_counts_who_paraphrases() {
    let place = tempfile::tempdir().unwrap();
    let model = repository("tests/fixtures/judge").display().to_string();
    let needs = |paraphraser: &str| {
        let settings = [("annotator.paraphraser", paraphraser)];
        let found = estimate(&recipe(place.path(), &settings), place.path()).unwrap();
        let stage = found.stages.into_iter().find(|stage| stage.stage == Stage::QUESTION);
        stage.unwrap().needs
    };
    let (own, other) = (needs(""), needs(&model));
    assert_eq!((other.weights, other.activations), (2 * own.weights, own.activations));
    assert!(own.weights > 0 && own.activations > 0);
}

#[test]
fn a_search_without_a_meaning_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let refused = |settings: &[(&str, &str)]| {
        recipe(place.path(), settings).check("question.toml").unwrap_err().to_string()
    };
    let found = refused(&[("annotator.judge", "yes-no"), ("annotator.prompt", "''")]);
    assert!(found.contains("annotator.judge = \"a-b\""), "{found}");
    let found = refused(&[("annotator.kind", "length")]);
    assert!(found.contains("annotator.optimise_prompt") && found.contains("\"length\""), "{found}");
    let found = refused(&[("annotator.prompt", "'{prompt} {response_a} or {response_b}?'")]);
    assert!(found.contains("line of its own"), "{found}");
    let scored = repository("tests/fixtures/models/llama-score").display().to_string();
    let settings = [("annotator.paraphraser", scored.as_str())];
    let folder = place.path().join("run");
    let found = run(recipe(place.path(), &settings), &folder).unwrap_err().to_string();
    assert!(found.contains("annotator.paraphraser") && found.contains("classifier"), "{found}");
    let found = estimate(&recipe(place.path(), &settings), place.path()).unwrap_err().to_string();
    assert!(found.contains("annotator.paraphraser"), "{found}");
    // With no epochs nothing is looked for, and nothing of it is read.
    let settings = [("annotator.optimise_prompt", "0"), settings[0]];
    let recipe = recipe(place.path(), &settings);
    assert!(recipe.check("question.toml").is_ok() && Stage::QUESTION.is_skipped(&recipe));
}
