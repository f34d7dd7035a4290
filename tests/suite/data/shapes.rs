//! Shapes of rows, on small files that hold nothing else.

use confide::data::{BadReason, Message, Prompt, Role, Side};
use serde_json::{Value, json};

use super::{assert_says, json_lines, lines, read, refusal, rows};

fn text(text: &str) -> Prompt {
    Prompt::Text(text.to_owned())
}

fn turns(turns: &[(Role, &str)]) -> Prompt {
    Prompt::Messages(turns.iter().map(|(role, text)| Message::new(*role, *text)).collect())
}

#[test]
fn transcripts_keep_every_character() {
    let prompt = "\n\nHuman: a?\n\nAssistant: b \n\nHuman:  c?\n\nAssistant:";
    let (pairs, _) = rows(&[json!({
        "chosen": format!("{prompt}  yes \n"),
        "rejected": format!("{prompt} no"),
    })]);
    assert_eq!(pairs[0].prompt, text(prompt));
    assert_eq!(pairs[0].responses, ["  yes \n", " no"]);
}

#[test]
fn bad_transcripts_are_listed_by_line() {
    let side = |reply: &str| format!("\n\nHuman: q\n\nAssistant:{reply}");
    let (pairs, report) = rows(&[
        json!({"chosen": side(" a"), "rejected": side(" b")}),
        json!({"chosen": side(" \n"), "rejected": side(" b")}),
        json!({"chosen": side(" a"), "rejected": "\n\nHuman: other\n\nAssistant: b"}),
        json!({"chosen": side(" a"), "rejected": side(" a")}),
        json!({"chosen": side(" a"), "rejected": side(" more\n\nHuman: and?\n\nAssistant: b")}),
        json!({"chosen": true, "rejected": side(" b")}),
        json!({"chosen": side(" a")}),
        json!({"chosen": "no turns", "rejected": side(" b")}),
        json!({"chosen": side(" c"), "rejected": side(" d")}),
    ]);
    assert_eq!(pairs.iter().map(|pair| pair.source.line).collect::<Vec<_>>(), [1, 9]);
    assert_eq!(lines(&report, BadReason::EmptyResponse), [2]);
    assert_eq!(lines(&report, BadReason::PromptsDiffer), [3, 5, 8]);
    assert_eq!(lines(&report, BadReason::IdenticalResponses), [4]);
    assert_eq!(lines(&report, BadReason::WrongType), [6]);
    assert_eq!(lines(&report, BadReason::MissingField), [7]);
    let detail = &report.bad.iter().find(|row| row.line == 6).unwrap().detail;
    assert_says(detail, &["`chosen`", "true (boolean)", "expected text"]);
}

#[test]
fn prompts_are_found_under_many_names() {
    for name in [
        "prompt",
        "instruction",
        "question",
        "query",
        "request",
        "post",
        "context",
        "user_prompt",
        "Question",
    ] {
        let (pairs, report) =
            rows(&[json!({name: "q", "chosen": "a", "rejected": "b", "id": "x"})]);
        assert_eq!(pairs[0].prompt, text("q"), "{name}");
        assert_says(&report.format, &[&format!("`{name}`")]);
    }
}

/// A column of any name is the prompt if it is the only one that could be.
#[test]
fn a_prompt_is_found_by_content() {
    let row = |i: u32| {
        let task = format!("Write a very short poem about the number {i}, please, and rhyme it.");
        json!({"task": task, "chosen": format!("a{i}"), "rejected": "b", "model": "m"})
    };
    let (pairs, _) = rows(&[row(1), row(2), row(3)]);
    assert_says(&pairs[2].prompt.display(), &["number 3"]);
}

#[test]
fn better_and_worse_have_many_names() {
    let names = [
        ("response_j", "response_k"),
        ("better_answer", "worse_answer"),
        ("winning", "losing"),
        ("accepted", "rejected"),
        ("chosenResponse", "rejectedResponse"),
        ("answer_matching", "answer_not_matching"),
    ];
    for (better, worse) in names {
        let (pairs, _) = rows(&[json!({"prompt": "q", worse: "b", better: "a"})]);
        assert_eq!(pairs[0].responses, ["a", "b"], "{better}");
        assert_eq!(pairs[0].label.unwrap().preferred, Side::First);
    }
}

