//! One fuzz target, named by `CONFIDE_FUZZ`, under libFuzzer: see `fuzz/run`.
#![no_main]
#![allow(clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod targets;

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use libfuzzer_sys::fuzz_target;

/// Bytes of memory that no input may take.
const MOST: usize = 1 << 30;

/// The system's allocator, which ends the process when an input takes too much, so that libFuzzer
/// keeps the input.
struct Counted;

static HELD: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counted = Counted;

fn take(bytes: usize) {
    if HELD.fetch_add(bytes, Ordering::Relaxed) + bytes > MOST {
        // Not by a formatted message, which would ask for memory.
        let _ = std::io::stderr().write_all(b"\nthis input takes more than 1 GiB of memory\n");
        std::process::abort();
    }
}

// SAFETY: every call is the system allocator's own; the counter is beside it.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        take(size);
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(memory, layout, size) }
    }
}

static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();

/// The target, once; libFuzzer's own hook would end the process on panics that are caught, and
/// mean an error, so it goes.
fn target() -> fn(&[u8]) {
    *TARGET.get_or_init(|| {
        std::panic::set_hook(Box::new(|_| {}));
        let name = std::env::var("CONFIDE_FUZZ").unwrap_or_default();
        let known = || targets::TARGETS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" ");
        let found = targets::TARGETS.iter().find(|(known, _)| *known == name);
        found
            .unwrap_or_else(|| {
                eprintln!("CONFIDE_FUZZ is “{name}”; expected one of {}", known());
                std::process::exit(2)
            })
            .1
    })
}

fuzz_target!(|bytes: &[u8]| {
    let target = target();
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(bytes))) {
        let words = panic.downcast_ref::<String>().map(String::as_str);
        let words = words.or_else(|| panic.downcast_ref::<&str>().copied());
        eprintln!("panic: {}", words.unwrap_or("without words"));
        std::process::abort();
    }
});
