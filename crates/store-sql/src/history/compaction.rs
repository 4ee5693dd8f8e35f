//! Brings the copy of a history up to date, and compares copies with what they follow from.

use std::ops::ControlFlow;

use entities::{MetricBlock, RunId};
use store::{RowFault, StoreError};

use super::chunks::{CHUNK_POINTS, Chunk, Ranked, list_chunks, row_number};
use super::points::{Place, Points, by_step};
use super::tail::{list_blocks, read_all};
use crate::fault::database_fault;
use crate::params;
use crate::several::add_rows;
use crate::sql::{Connection, ToValue};

/// Points that are worked in at once, where they follow those that are there: memory and a transaction for a million would
/// be as much as all else that a server does.
pub(crate) const FEW_POINTS: u64 = 1 << 15;

statements! {
    LIST_MISSING = "SELECT metric_series.block, metric_block.points
        FROM metric_series JOIN metric_block ON metric_block.number = metric_series.block
        WHERE metric_series.run = ?1 AND metric_series.key = ?2 AND metric_series.block > ?3
        ORDER BY metric_series.block";
    ADD_HISTORY = "INSERT INTO metric_history (number, run, key, through_block, points, is_in_time_order)
        SELECT coalesce((SELECT MAX(number) FROM metric_history), 0) + 1, number, ?2,
            CAST(?3 AS BIGINT), CAST(?4 AS BIGINT), CAST(?5 AS BIGINT)
        FROM run WHERE number = ?1 AND id = ?6
        ON CONFLICT DO NOTHING
        RETURNING number";
    UPDATE_HISTORY = "UPDATE metric_history SET through_block = ?1, points = ?2, is_in_time_order = ?3
        WHERE number = ?4 AND through_block = ?5 AND run = ?6 AND key = ?7";
    REMOVE_CHUNKS = "DELETE FROM metric_chunk WHERE number >= ?1 AND number < ?2";
    LIST_COPIES_OF_RUN = "SELECT number FROM metric_history WHERE run = ?1";
    REMOVE_COPIES = "DELETE FROM metric_history WHERE run = ?1";
    LIST_COPIES = "SELECT metric_history.number, metric_history.run, metric_history.key, run.id,
            metric_history.is_in_time_order
        FROM metric_history JOIN run ON run.number = metric_history.run
        ORDER BY metric_history.number";
}

row_statements! {
    ADD_CHUNKS(4, key 0) =
        "INSERT INTO metric_chunk (number, first_step, first_timestamp_ms, encoded) :rows";
}

/// What makes a copy complete, or brings it nearer to that.
#[derive(Debug)]
pub(crate) struct Compaction {
    run: i64,
    /// The number alone may be another run's by now.
    run_id: RunId,
    key: String,
    /// As it was when this was planned.
    before: Option<Ranked>,
    through_block: i64,
    points: u64,
    is_in_time_order: bool,
    /// Points that came.
    pub(crate) came: u64,
    /// Points of full chunks that are written again, since what came belongs before some of them.
    pub(crate) rewritten: u64,
    /// Whether nothing is missing then.
    pub(crate) is_complete: bool,
    /// Chunks from here on are replaced.
    first_ordinal: u64,
    chunks: Vec<Chunk>,
}

/// How much is done at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Points that are worked in, about.
    pub(crate) most_points: u64,
    /// Points of full chunks that may be written again.
    pub(crate) most_rewritten: u64,
}

/// What is to be done to a copy.
#[derive(Debug)]
pub(crate) enum Plan {
    /// It is complete.
    Nothing,
    /// It would be more than may be written again.
    TooMuch,
    /// This.
    Work(Compaction),
}

