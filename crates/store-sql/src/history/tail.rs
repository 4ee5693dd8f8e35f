//! A history as it can be read now: its copy, and what came since.

use store::StoreError;

use super::chunks::Ranked;
use super::points::{Place, Points, by_step};
use crate::fault::database_fault;
use crate::params;
use crate::sql::Connection;

/// Blocks and points, of all keys, that are read beside the copy; what is more is worked in first.
const TAIL_BLOCKS: usize = 64;
const TAIL_POINTS: i64 = 16_384;

statements! {
    LIST_TAIL = "SELECT metric_series.block, metric_block.points
        FROM metric_series JOIN metric_block ON metric_block.number = metric_series.block
        WHERE metric_series.run = ?1 AND metric_series.key = ?2 AND metric_series.block > ?3
        ORDER BY metric_series.block
        LIMIT ?4";
    LIST_BLOCKS = "SELECT block FROM metric_series WHERE run = ?1 AND key = ?2 AND block > ?3 AND block <= ?4
        ORDER BY block";
}

/// The history of one metric of one run.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) ranked: Option<Ranked>,
    /// What is not in the copy, by step, time and value, all of it after the copy's last point.
    pub(crate) tail: Points,
    /// Whether all points are in the order of their times too.
    pub(crate) is_in_time_order: bool,
}

impl History {
    /// The history as it can be read now; none where the copy must be brought up to date first.
    pub(crate) fn open(
        connection: &dyn Connection,
        run: i64,
        key: &str,
    ) -> Result<Option<Self>, StoreError> {
        let ranked = Ranked::find(connection, run, key)?;
        let through = ranked
            .as_ref()
            .map_or(i64::MIN, |ranked| ranked.through_block);
        let values = params![run, key, through, TAIL_BLOCKS as i64 + 1];
        let blocks: Vec<(i64, i64)> = connection
            .list(LIST_TAIL, values, |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(database_fault("reading the history of a metric"))?;
        let points = blocks.iter().map(|(_, points)| points).sum::<i64>();
        // One block is read at once, however long it is.
        if blocks.len() > TAIL_BLOCKS || (points > TAIL_POINTS && blocks.len() > 1) {
            return Ok(None);
        }
        let blocks: Vec<i64> = blocks.into_iter().map(|(block, _)| block).collect();
        let mut tail = Points::default();
        tail.add_blocks(connection, &blocks, key)?;
        tail.sort_by_step();
        let mut is_in_time_order = tail.items.is_sorted_by_key(Place::of);
        if let (Some(ranked), Some(first)) = (&ranked, tail.items.first()) {
            let end = ranked.chunks();
            let chunk = ranked.read_chunks(connection, key, end.saturating_sub(1)..end)?;
            if let Some(last) = chunk.items.last() {
                if by_step(last, first).is_ge() {
                    return Ok(None);
                }
                is_in_time_order &= Place::of(last) < Place::of(first);
            }
        }
        is_in_time_order &= ranked.as_ref().is_none_or(|ranked| ranked.is_in_time_order);
        Ok(Some(Self {
            ranked,
            tail,
            is_in_time_order,
        }))
    }

    /// The history out of its blocks alone, where no copy can be made.
    ///
    /// *Cost*: time and memory for all of its points.
    pub(crate) fn without_copy(
        connection: &dyn Connection,
        run: i64,
        key: &str,
    ) -> Result<Self, StoreError> {
        let tail = read_all(connection, run, key, i64::MAX)?;
        Ok(Self {
            ranked: None,
            is_in_time_order: tail.items.is_sorted_by_key(Place::of),
            tail,
        })
    }

    /// How many points there are.
    pub(crate) fn length(&self) -> u64 {
        self.ranked_length() + self.tail.items.len() as u64
    }

    /// How many of them are in the copy.
    pub(crate) fn ranked_length(&self) -> u64 {
        self.ranked.as_ref().map_or(0, |ranked| ranked.points)
    }
}

/// The points of all blocks up to one, by step.
pub(super) fn read_all(
    connection: &dyn Connection,
    run: i64,
    key: &str,
    through: i64,
) -> Result<Points, StoreError> {
    let mut points = Points::default();
    let blocks = list_blocks(connection, run, key, i64::MIN, through)?;
    points.add_blocks(connection, &blocks, key)?;
    points.sort_by_step();
    Ok(points)
}

/// The blocks after one and up to another.
pub(super) fn list_blocks(
    connection: &dyn Connection,
    run: i64,
    key: &str,
    after: i64,
    through: i64,
) -> Result<Vec<i64>, StoreError> {
    connection
        .list(LIST_BLOCKS, params![run, key, after, through], |row| {
            row.get(0)
        })
        .map_err(database_fault("reading the history of a metric"))
}
