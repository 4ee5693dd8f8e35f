//! `reproof forget`

use std::collections::BTreeSet;
use std::fmt;
use std::process::ExitCode;

use entities::{Change, Commit, ObjectId, RecordedPath, Run, RunId};
use executor::Manifest;

use crate::arguments::ForgetArguments;
use crate::context::Context;
use crate::error::CommandError;
use crate::faults::{executor_fault, objects_fault, store_fault, tracking_fault};
use crate::output::{Output, size};

pub(crate) async fn run(
    arguments: &ForgetArguments,
    output: &Output,
) -> Result<ExitCode, CommandError> {
    let context = Context::open_to_write(output).await?;
    let (run, found) = find_objects(&context, &arguments.object).await?;
    let mut there = Vec::new();
    for named in found {
        if context
            .bench
            .cas
            .contains(&named.object)
            .map_err(objects_fault)?
        {
            there.push(named);
        }
    }
    if there.is_empty() {
        return Err(CommandError::usage(
            "E0010",
            format!("nothing of `{}` is in the store", arguments.object),
        ));
    }
    if !arguments.yes {
        let others = count_other_runs(&context, &there, run.as_ref()).await?;
        for (named, others) in there.iter().zip(others) {
            output.say(&format!("would forget {named}{}", in_other_runs(others)));
        }
        return Err(CommandError::usage(
            "E0022",
            format!("removing {} objects cannot be undone", there.len()),
        )
        .hint("add `--yes` to do it"));
    }
    let others = count_other_runs(&context, &there, run.as_ref()).await?;
    for named in &there {
        let checked = context.bench.cas.check_forgettable(&named.object);
        checked.map_err(objects_fault)?;
    }
    for named in &there {
        forget(&context, named.object, run.as_ref(), &arguments.reason).await?;
    }
    context.publish_or_warn(output).await;
    if output.is_json {
        let objects: Vec<_> = there.iter().map(|named| named.object).collect();
        output.json(&serde_json::json!({ "forgotten": objects, "reason": arguments.reason }));
    } else {
        for (named, others) in there.iter().zip(others) {
            output.line(&format!("forgot {named}{}", in_other_runs(others)));
        }
        output.line("the ledger says so, and why; a later run that reads or writes the same bytes keeps them again");
    }
    Ok(ExitCode::SUCCESS)
}

/// In how many other runs each of these objects stands: equal bytes are kept once, and go everywhere.
async fn count_other_runs(
    context: &Context,
    objects: &[Named],
    own: Option<&RunId>,
) -> Result<Vec<usize>, CommandError> {
    let mut counts = vec![0; objects.len()];
    for (id, _, _) in context.store.list_manifests().await.map_err(store_fault)? {
        if Some(&id) == own {
            continue;
        }
        let Some(run) = context.store.find_run(&id).await.map_err(store_fault)? else {
            continue;
        };
        let of_run =
            executor::list_objects_of_run(&context.bench.cas, &run).map_err(executor_fault)?;
        for (count, named) in counts.iter_mut().zip(objects) {
            *count += usize::from(of_run.objects.contains(&named.object));
        }
    }
    Ok(counts)
}

fn in_other_runs(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => "; another run has the same bytes and loses them too".to_owned(),
        count => format!("; {count} other runs have the same bytes and lose them too"),
    }
}

async fn forget(
    context: &Context,
    object: ObjectId,
    run: Option<&RunId>,
    reason: &str,
) -> Result<(), CommandError> {
    let change = Change::ObjectForgotten {
        object,
        reason: reason.to_owned(),
        at: context.bench.clock.now(),
    };
    let mut commit = Commit {
        reason: Some(reason.to_owned()),
        ..context.new_commit("object.forgotten", format!("object:{object}"), change)
    };
    commit.subjects.extend(run.map(|run| format!("run:{run}")));
    // The event comes first: if this is cut short, an object that is said to be gone is still there and can be
    // removed again; the other way round it would be gone without a word.
    context.store.commit(commit).await.map_err(store_fault)?;
    context.bench.cas.forget(&object).map_err(objects_fault)
}

