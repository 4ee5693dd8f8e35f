//! What files a run was made of, read and wrote.

use std::fmt::Write as _;

use entities::{Code, FileTrees, NotKept, Recipe, Record, RecordedPath};
use provenance::{FileFact, FileMap, FileSet, Place};

use super::Known;
use super::page::Page;
use crate::commands::outcome::not_kept;
use crate::output::{safe, size};

pub(super) fn files(page: &mut Page, known: &Known, recipe: &Recipe, record: &Record) {
    code(page, &recipe.code, &known.facts.code);
    if provenance::is_blind_to_reads(record) {
        page.heading("data read: not seen with this method");
    } else {
        file_set(page, "data read", &recipe.inputs, &known.facts.inputs);
    }
    file_set(page, "files written", &record.outputs, &known.facts.outputs);
    if record.scratch_files.0 > 0 {
        let _ = writeln!(
            page.text,
            "  and {} files that were made and removed again",
            record.scratch_files.0
        );
    }
    page.rows(
        "files removed",
        record.deleted.iter().map(|path| [safe(path.as_str())]),
    );
    page.rows(
        "recorded without their content",
        not_kept(recipe, record).into_iter().map(not_kept_row),
    );
    let gone = known.gone.iter().map(|gone| {
        let why = if gone.is_forgotten {
            "removed by `reproof forget`"
        } else {
            "missing: see `reproof audit verify`"
        };
        [safe(&gone.path), why.to_owned()]
    });
    page.rows("not in the store any more", gone);
}

fn not_kept_row(file: &NotKept) -> [String; 3] {
    let bytes = file
        .size_bytes
        .map_or_else(|| "–".to_owned(), |bytes| size(bytes.0));
    [
        safe(file.path.as_str()),
        bytes,
        file.reason.in_words().to_owned(),
    ]
}

fn code(page: &mut Page, code: &Code, files: &FileMap) {
    page.heading(&format!(
        "code: {}, tree b3:{}",
        files_and_size(code.files.0, code.size_bytes.0),
        code.tree.short()
    ));
    match &code.git {
        None => page.text.push_str("  no git\n"),
        Some(git) => {
            let commit = git
                .commit
                .as_deref()
                .map_or("no commit yet", |commit| &commit[..commit.len().min(12)]);
            let branch = git.branch.as_deref().map_or_else(
                || "detached".to_owned(),
                |branch| format!("on {}", safe(branch)),
            );
            let changes = if git.is_dirty {
                ", with changes that are not committed"
            } else {
                ""
            };
            let remote = git
                .remote
                .as_deref()
                .map_or_else(String::new, |remote| format!(", of {}", safe(remote)));
            let _ = writeln!(page.text, "  git {commit} {branch}{changes}{remote}");
        }
    }
    page.rows(
        "Git LFS pointers (not the content they stand for)",
        code.lfs_pointers.iter().map(|path| [safe(path.as_str())]),
    );
    if page.is_full {
        page.rows(
            "code files",
            files
                .iter()
                .map(|(path, fact)| file_row(Place::Project, path, fact)),
        );
    }
}

fn file_set(page: &mut Page, name: &str, trees: &FileTrees, files: &FileSet) {
    let heading = format!(
        "{name}: {}",
        files_and_size(trees.files.0, trees.size_bytes.0)
    );
    let rows = [
        (Place::Project, &files.project),
        (Place::Outside, &files.outside),
    ];
    let rows = rows.into_iter().flat_map(|(place, files)| {
        files
            .iter()
            .map(move |(path, fact)| file_row(place, path, fact))
    });
    page.rows(&heading, rows);
}

fn file_row(place: Place, path: &RecordedPath, fact: &FileFact) -> [String; 3] {
    [
        safe(place.whole(path).as_str()),
        size(fact.size_bytes),
        format!("b3:{}", fact.object.short()),
    ]
}

fn files_and_size(files: u64, size_bytes: u64) -> String {
    let files = if files == 1 {
        "1 file".to_owned()
    } else {
        format!("{files} files")
    };
    format!("{files}, {}", size(size_bytes))
}
