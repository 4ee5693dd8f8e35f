//! Points of one metric without their key, and the blocks that they come from.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use entities::{Metric, MetricBlock, ModelId, ObjectId, PointRef};
use store::StoreError;

use crate::fault::damaged;
use crate::several::Several;
use crate::sql::{Connection, Row};

const READ_BLOCKS: &str =
    "SELECT digest, encoded FROM metric_block WHERE number IN (:numbers) ORDER BY number";

/// A point, so that a million of them take 32 MB.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) step: i64,
    pub(crate) timestamp_ms: i64,
    pub(crate) value: f64,
    /// Place of what it speaks of among the subjects beside it; 0 for nothing.
    subject: u32,
}

/// The place of a point in a history by time: NaN stands above all numbers, and both zeros are one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    pub(crate) timestamp_ms: i64,
    pub(crate) step: i64,
    pub(crate) value: f64,
}

impl Place {
    pub(crate) fn of(point: &Point) -> Self {
        Self {
            timestamp_ms: point.timestamp_ms,
            step: point.step,
            value: comparable(point.value),
        }
    }
}

impl Eq for Place {}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.timestamp_ms, self.step)
            .cmp(&(other.timestamp_ms, other.step))
            .then_with(|| self.value.total_cmp(&other.value))
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The order of samples: step, time, value.
pub(crate) fn by_step(one: &Point, other: &Point) -> Ordering {
    (one.step, one.timestamp_ms)
        .cmp(&(other.step, other.timestamp_ms))
        .then_with(|| comparable(one.value).total_cmp(&comparable(other.value)))
}

fn comparable(value: f64) -> f64 {
    if value.is_nan() {
        f64::NAN
    } else {
        // Adding zero turns the negative zero into the positive one.
        value + 0.0
    }
}

/// What a point speaks of: a logged model, and name and digest of a dataset.
type Subject = (Option<ModelId>, Option<(String, String)>);

/// Some points of one metric.
#[derive(Clone, Debug, Default)]
pub(crate) struct Points {
    pub(crate) items: Vec<Point>,
    /// The first stands for place 1.
    subjects: Vec<Subject>,
    places: BTreeMap<Subject, u32>,
}

impl Points {
    /// Adds the points of a key out of the blocks of these numbers, in the order of the numbers.
    pub(crate) fn add_blocks(
        &mut self,
        connection: &dyn Connection,
        blocks: &[i64],
        key: &str,
    ) -> Result<(), StoreError> {
        for some in Several::split(blocks) {
            let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
            let found: Vec<([u8; 32], Vec<u8>)> =
                Several::of(connection, some).list(READ_BLOCKS, read)?;
            if found.len() != some.len() {
                return Err(damaged("a block of metric points is missing"));
            }
            for (digest, encoded) in found {
                if MetricBlock::digest(&encoded) != ObjectId::from_bytes(digest) {
                    let message = "a block of metric points does not have its digest";
                    return Err(damaged(message));
                }
                self.add_encoded(&encoded, key)?;
            }
        }
        Ok(())
    }

    /// Adds the points of a key out of an encoded block.
    pub(crate) fn add_encoded(&mut self, encoded: &[u8], key: &str) -> Result<(), StoreError> {
        MetricBlock::read(encoded, |point| {
            if point.key == key {
                let subject = match subject_of(&point)? {
                    (None, None) => 0,
                    subject => self.place(subject),
                };
                self.items.push(Point {
                    step: point.step,
                    timestamp_ms: point.timestamp_ms,
                    value: point.value,
                    subject,
                });
            }
            Some(())
        })
        .map_err(|error| damaged(error.to_string()))
    }

    /// Orders them by step; of equal ones the first stays.
    pub(crate) fn sort_by_step(&mut self) {
        self.items.sort_by(by_step);
        self.items
            .dedup_by(|later, first| by_step(first, later).is_eq());
    }

    /// Orders them by time; of equal ones the first stays.
    pub(crate) fn sort_by_time(&mut self) {
        self.items.sort_by_key(Place::of);
        self.items
            .dedup_by(|later, first| Place::of(first) == Place::of(later));
    }

    /// A point of these in full.
    pub(crate) fn metric(&self, key: &str, point: &Point) -> Metric {
        let mut metric = Metric::new(key, point.value, point.timestamp_ms, point.step);
        if let Some(place) = (point.subject as usize).checked_sub(1) {
            (metric.model, metric.dataset) = self.subjects[place].clone();
        }
        metric
    }

    /// A point of these in full, without texts of its own.
    pub(super) fn borrowed<'p>(&'p self, key: &'p str, point: &Point) -> PointRef<'p> {
        let subject = (point.subject as usize).checked_sub(1);
        let subject = subject.map(|place| &self.subjects[place]);
        let (model, dataset) = subject.map_or((None, None), |(model, dataset)| {
            let dataset = dataset.as_ref();
            (
                model.as_ref().map(ModelId::as_str),
                dataset.map(|(name, digest)| (name.as_str(), digest.as_str())),
            )
        });
        let Point {
            step,
            timestamp_ms,
            value,
            subject: _,
        } = *point;
        PointRef {
            key,
            value,
            timestamp_ms,
            step,
            model,
            dataset,
        }
    }

    /// Adds other points behind these.
    pub(crate) fn append(&mut self, other: &Self) {
        self.items.reserve(other.items.len());
        for point in &other.items {
            let subject = match (point.subject as usize).checked_sub(1) {
                None => 0,
                Some(place) => self.place(other.subjects[place].clone()),
            };
            self.items.push(Point { subject, ..*point });
        }
    }

    fn place(&mut self, subject: Subject) -> u32 {
        if let Some(place) = self.places.get(&subject) {
            return *place;
        }
        self.subjects.push(subject.clone());
        let place = self.subjects.len() as u32;
        self.places.insert(subject, place);
        place
    }
}

/// `None` where the model's id is none.
fn subject_of(point: &PointRef<'_>) -> Option<Subject> {
    let model = point.model.map(str::parse).transpose().ok()?;
    let dataset = point.dataset;
    let dataset = dataset.map(|(name, digest)| (name.to_owned(), digest.to_owned()));
    Some((model, dataset))
}
