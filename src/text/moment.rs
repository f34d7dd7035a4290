//! The present time of chat templates, as text: with an offset, and not with the name of a time zone,
//! which no reader knows without a database of them.

use jiff::fmt::temporal::Pieces;
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, Zoned};

/// A moment as RFC 3339.
pub(crate) fn to_text(moment: &Zoned) -> String {
    moment.timestamp().display_with_offset(moment.offset()).to_string()
}

/// What [`to_text`] wrote, in a zone of that offset.
///
/// # Errors
///
/// It is no such text.
pub(crate) fn from_text(text: &str) -> Result<Zoned, jiff::Error> {
    let moment: Timestamp = text.parse()?;
    let offset = Pieces::parse(text)?.to_numeric_offset().unwrap_or(Offset::UTC);
    Ok(moment.to_zoned(TimeZone::fixed(offset)))
}

/// The same moment without the name of its time zone.
pub(crate) fn nameless(moment: &Zoned) -> Zoned {
    moment.with_time_zone(TimeZone::fixed(moment.offset()))
}
