//! The walk through the rows of a search, in the order of an index, until a page is full.
//!
//! - The stretch of values is walked in steps. Before each, the index is asked for the value that is some thousand entries
//!   on: the step ends before it, so that rows of one value are never cut in two.
//! - Where the same value is still there, its rows are a group. A small one is put in order by the rest of the order. A
//!   large one is walked by the index of the next field of the order, or by time; each row is asked for the value.
//! - Where many entries have been walked and the page is not full, conditions are asked for all of their rows. Where
//!   these are not too many, the rest of the walk goes among them alone.

use store::StoreError;

use super::few::{self, Few};
use super::pages::Search;
use super::places::{Place, Stretch};
use super::walks::{Bound, Group, Part, Step, Walk};
use crate::fault::database_fault;
use crate::sql::{self, Connection, OwnedValue, Row};

/// Steps grow by this.
const GROWTH: usize = 4;

/// Fills a page.
pub(super) struct Walker<'w, T, R> {
    search: &'w Search,
    connection: &'w dyn Connection,
    walks: &'w [Walk],
    read: R,
    items: Vec<T>,
    /// The place past the last row of the page.
    last: Option<Place>,
    /// The groups that are being walked, from the outermost.
    groups: Vec<Group>,
    /// Entries that were walked since patience began.
    walked: usize,
    patience: usize,
    /// Whether it ended before.
    was_impatient: bool,
    /// All rows that fit the indexed conditions, where they were asked for and are not too many.
    fitting: Option<Few>,
    /// Among which the walks from some depth on go.
    among: Option<(usize, Few)>,
}

