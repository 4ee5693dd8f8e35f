//! `reproof model promote`: a version is put into use where the evidence for it is there.

use std::process::ExitCode;

use entities::ModelVersionDetail;
use provenance::EvidenceLevel;
use registry::FilesState;
use serde_json::json;

use super::show::Made;
use super::{find_version, name_of};
use crate::context::Context;
use crate::error::CommandError;
use crate::faults::registry_fault;
use crate::output::{Output, safe};

/// One thing that a version in use should have.
struct Check {
    name: &'static str,
    is_met: bool,
    /// What is missing, and what to do about it.
    missing: &'static str,
}

pub(super) async fn run(
    reference: &str,
    alias: &str,
    reason: Option<String>,
    output: &Output,
) -> Result<ExitCode, CommandError> {
    let context = Context::open_to_write(output).await?;
    let detail = find_version(&context, reference).await?;
    let checks = check(&context, &detail).await?;
    let missing = checks.iter().filter(|check| !check.is_met).count();
    let is_promoted = missing == 0 || reason.is_some();
    if is_promoted {
        let version = (detail.version.name.as_str(), detail.version.version);
        let caller = &context.bench.caller;
        let promoting = context.registry.promote(caller, version, alias, reason);
        promoting.await.map_err(registry_fault)?;
        context.publish_or_warn(output).await;
    }
    if output.is_json {
        let checks: Vec<_> = checks
            .iter()
            .map(|check| json!({ "check": check.name, "is_met": check.is_met }))
            .collect();
        output.json(&json!({
            "version": name_of(&detail),
            "alias": alias,
            "is_promoted": is_promoted,
            "checks": checks,
        }));
    } else {
        for check in &checks {
            let (mark, missing) = if check.is_met {
                ("yes", String::new())
            } else {
                ("no ", format!(": {}", check.missing))
            };
            output.line(&format!("  {mark}  {}{missing}", check.name));
        }
        let name = safe(&name_of(&detail));
        let alias = safe(alias);
        output.line(&match (is_promoted, missing) {
            (true, 0) => format!("promoted: `{alias}` is {name}"),
            (true, _) => format!("promoted without all of the evidence: `{alias}` is {name}"),
            (false, _) => format!("NOT promoted: {name} lacks evidence; `--reason WHY` promotes it all the same and says so in the ledger"),
        });
    }
    Ok(if is_promoted {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

async fn check(context: &Context, detail: &ModelVersionDetail) -> Result<Vec<Check>, CommandError> {
    let made = Made::find(context, detail).await?;
    let run = made.run.as_ref();
    let level = run.map(|(_, evidence, _)| evidence.level);
    let git = run.and_then(|(_, _, recipe)| recipe.as_ref()?.code.git.as_ref());
    Ok(vec![
        Check {
            name: "its files are those that were registered",
            is_met: made.state == FilesState::Unchanged,
            missing: "they were changed, or are kept elsewhere; register them again",
        },
        Check {
            name: "the run that made it was captured",
            is_met: level >= Some(EvidenceLevel::Captured),
            missing: "train it with `reproof run`",
        },
        Check {
            name: "the run finished",
            is_met: run.is_some_and(|(run, _, _)| run.status == entities::RunStatus::Finished),
            missing: "it failed, was killed, or is not known",
        },
        Check {
            name: "a replay had the same results",
            is_met: level >= Some(EvidenceLevel::Reproducible),
            missing: "`reproof replay RUN` shows it",
        },
        Check {
            name: "its code is a commit, unchanged",
            is_met: git.is_some_and(|git| git.commit.is_some() && !git.is_dirty),
            missing: "commit, and train again",
        },
    ])
}
