//! Notes what webhooks are to be told of an event, in the transaction of its changes.

use entities::{Change, Notice, PROMPT_TAG};
use rusqlite::{Connection, OptionalExtension as _, params};
use store::StoreError;

use crate::fault::database_fault;

/// How kinds of events end that take over what another tool has on record: nothing new has happened there.
const IMPORTED: &str = ".imported";

statements! {
    FIND_PROMPT_TAG = "SELECT value
        FROM registered_model_tag JOIN registered_model ON registered_model.number = registered_model_tag.model
        WHERE registered_model.name = ?1 AND key = ?2";
    ADD_DELIVERIES = "INSERT INTO webhook_delivery (webhook, position, place, event)
        SELECT webhook.number, ?1, ?2, ?3
        FROM webhook_event JOIN webhook ON webhook.number = webhook_event.webhook
        WHERE webhook_event.event = ?3 AND webhook.status = 'ACTIVE' AND webhook.deleted_at IS NULL
        ORDER BY webhook.number";
}

/// Notes the deliveries that follow from an event, once its changes have been made.
pub(crate) fn write_deliveries(
    connection: &Connection,
    position: i64,
    kind: &str,
    changes: &[Change],
) -> Result<(), StoreError> {
    if kind.ends_with(IMPORTED) {
        return Ok(());
    }
    for (place, notice) in Notice::list(changes).into_iter().enumerate() {
        let is_about_prompt = match notice.says_prompt() {
            Some(says) => says,
            None => is_prompt(connection, notice.model())?,
        };
        let Some(event) = notice.event(is_about_prompt) else {
            continue;
        };
        connection
            .prepare_cached(ADD_DELIVERIES)
            .and_then(|mut statement| {
                statement.execute(params![position, place as i64, event.as_str()])
            })
            .map_err(database_fault("noting what webhooks are to be told"))?;
    }
    Ok(())
}

fn is_prompt(connection: &Connection, model: &str) -> Result<bool, StoreError> {
    let value: Option<String> = connection
        .prepare_cached(FIND_PROMPT_TAG)
        .and_then(|mut statement| {
            statement
                .query_row([model, PROMPT_TAG], |row| row.get(0))
                .optional()
        })
        .map_err(database_fault("asking whether something is a prompt"))?;
    Ok(value.is_some_and(|value| value.eq_ignore_ascii_case("true")))
}
