//! The terminal: the same events as the window, as progress bars and tables.

mod convert;
mod generate;
mod run;
mod show;

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::app::{self, WindowError};
use crate::data::{ColumnMap, Limits, Media, Pairing, ReadSettings};
use crate::demo;
use crate::hub::HubError;
use crate::interrupt::{self, Cause};
use crate::legible;
use crate::run::{FolderError, Job, RecipeError, RunError, cache_folder, new_folder};
use crate::text::ChatStyle;

const ABOUT: &str = "Align a language model with preferences that a weaker one has labelled, trusting each label by how sure it was (CW-PO, arXiv 2603.04968)";

const GUIDE: &str = "Without a command, the window opens with the built-in demonstration loaded; without a display, the demonstration runs in the terminal.

Examples:
  confide                                     open the window
  confide demo                                the whole method in a few minutes, nothing needed
  confide inspect pairs.jsonl.gz              what is in a preference file
  confide convert arena.parquet --out pairs.jsonl
                                              its pairs in the form of TRL
  confide estimate recipe.toml                what it will take of the device's memory
  confide run recipe.toml --set policy.beta=0.1
  confide resume runs/hh-20260101-120000      go on where a run was interrupted
  confide generate runs/…/policy --prompt \"Once upon a time\"

What models said of pairs is kept for later runs in the user's cache folder; the environment variable CONFIDE_CACHE names another folder, or none where it is empty.

Tokenizers and chat templates of models run in a process of their own, which may take 4 GiB and some seconds for each text; the environment variable CONFIDE_TEXT_LIMITS, a number, multiplies what they may take.

Exit codes: 0 done, 1 failed, 2 bad arguments or recipe; 130 interrupted by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP or a closed console. A run that is interrupted writes a checkpoint first; Ctrl-C or SIGTERM once more ends it at once.";

#[derive(Debug, Parser)]
#[command(name = "confide", version, about = ABOUT, after_help = GUIDE)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the built-in demonstration in the terminal, to its report
    Demo(DemoArgs),
    /// Run a recipe
    Run(RunArgs),
    /// Go on with an interrupted run
    ///
    /// Starts from the last checkpoint, after Ctrl-C, a crash or a power cut; the steps are those
    /// of a run that was never interrupted.
    Resume(ResumeArgs),
    /// Tell what is in preference files: format, pairs, bad rows
    Inspect(InspectArgs),
    /// Write the pairs of preference files in TRL's form
    ///
    /// Reads what `inspect` reads; writes prompt, chosen and rejected with label, agreement, margin
    /// and weight, as JSON lines or Parquet. Pairs without a label become two candidates where the
    /// files have no label at all.
    Convert(convert::ConvertArgs),
    /// Tell what a recipe will take of the device's memory, stage by stage
    ///
    /// Reads the data and the settings of the models, computes nothing. Where it does not fit, the
    /// smallest changes are told that would make it fit.
    Estimate(EstimateArgs),
    /// List the devices of this machine, and say which one would be used and why
    Devices(DevicesArgs),
    /// Show the report of a run
    ///
    /// Prints report.json of a finished run as a table: the data, how well the annotator agrees
    /// with humans and how sure it is, the policy's rewards on held-out pairs, device and time.
    Report(ReportArgs),
    /// Sample a response from a model
    Generate(generate::GenerateArgs),
    /// Open the window with preference files, a recipe or a run folder
    Window(WindowArgs),
    /// Make the models of the built-in demonstration again, from nothing
    Pretrain(PretrainArgs),
    /// Tokenizers and chat templates run in this command, which the others start
    #[command(name = crate::text::PROCESS_COMMAND, hide = true)]
    TextProcess,
}

