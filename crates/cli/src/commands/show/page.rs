//! A page of sections, put together line by line.

use std::fmt::Write as _;

use crate::output::{table, table_text};

/// Files, packages and the like beyond these are only counted, unless all are asked for.
const SHORT_LIST_LENGTH: usize = 8;

/// Puts a page together, section by section.
pub(super) struct Page {
    pub(super) text: String,
    pub(super) is_full: bool,
}

impl Page {
    /// Adds named facts; a fact with an empty text is left out.
    pub(super) fn facts(&mut self, facts: &[(&str, String)]) {
        for (name, text) in facts {
            for (at, line) in text.lines().enumerate() {
                let name = if at == 0 { name } else { "" };
                let _ = writeln!(self.text, "{name:<12}{line}");
            }
        }
    }

    pub(super) fn heading(&mut self, text: &str) {
        let _ = writeln!(self.text, "\n{text}");
    }

    /// Adds rows below a heading; nothing where there are none.
    pub(super) fn rows<const N: usize>(
        &mut self,
        heading: &str,
        rows: impl Iterator<Item = [String; N]>,
    ) {
        let rows: Vec<_> = rows.collect();
        if rows.is_empty() {
            return;
        }
        self.heading(heading);
        let shown = if self.is_full {
            rows.len()
        } else {
            rows.len().min(SHORT_LIST_LENGTH)
        };
        self.text.push_str(&aligned(&rows[..shown]));
        if shown < rows.len() {
            let _ = writeln!(
                self.text,
                "  … and {} more; `--full` lists them",
                rows.len() - shown
            );
        }
    }

    /// Adds all rows, however many there are.
    pub(super) fn all_rows<const N: usize>(
        &mut self,
        heading: &str,
        rows: impl Iterator<Item = [String; N]>,
    ) {
        let rows: Vec<_> = rows.collect();
        if !rows.is_empty() {
            self.heading(heading);
            self.text.push_str(&aligned(&rows));
        }
    }
}

fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let mut table = table(&[]);
    for row in rows {
        let mut row = row.clone();
        row[0] = format!("  {}", row[0]);
        table.add_row(row);
    }
    format!("{}\n", table_text(&table))
}

/// Named facts with room for longer names.
pub(super) fn wide_facts(page: &mut Page, facts: &[(&str, String)]) {
    for (name, text) in facts {
        for (at, line) in text.lines().enumerate() {
            let name = if at == 0 { name } else { "" };
            let _ = writeln!(page.text, "{name:<15}{line}");
        }
    }
}

pub(super) fn list_in_a_line(names: &[String]) -> String {
    let shown = names[..names.len().min(SHORT_LIST_LENGTH)].join(", ");
    match names.len().saturating_sub(SHORT_LIST_LENGTH) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
