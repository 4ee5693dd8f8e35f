//! How far a search looks in one way before it takes another.

/// So many rows are worth looking at in one way, before another is thought of. Whatever they are, the same rows are
/// found in the same order: with small ones, tests take every way with few rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SearchReach {
    /// So many are few: they are read and put in order.
    pub few: usize,
    /// So many are read of each of several conditions, to see how few fit them all.
    pub many: usize,
    /// So many entries of an index are walked at first, before it is looked how many of the next ones are equal.
    pub step: usize,
    /// So many rows of one value are put in order by the rest of the order; more are walked by it.
    pub group: usize,
    /// So many entries are walked, before it is looked whether the conditions leave fewer rows than that.
    pub patience: usize,
    /// So many rows are read of each condition then.
    pub large: usize,
    /// So few of all that fits are worth walking among for the rest of the walk, as soon as patience ends; where they are
    /// more, the rows of one value come first.
    pub whole: usize,
}

impl SearchReach {
    /// What searches look at if nothing else is said. A few thousand rows are put in order in some milliseconds, a hundred
    /// thousand numbers are read in some ten.
    pub const DEFAULT: Self = Self {
        few: 2_000,
        many: 20_000,
        step: 1_000,
        group: 4_000,
        patience: 8_000,
        large: 150_000,
        whole: 20_000,
    };

    /// With which a few hundred rows take a search every way: for the tests of the databases.
    pub const SHORT: Self = Self {
        few: 10,
        many: 200,
        step: 30,
        group: 40,
        patience: 100,
        large: 5_000,
        whole: 20,
    };
}
