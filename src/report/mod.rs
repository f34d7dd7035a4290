//! What a report says, once: its sections, which the terminal prints, the window draws and other
//! renderings write down.

mod section;
mod sections;
mod text;
mod words;

pub use section::{Headline, Passages, Row, Section};
pub use sections::{Describe, SECTIONS, sections};
pub use text::as_text;
pub(crate) use words::count;
