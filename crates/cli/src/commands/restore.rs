//! `reproof restore`

use std::process::ExitCode;

use crate::arguments::RestoreArguments;
use crate::context::Context;
use crate::error::CommandError;
use crate::faults::executor_fault;
use crate::output::{Output, safe, size};

pub(crate) async fn run(
    arguments: &RestoreArguments,
    output: &Output,
) -> Result<ExitCode, CommandError> {
    let context = Context::open(output).await?;
    let run = context.resolve_run(&arguments.run).await?;
    let manifest = context.manifest(&run)?;
    let outputs = arguments.outputs.then_some(&manifest.record);
    let restored = executor::restore(
        &context.bench.cas,
        &manifest.recipe,
        outputs,
        &arguments.directory,
    )
    .map_err(executor_fault)?;
    if output.is_json {
        output.json(&serde_json::json!({
            "run_id": run.id,
            "directory": arguments.directory,
            "restored": restored,
        }));
        return Ok(ExitCode::SUCCESS);
    }
    output.line(&format!(
        "restored {} files, {}, of run {} into {}",
        restored.files,
        size(restored.size_bytes),
        executor::short_id(&run.id),
        arguments.directory.display()
    ));
    for file in &restored.outside {
        output.line(&format!(
            "  {} stands at {}",
            safe(&file.path.display().to_string()),
            safe(&file.restored.display().to_string())
        ));
    }
    for missing in &restored.not_kept {
        output.line(&format!(
            "  not restored: {} ({})",
            safe(missing.path.as_str()),
            missing.reason.in_words()
        ));
    }
    Ok(ExitCode::SUCCESS)
}
