//! Two candidates, and how label columns name the better one.

use confide::data::{BadReason, FileReport, Pair, Side};
use serde_json::{Map, Value, json};

use super::{assert_says, lines, read};

/// Rows with candidates of the given names and one more column for each label.
#[track_caller]
fn labelled(names: [&str; 2], columns: &[&str], labels: &[&[Value]]) -> (Vec<Pair>, FileReport) {
    let row = |(i, labels): (usize, &&[Value])| {
        let mut row = Map::new();
        row.insert("prompt".to_owned(), json!(format!("question {i}")));
        row.insert(names[0].to_owned(), json!("left"));
        row.insert(names[1].to_owned(), json!("right"));
        row.extend(
            columns.iter().zip(*labels).map(|(name, label)| ((*name).to_owned(), label.clone())),
        );
        Value::Object(row).to_string() + "\n"
    };
    read(labels.iter().enumerate().map(row).collect::<String>()).unwrap_or_else(|e| panic!("{e}"))
}

fn sides(pairs: &[Pair]) -> Vec<Option<Side>> {
    pairs.iter().map(|pair| pair.label.map(|label| label.preferred)).collect()
}

const FIRST: Option<Side> = Some(Side::First);
const SECOND: Option<Side> = Some(Side::Second);

#[test]
fn candidates_are_found_by_their_numbers() {
    let names = [
        ["response1", "response2"],
        ["response_0", "response_1"],
        ["output_a", "output_b"],
        ["answerA", "answerB"],
        ["Completion 1", "Completion 2"],
        ["model_a_output", "model_b_output"],
    ];
    for names in names {
        let (pairs, report) = labelled(names, &[], &[&[], &[]]);
        assert_eq!(pairs[0].responses, ["left", "right"], "{names:?}");
        assert_eq!((report.unlabelled, sides(&pairs)), (2, vec![None, None]));
        assert_says(&report.format, &["two candidates", "no labels"]);
    }
}

/// Values of a label column, the labels they stand for, and how many of them are ties.
type Case<'a> = (&'a [Value], &'a [Option<Side>], usize);

#[test]
fn vocabularies_of_labels() {
    let names = ["response_a", "response_b"];
    let cases: &[Case] = &[
        (&[json!(1), json!(2)], &[FIRST, SECOND], 0),
        (&[json!(1), json!(2), json!(0)], &[FIRST, SECOND], 1),
        (&[json!(0), json!(1)], &[FIRST, SECOND], 0),
        (&[json!("1"), json!("2.0")], &[FIRST, SECOND], 0),
        (&[json!(1.0), json!(2.0)], &[FIRST, SECOND], 0),
        (&[json!("A"), json!("b"), json!("Tie")], &[FIRST, SECOND], 1),
        (&[json!("response_a"), json!("response_b")], &[FIRST, SECOND], 0),
        (&[json!("model_b"), json!("tie (bothbad)")], &[SECOND], 1),
        (&[json!("first"), json!("second")], &[FIRST, SECOND], 0),
        (&[json!(1), json!(2), json!(null)], &[FIRST, SECOND, None], 0),
        (&[json!(1), json!(2), json!("")], &[FIRST, SECOND, None], 0),
    ];
    for (values, expected, ties) in cases {
        let rows: Vec<&[Value]> = values.iter().map(std::slice::from_ref).collect();
        let (pairs, report) = labelled(names, &["winner"], &rows);
        assert_eq!(sides(&pairs), *expected, "{values:?} read as {}", report.format);
        assert_eq!(report.ties, *ties, "{values:?}");
        assert_says(&report.format, &["labels in `winner`"]);
    }
}

#[test]
fn a_constant_label_is_read_by_the_names_of_the_candidates() {
    let one: &[Value] = &[json!(1)];
    for (names, expected) in [
        (["response_1", "response_2"], FIRST),
        (["response_0", "response_1"], SECOND),
        (["response_a", "response_b"], None),
    ] {
        let (pairs, report) = labelled(names, &["label"], &[one, one]);
        assert_eq!(sides(&pairs), [expected; 2], "{}", report.format);
    }
}

#[test]
fn values_that_name_no_candidate_are_said() {
    let (pairs, report) =
        labelled(["response1", "response2"], &["preference"], &[&[json!("x")], &[json!("y")]]);
    assert_eq!(sides(&pairs), [None, None]);
    assert_says(&report.format, &["no labels: those in `preference`", "“y” names neither"]);
    assert_says(&report.notes[0], &["data.columns.label", "data.columns.reading"]);
}

