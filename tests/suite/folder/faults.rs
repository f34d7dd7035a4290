//! A disk that fails at any call, and power that is cut at any call: what comes out after a resume
//! is to the last bit what an undisturbed run makes.
//!
//! The disk is `tests/fixtures/faults/shim.c`, loaded before everything else. A few calls of each
//! kind are tried; `CONFIDE_TEST_FAULTS=all` tries each one (an hour), a number that many of a kind.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::UNIX_EPOCH;

use super::*;
use crate::common::{events, program, repository};

/// Calls of each kind that are tried where nobody asks for more.
const TRIED: usize = 4;

/// The disk that fails, compiled; `None` with a word where there is no compiler.
fn shim() -> Option<&'static Path> {
    static SHIM: OnceLock<Option<(tempfile::TempDir, PathBuf)>> = OnceLock::new();
    let made = SHIM.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shim.so");
        let source = repository("tests/fixtures/faults/shim.c");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&path)
            .arg(source)
            .args(["-ldl", "-lpthread"]);
        match cc.status() {
            Ok(status) if status.success() => Some((folder, path)),
            other => {
                eprintln!("skipped: the failing disk cannot be compiled ({other:?})");
                None
            }
        }
    });
    made.as_ref().map(|(_, path)| path.as_path())
}

/// A place for one run, with its recipe.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("recipe.toml"), tiny().to_toml()).unwrap();
        std::fs::create_dir(folder.path().join("disk")).unwrap();
        std::fs::create_dir(folder.path().join("shadow")).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self) -> PathBuf {
        self.path("disk/run")
    }

    fn begin(&self, out: &Path) -> Command {
        let mut command = program();
        command.arg("run").arg(self.path("recipe.toml")).arg("--out").arg(out);
        command
    }

    /// Run with the call of this number going wrong.
    fn with_fault(&self, shim: &Path, kind: &str, at: usize, shadow: bool) -> Output {
        let mut command = self.begin(&self.run());
        command.env("LD_PRELOAD", shim).env("FAULT_ROOT", self.path("disk"));
        command.env("FAULT_KIND", kind).env("FAULT_AT", at.to_string());
        command.env("FAULT_LOG", self.path("calls"));
        if shadow {
            command.env("FAULT_SHADOW", self.path("shadow"));
        }
        command.output().unwrap()
    }

    fn calls(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

/// Numbers from 1 to `count`, evenly, as many as are asked for.
fn numbers(count: usize, kind: usize) -> Vec<usize> {
    let wanted = match std::env::var("CONFIDE_TEST_FAULTS").ok().as_deref() {
        Some("all") => count,
        Some(number) => number.parse().unwrap(),
        None => TRIED,
    };
    let wanted = wanted.min(count).max(1);
    (0..wanted).map(|i| 1 + (i * count + kind * count / 5) / wanted % count).collect()
}

/// Go on in a folder, however little is there, to a finished run; returns whether it was resumed.
#[track_caller]
fn goes_on(place: &Place, run: &Path, what: &str) -> bool {
    let mut resume = program();
    let output = resume.arg("resume").arg(run).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        same_as_calm(run);
        return true;
    }
    if words.contains("is complete") {
        same_as_calm(run);
        return true;
    }
    // It had not begun; then it begins in the same folder.
    assert!(words.contains("there is no recipe.toml"), "{what}: {words}");
    let output = place.begin(run).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{what}: {words}");
    same_as_calm(run);
    false
}

#[test]
fn whatever_call_fails_nothing_is_lost() {
    let Some(shim) = shim() else { return };
    let place = Place::new();
    let output = place.with_fault(shim, "none", 0, false);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    same_as_calm(&place.run());
    let calls = place.calls();
    assert!(calls.len() > 200, "{} calls", calls.len());
    for kind in ["write", "fsync", "rename", "mkdir", "unlink", "open"] {
        assert!(calls.iter().any(|call| call.contains(&format!(" {kind}"))), "no {kind} is seen");
    }
    for (i, kind) in ["kill", "eio", "enospc", "short"].into_iter().enumerate() {
        for at in numbers(calls.len(), i) {
            let place = Place::new();
            let output = place.with_fault(shim, kind, at, false);
            let what = format!("{kind} at {:?}", place.calls().get(at - 1));
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!words.contains("unexpectedly"), "{what}: {words}");
            if output.status.success() {
                same_as_calm(&place.run());
            } else {
                goes_on(&place, &place.run(), &what);
            }
        }
    }
}

/// What may be on the disk after power was cut.
#[derive(Clone, Copy, Debug)]
enum Cut {
    /// Nothing that was not synced: neither bytes nor names.
    Nothing,
    /// All names, as some file systems have it, and of files what was synced.
    Names,
}

