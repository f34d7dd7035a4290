//! `inspect`, `devices` and `report`: facts as tables or JSON.

use std::path::Path;

use anyhow::Context;
use serde_json::{Value, json};

use super::{DONE, FAILED, InspectArgs, RUNS, print, say, say_short, tell};
use crate::data::{Pair, inspect as inspect_files};
use crate::device;
use crate::report::{as_text, in_full};
use crate::run::{Recipe, Report, lengths_in};
use crate::text::{Chat, Encoder, Fit, Lengths};

/// How many bad rows of a file are listed.
const LISTED: usize = 10;

pub(super) fn inspect(args: &InspectArgs) -> anyhow::Result<u8> {
    let inspection = inspect_files(&args.files, &args.reading.settings());
    let failed = inspection.files.iter().any(|file| file.error.is_some());
    let (mut written, mut lengths, mut controls) = (None, None, None);
    if let (Some(model), Some(pair)) = (&args.model, inspection.preview.first()) {
        let template = args.chat_template.clone();
        let chat = Chat { style: args.chat, template, ..Chat::default() };
        let encoder = Encoder::load(&crate::run::find_model(model)?, &chat)?;
        if encoder.leaves_tools_out(&pair.prompt) {
            tell(
                "note: this model reads nothing of the prompts' tools: its chat template does not ask for them, or it has none",
            );
        }
        let sequence = encoder.sequence(&pair.prompt, &pair.responses[0])?;
        if encoder.is_endless(&sequence.response) {
            let why = encoder.why_endless();
            tell(&format!("warning: no end token follows the response: {why}"));
        }
        written = Some(crate::run::written(&encoder, pair)?);
        let pool = crate::data::read_files(&args.files, &args.reading.settings())?;
        lengths = Some(lengths_of(&encoder, &pool.pairs, args.max_length)?);
        controls = Some(encoder.controls_in(&pool.pairs));
    }
    if args.json {
        let mut value = serde_json::to_value(&inspection)?;
        if let (Some(written), Some(lengths)) = (&written, &lengths) {
            value["prompts"] = json!(written);
            value["lengths"] = json!(lengths);
            value["control_tokens"] = json!(controls);
        }
        print(&serde_json::to_string_pretty(&value)?);
        return Ok(if failed { FAILED } else { DONE });
    }
    for file in &inspection.files {
        say(&file.path.display().to_string());
        if let Some(error) = &file.error {
            tell(&format!("  error: {error}"));
            continue;
        }
        say_short(&format!("  format      {}", file.format));
        say(&format!("  pairs       {} ({} without a human label)", file.pairs, file.unlabelled));
        say(&format!("  duplicates  {}   ties dropped  {}", file.duplicates, file.ties));
        for note in &file.notes {
            say_short(&format!("  note        {note}"));
        }
        if !file.unread.is_empty() {
            say_short(&format!("  not read    {}", file.unread.join(", ")));
        }
        say(&format!("  bad rows    {}", file.bad.len()));
        for row in file.bad.iter().take(LISTED) {
            say_short(&format!("    line {:<6} {}: {}", row.line, row.reason, row.detail));
        }
        if file.bad.len() > LISTED {
            say(&format!("    … and {} more", file.bad.len() - LISTED));
        }
    }
    if let Some(lengths) = lengths {
        say(&format!("as annotator's pairs, {}", lengths[0]));
        say(&format!("as a policy's, cut at their ends, {}", lengths[1]));
    }
    if let Some(found) = controls.filter(|found| found.pairs > 0) {
        say(&found.to_string());
    }
    if let Some(written) = written {
        say(&format!("prompts are written so: {}", written.style));
        say(&format!("prompt of the first pair\n{}", indented(&written.prompt)));
        say(&format!("first response, through its end\n{}", indented(&written.response)));
    }
    Ok(if failed { FAILED } else { DONE })
}

/// What the limit on lengths loses for an annotator, which must see whole pairs, and for a policy.
fn lengths_of(
    encoder: &Encoder,
    pairs: &[Pair],
    max_length: usize,
) -> anyhow::Result<[Lengths; 2]> {
    let all: Vec<usize> = (0..pairs.len()).collect();
    let lengths = |fit| lengths_in(encoder, pairs, &all, fit, max_length);
    Ok([lengths(Fit::Whole)?, lengths(Fit::Start)?])
}

/// Lines behind a bar, so that white space at both ends shows.
fn indented(text: &str) -> String {
    text.split('\n').map(|line| format!("  │{line}│")).collect::<Vec<_>>().join("\n")
}

