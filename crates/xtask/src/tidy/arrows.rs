//! The directions between rooms: what the table allows, and what the manifests say.

use std::cmp::Ordering;
use std::path::Path;

use cargo_metadata::DependencyKind;

use crate::error::TaskError;

/// The table of rooms, as ARCHITECTURE.md has it.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    /// Line of the page, from 1.
    line: usize,
    level: Level,
    room: String,
    may_use: MayUse,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    /// For tests and tasks: whatever it uses, nothing else uses it but in tests.
    Development,
    Numbered(u8),
}

#[derive(Debug)]
enum MayUse {
    All,
    Rooms(Vec<String>),
}

/// A package of the workspace, with those of the workspace that it uses outside of tests.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) name: String,
    pub(crate) uses: Vec<String>,
}

/// What is wrong with the table, or with a room by the table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) line: Option<usize>,
    pub(crate) message: String,
}

/// Reads what the rooms use from their manifests.
pub(crate) fn read_rooms(root: &Path) -> Result<Vec<Room>, TaskError> {
    let metadata = cargo_metadata::MetadataCommand::new()
        .current_dir(root)
        .no_deps()
        .exec()?;
    let mut rooms: Vec<_> = metadata
        .packages
        .iter()
        .map(|package| {
            let mut uses: Vec<_> = package
                .dependencies
                .iter()
                .filter(|dependency| dependency.path.is_some())
                .filter(|dependency| dependency.kind != DependencyKind::Development)
                .map(|dependency| dependency.name.clone())
                .collect();
            uses.sort_unstable();
            uses.dedup();
            Room {
                name: package.name.to_string(),
                uses,
            }
        })
        .collect();
    rooms.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(rooms)
}

/// Finds the table that begins with the columns `Level` and `Room` and ends with `May use`.
pub(crate) fn parse(page: &str) -> Result<Table, Fault> {
    let lines: Vec<_> = page
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
        .collect();
    let is_head = |cells: &[&str]| {
        cells.len() >= 3 && cells[..2] == ["Level", "Room"] && cells.last() == Some(&"May use")
    };
    let mut heads = lines
        .iter()
        .enumerate()
        .filter(|(_, (_, line))| is_head(&cells_of(line)));
    let Some((head, (head_line, _))) = heads.next() else {
        return Err(Fault {
            line: None,
            message: "has no table with the columns Level, Room, …, May use".to_owned(),
        });
    };
    if let Some((_, (line, _))) = heads.next() {
        return Err(Fault {
            line: Some(*line),
            message: format!("a second table of rooms; the one that counts is in line {head_line}"),
        });
    }
    let rows = lines[head + 1..]
        .iter()
        .take_while(|(_, line)| line.starts_with('|'))
        .filter(|(_, line)| !line.contains("---"))
        .map(|(line, text)| parse_row(*line, text))
        .collect::<Result<_, _>>()?;
    Ok(Table { rows })
}

/// Holds the rooms against the table, and the table against itself.
pub(crate) fn check(table: &Table, rooms: &[Room]) -> Vec<Fault> {
    let mut faults: Vec<_> = table
        .rows
        .iter()
        .flat_map(|row| check_row(table, row, rooms))
        .collect();
    for room in rooms {
        match table.row(&room.name) {
            Some(row) => faults.extend(check_room(table, row, room)),
            None => faults.push(Fault {
                line: None,
                message: format!("the table has no row for the room `{}`", room.name),
            }),
        }
    }
    faults
}

impl Table {
    fn row(&self, room: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.room == room)
    }
}

/// The row speaks of one room that exists, and allows only rooms that exist and do not stand above.
fn check_row(table: &Table, row: &Row, rooms: &[Room]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut complain = |message| {
        faults.push(Fault {
            line: Some(row.line),
            message,
        });
    };
    if !rooms.iter().any(|room| room.name == row.room) {
        complain(format!("there is no room `{}`", row.room));
    }
    if table
        .row(&row.room)
        .is_some_and(|first| first.line != row.line)
    {
        complain(format!("a second row for the room `{}`", row.room));
    }
    if let MayUse::Rooms(allowed) = &row.may_use {
        for used in allowed {
            match table.row(used) {
                None => complain(format!("`{}` may use `{used}`, which has no row", row.room)),
                Some(other) if is_above(other.level, row.level) => {
                    complain(format!(
                        "`{}` may use `{used}`, which stands above it",
                        row.room
                    ));
                }
                Some(_) => {}
            }
        }
    }
    faults
}

/// Each arrow of the room is one that the table allows.
fn check_room(table: &Table, row: &Row, room: &Room) -> Vec<Fault> {
    let forbidden = room
        .uses
        .iter()
        .filter(|used| !is_allowed(table, row, used));
    forbidden
        .map(|used| Fault {
            line: Some(row.line),
            message: format!(
                "`{}` uses `{used}`, and its row does not allow it",
                room.name
            ),
        })
        .collect()
}

fn is_allowed(table: &Table, row: &Row, used: &str) -> bool {
    match &row.may_use {
        MayUse::Rooms(allowed) => allowed.iter().any(|room| room == used),
        MayUse::All => table.row(used).is_some_and(|other| {
            row.level == Level::Development || is_above(row.level, other.level)
        }),
    }
}