fn key(path: &Path) -> String {
    let found = std::fs::symlink_metadata(path).unwrap();
    let born = found.created().unwrap().duration_since(UNIX_EPOCH).unwrap();
    format!("{}-{}-{}", found.ino(), born.as_secs(), born.subsec_nanos())
}

/// Make the folder that a cut leaves of another.
fn rebuild(place: &Place, from: &Path, to: &Path, cut: Cut) {
    let shadow = place.path("shadow");
    let (from_key, names): (String, BTreeMap<String, (bool, String)>) = match cut {
        Cut::Names => {
            let entries = std::fs::read_dir(from).unwrap().flatten();
            let name = |e: std::fs::DirEntry| {
                let name = e.file_name().into_string().unwrap();
                (name, (e.path().is_dir(), key(&e.path())))
            };
            (String::new(), entries.map(name).collect())
        }
        Cut::Nothing => (key(from), BTreeMap::new()),
    };
    std::fs::create_dir_all(to).unwrap();
    match cut {
        Cut::Names => {
            for (name, (is_folder, key)) in names {
                if is_folder {
                    rebuild(place, &from.join(&name), &to.join(&name), cut);
                } else {
                    let kept = std::fs::read(shadow.join(format!("f-{key}"))).unwrap_or_default();
                    std::fs::write(to.join(&name), kept).unwrap();
                }
            }
        }
        Cut::Nothing => rebuild_synced(&shadow, &from_key, to),
    }
}

fn rebuild_synced(shadow: &Path, key: &str, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    let names = std::fs::read_to_string(shadow.join(format!("d-{key}"))).unwrap_or_default();
    for line in names.lines() {
        let [kind, key, name] = line.splitn(3, ' ').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        if kind == "d" {
            rebuild_synced(shadow, key, &to.join(name));
        } else {
            let kept = std::fs::read(shadow.join(format!("f-{key}"))).unwrap_or_default();
            std::fs::write(to.join(name), kept).unwrap();
        }
    }
}

/// Stages whose end was told before something else was, and checkpoints likewise: these are on the
/// disk for good.
fn promised(run: &Path) -> (Vec<String>, Option<u64>) {
    let all = events(run);
    let before_last = &all[..all.len().saturating_sub(1)];
    let ended = before_last.iter().filter(|e| e["event"] == "stage_ended");
    let ended: Vec<String> = ended.map(|e| e["stage"].as_str().unwrap().to_owned()).collect();
    let began = all.iter().rposition(|e| e["event"] == "stage_started").unwrap_or(0);
    let told = all[began..].iter().filter(|e| e["event"] == "checkpoint");
    // The newest may still be on its way; the one before is whole.
    let whole = told.rev().nth(1).and_then(|e| e["step"].as_u64());
    (ended, whole)
}

#[track_caller]
fn is_kept(disk: &Path, (ended, whole): &(Vec<String>, Option<u64>), what: &str) {
    if ended.is_empty() && whole.is_none() {
        return;
    }
    let state = json(&disk.join("state.json"));
    let done: Vec<&str> =
        state["done"].as_array().unwrap().iter().map(|d| d["stage"].as_str().unwrap()).collect();
    for stage in ended {
        assert!(done.contains(&stage.as_str()), "{what}: {stage} is lost, of {ended:?}");
    }
    if let (Some(step), Some(list)) = (whole, state["under_way"]["checkpoints"].as_array()) {
        let newest = list.last().and_then(|c| c["step"].as_u64()).unwrap_or(0);
        assert!(newest >= *step, "{what}: step {step} is lost, {newest} is kept");
    }
}

#[test]
fn power_can_be_cut_at_any_call() {
    let Some(shim) = shim() else { return };
    // To the end: a finished run is on the disk when that is told.
    let place = Place::new();
    let output = place.with_fault(shim, "none", 0, true);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let calls = place.calls().len();
    for cut in [Cut::Nothing, Cut::Names] {
        let disk = place.path(&format!("{cut:?}"));
        rebuild(&place, &place.path("disk"), &disk, cut);
        same_as_calm(&disk.join("run"));
        let last = events(&disk.join("run")).pop().unwrap();
        assert_eq!(last["event"], "finished", "{cut:?}");
    }
    for at in numbers(calls, 4) {
        let place = Place::new();
        place.with_fault(shim, "cut", at, true);
        let promise = promised(&place.run());
        for cut in [Cut::Nothing, Cut::Names] {
            let what = format!("{cut:?} at {:?}", place.calls().get(at - 1));
            let disk = place.path(&format!("{cut:?}"));
            rebuild(&place, &place.path("disk"), &disk, cut);
            let run = disk.join("run");
            if run.exists() {
                is_kept(&run, &promise, &what);
            } else {
                assert!(promise.0.is_empty(), "{what}: all is lost, of {promise:?}");
            }
            goes_on(&place, &run, &what);
        }
    }
}
