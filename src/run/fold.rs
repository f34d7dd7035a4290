//! The report, folded from events alone: what a run tells is what it reports.

use serde_json::Value;

use super::event::Event;
use super::report::Report;
use crate::finite::Json;

impl Report {
    /// Take in what an event tells.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Started { recipe, device, .. } => {
                self.name.clone_from(&recipe.name);
                self.device.clone_from(device);
                recipe.annotator.kind.name().clone_into(&mut self.annotator.kind);
                self.policy.objective = recipe.policy.objective.name();
            }
            Event::Data { summary } => self.data.summary = summary.clone(),
            Event::Lengths { model, lengths } => {
                self.data.lengths.insert(model.clone(), lengths.clone());
            }
            Event::Prompts { model, written } => {
                self.prompts.insert(model.clone(), written.clone());
            }
            Event::Warning { message, passing: false } if !self.warnings.contains(message) => {
                self.warnings.push(message.clone());
            }
            Event::Step { metrics, .. } => {
                if let Some(share) = metrics.get("weight/kept") {
                    self.policy.kept = Some(self.policy.kept.unwrap_or_default().and(share));
                }
            }
            Event::Measured { name, value, interval } => {
                self.set(name, number(*value));
                if let Some(interval) = interval {
                    self.intervals.insert(name.clone(), *interval);
                }
            }
            Event::Tabulated { name, table } => self.set(name, table.clone()),
            // A run of 0.1.0 tells its report at its end alone.
            Event::Finished { report } => *self = (**report).clone(),
            _ => {}
        }
    }

    /// Of a whole run, or as much of it as has been told.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut report = Self::default();
        events.into_iter().for_each(|event| report.apply(event));
        report
    }

    /// Put a value into its place; what has none stands in `measured`.
    fn set(&mut self, name: &str, value: Value) {
        let Ok(mut tree) = serde_json::to_value(&*self) else { return };
        let mut place = Some(&mut tree);
        for part in name.split('.') {
            place = place.and_then(Value::as_object_mut).map(|inner| {
                inner.entry(part).or_insert_with(|| Value::Object(serde_json::Map::new()))
            });
        }
        if let Some(place) = place {
            *place = value.clone();
        }
        let pointer = format!("/{}", name.replace('.', "/"));
        let taken = serde_json::from_value::<Self>(tree).ok().filter(|report| {
            let known = serde_json::to_value(report).unwrap_or_default();
            known.pointer(&pointer).is_some()
        });
        match taken {
            Some(report) => *self = report,
            None => drop(self.measured.insert(name.to_owned(), value)),
        }
    }
}

/// A number as JSON has it; counts are whole.
fn number(value: f64) -> Value {
    const MOST: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < MOST {
        return Value::from(value as i64);
    }
    serde_json::to_value(Json(value)).unwrap_or_default()
}
