//! Why labels fall as they do: what of a response can be counted, and which of that people and annotators
//! reward (Preference Dissection, arXiv 2402.11296).
//!
//! Each pair is what its two responses differ by in every property; a logistic regression without intercept and
//! with few coefficients other than 0 says what the labels follow. Pure functions of texts and numbers: no files,
//! no tensors.

mod compare;
mod found;
mod logistic;
mod properties;
mod reading;
mod settings;
mod stop_words;

pub use compare::{Both, Compared, dissect, quantile};
pub use found::{Dissection, Effect, Found};
pub use logistic::{Fit, Rows, fit};
pub use properties::{Amount, Property, differences, properties};
pub use reading::{LONGEST, Prompt, Reading};
pub use settings::DissectSettings;
