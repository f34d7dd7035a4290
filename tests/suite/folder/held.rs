//! One process at a time works in a run folder.

use std::sync::mpsc::channel;

use super::*;

#[test]
fn a_folder_at_work_is_refused_and_can_be_read() {
    let (_folder, path) = stopped();
    let (tell, told) = channel();
    let (release, released) = channel::<()>();
    let own = path.clone();
    let first = std::thread::spawn(move || {
        let job = Job::Resume { folder: own, device: None };
        execute(job, Control::default(), &mut |event| {
            if matches!(event, Event::Started { .. }) {
                tell.send(()).unwrap();
                released.recv().unwrap();
            }
        })
        .map(drop)
        .map_err(|error| error.to_string())
    });
    told.recv().unwrap();
    let before = std::fs::read(path.join("events.jsonl")).unwrap();
    let error = resume(&path).0.unwrap_err();
    let own = format!("process {}", std::process::id());
    // Elsewhere a locked file cannot be read, and its holder stays unknown.
    assert!(error.contains("in use by") && (error.contains(&own) || cfg!(windows)), "{error}");
    assert_eq!(std::fs::read(path.join("events.jsonl")).unwrap(), before);
    assert!(read_events(&path).unwrap().len() > 20);
    release.send(()).unwrap();
    first.join().unwrap().unwrap();
    same_as_calm(&path);
}

/// The lock of a process that died is none.
#[test]
fn what_a_dead_process_left_holds_nobody_up() {
    let (_folder, path) = stopped();
    std::fs::write(path.join("lock"), "process 1 on elsewhere, since long\n").unwrap();
    resume(&path).0.unwrap();
    same_as_calm(&path);
}
