//! Chat templates: a model's own way of writing a conversation, in Jinja.
//!
//! Rendered as transformers' `apply_chat_template` renders them, but under limits: a template
//! is a program from somewhere else. It sees no file, and fuel bounds what ordinary loops take.
//! What fuel does not bound (comparing a value that is nested in itself, say) the process does in
//! which templates of strangers are rendered.

mod compiled;
mod python;
mod source;
mod stack;
mod syntax;
mod template;

pub use source::TEMPLATE_FILE;
pub(super) use source::read;
pub(super) use stack::{STACK, THREAD, set_stack};
pub use template::ChatTemplate;
