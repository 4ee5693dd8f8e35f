//! `reproof forget`

use std::process::ExitCode;

use entities::{Change, Commit, ObjectId};
use store::Store as _;

use crate::arguments::ForgetArguments;
use crate::context::Context;
use crate::error::CommandError;
use crate::faults::{objects_fault, store_fault};
use crate::output::Output;

pub(crate) async fn run(
    arguments: &ForgetArguments,
    output: &Output,
) -> Result<ExitCode, CommandError> {
    let context = Context::open_to_write(output).await?;
    let object = find_object(&context, &arguments.object).await?;
    if !context.bench.cas.contains(&object).map_err(objects_fault)? {
        return Err(CommandError::usage(
            "E0010",
            format!("object `{object}` is not in the store"),
        ));
    }
    if !arguments.yes {
        return Err(
            CommandError::usage("E0022", format!("removing `{object}` cannot be undone"))
                .hint("add `--yes` to do it"),
        );
    }
    let now = context.bench.clock.now();
    let change = Change::ObjectForgotten {
        object,
        reason: arguments.reason.clone(),
        at: now,
    };
    let commit = Commit {
        reason: Some(arguments.reason.clone()),
        ..context.new_commit("object.forgotten", format!("object:{object}"), change)
    };
    // The event comes first: if this is cut short, an object that is said to be gone is still there and can be
    // removed again; the other way round it would be gone without a word.
    context.store.commit(commit).await.map_err(store_fault)?;
    context.bench.cas.forget(&object).map_err(objects_fault)?;
    context.publish_or_warn(output).await;
    if output.is_json {
        output.json(&serde_json::json!({ "forgotten": object, "reason": arguments.reason }));
    } else {
        output.line(&format!("forgot {object}; the ledger says so, and why"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads `b3:…`, or `RUN:PATH` for a file that a run read or wrote or that belongs to its code.
async fn find_object(context: &Context, text: &str) -> Result<ObjectId, CommandError> {
    if let Ok(object) = text.parse() {
        return Ok(object);
    }
    let Some((run, path)) = text.split_once(':') else {
        return Err(CommandError::usage(
            "E0022",
            format!("`{text}` is neither `b3:…` nor RUN:PATH"),
        ));
    };
    let run = context.resolve_run(run).await?;
    let manifest = context.manifest(&run)?;
    let files = executor::files_of_manifest(&context.bench.cas, &manifest)
        .map_err(crate::faults::executor_fault)?;
    let wanted = entities::RecordedPath::new(path);
    files.get(&wanted).map(|fact| fact.object).ok_or_else(|| {
        CommandError::usage(
            "E0022",
            format!("run {} has no file `{path}`", executor::short_id(&run.id)),
        )
        .hint("`reproof show RUN --full` lists its files")
    })
}
