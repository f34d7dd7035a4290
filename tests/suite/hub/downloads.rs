//! Downloads that succeed, are cut, cancelled and resumed.

use std::time::{Duration, Instant};

use confide::hub::{HubError, Kind, cached, download, find};

use super::server::{Server, hash};
use super::shared::{FIRST, SECOND, bytes, file, hub, model, room, sharded};

const MEGABYTE: usize = 1 << 20;

#[test]
fn complete_download() {
    let room = room(model(MEGABYTE));
    assert!(cached(&hub("org/name"), &room.settings).is_none());
    let mut seen = Vec::new();
    let got = download(&hub("org/name"), &room.settings, &mut |p| {
        assert!(p.done_bytes <= p.total_bytes && p.all_done_bytes <= p.all_total_bytes);
        seen.push((p.file_index, p.file.to_owned(), p.files, p.all_done_bytes, p.all_total_bytes));
        true
    })
    .unwrap();
    assert_eq!((got.revision.as_str(), got.kind), (FIRST, Kind::Model));
    assert_eq!(got.pinned().to_string(), format!("org/name@{FIRST}"));
    let mut names: Vec<_> =
        std::fs::read_dir(&got.folder).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    let expected = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"];
    assert_eq!(names, expected, "neither pytorch_model.bin nor README.md is wanted");
    let weights = std::fs::read(got.folder.join("model.safetensors")).unwrap();
    assert!(weights == bytes(MEGABYTE, 1));
    assert!(seen.windows(2).all(|two| two[0].3 <= two[1].3), "progress never falls back");
    let last = seen.last().unwrap();
    assert_eq!((last.0, last.1.as_str(), last.2, last.3), (3, "model.safetensors", 4, last.4));
    assert_eq!(cached(&hub("org/name"), &room.settings).unwrap(), got);
    let pinned = cached(&got.pinned(), &room.settings).unwrap();
    assert_eq!((pinned.folder, pinned.revision), (got.folder, got.revision));
}

#[cfg(unix)]
#[test]
fn layout_is_pythons() {
    let room = room(model(1000));
    room.get("org/name").unwrap();
    let model = room.model();
    let link = model.join("snapshots").join(FIRST).join("model.safetensors");
    let blob = hash("model.safetensors", &bytes(1000, 1));
    let to = std::fs::read_link(link).unwrap();
    assert_eq!(to, std::path::Path::new("../../blobs").join(&blob));
    assert_eq!(std::fs::read_to_string(model.join("refs/main")).unwrap(), FIRST);
    let locks = room.settings.cache.join(".locks/models--org--name");
    assert!(locks.join(format!("{blob}.lock")).is_file());
    assert!(
        std::fs::read_dir(model.join("blobs")).unwrap().all(|entry| {
            !entry.unwrap().file_name().to_string_lossy().ends_with(".incomplete")
        })
    );
}

#[test]
fn second_call_fetches_nothing() {
    let room = room(model(1000));
    let first = room.get("org/name").unwrap();
    room.server.requests();
    assert_eq!(room.get("org/name").unwrap(), first);
    let requests = room.server.requests();
    assert_eq!(requests.len(), 1, "only the listing: {requests:?}");
    assert!(requests[0].path.starts_with("/api/models/org/name/revision/main"));
    // A link without its blob is fetched again, alone.
    std::fs::remove_file(std::fs::canonicalize(first.folder.join("config.json")).unwrap()).unwrap();
    assert!(cached(&hub("org/name"), &room.settings).is_none());
    room.get("org/name").unwrap();
    let paths: Vec<_> = room.server.requests().into_iter().map(|r| r.path).collect();
    assert_eq!(paths[1..], [format!("/org/name/resolve/{FIRST}/config.json")]);
    assert!(cached(&hub("org/name"), &room.settings).is_some());
}

