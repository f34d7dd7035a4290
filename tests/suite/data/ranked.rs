//! Several answers to one prompt: in a list, in neighbouring rows, in messages with parents.

use confide::data::{Pairing, ReadSettings, Side};
use serde_json::{Value, json};

use super::{assert_says, json_lines, read, read_as, refusal, rows};

/// The pairs of rows as chosen + rejected.
fn read_pairs(all: &[Value], pairing: Pairing) -> (Vec<String>, usize) {
    let settings = ReadSettings { pairing, ..ReadSettings::default() };
    let (pairs, report) = read_as(all, &settings).unwrap_or_else(|e| panic!("{e}"));
    assert!(pairs.iter().all(|pair| pair.label.unwrap().preferred == Side::First));
    let pairs = pairs.iter().map(|pair| pair.responses.concat());
    (pairs.collect(), report.ties)
}

#[test]
fn pairing_says_which_two_make_a_pair() {
    let answers = |scores: [i32; 4]| {
        let answer = |(text, score): (&str, i32)| json!({"response": text, "score": score, "critique": "long words on it"});
        let answers: Vec<_> = ["a", "b", "c", "d"].into_iter().zip(scores).map(answer).collect();
        json!({"instruction": "q", "models": ["m", "n"], "completions": answers})
    };
    let row = [answers([1, 9, 4, 4])];
    assert_eq!(read_pairs(&row, Pairing::Auto), (vec!["ba".to_owned()], 0));
    assert_eq!(read_pairs(&row, Pairing::BestWorst), (vec!["ba".to_owned()], 0));
    assert_eq!(read_pairs(&row, Pairing::Adjacent), (["bc", "da"].map(str::to_owned).to_vec(), 1));
    assert_eq!(
        read_pairs(&row, Pairing::All),
        (["bc", "bd", "ba", "ca", "da"].map(str::to_owned).to_vec(), 1)
    );
    let tie = [answers([3, 3, 3, 3]), answers([1, 2, 3, 4])];
    assert_eq!(read_pairs(&tie, Pairing::Auto), (vec!["da".to_owned()], 1));
}

#[test]
fn ratings_and_ranks_have_many_places() {
    let rank = |text: &str, rank: f64| json!({"answer": text, "model": "x", "rank": rank});
    let vote = |text: &str, score: i32| json!({"text": text, "answer_id": 7, "pm_score": score, "selected": false});
    let all = [
        json!({"prompt": "q", "answers": [rank("b", 2.0), rank("a", 1.0)], "good_natured": true}),
        json!({"question": "q", "answers": [vote("b", 0), vote("a", 5)]}),
        json!({"prompt": "q", "generations": ["b", "a"], "ratings": [1, 4.5]}),
        json!({"prompt": "q", "responses": ["a", "b"], "ranks": [1, 2]}),
        json!({"prompt": "q", "generations": ["b", "a"], "generation_models": ["m", "n"], "rationales": ["x", "y"], "ratings": ["1", "2"]}),
        json!({"prompt": "q", "responses": [{"response": "b", "preferred": false}, {"response": "a", "preferred": true}]}),
        json!({"prompt": "q", "answers": {"text": ["b", "a"], "score": [1, 2]}}),
        json!({"prompt": "q", "responses": [{"role": "assistant", "content": "b", "rating": "2"}, {"role": "assistant", "content": "a", "rating": "5"}]}),
    ];
    for row in all {
        let (pairs, report) = rows(&[row.clone(), row]);
        assert_eq!((pairs.len(), &pairs[0].responses.concat()[..]), (2, "ab"), "{}", report.format);
        assert_eq!(pairs[0].prompt.display(), "q");
        assert!(pairs[0].label.unwrap().margin.unwrap() > 0.0);
    }
}

