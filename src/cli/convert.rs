//! `convert`: what was read, in a form that other programs read.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{DONE, Reading, print, say, tell};
use crate::data::{read_files, write_pairs};

#[derive(Debug, Args)]
pub(super) struct ConvertArgs {
    /// Preference files, in any form that `inspect` reads
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// File to write, which must not be there: .jsonl or .parquet
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    reading: Reading,
    /// Print counts as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn convert(args: &ConvertArgs) -> anyhow::Result<u8> {
    let pool = read_files(&args.files, &args.reading.settings())?;
    let written = write_pairs(&args.out, &pool.pairs)?;
    let (bad, ties) = pool
        .files
        .iter()
        .fold((0, 0), |(bad, ties), file| (bad + file.bad.len(), ties + file.ties));
    for file in &pool.files {
        tell(&format!("{}: {}", file.path.display(), file.format));
        for note in &file.notes {
            tell(&format!("  note: {note}"));
        }
    }
    if args.json {
        let value = json!({"written": written, "bad_rows": bad, "ties": ties});
        print(&serde_json::to_string_pretty(&value)?);
        return Ok(DONE);
    }
    say(&format!(
        "{} pairs in {}; {bad} bad rows and {ties} ties are not among them",
        written.pairs,
        args.out.display()
    ));
    if written.left_out > 0 {
        say(&format!("{} pairs without a label are not among them either", written.left_out));
    }
    if written.made_messages {
        say("prompts of text became what a user says, as other prompts are conversations");
    }
    Ok(DONE)
}
