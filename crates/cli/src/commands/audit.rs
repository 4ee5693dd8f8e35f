//! `reproof audit`

use std::process::ExitCode;

use cas::{Cas, CasError, DistantError, DistantFault};
use entities::{Change, Leaf, ObjectId};
use ledger::{TreeHead, VerifierKey};
use serde_json::{Value, json};
use store::StoredEvent;
use tracking::Departure;

use crate::arguments::AuditCommand;
use crate::commands::references::{Reference, References, is_forgotten};
use crate::context::Context;
use crate::error::CommandError;
use crate::faults::{objects_fault, store_fault};
use crate::output::{Output, local_time, safe, table, table_text};

pub(crate) async fn run(command: &AuditCommand, output: &Output) -> Result<ExitCode, CommandError> {
    match command {
        AuditCommand::Log {
            subject,
            limit,
            full,
        } => {
            let context = Context::open(output).await?;
            log(&context, subject.as_deref(), *limit, *full, output).await
        }
        AuditCommand::Verify { quick, key } => {
            let key = key.as_deref().map(read_verifier_key).transpose()?;
            verify(*quick, key.as_ref(), output).await
        }
        AuditCommand::Accept { reason, rewritten } => accept(reason, *rewritten, output).await,
    }
}

async fn log(
    context: &Context,
    subject: Option<&str>,
    limit: usize,
    full: bool,
    output: &Output,
) -> Result<ExitCode, CommandError> {
    let events = if let Some(subject) = subject {
        let subject = context.subject(subject).await?;
        let mut events = context
            .store
            .list_events_of(&subject, limit)
            .await
            .map_err(store_fault)?;
        events.reverse();
        if events.is_empty() {
            output.say(&format!(
                "no event is about `{}`: subjects are named whole, such as run:ID, webhook:ID, trace:ID, dataset:ID",
                safe(&subject)
            ));
        }
        events
    } else {
        let size = context
            .store
            .ledger_progress()
            .await
            .map_err(store_fault)?
            .sequenced;
        let from = size.saturating_sub(limit as u64);
        context
            .store
            .list_events(from, limit)
            .await
            .map_err(store_fault)?
    };
    let mut decoded = Vec::with_capacity(events.len());
    for event in events {
        let leaf =
            Leaf::decode(&event.leaf).map_err(|error| CommandError::caused("E0011", &error))?;
        decoded.push((event, leaf));
    }
    if output.is_json {
        let events: Vec<_> = decoded
            .iter()
            .map(|(event, leaf)| event_json(event, leaf, full))
            .collect();
        output.json(&json!({ "events": events }));
        return Ok(ExitCode::SUCCESS);
    }
    if full {
        for (event, leaf) in &decoded {
            output.json(&event_json(event, leaf, true));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = table(&["index", "time", "who", "event", "about", "why"]);
    for (event, leaf) in &decoded {
        table.add_row([
            event
                .index
                .map_or_else(|| "–".to_owned(), |index| index.to_string()),
            local_time(leaf.ts),
            safe(&leaf.actor.id),
            safe(&leaf.kind),
            leaf.subject
                .first()
                .map(|subject| safe(subject))
                .unwrap_or_default(),
            leaf.reason.as_deref().map(safe).unwrap_or_default(),
        ]);
    }
    output.line(&table_text(&table));
    Ok(ExitCode::SUCCESS)
}

fn event_json(event: &StoredEvent, leaf: &Leaf, full: bool) -> Value {
    let mut value = json!({ "index": event.index, "leaf": leaf });
    if full {
        value["body"] = serde_json::from_slice(&event.body).unwrap_or(Value::Null);
    }
    value
}

/// What a verification looked at, and the first thing that is wrong.
pub(super) struct Finding {
    events: u64,
    unsigned: u64,
    objects: Option<u64>,
    /// Objects that something refers to and that were removed on purpose, by the word of an event.
    forgotten: u64,
    /// How many events were signed at another place, where this is an older copy.
    older_than: Option<u64>,
    pub(super) fault: Option<String>,
}

/// Reads a public key, or the file that holds it.
fn read_verifier_key(text: &str) -> Result<VerifierKey, CommandError> {
    let content = match std::fs::read_to_string(text) {
        Ok(content) => content,
        // No file of that name: it is the key itself.
        Err(_) => text.to_owned(),
    };
    content.trim().parse().map_err(|error: ledger::LedgerError| {
        CommandError::usage("E0022", format!("`{}` is no public key: {error}", safe(text)))
            .hint("a key is `NAME+HASH+BASE64`, as `reproof audit verify` prints it after \"signed by\"")
    })
}

async fn verify(
    quick: bool,
    key: Option<&VerifierKey>,
    output: &Output,
) -> Result<ExitCode, CommandError> {
    let context = match Context::open_unchanged(output).await {
        Ok(context) => context,
        Err(error) => return Ok(report(&as_finding(error)?, None, output)),
    };
    let older_copy = find_older_copy(&context)?;
    let remembered = match older_copy {
        // Nothing in it is wrong: what was signed elsewhere since is told beside it.
        Some(_) => None,
        None => context.remembered()?.map(|remembered| remembered.head),
    };
    let mut finding = match find_foreign_key(&context, key) {
        Some(finding) => finding,
        None => match find_fault(&context, quick, remembered, output).await {
            Ok(finding) => finding,
            Err(error) => as_finding(error)?,
        },
    };
    if let (None, Some(departure)) = (&finding.fault, &older_copy) {
        finding.older_than = Some(departure.remembered.size);
    } else if finding.fault.is_none() {
        // Only now: a store that does not verify is evidence, and nothing more is written to it.
        context.mark_interrupted(output).await?;
        let change = Change::LedgerVerified {
            size: finding.events,
            fault: None,
        };
        let commit = context.new_commit("ledger.verified", "ledger".to_owned(), change);
        match context.store.commit(commit).await {
            Ok(_) => {
                context.publish_or_warn(output).await;
                let progress = context.store.ledger_progress().await.map_err(store_fault)?;
                finding.unsigned = finding.events.saturating_sub(progress.signed);
            }
            Err(error) => context.warn_unrecorded(
                &format!("that it was verified could not be recorded: {error}"),
                output,
            ),
        }
    }
    let is_sound = finding.fault.is_none();
    let code = report(&finding, Some(&context.verifier_key), output);
    if !is_sound && let Ok(Some(departure)) = context.find_departure() {
        output.say(if departure.is_older() {
            "  if that is right, as after a backup was put back: reproof audit accept --reason WHY"
        } else {
            "  no backup of it looks like this: its history was written anew, or it is that of another copy"
        });
    }
    Ok(code)
}

/// A ledger at a place where nothing was signed yet, which ends before what was signed elsewhere.
fn find_older_copy(context: &Context) -> Result<Option<Departure>, CommandError> {
    let departure = match context.find_departure() {
        // What cannot be read is found, and told, by the verification.
        Err(_) => None,
        found => found?,
    };
    Ok(departure.filter(|departure| departure.is_elsewhere && departure.is_older()))
}

/// Takes a ledger as right that does not contain what this user signed before.
async fn accept(
    reason: &str,
    is_rewritten: bool,
    output: &Output,
) -> Result<ExitCode, CommandError> {
    let context = Context::open_unchanged(output).await?;
    let Some(departure) = context.find_departure()? else {
        output.line("nothing to accept: the ledger continues what was signed here before");
        return Ok(ExitCode::SUCCESS);
    };
    if !departure.is_older() && !is_rewritten {
        return Err(CommandError::caused("E0011", &departure.error)
            .hint("no backup looks like this: its history was written anew, or it is that of another copy")
            .hint("compare it with a checkpoint that is kept elsewhere; `--rewritten` accepts it all the same"));
    }
    context.check_can_accept()?;
    let finding = find_fault(&context, false, None, output).await?;
    if let Some(fault) = finding.fault {
        return Err(CommandError::system(
            "E0011",
            format!("the store does not verify in itself, so it cannot be accepted: {fault}"),
        ));
    }
    let change = Change::LedgerAccepted {
        signed_size: departure.remembered.size,
        signed_root: departure.remembered.root.to_base64(),
        found_size: departure.found.size,
        found_root: departure.found.root.to_base64(),
    };
    let mut commit = context.new_commit("ledger.accepted", "ledger".to_owned(), change);
    commit.reason = Some(reason.to_owned());
    // The word first: nothing is signed again that does not say so.
    context.store.commit(commit).await.map_err(store_fault)?;
    context.accept(&departure)?;
    context.mark_interrupted(output).await?;
    context.publish().await?;
    output.line(&format!("accepted, and signed again: {}", departure.error));
    Ok(ExitCode::SUCCESS)
}

/// The store names the key that it was made with itself, so whoever rewrites all of it may name another.
fn find_foreign_key(context: &Context, key: Option<&VerifierKey>) -> Option<Finding> {
    let key = key?;
    (context.verifier_key != key.to_string()).then(|| Finding {
        events: 0,
        unsigned: 0,
        objects: None,
        forgotten: 0,
        older_than: None,
        fault: Some(format!(
            "the ledger is signed by {}, not by {key}",
            context.verifier_key
        )),
    })
}

/// Takes an error that says that something on record is damaged as the answer; others stay errors.
fn as_finding(error: CommandError) -> Result<Finding, CommandError> {
    if !matches!(error.code(), "E0010" | "E0011") {
        return Err(error);
    }
    Ok(Finding {
        events: 0,
        unsigned: 0,
        objects: None,
        forgotten: 0,
        older_than: None,
        fault: Some(error.message().to_owned()),
    })
}

fn report(finding: &Finding, verifier_key: Option<&str>, output: &Output) -> ExitCode {
    let is_sound = finding.fault.is_none();
    if output.is_json {
        output.json(&json!({
            "is_sound": is_sound,
            "events": finding.events,
            "unsigned_events": finding.unsigned,
            "objects": finding.objects,
            "forgotten_objects": finding.forgotten,
            "older_than": finding.older_than,
            "fault": finding.fault,
            "verifier_key": verifier_key,
        }));
    } else if let Some(fault) = &finding.fault {
        output.line(&format!("NOT sound: {}", safe(fault)));
        output.say("  more: reproof explain E0011");
    } else {
        let objects = finding.objects.map_or_else(
            || "objects left out".to_owned(),
            |objects| format!("{objects} objects"),
        );
        output.line(&format!(
            "sound: {} events, tree and signature, every row, {objects}",
            finding.events
        ));
        match finding.forgotten {
            0 => {}
            1 => output.line("1 object that runs refer to was removed on purpose: `reproof audit log` has the event `object.forgotten`"),
            count => output.line(&format!(
                "{count} objects that runs refer to were removed on purpose: `reproof audit log` has the events `object.forgotten`"
            )),
        }
        if finding.unsigned > 0 {
            output.line(&format!(
                "{} of the events are not signed yet",
                finding.unsigned
            ));
        }
        output.line(&format!("signed by {}", verifier_key.unwrap_or("nobody")));
        if let Some(signed) = finding.older_than {
            output.line(&format!(
                "this is an older copy: {signed} events of this ledger were signed with the same key at another place"
            ));
            output.say("  to go on in this one: reproof audit accept --reason WHY");
        }
    }
    if is_sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    }
}

pub(super) async fn find_fault(
    context: &Context,
    quick: bool,
    remembered: Option<TreeHead>,
    output: &Output,
) -> Result<Finding, CommandError> {
    let working = output.work("recomputing the tree and checking the signature");
    let progress = context.store.ledger_progress().await.map_err(store_fault)?;
    let unsigned = progress.committed.saturating_sub(progress.signed);
    let mut finding = Finding {
        events: progress.committed,
        unsigned,
        objects: None,
        forgotten: 0,
        older_than: None,
        fault: None,
    };
    finding.fault = context.find_tile_fault(progress, remembered).await?;
    drop(working);
    if finding.fault.is_some() {
        return Ok(finding);
    }
    let working = output.work("rebuilding every row from the events");
    let rebuilt = context.store.verify_projection().await;
    drop(working);
    match rebuilt {
        Ok(None) => {}
        Ok(Some(fault)) => {
            finding.fault = Some(format!(
                "row {} of table `{}` is {}, the events say {}",
                fault.key,
                fault.table,
                fault.found.as_deref().unwrap_or("missing"),
                fault
                    .expected
                    .as_deref()
                    .unwrap_or("it should not be there"),
            ));
            return Ok(finding);
        }
        Err(store::StoreError::Damaged { message }) => {
            finding.fault = Some(message);
            return Ok(finding);
        }
        Err(error) => return Err(store_fault(error)),
    }
    if quick {
        return Ok(finding);
    }
    let _working = output.work("checking every pack and object");
    let mut first = None;
    let summary = context
        .bench
        .cas
        .verify(&mut |fault| {
            first.get_or_insert_with(|| fault.to_string());
        })
        .map_err(objects_fault)?;
    finding.objects = Some(summary.objects);
    finding.fault = first;
    if finding.fault.is_none() {
        (finding.forgotten, finding.fault) = find_missing_objects(context, Elsewhere::Read).await?;
    }
    Ok(finding)
}

/// What is done about objects that are kept elsewhere than in the packs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Elsewhere {
    /// Their bytes are read and verified, all of them.
    Read,
    /// It is asked whether they are there: whoever keeps them pays for every byte that is read.
    LookedFor,
}

