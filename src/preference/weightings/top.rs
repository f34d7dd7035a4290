//! The surest share alone.

use super::Scheme;
use crate::registry::{About, Constant, Constants};
use crate::settings::{Field, Limits};

pub(super) struct Top;

const SHARE: Constant = Constant {
    field: Field {
        name: "top",
        doc: " The share of pairs that `weight = \"top\"` keeps, those with the largest margins.",
        title: "Top share",
        limits: Limits::SHARE,
        ..Field::BASIC
    },
    default: 0.3,
};

static ABOUT: About = About {
    name: "top",
    aliases: &[],
    title: "top",
    summary: "The share with the largest margins weighs 1, the rest nothing.",
    formula: "1 for the largest margins",
    paper: "arXiv 2603.04968",
    constants: &[SHARE],
};

impl Scheme for Top {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn weight(&self, _log_odds: f64) -> f64 {
        1.0
    }

    /// Ties at the border are resolved by order.
    fn selection(&self, margins: &[f64], constants: &Constants<dyn Scheme>) -> Option<Vec<bool>> {
        let share = constants.get(SHARE.field.name).clamp(0.0, 1.0);
        let count = (share * margins.len() as f64).round() as usize;
        let mut order: Vec<usize> = (0..margins.len()).collect();
        order.sort_by(|&a, &b| margins[b].total_cmp(&margins[a]).then(a.cmp(&b)));
        let mut mask = vec![false; margins.len()];
        for &i in &order[..count] {
            mask[i] = true;
        }
        Some(mask)
    }

    fn words(&self, constants: &Constants<dyn Scheme>) -> String {
        format!(
            "the {:.0} % with the largest margins weigh 1, the others nothing",
            100.0 * constants.get(SHARE.field.name)
        )
    }
}
