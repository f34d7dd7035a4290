//! What exports do to a table: lists printed as text, numbers that are none, one object for all
//! rows, objects in cells, and ways of packing.

use confide::data::{BadReason, Message, Prompt, Role};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{assert_says, json_lines, lines, read, refusal, rows};

const TEXTS: [&str; 4] =
    ["It's “so”: \"yes\"", "a\nb\\c\td", "[{'role': 'user'}]", "é 漢 🙂 \u{1}"];

fn talk(reply: &str) -> Value {
    json!([{"role": "user", "content": "q?"}, {"role": "assistant", "content": reply}])
}

/// As Python's `repr` prints a value; `commas` is false for numpy's arrays.
fn python(value: &Value, commas: bool) -> String {
    let list = |items: Vec<String>| items.join(if commas { ", " } else { "\n " });
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(yes) => if *yes { "True" } else { "False" }.to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => {
            let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
            let escape = |c: char| match c {
                '\\' => "\\\\".to_owned(),
                '\n' => "\\n".to_owned(),
                '\t' => "\\t".to_owned(),
                c if c == quote => format!("\\{c}"),
                c if (c as u32) < 32 => format!("\\x{:02x}", c as u32),
                c => c.to_string(),
            };
            format!("{quote}{}{quote}", text.chars().map(escape).collect::<String>())
        }
        Value::Array(items) => {
            format!("[{}]", list(items.iter().map(|item| python(item, true)).collect()))
        }
        Value::Object(fields) => {
            let field =
                |(key, value): (&String, &Value)| format!("'{key}': {}", python(value, true));
            format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
    }
}

fn csv(header: &[&str], cells: &[Vec<String>]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(header).unwrap();
    cells.iter().for_each(|row| writer.write_record(row).unwrap());
    String::from_utf8(writer.into_inner().unwrap()).unwrap()
}

/// Messages in cells come back as they were, however they were printed.
#[test]
fn printed_messages_are_messages() {
    type Print = fn(&Value) -> String;
    let prints: [(&str, Print); 4] = [
        ("JSON", Value::to_string),
        ("Python", |value| python(value, true)),
        ("numpy", |value| python(value, false)),
        ("array", |value| format!("array({}, dtype=object)", python(value, true))),
    ];
    for (name, print) in prints {
        let cell = |reply: &str| print(&talk(reply));
        let cells: Vec<Vec<String>> =
            TEXTS.iter().map(|text| vec!["q?".to_owned(), cell(text), cell("worse")]).collect();
        let (pairs, report) = read(csv(&["prompt", "chosen", "rejected"], &cells)).unwrap();
        let replies: Vec<&str> = pairs.iter().map(|pair| pair.responses[0].as_str()).collect();
        assert_eq!(replies, TEXTS, "{name}");
        assert_eq!(pairs[0].prompt, Prompt::Messages(vec![Message::new(Role::User, "q?")]));
        assert_says(&report.format, &["`chosen` decoded from text", "`rejected` decoded"]);
    }
}

/// Cells that break off, as those of a spreadsheet do, cost their rows and are no responses.
#[test]
fn cells_that_break_off_are_bad_rows() {
    let whole = python(&talk("a"), true);
    let cut = whole[..whole.len() - 3].to_owned();
    let row = |cell: &str| vec!["q".to_owned(), cell.to_owned(), python(&talk("b"), true)];
    let header = ["prompt", "chosen", "rejected"];
    let (pairs, report) = read(csv(&header, &[row(&whole), row(&cut), row(&whole)])).unwrap();
    assert_eq!((pairs.len(), lines(&report, BadReason::UnreadableLine)), (2, vec![3]));
    let message = refusal(read(csv(&header, &[row(&cut), row(&cut)])));
    assert_says(&message, &["unreadable_line 2", "`chosen` begins as a printed list", "Parquet"]);
}

/// A response that is JSON because JSON was asked for stays text.
#[test]
fn a_json_response_is_text() {
    for response in [json!(["a", "b"]), json!({"name": "f", "arguments": {"x": 1}}), json!([])] {
        let (pairs, _) =
            rows(&[json!({"prompt": "q", "chosen": response.to_string(), "rejected": "[\"c\"]"})]);
        assert_eq!(pairs[0].responses[0], response.to_string());
    }
}