#[test]
fn annotators_vote() {
    let columns = ["annotator1", "annotator2", "annotator3"];
    let votes = |votes: [u8; 3]| votes.map(|vote| json!(vote)).to_vec();
    let rows = [[1, 1, 1], [2, 1, 2], [0, 2, 2], [0, 0, 1], [0, 1, 2], [2, 2, 2]].map(votes);
    let rows: Vec<&[Value]> = rows.iter().map(Vec::as_slice).collect();
    let (pairs, report) = labelled(["response1", "response2"], &columns, &rows);
    assert_eq!(sides(&pairs), [FIRST, SECOND, SECOND, SECOND]);
    assert_eq!(report.ties, 2);
    let agreement: Vec<_> = pairs.iter().map(|pair| pair.label.unwrap().agreement).collect();
    assert_eq!(agreement, [1.0, 2.0 / 3.0, 2.0 / 3.0, 1.0]);
}

#[test]
fn a_rare_value_is_a_bad_row() {
    let values: Vec<Value> =
        (0..300).map(|i| if i == 7 { json!(9) } else { json!(i % 2) }).collect();
    let rows: Vec<&[Value]> = values.iter().map(std::slice::from_ref).collect();
    let (_, report) = labelled(["response_a", "response_b"], &["label"], &rows);
    assert_eq!((report.pairs, lines(&report, BadReason::UnknownLabel)), (299, vec![8]));
}

/// Where the file also rates the candidates, the ratings tell what 0 and 1 mean.
#[test]
fn ratings_check_an_index_and_stand_in_for_labels() {
    let columns = ["labels", "score_A", "score_B"];
    let rows: [&[Value]; 2] = [&[json!(1), json!(9), json!(2)], &[json!(0), json!(1), json!(5)]];
    let (pairs, report) = labelled(["human_ref_A", "human_ref_B"], &columns, &rows);
    assert_eq!(sides(&pairs), [FIRST, SECOND]);
    assert_says(&report.format, &["as the ratings show"]);
    let rows: [&[Value]; 3] =
        [&[json!(0.5), json!(-0.5)], &[json!(-1), json!(1)], &[json!(0), json!(0)]];
    let (pairs, report) = labelled(["answer_0", "answer_1"], &["score_0", "score_1"], &rows);
    assert_eq!((sides(&pairs), report.ties), (vec![FIRST, SECOND], 1));
    assert_says(&report.format, &["labels from the higher of `score_0` and `score_1`"]);
}

#[test]
fn marks_beside_each_candidate() {
    let columns = ["winner_model_a", "winner_model_b", "winner_tie"];
    let row = |a, b, tie| [json!(a), json!(b), json!(tie)];
    let rows = [row(1, 0, 0), row(0, 1, 0), row(0, 0, 1)];
    let rows: Vec<&[Value]> = rows.iter().map(|row| row.as_slice()).collect();
    let (pairs, report) = labelled(["response_a", "response_b"], &columns, &rows);
    assert_eq!((sides(&pairs), report.ties), (vec![FIRST, SECOND], 1), "{}", report.format);
    let flags: [&[Value]; 2] = [&[json!(true), json!(false)], &[json!(false), json!(true)]];
    let (pairs, _) = labelled(["response_0", "response_1"], &["better_0", "better_1"], &flags);
    assert_eq!(sides(&pairs), [FIRST, SECOND]);
    // Two annotators that sometimes agree.
    let votes: [&[Value]; 3] =
        [&[json!(1), json!(1)], &[json!(0), json!(0)], &[json!(0), json!(1)]];
    let (pairs, report) =
        labelled(["response_1", "response_2"], &["annotator_1", "annotator_2"], &votes);
    assert_eq!((sides(&pairs), report.ties), (vec![SECOND, FIRST], 1), "{}", report.format);
}

#[test]
fn labels_in_csv_are_texts() {
    let csv = "prompt,answer_0,answer_1,score_0,score_1\nq,a,b,1.5,-2\nr,a,b,0.25,0.5\n";
    assert_eq!(sides(&read(csv).unwrap().0), [FIRST, SECOND]);
    let csv = "prompt,answer_a,answer_b,label\nq,a,b,2\nr,a,b,1\ns,a,b,\n";
    assert_eq!(sides(&read(csv).unwrap().0), [SECOND, FIRST, None]);
}

#[test]
fn the_better_of_two_label_columns_is_taken() {
    let columns = ["safer_response_id", "better_response_id"];
    let rows: [&[Value]; 2] = [&[json!(0), json!(1)], &[json!(1), json!(0)]];
    let (pairs, report) = labelled(["response_0", "response_1"], &columns, &rows);
    assert_eq!(sides(&pairs), [SECOND, FIRST]);
    assert_says(&report.format, &["labels in `better_response_id` (0 or 1"]);
}

/// Numbers from 1 to 2 are nearer to the candidate that they stand for.
#[test]
fn fractions_between_two_candidates() {
    let rows: [&[Value]; 3] = [&[json!(1.1)], &[json!(1.75)], &[json!(1.5)]];
    let (pairs, report) = labelled(["output_1", "output_2"], &["preference"], &rows);
    assert_eq!((sides(&pairs), report.ties), (vec![FIRST, SECOND], 1), "{}", report.format);
    assert_eq!(pairs[1].label.unwrap().agreement, 0.75);
}
