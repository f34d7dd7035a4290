//! Words of files on their way to a terminal.

use confide::legible;
use serde_json::json;

use crate::common::program;

#[test]
fn what_a_terminal_obeys_is_made_visible() {
    assert_eq!(
        legible::lines("\u{1b}[31mred\u{7}\r\n\tx\u{9b}2J"),
        "\\u{1b}[31mred\\u{7}\\r\n\tx\\u{9b}2J"
    );
    assert_eq!(legible::line("a\nb\tc"), "a\\nb\\tc");
    assert_eq!(legible::lines("abc \u{202e}txt.exe\u{2066}"), "abc \\u{202e}txt.exe\\u{2066}");
    let kept = "Ünïcödé 漢字 שלום \u{1F600} “quoted”\n";
    assert_eq!(legible::lines(kept), kept);
}

#[test]
fn messages_and_values_have_an_end() {
    let long = "ä".repeat(1 << 20);
    let cut = legible::message(&long);
    assert!(cut.len() < 4100 && cut.ends_with("more bytes)"), "{} bytes", cut.len());
    let quoted = legible::quoted(json!([long, 1]));
    assert!(quoted.len() < 500 && quoted.contains("… (2096"), "{quoted}");
    assert_eq!(legible::quoted("short"), "short");
}

#[test]
fn nothing_of_a_file_reaches_the_terminal_raw() {
    let place = tempfile::tempdir().unwrap();
    let evil = "\u{1b}]0;title\u{7}\u{202e}\r";
    let row = |i: usize| {
        json!({"prompt": format!("q{i}"), "chosen": format!("b{evil}{i}"), "rejected": "c",
               format!("other{evil}"): 1})
    };
    let mut text: String = (0..3).map(|i| format!("{}\n", row(i))).collect();
    text += &format!("{{\"prompt\": {evil}\n");
    let data = place.path().join(if cfg!(unix) { "pairs\u{1b}[2J.jsonl" } else { "pairs.jsonl" });
    std::fs::write(&data, text).unwrap();
    let recipe = place.path().join("recipe.toml");
    std::fs::write(&recipe, format!("\"k{}\" = 1\n", "\\u001b".repeat(100_000))).unwrap();
    let model = place.path().join("model");
    std::fs::create_dir(&model).unwrap();
    std::fs::write(
        model.join("config.json"),
        json!({"model_type": format!("x{evil}{}", "y".repeat(1 << 20))}).to_string(),
    )
    .unwrap();
    for args in [
        vec!["inspect", data.to_str().unwrap()],
        vec!["inspect", data.to_str().unwrap(), "--model", "builtin:weak"],
        vec!["run", recipe.to_str().unwrap()],
        vec!["generate", model.to_str().unwrap(), "--prompt", "x", "--device", "cpu"],
    ] {
        let output = program().args(&args).output().unwrap();
        for text in [&output.stdout, &output.stderr] {
            let text = String::from_utf8_lossy(text);
            let raw = |c: char| c.is_control() && c != '\n' && c != '\t' || c == '\u{202e}';
            assert!(!text.contains(raw), "{args:?}: {text:?}");
            assert!(text.len() < 8000, "{args:?} writes {} bytes", text.len());
        }
        let both = [output.stdout, output.stderr].concat();
        assert!(!both.is_empty(), "{args:?}");
    }
}