/// Reads what is not in the copy, as far as the effort goes, and where it belongs.
///
/// *Cost*: memory for those points, and for those of the copy that they stand before.
pub(crate) fn plan_compaction(
    connection: &dyn Connection,
    run: i64,
    run_id: &RunId,
    key: &str,
    effort: Effort,
) -> Result<Plan, StoreError> {
    let before = Ranked::find(connection, run, key)?;
    let after = before
        .as_ref()
        .map_or(i64::MIN, |ranked| ranked.through_block);
    let (blocks, is_complete) = list_missing(connection, run, key, after, effort.most_points)?;
    let Some(&through_block) = blocks.last() else {
        return Ok(Plan::Nothing);
    };
    let mut came = Points::default();
    came.add_blocks(connection, &blocks, key)?;
    came.sort_by_step();
    let count = came.items.len() as u64;
    let (mut first_ordinal, mut is_in_time_order, mut last) = (0, true, None);
    let mut rewritten = 0;
    if let Some(ranked) = &before {
        first_ordinal = first_touched(connection, ranked, key, &came)?;
        let full = ranked.points / CHUNK_POINTS;
        rewritten = full.saturating_sub(first_ordinal) * CHUNK_POINTS;
        if rewritten > effort.most_rewritten {
            return Ok(Plan::TooMuch);
        }
        let mut points = ranked.read_chunks(connection, key, first_ordinal..ranked.chunks())?;
        // Those that are there stay in front of equal ones that came.
        points.append(&came);
        points.sort_by_step();
        came = points;
        if let Some(ordinal) = first_ordinal.checked_sub(1) {
            is_in_time_order = ranked.is_in_time_order;
            let chunk = ranked.read_chunks(connection, key, ordinal..first_ordinal)?;
            last = chunk.items.last().map(Place::of);
        }
    }
    for point in &came.items {
        let place = Some(Place::of(point));
        is_in_time_order &= last < place;
        last = place;
    }
    Ok(Plan::Work(Compaction {
        run,
        run_id: run_id.clone(),
        key: key.to_owned(),
        before,
        through_block,
        points: first_ordinal * CHUNK_POINTS + came.items.len() as u64,
        is_in_time_order,
        came: count,
        rewritten,
        is_complete,
        first_ordinal,
        chunks: cut(&came, key),
    }))
}

/// The blocks after one, until they have so many points together, and whether those are all.
fn list_missing(
    connection: &dyn Connection,
    run: i64,
    key: &str,
    after: i64,
    most_points: u64,
) -> Result<(Vec<i64>, bool), StoreError> {
    let (mut blocks, mut points, mut is_complete) = (Vec::new(), 0, true);
    let listed = connection.query(LIST_MISSING, params![run, key, after], &mut |row| {
        if points >= most_points {
            is_complete = false;
            return Ok(ControlFlow::Break(()));
        }
        blocks.push(row.get(0)?);
        points += row.get::<i64>(1)? as u64;
        Ok(ControlFlow::Continue(()))
    });
    listed.map_err(database_fault("reading the history of a metric"))?;
    Ok((blocks, is_complete))
}

/// The first chunk that changes: the last one where it is not full, or the one that the first point belongs to.
fn first_touched(
    connection: &dyn Connection,
    ranked: &Ranked,
    key: &str,
    came: &Points,
) -> Result<u64, StoreError> {
    let full = ranked.points / CHUNK_POINTS;
    let Some(first) = came.items.first() else {
        return Ok(full);
    };
    let rank = ranked.rank_of(connection, key, first)?;
    Ok(full.min(rank / CHUNK_POINTS))
}

fn cut(points: &Points, key: &str) -> Vec<Chunk> {
    debug_assert!(
        points
            .items
            .is_sorted_by(|one, other| by_step(one, other).is_lt())
    );
    let chunks = points.items.chunks(CHUNK_POINTS as usize);
    chunks
        .map(|chunk| Chunk {
            first_step: chunk[0].step,
            first_timestamp_ms: chunk[0].timestamp_ms,
            encoded: MetricBlock::encode_points(
                chunk.iter().map(|point| points.borrowed(key, point)),
            ),
        })
        .collect()
}

