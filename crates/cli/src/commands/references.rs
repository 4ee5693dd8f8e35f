//! Which objects the record refers to, and which of them may be missing.

use std::collections::BTreeMap;

use entities::{Leaf, ObjectId};

use crate::context::Context;
use crate::error::CommandError;
use crate::faults::{executor_fault, objects_fault, store_fault};

/// An object that something refers to.
pub(crate) struct Reference {
    /// What refers to it first.
    pub(crate) from: String,
    /// Whether its bytes should be there: not those of a file of which only the digest was recorded.
    pub(crate) is_kept: bool,
}

/// All that runs, artifacts, verdicts and registered versions refer to.
#[derive(Default)]
pub(crate) struct References {
    pub(crate) objects: BTreeMap<ObjectId, Reference>,
    /// Recipes, records and lists of files that are not there, each with what refers to it: what they alone refer to
    /// is unknown.
    pub(crate) missing: Vec<(ObjectId, String)>,
}

impl References {
    pub(crate) async fn collect(context: &Context) -> Result<Self, CommandError> {
        let mut all = Self::default();
        let artifacts = context.store.list_artifacts_below("").await;
        for artifact in artifacts.map_err(store_fault)? {
            all.add(
                artifact.object,
                &format!("artifact `{}`", artifact.path),
                true,
            );
        }
        for (id, _, _) in context.store.list_manifests().await.map_err(store_fault)? {
            let from = format!("run {id}");
            let Some(run) = context.store.find_run(&id).await.map_err(store_fault)? else {
                continue;
            };
            let of_run =
                executor::list_objects_of_run(&context.bench.cas, &run).map_err(executor_fault)?;
            for object in of_run.objects {
                all.add(object, &from, !of_run.not_kept.contains(&object));
            }
            let missing = of_run.missing.into_iter();
            all.missing
                .extend(missing.map(|object| (object, from.clone())));
            let verdicts = context.store.list_replays(&id).await.map_err(store_fault)?;
            for verdict in verdicts {
                all.add(verdict.comparison, &from, true);
            }
        }
        for version in context
            .store
            .list_version_files()
            .await
            .map_err(store_fault)?
        {
            let from = format!("version {} of model `{}`", version.version, version.name);
            let mut found = Vec::new();
            let missing = context
                .bench
                .cas
                .walk_tree(&version.files, &mut |object| found.push(object))
                .map_err(objects_fault)?;
            for object in found {
                all.add(object, &from, true);
            }
            let missing = missing.into_iter();
            all.missing
                .extend(missing.map(|object| (object, from.clone())));
        }
        Ok(all)
    }

    fn add(&mut self, object: ObjectId, from: &str, is_kept: bool) {
        let reference = self.objects.entry(object).or_insert_with(|| Reference {
            from: from.to_owned(),
            is_kept: false,
        });
        if is_kept && !reference.is_kept {
            reference.is_kept = true;
            from.clone_into(&mut reference.from);
        }
    }
}

/// Whether an event says that an object was removed on purpose.
pub(crate) async fn is_forgotten(
    context: &Context,
    object: &ObjectId,
) -> Result<bool, CommandError> {
    let events = context
        .store
        .list_events_of(&format!("object:{object}"), 1000)
        .await
        .map_err(store_fault)?;
    Ok(events
        .iter()
        .any(|event| Leaf::decode(&event.leaf).is_ok_and(|leaf| leaf.kind == "object.forgotten")))
}
