//! What is done with bytes in place of each file that the program reads. A target panics where
//! something is wrong; an error is what most bytes deserve.
//!
//! `fuzz/main.rs` runs them under libFuzzer, `tests/suite/corpus.rs` over the corpus alone.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use confide::data::{ColumnMap, Media, Message, Pairing, Prompt, ReadSettings, Role};
use confide::hub::{HubName, HubSettings};
use confide::model::{ModelFiles, base_of, load, read_adapter, survey};
use confide::run::{Event, Recipe, Report, RunView, read_events};
use confide::text::{Chat, ChatStyle, Encoder};
use sha2::{Digest, Sha256};

/// What is done with any bytes.
pub(crate) type Target = fn(&[u8]);

/// Name and function of every target.
pub(crate) const TARGETS: &[(&str, Target)] = &[
    ("recipe", recipe),
    ("jsonl", data),
    ("json", data),
    ("csv", data),
    ("gzip", data),
    ("parquet", data),
    ("config", |bytes| model(bytes, "config.json")),
    ("generation_config", |bytes| model(bytes, "generation_config.json")),
    ("safetensors", |bytes| model(bytes, "model.safetensors")),
    ("index", index),
    ("adapter_config", |bytes| adapter(bytes, "adapter_config.json")),
    ("adapter_weights", |bytes| adapter(bytes, "adapter_model.safetensors")),
    ("tokenizer", |bytes| words(bytes, "tokenizer.json", "added")),
    ("tokenizer_config", |bytes| words(bytes, "tokenizer_config.json", "added")),
    ("vocab", |bytes| words(bytes, "vocab.json", "parts")),
    ("merges", |bytes| words(bytes, "merges.txt", "parts")),
    ("added_tokens", |bytes| words(bytes, "added_tokens.json", "parts")),
    ("special_tokens_map", |bytes| words(bytes, "special_tokens_map.json", "parts")),
    ("template", |bytes| words(bytes, "chat_template.jinja", "added")),
    ("events", events),
    ("state", state),
    ("report", report),
    ("annotations", annotations),
    ("passes", passes),
    ("hub_ref", hub_ref),
    ("hub_index", hub_index),
];

fn fixture(path: &str) -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR");
    let here = here.map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    let root = if here.ends_with("fuzz") { here.join("..") } else { here };
    root.join(path)
}

/// A folder of this thread's, in memory where the system has a folder for that.
fn folder() -> tempfile::TempDir {
    let shared = Path::new("/dev/shm");
    let made = if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() };
    made.expect("a temporary folder")
}

fn write(path: &Path, bytes: &[u8]) {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).expect("a folder");
    }
    std::fs::write(path, bytes).expect("a file");
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a fixture") {
        let entry = entry.expect("an entry");
        if entry.path().is_file() && entry.file_name() != "expected.json" {
            write(&to.join(entry.file_name()), &std::fs::read(entry.path()).expect("a file"));
        }
    }
}

/// Do something in a folder that is made once in each thread.
macro_rules! here {
    ($make:expr, $work:expr) => {{
        thread_local!(static PLACE: OnceCell<tempfile::TempDir> = const { OnceCell::new() });
        PLACE.with(|place| {
            let place = place.get_or_init(|| {
                let place = folder();
                $make(place.path());
                place
            });
            $work(place.path())
        })
    }};
}

fn recipe(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(recipe) = Recipe::parse(text, Path::new("recipe.toml"), &[]) else { return };
    let _ = recipe.check("recipe.toml");
    let written = recipe.to_toml();
    let again = Recipe::parse(&written, Path::new("again.toml"), &[]);
    let again = again.unwrap_or_else(|error| panic!("a written recipe is not read: {error}"));
    assert_eq!(again.to_toml(), written);
}

fn data(bytes: &[u8]) {
    here!(|_: &Path| {}, |place: &Path| {
        let path = place.join("data");
        write(&path, bytes);
        let columns = "prompt=p,first=a.0,second=a.1,label=l".parse::<ColumnMap>();
        let settings = match bytes.len() % 4 {
            0 => ReadSettings { pairing: Pairing::All, ..ReadSettings::default() },
            1 => ReadSettings { media: Media::LeaveOut, ..ReadSettings::default() },
            2 => ReadSettings { columns: columns.unwrap_or_default(), ..ReadSettings::default() },
            _ => ReadSettings::default(),
        };
        let found = confide::data::inspect(&[path], &settings);
        for pair in &found.preview {
            let _ = (pair.prompt.key(), pair.prompt.display());
        }
    });
}

/// One file of a model, beside the others of a sound one.
fn model(bytes: &[u8], file: &str) {
    here!(
        |place: &Path| copy(&fixture("tests/fixtures/models/llama-tied"), &place.join("model")),
        |place: &Path| {
            let place = place.join("model");
            let kept = std::fs::read(place.join(file)).ok();
            write(&place.join(file), bytes);
            use_model(&place);
            match kept {
                Some(kept) => write(&place.join(file), &kept),
                None => drop(std::fs::remove_file(place.join(file))),
            }
        }
    );
}

fn use_model(folder: &Path) {
    let Ok(files) = ModelFiles::folder(folder) else { return };
    let _ = files.special_tokens();
    let _ = survey(&files);
    let _ = load(&files, &Device::flex());
}

fn index(bytes: &[u8]) {
    here!(
        |place: &Path| copy(&fixture("tests/fixtures/models/llama-sharded"), place),
        |place: &Path| {
            write(&place.join("model.safetensors.index.json"), bytes);
            use_model(place);
        }
    );
}

