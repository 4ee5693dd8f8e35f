//! Contents in object stores: where this store has some, and where a server puts new ones.

use std::sync::Arc;

use buckets::{Address, Bucket, BucketObjects, Environment};
use cas::{Cas, Distant, DistantError, DistantFault};

use crate::context::Context;
use crate::error::CommandError;
use crate::output::{safe, without_password};
use crate::project::{Destination, Project};

/// The variables that object stores are told by.
pub(crate) fn environment() -> Environment {
    let variables = std::env::vars_os();
    Environment::new(
        variables.filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }),
    )
}

/// Objects that are also read from where this store has put some. Nothing is asked before something is looked up.
pub(crate) fn with_destinations(
    cas: Cas,
    project: &Project,
    verifier_key: &str,
) -> Result<Cas, CommandError> {
    let known = project.destinations()?;
    if known.is_empty() {
        return Ok(cas);
    }
    let mut places: Vec<Arc<dyn Distant>> = Vec::new();
    for Destination { uri, is_only_read } in known.iter().rev() {
        let address = Address::parse(uri).map_err(|error| {
            CommandError::system(
                "E0018",
                format!(
                    "`{}` in objects/destinations is no place: {error}",
                    safe(uri)
                ),
            )
        })?;
        let objects = open(address, project, verifier_key)?;
        places.push(Arc::new(if *is_only_read {
            objects.only_read()
        } else {
            objects
        }));
    }
    Ok(cas.with_distant(places))
}

/// Puts contents there from now on, after it was seen that this can be done.
pub(crate) fn keep_at(address: Address, context: &Context) -> Result<(), CommandError> {
    let (uri, project) = (address.to_string(), context.project());
    let objects = open(address, project, &context.verifier_key)?;
    objects.check().map_err(distant_fault)?;
    // Before the first content is there, so that none is where nobody looks.
    project.note_destination(&uri)?;
    context.bench.cas.store_at(Arc::new(objects));
    Ok(())
}

fn open(
    address: Address,
    project: &Project,
    verifier_key: &str,
) -> Result<BucketObjects, CommandError> {
    let bucket = Bucket::new(address, &environment()).map_err(distant_fault)?;
    // A prefix belongs to the ledger whose events name what is there: also after the store was moved or put back.
    Ok(BucketObjects::new(
        bucket,
        verifier_key.trim(),
        &project.temporary(),
    ))
}

/// Reads the place that an option names.
pub(crate) fn parse_destination(option: &str, uri: &str) -> Result<Address, CommandError> {
    Address::parse(uri).map_err(|error| {
        let shown = safe(&without_password(uri));
        CommandError::usage("E0022", format!("`{option} {shown}` is no place: {error}"))
    })
}

pub(crate) fn distant_fault(error: DistantError) -> CommandError {
    let code = match error.kind {
        DistantFault::Damaged => "E0030",
        _ => "E0029",
    };
    CommandError::system(code, error.message)
}
