//! The same pairs from every container, whatever the file is called.

use std::sync::Arc;

use confide::data::{BadReason, Pair, Prompt};
use parquet::data_type::{ByteArray, ByteArrayType, Int32Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::{Read, assert_says, gzip, lines, read, refusal};

const LINES: &str = concat!(
    r#"{"prompt": "q, “1”", "chosen": "a\nb", "rejected": "c"}"#,
    "\n",
    r#"{"prompt": "q2", "chosen": "\"d\"", "rejected": "é"}"#,
);

#[track_caller]
fn assert_both(found: Read, container: &str, lines: [u64; 2]) {
    let (pairs, report) = found.unwrap_or_else(|e| panic!("{e}"));
    assert!(report.format.starts_with(&format!("{container}, ")), "{}", report.format);
    let content = |pair: &Pair| (pair.prompt.clone(), pair.responses.clone());
    let pair = |prompt: &str, first: &str, second: &str| {
        (Prompt::Text(prompt.to_owned()), [first.to_owned(), second.to_owned()])
    };
    let expected = [pair("q, “1”", "a\nb", "c"), pair("q2", "\"d\"", "é")];
    assert_eq!(pairs.iter().map(content).collect::<Vec<_>>(), expected);
    assert_eq!(pairs.iter().map(|pair| pair.source.line).collect::<Vec<_>>(), lines);
    assert!(report.bad.is_empty());
}

#[test]
fn json_in_all_forms() {
    let array = format!("[{}]", LINES.replace('\n', ",\n"));
    assert_both(read(LINES), "JSON lines", [1, 2]);
    assert_both(
        read(format!("\u{feff}\n{}\n\n", LINES.replace('\n', "\r\n\r\n"))),
        "JSON lines",
        [2, 4],
    );
    assert_both(read(gzip(LINES.as_bytes())), "JSON lines (gzip)", [1, 2]);
    assert_both(read(&array), "JSON array", [1, 2]);
    assert_both(read(gzip(array.as_bytes())), "JSON array (gzip)", [1, 2]);
    let wrapped = format!(r#"{{"version": 1, "data": {array}}}"#);
    assert_both(read(wrapped), "JSON object with rows in `data`", [1, 2]);
}

#[test]
fn gzip_of_several_members() {
    let (first, second) = LINES.split_once('\n').unwrap();
    let both = [gzip(format!("{first}\n").as_bytes()), gzip(second.as_bytes())].concat();
    assert_both(read(both), "JSON lines (gzip)", [1, 2]);
}

#[test]
fn csv_in_all_forms() {
    let csv = "\u{feff}prompt,chosen,rejected\n\"q, “1”\",\"a\nb\",c\nq2,\"\"\"d\"\"\",é\n";
    assert_both(read(csv), "CSV", [2, 4]);
    assert_both(read(gzip(csv.as_bytes())), "CSV (gzip)", [2, 4]);
    assert_both(read(csv.replace("\n\"q", "\n\n\r\n\"q")), "CSV", [4, 6]);
    let tabs = "\tprompt\tchosen\trejected\n0\tq, “1”\t\"a\nb\"\tc\n1\tq2\t\"\"\"d\"\"\"\té";
    assert_both(read(tabs), "tab-separated table", [2, 4]);
    let semicolons = "prompt;chosen;rejected\r\nq, “1”;\"a\nb\";c\r\nq2;\"\"\"d\"\"\";é\r\n";
    assert_both(read(semicolons), "CSV with semicolons", [2, 4]);
}

#[test]
fn bad_csv_rows_are_listed() {
    let (pairs, report) =
        read("prompt,chosen,rejected\nq,a,b\nq,a\nq,,b\nq,a,b,c\nr,a,b\n").unwrap();
    assert_eq!(pairs.len(), 2);
    assert_eq!(lines(&report, BadReason::WrongColumnCount), [3, 5]);
    assert_eq!(lines(&report, BadReason::EmptyResponse), [4]);
    let (pairs, report) = read("prompt,chosen,rejected\nq,a,b\nr,\"a,b\nq,a,b\nq,c,d\n").unwrap();
    assert_eq!((pairs.len(), lines(&report, BadReason::UnreadableLine)), (1, vec![3]));
    assert_says(&report.bad[0].detail, &["quotation mark never closes", "3 lines"]);
}

#[test]
fn bad_json_records_are_listed() {
    let good = r#"{"prompt": "q", "chosen": "a", "rejected": "b"}"#;
    let (pairs, report) =
        read(format!("oops\n{good}\n[1]\n{{\"prompt\": \n{good}\n\n3\n{good}\n{good}")).unwrap();
    assert_eq!(pairs.iter().map(|pair| pair.source.line).collect::<Vec<_>>(), [2, 5, 8, 9]);
    assert_eq!(lines(&report, BadReason::UnreadableLine), [1, 4]);
    assert_eq!(lines(&report, BadReason::WrongType), [3, 7]);
    assert_eq!(report.duplicates, 3);
    // A lone half of an emoji, and a number that is none: neither is JSON.
    let (pairs, report) =
        read(format!(r#"[{good}, "x", {{"prompt": "\ud83d"}}, {good}, {{"x": NaNa}},]"#)).unwrap();
    assert_eq!(pairs.iter().map(|pair| pair.source.line).collect::<Vec<_>>(), [1, 4]);
    assert_eq!(lines(&report, BadReason::UnreadableLine), [3, 5]);
    assert_eq!(lines(&report, BadReason::WrongType), [2]);
}

#[test]
fn parquet_lists_of_messages_and_labels() {
    let schema = "message rows {
        required group conversation_a (LIST) { repeated group list { required group element {
            required binary role (UTF8); required binary content (UTF8); } } }
        required group conversation_b (LIST) { repeated group list { required group element {
            required binary role (UTF8); required binary content (UTF8); } } }
        required int32 winner;
    }";
    let (pairs, report) = read(parquet(schema)).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(pairs.len(), 2, "{:?}", report.bad);
    assert_eq!(pairs[0].prompt.display(), "User: q");
    assert_eq!(pairs[0].responses, ["left", "right"]);
    let sides: Vec<_> = pairs.iter().map(|pair| pair.label.unwrap().preferred.index()).collect();
    assert_eq!(sides, [1, 0]);
}

/// Two rows: conversations of a question and a reply, and the labels 2 and 1.
fn parquet(schema: &str) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut bytes = Vec::new();
    let mut writer =
        SerializedFileWriter::new(&mut bytes, schema, Arc::new(WriterProperties::default()))
            .unwrap();
    let mut group = writer.next_row_group().unwrap();
    let texts = [["user", "assistant"], ["q", "left"], ["user", "assistant"], ["q", "right"]];
    for texts in texts {
        let values: Vec<ByteArray> =
            texts.iter().chain(&texts).map(|text| ByteArray::from(*text)).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column
            .typed::<ByteArrayType>()
            .write_batch(&values, Some(&[1; 4]), Some(&[0, 1, 0, 1]))
            .unwrap();
        column.close().unwrap();
    }
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int32Type>().write_batch(&[2, 1], None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn look_alikes_are_named() {
    let cases: [(&[u8], &str); 6] = [
        (b"PK\x03\x04....", "ZIP"),
        (b"\x28\xb5\x2f\xfd....", "Zstandard"),
        (b"\xff\xfe{\0", "UTF-16"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"", "an empty file"),
        (b" \n\t", "an empty file"),
    ];
    for (bytes, found) in cases {
        assert_says(&refusal(read(bytes)), &[found, "Try: "]);
    }
}