#[test]
fn lists_of_good_and_bad_answers() {
    let row = json!({"prompt": "q", "chosen": ["a", "b"], "rejected": ["x", "y"], "models": ["m"]});
    let (pairs, _) = rows(std::slice::from_ref(&row));
    let found: Vec<_> = pairs.iter().map(|pair| pair.responses.concat()).collect();
    assert_eq!(found, ["ax", "ay", "bx", "by"]);
    let row = json!({"prompt": "q", "chosen": "a", "rejected": ["x", "y"]});
    let (pairs, _) = rows(std::slice::from_ref(&row));
    let found: Vec<_> = pairs.iter().map(|pair| pair.responses.concat()).collect();
    assert_eq!(found, ["ax", "ay"]);
    let two = json!({"instruction": "q", "input": "", "output": ["better", "worse"]});
    let (pairs, report) = rows(&[two]);
    assert_eq!(pairs[0].responses, ["better", "worse"]);
    assert_eq!(pairs[0].label.unwrap().preferred, Side::First);
    assert_says(&report.format, &["the first taken for the better one"]);
}

#[test]
fn rated_rows_of_one_prompt_are_compared() {
    let row = |prompt: &str, response: &str, helpfulness: i32| json!({"prompt": prompt, "response": response, "helpfulness": helpfulness, "verbosity": 1});
    let all =
        [row("p", "a", 4), row("p", "b", 1), row("r", "c", 2), row("r", "d", 2), row("s", "e", 3)];
    let (pairs, report) = rows(&all);
    assert_eq!(pairs[0].responses, ["a", "b"]);
    assert_eq!((pairs.len(), report.ties, report.bad.len()), (1, 1, 1));
    assert_says(
        &report.format,
        &["answers in `response` to one prompt put together", "`helpfulness`"],
    );
    assert_eq!(report.bad[0].line, 5);
    let alone = [row("p", "a", 4), row("r", "b", 1)];
    assert_says(
        &refusal(read(json_lines(&alone))),
        &["one rated answer in each row", "`helpfulness`"],
    );
}

#[test]
fn messages_with_parents_are_trees() {
    let row = |id: &str, parent: Value, role: &str, text: &str, rank: Value| json!({"message_id": id, "parent_id": parent, "role": role, "text": text, "rank": rank, "lang": "en", "deleted": false});
    let none = Value::Null;
    let all = [
        row("4", json!("3"), "prompter", "and?", none.clone()),
        row("1", none.clone(), "prompter", "q", none.clone()),
        row("2", json!("1"), "assistant", "b", json!(1)),
        row("3", json!("1"), "assistant", "a", json!(0)),
        row("5", json!("4"), "assistant", "y", json!(1)),
        row("6", json!("4"), "assistant", "x", json!(0)),
        row("8", json!("7"), "assistant", "lost", json!(0)),
    ];
    let (pairs, report) = rows(&all);
    let found: Vec<_> = pairs.iter().map(|pair| pair.responses.concat()).collect();
    assert_eq!(found, ["ab", "xy"], "{}", report.format);
    assert_eq!(pairs[1].prompt.display(), "User: q\n\nAssistant: a\n\nUser: and?");
    assert_eq!(report.bad.iter().map(|row| row.line).collect::<Vec<_>>(), [7]);
    let unranked = [
        row("1", none.clone(), "prompter", "q", none.clone()),
        row("2", json!("1"), "assistant", "a", none),
    ];
    assert_says(&refusal(read(json_lines(&unranked))), &["one message in each row", "no `rank`"]);
}

/// A chain of messages, or one that bites its own tail, ends.
#[test]
fn odd_trees_end() {
    let row = |id: usize, parent: Value| json!({"message_id": id.to_string(), "parent_id": parent, "role": "prompter", "text": "t", "rank": 0});
    let chain: Vec<Value> = (0..5000)
        .map(|i| row(i, if i == 0 { Value::Null } else { json!((i - 1).to_string()) }))
        .collect();
    let ring: Vec<Value> = (0..6).map(|i| row(i, json!(((i + 1) % 6).to_string()))).collect();
    for all in [chain, ring] {
        assert_says(&refusal(read(json_lines(&all))), &["no usable pair"]);
    }
}

#[test]
fn what_cannot_be_compared_is_named() {
    let steps = json!({"prompt": "q", "completions": ["one", "two"], "labels": [true, false]});
    assert_says(
        &refusal(read(json_lines(&[steps.clone(), steps]))),
        &["steps of one answer", "`completions`", "`labels`"],
    );
    let many = json!({"prompt": "q", "responses": ["a", "b", "c"]});
    assert_says(
        &refusal(read(json_lines(&[many]))),
        &["`responses`", "no number rates", "data.columns.first"],
    );
}
