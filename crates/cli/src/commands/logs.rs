//! `reproof logs`

use std::process::ExitCode;

use crate::arguments::LogsArguments;
use crate::context::Context;
use crate::error::CommandError;
use crate::output::Output;

pub(crate) async fn run(
    arguments: &LogsArguments,
    output: &Output,
) -> Result<ExitCode, CommandError> {
    let context = Context::open(output).await?;
    let run = context.resolve_run(&arguments.run).await?;
    let manifest = context.manifest(&run)?;
    let read = |object: Option<entities::ObjectId>| match object {
        Some(object) => context
            .bench
            .cas
            .read(&object)
            .map_err(crate::faults::objects_fault),
        None => Ok(Vec::new()),
    };
    let stdout = if arguments.stderr {
        Vec::new()
    } else {
        read(manifest.record.stdout)?
    };
    let stderr = if arguments.stdout {
        Vec::new()
    } else {
        read(manifest.record.stderr)?
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