/// One file of an adapter, beside its other one and its base.
fn adapter(bytes: &[u8], file: &str) {
    let make = |place: &Path| {
        copy(&fixture("tests/fixtures/models/qwen2"), &place.join("base"));
        copy(&fixture("tests/fixtures/adapters/qwen2-pattern"), &place.join("adapter"));
    };
    here!(make, |place: &Path| {
        let (base, adapter) = (place.join("base"), place.join("adapter"));
        copy(&fixture("tests/fixtures/adapters/qwen2-pattern"), &adapter);
        write(&adapter.join(file), bytes);
        let _ = (base_of(&adapter), read_adapter(&adapter));
        let Ok(base) = ModelFiles::folder(&base) else { return };
        let _ = load(&ModelFiles::adapted(&adapter, base), &Device::flex());
    });
}

/// One of the files that make text into tokens.
fn words(bytes: &[u8], file: &str, kind: &str) {
    let make = |place: &Path| {
        for kind in ["added", "parts"] {
            let place = place.join(kind);
            copy(&fixture("tests/fixtures/tokenizers/added"), &place);
            let unwanted = if kind == "added" { "vocab.json" } else { "tokenizer.json" };
            write(
                &place.join("tokenizer.json"),
                &std::fs::read(fixture("fuzz/corpus/tokenizer/byte_level.json")).expect("a seed"),
            );
            drop(std::fs::remove_file(place.join(unwanted)));
        }
    };
    here!(make, |place: &Path| {
        let place = place.join(kind);
        let kept = std::fs::read(place.join(file)).ok();
        write(&place.join(file), bytes);
        if let Ok(files) = ModelFiles::folder(&place) {
            for style in [ChatStyle::Auto, ChatStyle::Template] {
                let chat = Chat { style, ..Chat::default() };
                Encoder::load(&files, &chat).iter().for_each(use_encoder);
            }
        }
        match kept {
            Some(kept) => write(&place.join(file), &kept),
            None => drop(std::fs::remove_file(place.join(file))),
        }
    });
}

fn use_encoder(encoder: &Encoder) {
    let turn = |role, content: &str| Message::new(role, content);
    let talk = vec![
        turn(Role::System, "Be brief."),
        turn(Role::User, "Once upon"),
        turn(Role::Assistant, "a time 7! <|endoftext|>"),
        turn(Role::User, "\u{1F600} and\n\n then\u{0301}?"),
    ];
    for prompt in [Prompt::Messages(talk), Prompt::Text("Hello, ".to_owned())] {
        if let Ok(sequence) = encoder.sequence(&prompt, "yes <x> a  b\n") {
            let _ = encoder.tokenizer.decode_after(&sequence.prompt, &sequence.response);
        }
    }
    let _ = (encoder.stop(), encoder.describe(), encoder.tokenizer.beyond());
}

fn events(bytes: &[u8]) {
    here!(|_: &Path| {}, |place: &Path| {
        write(&place.join("events.jsonl"), bytes);
        if let Ok(events) = read_events(place) {
            let _ = RunView::replay(events);
        }
    });
}

fn state(bytes: &[u8]) {
    here!(|_: &Path| {}, |place: &Path| {
        write(&place.join("recipe.toml"), b"[data]\nfiles = ['builtin:demo']\n");
        write(&place.join("state.json"), bytes);
        write(&place.join("events.jsonl"), b"");
        let _ = confide::run::can_resume(place);
    });
}

fn report(bytes: &[u8]) {
    let Ok(report) = serde_json::from_slice::<Report>(bytes) else { return };
    let mut view = RunView::default();
    view.apply(Event::Finished { report: Box::new(report) });
}

fn annotations(bytes: &[u8]) {
    here!(|_: &Path| {}, |place: &Path| {
        let path = place.join("annotations.parquet");
        write(&path, bytes);
        let _ = confide::data::read_annotations(&path);
    });
}

fn passes(bytes: &[u8]) {
    here!(|_: &Path| {}, |place: &Path| {
        let path = place.join("x.passes");
        write(&path, bytes);
        let _ = confide::run::check_cache(&path);
        // The digest at its end hides all that is behind it.
        write(&path, &[bytes, &Sha256::digest(bytes)[..]].concat());
        let _ = confide::run::check_cache(&path);
    });
}

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn hub(place: &Path) {
    let name: Option<HubName> = HubName::parse("org/name");
    let settings = HubSettings::from_variables(&|_| None, None);
    let settings = HubSettings { cache: place.to_owned(), ..settings };
    let _ = name.map(|name| confide::hub::find(&name, &settings));
    let _ = confide::hub::list(&settings);
}

fn hub_ref(bytes: &[u8]) {
    let make = |place: &Path| {
        copy(
            &fixture("tests/fixtures/models/llama-tied"),
            &place.join("models--org--name/snapshots").join(COMMIT),
        );
    };
    here!(make, |place: &Path| {
        write(&place.join("models--org--name/refs/main"), bytes);
        hub(place);
    });
}

fn hub_index(bytes: &[u8]) {
    here!(|_: &Path| {}, |place: &Path| {
        let snapshot = place.join("models--org--name/snapshots").join(COMMIT);
        write(&place.join("models--org--name/refs/main"), COMMIT.as_bytes());
        for file in ["config.json", "tokenizer.json"] {
            write(&snapshot.join(file), b"{}");
        }
        write(&snapshot.join("model.safetensors.index.json"), bytes);
        hub(place);
    });
}
