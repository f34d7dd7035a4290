//! What a report says, once: its sections, which the terminal prints, the window draws and other
//! renderings write down.

mod section;
mod sections;
mod text;
mod words;

pub use section::{Headline, Line, Passages, Row, Section, Table};
pub use sections::{Describe, SECTIONS, sections};
pub use text::{as_text, in_full};
pub(crate) use words::count;
