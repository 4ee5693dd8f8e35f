//! `reproof logs`

use std::process::ExitCode;

use entities::ObjectId;

use crate::arguments::LogsArguments;
use crate::commands::references::is_forgotten;
use crate::context::Context;
use crate::error::CommandError;
use crate::faults::objects_fault;
use crate::output::Output;

pub(crate) async fn run(
    arguments: &LogsArguments,
    output: &Output,
) -> Result<ExitCode, CommandError> {
    let context = Context::open(output).await?;
    let run = context.resolve_run(&arguments.run).await?;
    let manifest = context.manifest(&run)?;
    let stdout = if arguments.stderr {
        Vec::new()
    } else {
        read(&context, manifest.record.stdout, "standard output", output).await?
    };
    let stderr = if arguments.stdout {
        Vec::new()
    } else {
        read(&context, manifest.record.stderr, "standard error", output).await?
    };
    if output.is_json {
        output.json(&serde_json::json!({
            "run_id": run.id,
            "stdout": String::from_utf8_lossy(&stdout),
            "stderr": String::from_utf8_lossy(&stderr),
        }));
    } else {
        output.bytes(&stdout);
        if arguments.stderr {
            output.bytes(&stderr);
        } else {
            output.error_bytes(&stderr);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads what was printed; says so where it was removed on purpose.
async fn read(
    context: &Context,
    object: Option<ObjectId>,
    what: &str,
    output: &Output,
) -> Result<Vec<u8>, CommandError> {
    let Some(object) = object else {
        return Ok(Vec::new());
    };
    let cas = &context.bench.cas;
    if !cas.contains(&object).map_err(objects_fault)? && is_forgotten(context, &object).await? {
        output.say(&format!(
            "{what} was removed by `reproof forget`: `reproof audit log object:{object}` says why"
        ));
        return Ok(Vec::new());
    }
    cas.read(&object).map_err(objects_fault)
}