/// Names and explanations of the models stand in columns with like names.
#[test]
fn responses_are_told_from_what_is_said_of_them() {
    let long = "an explanation that is much longer than the response itself";
    let message = |text: &str| json!([{"role": "user", "content": "q"}, {"role": "assistant", "content": text}]);
    let about = json!({"prompt": "q", "chosen_model": "m1", "rejected_model": "m2",
        "chosen_explanation": long, "rejected_explanation": "short", "chosen": "a", "rejected": "b"});
    let models = json!({"model_a": "m1", "model_b": "m2", "conversation_a": message("a"), "conversation_b": message("b")});
    let named = json!({"prompt": "q", "better_response": "a", "worse_response": "b",
        "better_model": long, "worse_model": "short"});
    for row in [about, models, named] {
        let (pairs, _) = rows(std::slice::from_ref(&row));
        assert_eq!(pairs[0].responses, ["a", "b"], "{row}");
    }
}

#[test]
fn an_instruction_goes_before_its_input() {
    let (pairs, report) = rows(&[
        json!({"instruction": "Add.", "input": "1 and 2", "chosen": "3", "rejected": "4"}),
        json!({"instruction": "Sing.", "input": "", "chosen": "la", "rejected": "no"}),
        json!({"instruction": "Sing.", "input": 7, "chosen": "la", "rejected": "no"}),
    ]);
    assert_eq!(pairs[0].prompt, text("Add.\n\n1 and 2"));
    assert_eq!(pairs[1].prompt, text("Sing."));
    assert_eq!(lines(&report, BadReason::WrongType), [3]);
}

#[test]
fn responses_that_repeat_the_prompt_lose_it() {
    let (pairs, report) = rows(&[
        json!({"prompt": "One plus one is", "chosen": "One plus one is two", "rejected": "One plus one is ten"}),
        json!({"prompt": "The sky is", "chosen": "The sky is blue", "rejected": "The sky is red"}),
    ]);
    assert_eq!(pairs[0].responses, [" two", " ten"]);
    assert_says(&report.format, &["which both repeat"]);
}

#[test]
fn messages_share_their_prompt() {
    let user = json!({"role": "user", "content": "q"});
    let reply = |text: &str| json!({"role": "assistant", "content": text});
    let expected = turns(&[(Role::User, "q")]);
    let whole = json!({"chosen": [user, reply("a")], "rejected": [user, reply("b")]});
    let with_text =
        json!({"prompt": "q", "chosen": [user, reply("a")], "rejected": [user, reply("b")]});
    let continued = json!({"prompt": [user], "chosen": [reply("a")], "rejected": [reply("b")]});
    let single = json!({"messages": [user], "chosen": reply("a"), "rejected": reply("b")});
    for row in [whole, with_text, continued, single] {
        let (pairs, _) = rows(std::slice::from_ref(&row));
        assert_eq!(pairs[0].prompt, expected, "{row}");
        assert_eq!(pairs[0].responses, ["a", "b"]);
    }
    let (pairs, _) = rows(&[json!({"system": "s", "prompt": "q", "chosen": "a", "rejected": "b"})]);
    assert_eq!(pairs[0].prompt, turns(&[(Role::System, "s"), (Role::User, "q")]));
    let system = json!({"role": "system", "content": "s"});
    let (pairs, _) = rows(&[
        json!({"prompt": [system], "chosen": [user, reply("a")], "rejected": [user, reply("b")]}),
    ]);
    assert_eq!(pairs[0].prompt, turns(&[(Role::System, "s"), (Role::User, "q")]));
}