/// An object and what it is to the run that was named.
struct Named {
    object: ObjectId,
    role: &'static str,
    size_bytes: Option<u64>,
}

impl fmt::Display for Named {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            object,
            role,
            size_bytes,
        } = self;
        write!(formatter, "{object} ({role}")?;
        if let Some(bytes) = size_bytes {
            write!(formatter, ", {}", size(*bytes))?;
        }
        write!(formatter, ")")
    }
}

/// Reads `b3:…`, or `RUN:PATH` for a file of a run in all its versions, or `RUN:@…` for what has no path.
async fn find_objects(
    context: &Context,
    text: &str,
) -> Result<(Option<RunId>, Vec<Named>), CommandError> {
    if let Ok(object) = text.parse() {
        refuse_record(context, &object).await?;
        let named = Named {
            object,
            role: "object",
            size_bytes: None,
        };
        return Ok((None, vec![named]));
    }
    let (run, path) = match text.split_once(':') {
        Some(("b3", _)) => {
            return Err(
                CommandError::usage("E0022", format!("`{text}` is no whole digest")).hint(
                    "a digest is `b3:` and 64 hex digits, as `reproof show RUN --json` prints it",
                ),
            );
        }
        Some(parts) => parts,
        None => {
            return Err(CommandError::usage(
                "E0022",
                format!("`{text}` is neither `b3:…` nor RUN:PATH"),
            ));
        }
    };
    let run = context.resolve_run(run).await?;
    // A run that a client logged has artifacts and no manifest.
    let manifest = match run.recipe {
        Some(_) => Some(context.manifest(&run)?),
        None => None,
    };
    let mut found = match (&manifest, path.strip_prefix('@')) {
        (Some(manifest), Some(name)) => find_nameless(manifest, name),
        (Some(manifest), None) => find_files(context, manifest, path)?,
        (None, _) => Vec::new(),
    };
    found.extend(find_artifacts(context, &run, path).await?);
    let mut seen = BTreeSet::new();
    found.retain(|named| seen.insert(named.object));
    if found.is_empty() {
        return Err(CommandError::usage(
            "E0022",
            format!("run {} has no file `{path}`", executor::short_id(&run.id)),
        )
        .hint("`reproof show RUN --full` lists its files; `MODEL_ID/PATH` names one of a logged model; `@stdout`, `@stderr`, `@stdin` and `@patch` name what has no path"));
    }
    Ok((Some(run.id), found))
}

/// Refuses what holds the record of runs together: without it nothing of them could be shown or verified.
async fn refuse_record(context: &Context, object: &ObjectId) -> Result<(), CommandError> {
    let mut owner = None;
    for (run, recipe, record) in context.store.list_manifests().await.map_err(store_fault)? {
        let verdicts = context
            .store
            .list_replays(&run)
            .await
            .map_err(store_fault)?;
        let comparisons = verdicts.iter().map(|verdict| verdict.comparison);
        if [recipe, record]
            .into_iter()
            .chain(comparisons)
            .any(|of_run| of_run == *object)
        {
            owner = Some(format!(
                "a part of the record of run {}",
                executor::short_id(&run)
            ));
        }
    }
    let cas = &context.bench.cas;
    if owner.is_none()
        && cas.contains(object).map_err(objects_fault)?
        && cas.read_tree(object).is_ok()
    {
        owner = Some("a list of files".to_owned());
    }
    owner.map_or(Ok(()), |what| {
        Err(CommandError::usage(
            "E0022",
            format!("`{object}` is {what}, not the bytes of a file, and cannot be forgotten"),
        )
        .hint("`reproof forget RUN:PATH` names a file, and `RUN:@stdout` what was printed"))
    })
}

fn find_nameless(manifest: &Manifest, name: &str) -> Vec<Named> {
    let Manifest { recipe, record } = manifest;
    let (object, role) = match name {
        "stdout" => (record.stdout, "standard output"),
        "stderr" => (record.stderr, "standard error"),
        "stdin" => (
            recipe.standard_input.as_ref().map(|input| input.object),
            "standard input",
        ),
        "patch" => (patch_of(manifest), PATCH),
        _ => (None, ""),
    };
    let named = object.map(|object| Named {
        object,
        role,
        size_bytes: None,
    });
    named.into_iter().collect()
}

