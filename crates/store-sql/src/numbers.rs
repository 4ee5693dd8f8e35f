//! Numbers of rows, by which other rows name them.

use std::cell::Cell;

use store::StoreError;

/// Bits of a number that count the rows of one event: 4,194,304 of them.
const ROW_BITS: u32 = 22;

/// Gives rows their numbers.
///
/// Rows follow from the events alone, their numbers too. Where one writer writes after the other, the database counts
/// them. Where several write at once, each row's number is made of the position of its event and of its place among
/// the rows of that event.
#[derive(Debug)]
pub struct Numbers {
    position: Option<i64>,
    rows: Cell<i64>,
}

impl Numbers {
    /// The database counts.
    pub const fn counted() -> Self {
        Self {
            position: None,
            rows: Cell::new(0),
        }
    }

    /// Of the rows of the event at a position.
    pub const fn of_event(position: i64) -> Self {
        Self {
            position: Some(position),
            rows: Cell::new(0),
        }
    }

    /// The position of the event, where the database does not count.
    pub const fn position(&self) -> Option<i64> {
        self.position
    }

    /// The number of the next row; none where the database gives it.
    pub fn next(&self) -> Result<Option<i64>, StoreError> {
        let number = self.peek()?;
        self.rows.set(self.rows.get() + 1);
        Ok(number)
    }

    /// As `next`, without taking it.
    pub fn peek(&self) -> Result<Option<i64>, StoreError> {
        let Some(position) = self.position else {
            return Ok(None);
        };
        let row = self.rows.get();
        if row >= 1 << ROW_BITS {
            return Err(StoreError::Query {
                message: format!(
                    "one change adds more than {} rows: send it in parts",
                    1 << ROW_BITS
                ),
            });
        }
        let base = position.checked_mul(1 << ROW_BITS);
        match base.and_then(|base| base.checked_add(row)) {
            Some(number) => Ok(Some(number)),
            None => Err(StoreError::Query {
                message: "the store holds as many events as it can number".to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_later_events_have_larger_numbers() {
        let (first, second) = (Numbers::of_event(1), Numbers::of_event(2));
        let last_of_first = (0..5).map(|_| first.next().unwrap().unwrap()).last();
        assert!(last_of_first < second.next().unwrap());
    }

    #[test]
    fn too_many_rows_and_events_are_refused() {
        let many = Numbers::of_event(1);
        many.rows.set((1 << ROW_BITS) - 1);
        assert!(many.next().is_ok());
        assert!(many.next().is_err());
        assert!(Numbers::of_event(i64::MAX >> 10).next().is_err());
    }
}