/// What `demo` and `run` share.
#[derive(Debug, Args)]
struct Common {
    /// Folder of the run; must not hold one [default: runs/NAME-TIME]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Override a setting, section.key=value; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
    /// auto, cpu, gpu or gpu:N
    #[arg(long)]
    device: Option<String>,
    /// Fetch models that the recipe names and the local Hugging Face cache lacks
    #[arg(long)]
    download: bool,
    /// Print the report as JSON on stdout, and nothing else there
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct DemoArgs {
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
#[command(after_long_help = run::recipe_help())]
struct RunArgs {
    /// Recipe in TOML; `--help` lists every setting
    recipe: PathBuf,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct ResumeArgs {
    /// Folder of the run
    folder: PathBuf,
    /// Another device than before: auto, cpu, gpu or gpu:N
    #[arg(long)]
    device: Option<String>,
    /// Print the report as JSON on stdout, and nothing else there
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct InspectArgs {
    /// Preference files: JSON, JSON lines, either with gzip, CSV, Parquet
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Show the first pair as this model would read it: a folder, a hub name or builtin:strong
    #[arg(long)]
    model: Option<String>,
    /// How prompts are written for the model: auto, template, hh or plain
    #[arg(long, default_value = "auto", requires = "model")]
    chat: ChatStyle,
    /// File with a chat template, in place of the model's own
    #[arg(long, value_name = "FILE", requires = "model")]
    chat_template: Option<PathBuf>,
    /// With --model: tell how many pairs exceed so many tokens
    #[arg(long, value_name = "TOKENS", default_value_t = 512, requires = "model")]
    max_length: usize,
    #[command(flatten)]
    reading: Reading,
    /// Print counts as JSON
    #[arg(long)]
    json: bool,
}

/// How files are read.
#[derive(Debug, Args)]
struct Reading {
    /// Which columns hold what, as [data.columns] of a recipe has it:
    /// prompt=…,chosen=…,rejected=… or first=…,second=…,label=…,reading=…; paths such as
    /// answers.0.text reach into lists and objects
    #[arg(long, value_name = "KEY=COLUMN,…", default_value = "", hide_default_value = true)]
    columns: ColumnMap,
    /// Which of several rated responses make pairs: auto, best-worst, adjacent or all
    #[arg(long, default_value_t)]
    pairing: Pairing,
    /// Pictures and sounds: refuse or leave-out
    #[arg(long, default_value_t)]
    media: Media,
    /// Most rows of one file, and pairs that come of them
    #[arg(long, default_value_t = Limits::default().max_rows)]
    max_rows: usize,
    /// Most bytes of one row
    #[arg(long, default_value_t = Limits::default().max_row_bytes)]
    max_row_bytes: usize,
    /// GiB of memory that the rows of one file may take; 0 for half of what is free
    #[arg(long, default_value_t = 0.0)]
    max_memory: f64,
}

impl Reading {
    fn settings(&self) -> ReadSettings {
        let &Self { pairing, media, max_rows, max_row_bytes, max_memory, .. } = self;
        let limits = Limits { max_rows, max_row_bytes, max_memory };
        ReadSettings { pairing, media, columns: self.columns.clone(), limits }
    }
}

#[derive(Debug, Args)]
struct EstimateArgs {
    /// Recipe in TOML; without one, the built-in demonstration
    recipe: Option<PathBuf>,
    /// Override a setting, section.key=value; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
    /// Print the estimate as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct DevicesArgs {
    /// Choose as a recipe with this `device` would
    #[arg(long, default_value = "auto")]
    device: String,
    /// Print devices and choice as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ReportArgs {
    /// Folder of the run
    folder: PathBuf,
    /// Print report.json
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Default, Args)]
struct WindowArgs {
    /// Preference files, one recipe, or one run folder
    paths: Vec<PathBuf>,
    /// Press Run at once: begin a run of the recipe, or of the demonstration
    #[arg(long)]
    run: bool,
}

#[derive(Debug, Args)]
struct PretrainArgs {
    /// Folder to write `weak` and `strong` into
    out: PathBuf,
    /// Optimiser steps of each model
    #[arg(long, default_value_t = demo::PRETRAIN_STEPS)]
    steps: u64,
    /// auto, cpu, gpu or gpu:N
    #[arg(long, default_value = "auto")]
    device: String,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("expected KEY=VALUE, for instance policy.beta=0.1".to_owned()),
    }
}

/// The folder of runs that nobody names another one for.
const RUNS: &str = "runs";

/// The program's exit codes.
const DONE: u8 = 0;
const FAILED: u8 = 1;
const BAD_ARGUMENTS: u8 = 2;

/// Run the program; returns its exit code. `commit` tells of what it was built, as in “abc1234
/// 2026-01-31”, where that is known.
pub fn main(commit: Option<&str>) -> u8 {
    if let Ok(program) = own_program() {
        crate::text::isolate_in(program);
    }
    main_from(std::env::args_os(), commit)
}

/// The file of this program; on Linux by a name that holds when the file is replaced meanwhile.
fn own_program() -> std::io::Result<PathBuf> {
    const ITSELF: &str = "/proc/self/exe";
    match std::fs::exists(ITSELF) {
        Ok(true) => Ok(PathBuf::from(ITSELF)),
        _ => std::env::current_exe(),
    }
}

/// As [`main`], with these words in place of the command line's; the first is the program's name.
pub fn main_from(
    words: impl IntoIterator<Item = impl Into<std::ffi::OsString> + Clone>,
    commit: Option<&str>,
) -> u8 {
    let number = env!("CARGO_PKG_VERSION");
    let version = commit.map_or(number.to_owned(), |commit| format!("{number} ({commit})"));
    let matches = Cli::command().version(version).get_matches_from(words);
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match dispatch(cli.command) {
        Ok(code) => code,
        Err(error) => {
            tell(&format!("error: {}", causes(&error)));
            code_of(&error)
        }
    }
}

/// An error with its causes, of which most have words of their own in it already.
fn causes(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// The code of an interruption, by whom it was.
fn interrupted() -> u8 {
    interrupt::requested().unwrap_or(Cause::Interrupt).exit_code()
}

fn code_of(error: &anyhow::Error) -> u8 {
    let occupied =
        |e: &FolderError| matches!(e, FolderError::Occupied(_) | FolderError::NotEmpty { .. });
    match error.downcast_ref::<RunError>() {
        Some(RunError::Stopped | RunError::Hub(HubError::Cancelled { .. })) => interrupted(),
        Some(RunError::Recipe(_)) => BAD_ARGUMENTS,
        Some(RunError::Folder(e)) if occupied(e) => BAD_ARGUMENTS,
        Some(RunError::Device(crate::device::DeviceError::Unknown { .. })) => BAD_ARGUMENTS,
        Some(_) => FAILED,
        None if error.is::<RecipeError>() => BAD_ARGUMENTS,
        None if error.downcast_ref::<FolderError>().is_some_and(occupied) => BAD_ARGUMENTS,
        None => FAILED,
    }
}

fn dispatch(command: Option<Command>) -> anyhow::Result<u8> {
    match command {
        None => window(WindowArgs::default()),
        Some(Command::Window(args)) => window(args),
        Some(Command::Demo(args)) => demo_run(&args.common),
        Some(Command::Run(args)) => {
            let recipe = crate::run::Recipe::load(&args.recipe, &args.common.set)?;
            fresh(recipe, &args.common)
        }
        Some(Command::Resume(args)) => {
            run::run(Job::Resume { folder: args.folder, device: args.device }, args.json)
        }
        Some(Command::Inspect(args)) => show::inspect(&args),
        Some(Command::Convert(args)) => convert::convert(&args),
        Some(Command::Estimate(args)) => {
            let recipe = match &args.recipe {
                Some(path) => crate::run::Recipe::load(path, &args.set)?,
                None => demo::recipe().with(&args.set)?,
            };
            show::estimate(&recipe, args.json)
        }
        Some(Command::Devices(args)) => show::devices(&args.device, args.json),
        Some(Command::Report(args)) => show::report(&args.folder, args.json),
        Some(Command::Generate(args)) => generate::generate(&args),
        Some(Command::Pretrain(args)) => pretrain(&args),
        Some(Command::TextProcess) => Ok(crate::text::serve()),
    }
}

fn demo_run(common: &Common) -> anyhow::Result<u8> {
    let recipe = demo::recipe().with(&common.set)?;
    fresh(recipe, common)
}

fn fresh(mut recipe: crate::run::Recipe, common: &Common) -> anyhow::Result<u8> {
    if let Some(device) = &common.device {
        recipe.device.clone_from(device);
    }
    let folder = common.out.clone().unwrap_or_else(|| new_folder(RUNS.as_ref(), &recipe.name));
    let download = common.download;
    run::run(Job::Fresh { recipe: Box::new(recipe), folder, download }, common.json)
}

fn window(args: WindowArgs) -> anyhow::Result<u8> {
    if !has_display() {
        tell(
            "No display was found, so the demonstration runs here in the terminal (`confide --help` lists the commands).",
        );
        return demo_run(&Common {
            out: None,
            set: Vec::new(),
            device: None,
            download: false,
            json: false,
        });
    }
    match app::run(start_with(args)?) {
        Ok(()) => Ok(interrupt::requested().map_or(DONE, Cause::exit_code)),
        // Whoever ended the session took the window away.
        Err(WindowError::Lost(_)) if interrupt::requested().is_some() => Ok(interrupted()),
        Err(error @ WindowError::Lost(_)) => Err(error.into()),
        Err(WindowError::Closed(error)) => {
            tell(&format!(
                "The window could not be opened ({error}), so the demonstration runs here in the terminal."
            ));
            demo_run(&Common {
                out: None,
                set: Vec::new(),
                device: None,
                download: false,
                json: false,
            })
        }
    }
}

/// The demonstration's recipe, unless a recipe is among the paths; a run folder is shown, any
/// other path counts as dropped.
fn start_with(args: WindowArgs) -> anyhow::Result<app::Start> {
    let mut start = app::Start {
        recipe: demo::recipe(),
        run: args.run,
        cache: cache_folder(),
        ..app::Start::default()
    };
    for path in args.paths {
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("toml")) {
            start.recipe = crate::run::Recipe::load(&path, &[])?;
        } else if path.join("events.jsonl").is_file() {
            start.open = Some(path);
        } else {
            start.files.push(path);
        }
    }
    if start.run && (start.open.is_some() || !start.files.is_empty()) {
        anyhow::bail!(
            "--run begins a run of a recipe; expected a recipe or nothing beside it, found data or a run folder (open it without --run, or use `confide resume`)"
        );
    }
    Ok(start)
}

fn has_display() -> bool {
    if !cfg!(all(unix, not(target_os = "macos"))) {
        return true;
    }
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    set("DISPLAY") || set("WAYLAND_DISPLAY")
}

fn pretrain(args: &PretrainArgs) -> anyhow::Result<u8> {
    let choice = crate::device::find(&args.device)?;
    let device = crate::device::open(&choice.device)?;
    demo::pretrain(&args.out, args.steps, &device, &mut |line| tell(line))
        .with_context(|| format!("pretraining into {}", args.out.display()))?;
    Ok(DONE)
}

/// A message on stderr; a closed pipe is no failure.
fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{}", legible::message(line));
}

/// Lines for a person on stdout; a closed pipe is no failure.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{}", legible::lines(line));
}

/// As [`say`], a line of a table, which names and values from files could make of any length.
fn say_short(line: &str) {
    say(&legible::cut(line));
}

/// Text for another program on stdout, as it is; a closed pipe is no failure.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
