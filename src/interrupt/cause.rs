//! Who wants the program to end, and what that means for its exit code.

use std::time::Duration;

/// Who wants the program to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Ctrl-C.
    Interrupt,
    /// The terminal is gone.
    HangUp,
    /// Another program or the system, which is shutting down, say.
    Terminate,
}

impl Cause {
    pub(super) const ALL: [Self; 3] = [Self::Interrupt, Self::HangUp, Self::Terminate];

    /// The exit code of a program that ends for it: 128 and the signal's number, as shells have it.
    pub fn exit_code(self) -> u8 {
        128 + self.number()
    }

    /// The signal's number, on all systems.
    pub(super) fn number(self) -> u8 {
        match self {
            Self::HangUp => 1,
            Self::Interrupt => 2,
            Self::Terminate => 15,
        }
    }

    /// Whether a further request for it means that somebody does not want to wait. A closed terminal
    /// is told by the kernel and again by the shell, and `timeout` and systemd tell a process and
    /// then its whole group: such echoes are no impatience.
    pub(super) fn hurries(self, since_first: Duration) -> bool {
        const ECHO: Duration = Duration::from_millis(500);
        match self {
            Self::Interrupt => true,
            Self::Terminate => since_first > ECHO,
            Self::HangUp => false,
        }
    }
}
