//! `reproof init`

use std::path::Path;
use std::process::ExitCode;

use crate::arguments::InitArguments;
use crate::context::Context;
use crate::database::NewStore;
use crate::error::CommandError;
use crate::output::Output;
use crate::project::{Project, cannot_write};

pub(crate) async fn run(
    arguments: &InitArguments,
    output: &Output,
) -> Result<ExitCode, CommandError> {
    let directory = arguments
        .directory
        .as_deref()
        .unwrap_or_else(|| Path::new("."));
    std::fs::create_dir_all(directory).map_err(|error| cannot_write(directory, &error))?;
    let root = directory
        .canonicalize()
        .map_err(|error| cannot_write(directory, &error))?;
    let outer = Project::find(&root).filter(|project| project.root != root);
    if let Some(outer) = outer.filter(|_| !arguments.nested) {
        return Err(CommandError::usage(
            "E0002",
            format!(
                "{} belongs to the project {}, which has a store",
                root.display(),
                outer.root.display()
            ),
        )
        .hint("use that store: every command finds it from here")
        .hint("`reproof init --nested` makes another one here all the same"));
    }
    let was_there = Project::find(&root).is_some();
    let new = NewStore {
        postgres: arguments.postgresql.as_deref(),
        artifact_root: None,
    };
    let project = Project::lay_out(&root)?;
    let context = Context::create(project, new, output).await?;
    context.publish().await?;
    let store = context.bench.project.store_directory.clone();
    let is_ignored = ignores_itself(&store);
    if output.is_json {
        output.json(&serde_json::json!({
            "store": store,
            "was_there": was_there,
            "is_ignored_by_git": is_ignored,
            "verifier_key": context.verifier_key,
        }));
    } else if was_there {
        output.line(&format!(
            "the store {} is there already; nothing was changed",
            store.display()
        ));
        output.line(&format!("the ledger is signed by {}", context.verifier_key));
    } else {
        output.line(&format!("made the store {}", store.display()));
        output.line("settings are in reproof.toml; the signing key is in your settings folder, not in the project");
        output.line(in_git(is_ignored));
        output.line(&format!("the ledger is signed by {}", context.verifier_key));
    }
    Ok(ExitCode::SUCCESS)
}

/// What of it belongs into git.
const fn in_git(is_ignored: bool) -> &'static str {
    if is_ignored {
        "commit reproof.toml; git ignores `.reproof/`, by its own .gitignore"
    } else {
        "commit reproof.toml; git does NOT ignore `.reproof/`: add it to .gitignore, for it is large and only of this machine"
    }
}

/// Whether the `.gitignore` of the store has it all ignored; one that was there before the store may not.
fn ignores_itself(store: &Path) -> bool {
    std::fs::read_to_string(store.join(".gitignore"))
        .is_ok_and(|text| text.lines().any(|line| line.trim_end() == "*"))
}
