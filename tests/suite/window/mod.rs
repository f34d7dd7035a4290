//! The window, driven as a person would drive it: files fall in, buttons are pressed, and what
//! is on show is read back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use confide::app::pairs::{Column, PairTable, Query, Split, Weights};
use confide::app::series::{aggregate, smooth};
use confide::app::{App, Command, DataState, Role, Start};
use confide::data::{AnnotatedPair, ColumnMap, Side};
use confide::demo;
use confide::device::{self, Class};
use confide::preference::{
    CalibrationMethod, Calibrator, Said, Scheme, Temperature, Weight, Weighting, calibration,
};
use confide::registry::{Choice, Constants};
use confide::run::{Event, Level, PromptsReport, Recipe, Stage, Status};
use egui::{Theme, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT, Queryable};

use crate::common::repository;

mod confidence;
mod drops;
mod form;
mod tables;

type Window = Harness<'static, App>;

fn open(start: Start) -> Window {
    Harness::builder()
        .with_size(vec2(1280.0, 720.0))
        .with_max_steps(32)
        .build_eframe(move |cc| App::new(cc, start))
}

fn demo() -> Start {
    Start { recipe: demo::recipe(), ..Start::default() }
}

/// Draw frames until something holds; background threads need real time.
fn until(window: &mut Window, seconds: u64, what: &str, holds: impl Fn(&Window) -> bool) {
    let begun = Instant::now();
    while !holds(window) {
        assert!(
            begun.elapsed() < Duration::from_secs(seconds),
            "{what} did not come about within {seconds} s"
        );
        std::thread::sleep(Duration::from_millis(5));
        window.step();
    }
    window.step();
}

/// Send a command and draw the frames in which it takes effect.
fn send(window: &mut Window, command: Command) {
    window.state_mut().send(command);
    window.run_steps(3);
}

#[derive(Debug)]
struct Dropped(PathBuf);

impl egui::DroppedFile for Dropped {
    fn path(&self) -> &Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        std::fs::read(&self.0).map_err(|error| error.to_string())
    }
}

fn drop_on(window: &mut Window, path: &Path) {
    window.input_mut().dropped_files.push(Arc::new(Dropped(path.to_owned())));
    window.step();
}

fn shows(window: &Window, text: &str) -> bool {
    window.query_all_by_label_contains(text).next().is_some()
}

/// Pairs whose margin, agreement and text follow from their number.
fn pairs(count: usize) -> Vec<AnnotatedPair> {
    let pair = |i: usize| {
        let margin = (i * 7919 % 1000) as f32 / 250.0;
        AnnotatedPair {
            pair: Some(i as u64),
            margin: f64::from(margin),
            columns: BTreeMap::new(),
            split: if i % 10 == 9 { "held_out" } else { "unlabelled" }.to_owned(),
            prompt: format!("prompt {i:06}"),
            responses: ["yes ".repeat(1 + i % 5), format!("No {}", i % 13)],
            human: (!i.is_multiple_of(3)).then_some(if i.is_multiple_of(4) {
                Side::Second
            } else {
                Side::First
            }),
            scores: [margin, 0.0],
            label: Side::First,
        }
    };
    (0..count).map(pair).collect()
}

fn with_pairs(count: usize) -> Window {
    let mut window = open(demo());
    window.state_mut().show_pairs(pairs(count));
    until(&mut window, 30, "sorting", |w| w.state().state().pairs.rows.len() == count);
    window
}

fn started(recipe: &Recipe, folder: &Path) -> Event {
    Event::Started {
        recipe: Box::new(recipe.clone()),
        folder: folder.to_owned(),
        device: "a device".to_owned(),
        why: "the only one".to_owned(),
        resumed: false,
        threshold: recipe.confidence.threshold,
        version: "0".to_owned(),
        time: "2026-01-01T00:00:00Z".to_owned(),
    }
}

