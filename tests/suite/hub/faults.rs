//! Answers that must be refused.

use std::io::Write;

use confide::hub::{HubError, cached, download};
use serde_json::json;

use super::server::hash;
use super::shared::{FIRST, Room, bytes, file, hub, model, room, sharded};

/// The error of a download, printed; the cache must not count as complete then.
fn error(room: &Room, name: &str) -> HubError {
    let error = room.get(name).unwrap_err();
    eprintln!("{error}");
    assert!(cached(&hub(name), &room.settings).is_none());
    error
}

#[test]
fn unknown_model_and_revision() {
    let room = room(model(1000));
    assert!(
        matches!(error(&room, "org/name@v9"), HubError::NotFound { what, .. } if what.contains("v9"))
    );
    room.server.state().refuse = Some(("/api/", 404, "RepoNotFound"));
    assert!(matches!(error(&room, "org/nam"), HubError::NotFound { .. }));
    room.server.state().refuse = Some(("/api/", 401, "RepoNotFound"));
    assert!(matches!(error(&room, "org/nam"), HubError::NotFound { .. }));
}

#[test]
fn gated_model() {
    let mut room = room(model(1000));
    room.server.state().refuse = Some(("/resolve/", 401, "GatedRepo"));
    let HubError::Denied { status, token, .. } = error(&room, "org/name") else { panic!() };
    assert_eq!((status, token), (401, "none is set"));
    room.settings.token = Some("hf_x".to_owned());
    room.server.state().refuse = Some(("/resolve/", 403, "GatedRepo"));
    let denied = error(&room, "org/name");
    assert!(matches!(denied, HubError::Denied { status: 403, .. }));
    let words = denied.to_string();
    assert!(words.contains("accept the licence at") && words.contains("HF_TOKEN"));
    assert!(words.contains("/org/name") && !words.contains("hf_x"));
}

#[test]
fn nobody_answers() {
    let mut room = room(model(10));
    room.settings.endpoint = "http://127.0.0.1:9".to_owned();
    assert!(matches!(error(&room, "org/name"), HubError::Network { .. }));
}

#[test]
fn certificates_that_are_none() {
    let mut room = room(model(10));
    let path = room.folder.path().join("bundle.pem");
    room.settings.certificates = Some(path.clone());
    assert!(matches!(error(&room, "org/name"), HubError::Network { .. }));
    std::fs::write(path, "no certificate").unwrap();
    assert!(error(&room, "org/name").to_string().contains("no certificate in it"));
    assert!(room.server.requests().is_empty());
}

#[test]
fn busy_hub_is_asked_again() {
    let room = room(model(1000));
    room.server.state().refuse = Some(("/resolve/", 503, ""));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(std::time::Duration::from_millis(400));
            room.server.state().refuse = None;
        });
        room.get("org/name").unwrap();
    });
}

#[test]
fn names_outside_the_cache() {
    let room = room(model(1000));
    let with = |name: &str| json!({ "sha": FIRST, "siblings": [{ "rfilename": "config.json" }, { "rfilename": name }] });
    for name in ["../x", "a/../../x", "/etc/x", "..\\x", ""] {
        room.server.state().listing = Some(with(name));
        assert!(matches!(error(&room, "org/name"), HubError::Strange { .. }), "{name}");
    }
    let sibling = |file: &str, hash: &str| json!({ "rfilename": file, "size": 4, "blobId": hash });
    let ok = "1".repeat(40);
    room.server.state().listing = Some(json!({ "sha": FIRST, "siblings": [
        sibling("config.json", "../../x"), sibling("tokenizer.json", &ok), sibling("model.safetensors", &ok)
    ] }));
    assert!(matches!(error(&room, "org/name"), HubError::Strange { .. }));
    room.server.state().listing = Some(json!({ "sha": "../../x", "siblings": [] }));
    assert!(matches!(error(&room, "org/name"), HubError::Strange { .. }));
    room.server.state().listing = Some(json!(["no hub"]));
    assert!(matches!(error(&room, "org/name"), HubError::Strange { .. }));
    assert_eq!(std::fs::read_dir(room.folder.path()).unwrap().count(), 0, "something was written");
}

