//! The first step of alignment: the policy is its reference, whatever it drops elsewhere.

use confide::run::{Metrics, Stage};

use super::*;

const TUNED: [(&str, &str); 8] = [
    ("sft.steps", "3"),
    ("sft.epochs", "1"),
    ("sft.learning_rate", "5e-2"),
    ("sft.warmup_steps", "0"),
    ("sft.batch_size", "4"),
    ("policy.lora.rank", "4"),
    ("policy.lora.targets", "all-linear"),
    ("policy.learning_rate", "1e-3"),
];

fn steps(outcome: &Outcome, stage: Stage) -> Vec<Metrics> {
    let of_stage = |event: &Event| match event {
        Event::Step { stage: s, metrics, .. } if *s == stage => Some(metrics.clone()),
        _ => None,
    };
    outcome.events.iter().filter_map(of_stage).collect()
}

#[test]
fn a_tuned_adapter_that_drops_inputs_begins_at_the_logarithm_of_two() {
    let model = Model::llama();
    let pairs = some_pairs(model.path());
    for (dropout, precision, recompute) in
        [("0.05", "f32", "always"), ("0.4", "f32", "never"), ("0.2", "int8", "always")]
    {
        let with = |disable: &str| {
            let more = [
                ("policy.lora.dropout", dropout),
                ("policy.precision", precision),
                ("policy.recompute", recompute),
                ("policy.disable_dropout", disable),
            ];
            let outcome = run(model.path(), &pairs, &[&TUNED[..], &more].concat());
            outcome.report.as_ref().unwrap();
            let config = outcome.folder.join("policy/adapter_config.json");
            let config: Value = serde_json::from_slice(&std::fs::read(config).unwrap()).unwrap();
            assert_eq!(config["lora_dropout"].to_string(), dropout, "it is the adapter's still");
            (steps(&outcome, Stage::SFT), steps(&outcome, Stage::POLICY))
        };
        let (_, off) = with("true");
        let what = format!("{dropout} {precision}");
        for key in ["rewards/chosen", "rewards/rejected", "rewards/margins"] {
            assert_eq!(off[0].get(key), Some(0.0), "{what} {key}");
        }
        let loss = |steps: &[Metrics]| steps[0].get("loss").unwrap();
        assert!((loss(&off) - std::f64::consts::LN_2).abs() < 1e-6, "{what}: {}", loss(&off));
        let (sft, on) = with("false");
        assert!((loss(&on) - std::f64::consts::LN_2).abs() > 1e-6, "{what}: nothing was dropped");
        // SFT drops in both, which shows as soon as the adapter adds anything.
        let more = [("policy.lora.dropout", "0.0"), ("policy.precision", precision)];
        let outcome = run(model.path(), &pairs, &[&TUNED[..], &more].concat());
        assert_ne!(steps(&outcome, Stage::SFT)[2].get("loss"), sft[2].get("loss"), "{what}");
    }
}