#[test]
fn cut_connection_is_resumed() {
    let room = room(model(8 * MEGABYTE));
    room.server.state().cut = Some((3 * MEGABYTE, 2));
    let got = room.get("org/name").unwrap();
    assert!(std::fs::read(got.folder.join("model.safetensors")).unwrap() == bytes(8 * MEGABYTE, 1));
    let ranges: Vec<_> = room
        .server
        .requests()
        .into_iter()
        .filter(|request| request.path.starts_with("/cdn/"))
        .map(|request| request.range)
        .collect();
    eprintln!(
        "ranges {ranges:?}, {} bytes sent of {}",
        room.sent("model.safetensors"),
        8 * MEGABYTE
    );
    assert_eq!(ranges.len(), 3);
    assert!(room.sent("model.safetensors") <= 8 * MEGABYTE + 4096, "bytes came twice");
}

#[test]
fn lost_connection_is_resumed_by_the_next_call() {
    let room = room(model(4 * MEGABYTE));
    // The first attempt brings half of it; the following ones nothing.
    room.server.state().cut = Some((2 * MEGABYTE, 1));
    let mut stopped = false;
    let error = download(&hub("org/name"), &room.settings, &mut |p| {
        if p.done_bytes == 2 * MEGABYTE as u64 && !stopped {
            stopped = true;
            room.server.state().cut = Some((0, 99));
        }
        true
    })
    .unwrap_err();
    eprintln!("{error}");
    assert!(matches!(error, HubError::Network { .. }));
    assert!(cached(&hub("org/name"), &room.settings).is_none());
    eprintln!("{}", find(&hub("org/name"), &room.settings).unwrap_err());
    room.server.state().cut = None;
    room.server.requests();
    room.get("org/name").unwrap();
    let last = room.server.requests().pop().unwrap();
    assert_eq!(last.range, Some(2 * MEGABYTE as u64));
    assert_eq!(room.sent("model.safetensors"), 4 * MEGABYTE);
}

#[test]
fn cancelled_and_resumed() {
    let room = room(model(16 * MEGABYTE));
    let error = download(&hub("org/name"), &room.settings, &mut |p| {
        p.file != "model.safetensors" || p.done_bytes < 4 * MEGABYTE as u64
    })
    .unwrap_err();
    eprintln!("{error}");
    assert!(matches!(error, HubError::Cancelled { .. }));
    assert!(!room.model().join("refs/main").exists());
    room.server.requests();
    room.get("org/name").unwrap();
    let requests = room.server.requests();
    assert_eq!(requests.len(), 3, "listing, weights, redirect: {requests:?}");
    assert!(requests[2].range.unwrap() >= 4 * MEGABYTE as u64);
}

#[test]
fn silent_connection_can_be_left() {
    let room = room(model(4 * MEGABYTE));
    room.server.state().stall = Some(MEGABYTE);
    let mut since = None;
    let error = download(&hub("org/name"), &room.settings, &mut |p| {
        if p.done_bytes == MEGABYTE as u64 {
            since.get_or_insert_with(Instant::now).elapsed() < Duration::from_millis(300)
        } else {
            true
        }
    })
    .unwrap_err();
    let took = since.unwrap().elapsed();
    eprintln!("left after {took:?}");
    assert!(matches!(error, HubError::Cancelled { .. }) && took < Duration::from_secs(2));
}

#[test]
fn moved_branch_leaves_the_pin() {
    let room = room(model(1000));
    let first = room.get("org/name").unwrap();
    let mut files = model(1000);
    files[5] = file("model.safetensors", bytes(1200, 9));
    let before = std::mem::take(&mut room.server.state().revisions);
    room.server.state().revisions.insert("v1".to_owned(), before["main"].clone());
    room.server.publish("main", SECOND, files);
    room.server.requests();
    let second = room.get("org/name").unwrap();
    assert_eq!(second.revision, SECOND);
    let resolved = room.server.requests().iter().filter(|r| r.path.contains("/resolve/")).count();
    assert_eq!(resolved, 1, "unchanged files are linked, not fetched");
    assert_eq!(cached(&hub("org/name"), &room.settings).unwrap().revision, SECOND);
    let pinned = room.get(&first.pinned().to_string()).unwrap();
    assert_eq!((&pinned.revision, &pinned.folder), (&first.revision, &first.folder));
    assert!(!room.model().join("refs").join(FIRST).exists(), "a commit needs no ref");
    assert_eq!(std::fs::read(pinned.folder.join("model.safetensors")).unwrap(), bytes(1000, 1));
    // A tag is remembered under its own name.
    assert_eq!(room.get("org/name@v1").unwrap().revision, FIRST);
    assert_eq!(cached(&hub("org/name@v1"), &room.settings).unwrap().revision, FIRST);
}

