//! A program that is told to end: by signals, by a terminal that closes, by a window's close button.

use std::ffi::CStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use libc::{SIGHUP, SIGINT, SIGTERM};
use serde_json::Value;

use crate::common::{events, program, small_demo, trace};

/// A demonstration of a few seconds that writes no checkpoint by itself.
fn demo(out: &Path) -> Command {
    let mut command = small_demo(out);
    command.args(["--set", "checkpoint_seconds=1000"]).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn resume(out: &Path) -> Command {
    let mut command = program();
    command.arg("resume").arg(out).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn tell(child: &Child, signal: i32) {
    let id = i32::try_from(child.id()).unwrap();
    // SAFETY: the child is this test's own, and not waited for yet.
    assert_eq!(unsafe { libc::kill(id, signal) }, 0);
}

/// Wait until the run tells what is looked for.
#[track_caller]
fn reach(child: &mut Child, out: &Path, moment: impl Fn(&Value) -> bool) {
    let begun = Instant::now();
    while !events(out).iter().any(&moment) {
        assert!(begun.elapsed() < Duration::from_secs(180), "the moment never came");
        assert!(child.try_wait().unwrap().is_none(), "the run ended before the moment");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn step(stage: &'static str, step: u64) -> impl Fn(&Value) -> bool {
    move |e| e["event"] == "step" && e["stage"] == stage && e["step"] == step
}

/// The stage of the last checkpoint that the run told of, if its files are there.
fn checkpoint(out: &Path) -> Option<String> {
    let events = events(out);
    let told = events.iter().rev().find(|e| e["event"] == "checkpoint")?;
    let mut folders = std::fs::read_dir(out.join("checkpoints")).into_iter().flatten();
    let weights = |folder: std::io::Result<std::fs::DirEntry>| {
        folder.unwrap().path().join("model.safetensors").is_file()
    };
    // One of a stage that ended is gone.
    let there = folders.any(weights);
    there.then(|| told["stage"].as_str().unwrap().to_owned())
}

/// With signals as they are by themselves, should whoever runs the tests ignore them: `nohup` does, and shells do
/// for what they run in the background.
fn hearing(command: &mut Command) -> &mut Command {
    // SAFETY: `signal` may be called between fork and exec.
    unsafe {
        command.pre_exec(|| {
            libc::signal(SIGHUP, libc::SIG_DFL);
            libc::signal(SIGINT, libc::SIG_DFL);
            Ok(())
        })
    }
}

fn last_event(out: &Path) -> String {
    events(out).last().unwrap()["event"].as_str().unwrap().to_owned()
}

#[test]
fn a_run_that_is_told_to_end_goes_on_later_as_if_nothing_had_happened() {
    let folder = tempfile::tempdir().unwrap();
    // What was told to ignore a closed terminal, as by `nohup`, does.
    let calm = folder.path().join("calm");
    let mut command = demo(&calm);
    // SAFETY: `signal` may be called between fork and exec.
    unsafe {
        command.pre_exec(|| {
            libc::signal(SIGHUP, libc::SIG_IGN);
            Ok(())
        });
    }
    let mut child = command.spawn().unwrap();
    reach(&mut child, &calm, step("annotator", 4));
    tell(&child, SIGHUP);
    assert!(child.wait().unwrap().success());

    let told = folder.path().join("told");
    let end = |mut command: Command, moment: &dyn Fn(&Value) -> bool, signal: i32| {
        let mut child = hearing(&mut command).spawn().unwrap();
        reach(&mut child, &told, moment);
        tell(&child, signal);
        assert_eq!(child.wait().unwrap().code(), Some(128 + signal));
        assert_eq!(last_event(&told), "stopped");
        checkpoint(&told)
    };
    let stage = end(demo(&told), &step("annotator", 4), SIGTERM);
    assert_eq!(stage.as_deref(), Some("annotator"));
    let scoring = |e: &Value| e["event"] == "stage_started" && e["stage"] == "confidence";
    end(resume(&told), &scoring, SIGHUP);
    let stage = end(resume(&told), &step("policy", 3), SIGINT);
    assert_eq!(stage.as_deref(), Some("policy"));
    assert!(resume(&told).status().unwrap().success());
    assert_eq!(trace(&told), trace(&calm));
}

/// The kernel tells the session's leader, and nothing can be written to the terminal any more.
#[test]
fn a_closed_terminal_ends_a_run_with_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    // Opened so that no child inherits it: the terminal closes when this test lets go of it.
    let master = File::options().read(true).write(true).open("/dev/ptmx").unwrap();
    let number = master.as_raw_fd();
    // SAFETY: the file is open, and the name is copied before another call could replace it.
    let name = unsafe {
        assert_eq!((libc::grantpt(number), libc::unlockpt(number)), (0, 0));
        CStr::from_ptr(libc::ptsname(number)).to_str().unwrap().to_owned()
    };
    let mut slave = File::options();
    let slave = slave.read(true).write(true).custom_flags(libc::O_NOCTTY).open(name).unwrap();
    let mut command = demo(&out);
    let copy = || slave.try_clone().unwrap();
    command.stdin(copy()).stdout(copy()).stderr(copy());
    // SAFETY: both calls may be made between fork and exec.
    unsafe {
        command.pre_exec(|| {
            libc::setsid();
            libc::ioctl(0, libc::TIOCSCTTY, 0);
            Ok(())
        });
    }
    let mut child = hearing(&mut command).spawn().unwrap();
    drop((command, slave));
    // What nobody reads would fill the terminal, and the run would wait for it.
    // SAFETY: only changes how the file is read.
    unsafe { libc::fcntl(master.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
    let moment = step("annotator", 4);
    reach(&mut child, &out, |event| {
        while (&master).read(&mut [0; 4096]).is_ok_and(|count| count > 0) {}
        moment(event)
    });
    drop(master);
    assert_eq!(child.wait().unwrap().code(), Some(128 + SIGHUP));
    assert_eq!((last_event(&out), checkpoint(&out)), ("stopped".into(), Some("annotator".into())));
}

#[test]
fn a_second_request_does_not_wait_for_the_step() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let mut command = demo(&out);
    // One step of some seconds.
    for set in ["annotator.model=builtin:strong", "annotator.batch_size=400", "data.limit=1500"] {
        command.args(["--set", set]);
    }
    let mut child = hearing(&mut command).stderr(Stdio::piped()).spawn().unwrap();
    let planned = |e: &Value| e["event"] == "planned" && e["stage"] == "annotator";
    reach(&mut child, &out, planned);
    tell(&child, SIGINT);
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let heard = lines.map_while(Result::ok).any(|line| line.contains("Ctrl-C again"));
    assert!(heard);
    tell(&child, SIGINT);
    assert_eq!(child.wait().unwrap().code(), Some(128 + SIGINT));
    assert_ne!(last_event(&out), "stopped");
    assert_eq!(checkpoint(&out), None);
}

/// There is nothing to lose yet, and no step to wait for.
#[test]
fn a_program_that_waits_for_the_hub_ends_soon() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = folder.path().join("r.toml");
    let text = "device = 'cpu'\ndata = { files = ['builtin:demo'] }\nannotator = { kind = 'human' }\npolicy = { model = 'nobody/nothing' }";
    std::fs::write(&recipe, text).unwrap();
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = program();
    command.arg("run").arg(&recipe).arg("--download").arg("--out").arg(folder.path().join("run"));
    command
        .env("HF_HOME", folder.path())
        .env("HF_ENDPOINT", format!("http://{}", mute.local_addr().unwrap()));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let _asked = mute.accept().unwrap();
    let begun = Instant::now();
    tell(&child, SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(128 + SIGTERM));
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

/// A display of its own, where there is a server for it and something that draws.
struct Display {
    server: Child,
    name: String,
}

impl Display {
    fn open() -> Option<Self> {
        if confide::device::list().iter().all(|d| d.class == confide::device::Class::Cpu) {
            eprintln!("skipped: there is no graphics adapter, not even a software one");
            return None;
        }
        let mut command = Command::new("Xvfb");
        command.args(["-displayfd", "1", "-screen", "0", "1280x720x24", "-nolisten", "tcp"]);
        let Ok(mut server) = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn() else {
            eprintln!("skipped: there is no Xvfb");
            return None;
        };
        let mut number = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut number).unwrap();
        Some(Self { server, name: format!(":{}", number.trim()) })
    }

    /// A window with a run under way, and the run's folder.
    fn window(&self, folder: &Path) -> (Child, std::path::PathBuf) {
        let mut recipe = confide::demo::recipe();
        recipe.checkpoint_seconds = 1000.0;
        recipe.device = "cpu".to_owned();
        recipe.annotator.training.epochs = 50.0;
        std::fs::write(folder.join("r.toml"), recipe.to_toml()).unwrap();
        let mut command = program();
        command.args(["window", "--run", "r.toml"]).current_dir(folder);
        command.env("DISPLAY", &self.name).env_remove("WAYLAND_DISPLAY").env("HOME", folder);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        let out = loop {
            let mut runs = std::fs::read_dir(folder.join("runs")).into_iter().flatten();
            if let Some(run) = runs.next() {
                break run.unwrap().path();
            }
            assert!(begun.elapsed() < Duration::from_secs(120), "no run began");
            assert!(child.try_wait().unwrap().is_none(), "the window closed by itself");
            std::thread::sleep(Duration::from_millis(20));
        };
        reach(&mut child, &out, step("annotator", 4));
        (child, out)
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[test]
fn a_window_that_is_told_to_end_leaves_a_checkpoint() {
    let Some(display) = Display::open() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (mut child, out) = display.window(folder.path());
    tell(&child, SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(128 + SIGTERM));
    assert_eq!((last_event(&out), checkpoint(&out)), ("stopped".into(), Some("annotator".into())));
}

/// As at the end of a session.
#[test]
fn a_window_whose_display_goes_away_leaves_a_checkpoint() {
    let Some(mut display) = Display::open() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (mut child, out) = display.window(folder.path());
    display.server.kill().unwrap();
    assert!(!child.wait().unwrap().success());
    assert_eq!((last_event(&out), checkpoint(&out)), ("stopped".into(), Some("annotator".into())));
}