#[test]
fn how_prompts_are_written_is_on_show_and_can_be_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let written = PromptsReport {
        style: "messages by the chat template in x.jinja, plain text as it is".to_owned(),
        prompt: "<user>Tea?</user>\n<assistant>".to_owned(),
        response: "Yes.</assistant>".to_owned(),
    };
    let events = [
        started(&demo::recipe(), folder.path()),
        Event::Prompts { model: "policy".to_owned(), written },
        Event::Stopped,
    ];
    let lines: Vec<String> =
        events.iter().map(|event| serde_json::to_string(event).unwrap()).collect();
    std::fs::write(folder.path().join("events.jsonl"), lines.join("\n") + "\n").unwrap();
    let mut window = open(demo());
    send(&mut window, Command::OpenRun(folder.path().to_owned()));
    until(&mut window, 10, "opening", |w| w.state().state().view.status == Status::Stopped);
    send(&mut window, Command::Show("Data"));
    assert!(shows(&window, "policy: messages by the chat template in x.jinja"));
    window.get_by_label("The first pair, for the policy").click();
    window.run_steps(20);
    assert!(shows(&window, "<user>Tea?</user>¶") && shows(&window, "Yes.</assistant>"));

    send(&mut window, Command::Show("Settings"));
    assert!(shows(&window, "Write prompts") && shows(&window, "Chat template"));
    assert!(Recipe::explain("data.chat").unwrap().contains("Human/Assistant transcript"));
}

#[test]
fn the_threshold_slider_moves_what_is_kept() {
    let mut window = with_pairs(1000);
    let kept = |w: &Window| w.state().state().pairs.weights.kept;
    let all = kept(&window);
    window.get_by_role_and_label(egui::Role::Slider, "Threshold").set_value_accesskit(0.6);
    window.run_steps(4);
    let state = window.state().state();
    assert!((state.recipe.confidence.threshold - 0.6).abs() < 1e-9);
    let expected = pairs(1000)
        .iter()
        .filter(|p| p.split == "unlabelled" && (p.margin / 2.0).tanh() >= 0.6)
        .count();
    assert_eq!(kept(&window), expected);
    assert!(expected < all);
    assert!(shows(&window, &format!("kept, {:.1} %", 100.0 * expected as f64 / 900.0)));
    // The table shows the new weights: pair 2 has d = 3.676, pair 6 d = 2.056 … all from the same weighting.
    let weights = &state.pairs.weights;
    let low = (0..1000)
        .find(|i| weights.calibrated.confidence[*i] < 0.6 && !weights.weight[*i].is_nan())
        .unwrap();
    assert_eq!(weights.weight[low], 0.0);
}

#[test]
fn a_run_started_from_the_button_ends() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().to_owned();
    let mut recipe = demo::recipe();
    recipe.name = "tiny".to_owned();
    recipe.device = "cpu".to_owned();
    recipe.data.limit = 60;
    recipe.data.max_length = 96;
    for training in
        [&mut recipe.annotator.training, &mut recipe.sft.training, &mut recipe.policy.training]
    {
        training.steps = 2;
        training.batch_size = 4;
    }
    let start = Start { recipe, ..Start::default() };
    let mut window: Window = Harness::builder()
        .with_size(vec2(1280.0, 720.0))
        .with_max_steps(32)
        .build_eframe(move |cc| App::new(cc, start).with_runs_folder(runs));
    window.get_by_label("Run").click();
    window.run_steps(2);
    assert!(window.state().state().at_work);
    assert!(window.query_by_label("Pause").is_some(), "the buttons of a run at work are there");
    until(&mut window, 240, "the end of the run", |w| !w.state().state().at_work);
    let state = window.state().state();
    assert_eq!(state.view.status, Status::Finished, "{:?}", state.view.log);
    assert!(state.view.curves.contains_key(&Stage::POLICY));
    until(&mut window, 30, "the annotated pairs", |w| !w.state().state().pairs.rows.is_empty());
    send(&mut window, Command::Show("Report"));
    assert!(shows(&window, "Right on held-out pairs"));
    assert!(std::fs::read_dir(folder.path()).unwrap().count() == 1);
}