impl<'w, T, R: FnMut(&Row<'_>) -> sql::Result<T>> Walker<'w, T, R> {
    pub(super) fn new(
        search: &'w Search,
        connection: &'w dyn Connection,
        walks: &'w [Walk],
        read: R,
    ) -> Self {
        Self {
            search,
            connection,
            walks,
            read,
            items: Vec::new(),
            last: None,
            groups: Vec::new(),
            walked: 0,
            patience: search.reach.patience,
            was_impatient: false,
            fitting: None,
            among: None,
        }
    }

    /// The rows from a place on; where there are more than fit a page, with the place that the next one begins at.
    pub(super) fn walk(
        mut self,
        place: Option<Place>,
    ) -> Result<(Vec<T>, Option<Place>), StoreError> {
        let is_full = self.walk_all(0, place)?;
        Ok((self.items, self.last.filter(|_| is_full)))
    }

    /// Walks all stretches at a depth; tells whether there is more than fits the page.
    fn walk_all(&mut self, depth: usize, place: Option<Place>) -> Result<bool, StoreError> {
        let walks = self.walks;
        let walk = &walks[depth];
        let mut place = place;
        let mut stretch = place.as_ref().map_or(Stretch::Values, |at| at.stretch);
        loop {
            let is_full = match stretch {
                Stretch::Values => self.walk_values(depth, walk, place.take()),
                _ => self.walk_stretch(depth, walk, stretch, place.take()),
            }?;
            if is_full {
                return Ok(true);
            }
            match walk.stretch_after(stretch) {
                Some(next) => stretch = next,
                None => break,
            }
        }
        self.among.take_if(|(from, _)| *from == depth && depth > 0);
        Ok(false)
    }

    /// Walks the rows that have a value.
    fn walk_values(
        &mut self,
        depth: usize,
        walk: &'w Walk,
        place: Option<Place>,
    ) -> Result<bool, StoreError> {
        let (mut from, mut skipped) = (None, 0);
        if let Some(place) = place {
            from = place.value.clone().map(|value| Bound {
                value,
                is_included: place.inner.is_none(),
            });
            skipped = place.skipped;
            if let Some(inner) = place.inner {
                let group = group_of(walk, Stretch::Values, place.value);
                if self.walk_group(depth, group, Some(*inner))? {
                    return Ok(true);
                }
                skipped = 0;
            }
        }
        let mut entries = self.search.reach.step.max(2 * self.search.limit);
        loop {
            self.lose_patience(depth)?;
            let until = if self.is_walked_whole(depth, walk) {
                None
            } else {
                self.probe(walk, from.as_ref(), entries)?
            };
            let Some(until) = until else {
                let part = Part { from, until: None };
                return self.take(depth, walk, Stretch::Values, &part, skipped);
            };
            let first = match &from {
                Some(bound) if bound.is_included => {
                    Some(walk.indexed(self.search.dialect, &bound.value))
                }
                _ => self.probe(walk, from.as_ref(), 0)?,
            };
            let is_one_group = first.as_ref() == Some(&until);
            if is_one_group && skipped == 0 && self.is_walked_on(depth, walk, &until)? {
                let group = group_of(walk, Stretch::Values, Some(until.clone()));
                if self.walk_group(depth, group, None)? {
                    return Ok(true);
                }
            } else {
                let part = Part {
                    from,
                    until: Some(Bound {
                        value: until.clone(),
                        is_included: is_one_group,
                    }),
                };
                if self.take(depth, walk, Stretch::Values, &part, skipped)? {
                    return Ok(true);
                }
                self.walked += entries;
            }
            skipped = 0;
            from = Some(Bound {
                value: until,
                is_included: !is_one_group,
            });
            entries = entries.saturating_mul(GROWTH);
        }
    }

    /// Walks the rows that have no value, or one that is no number: they are a group.
    fn walk_stretch(
        &mut self,
        depth: usize,
        walk: &'w Walk,
        stretch: Stretch,
        place: Option<Place>,
    ) -> Result<bool, StoreError> {
        let (skipped, inner) = place.map_or((0, None), |place| (place.skipped, place.inner));
        let group = group_of(walk, stretch, None);
        if inner.is_some() || skipped == 0 && self.is_stretch_walked_on(depth, &group)? {
            return self.walk_group(depth, group, inner.map(|inner| *inner));
        }
        self.take(depth, walk, stretch, &Part::default(), skipped)
    }

    fn walk_group(
        &mut self,
        depth: usize,
        group: Group,
        place: Option<Place>,
    ) -> Result<bool, StoreError> {
        self.groups.push(group);
        let is_full = self.walk_all(depth + 1, place)?;
        self.groups.pop();
        Ok(is_full)
    }

    /// Whether a stretch is taken in one step: that ends soon, or as soon as the page is full.
    fn is_walked_whole(&self, depth: usize, walk: &Walk) -> bool {
        let asks_nothing = matches!(walk, Walk::Time { .. })
            && self.groups.is_empty()
            && self.search.query.conditions.is_empty()
            && self.search.experiments.len() <= 1;
        // What is gathered for a statement would be gathered anew for each step.
        asks_nothing || self.among_at(depth).is_some() || self.search.gathers()
    }

    /// Whether the rows of a value are so many that they are walked by the next field.
    fn is_walked_on(
        &self,
        depth: usize,
        walk: &Walk,
        indexed: &OwnedValue,
    ) -> Result<bool, StoreError> {
        if depth + 1 >= self.walks.len() || !walk.is_whole(self.search.dialect, indexed) {
            return Ok(false);
        }
        let from = Bound {
            value: indexed.clone(),
            is_included: true,
        };
        let far = self.probe(walk, Some(&from), self.search.reach.group)?;
        Ok(far.as_ref() == Some(indexed))
    }

    /// The same, of a stretch without values. How many rows miss a key is not known: no index has them.
    fn is_stretch_walked_on(&self, depth: usize, group: &Group) -> Result<bool, StoreError> {
        if depth + 1 >= self.walks.len() || self.among_at(depth).is_some() {
            return Ok(false);
        }
        match self.search.compiler().rows_of_group(group) {
            Some(rows) => Ok(!few::is_few(
                self.connection,
                &rows,
                self.search.reach.group,
            )?),
            None => Ok(true),
        }
    }

    /// What the index holds so many entries on; nothing where it ends before.
    fn probe(
        &self,
        walk: &Walk,
        from: Option<&Bound>,
        entries: usize,
    ) -> Result<Option<OwnedValue>, StoreError> {
        let from = from.map(|bound| Bound {
            value: walk.indexed(self.search.dialect, &bound.value),
            is_included: bound.is_included,
        });
        let (sql, values) = self.search.compile_probe(walk, from.as_ref(), entries);
        self.connection
            .find(&sql, values.as_slice(), |row| {
                row.get_ref(0).map(OwnedValue::of)
            })
            .map_err(database_fault("searching"))
    }

    /// Takes rows of a part of a stretch; tells whether there are more than the page takes.
    fn take(
        &mut self,
        depth: usize,
        walk: &Walk,
        stretch: Stretch,
        part: &Part,
        skipped: usize,
    ) -> Result<bool, StoreError> {
        let wanted = self.search.limit - self.items.len();
        let step = Step {
            depth,
            walk,
            stretch,
            part,
            groups: &self.groups,
            among: self.among_at(depth),
        };
        let (sql, values) = self.search.compile_step(&step, skipped, wanted)?;
        let mut place = Place {
            value: part.from.as_ref().map(|from| from.value.clone()),
            skipped,
            ..Place::start(stretch)
        };
        let mut seen = 0;
        let (items, read) = (&mut self.items, &mut self.read);
        self.connection
            .query_all(&sql, values.as_slice(), |row| {
                seen += 1;
                if seen <= wanted {
                    items.push(read(row)?);
                    place.pass(row.get_ref(1)?);
                }
                Ok(())
            })
            .map_err(database_fault("searching"))?;
        if seen > 0 && wanted > 0 {
            self.last = Some(self.within_groups(place));
        }
        Ok(seen > wanted)
    }

    /// A place of the innermost walk, as one of the outermost.
    fn within_groups(&self, place: Place) -> Place {
        let groups = self.groups.iter().rev();
        groups.fold(place, |inner, group| Place {
            stretch: group.stretch,
            value: group.value.clone(),
            skipped: 0,
            inner: Some(Box::new(inner)),
        })
    }

    /// The rows that the walk at a depth goes among, where it does.
    fn among_at(&self, depth: usize) -> Option<&Few> {
        let (from, few) = self.among.as_ref()?;
        (*from <= depth).then_some(few)
    }

    /// Looks, where many entries were walked and the page is not full, whether it may be filled among fewer rows.
    fn lose_patience(&mut self, depth: usize) -> Result<(), StoreError> {
        if self.walked < self.patience || self.among_at(depth).is_some() {
            return Ok(());
        }
        self.walked = 0;
        // What came to nothing is not tried again soon.
        self.patience = self.patience.saturating_mul(2);
        let is_first = !std::mem::replace(&mut self.was_impatient, true);
        if is_first {
            self.fitting = self.find_fitting()?;
        }
        let enough = if is_first && !self.groups.is_empty() {
            self.search.reach.whole
        } else {
            usize::MAX
        };
        if let Some(few) = self.fitting.take_if(|few| few.count() <= enough) {
            self.among = Some((0, few));
        } else if !self.groups.is_empty() {
            let of_groups = self.find_of_groups()?;
            let both = self.fitting.iter().cloned().chain(of_groups).collect();
            self.among = Few::of_all(both).map(|few| (depth, few));
        }
        Ok(())
    }

    /// What fits all conditions that an index tells the rows of, where these are not too many.
    fn find_fitting(&self) -> Result<Option<Few>, StoreError> {
        let Search { dialect, reach, .. } = *self.search;
        let find = |place, rows: &_| Few::find(self.connection, dialect, place, rows, reach.large);
        let mut found = Vec::new();
        for (place, rows) in self.search.indexed_conditions()? {
            found.extend(find(Some(place), &rows)?);
        }
        if !self.search.experiments.is_empty() {
            found.extend(find(None, &self.search.rows_of_scope())?);
        }
        Ok(Few::of_all(found))
    }

    /// What is in the groups that are being walked, of each where it is not too much.
    fn find_of_groups(&self) -> Result<Vec<Few>, StoreError> {
        let Search { dialect, reach, .. } = *self.search;
        let mut found = Vec::new();
        for group in &self.groups {
            if let Some(rows) = self.search.compiler().rows_of_group(group) {
                found.extend(Few::find(
                    self.connection,
                    dialect,
                    None,
                    &rows,
                    reach.large,
                )?);
            }
        }
        Ok(found)
    }
}

fn group_of(walk: &Walk, stretch: Stretch, value: Option<OwnedValue>) -> Group {
    let Walk::Key { field, .. } = walk else {
        unreachable!("a walk by time has no group: it is the last one");
    };
    Group {
        field: field.clone(),
        stretch,
        value,
    }
}
