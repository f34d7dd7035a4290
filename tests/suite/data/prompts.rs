//! What belongs to a prompt, and what does not though it looks like it.

use confide::data::{BadReason, Media, Prompt, ReadSettings, Role};
use serde_json::{Value, json};

use super::{assert_says, json_lines, lines, read, read_as, refusal, rows};

fn roles(prompt: &Prompt) -> Vec<(Role, String)> {
    match prompt {
        Prompt::Text(text) => vec![(Role::User, text.clone())],
        Prompt::Messages(turns) => {
            turns.iter().map(|turn| (turn.role, turn.content.clone())).collect()
        }
    }
}

/// Columns about a response are no response, whatever their length.
#[test]
fn what_is_said_of_responses_is_none() {
    let long = "a text that is longer than both of the responses and not the same in both";
    for about in
        ["sha256", "source", "model", "critique", "feedback", "id", "rationale", "num_tokens"]
    {
        let row = |i: i32| {
            json!({"prompt": format!("q{i}"), "response_0": "a", "response_1": "b",
            format!("response_0_{about}"): format!("{long} {i}"), format!("response_1_{about}"): format!("{long} too {i}"), "better_response_id": 0})
        };
        let (pairs, report) = rows(&[row(1), row(2)]);
        assert_eq!(pairs[0].responses, ["a", "b"], "{about}: {}", report.format);
    }
    let row = json!({"input": "q", "chosen": "a", "rejected": "b", "original_chosen": long, "original_rejected": format!("{long}!"),
        "chosen_model": "m", "rejected_model": "n"});
    assert_eq!(rows(&[row]).0[0].responses, ["a", "b"]);
    let row = |i: i32| json!({"prompt": format!("q{i}"), "response_a": format!("a{i}"), "response_b": "b", "winner": "gpt", "loser": "claude", "model_a": "gpt", "model_b": "claude"});
    let (pairs, report) = rows(&[row(1), row(2), row(3), row(4), row(5)]);
    assert_eq!(
        (pairs[0].responses[0].as_str(), pairs[0].label.is_some()),
        ("a1", true),
        "{}",
        report.format
    );
}

/// A judge's prompt shows both responses; the task is another column.
#[test]
fn a_judges_prompt_is_no_prompt() {
    let (a, b) = ["It takes about ten minutes.", "Nobody can possibly know that."].into();
    let judge = format!("Which is better?\nA: {a}\nB: {b}");
    let all = [
        json!({"orig_instruction": "q", "orig_response_A": a, "orig_response_B": b, "orig_preference": "A", "instruction": judge,
            "messages": [{"role": "user", "content": "compare"}, {"role": "assistant", "content": "A"}], "output": "[RESULT] A"}),
        json!({"question": "q", "answer_a": a, "answer_b": b, "prompt": judge, "label": "A"}),
        json!({"input": "q", "chosen": a, "rejected": b, "labelling_prompt": [{"role": "user", "content": judge}], "rationale": judge}),
    ];
    for row in all {
        let (pairs, report) = rows(&[row]);
        assert_eq!(pairs[0].prompt.display(), "q", "{}", report.format);
    }
}

/// A lone long text is a prompt only if its name does not say otherwise.
#[test]
fn a_rationale_is_no_prompt() {
    for name in ["rationale", "critique", "explanation", "judge_output", "reference_answer"] {
        let row = json!({name: "a long text about why the one is better than the other", "chosen": "a", "rejected": "b"});
        assert_says(&refusal(read(json_lines(&[row]))), &["without a column for the prompt"]);
    }
}

#[test]
fn history_comes_before_the_question() {
    let row = |history: Value| json!({"instruction": "q", "input": "", "history": history, "chosen": "a", "rejected": "b"});
    let before = [(Role::User, "h"), (Role::Assistant, "r"), (Role::User, "q")];
    let said = before.map(|(role, text)| (role, text.to_owned()));
    for history in [
        json!([["h", "r"]]),
        json!(["h", "r"]),
        json!([{"role": "user", "content": "h"}, {"role": "assistant", "content": "r"}]),
        json!("[['h', 'r']]"),
    ] {
        let (pairs, report) = rows(&[row(history), row(json!([]))]);
        assert_eq!(roles(&pairs[0].prompt), said, "{}", report.format);
        assert_eq!(roles(&pairs[1].prompt), said[2..], "{}", report.format);
    }
    let (_, report) = rows(&[row(json!([["h", "r"]])), row(json!(["odd"]))]);
    assert_eq!(lines(&report, BadReason::WrongType), [2]);
}

