//! The history of a metric, out of the blocks that hold points of its key.
//!
//! Blocks come in the order of their earliest point; a point is given out once every block that may hold an
//! earlier one has been read, so a page costs what it holds, not what the whole history does.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::params;
use crate::sql::{self, Connection, Row};
use entities::{Metric, MetricBlock, ObjectId, RunId};
use store::{Page, PageRequest, StoreError};

use super::find_row;
use crate::fault::{damaged, database_fault};

statements! {
    FIND_RUN = "SELECT number FROM run WHERE id = ?1";
    LIST_SERIES = "SELECT earliest_ms, block FROM metric_series
        WHERE run = ?1 AND key = ?2 AND latest_ms >= ?3 AND (earliest_ms, block) > (?4, ?5)
        ORDER BY earliest_ms, block
        LIMIT ?6";
    FIND_BLOCK = "SELECT digest, encoded FROM metric_block WHERE number = ?1";
}

/// How many blocks are looked up at once.
const BLOCKS_AT_ONCE: i64 = 1000;

/// The place of a point in a history: NaN stands above all numbers, and both zeros are one.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Place {
    timestamp_ms: i64,
    step: i64,
    value: f64,
}

impl Place {
    fn of(point: &Metric) -> Self {
        // Adding zero turns the negative zero into the positive one.
        let value = if point.value.is_nan() {
            f64::NAN
        } else {
            point.value + 0.0
        };
        Self {
            timestamp_ms: point.timestamp_ms,
            step: point.step,
            value,
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

/// A page of a key's points by time, step and value, each once.
pub(super) fn list_points(
    connection: &dyn Connection,
    run: &RunId,
    key: &str,
    page: &PageRequest,
) -> Result<Page<Metric>, StoreError> {
    let after = match &page.token {
        Some(token) => Some(read_token(run, key, token)?),
        None => None,
    };
    let number: Option<i64> = find_row(connection, FIND_RUN, [run.as_str()], |row| row.get(0))?;
    let Some(number) = number else {
        return Err(StoreError::NoRun { id: run.clone() });
    };
    let mut points = collect_points(connection, number, key, after, page.limit)?;
    let has_more = points.len() > page.limit;
    points.truncate(page.limit);
    let next = match points.last() {
        Some((place, _)) if has_more => Some(write_token(run, key, place)),
        _ => None,
    };
    Ok(Page {
        items: points.into_iter().map(|(_, point)| point).collect(),
        next,
    })
}

/// Points after a place, in order: more than `limit` where there are more.
fn collect_points(
    connection: &dyn Connection,
    run: i64,
    key: &str,
    after: Option<Place>,
    limit: usize,
) -> Result<Vec<(Place, Metric)>, StoreError> {
    let fault = || database_fault("reading the history of a metric");
    let from_ms = after.map_or(i64::MIN, |place| place.timestamp_ms);
    let mut ready = Vec::new();
    let mut waiting: BTreeMap<Place, Metric> = BTreeMap::new();
    let mut last = (i64::MIN, i64::MIN);
    loop {
        let next = params![run, key, from_ms, last.0, last.1, BLOCKS_AT_ONCE];
        let blocks: Vec<(i64, i64)> = connection
            .list(LIST_SERIES, next, |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(fault())?;
        for &(earliest_ms, block) in &blocks {
            release_before(&mut waiting, earliest_ms, &mut ready);
            if ready.len() > limit {
                return Ok(ready);
            }
            for point in read_block(connection, block)?.points {
                let place = Place::of(&point);
                if point.key == key && after.is_none_or(|after| place > after) {
                    waiting.entry(place).or_insert(point);
                }
            }
        }
        match blocks.last() {
            Some(block) if blocks.len() as i64 == BLOCKS_AT_ONCE => last = *block,
            _ => break,
        }
    }
    ready.extend(waiting);
    Ok(ready)
}

/// Moves the points that no later block can precede.
fn release_before(
    waiting: &mut BTreeMap<Place, Metric>,
    earliest_ms: i64,
    ready: &mut Vec<(Place, Metric)>,
) {
    while let Some(entry) = waiting.first_entry() {
        if entry.key().timestamp_ms >= earliest_ms {
            return;
        }
        ready.push(entry.remove_entry());
    }
}

/// Reads a block and checks it against its digest.
fn read_block(connection: &dyn Connection, number: i64) -> Result<MetricBlock, StoreError> {
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let found: Option<([u8; 32], Vec<u8>)> = find_row(connection, FIND_BLOCK, [number], read)?;
    let Some((digest, encoded)) = found else {
        return Err(damaged(format!("metric block {number} is missing")));
    };
    if MetricBlock::digest(&encoded) != ObjectId::from_bytes(digest) {
        return Err(damaged(format!(
            "metric block {number} does not have its digest"
        )));
    }
    MetricBlock::decode(&encoded).map_err(|error| damaged(error.to_string()))
}

/// Reads a value out of the two columns that it stands in.
pub(super) fn read_value(row: &Row<'_>, column: usize) -> sql::Result<f64> {
    if row.get(column + 1)? {
        Ok(f64::NAN)
    } else {
        row.get(column)
    }
}

fn write_token(run: &RunId, key: &str, place: &Place) -> String {
    let Place {
        timestamp_ms,
        step,
        value,
    } = place;
    let series = series_name(run, key);
    format!("{timestamp_ms},{step},{:016x},{series}", value.to_bits())
}

fn read_token(run: &RunId, key: &str, token: &str) -> Result<Place, StoreError> {
    let refuse = || StoreError::PageToken {
        token: token.to_owned(),
    };
    let parts: Vec<_> = token.split(',').collect();
    let [timestamp_ms, step, value, series] = parts.as_slice() else {
        return Err(refuse());
    };
    if *series != series_name(run, key) {
        return Err(refuse());
    }
    let bits = u64::from_str_radix(value, 16).map_err(|_| refuse())?;
    Ok(Place {
        timestamp_ms: timestamp_ms.parse().map_err(|_| refuse())?,
        step: step.parse().map_err(|_| refuse())?,
        value: f64::from_bits(bits),
    })
}

/// Ties a token to its run and key.
fn series_name(run: &RunId, key: &str) -> String {
    ObjectId::of(format!("{run}/{key}").as_bytes()).short()
}
