//! What the systems offer to keep a process small.

use std::process::Command;

/// Start a program so that what is typed to end its parent does not end it: it ends when the parent
/// is gone, and is asked until then.
pub(super) fn set_apart(command: &mut Command) {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    #[cfg(windows)]
    {
        const NEW_PROCESS_GROUP: u32 = 0x200;
        const NO_WINDOW: u32 = 0x0800_0000;
        std::os::windows::process::CommandExt::creation_flags(
            command,
            NEW_PROCESS_GROUP | NO_WINDOW,
        );
    }
    #[cfg(not(any(unix, windows)))]
    let _ = command;
}

/// Forbid this process what it has no need of: from here on it opens no file and no socket, writes
/// to no file and leaves no picture of its memory. The parent looks after time and memory
/// everywhere; on Linux the system also refuses what is far beyond `memory`, given that so many
/// `stacks` bytes are reserved for threads and hardly used.
#[cfg(unix)]
pub(super) fn confine(memory: u64, stacks: u64) {
    // What the system must end for lack of memory is this process, and not its parent.
    #[cfg(target_os = "linux")]
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    let most = |bytes: u64| libc::rlimit { rlim_cur: bytes as _, rlim_max: bytes as _ };
    // SAFETY: the calls read a structure that lives, and close what was opened here.
    unsafe {
        libc::setrlimit(libc::RLIMIT_CORE, &most(0));
        libc::setrlimit(libc::RLIMIT_FSIZE, &most(0));
        #[cfg(target_os = "linux")]
        libc::setrlimit(libc::RLIMIT_AS, &most(memory.saturating_add(stacks)));
        let next = libc::dup(0);
        if next >= 0 {
            libc::close(next);
            libc::setrlimit(libc::RLIMIT_NOFILE, &most(next as u64));
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (memory, stacks);
}

/// As on Unix, where the system can: here the parent alone looks after the process.
#[cfg(not(unix))]
pub(super) fn confine(_memory: u64, _stacks: u64) {}
