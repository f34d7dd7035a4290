//! Pairs → files in TRL's form: `prompt`, `chosen` and `rejected`, each text or chat messages.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde::Serialize;
use serde_json::Value;

use super::error::DataError;
use super::pair::{Label, Message, Pair, Prompt, Role};

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Written {
    /// Pairs in the file.
    pub pairs: usize,
    /// Pairs without a label beside others with one: TRL's form has no place for them.
    pub left_out: usize,
    /// Whether prompts of text became what a user says, as others are conversations.
    pub made_messages: bool,
}

/// One pair as it is written: the better response first where there is a label.
struct Row<'a> {
    prompt: &'a Prompt,
    responses: [&'a str; 2],
    label: Option<Label>,
    weight: f32,
}

impl<'a> Row<'a> {
    fn of(pair: &'a Pair) -> Self {
        let first = pair.label.map_or(0, |label| label.preferred.index());
        let responses = [first, 1 - first].map(|i| pair.responses[i].as_str());
        Self { prompt: &pair.prompt, responses, label: pair.label, weight: pair.weight }
    }

    /// The functions that the prompt names, and its turns.
    fn turns(&self) -> (Option<&'a str>, Vec<Message>) {
        match self.prompt {
            Prompt::Text(text) => (None, vec![Message::new(Role::User, text.as_str())]),
            Prompt::Messages(turns) => match turns.as_slice() {
                [first, rest @ ..] if first.role == Role::Tools => {
                    (Some(&first.content), rest.to_vec())
                }
                turns => (None, turns.to_vec()),
            },
        }
    }
}

/// The pairs that one file holds, all of one form.
struct Table<'a> {
    rows: Vec<Row<'a>>,
    /// What the two responses are called.
    names: [&'static str; 2],
    /// Whether prompts and responses are messages.
    chat: bool,
    tools: bool,
    labelled: bool,
    margins: bool,
}

impl<'a> Table<'a> {
    fn of(pairs: &'a [Pair]) -> (Self, Written) {
        let labelled = pairs.iter().filter(|pair| pair.label.is_some()).count();
        // Without any label, two candidates.
        let kept = pairs.iter().filter(|pair| labelled == 0 || pair.label.is_some());
        let rows: Vec<Row<'_>> = kept.map(Row::of).collect();
        let names =
            if labelled > 0 { ["chosen", "rejected"] } else { ["response_1", "response_2"] };
        let is_chat = |row: &Row<'_>| matches!(row.prompt, Prompt::Messages(_));
        let chat = rows.iter().any(is_chat);
        let tools = rows.iter().any(|row| row.turns().0.is_some());
        let margins = rows.iter().any(|row| row.label.is_some_and(|label| label.margin.is_some()));
        let written = Written {
            pairs: rows.len(),
            left_out: pairs.len() - rows.len(),
            made_messages: chat && !rows.iter().all(is_chat),
        };
        (Self { rows, names, chat, tools, labelled: labelled > 0, margins }, written)
    }
}

/// Write pairs as JSON lines, or as Parquet where the name ends so; an existing file is an error.
///
/// # Errors
///
/// The file is there already or cannot be written, its name ends otherwise, or its form cannot
/// hold what the pairs hold.
pub fn write_pairs(path: &Path, pairs: &[Pair]) -> Result<Written, DataError> {
    let refuse = |found: String, expected: &'static str| {
        Err(DataError::Refused { path: path.to_owned(), found, expected })
    };
    if path.exists() {
        return refuse("the file is there already".to_owned(), "a new name");
    }
    let (table, written) = Table::of(pairs);
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let calls =
        table.rows.iter().any(|row| row.turns().1.iter().any(|turn| !turn.fields.is_empty()));
    let done = match ending {
        "jsonl" => crate::files::write_with(path, |file| write_lines(file, &table)),
        "parquet" if calls => {
            return refuse("turns that call functions".to_owned(), "a name that ends in .jsonl");
        }
        "parquet" => crate::files::write_with(path, |file| {
            write_parquet(file, &table).map_err(std::io::Error::other)
        }),
        other => {
            let found = format!("the ending “{other}”");
            return refuse(found, "a name that ends in .jsonl or .parquet");
        }
    };
    done.map_err(|source| DataError::Write { path: path.to_owned(), source })?;
    Ok(written)
}

fn text(value: &str) -> String {
    Value::from(value).to_string()
}

/// Messages as JSON; what chat templates get beside the text is JSON already.
fn messages(turns: &[Message]) -> String {
    let turn = |turn: &Message| {
        let mut json =
            format!("{{\"role\": \"{}\", \"content\": {}", turn.role.key(), text(&turn.content));
        for (name, value) in &turn.fields {
            let _ = write!(json, ", {}: {value}", text(name));
        }
        json + "}"
    };
    format!("[{}]", turns.iter().map(turn).collect::<Vec<_>>().join(", "))
}

