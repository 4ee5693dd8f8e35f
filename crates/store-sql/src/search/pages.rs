//! How a page of a search is found, so that its cost does not grow with all that there is.
//!
//! - What conditions on keys find, one by one or together, is few, or it is not: their indexes tell within some thousand
//!   entries. Where it is few, these are looked at and put in order, whatever else there is.
//! - Where nothing is few, and the first field of the order has an index, that index is walked from where the last page
//!   ended, and each row is asked whether it fits, until the page is full. [`Walker`] says how.
//! - Else everything that fits is put in order, and the page is cut out.
//!
//! All three give one order, so that a page may be found in another way than the one before it.

use entities::{ExperimentId, Field, ObjectId, SearchQuery};
use store::{Page, PageRequest, StoreError, View};

use super::few::{self, Few, Rows};
use super::places::Place;
use super::reach::SearchReach;
use super::walker::Walker;
use super::walks::{self, Step, Walk};
use super::{Compiler, LARGEST_ORDER_COUNT, Subject, refuse};
use crate::fault::database_fault;
use crate::sql::{self, Connection, Dialect, OwnedValue, Row};

/// A search, for one page.
pub(crate) struct Search {
    pub(super) dialect: Dialect,
    pub(super) reach: SearchReach,
    subject: Subject,
    pub(super) experiments: Vec<ExperimentId>,
    pub(super) query: SearchQuery,
    view: View,
    pub(super) limit: usize,
    place: PagePlace,
    /// Ties a page token to its search.
    name: String,
}

/// Where a page begins.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum PagePlace {
    /// At the start.
    Start,
    /// Past so many of all that is found.
    Offset(usize),
    /// Where a walk goes on.
    Walk(Place),
}

/// A page of rows, to be filled with what they stand for.
pub(crate) struct Found<T> {
    items: Vec<T>,
    next: Option<String>,
}

impl<T> Found<T> {
    /// As `try_map`, all at once.
    pub(crate) fn map_all<U>(
        self,
        read: impl FnOnce(&[T]) -> Result<Vec<U>, StoreError>,
    ) -> Result<Page<U>, StoreError> {
        Ok(Page {
            items: read(&self.items)?,
            next: self.next,
        })
    }

    pub(crate) fn try_map<U>(
        self,
        read: impl FnMut(T) -> Result<U, StoreError>,
    ) -> Result<Page<U>, StoreError> {
        let items: Result<Vec<U>, StoreError> = self.items.into_iter().map(read).collect();
        Ok(Page {
            items: items?,
            next: self.next,
        })
    }
}

impl Search {
    pub(crate) fn new(
        (dialect, reach): (Dialect, SearchReach),
        subject: Subject,
        experiments: &[ExperimentId],
        query: &SearchQuery,
        view: View,
        page: &PageRequest,
    ) -> Result<Self, StoreError> {
        let name =
            ObjectId::of(format!("{subject:?} {experiments:?} {query:?} {view:?}").as_bytes());
        let name = name.short();
        let place = match &page.token {
            Some(token) => read_token(token, &name)?,
            None => PagePlace::Start,
        };
        let search = Self {
            dialect,
            reach,
            subject,
            experiments: experiments.to_vec(),
            query: query.clone(),
            view,
            limit: page.limit.max(1),
            place,
            name,
        };
        // What cannot be searched is refused before anything is read.
        search.compile_sorted(None, 0)?;
        Ok(search)
    }