/// Writes what was planned; false where somebody else was quicker.
pub(crate) fn write_compaction(
    connection: &dyn Connection,
    compaction: &Compaction,
) -> Result<bool, StoreError> {
    let fault = || database_fault("keeping the history of a metric in order");
    let Compaction {
        run,
        run_id,
        key,
        before,
        through_block,
        points,
        is_in_time_order,
        came: _,
        rewritten: _,
        is_complete: _,
        first_ordinal,
        chunks,
    } = compaction;
    let points = *points as i64;
    let number = match before {
        None => connection
            .find(
                ADD_HISTORY,
                params![
                    run,
                    key,
                    through_block,
                    points,
                    is_in_time_order,
                    run_id.as_str(),
                ],
                |row| row.get(0),
            )
            .map_err(fault())?,
        Some(before) => {
            let changed = connection.change(
                UPDATE_HISTORY,
                params![
                    through_block,
                    points,
                    is_in_time_order,
                    before.number,
                    before.through_block,
                    run,
                    key,
                ],
            );
            (changed.map_err(fault())? == 1).then_some(before.number)
        }
    };
    let Some(number) = number else {
        return Ok(false);
    };
    let replaced = [
        row_number(number, *first_ordinal)?,
        row_number(number + 1, 0)?,
    ];
    connection
        .change(REMOVE_CHUNKS, replaced)
        .map_err(fault())?;
    let rows = number_rows(number, *first_ordinal, chunks)?;
    let rows: Vec<[&dyn ToValue; 4]> = rows
        .iter()
        .map(|(number, chunk)| {
            let Chunk {
                first_step,
                first_timestamp_ms,
                encoded,
            } = *chunk;
            [
                number as _,
                first_step as _,
                first_timestamp_ms as _,
                encoded as _,
            ]
        })
        .collect();
    add_rows(connection, &ADD_CHUNKS, &rows).map_err(fault())?;
    Ok(true)
}

/// Chunks with the numbers of their rows, from one on.
fn number_rows<C>(
    history: i64,
    first_ordinal: u64,
    chunks: impl IntoIterator<Item = C>,
) -> Result<Vec<(i64, C)>, StoreError> {
    (first_ordinal..)
        .zip(chunks)
        .map(|(ordinal, chunk)| Ok((row_number(history, ordinal)?, chunk)))
        .collect()
}

/// Removes the copies of a run's histories.
pub(crate) fn remove_copies(connection: &dyn Connection, run: i64) -> Result<(), StoreError> {
    let fault = || database_fault("removing the histories of a run's metrics");
    let copies: Vec<i64> = connection
        .list(LIST_COPIES_OF_RUN, [run], |row| row.get(0))
        .map_err(fault())?;
    for number in copies {
        let chunks = [row_number(number, 0)?, row_number(number + 1, 0)?];
        connection.change(REMOVE_CHUNKS, chunks).map_err(fault())?;
    }
    connection.change(REMOVE_COPIES, [run]).map_err(fault())?;
    Ok(())
}

/// Looks for the first copy that does not follow from the blocks; one of a run that is not there is never read.
pub(crate) fn verify_copies(connection: &dyn Connection) -> Result<Option<RowFault>, StoreError> {
    type Copy = (i64, i64, String, String, i64);
    let copies: Vec<Copy> = connection
        .list(LIST_COPIES, params![], |row| {
            Ok((
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
            ))
        })
        .map_err(database_fault("listing the histories of metrics"))?;
    for (number, run, key, id, in_time_order) in copies {
        let Some(ranked) = Ranked::find(connection, run, &key)? else {
            continue;
        };
        let blocks = list_blocks(connection, run, &key, i64::MIN, ranked.through_block)?;
        let points = read_all(connection, run, &key, ranked.through_block)?;
        let expected = number_rows(number, 0, cut(&points, &key))?;
        let is_in_time_order = points.items.is_sorted_by_key(Place::of);
        let found = list_chunks(connection, number)?;
        let is_same = ranked.points == points.items.len() as u64
            && blocks.last() == Some(&ranked.through_block)
            && i64::from(is_in_time_order) == in_time_order
            && found == expected;
        if !is_same {
            return Ok(Some(RowFault {
                table: "metric_history".to_owned(),
                key: format!("run {id}, metric {key}"),
                expected: Some(format!("{} points in order", points.items.len())),
                found: Some("others, or in another order".to_owned()),
            }));
        }
    }
    Ok(None)
}
