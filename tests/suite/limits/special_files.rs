//! Pipes and devices where files are named.

use std::ffi::CString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;

use confide::data::{ReadSettings, read_annotations, read_file};
use confide::model::{ModelFiles, load_named, read_adapter};
use confide::run::{Recipe, read_events};
use confide::text::{Chat, Encoder};

use crate::common::repository;

fn pipe(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    let _ = std::fs::remove_file(&path);
    let words = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: the words are a live C string.
    assert_eq!(unsafe { libc::mkfifo(words.as_ptr(), 0o600) }, 0);
    path
}

/// What something says, which must not wait for somebody.
fn soon<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = channel();
    std::thread::spawn(move || sender.send(work()));
    receiver.recv_timeout(Duration::from_secs(8)).expect("it waits for a pipe or reads for ever")
}

#[track_caller]
fn says<T: std::fmt::Debug, E: std::fmt::Display>(result: Result<T, E>, words: &[&str]) {
    let error = match result {
        Ok(found) => panic!("it was read: {found:?}"),
        Err(error) => error.to_string(),
    };
    for word in words {
        assert!(error.contains(word), "“{word}” is not in: {error}");
    }
}

#[test]
fn a_pipe_or_a_device_is_no_recipe() {
    let place = tempfile::tempdir().unwrap();
    let path = pipe(place.path(), "recipe.toml");
    says(soon(move || Recipe::load(&path, &[])), &["recipe.toml", "a pipe", "recipe in TOML"]);
    says(soon(|| Recipe::load("/dev/zero".as_ref(), &[])), &["/dev/zero", "a device"]);
    let long = place.path().join("long.toml");
    std::fs::write(&long, "# \n".repeat(1 << 20)).unwrap();
    says(Recipe::load(&long, &[]), &["long.toml", "more than 1 MiB"]);
}

#[test]
fn a_pipe_or_a_device_is_no_model_file() {
    let place = tempfile::tempdir().unwrap();
    let fixture = repository("tests/fixtures/models/llama-tied");
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(fixture.join(file), place.path().join(file)).unwrap();
    }
    let tokenizer = repository("fuzz/corpus/tokenizer/byte_level.json");
    for file in ["tokenizer.json", "generation_config.json", "model.safetensors"] {
        std::fs::copy(&tokenizer, place.path().join("tokenizer.json")).unwrap();
        pipe(place.path(), file);
        let folder = place.path().to_owned();
        let found = soon(move || {
            let files = ModelFiles::folder(&folder).unwrap();
            let encoder = Encoder::load(&files, &Chat::default()).map(drop);
            let model = confide::model::survey(&files).map(drop);
            [encoder.map_err(|e| e.to_string()), model.map_err(|e| e.to_string())]
        });
        let words: Vec<String> = found.into_iter().filter_map(Result::err).collect();
        assert!(words.iter().any(|w| w.contains(file) && w.contains("a pipe")), "{words:?}");
        std::fs::remove_file(place.path().join(file)).unwrap();
    }
    let weights = place.path().join("model.safetensors");
    std::os::unix::fs::symlink("/dev/zero", &weights).unwrap();
    says(soon(move || load_named(&weights)), &["a device"]);
    pipe(place.path(), "adapter_config.json");
    let folder = place.path().to_owned();
    says(soon(move || read_adapter(&folder)), &["adapter_config.json", "a pipe"]);
}

#[test]
fn a_pipe_is_no_file_of_a_run() {
    let place = tempfile::tempdir().unwrap();
    pipe(place.path(), "events.jsonl");
    let folder = place.path().to_owned();
    says(soon(move || read_events(&folder)), &["events.jsonl"]);
    let table = pipe(place.path(), "annotations.parquet");
    says(soon(move || read_annotations(&table)), &["a pipe"]);
}

#[test]
fn data_come_out_of_a_pipe_that_somebody_writes_to() {
    let place = tempfile::tempdir().unwrap();
    let path = pipe(place.path(), "pairs");
    let (other, row) = (path.clone(), "{\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\"c\"}\n");
    let writer = std::thread::spawn(move || {
        let mut file = std::fs::File::options().write(true).open(other).unwrap();
        (0..20_000).for_each(|_| file.write_all(row.as_bytes()).unwrap());
    });
    let other = path.clone();
    let read = soon(move || read_file(&other, &ReadSettings::default()));
    assert_eq!(read.unwrap().0.len(), 20_000);
    writer.join().unwrap();
    // Nobody writes any more.
    says(soon(move || read_file(&path, &ReadSettings::default())), &["an empty file"]);
    says(
        soon(|| read_file("/dev/zero".as_ref(), &ReadSettings::default())),
        &["/dev/zero", "a device"],
    );
}
