//! What no compiler checks: directions between rooms, sizes, links, wording.

use std::fmt;
use std::fs;
use std::path::Path;

use crate::Context;
use crate::error::TaskError;
use crate::process::{self, program};

mod arrows;
mod links;
mod sources;

/// The page that holds the one table of rooms.
const ARCHITECTURE: &str = "ARCHITECTURE.md";

/// Checks the checkout; prints each complaint and fails if there is one.
pub(crate) fn run(context: &Context) -> Result<(), TaskError> {
    let complaints = check(context)?;
    for complaint in &complaints {
        println!("{complaint}");
    }
    if complaints.is_empty() {
        println!("tidy: nothing to complain of");
        return Ok(());
    }
    Err(TaskError::Steps {
        steps: vec![format!("tidy ({} complaints)", complaints.len())],
    })
}

/// Something that is not as it should be, and where.
#[derive(Debug, PartialEq, Eq)]
struct Complaint {
    path: String,
    line: Option<usize>,
    message: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(formatter, "{}:{line}: {}", self.path, self.message),
            None => write!(formatter, "{}: {}", self.path, self.message),
        }
    }
}

/// A text file that git tracks, or would if it were added.
#[derive(Debug)]
struct TextFile {
    /// Relative to the checkout, with `/`.
    path: String,
    text: String,
}

impl TextFile {
    fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.path)
            .extension()
            .is_some_and(|found| found == extension)
    }
}

fn check(context: &Context) -> Result<Vec<Complaint>, TaskError> {
    let files = read_files(&context.root)?;
    let rooms = arrows::read_rooms(&context.root)?;
    let mut complaints = check_arrows(&files, &rooms);
    for room in &rooms {
        let path = format!("crates/{}/README.md", room.name);
        if !context.root.join(&path).is_file() {
            complaints.push(Complaint {
                path,
                line: None,
                message: "every room has a README.md".to_owned(),
            });
        }
    }
    for file in &files {
        complaints.extend(sources::check(file));
        complaints.extend(links::check(file, &context.root));
    }
    Ok(complaints)
}

fn check_arrows(files: &[TextFile], rooms: &[arrows::Room]) -> Vec<Complaint> {
    let page = files.iter().find(|file| file.path == ARCHITECTURE);
    let complaints = match page.map(|page| arrows::parse(&page.text)) {
        Some(Ok(table)) => arrows::check(&table, rooms),
        Some(Err(fault)) => vec![fault],
        None => vec![arrows::Fault {
            line: None,
            message: "is missing: it holds the table of rooms".to_owned(),
        }],
    };
    complaints
        .into_iter()
        .map(|arrows::Fault { line, message }| Complaint {
            path: ARCHITECTURE.to_owned(),
            line,
            message,
        })
        .collect()
}

/// All text files of the checkout; those that are not text are left out.
fn read_files(root: &Path) -> Result<Vec<TextFile>, TaskError> {
    let listing = process::output_of(
        program("git")
            .args([
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ])
            .current_dir(root),
    )?;
    let mut paths: Vec<_> = listing
        .split('\0')
        .filter(|path| !path.is_empty())
        .collect();
    paths.sort_unstable();
    paths.dedup();
    let files = paths.into_iter().filter_map(|path| {
        // A file that is deleted but not yet so in git cannot be read, nor need it be checked.
        let text = fs::read_to_string(root.join(path)).ok()?;
        Some(TextFile {
            path: path.to_owned(),
            text,
        })
    });
    Ok(files.collect())
}