/// A whole pair as JSON in a cell, and lines that Python printed without its `json`.
#[test]
fn printed_records_are_records() {
    let inner = json!({"question": "q", "chosen": "a", "rejected": "b"}).to_string();
    let (pairs, _) = rows(&[json!({"ds_name": "x", "text": inner})]);
    assert_eq!((pairs[0].prompt.display(), &pairs[0].responses[1][..]), ("q".to_owned(), "b"));
    let line = |text: &str| {
        python(&json!({"prompt": "q", "chosen": text, "rejected": "b", "n": null}), true)
    };
    let (pairs, _) = read(TEXTS.map(line).join("\n")).unwrap();
    assert_eq!(pairs.iter().map(|pair| &pair.responses[0][..]).collect::<Vec<_>>(), TEXTS);
}

/// Questions and replies turn by turn, as JSON in text: what two models said.
#[test]
fn turns_in_lists_make_conversations() {
    let row = |prompt: Value, a: Value, b: Value| {
        json!({"prompt": prompt.to_string(), "response_a": a.to_string(), "response_b": b.to_string(),
            "winner_model_a": 1, "winner_model_b": 0, "winner_tie": 0})
    };
    let (pairs, report) = rows(&[
        row(json!(["q"]), json!(["a"]), json!(["b"])),
        row(json!(["q", "r"]), json!(["same", "a"]), json!(["same", "b"])),
        row(json!(["q", "r"]), json!(["x", "a"]), json!(["y", "b"])),
        row(json!(["q", "r"]), json!(["x"]), json!(["y", "b"])),
    ]);
    assert_eq!(pairs.len(), 2, "{}", report.format);
    assert_eq!(pairs[1].responses, ["a", "b"]);
    assert_eq!(pairs[1].prompt.display(), "User: q\n\nAssistant: same\n\nUser: r");
    assert_eq!(lines(&report, BadReason::PromptsDiffer), [3, 4]);
}

/// What Python writes for no number counts as absent, in texts it stays.
#[test]
fn no_numbers_are_absent() {
    let row = |score: &str| {
        format!(
            "{{\"prompt\": \"NaN, -Infinity\\\" NaN\", \"chosen\": \"a\", \"rejected\": \"b\", \"s\": {score}}}"
        )
    };
    let all = ["NaN", "1", "-Infinity", "[Infinity, 2]", "{\"x\": NaN}"].map(row);
    for text in [all.join("\n"), format!("[{}]", all.join(", "))] {
        let (pairs, report) = read(text).unwrap();
        assert_eq!((pairs.len(), report.bad.len()), (5, 0));
        assert_eq!(pairs[0].prompt, Prompt::Text("NaN, -Infinity\" NaN".to_owned()));
        assert_says(&report.notes[0], &["4 values that are NaN or Infinity count as absent"]);
    }
    let bare = row("Nan");
    assert_says(&refusal(read(format!("{bare}\n{bare}"))), &["unreadable_line 2"]);
}

/// pandas' and datasets' ways of writing a table as one object.
#[test]
fn one_object_may_hold_the_table() {
    let expected = [("q0", "a0"), ("q1", "a1"), ("q2", "a2")];
    let objects = [
        (
            json!({"prompt": ["q0", "q1", "q2"], "chosen": ["a0", "a1", "a2"], "rejected": ["b", "b", "b"]}),
            "object of columns",
        ),
        (
            json!({"prompt": {"0": "q0", "1": "q1", "10": "q2"}, "chosen": {"0": "a0", "1": "a1", "10": "a2"}, "rejected": {"0": "b", "1": "b", "10": "b"}}),
            "object of columns",
        ),
        (
            json!({"columns": ["prompt", "chosen", "rejected"], "index": [0, 1, 2], "data": [["q0", "a0", "b"], ["q1", "a1", "b"], ["q2", "a2", "b"]]}),
            "`columns` and `data`",
        ),
        (
            json!({"0": {"prompt": "q0", "chosen": "a0", "rejected": "b"}, "2": {"prompt": "q1", "chosen": "a1", "rejected": "b"}, "10": {"prompt": "q2", "chosen": "a2", "rejected": "b"}}),
            "object of rows",
        ),
    ];
    for (object, found) in objects {
        let (pairs, report) = read(object.to_string()).unwrap_or_else(|e| panic!("{e}"));
        let read: Vec<_> =
            pairs.iter().map(|pair| (pair.prompt.display(), pair.responses[0].clone())).collect();
        assert_eq!(read, expected.map(|(q, a)| (q.to_owned(), a.to_owned())), "{}", report.format);
        assert_says(&report.format, &[found]);
    }
    let splits = json!({"train": [{"prompt": "q", "chosen": "a", "rejected": "b"}, {"prompt": "r", "chosen": "a", "rejected": "b"}],
        "test": [{"prompt": "s", "chosen": "a", "rejected": "b"}]});
    let (pairs, report) = read(splits.to_string()).unwrap();
    assert_eq!(pairs.len(), 2);
    assert_says(&report.notes[0], &["1 more rows in `test` are not read"]);
}

