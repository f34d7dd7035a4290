//! How the system's allocator treats the large buffers of training.

/// Keep freed memory in the process; call before other threads exist.
///
/// Training frees and asks for the same large buffers thousands of times. By default glibc
/// returns each to the system, and up to half of a run is spent on clearing fresh pages.
/// Other systems' allocators are left as they are.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const LARGE: libc::c_int = 1 << 30;
        // SAFETY: both calls only change thresholds of the allocator.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
            libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE);
        }
    }
}

/// Give freed memory back to the system; worth it where shapes change for good.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: releases only what the allocator holds as free.
    unsafe {
        libc::malloc_trim(0);
    }
}