#[test]
fn model_in_parts() {
    let room = room(sharded());
    let got = room.get("org/name").unwrap();
    let part = got.folder.join("model-00002-of-00002.safetensors");
    assert_eq!(std::fs::read(&part).unwrap(), bytes(2000, 5));
    let index = |r: &super::server::Request| r.path.ends_with("index.json");
    assert_eq!(room.server.requests().iter().filter(|r| index(r)).count(), 1);
    assert!(cached(&hub("org/name"), &room.settings).is_some());
    std::fs::remove_file(part).unwrap();
    let error = find(&hub("org/name"), &room.settings).unwrap_err().to_string();
    eprintln!("{error}");
    assert!(error.contains("no model-00002-of-00002.safetensors"));
}

#[test]
fn adapters_are_fetched_and_pickles_are_not() {
    let adapter = room(vec![
        file("adapter_config.json", "{}"),
        file("adapter_model.safetensors", bytes(500, 1)),
        file("tokenizer.json", "{}"),
    ]);
    assert_eq!(adapter.get("org/name").unwrap().kind, Kind::Adapter);
    assert_eq!(cached(&hub("org/name"), &adapter.settings).unwrap().kind, Kind::Adapter);
    for (pickled, beside) in [
        ("pytorch_model.bin", "config.json"),
        ("pytorch_model.bin.index.json", "config.json"),
        ("adapter_model.bin", "adapter_config.json"),
    ] {
        let bin = room(vec![
            file(beside, "{}"),
            file("tokenizer.json", "{}"),
            file(pickled, bytes(500, 1)),
        ]);
        let error = bin.get("org/name").unwrap_err().to_string();
        assert!(error.contains(pickled) && error.contains("org/name@refs/pr/1"), "{error}");
        assert!(cached(&hub("org/name"), &bin.settings).is_none(), "nothing was fetched");
    }
}

#[test]
fn old_mirror_and_other_host() {
    let room = room(model(MEGABYTE));
    let other = Server::start();
    other.publish("main", FIRST, model(MEGABYTE));
    room.server.state().bare_listing = true;
    room.server.state().elsewhere = Some(other.endpoint.replace("127.0.0.1", "localhost"));
    let mut settings = room.settings.clone();
    settings.token = Some("hf_secret".to_owned());
    let got = download(&hub("org/name"), &settings, &mut |_| true).unwrap();
    assert!(got.folder.join("model.safetensors").is_file());
    let requests = room.server.requests();
    assert_eq!(requests.iter().filter(|r| r.method == "HEAD").count(), 4);
    assert!(requests.iter().all(|r| r.token.as_deref() == Some("Bearer hf_secret")));
    let elsewhere = other.requests();
    assert!(!elsewhere.is_empty() && elsewhere.iter().all(|r| r.token.is_none()), "token leaked");
}

#[test]
fn bare_name_and_offline() {
    let mut room = room(model(1000));
    room.settings.offline = true;
    let error = room.get("org/name").unwrap_err();
    eprintln!("{error}");
    assert!(matches!(error, HubError::Offline { .. }));
    assert!(room.server.requests().is_empty());
    room.settings.offline = false;
    let first = room.get("gpt2").unwrap();
    assert!(first.folder.starts_with(room.settings.cache.join("models--gpt2")));
    room.settings.offline = true;
    room.server.requests();
    assert_eq!(room.get("gpt2").unwrap(), first);
    assert!(room.server.requests().is_empty());
}

#[test]
fn two_programs_at_once() {
    let room = room(model(4 * MEGABYTE));
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..3).map(|_| scope.spawn(|| room.get("org/name").unwrap())).collect();
        for run in runs {
            run.join().unwrap();
        }
    });
    assert_eq!(room.sent("model.safetensors"), 4 * MEGABYTE, "fetched once");
    assert!(room.folder.path().exists());
}
