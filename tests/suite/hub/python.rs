//! The cache shared with Python's huggingface_hub, where there is a Python that
//! has it.

use confide::hub::{cached, download};

use super::server::hash;
use super::shared::{FIRST, Room, bytes, hub, model, room};
use crate::common::printed;

/// Run a script with the room's cache and server; `None` without a Python.
fn python(room: &Room, offline: bool, script: &str) -> Option<String> {
    let mut command = crate::common::python()?;
    command
        .args(["-c", script])
        .env("HF_HUB_CACHE", &room.settings.cache)
        .env("HF_HUB_OFFLINE", if offline { "1" } else { "0" })
        .env("HF_ENDPOINT", &room.settings.endpoint)
        .env("HF_HUB_DISABLE_XET", "1")
        .env("HF_HUB_DISABLE_TELEMETRY", "1");
    Some(printed(&mut command))
}

#[test]
fn python_finds_what_was_downloaded() {
    let room = room(model(100_000));
    let got = room.get("org/name").unwrap();
    let script = "from huggingface_hub import snapshot_download, scan_cache_dir, try_to_load_from_cache\n\
        print(snapshot_download('org/name', local_files_only=True))\n\
        print(try_to_load_from_cache('org/name', 'model.safetensors'))\n\
        print(scan_cache_dir().warnings, scan_cache_dir().size_on_disk)";
    let Some(words) = python(&room, true, script) else { return };
    eprintln!("{words}");
    let lines: Vec<_> = words.lines().collect();
    assert_eq!(lines[0], got.folder.to_str().unwrap());
    assert_eq!(lines[1], got.folder.join("model.safetensors").to_str().unwrap());
    assert_eq!(lines[2], "[] 100010");
}

#[test]
fn python_completes_what_was_cancelled() {
    let room = room(model(8 << 20));
    let stopped = download(&hub("org/name"), &room.settings, &mut |p| p.done_bytes < 2 << 20);
    stopped.unwrap_err();
    room.server.requests();
    let script = "from huggingface_hub import hf_hub_download\n\
        print(hf_hub_download('org/name', 'model.safetensors'))";
    let Some(path) = python(&room, false, script) else { return };
    let ranges: Vec<_> = room.server.requests().into_iter().filter_map(|r| r.range).collect();
    eprintln!("{path}: ranges {ranges:?}");
    assert!(std::fs::read(path).unwrap() == bytes(8 << 20, 1));
    // Version 2 of huggingface_hub starts over; earlier ones go on from what there is.
    assert!(ranges.iter().all(|from| *from == 0 || *from >= 2 << 20));
    // The rest of the model is there already.
    assert_eq!(cached(&hub("org/name"), &room.settings).unwrap().revision, FIRST);
}

#[test]
fn pythons_download_is_found() {
    let room = room(model(100_000));
    let script = "from huggingface_hub import snapshot_download\n\
        print(snapshot_download('org/name', allow_patterns=['*.json', 'model.safetensors']))";
    let Some(path) = python(&room, false, script) else { return };
    let found = cached(&hub("org/name"), &room.settings).unwrap();
    assert_eq!(found.folder.to_str().unwrap(), path);
    room.server.requests();
    room.get("org/name").unwrap();
    assert_eq!(room.server.requests().len(), 1, "only the listing");
    let blob = hash("model.safetensors", &bytes(100_000, 1));
    assert!(room.model().join("blobs").join(blob).is_file());
}
