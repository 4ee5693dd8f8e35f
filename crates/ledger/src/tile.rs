//! The files of C2SP tlog-tiles: hash tiles of height 8 and bundles of entries.

mod bundle;
mod reader;

pub use bundle::*;
pub use reader::*;

use std::fmt;
use std::str::FromStr;

use crate::LedgerError;

/// How many hashes, or entries, a full tile holds.
pub const TILE_WIDTH: usize = 256;

/// The height of a tile: a full one spans 2^8 hashes.
pub const TILE_HEIGHT: u32 = 8;

/// The path of the signed checkpoint.
pub const CHECKPOINT_PATH: &str = "checkpoint";

/// Where tiles stand in the tree: in a row of hashes, or as the entries below the lowest row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TileRow {
    /// Bundles of entries.
    Entries,
    /// Hash tiles whose lowest hashes are of tree level 8 times this number.
    Hashes(u8),
}

impl TileRow {
    /// How many hashes or entries this row has in a tree of `size` entries.
    pub fn length(self, size: u64) -> u64 {
        match self {
            Self::Entries => size,
            Self::Hashes(level) => size
                .checked_shr(u32::from(level) * TILE_HEIGHT)
                .unwrap_or(0),
        }
    }
}

/// Names one tile, full or partial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TilePath {
    /// The row.
    pub row: TileRow,
    /// The number of tiles to the left.
    pub index: u64,
    /// How many hashes or entries it holds, from 1 to 256.
    pub width: u16,
}

impl TilePath {
    /// Names the tile at `index` of a row as it stands in a tree of `size` entries; `None` if the row ends before it.
    pub fn in_tree(row: TileRow, index: u64, size: u64) -> Option<Self> {
        let first = index.checked_mul(TILE_WIDTH as u64)?;
        let width = row.length(size).checked_sub(first)?.min(TILE_WIDTH as u64) as u16;
        (width > 0).then_some(Self { row, index, width })
    }

    /// Names the full tile at the same place.
    pub fn full(self) -> Self {
        Self {
            width: TILE_WIDTH as u16,
            ..self
        }
    }

    /// Tells whether it holds all it ever will.
    pub fn is_full(self) -> bool {
        usize::from(self.width) == TILE_WIDTH
    }
}

impl fmt::Display for TilePath {
    /// Writes `tile/<L>/<N>[.p/<W>]` or `tile/entries/<N>[.p/<W>]`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.row {
            TileRow::Entries => formatter.write_str("tile/entries/")?,
            TileRow::Hashes(level) => write!(formatter, "tile/{level}/")?,
        }
        write_index(formatter, self.index)?;
        if !self.is_full() {
            write!(formatter, ".p/{}", self.width)?;
        }
        Ok(())
    }
}

impl FromStr for TilePath {
    type Err = LedgerError;

    /// Reads exactly the form that `Display` writes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        read_path(text)
            // One tile has one path: leading zeros, groups too many and widths out of range fall here.
            .filter(|path| path.to_string() == text)
            .ok_or_else(|| LedgerError::PathRefused {
                path: text.to_owned(),
                reason: "it is not the path of a tile",
            })
    }
}

/// Writes groups of three digits, all but the last with an `x` before: 1234067 is `x001/x234/067`.
fn write_index(formatter: &mut fmt::Formatter<'_>, index: u64) -> fmt::Result {
    if index >= 1000 {
        write_upper_groups(formatter, index / 1000)?;
    }
    write!(formatter, "{:03}", index % 1000)
}

fn write_upper_groups(formatter: &mut fmt::Formatter<'_>, groups: u64) -> fmt::Result {
    if groups >= 1000 {
        write_upper_groups(formatter, groups / 1000)?;
    }
    write!(formatter, "x{:03}/", groups % 1000)
}

fn read_path(text: &str) -> Option<TilePath> {
    let (row, rest) = text.strip_prefix("tile/")?.split_once('/')?;
    let row = match row {
        "entries" => TileRow::Entries,
        level => TileRow::Hashes(level.parse().ok().filter(|&level: &u8| level < 64)?),
    };
    let (groups, width) = match rest.split_once(".p/") {
        Some((groups, width)) => (groups, width.parse().ok()?),
        None => (rest, TILE_WIDTH as u16),
    };
    if width == 0 || usize::from(width) > TILE_WIDTH {
        return None;
    }
    let mut index: u64 = 0;
    for group in groups.split('/') {
        let digits = group.strip_prefix('x').unwrap_or(group);
        let number: u64 = digits.parse().ok().filter(|&number| number < 1000)?;
        index = index.checked_mul(1000)?.checked_add(number)?;
    }
    Some(TilePath { row, index, width })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_standard() {
        let cases = [
            (TileRow::Hashes(0), 0, 256, "tile/0/000"),
            (TileRow::Hashes(0), 1_234_067, 256, "tile/0/x001/x234/067"),
            (TileRow::Hashes(1), 999, 12, "tile/1/999.p/12"),
            (TileRow::Entries, 1000, 255, "tile/entries/x001/000.p/255"),
            (
                TileRow::Hashes(63),
                u64::MAX,
                1,
                "tile/63/x018/x446/x744/x073/x709/x551/615.p/1",
            ),
        ];
        for (row, index, width, text) in cases {
            let path = TilePath { row, index, width };
            assert_eq!(path.to_string(), text);
            assert_eq!(text.parse::<TilePath>().unwrap(), path);
        }
    }

    #[test]
    fn a_tile_has_one_path_only() {
        for text in [
            "",
            "checkpoint",
            "tile/0/0",
            "tile/0/0000",
            "tile/00/000",
            "tile/+0/000",
            "tile/64/000",
            "tile/0/x000/001",
            "tile/0/001/002",
            "tile/0/x001",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/257",
            "tile/0/000.p/01",
            "tile/0/000/",
            "tile/-1/000",
            "tile/entries/000.p/",
            "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
        ] {
            assert!(text.parse::<TilePath>().is_err(), "{text} was taken");
        }
    }

    #[test]
    fn widths_follow_the_size_of_the_tree() {
        let width = |level, index, size| {
            TilePath::in_tree(TileRow::Hashes(level), index, size).map(|path| path.width)
        };
        assert_eq!(width(0, 0, 0), None);
        assert_eq!(width(0, 0, 1), Some(1));
        assert_eq!(width(0, 0, 256), Some(256));
        assert_eq!(width(0, 1, 256), None);
        assert_eq!(width(1, 0, 255), None);
        assert_eq!(width(1, 0, 70_000), Some(256));
        assert_eq!(width(1, 1, 70_000), Some(17));
        assert_eq!(width(2, 0, 70_000), Some(1));
        assert_eq!(width(8, 0, u64::MAX), None);
    }
}
