//! Tokenizers and chat templates in a process of their own.
//!
//! Both are programs that came with a model. A template may compare a value that is nested in
//! itself, a normaliser may double a text sixty times, an expression may go back for ever, and the
//! library that runs them may panic or overflow its stack: fuel and caught panics hold for cases, not
//! for the class. So the whole of it happens in a child of this program ([`serve`]), which may open
//! no file and no socket where the system can forbid it, and which the parent ([`Apart`]) ends when
//! it takes more time or memory than it may; what it exceeded becomes an error, and the parent goes
//! on. Files are read by the parent: the child gets their bytes.
//!
//! What is compiled in is nobody else's program and stays in the process, as does everything where
//! [`isolate_in`] was not called: a library cannot know which program it is part of.

mod child;
mod isolation;
mod parent;
mod part;
mod system;
mod watch;
mod wire;

pub use child::serve;
pub use isolation::{COMMAND, Isolation, Limits, isolate_in};
pub(super) use parent::Apart;
pub(super) use part::Part;
