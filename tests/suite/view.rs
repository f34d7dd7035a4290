//! What is kept of a run's events.

use std::collections::BTreeMap;

use confide::run::{Event, MOST_POINTS, Metrics, RunView, Stage};
use proptest::prelude::*;

fn fold(view: &mut RunView, step: u64, value: f64) {
    let mut metrics = Metrics::default();
    metrics.set("loss", value);
    view.apply(Event::Step { stage: Stage::POLICY, step, metrics });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// However long a run is, its newest numbers are exact, its spikes and what is no number stay on show,
    /// and nothing is made up.
    #[test]
    fn long_curves_are_thinned_and_hide_nothing(
        steps in 1..150_000_u64,
        seed in any::<u32>(),
        odd in prop::collection::btree_map(1..150_000_u64, prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e9, -1e9]), 0..4),
        again in 0..5_000_u64,
    ) {
        let value = |step: u64| {
            let noise = (step as u32).wrapping_mul(2_654_435_761).wrapping_add(seed) % 1000;
            odd.get(&step).copied().unwrap_or(f64::from(noise) / 1000.0)
        };
        let mut view = RunView::default();
        (1..=steps).for_each(|step| fold(&mut view, step, value(step)));
        // A resumed run repeats what came after its checkpoint.
        (steps.saturating_sub(again).max(1)..=steps).for_each(|step| fold(&mut view, step, value(step)));

        let curve = &view.curves[&Stage::POLICY]["loss"];
        prop_assert!(curve.len() <= MOST_POINTS);
        prop_assert!(curve.windows(2).all(|w| w[0][0] < w[1][0]), "points stay in order");
        let same = |a: f64, b: f64| a.to_bits() == b.to_bits();
        prop_assert!(curve.iter().all(|[step, found]| same(*found, value(*step as u64))));
        let newest = curve.iter().rev().zip((1..=steps).rev()).take(MOST_POINTS / 4);
        for (point, step) in newest {
            prop_assert_eq!(point[0], step as f64);
        }
        let at: BTreeMap<u64, f64> = curve.iter().map(|p| (p[0] as u64, p[1])).collect();
        let told: Vec<f64> = (1..=steps).map(value).filter(|v| v.is_finite()).collect();
        for extreme in [told.iter().copied().fold(f64::NAN, f64::min), told.iter().copied().fold(f64::NAN, f64::max)] {
            prop_assert!(extreme.is_nan() || at.values().any(|v| *v == extreme));
        }
        let no_numbers = |values: &mut dyn Iterator<Item = f64>| values.filter(|v| !v.is_finite()).count();
        let (all, kept) = (no_numbers(&mut (1..=steps).map(value)), no_numbers(&mut at.values().copied()));
        prop_assert!(kept > 0 || all == 0);
        prop_assert_eq!(view.latest[&Stage::POLICY].0, steps);
    }
}