/// Whether `level` stands above `other`; what is for development stands above all else.
fn is_above(level: Level, other: Level) -> bool {
    let order = match (level, other) {
        (Level::Development, Level::Development) => Ordering::Equal,
        (Level::Development, Level::Numbered(_)) => Ordering::Greater,
        (Level::Numbered(_), Level::Development) => Ordering::Less,
        (Level::Numbered(level), Level::Numbered(other)) => level.cmp(&other),
    };
    order == Ordering::Greater
}

fn cells_of(line: &str) -> Vec<&str> {
    let line = line.trim();
    match line
        .strip_prefix('|')
        .and_then(|rest| rest.strip_suffix('|'))
    {
        Some(inner) => inner.split('|').map(str::trim).collect(),
        None => Vec::new(),
    }
}

fn parse_row(line: usize, text: &str) -> Result<Row, Fault> {
    let fault = |message: &str| Fault {
        line: Some(line),
        message: message.to_owned(),
    };
    let cells = cells_of(text);
    let [level, room, .., may_use] = cells[..] else {
        return Err(fault("a row of the table needs Level, Room and May use"));
    };
    let level = match level {
        "dev" => Level::Development,
        number => Level::Numbered(
            number
                .parse()
                .map_err(|_| fault("a level is a number or `dev`"))?,
        ),
    };
    let [room] = &quoted(room)[..] else {
        return Err(fault("a row names one room, in backticks"));
    };
    let rooms = quoted(may_use);
    let may_use = match may_use {
        "all" => MayUse::All,
        "nothing" => MayUse::Rooms(Vec::new()),
        _ if rooms.is_empty() => {
            return Err(fault("`May use` is all, nothing, or rooms in backticks"));
        }
        _ => MayUse::Rooms(rooms),
    };
    Ok(Row {
        line,
        level,
        room: room.clone(),
        may_use,
    })
}

/// What stands in backticks.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
# Rooms

| Level | Room | What lives there | May use |
|---|---|---|---|
| 5 | `cli` | arguments | all |
| 1 | `store` | traits | `entities` |
| 1 | `store-sqlite` | SQL | `store`, `entities` |
| 0 | `entities` | words | nothing |
| dev | `xtask` | tasks | all |

Afterwards.
";

    fn room(name: &str, uses: &[&str]) -> Room {
        Room {
            name: name.to_owned(),
            uses: uses.iter().map(|&used| used.to_owned()).collect(),
        }
    }

    fn rooms(changed: Room) -> Vec<Room> {
        let mut rooms = vec![
            room("cli", &["entities", "store", "store-sqlite"]),
            room("entities", &[]),
            room("store", &["entities"]),
            room("store-sqlite", &["entities", "store"]),
            room("xtask", &["cli"]),
        ];
        rooms.retain(|room| room.name != changed.name);
        rooms.push(changed);
        rooms
    }

    fn faults(page: &str, changed: Room) -> Vec<Fault> {
        check(&parse(page).unwrap(), &rooms(changed))
    }

    #[test]
    fn arrows_that_the_table_has_are_allowed() {
        assert_eq!(faults(PAGE, room("entities", &[])), []);
    }

    #[test]
    fn an_arrow_that_the_table_has_not_is_named_with_its_line() {
        let expected = Fault {
            line: Some(6),
            message: "`store` uses `store-sqlite`, and its row does not allow it".to_owned(),
        };
        assert_eq!(
            faults(PAGE, room("store", &["entities", "store-sqlite"])),
            [expected]
        );
    }

    #[test]
    fn nothing_may_use_a_room_for_development() {
        let faults = faults(PAGE, room("cli", &["xtask"]));
        assert_eq!(faults.len(), 1);
        assert_eq!(faults[0].line, Some(5));
        assert!(faults[0].message.contains("`cli` uses `xtask`"));
    }

    #[test]
    fn a_room_without_a_row_and_a_row_without_a_room_are_faults() {
        let with_lake = faults(PAGE, room("lake", &[]));
        assert!(with_lake[0].message.contains("no row for the room `lake`"));
        let page = PAGE.replace("| 1 | `store` |", "| 1 | `shop` |");
        let messages: Vec<_> = faults(&page, room("entities", &[]))
            .into_iter()
            .map(|fault| fault.message)
            .collect();
        assert!(
            messages.contains(&"there is no room `shop`".to_owned()),
            "{messages:?}"
        );
    }

    #[test]
    fn a_row_may_not_allow_a_room_above() {
        let page = PAGE.replace("words | nothing", "words | `store`");
        let faults = faults(&page, room("entities", &[]));
        assert_eq!(faults.len(), 1);
        assert_eq!(faults[0].line, Some(8));
        assert!(faults[0].message.contains("stands above"));
    }

    #[test]
    fn a_page_without_the_table_or_with_two_is_refused() {
        assert!(parse("# Nothing\n").is_err());
        let fault = parse(&format!("{PAGE}\n{PAGE}")).unwrap_err();
        assert!(fault.message.contains("second table"));
    }

    #[test]
    fn rows_that_cannot_be_read_are_named_by_their_line() {
        for (from, to) in [
            ("| 5 |", "| five |"),
            ("`cli`", "cli"),
            ("| arguments | all |", "| arguments | everything |"),
        ] {
            let fault = parse(&PAGE.replace(from, to)).unwrap_err();
            assert_eq!(fault.line, Some(5), "{from}");
        }
    }
}
