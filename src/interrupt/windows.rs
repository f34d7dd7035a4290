//! Console events, and the end of a session, which a program with windows is told by a window.
//!
//! The system ends the process when a handler returns, or when it lost patience (some seconds, where a
//! console was closed), so handlers return when nothing is at stake.

use std::io;
use std::ptr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use windows_sys::Win32::Foundation::{HWND, LPARAM, LRESULT, WPARAM};
use windows_sys::Win32::System::Console::{
    CTRL_BREAK_EVENT, CTRL_C_EVENT, CTRL_CLOSE_EVENT, SetConsoleCtrlHandler,
};
use windows_sys::Win32::System::LibraryLoader::GetModuleHandleW;
use windows_sys::Win32::System::Shutdown::ShutdownBlockReasonCreate;
use windows_sys::Win32::UI::WindowsAndMessaging::{
    CreateWindowExW, DefWindowProcW, DispatchMessageW, GetMessageW, MSG, RegisterClassW,
    WM_ENDSESSION, WM_QUERYENDSESSION, WNDCLASSW,
};
use windows_sys::core::BOOL;

use super::cause::Cause;
use super::door;

/// When the first request came.
static SINCE: Mutex<Option<Instant>> = Mutex::new(None);

/// Listen on the system's threads, and on one with a window that nobody sees.
pub(super) fn listen() -> io::Result<()> {
    // SAFETY: the handler lives as long as the process.
    if unsafe { SetConsoleCtrlHandler(Some(console), 1) } == 0 {
        return Err(io::Error::last_os_error());
    }
    std::thread::Builder::new().name("session".to_owned()).spawn(session)?;
    Ok(())
}

unsafe extern "system" fn console(event: u32) -> BOOL {
    let cause = match event {
        CTRL_C_EVENT | CTRL_BREAK_EVENT => Cause::Interrupt,
        CTRL_CLOSE_EVENT => Cause::HangUp,
        _ => Cause::Terminate,
    };
    note(cause);
    // Ctrl-C ends nothing by itself; and the next one is told only when this handler has returned.
    let waits = std::thread::Builder::new().name("interrupt".to_owned());
    if cause != Cause::Interrupt || waits.spawn(leave).is_err() {
        leave();
    }
    1
}

/// The first request, or one more.
fn note(cause: Cause) {
    let first = {
        let mut since = SINCE.lock().unwrap_or_else(PoisonError::into_inner);
        let first = *since;
        since.get_or_insert_with(Instant::now);
        first
    };
    match first {
        None => door::begin(cause),
        Some(first) if cause.hurries(first.elapsed()) => end(),
        Some(_) => {}
    }
}

/// End when nothing is at stake; the program may do so before.
fn leave() {
    door::wait(|| false);
    end();
}

fn end() -> ! {
    let code = door::requested().unwrap_or(Cause::Terminate).exit_code();
    std::process::exit(i32::from(code))
}

/// Wide text that ends with a zero.
fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

/// Waits for messages of the session; a window that only gets messages would not be told.
fn session() {
    let name = wide("confide session");
    // SAFETY: the class and its name outlive the calls, which copy them, and all other pointers may
    // be null.
    unsafe {
        let instance = GetModuleHandleW(ptr::null());
        let class = WNDCLASSW {
            style: 0,
            lpfnWndProc: Some(told),
            cbClsExtra: 0,
            cbWndExtra: 0,
            hInstance: instance,
            hIcon: ptr::null_mut(),
            hCursor: ptr::null_mut(),
            hbrBackground: ptr::null_mut(),
            lpszMenuName: ptr::null(),
            lpszClassName: name.as_ptr(),
        };
        RegisterClassW(&raw const class);
        let none = ptr::null_mut();
        let window = CreateWindowExW(
            0,
            name.as_ptr(),
            name.as_ptr(),
            0,
            0,
            0,
            0,
            0,
            none,
            none,
            instance,
            ptr::null(),
        );
        if window.is_null() {
            log::warn!("the end of the session will not be told: {}", io::Error::last_os_error());
            return;
        }
        let mut message: MSG = std::mem::zeroed();
        while GetMessageW(&raw mut message, ptr::null_mut(), 0, 0) > 0 {
            DispatchMessageW(&raw const message);
        }
    }
}

unsafe extern "system" fn told(window: HWND, message: u32, w: WPARAM, l: LPARAM) -> LRESULT {
    match message {
        WM_QUERYENDSESSION => {
            if door::at_stake() {
                let why = wide("A checkpoint of the run under way is being written.");
                // SAFETY: the window is this thread's own, and the text outlives the call.
                unsafe { ShutdownBlockReasonCreate(window, why.as_ptr()) };
            }
            1
        }
        WM_ENDSESSION if w != 0 => {
            note(Cause::Terminate);
            leave();
            0
        }
        // SAFETY: what the system passed is handed on.
        _ => unsafe { DefWindowProcW(window, message, w, l) },
    }
}
