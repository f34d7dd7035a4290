//! Rows as files hold them → rows as shapes read them: values that were saved as text become
//! values again, objects become columns, what stands in several rows comes together.

mod cells;
mod done;
mod flatten;
mod mapped;
mod rated_rows;
mod replies;
mod two;

pub(super) use self::done::Done;
use super::columns::Columns;
use super::error::Fault;
use super::limits::Budget;
use super::row::Row;
use super::settings::ReadSettings;

/// Prepare the rows of a file; a `flat` one holds nothing but texts.
pub(super) fn prepare(
    rows: &mut Vec<Row>,
    flat: bool,
    settings: &ReadSettings,
    budget: &Budget,
) -> Result<Done, Fault> {
    let mut done = Done::default();
    cells::decode(rows, flat, budget, &mut done)?;
    flatten::flatten(rows);
    let by_hand = mapped::materialise(rows, settings, &mut done)?;
    if by_hand {
        return Ok(done);
    }
    // One of these at most: what a file is called by its columns.
    let columns = Columns::of(rows);
    if let Some(messages) = replies::find(&columns)? {
        replies::gather(rows, &messages, &mut done);
    } else if let Some(rated) = rated_rows::find(&columns) {
        rated_rows::gather(rows, &rated, &mut done)?;
    } else if let Some(list) = two::find(&columns) {
        two::split(rows, &list);
    }
    Ok(done)
}