    pub(crate) fn read_page<T>(
        &self,
        connection: &dyn Connection,
        read: impl FnMut(&Row<'_>) -> sql::Result<T>,
    ) -> Result<Found<T>, StoreError> {
        let walks = self.find_walks();
        if let PagePlace::Walk(place) = &self.place {
            if !place.is_of(&walks) {
                return Err(StoreError::PageToken {
                    token: format!("{}-{}", place.encode(), self.name),
                });
            }
            return self.walk(connection, &walks, Some(place.clone()), read);
        }
        let few = self.find_few(connection)?;
        let offset = match self.place {
            PagePlace::Offset(offset) => offset,
            PagePlace::Start | PagePlace::Walk(_) => 0,
        };
        if let (PagePlace::Start, Some(walk), None) = (&self.place, walks.first(), &few) {
            let is_worth_it = match walk {
                Walk::Time { .. } => true,
                Walk::Key { .. } => {
                    !few::is_few(connection, &self.rows_of_scope(), self.reach.few)?
                }
            };
            if is_worth_it {
                return self.walk(connection, &walks, None, read);
            }
        }
        self.sort(connection, few.as_ref(), offset, read)
    }

    pub(super) fn find_walks(&self) -> Vec<Walk> {
        walks::find_walks(
            self.subject,
            self.experiments.len(),
            self.view,
            &self.query.order_by,
        )
    }

    pub(super) const fn compiler(&self) -> Compiler {
        Compiler::new(self.dialect, self.subject)
    }

    /// All rows of its experiments.
    pub(super) fn rows_of_scope(&self) -> Rows {
        let mut compiler = self.compiler();
        compiler.add_scope(&self.experiments, self.view);
        let number = walks::walked_table(self.subject).map_or("", |table| table.number);
        compiler.from = walks::walked_table(self.subject)
            .map(|table| format!("SELECT {number} AS owner FROM {}", table.table));
        (compiler.select(), compiler.values)
    }

    /// Whether a condition is one that all that fit are gathered for, and not asked of each row.
    pub(super) fn gathers(&self) -> bool {
        let mut fields = self
            .query
            .conditions
            .iter()
            .map(|condition| &condition.field);
        fields.any(|field| match field {
            Field::Attribute(name) => self.subject == Subject::Traces && name == "run_id",
            Field::Metric(_) | Field::Param(_) | Field::Tag(_) | Field::Metadata(_) => false,
            Field::Dataset(_)
            | Field::Measured { .. }
            | Field::Span(_)
            | Field::SpanAttribute(_)
            | Field::Feedback(_)
            | Field::Expectation(_)
            | Field::Issue
            | Field::Prompt => true,
        })
    }

    /// Those of its conditions that an index tells the rows of, with their places.
    pub(super) fn indexed_conditions(&self) -> Result<Vec<(usize, Rows)>, StoreError> {
        let mut indexed = Vec::new();
        for (place, condition) in self.query.conditions.iter().enumerate() {
            let mut compiler = self.compiler();
            if let Some(rows) = compiler.rows_of(condition)? {
                indexed.push((place, (rows, compiler.values)));
            }
        }
        Ok(indexed)
    }

    /// The few rows that fit a condition, or several, as their indexes tell; none where they do not, or are many.
    fn find_few(&self, connection: &dyn Connection) -> Result<Option<Few>, StoreError> {
        if walks::walked_table(self.subject).is_none() {
            return Ok(None);
        }
        let indexed = self.indexed_conditions()?;
        let find = |place, rows, most| Few::find(connection, self.dialect, Some(place), rows, most);
        for (place, rows) in &indexed {
            let few = find(*place, rows, self.reach.few)?;
            if few.is_some() {
                return Ok(few);
            }
        }
        if indexed.len() < 2 {
            return Ok(None);
        }
        let mut found = Vec::new();
        for (place, rows) in &indexed {
            found.extend(find(*place, rows, self.reach.many)?);
        }
        Ok(Few::of_all(found).filter(|few| few.count() <= self.reach.few))
    }

    fn sort<T>(
        &self,
        connection: &dyn Connection,
        few: Option<&Few>,
        offset: usize,
        read: impl FnMut(&Row<'_>) -> sql::Result<T>,
    ) -> Result<Found<T>, StoreError> {
        let (sql, values) = self.compile_sorted(few, offset)?;
        let mut items: Vec<T> = connection
            .list(&sql, values.as_slice(), read)
            .map_err(database_fault("searching"))?;
        let has_more = items.len() > self.limit;
        items.truncate(self.limit);
        let next = has_more.then(|| format!("{}-{}", offset + self.limit, self.name));
        Ok(Found { items, next })
    }

    fn walk<T>(
        &self,
        connection: &dyn Connection,
        walks: &[Walk],
        place: Option<Place>,
        read: impl FnMut(&Row<'_>) -> sql::Result<T>,
    ) -> Result<Found<T>, StoreError> {
        let (items, next) = Walker::new(self, connection, walks, read).walk(place)?;
        let next = next.map(|place| format!("{}-{}", place.encode(), self.name));
        Ok(Found { items, next })
    }

    /// All that fits is put in order; where rows are given, only among these.
    pub(super) fn compile_sorted(
        &self,
        few: Option<&Few>,
        offset: usize,
    ) -> Result<(String, Vec<OwnedValue>), StoreError> {
        let mut compiler = self.compiler();
        if self.query.order_by.len() > LARGEST_ORDER_COUNT {
            return refuse(format!("an order has at most {LARGEST_ORDER_COUNT} fields"));
        }
        if let Some(few) = few {
            compiler.begin_with(few);
        }
        compiler.add_scope(&self.experiments, self.view);
        compiler.add_conditions(&self.query, few)?;
        compiler.add_orders(&self.query.order_by)?;
        compiler.add_ties();
        compiler.finish(self.limit, offset)
    }

    /// A step of a walk, past some rows; one row more than are wanted.
    pub(super) fn compile_step(
        &self,
        step: &Step<'_>,
        skipped: usize,
        wanted: usize,
    ) -> Result<(String, Vec<OwnedValue>), StoreError> {
        let mut compiler = self.compiler();
        compiler.walks_by_time = matches!(step.walk, Walk::Time { .. }) && step.among.is_none();
        compiler.add_scope(&self.experiments, self.view);
        compiler.begin_with_step(step, &self.query.order_by)?;
        compiler.add_conditions(&self.query, step.among)?;
        compiler.add_ties();
        compiler.finish(wanted, skipped)
    }

    pub(super) fn compile_probe(
        &self,
        walk: &Walk,
        from: Option<&walks::Bound>,
        entries: usize,
    ) -> Rows {
        let mut compiler = self.compiler();
        if matches!(walk, Walk::Time { .. }) {
            // Of several experiments, the index has the rows of all.
            let experiments = match self.experiments.as_slice() {
                [one] => std::slice::from_ref(one),
                _ => &[],
            };
            compiler.add_scope(experiments, self.view);
        }
        compiler.probe(walk, from, entries)
    }
}

pub(super) fn read_token(token: &str, name: &str) -> Result<PagePlace, StoreError> {
    let place = token.rsplit_once('-').filter(|(_, of)| *of == name);
    let place = place.and_then(|(place, _)| match place.parse::<usize>() {
        Ok(offset) => i64::try_from(offset)
            .ok()
            .map(|_| PagePlace::Offset(offset)),
        Err(_) => Place::decode(place).map(PagePlace::Walk),
    });
    place.ok_or_else(|| StoreError::PageToken {
        token: token.to_owned(),
    })
}
