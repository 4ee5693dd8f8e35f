//! `reproof migrate mlflow --auth-db`

use migrate::{Count, Source, UsersReport, UsersSource, UsersTarget, take_over_users};
use serde_json::json;
use store_postgres::{PostgresAddress, PostgresSnapshot};

use super::{SHOWN, tell_rest};
use crate::context::Context;
use crate::database::parse_address;
use crate::error::CommandError;
use crate::faults::{migrate_fault, store_fault, users_fault};
use crate::output::{Output, safe};

/// Opens MLflow's database of users, `basic_auth.db` where nobody chose another.
pub(super) fn open(uri: &str) -> Result<UsersSource, CommandError> {
    if PostgresAddress::is_meant(uri) {
        let address = parse_address(uri)?;
        let snapshot = PostgresSnapshot::open(&address).map_err(store_fault)?;
        let source = UsersSource::of_postgres(Box::new(snapshot), address.identity());
        return source.map_err(users_fault);
    }
    let path = Source::path(uri).ok_or_else(|| {
        CommandError::usage("E0035", format!("`{uri}` cannot be read here")).hint(
            "name a file of SQLite, sqlite:///basic_auth.db, or postgresql://USER@HOST/DATABASE",
        )
    })?;
    UsersSource::open(&path).map_err(users_fault)
}

/// Takes over users, with their roles and rights.
pub(super) async fn take_over(
    source: &UsersSource,
    context: &Context,
    output: &Output,
) -> Result<UsersReport, CommandError> {
    let accounts = context.own_accounts();
    let target = UsersTarget {
        store: context.store.as_ref(),
        accounts: &accounts,
        clock: context.bench.clock.as_ref(),
        caller: &context.bench.caller,
    };
    let working = output.work("users");
    let taken = take_over_users(source, &target).await;
    drop(working);
    context.publish_or_warn(output).await;
    taken.map_err(migrate_fault)
}

/// Whether nothing is left to do.
pub(super) fn is_whole(report: &UsersReport) -> bool {
    report.without_password.is_empty() && report.unreadable.is_empty()
}

pub(super) fn tell(report: &UsersReport, output: &Output) {
    for (noun, count) in [("users", report.users), ("roles", report.roles)] {
        if count != Count::default() {
            let there = match count.there {
                0 => String::new(),
                there => format!(", {there} were here before"),
            };
            output.line(&format!("  {noun:19} {}{there}", count.new));
        }
    }
    output.line(&format!("  {:19} {}", "rights", report.rights));
    for sentence in report.without_password.iter().take(SHOWN) {
        output.warn(&format!("{}: `reproof user password NAME`", safe(sentence)));
    }
    tell_rest(
        "users need a password",
        report.without_password.len(),
        output,
    );
    for sentence in report.unreadable.iter().take(SHOWN) {
        output.warn(&format!("cannot be taken over: {}", safe(sentence)));
    }
    tell_rest("cannot be taken over", report.unreadable.len(), output);
}

pub(super) fn report_json(report: &UsersReport) -> serde_json::Value {
    let UsersReport {
        users,
        roles,
        rights,
        without_password,
        unreadable,
    } = report;
    let count = |count: &Count| json!({ "new": count.new, "there": count.there });
    json!({
        "users": count(users),
        "roles": count(roles),
        "rights": rights,
        "without_password": without_password,
        "unreadable": unreadable,
    })
}
