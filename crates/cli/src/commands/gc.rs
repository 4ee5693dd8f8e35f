//! `reproof gc`

mod removal;

use std::collections::BTreeSet;
use std::process::ExitCode;

use entities::{ObjectId, Timestamp};

use crate::arguments::GcArguments;
use crate::commands::references::{References, is_forgotten};
use crate::context::Context;
use crate::error::CommandError;
use crate::faults::{objects_fault, store_fault};
use crate::output::{Output, safe, size};

pub(crate) async fn run(
    arguments: &GcArguments,
    output: &Output,
) -> Result<ExitCode, CommandError> {
    let context = Context::open_to_write(output).await?;
    let removed = if arguments.deleted_runs {
        Some(removal::run(&arguments.removal, arguments.dry_run, &context, output).await?)
    } else {
        None
    };
    let working = output.work("finding what runs refer to");
    let began = Began::now(&context).await?;
    let references = References::collect(&context).await?;
    for (object, from) in &references.missing {
        check_forgotten(&context, object, from, output).await?;
    }
    let live: BTreeSet<_> = references.objects.into_keys().collect();
    drop(working);
    let options = cas::GcOptions {
        grace_ms: began.grace_ms(&context, arguments.grace_hours),
        is_dry_run: arguments.dry_run,
    };
    let summary = context
        .bench
        .cas
        .gc(&live, &options)
        .map_err(objects_fault)?;
    let left = context.bench.cas.distant();
    let left = left.filter(|place| place.is_only_read());
    for place in left {
        output.warn(&format!(
            "objects at {} are left: this store was put back from a backup, and another copy of it may use them; once none does, start `reproof server --artifacts-destination` with that place",
            safe(place.place())
        ));
    }
    if output.is_json {
        let mut answer = serde_json::json!({
            "kept_objects": live.len(),
            "removed_objects": summary.removed_objects,
            "freed_bytes": summary.freed_bytes,
            "is_dry_run": arguments.dry_run,
        });
        if let (Some(answer), Some(removed)) = (answer.as_object_mut(), &removed) {
            answer.insert("deleted".to_owned(), removed.as_json());
        }
        output.json(&answer);
    } else {
        if let Some(removed) = &removed {
            removed.list(output);
            removed.sum_up(output);
        }
        let verb = if arguments.dry_run {
            "would remove"
        } else {
            "removed"
        };
        output.line(&format!(
            "{verb} {} objects, {}; {} objects are in use",
            summary.removed_objects,
            size(summary.freed_bytes),
            live.len()
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// The state before the list of what is in use was made: what is named after that is not on it.
struct Began {
    at: Timestamp,
    /// When the oldest run under way was started: it has kept what it read and not named it yet.
    oldest_run: Option<Timestamp>,
}

impl Began {
    async fn now(context: &Context) -> Result<Self, CommandError> {
        let at = context.bench.clock.now();
        let open = context.store.list_open_runs().await.map_err(store_fault)?;
        Ok(Self {
            at,
            oldest_run: open.iter().map(|run| run.started_at).min(),
        })
    }

    /// How young an unreferenced object must be to stay, once the list is made: as asked for, and younger than that
    /// list and any run under way. An artifact or a verdict is kept a moment before it is named.
    fn grace_ms(&self, context: &Context, asked_hours: u64) -> u64 {
        let asked = asked_hours.saturating_mul(3_600_000);
        let from = self.oldest_run.map_or(self.at, |run| run.min(self.at));
        let now = context.bench.clock.now();
        let needed = now.as_millis().saturating_sub(from.as_millis());
        let needed = u64::try_from(needed).unwrap_or(0).saturating_add(MARGIN_MS);
        asked.max(needed)
    }
}

/// A run's first objects may be a little older than its row, and clocks of file systems are coarse.
const MARGIN_MS: u64 = 60_000;

/// What a recipe, record or list of files that is missing referred to is unknown: it is removed only where that one
/// was removed on purpose.
async fn check_forgotten(
    context: &Context,
    object: &ObjectId,
    from: &str,
    output: &Output,
) -> Result<(), CommandError> {
    if is_forgotten(context, object).await? {
        output.warn(&format!(
            "`{object}` of {from} was removed on purpose: nothing keeps what it alone refers to"
        ));
        return Ok(());
    }
    Err(CommandError::system(
        "E0010",
        format!("`{object}` of {from} is missing, and with it the list of what must be kept; nothing was removed"),
    )
    .hint("put `.reproof/objects/` back from a backup"))
}