/// A close button is answered at once where nothing is lost; else the window waits, says for what, and
/// closes when the checkpoint is whole.
#[test]
fn closing_the_window_during_a_run_waits_for_its_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().to_owned();
    let mut recipe = demo::recipe();
    recipe.device = "cpu".to_owned();
    recipe.checkpoint_seconds = 1000.0;
    recipe.annotator.training.epochs = 50.0;
    let start = Start { recipe, run: true, ..Start::default() };
    let mut window: Window = Harness::builder()
        .with_size(vec2(1280.0, 720.0))
        .with_max_steps(32)
        .build_eframe(move |cc| App::new(cc, start).with_runs_folder(runs));
    let trains = |w: &Window| {
        let steps = w.state().state().view.latest.get(&Stage::ANNOTATOR);
        steps.is_some_and(|(step, _)| *step >= 3)
    };
    until(&mut window, 120, "the third step", trains);
    let commands =
        |window: &Window| window.output().viewport_output[&egui::ViewportId::ROOT].commands.clone();
    let close = |window: &mut Window| {
        let root = window.input_mut().viewports.entry(egui::ViewportId::ROOT).or_default();
        root.events.push(egui::ViewportEvent::Close);
        window.step();
    };
    close(&mut window);
    assert!(commands(&window).contains(&egui::ViewportCommand::CancelClose));
    let (begun, mut frames, mut told) = (Instant::now(), 0, false);
    while !commands(&window).contains(&egui::ViewportCommand::Close) {
        assert!(begun.elapsed() < Duration::from_secs(60), "the window never closes");
        told |= shows(&window, "a checkpoint is written");
        frames += 1;
        std::thread::sleep(Duration::from_millis(5));
        window.step();
    }
    assert!(told || frames < 5, "it waits without a word");
    until(&mut window, 10, "the last event", |w| !w.state().state().at_work);
    let view = &window.state().state().view;
    assert_eq!(
        (view.status, view.checkpoint.map(|c| c.0)),
        (Status::Stopped, Some(Stage::ANNOTATOR))
    );

    let mut idle = open(demo());
    close(&mut idle);
    assert!(!commands(&idle).contains(&egui::ViewportCommand::CancelClose));
}

/// A template that overflows the stack: the Memory panel and a run tell of it, and the window goes on.
/// In a process of its own, since it decides for the whole process where templates are rendered.
#[test]
fn a_template_that_breaks_its_process_leaves_the_window_open() {
    const ALONE: &str = "CONFIDE_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let name = "window::a_template_that_breaks_its_process_leaves_the_window_open";
        let mut test = std::process::Command::new(std::env::current_exe().unwrap());
        let output = test.args(["--exact", name]).env(ALONE, "1").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    confide::text::isolate_in(env!("CARGO_BIN_EXE_confide").into());
    let folder = tempfile::tempdir().unwrap();
    let template = folder.path().join("own.jinja");
    let itself = "{% set n = namespace(a=1) %}{% set n.x = n %}{% set m = namespace(a=1) %}{% set m.x = m %}{{ n == m }}";
    std::fs::write(&template, itself).unwrap();
    let mut recipe = demo::recipe();
    recipe.device = "cpu".to_owned();
    recipe.data.limit = 60;
    recipe.data.chat_template = template.display().to_string();
    let (start, runs) = (Start { recipe, ..Start::default() }, folder.path().join("runs"));
    let mut window: Window = Harness::builder()
        .with_size(vec2(1280.0, 720.0))
        .with_max_steps(32)
        .build_eframe(move |cc| App::new(cc, start).with_runs_folder(runs));
    let words = format!("{}: the chat template overflowed the stack", template.display());
    send(&mut window, Command::Show("Memory"));
    until(&mut window, 30, "an estimate", |w| w.state().state().estimate.is_some());
    let estimate = window.state().state().estimate.as_ref().unwrap();
    assert!(estimate.as_ref().unwrap_err().contains(&words), "{estimate:?}");
    assert!(shows(&window, &words));
    window.get_by_label("Run").click();
    window.run_steps(2);
    until(&mut window, 60, "the end of the run", |w| !w.state().state().at_work);
    let state = window.state().state();
    assert_eq!(state.view.status, Status::Failed, "{:?}", state.view.log);
    assert!(state.log.iter().any(|entry| entry.text.contains(&words)), "{:?}", state.log);
}

