//! What fuzzing found, and what it begins with, on every machine: `fuzz/run` goes on from here.

#[path = "../../fuzz/targets.rs"]
mod targets;

use std::time::{Duration, Instant};

use crate::common::repository;

/// Time for one file.
const LONGEST: Duration = Duration::from_secs(10);

#[test]
fn no_file_of_the_corpus_breaks_its_reader() {
    for (name, target) in targets::TARGETS {
        let folder = repository("fuzz/corpus").join(name);
        let files: Vec<_> = std::fs::read_dir(&folder).unwrap().flatten().collect();
        assert!(!files.is_empty(), "{name} has no corpus");
        for file in files {
            let begun = Instant::now();
            target(&std::fs::read(file.path()).unwrap());
            assert!(begun.elapsed() < LONGEST, "{} takes too long", file.path().display());
        }
    }
}
