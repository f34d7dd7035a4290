//! What labels reward: properties of texts, sparse regressions, intervals, and whole runs.

mod properties;
mod regression;
mod runs;