#[test]
fn an_error_event_becomes_a_toast_and_a_log_line() {
    let mut window = open(demo());
    let message = "data/x.jsonl: no readable pair; expected prompt, chosen and rejected";
    window.state_mut().fold(Event::Failed { message: message.to_owned() });
    window.run_steps(2);
    assert!(
        window
            .state()
            .toasts()
            .iter()
            .any(|toast| toast.level == Level::Error && toast.text == message)
    );
    assert!(
        window
            .state()
            .state()
            .log
            .iter()
            .any(|entry| entry.level == Level::Error && entry.text == message)
    );
    assert_eq!(window.query_all_by_label(message).count(), 1, "the toast is on show");
    send(&mut window, Command::Show("Log"));
    assert_eq!(window.query_all_by_label(message).count(), 2, "and so is the line of the log");
}

#[test]
fn an_impossible_setting_is_shown_in_place_and_stops_the_button() {
    let mut recipe = demo::recipe();
    recipe.policy.beta = 0.0;
    let mut window = open(Start { recipe, ..Start::default() });
    assert_eq!(window.state().state().problem.as_ref().unwrap().key, "policy.beta");
    assert!(window.get_by_label("Run").accesskit_node().is_disabled());
    send(&mut window, Command::Show("Settings"));
    assert!(shows(&window, "policy.beta = 0; expected a number above 0"));
}

/// Every panel, in both themes and at two sizes: no missing glyph, no input without a name.
#[test]
fn every_panel_draws_empty_and_full() {
    const PANELS: [&str; 13] = [
        "Overview",
        "Data",
        "Pairs",
        "Settings",
        "Report",
        "Why",
        "Curves",
        "Numbers",
        "Device",
        "Memory",
        "Confidence",
        "Cloud",
        "Log",
    ];
    for full in [false, true] {
        let mut window = if full { with_pairs(500) } else { open(demo()) };
        if full {
            send(&mut window, Command::Select(Some(5)));
            let mut metrics = confide::run::Metrics::default();
            metrics.set("loss", 0.5);
            window.state_mut().fold(started(&demo::recipe(), Path::new("somewhere")));
            window.state_mut().fold(Event::Step { stage: Stage::POLICY, step: 1, metrics });
            window.state_mut().fold(Event::Finished { report: Box::default() });
        }
        for (theme, size) in
            [(Theme::Dark, vec2(1280.0, 720.0)), (Theme::Light, vec2(1920.0, 1080.0))]
        {
            window.ctx.set_theme(theme);
            window.set_size(size);
            for panel in PANELS {
                send(&mut window, Command::Show(panel));
                window.check_accessibility();
            }
        }
    }
}

#[test]
fn the_cloud_is_drawn_on_the_graphics_adapter() {
    if device::list().iter().all(|device| device.class == Class::Cpu) {
        eprintln!("skipped: there is no graphics adapter, not even a software one");
        return;
    }
    let start = demo();
    let mut window: Window = Harness::builder()
        .with_size(vec2(1280.0, 720.0))
        .with_max_steps(32)
        .wgpu()
        .build_eframe(move |cc| App::new(cc, start));
    let coloured = |window: &mut Window| {
        let image = window.render().unwrap();
        let right = image.enumerate_pixels().filter(|(x, y, _)| *x > 830 && *y > 480 && *y < 690);
        // Points are tinted; grid, axes and text are grey.
        right
            .filter(|(_, _, p)| {
                p.0[..3].iter().max().unwrap() - p.0[..3].iter().min().unwrap() > 40
            })
            .count()
    };
    send(&mut window, Command::Show("Cloud"));
    let before = coloured(&mut window);
    window.state_mut().show_pairs(pairs(2000));
    until(&mut window, 30, "sorting", |w| w.state().state().pairs.rows.len() == 2000);
    let after = coloured(&mut window);
    assert!(after > before + 500, "{before} coloured pixels without pairs, {after} with them");
}