const PATCH: &str = "git's difference from the commit";

fn patch_of(manifest: &Manifest) -> Option<ObjectId> {
    manifest.recipe.code.git.as_ref().and_then(|git| git.patch)
}

/// All versions of a file that a run holds, and the patch that shows it.
fn find_files(
    context: &Context,
    manifest: &Manifest,
    path: &str,
) -> Result<Vec<Named>, CommandError> {
    let cas = &context.bench.cas;
    let Manifest { recipe, record } = manifest;
    let wanted = RecordedPath::new(path);
    let lists = [
        ("code", executor::flatten_tree(cas, &recipe.code.tree)),
        ("input", executor::list_files(cas, &recipe.inputs)),
        ("output", executor::list_files(cas, &record.outputs)),
    ];
    let mut found: Vec<Named> = Vec::new();
    for (role, files) in lists {
        if let Some(fact) = files.map_err(executor_fault)?.get(&wanted) {
            found.push(Named {
                object: fact.object,
                role,
                size_bytes: Some(fact.size_bytes),
            });
        }
    }
    if let Some(patch) = patch_of(manifest)
        && cas.contains(&patch).map_err(objects_fault)?
        && shows(&cas.read(&patch).map_err(objects_fault)?, path)
    {
        found.push(Named {
            object: patch,
            role: PATCH,
            size_bytes: None,
        });
    }
    Ok(found)
}

/// The artifact of a run at a path, or of one of its models at the model's id and a path.
async fn find_artifacts(
    context: &Context,
    run: &Run,
    path: &str,
) -> Result<Vec<Named>, CommandError> {
    let tracking = &context.bench.tracking;
    let mut folder = run.artifact_folder();
    let mut inside = path;
    for model in tracking
        .list_models_of(&run.id)
        .await
        .map_err(tracking_fault)?
    {
        let of_model = path.strip_prefix(model.as_str());
        if let Some(rest) = of_model.and_then(|rest| rest.strip_prefix('/')) {
            let detail = tracking.get_model(&model).await.map_err(tracking_fault)?;
            (folder, inside) = (detail.model.artifact_folder(), rest);
        }
    }
    let artifacts = context.store.list_artifacts_below(&folder).await;
    let artifacts = artifacts.map_err(store_fault)?.into_iter();
    Ok(artifacts
        .filter(|artifact| {
            let below = artifact.path.strip_prefix(&folder).unwrap_or_default();
            below.trim_start_matches('/') == inside
        })
        .map(|artifact| Named {
            object: artifact.object,
            role: "artifact",
            size_bytes: Some(artifact.size_bytes),
        })
        .collect())
}

/// Whether a patch speaks of a file. Git quotes odd names, so one that may be quoted counts as spoken of.
fn shows(patch: &[u8], path: &str) -> bool {
    let is_plain = path
        .bytes()
        .all(|byte| (b' '..0x7f).contains(&byte) && byte != b'"' && byte != b'\\');
    let text = String::from_utf8_lossy(patch);
    let mut headers = text.lines().filter(|line| line.starts_with("diff --git "));
    if is_plain {
        // `diff --git a/OLD b/NEW`, each below the folder of the project in its checkout.
        let (old, new) = (format!("/{path} b/"), format!("/{path}"));
        headers.any(|line| line.contains(&old) || line.ends_with(&new))
    } else {
        headers.any(|line| line.contains('"'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_shows_a_file_under_its_old_and_its_new_name_and_no_other() {
        let patch = b"diff --git a/sub/old.txt b/sub/new.txt\n+text of other.txt\n";
        for path in ["old.txt", "new.txt", "sub/new.txt"] {
            assert!(shows(patch, path), "{path}");
        }
        for path in ["other.txt", "new", "ld.txt", "old.txt.bak"] {
            assert!(!shows(patch, path), "{path}");
        }
        assert!(shows(
            b"diff --git \"a/\\303\\251\" \"b/\\303\\251\"\n",
            "\u{e9}"
        ));
    }
}
