//! What a command is given on its standard input, and what is kept of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use capture::host::StandardInput as Found;
use cas::Cas;
use entities::{Count, Gap, Recipe, Record, RecordedPath, StandardInput};
use provenance::{STANDARD_INPUT_FILE_NOT_KEPT, STANDARD_INPUT_NOT_KEPT};

use crate::ExecutorError;
use crate::collect::Collector;
use crate::snapshot::{Slot, Snapshot};

/// What will be on record of a standard input.
pub(crate) enum Kept {
    /// Nothing was given, or somebody typed.
    Nothing,
    /// A file that is being kept.
    File {
        path: Option<PathBuf>,
        slot: Arc<Slot>,
    },
    /// What another run was given.
    Again(StandardInput),
    /// It cannot be kept.
    Lost { why: String },
}

impl Kept {
    /// Keeps what this process was given and hands on.
    pub(crate) fn of_ours(found: Found, collector: &Collector) -> Self {
        match found {
            Found::Nothing | Found::Terminal => Self::Nothing,
            Found::Stream { what } => Self::Lost {
                why: format!("it was {what}"),
            },
            Found::File { file, path } => {
                if path
                    .as_deref()
                    .is_some_and(|path| collector.is_secret_file(path))
                {
                    return Self::Lost {
                        why: "it was a file that holds secrets".to_owned(),
                    };
                }
                let slot = collector.keep_standard_input(file, path.as_deref());
                Self::File { path, slot }
            }
        }
    }

    /// What stands in the recipe, and what is missing.
    pub(crate) fn finish(self) -> (Option<StandardInput>, Option<Gap>) {
        let gap = |code: &str, why: &str| {
            Some(Gap {
                code: code.to_owned(),
                message: format!("standard input is not on record: {why}"),
            })
        };
        match self {
            Self::Nothing => (None, None),
            Self::Again(input) => (Some(input), None),
            Self::Lost { why } => (None, gap(STANDARD_INPUT_NOT_KEPT, &why)),
            Self::File { path, slot } => match slot.wait() {
                Snapshot::Kept(fact) => {
                    let input = StandardInput {
                        object: fact.object,
                        size_bytes: Count(fact.size_bytes),
                        path: path.map(RecordedPath::new),
                    };
                    (Some(input), None)
                }
                Snapshot::NotKept { reason, .. } => {
                    let why = format!("its content could not be kept, {}", reason.in_words());
                    (None, gap(STANDARD_INPUT_FILE_NOT_KEPT, &why))
                }
            },
        }
    }
}

/// What a replay gives its command, with a note where it is not what the origin was given.
pub(crate) fn of_replay(
    cas: &Cas,
    recipe: &Recipe,
    record: &Record,
) -> Result<(Option<StandardInput>, Option<String>), ExecutorError> {
    const INSTEAD: &str = "the command is given that of this replay";
    if let Some(input) = &recipe.standard_input {
        return Ok(if cas.contains(&input.object)? {
            (Some(input.clone()), None)
        } else {
            let note = format!("the content of standard input was forgotten; {INSTEAD}");
            (None, Some(note))
        });
    }
    let gap = record.gaps.iter().find(|gap| {
        gap.code == STANDARD_INPUT_NOT_KEPT || gap.code == STANDARD_INPUT_FILE_NOT_KEPT
    });
    Ok((None, gap.map(|gap| format!("{}; {INSTEAD}", gap.message))))
}

/// Writes the bytes of a recorded standard input to a file.
pub(crate) fn put_file(cas: &Cas, input: &StandardInput, path: &Path) -> Result<(), ExecutorError> {
    Ok(cas.checkout_file(&input.object, path, false)?)
}
