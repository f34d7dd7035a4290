//! What the tests share: a model, a place to put it, a patient caller.

use confide::hub::{HubError, HubName, HubSettings, Progress, Resolved, download};
use tempfile::TempDir;

use super::server::{Files, Server};

pub(crate) const FIRST: &str = "1111111111111111111111111111111111111111";
pub(crate) const SECOND: &str = "2222222222222222222222222222222222222222";

/// A server with a model, and an empty cache.
pub(crate) struct Room {
    pub(crate) server: Server,
    pub(crate) folder: TempDir,
    pub(crate) settings: HubSettings,
}

pub(crate) fn room(files: Files) -> Room {
    let server = Server::start();
    server.publish("main", FIRST, files);
    let folder = tempfile::tempdir().unwrap();
    let settings = HubSettings {
        endpoint: server.endpoint.clone(),
        cache: folder.path().join("hub"),
        token: None,
        certificates: None,
        offline: false,
    };
    Room { server, folder, settings }
}

impl Room {
    pub(crate) fn get(&self, name: &str) -> Result<Resolved, HubError> {
        download(&hub(name), &self.settings, &mut |_: Progress<'_>| true)
    }

    pub(crate) fn sent(&self, file: &str) -> usize {
        self.server.state().sent.get(file).copied().unwrap_or(0)
    }

    /// The model's folder in the cache.
    pub(crate) fn model(&self) -> std::path::PathBuf {
        self.settings.cache.join("models--org--name")
    }
}

pub(crate) fn hub(name: &str) -> HubName {
    HubName::parse(name).unwrap()
}

/// Bytes that no part of which repeats another.
pub(crate) fn bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let step = |state: &mut u64| {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state as u8
    };
    (0..length).map(|_| step(&mut state)).collect()
}

pub(crate) fn file(name: &str, content: impl AsRef<[u8]>) -> (String, Vec<u8>) {
    (name.to_owned(), content.as_ref().to_vec())
}

/// A model with one weights file, and files that are not wanted.
pub(crate) fn model(length: usize) -> Files {
    vec![
        file(".gitattributes", "x"),
        file("README.md", "words"),
        file("config.json", "{}"),
        file("tokenizer.json", "{\"a\": 1}"),
        file("tokenizer_config.json", ""),
        file("model.safetensors", bytes(length, 1)),
        file("pytorch_model.bin", bytes(length, 2)),
        file("onnx/model.onnx", bytes(100, 3)),
    ]
}

/// A model in two parts.
pub(crate) fn sharded() -> Files {
    let names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let index = serde_json::json!({
        "weight_map": { "a": names[0], "b": names[1], "c": names[0] }
    });
    vec![
        file("config.json", "{}"),
        file("vocab.json", "{}"),
        file("merges.txt", "a b"),
        file("model.safetensors.index.json", index.to_string()),
        file(names[0], bytes(3000, 4)),
        file(names[1], bytes(2000, 5)),
    ]
}