#[test]
fn bad_conversations_are_told_apart() {
    let say = |role: &str, text: &str| json!({"role": role, "content": text});
    let good = |text: &str| vec![say("user", "q"), say("assistant", text)];
    let (pairs, report) = rows(&[
        json!({"chosen": good("a"), "rejected": good("b")}),
        json!({"chosen": good("a"), "rejected": good("a")}),
        json!({"chosen": good("a"), "rejected": good(" ")}),
        json!({"chosen": good("a"), "rejected": [say("user", "other"), say("assistant", "b")]}),
        json!({"chosen": good("a"), "rejected": [say("user", "q"), say("tool", "b")]}),
        json!({"chosen": good("a"), "rejected": [say("user", "q"), say("user", "b")]}),
        json!({"chosen": good("a"), "rejected": [say("user", "q"), 3]}),
        json!({"chosen": good("a"), "rejected": "b"}),
        json!({"chosen": [say("assistant", "a")], "rejected": [say("assistant", "b")]}),
        json!({"chosen": [], "rejected": []}),
        json!({"chosen": good("a"), "rejected": good("c")}),
    ]);
    assert_eq!(pairs.len(), 2);
    assert_eq!(lines(&report, BadReason::IdenticalResponses), [2]);
    assert_eq!(lines(&report, BadReason::EmptyResponse), [3, 10]);
    assert_eq!(lines(&report, BadReason::PromptsDiffer), [4]);
    assert_eq!(lines(&report, BadReason::WrongType), [5, 6, 7, 8]);
    assert_eq!(lines(&report, BadReason::EmptyPrompt), [9]);
}

#[test]
fn an_empty_prompt_is_bad() {
    let (_, report) = rows(&[
        json!({"prompt": " ", "chosen": "a", "rejected": "b"}),
        json!({"prompt": "q", "chosen": "a", "rejected": "b"}),
        json!({"prompt": null, "chosen": "a", "rejected": "b"}),
    ]);
    assert_eq!(lines(&report, BadReason::EmptyPrompt), [1]);
    assert_eq!(lines(&report, BadReason::WrongType), [3]);
}

#[test]
fn incorrect_answers_may_be_a_list() {
    let (pairs, _) = rows(&[json!({
        "question": "q", "best_answer": "a", "correct_answers": ["a", "c"], "incorrect_answers": ["x", "y"],
    })]);
    assert_eq!(pairs.iter().map(|pair| pair.responses[1].as_str()).collect::<Vec<_>>(), ["x", "y"]);
    assert!(pairs.iter().all(|pair| pair.responses[0] == "a" && pair.source.line == 1));
}

#[test]
fn ranked_replies_make_ordered_pairs() {
    let reply = |text: &str, rank: Value, replies: Value| {
        let role = "assistant";
        json!({"text": text, "role": role, "rank": rank, "replies": replies})
    };
    let below = json!([{"text": "and?", "role": "prompter", "replies":
        [reply("x", json!(1), json!([])), reply("y", json!(0), json!([])), reply("z", Value::Null, json!([]))]}]);
    let tree = json!({"text": "q", "role": "prompter", "replies": [
        reply("b", json!(1), json!([])), reply("a", json!(0), below), reply("c", json!(2), json!([]))]});
    let (pairs, _) = rows(&[json!({"message_tree_id": "t", "prompt": tree})]);
    let responses: Vec<_> = pairs.iter().map(|pair| pair.responses.concat()).collect();
    assert_eq!(responses, ["ab", "ac", "bc", "yx"]);
    assert_eq!(
        pairs[3].prompt,
        turns(&[(Role::User, "q"), (Role::Assistant, "a"), (Role::User, "and?")])
    );
}

#[test]
fn rows_without_pairs_are_refused_in_words() {
    let kto = refusal(read(json_lines(&[
        json!({"prompt": "q", "completion": "a", "label": true}),
        json!({"prompt": "r", "completion": "b", "label": false}),
    ])));
    assert_says(
        &kto,
        &["unpaired data", "`completion`", "`label`", "join two rows with the same prompt"],
    );
    let three = json!({"prompt": "q", "response_1": "a", "response_2": "b", "response_3": "c"});
    assert_says(&refusal(read(json_lines(&[three]))), &["more than two responses", "`response_3`"]);
    let bare = json!({"chosen": "a", "rejected": "b"});
    assert_says(
        &refusal(read(json_lines(&[bare]))),
        &["without a column for the prompt", "add a column `prompt`"],
    );
    let other = json!({"temperature": 3, "place": "x"});
    assert_says(
        &refusal(read(json_lines(&[other]))),
        &["`place` (text)", "`temperature` (number)", "Try: name"],
    );
    let bad = json!({"prompt": "q", "chosen": "a", "rejected": "a"});
    let message = refusal(read(json_lines(&[bad.clone(), bad])));
    assert_says(&message, &["no usable pair", "2 bad rows (identical_responses 2)", "line 1"]);
}