pub(super) fn devices(request: &str, as_json: bool) -> anyhow::Result<u8> {
    let list = device::list();
    let choice = device::choose(request, &list).map_err(crate::run::RunError::from)?;
    if as_json {
        let with_facts = |candidate: &device::Candidate| {
            let mut value = json!(candidate);
            value["memory"] = json!(candidate.memory());
            value["limits"] = json!(candidate.limits());
            value
        };
        let devices: Vec<Value> = list.iter().map(with_facts).collect();
        let value = json!({"devices": devices, "chosen": choice.device.id, "why": choice.why});
        print(&serde_json::to_string_pretty(&value)?);
        return Ok(DONE);
    }
    for candidate in &list {
        let mark = if candidate.id == choice.device.id { "→" } else { " " };
        say(&format!("{mark} {:<7} {}  {}", candidate.id, candidate.describe(), candidate.driver));
    }
    say(&format!("{} would be used: {}.", choice.device.id, choice.why));
    Ok(DONE)
}

/// What a recipe takes; fails where it does not fit.
pub(super) fn estimate(recipe: &Recipe, as_json: bool) -> anyhow::Result<u8> {
    let estimate = crate::run::estimate(recipe, RUNS.as_ref())?;
    let fits = [estimate.fits(), estimate.disk.fits()];
    let code = if fits.contains(&Some(false)) { FAILED } else { DONE };
    if as_json {
        let mut value = serde_json::to_value(&estimate)?;
        value["total"] = json!(estimate.total());
        value["fits"] = json!(estimate.fits());
        print(&serde_json::to_string_pretty(&value)?);
        return Ok(code);
    }
    say(&format!("device     {}", estimate.device));
    say(&match estimate.memory {
        Some(memory) => format!("memory     {} ({})", gib(memory.bytes), memory.source),
        None => "memory     unknown: nobody tells; set device_memory in the recipe to what it has"
            .to_owned(),
    });
    for (model, lengths) in &estimate.lengths {
        say(&format!("lengths    for the {model}, {lengths}"));
    }
    say(&format!("process    {} beside the stages (program and data)", gib(estimate.process)));
    say(&format!(
        "{:<11}{:>10}{:>11}{:>11}{:>13}{:>11}  computed",
        "stage", "weights", "gradients", "optimiser", "activations", "together"
    ));
    for stage in &estimate.stages {
        let needs = &stage.needs;
        let layers = if stage.plan.recompute { ", layers recomputed" } else { "" };
        say(&format!(
            "{:<11}{:>10}{:>11}{:>11}{:>13}{:>11}  {} at once{layers}",
            stage.stage.name(),
            gib(needs.weights),
            gib(needs.gradients),
            gib(needs.optimiser),
            gib(needs.activations),
            gib(needs.total()),
            stage.plan.micro_batch.max(1),
        ));
    }
    for warning in &estimate.warnings {
        tell(&format!("warning: {warning}"));
    }
    let verdict = match estimate.fits() {
        Some(true) => "it fits",
        Some(false) => "it does not fit",
        None => "whether it fits is unknown",
    };
    say(&format!("At its peak the run takes about {}: {verdict}.", gib(estimate.total())));
    let free = estimate.disk.free.map_or("unknown".to_owned(), gib);
    let verdict = match estimate.disk.fits() {
        Some(false) => {
            "; it does not fit: free some, or choose a folder on another disk with --out"
        }
        _ => "",
    };
    say(&format!(
        "On the disk it takes up to {}, and {free} are free{verdict}.",
        gib(estimate.disk.needed)
    ));
    if estimate.fits() == Some(false) && estimate.advice.is_empty() {
        say("No change of precision, adapter or length makes it fit: use smaller models.");
    }
    for advice in &estimate.advice {
        let settings: Vec<String> =
            advice.settings.iter().map(|(key, value)| format!("--set {key}={value}")).collect();
        say(&format!("It would fit with {}: {}.", settings.join(" "), gib(advice.total)));
    }
    Ok(code)
}

fn gib(bytes: u64) -> String {
    format!("{:.2} GiB", bytes as f64 / f64::from(1 << 30))
}

pub(super) fn report(folder: &Path, as_json: bool) -> anyhow::Result<u8> {
    let path = folder.join("report.json");
    let text = crate::input::read_text(&path, crate::input::RUN).with_context(|| {
        format!(
            "{}: expected a finished run (a stopped one goes on with `confide resume {}`)",
            path.display(),
            folder.display()
        )
    })?;
    let report: Report =
        serde_json::from_str(&text).with_context(|| format!("{}", path.display()))?;
    if as_json {
        print(&text);
    } else {
        say(&in_full(&report, &path.display().to_string()));
    }
    Ok(DONE)
}

/// What a person wants to know of a report first.
pub(super) fn report_text(report: &Report, folder: &Path) -> String {
    as_text(report, &folder.join("report.json").display().to_string())
}