#[test]
fn shards_outside_the_cache() {
    for shard in ["../x", "/etc/x", "a/b.safetensors", "..", ""] {
        let mut files = sharded();
        files[3].1 = json!({ "weight_map": { "a": shard } }).to_string().into_bytes();
        let room = room(files);
        assert!(matches!(error(&room, "org/name"), HubError::Strange { .. }), "{shard}");
        assert!(!room.server.requests().iter().any(|r| r.path.contains("..")));
    }
    let mut files = sharded();
    files.pop();
    assert!(matches!(error(&room(files), "org/name"), HubError::Incomplete { .. }));
}

#[test]
fn unusable_repositories() {
    let only = |names: &[&str]| room(names.iter().map(|name| file(name, "{}")).collect());
    for names in [
        &["model.gguf"][..],
        &["config.json", "tokenizer.json"],
        &["config.json", "model.safetensors", "tokenizer.model", "vocab.json"],
        &[],
    ] {
        let room = only(names);
        assert!(matches!(error(&room, "org/name"), HubError::Incomplete { .. }), "{names:?}");
        assert_eq!(room.server.requests().len(), 1, "no file is fetched for nothing");
    }
}

#[test]
fn wrong_length() {
    for stretch in [50, -50] {
        let room = room(model(100_000));
        room.server.state().stretch = stretch;
        assert!(matches!(error(&room, "org/name"), HubError::Damaged { .. }));
        room.server.state().stretch = 0;
        room.get("org/name").unwrap();
    }
}

#[test]
fn wrong_content() {
    let room = room(model(100_000));
    room.server.state().corrupt = true;
    assert!(matches!(error(&room, "org/name"), HubError::Damaged { .. }));
    room.server.state().corrupt = false;
    room.get("org/name").unwrap();
    assert_eq!(room.sent("model.safetensors"), 200_000, "nothing of the damaged file was kept");
}

#[test]
fn damaged_remains_are_not_trusted() {
    let blob = hash("model.safetensors", &bytes(100_000, 1));
    // What lies there: longer than the file, of other content, and whole but wrong.
    for (left, sent) in [(150_000, 100_000), (40_000, 160_000), (100_000, 100_000)] {
        let room = room(model(100_000));
        std::fs::create_dir_all(room.model().join("blobs")).unwrap();
        let path = room.model().join("blobs").join(format!("{blob}.incomplete"));
        std::fs::write(path, vec![0; left]).unwrap();
        let got = room.get("org/name").unwrap();
        assert_eq!(std::fs::read(got.folder.join("model.safetensors")).unwrap(), bytes(100_000, 1));
        assert_eq!(room.sent("model.safetensors"), sent);
    }
}

#[test]
fn second_writer_is_noticed() {
    let room = room(model(4 << 20));
    let blob = hash("model.safetensors", &bytes(4 << 20, 1));
    let path = room.model().join("blobs").join(format!("{blob}.incomplete"));
    let mut once = true;
    let result = download(&hub("org/name"), &room.settings, &mut |p| {
        if p.file == "model.safetensors" && p.done_bytes > 1 << 20 && std::mem::take(&mut once) {
            let mut other = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
            other.write_all(b"other").unwrap();
        }
        true
    });
    let error = result.unwrap_err();
    eprintln!("{error}");
    assert!(matches!(error, HubError::Busy { .. }));
    room.get("org/name").unwrap();
}

#[test]
fn ranges_may_be_ignored() {
    let room = room(model(1 << 20));
    room.server.state().ignore_range = true;
    room.server.state().cut = Some((1 << 19, 1));
    let got = room.get("org/name").unwrap();
    assert!(std::fs::read(got.folder.join("model.safetensors")).unwrap() == bytes(1 << 20, 1));
}

#[cfg(unix)]
#[test]
fn full_disk() {
    let room = room(model(10));
    let blob = |file: &str, size: u64| json!({ "rfilename": file, "size": size, "blobId": "a1" });
    room.server.state().listing = Some(json!({ "sha": FIRST, "siblings": [
        blob("config.json", 2), blob("tokenizer.json", u64::MAX), blob("model.safetensors", u64::MAX)
    ] }));
    let HubError::Disk { needed, found, .. } = error(&room, "org/name") else { panic!() };
    assert!(needed == u64::MAX && found > 0);
    assert_eq!(room.server.requests().len(), 1);
}

#[cfg(unix)]
#[test]
fn cache_that_cannot_be_written() {
    let mut room = room(model(10));
    std::fs::write(room.folder.path().join("file"), "x").unwrap();
    room.settings.cache = room.folder.path().join("file");
    assert!(matches!(error(&room, "org/name"), HubError::Io { .. }));
}