/// Calls of functions are turns, and the functions go to the chat template in their order.
#[test]
fn tools_belong_to_the_prompt() {
    let row = r#"{"tools": [{"type": "function", "function": {"name": "w", "description": "d", "a": 1}}], "prompt": [{"role": "user", "content": "q"}, {"role": "assistant", "tool_calls": [{"function": {"name": "w", "arguments": {"z": 1, "a": 2}}}]}, {"role": "tool", "name": "w", "content": "12"}], "chosen": [{"role": "assistant", "content": "a"}], "rejected": [{"role": "assistant", "content": "b"}]}"#;
    let (pairs, report) = read(row).unwrap();
    let Prompt::Messages(turns) = &pairs[0].prompt else { panic!("{}", report.format) };
    assert_eq!(
        turns.iter().map(|turn| turn.role).collect::<Vec<_>>(),
        [Role::Tools, Role::User, Role::Assistant, Role::Tool]
    );
    assert_eq!(
        turns[0].content,
        r#"[{"type":"function","function":{"name":"w","description":"d","a":1}}]"#
    );
    assert_eq!(
        turns[2].field("tool_calls"),
        Some(r#"[{"function":{"name":"w","arguments":{"z":1,"a":2}}}]"#)
    );
    assert_eq!(turns[3].field("name"), Some("\"w\""));
    assert_says(&report.format, &["`tools`"]);
    assert!(report.notes.is_empty() && report.unread.is_empty());
    let plain =
        json!({"tools": "[{\"name\": \"w\"}]", "prompt": "q", "chosen": "a", "rejected": "b"});
    let (pairs, _) =
        rows(&[plain, json!({"tools": "[]", "prompt": "r", "chosen": "a", "rejected": "b"})]);
    assert_eq!(roles(&pairs[0].prompt)[0], (Role::Tools, "[{\"name\": \"w\"}]".to_owned()));
    assert_eq!(roles(&pairs[1].prompt), [(Role::User, "r".to_owned())]);
    let broken = json!({"tools": "no list", "prompt": "q", "chosen": "a", "rejected": "b"});
    assert_says(&refusal(read(json_lines(&[broken]))), &["`tools`", "a JSON list of functions"]);
}

#[test]
fn parts_of_text_are_text() {
    let say = |role: &str, parts: Value| json!({"role": role, "content": parts});
    let text = |text: &str| json!({"type": "text", "text": text, "image": null});
    let talk = |reply: &str| {
        json!([say("user", json!([text("q"), text("?")])), say("assistant", json!([text(reply)]))])
    };
    let (pairs, _) = rows(&[
        json!({"conversation_a": talk("a"), "conversation_b": talk("b"), "winner": "model_b"}),
    ]);
    assert_eq!(roles(&pairs[0].prompt), [(Role::User, "q?".to_owned())]);
    assert_eq!(pairs[0].responses, ["a", "b"]);
}

/// What a text model cannot see is refused, or left out with a word.
#[test]
fn pictures_are_refused_or_left_out() {
    let picture = |url: &str| json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "q"}]}]);
    let column = json!({"image": {"bytes": null, "path": "x.png"}, "question": "q", "chosen": "a", "rejected": "b"});
    let part = json!({"prompt": picture("x"), "chosen": [{"role": "assistant", "content": "a"}], "rejected": [{"role": "assistant", "content": "b"}]});
    let plain = json!({"images": [], "prompt": "q", "chosen": "a", "rejected": "b"});
    for row in [&column, &part] {
        let all = [row.clone(), row.clone()];
        assert_says(
            &refusal(read(json_lines(&all))),
            &["bad rows (media 2)", "data.media = \"leave-out\""],
        );
        let settings = ReadSettings { media: Media::LeaveOut, ..ReadSettings::default() };
        let (pairs, report) = read_as(&all, &settings).unwrap();
        assert_eq!((pairs.len(), pairs[0].prompt.display().trim_start_matches("User: ")), (2, "q"));
        assert_says(&report.notes[0], &["2 rows have a picture"]);
    }
    assert_eq!(rows(&[plain]).0.len(), 1);
}

/// A column that other programs write into the prompt is named where it is left out.
#[test]
fn what_may_belong_to_the_prompt_is_named() {
    for name in ["documents", "context", "chat_template_kwargs", "passage"] {
        let row = json!({"question": "q", name: "something to read first", "chosen": "a", "rejected": "b"});
        let (_, report) = rows(std::slice::from_ref(&row));
        assert_says(
            &report.notes[0],
            &[&format!("`{name}` may belong to the prompt and is left out"), "data.columns.prompt"],
        );
    }
}

#[test]
fn a_system_column_stands_above_conversations() {
    let talk = |text: &str| json!([{"role": "user", "content": "q"}, {"role": "assistant", "content": text}]);
    for name in ["system", "system_prompt", "custom_system_prompt"] {
        let (pairs, report) = rows(&[
            json!({name: "s", "chosen": talk("a"), "rejected": talk("b")}),
            json!({name: "s", "prompt": "q", "chosen": talk("a"), "rejected": talk("b")}),
        ]);
        for pair in &pairs {
            assert_eq!(
                roles(&pair.prompt),
                [(Role::System, "s".to_owned()), (Role::User, "q".to_owned())],
                "{}",
                report.format
            );
        }
    }
}

/// ms-swift and relatives: the better reply ends the conversation.
#[test]
fn a_conversation_may_end_with_the_better_reply() {
    let talk = json!([{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]);
    let worse = json!([{"role": "user", "content": "q"}, {"role": "assistant", "content": "b"}]);
    for row in [
        json!({"messages": talk, "rejected_response": "b"}),
        json!({"messages": talk, "rejected_messages": worse}),
        json!({"messages": talk, "rejected": {"role": "assistant", "content": "b"}}),
        json!({"query": "q", "response": "a", "rejected_response": "b"}),
        json!({"messages": talk, "chosen": "a", "rejected": "b"}),
    ] {
        let (pairs, report) = rows(std::slice::from_ref(&row));
        assert_eq!(pairs[0].responses, ["a", "b"], "{}", report.format);
        assert_eq!(roles(&pairs[0].prompt), [(Role::User, "q".to_owned())], "{}", report.format);
    }
}
