//! The thread that works on templates, with a stack for what nests.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::text::error::TextError;
use crate::text::guard::guarded;

/// Bytes of stack for compiling and rendering: an expression can be nested once for each byte of the
/// template, a value in itself once for a few steps, and both are walked and dropped by
/// recursion. Pages that are not touched cost nothing.
pub(in crate::text) const STACK: usize = 512 << 20;
/// The thread that renders, by which a stack that overflowed is known.
pub(in crate::text) const THREAD: &str = "chat template";

/// What stands for [`STACK`] in a process whose limits are others.
static STACK_HERE: AtomicUsize = AtomicUsize::new(STACK);

/// Render on stacks of so many bytes in this process from here on.
pub(in crate::text) fn set_stack(bytes: usize) {
    STACK_HERE.store(bytes, Ordering::Relaxed);
}

/// Do work that recurses as deep as a template nests, on a thread that has the stack for it.
pub(super) fn with_large_stack<T: Send>(
    path: &Path,
    work: impl FnOnce() -> T + Send,
) -> Result<T, TextError> {
    let ended = std::thread::scope(|scope| {
        let work = || guarded(work);
        let thread = std::thread::Builder::new()
            .name(THREAD.to_owned())
            .stack_size(STACK_HERE.load(Ordering::Relaxed));
        let thread = thread.spawn_scoped(scope, work);
        thread.map(std::thread::ScopedJoinHandle::join)
    });
    let found = match ended {
        Ok(Ok(Some(outcome))) => return Ok(outcome),
        Ok(_) => "the template breaks the program that renders it; try another data.chat_template, or data.chat = \"hh\"".to_owned(),
        Err(e) => format!("{e}; is there memory for one more thread?"),
    };
    Err(TextError::Template { path: path.to_owned(), line: 0, found })
}
