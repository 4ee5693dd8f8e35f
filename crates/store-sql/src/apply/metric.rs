//! Metric points: the block once, the index of its keys, and the latest point of each.

use std::collections::BTreeMap;

use crate::params;
use crate::sql::ToValue;
use entities::{MetricBlock, MetricBlockError, ModelId, ObjectId, PointRef, RunId};
use store::StoreError;

use super::Applier;
use crate::fault::damaged;

statements! {
    ADD_MODEL_POINT = "INSERT INTO model_metric
            (model, key, dataset_name, dataset_digest, run, value, is_nan, timestamp_ms, step)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
        ON CONFLICT DO NOTHING";
}

row_statements! {
    ADD_BLOCK(5, key 0) = "INSERT INTO metric_block (run, digest, points, encoded, number) :rows RETURNING number";
    ADD_SERIES(3, key 0) = "INSERT INTO metric_series (run, key, block) :rows";
    SET_LATEST(9, key 2) = "INSERT INTO latest_metric
            (run, key, value, is_nan, timestamp_ms, step, model, dataset_name, dataset_digest)
        :rows
        ON CONFLICT (run, key) DO UPDATE SET value = excluded.value, is_nan = excluded.is_nan,
            timestamp_ms = excluded.timestamp_ms, step = excluded.step, model = excluded.model,
            dataset_name = excluded.dataset_name, dataset_digest = excluded.dataset_digest
        WHERE (excluded.step, excluded.timestamp_ms, excluded.is_nan, excluded.value)
            > (latest_metric.step, latest_metric.timestamp_ms, latest_metric.is_nan, latest_metric.value)";
}

impl Applier<'_> {
    pub(super) fn log_metrics(
        &self,
        id: &RunId,
        digest: &ObjectId,
        points: u64,
        encoded: &[u8],
    ) -> Result<(), StoreError> {
        let run = self.get_active_run(id)?;
        // In a database that is rebuilt, the points of a run that was removed later are missing.
        let is_missing = !self.keeps_blocks && encoded.is_empty();
        let block = if is_missing {
            Block::default()
        } else {
            Block::read(digest, points, encoded)?
        };
        let kept: &[u8] = if self.keeps_blocks { encoded } else { &[] };
        let row = params![run, digest.as_bytes(), points as i64, kept];
        let number = self.add_new(&ADD_BLOCK, row)?;
        let series: Vec<[&dyn ToValue; 3]> = block
            .latest
            .keys()
            .map(|key| [&run as _, key as _, &number as _])
            .collect();
        self.send_rows(&ADD_SERIES, &series)?;
        self.set_latest(run, block.latest.values())?;
        let mut of_models = block.of_models.iter();
        of_models.try_for_each(|point| self.add_model_point(run, point))
    }

    /// Points of a block that name a logged model; a repeated request changes nothing.
    pub fn add_model_points(&self, run: i64, encoded: &[u8]) -> Result<(), StoreError> {
        let block = Block::read_points(encoded)
            .map_err(|error| damaged(format!("the points of a run: {error}")))?;
        let mut of_models = block.of_models.iter();
        of_models.try_for_each(|point| self.add_model_point(run, point))
    }

    /// Points of different keys.
    fn set_latest<'p>(
        &self,
        run: i64,
        points: impl Iterator<Item = &'p PointRef<'p>>,
    ) -> Result<(), StoreError> {
        struct Latest<'p> {
            point: &'p PointRef<'p>,
            value: f64,
            is_nan: bool,
            dataset_name: Option<&'p str>,
            dataset_digest: Option<&'p str>,
        }
        let points: Vec<_> = points
            .map(|point| {
                let (value, is_nan) = value_in_columns(point.value);
                Latest {
                    point,
                    value,
                    is_nan,
                    dataset_name: point.dataset.map(|(name, _)| name),
                    dataset_digest: point.dataset.map(|(_, digest)| digest),
                }
            })
            .collect();
        let rows: Vec<[&dyn ToValue; 9]> = points
            .iter()
            .map(|latest| {
                [
                    &run as _,
                    &latest.point.key as _,
                    &latest.value as _,
                    &latest.is_nan as _,
                    &latest.point.timestamp_ms as _,
                    &latest.point.step as _,
                    &latest.point.model as _,
                    &latest.dataset_name as _,
                    &latest.dataset_digest as _,
                ]
            })
            .collect();
        self.send_rows(&SET_LATEST, &rows)
    }

    fn add_model_point(&self, run: i64, point: &PointRef<'_>) -> Result<(), StoreError> {
        let (value, is_nan) = value_in_columns(point.value);
        let (name, digest) = point.dataset.unwrap_or(("", ""));
        let row = params![
            point.model,
            point.key,
            name,
            digest,
            run,
            value,
            is_nan,
            point.timestamp_ms,
            point.step,
        ];
        self.send(ADD_MODEL_POINT, row)
    }
}

fn value_in_columns(value: f64) -> (f64, bool) {
    if value.is_nan() {
        (0.0, true)
    } else {
        (value, false)
    }
}

/// What rows follow from the points of a block.
#[derive(Default)]
struct Block<'b> {
    count: u64,
    /// Of each key; of two that are equally late the first, so that a repeated request changes nothing.
    latest: BTreeMap<&'b str, PointRef<'b>>,
    /// Those that name a logged model.
    of_models: Vec<PointRef<'b>>,
}

impl<'b> Block<'b> {
    fn read(digest: &ObjectId, points: u64, encoded: &'b [u8]) -> Result<Self, StoreError> {
        let refuse = |message| StoreError::Query { message };
        let found = MetricBlock::digest(encoded);
        if found != *digest {
            let message =
                format!("a metric block has digest `{found}`, its change says `{digest}`");
            return Err(refuse(message));
        }
        let block = Self::read_points(encoded).map_err(|error| refuse(error.to_string()))?;
        let count = block.count;
        if count != points {
            let message =
                format!("metric block `{digest}` holds {count} points, its change says {points}");
            return Err(refuse(message));
        }
        Ok(block)
    }

    fn read_points(encoded: &'b [u8]) -> Result<Self, MetricBlockError> {
        let mut block = Self::default();
        MetricBlock::read(encoded, |point| {
            block.count += 1;
            block
                .latest
                .entry(point.key)
                .and_modify(|there| {
                    if point.latest_order(there).is_gt() {
                        *there = point;
                    }
                })
                .or_insert(point);
            if let Some(model) = point.model {
                model.parse::<ModelId>().ok()?;
                block.of_models.push(point);
            }
            Some(())
        })?;
        Ok(block)
    }
}