fn write_lines(file: &mut impl Write, table: &Table<'_>) -> std::io::Result<()> {
    let mut out = std::io::BufWriter::new(file);
    for row in &table.rows {
        let (tools, turns) = row.turns();
        let prompt = match row.prompt {
            Prompt::Text(prompt) if !table.chat => text(prompt),
            _ => messages(&turns),
        };
        let mut line = format!("{{\"prompt\": {prompt}");
        for (name, response) in table.names.iter().zip(row.responses) {
            let said = if table.chat {
                messages(&[Message::new(Role::Assistant, response)])
            } else {
                text(response)
            };
            let _ = write!(line, ", \"{name}\": {said}");
        }
        if table.tools {
            let _ = write!(line, ", \"tools\": {}", tools.unwrap_or("null"));
        }
        if let Some(label) = row.label {
            let _ = write!(line, ", \"label\": {}", label.preferred.index() + 1);
            let _ = write!(line, ", \"agreement\": {}", label.agreement);
            if let Some(margin) = label.margin.filter(|margin| margin.is_finite()) {
                let _ = write!(line, ", \"margin\": {margin}");
            }
        }
        writeln!(out, "{line}, \"weight\": {}}}", row.weight)?;
    }
    out.flush()
}

/// The schema of a table.
fn schema(table: &Table<'_>) -> String {
    let said = |name: &str| match table.chat {
        false => format!("required binary {name} (UTF8);"),
        true => format!(
            "required group {name} (LIST) {{ repeated group list {{ required group element {{
                required binary role (UTF8); required binary content (UTF8); }} }} }}"
        ),
    };
    let [first, second] = table.names;
    let tools = if table.tools { "optional binary tools (UTF8);" } else { "" };
    let label = match table.labelled {
        true => "required int32 label; required float agreement;",
        false => "",
    };
    let margin = if table.margins { "optional float margin;" } else { "" };
    format!(
        "message pairs {{ {} {} {} {tools} {label} required float weight; {margin} }}",
        said("prompt"),
        said(first),
        said(second)
    )
}

fn write_parquet(file: &mut (impl Write + Send), table: &Table<'_>) -> Result<(), ParquetError> {
    let schema = Arc::new(parse_message_type(&schema(table))?);
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    let mut index = 0;
    while let Some(mut column) = group.next_column()? {
        write_column(column.untyped(), table, index)?;
        column.close()?;
        index += 1;
    }
    group.close()?;
    writer.close()?;
    Ok(())
}

fn write_column(
    column: &mut ColumnWriter<'_>,
    table: &Table<'_>,
    index: usize,
) -> Result<(), ParquetError> {
    let texts = if table.chat { 6 } else { 3 };
    // Columns beside the texts, by their names.
    let beside = [
        ("tools", table.tools),
        ("label", table.labelled),
        ("agreement", table.labelled),
        ("weight", true),
        ("margin", table.margins),
    ];
    let mut beside = beside.into_iter().filter(|(_, there)| *there).map(|(name, _)| name);
    let name = index.checked_sub(texts).and_then(|i| beside.nth(i));
    match column {
        ColumnWriter::ByteArrayColumnWriter(w) if name == Some("tools") => {
            let tools: Vec<Option<&str>> = table.rows.iter().map(|row| row.turns().0).collect();
            let levels: Vec<i16> = tools.iter().map(|tools| i16::from(tools.is_some())).collect();
            let values: Vec<ByteArray> = tools.into_iter().flatten().map(ByteArray::from).collect();
            w.write_batch(&values, Some(&levels), None)?;
        }
        ColumnWriter::ByteArrayColumnWriter(w) if table.chat => {
            let (values, repeated) = turns(table, index / 2, index.is_multiple_of(2));
            // A conversation without a turn is no row: every value is there.
            w.write_batch(&values, Some(&vec![1; values.len()]), Some(&repeated))?;
        }
        ColumnWriter::ByteArrayColumnWriter(w) => {
            let said = |row: &Row<'_>| match (index, row.prompt) {
                (0, Prompt::Text(text)) => ByteArray::from(text.as_str()),
                (0, Prompt::Messages(_)) => ByteArray::from(""),
                (i, _) => ByteArray::from(row.responses[i - 1]),
            };
            w.write_batch(&table.rows.iter().map(said).collect::<Vec<_>>(), None, None)?;
        }
        ColumnWriter::Int32ColumnWriter(w) => {
            let side = |row: &Row<'_>| row.label.map_or(0, |l| l.preferred.index() as i32 + 1);
            w.write_batch(&table.rows.iter().map(side).collect::<Vec<_>>(), None, None)?;
        }
        ColumnWriter::FloatColumnWriter(w) if name == Some("margin") => {
            let margins = || table.rows.iter().map(|row| row.label.and_then(|l| l.margin));
            let levels: Vec<i16> = margins().map(|margin| i16::from(margin.is_some())).collect();
            w.write_batch(&margins().flatten().collect::<Vec<_>>(), Some(&levels), None)?;
        }
        ColumnWriter::FloatColumnWriter(w) => {
            let number = |row: &Row<'_>| match name {
                Some("weight") => row.weight,
                _ => row.label.map_or(0.0, |label| label.agreement),
            };
            w.write_batch(&table.rows.iter().map(number).collect::<Vec<_>>(), None, None)?;
        }
        _ => {}
    }
    Ok(())
}

/// Roles or texts of all turns in one of prompt, first and second, and where each row begins.
fn turns(table: &Table<'_>, part: usize, roles: bool) -> (Vec<ByteArray>, Vec<i16>) {
    let (mut values, mut repeated) = (Vec::new(), Vec::new());
    for row in &table.rows {
        let said = match part {
            0 => row.turns().1,
            side => vec![Message::new(Role::Assistant, row.responses[side - 1])],
        };
        for (i, turn) in said.iter().enumerate() {
            values.push(ByteArray::from(if roles { turn.role.key() } else { &turn.content }));
            repeated.push(i16::from(i > 0));
        }
    }
    (values, repeated)
}
