//! Rows that are few: what conditions on keys find, as their indexes tell it.

use std::fmt::Write as _;

use store::StoreError;

use crate::fault::{damaged, database_fault};
use crate::sql::{Connection, Dialect, OwnedValue};

/// Rows that fit some conditions of a search, by their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Few {
    /// The places of the conditions that all of them fit.
    conditions: Vec<usize>,
    /// Ascending.
    owners: Vec<i64>,
}

/// A statement that gives the numbers of rows as `owner`, and its values.
pub(super) type Rows = (String, Vec<OwnedValue>);

impl Few {
    /// The rows that a statement gives, which fit some condition; none where there are more than `most`.
    pub(super) fn find(
        connection: &dyn Connection,
        dialect: Dialect,
        condition: Option<usize>,
        (rows, values): &Rows,
        most: usize,
    ) -> Result<Option<Self>, StoreError> {
        let sql = few_sql(dialect, rows, most);
        let fault = database_fault("looking how much there is");
        let mut owners: Vec<i64> = match dialect {
            Dialect::Sqlite => connection
                .list(&sql, values.as_slice(), |row| row.get(0))
                .map_err(fault)?,
            Dialect::Postgres => {
                let told: Option<Option<String>> = connection
                    .find(&sql, values.as_slice(), |row| row.get(0))
                    .map_err(fault)?;
                let told = told.flatten().unwrap_or_default();
                let numbers = told.split(',').filter(|number| !number.is_empty());
                let numbers: Result<_, _> = numbers.map(str::parse).collect();
                numbers.map_err(|_| damaged("the number of a row is no number"))?
            }
        };
        if owners.len() > most {
            return Ok(None);
        }
        owners.sort_unstable();
        Ok(Some(Self {
            conditions: condition.into_iter().collect(),
            owners,
        }))
    }

    /// Those that fit all of the conditions; none where there is no condition.
    pub(super) fn of_all(found: Vec<Self>) -> Option<Self> {
        found.into_iter().reduce(|mut both, next| {
            let mut others = next.owners.into_iter().peekable();
            both.owners.retain(|owner| {
                while others.next_if(|other| other < owner).is_some() {}
                others.peek() == Some(owner)
            });
            both.conditions.extend(next.conditions);
            both
        })
    }

    /// So many rows that fit the first condition.
    pub(super) fn of_many(count: i64) -> Self {
        Self {
            conditions: vec![0],
            owners: (0..count).collect(),
        }
    }

    /// How many they are.
    pub(super) const fn count(&self) -> usize {
        self.owners.len()
    }

    pub(super) fn fits(&self, condition: usize) -> bool {
        self.conditions.contains(&condition)
    }

    /// Their numbers as one value, of which `table` makes a table.
    pub(super) fn value(&self) -> OwnedValue {
        let mut list = String::with_capacity(self.owners.len() * 8 + 2);
        list.push('[');
        for (place, owner) in self.owners.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(list, "{comma}{owner}").expect("writing to a text does not fail");
        }
        list.push(']');
        OwnedValue::Text(list)
    }

    /// The rows of a bound value, as the table `candidate` with the column `owner`.
    pub(super) fn table(dialect: Dialect, value: &str) -> String {
        match dialect {
            Dialect::Sqlite => {
                format!("(SELECT value AS owner FROM json_each({value})) AS candidate")
            }
            Dialect::Postgres => format!(
                "unnest(CAST(translate({value}, '[]', '{{}}') AS BIGINT[])) AS candidate (owner)"
            ),
        }
    }
}

/// The numbers that a statement gives, but one more than so many of them at most. PostgreSQL takes long for each row that
/// it sends, so that it sends them in one text.
pub(super) fn few_sql(dialect: Dialect, rows: &str, most: usize) -> String {
    let limited = format!("SELECT owner FROM ({rows}) AS found LIMIT {}", most + 1);
    match dialect {
        Dialect::Sqlite => limited,
        Dialect::Postgres => {
            format!("SELECT string_agg(CAST(owner AS TEXT), ',') FROM ({limited}) AS limited")
        }
    }
}

/// Whether a statement gives at most so many rows.
pub(super) fn is_few(
    connection: &dyn Connection,
    (rows, values): &Rows,
    most: usize,
) -> Result<bool, StoreError> {
    let sql = is_few_sql(rows, most);
    let found: Option<i64> = connection
        .find(&sql, values.as_slice(), |row| row.get(0))
        .map_err(database_fault("looking how much there is"))?;
    Ok(found.is_none())
}

/// One row where a statement gives more than so many.
pub(super) fn is_few_sql(rows: &str, most: usize) -> String {
    format!("SELECT 1 FROM ({rows}) AS found LIMIT 1 OFFSET {most}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn few(condition: usize, owners: &[i64]) -> Few {
        Few {
            conditions: vec![condition],
            owners: owners.to_vec(),
        }
    }

    #[test]
    fn what_fits_all_is_in_each() {
        let all = Few::of_all(vec![
            few(0, &[1, 3, 5, 7, 9]),
            few(1, &[3, 4, 5, 9, 10]),
            few(4, &[2, 3, 9]),
        ]);
        let all = all.unwrap();
        assert_eq!(all.owners, [3, 9]);
        assert!(all.fits(0) && all.fits(4) && !all.fits(2));
        assert_eq!(Few::of_all(Vec::new()), None);
        let none = Few::of_all(vec![few(0, &[]), few(1, &[1])]).unwrap();
        assert_eq!(none.count(), 0);
        assert_eq!(none.value(), OwnedValue::Text("[]".to_owned()));
    }
}
