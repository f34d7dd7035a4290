//! The table of annotations: read by names, old ones too.

use std::collections::BTreeMap;

use confide::data::{AnnotatedPair, Side, read_annotations, write_annotations};
use proptest::prelude::*;

use crate::common::repository;

fn pairs() -> impl Strategy<Value = Vec<AnnotatedPair>> {
    let columns = proptest::collection::btree_map(
        proptest::sample::select(vec!["spread", "votes of 3", "scores.other", "margin"]),
        -1e6..1e6f64,
        0..3,
    );
    let pair = (any::<Option<u32>>(), ".{0,20}", any::<[bool; 3]>(), -50f32..50.0, columns);
    let pair = pair.prop_map(|(id, text, [known, first, label], score, columns)| AnnotatedPair {
        pair: id.map(u64::from),
        split: "unlabelled".to_owned(),
        prompt: text.clone(),
        responses: [format!("{text}1"), format!("{text}2")],
        human: known.then_some(if first { Side::First } else { Side::Second }),
        scores: [score, 0.25],
        label: if label { Side::First } else { Side::Second },
        margin: f64::from(score).abs() / 3.0,
        columns: columns.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    });
    proptest::collection::vec(pair, 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn what_is_written_is_read(mut pairs in pairs()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("annotations.parquet");
        write_annotations(&path, &pairs).unwrap();
        // A name that every table has is no column of the annotator's own.
        for pair in &mut pairs {
            pair.columns.remove("margin");
        }
        prop_assert_eq!(read_annotations(&path).unwrap(), pairs);
    }
}

/// Written by the first version, which had neither ids nor columns of its own.
#[test]
fn tables_of_the_first_version_open() {
    let found = read_annotations(&repository("fuzz/corpus/annotations/demo.parquet")).unwrap();
    assert!(!found.is_empty());
    for pair in found {
        assert_eq!((pair.pair, pair.columns), (None, BTreeMap::new()));
        let [first, second] = pair.scores.map(f64::from);
        assert!((pair.margin - (first - second).abs()).abs() < 1e-6, "{}", pair.margin);
    }
}
