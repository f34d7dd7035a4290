//! Several annotators at once: the settings.

use crate::preference::Combine;
use crate::settings::{Holds, Words, settings};

settings! {
    /// How annotators are combined.
    pub struct Combining {
        /// How annotator.kind and those of annotator.with label together, from each one's log-odds z_k that the first response is better (calibrated, each by itself, where confidence.temperature = "fit" or confidence.calibration = "isotonic"). none: annotator.kind labels alone. mean: by the mean of z_k. product: by their sum, a product of experts (Hinton 2002), which is too sure where they err together; confidence.temperature = "fit" corrects that. dawid-skene: by each one's label alone, which counts by how often it is estimated to be right, from agreement on the unlabelled split and without human labels (Dawid and Skene 1979); it takes three or more, and is too sure where they err together. Where an annotator says nothing, the others decide. Each one's z_k and how far they disagree (the variance of σ(z_k)) stand in the table: z_length, z_table_1, …, disagreement.
        pub combine: Combine = Combine::None => {
            title: "Combine annotators",
            words: Words::Of(&[
                ("none", "one alone"),
                ("mean", "mean of their log-odds"),
                ("dawid-skene", "by estimated accuracies (Dawid–Skene)"),
                ("product", "sum of their log-odds (product of experts)"),
            ]),
            advanced: true,
        },
        /// Annotators to combine with annotator.kind: names of those that look at texts alone (length, random), and folders of earlier runs, or their annotations.parquet, whose annotators said something of the same pairs. A run with policy.epochs = 0 is one that annotates alone. Its pairs are the same with the same data, seed and shares; where calibration is on here, it has to be on there, so that the same pairs are kept apart. What is neither is read as a path; write ./length for a folder of that name.
        pub with: Vec<String> = Vec::new() => {
            title: "With",
            holds: Holds::Models,
            zero: "nobody",
            advanced: true,
        },
    }
}