/// One row alone is a row, with messages or without.
#[test]
fn one_object_may_be_a_row() {
    let user = json!({"role": "user", "content": "q"});
    let say = |text: &str| json!({"role": "assistant", "content": text});
    for row in [
        json!({"prompt": "q", "chosen": "a", "rejected": "b"}),
        json!({"prompt": [user], "chosen": [say("a")], "rejected": [say("b")]}),
        json!({"prompt": "q", "chosen": say("a"), "rejected": say("b")}),
        json!({"prompt": "q", "chosen": {"text": "a", "score": 2}, "rejected": {"text": "b", "score": 1}}),
    ] {
        let (pairs, report) = read(row.to_string()).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((pairs.len(), &pairs[0].responses[0][..]), (1, "a"), "{}", report.format);
    }
}

/// Objects are opened: what is asked and answered stands inside them.
#[test]
fn objects_are_columns() {
    let say = |text: &str| json!([{"role": "user", "content": "q"}, {"role": "assistant", "content": text}]);
    let all = [
        json!({"question": {"dataset": "d", "id": "1", "full_text": "q"}, "answer_0": "a", "answer_1": "b", "score_0": 0.5, "score_1": -0.5}),
        json!({"question": "q", "pos_answer": {"answer": "a", "score": 1.0, "actions": "x"}, "neg_answer": {"answer": "b", "score": 0.0, "actions": "a longer text than the answers"}}),
        json!({"chosen": {"messages": say("a"), "score": 2}, "rejected": {"messages": say("b"), "score": 1}}),
        json!({"input": {"messages": [{"role": "user", "content": "q"}], "parallel_tool_calls": true}, "preferred_output": [{"role": "assistant", "content": "a"}], "non_preferred_output": [{"role": "assistant", "content": "b"}]}),
        json!({"prompt": {"text": "q", "toxicity": 0.1}, "chosen": {"text": "a"}, "rejected": {"text": "b"}}),
        json!({"info": {"post": "q", "title": "t"}, "summaries": [{"text": "b", "note": null}, {"text": "a", "note": null}], "choice": 1, "extra": {"confidence": 7}}),
    ];
    for row in all {
        let (pairs, report) = rows(&[row.clone(), row]);
        let pair = &pairs[0];
        let chosen = pair.label.unwrap().preferred.index();
        assert_eq!((pairs.len(), &pair.responses[chosen][..]), (2, "a"), "{}", report.format);
        assert!(pair.prompt.display().ends_with('q'), "{}", report.format);
    }
}

/// A cause that is not damage is not called damage.
#[test]
fn a_way_of_packing_is_no_damage() {
    let Some(cases) = crate::common::shared("cases/99-parquet-brotli/data.parquet") else { return };
    let (pairs, _) = read(std::fs::read(cases).unwrap()).unwrap();
    assert_eq!(pairs.len(), 5);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Printed or not, a text is what it was.
    #[test]
    fn any_text_survives_being_printed(text in "\\PC{1,40}") {
        let cells = [vec!["q".to_owned(), python(&talk(&text), true), python(&talk("\u{1}worse"), true)]];
        let read = read(csv(&["prompt", "chosen", "rejected"], &cells));
        match read {
            Ok((pairs, _)) => prop_assert_eq!(&pairs[0].responses[0], &text),
            Err(error) => prop_assert!(text.trim().is_empty(), "{}", error),
        }
    }

    /// Cells that only begin like a list cost no program.
    #[test]
    fn no_cell_panics(cell in "(array\\()?[\\[\\{\\(][ -~]{0,40}") {
        let row = json!({"prompt": cell, "chosen": cell, "rejected": "b"});
        let _ = read(json_lines(&[row]));
    }
}
