//! Nobody outside its room asks for the name of an objective, a weighting, an annotator or a stage.

use std::path::Path;

use confide::annotate::Annotator;
use confide::preference::{Objective, Scheme};
use confide::registry::{Choice, Registry};
use confide::run::Stage;

use super::sources;

/// Ways of asking whether something has a name.
fn asks(code: &str, name: &str) -> bool {
    let quoted = format!("\"{name}\"");
    let after = [" =>", " |", " if "].map(|rest| format!("{quoted}{rest}"));
    let before = ["== ", "!= ", "named(", "| "].map(|rest| format!("{rest}{quoted}"));
    after.iter().chain(&before).any(|pattern| code.contains(pattern))
}

/// Where names of a list are asked for, outside the rooms that may and those below, which know nothing of it.
fn asked<T: Registry + ?Sized>(rooms: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, code) in sources() {
        let free = |room: &&str| path.starts_with(Path::new(room));
        if rooms.iter().any(free) {
            continue;
        }
        let names = Choice::<T>::all().map(|entry| entry.name()).filter(|name| asks(&code, name));
        found.extend(names.map(|name| format!("{} asks for “{name}”", path.display())));
    }
    found
}

/// Rooms that read other people's words, where “human” is who speaks and “file” a setting of a hub.
const BELOW: [&str; 6] = ["data", "text", "hub", "builtin", "model", "kernels"];

#[test]
fn names_are_asked_for_in_their_own_rooms_alone() {
    let of = |own: &'static str| [&BELOW[..], &[own]].concat();
    assert_eq!(asked::<dyn Objective>(&of("preference/objectives")), Vec::<String>::new());
    assert_eq!(asked::<dyn Scheme>(&of("preference/weightings")), Vec::<String>::new());
    assert_eq!(asked::<dyn Annotator>(&of("annotate/annotators")), Vec::<String>::new());
    // And the test would see it.
    assert!(asks("match name { \"ipo\" => 1, _ => 2 }", "ipo"));
    assert!(asks("if objective.name() == \"dpo\" {", "dpo"));
}

#[test]
fn stages_are_told_apart_in_their_own_room_alone() {
    let constant = |name: &str| format!("Stage::{}", name.to_uppercase());
    for (path, code) in sources() {
        if path.starts_with("run/stages") {
            continue;
        }
        for stage in Stage::all() {
            let asked = code.contains(&constant(stage.name()))
                || code.contains(&format!("stage.name() == \"{}\"", stage.name()));
            assert!(!asked, "{} asks for the stage “{}”", path.display(), stage.name());
        }
    }
    let own = sources().into_iter().filter(|(path, _)| path.starts_with("run/stages"));
    let all: String = own.map(|(_, code)| code).collect();
    assert!(
        Stage::all().all(|stage| all.contains(&constant(stage.name()))),
        "the test looks for nothing"
    );
}