/// Reads an object where it is kept elsewhere than in the packs; tells whether it is there, or how it is damaged.
///
/// *Errors*: those of asking: what cannot be reached is neither sound nor damaged.
fn verify_distant(cas: &Cas, object: &ObjectId) -> Result<Result<bool, String>, CommandError> {
    let mut reader = match cas.reader(object) {
        Ok(reader) => reader,
        Err(CasError::Missing { .. }) => return Ok(Ok(false)),
        Err(CasError::Distant(error)) if error.kind == DistantFault::Damaged => {
            return Ok(Err(error.message));
        }
        Err(error) => return Err(objects_fault(error)),
    };
    match std::io::copy(&mut reader, &mut std::io::sink()) {
        Ok(_) => Ok(Ok(true)),
        Err(error) => match error.downcast::<DistantError>() {
            Ok(error) if error.kind == DistantFault::Damaged => Ok(Err(error.message)),
            Ok(error) => Err(objects_fault(error.into())),
            Err(error) => Err(CommandError::system("E0018", error)),
        },
    }
}

/// How many objects that a run, an artifact or a verdict refers to were removed on purpose, and the first that is not
/// there for no such reason, though its bytes were kept.
pub(super) async fn find_missing_objects(
    context: &Context,
    elsewhere: Elsewhere,
) -> Result<(u64, Option<String>), CommandError> {
    let mut forgotten = 0;
    for (object, Reference { from, is_kept }) in References::collect(context).await?.objects {
        if !is_kept || context.bench.cas.has_here(&object).map_err(objects_fault)? {
            continue;
        }
        let cas = &context.bench.cas;
        let found = match elsewhere {
            Elsewhere::Read => verify_distant(cas, &object)?,
            Elsewhere::LookedFor => Ok(cas.contains(&object).map_err(objects_fault)?),
        };
        match found {
            Ok(true) => continue,
            Ok(false) => {}
            Err(fault) => return Ok((forgotten, Some(fault))),
        }
        if !is_forgotten(context, &object).await? {
            let fault = format!("object `{object}` is missing, to which {from} refers");
            return Ok((forgotten, Some(fault)));
        }
        forgotten += 1;
    }
    Ok((forgotten, None))
}
