//! Notes what webhooks are to be told of an event, in the transaction of its changes.

use crate::params;
use crate::sql::Connection;
use entities::{Change, Notice, PROMPT_TAG};
use store::StoreError;

use crate::fault::database_fault;
use crate::numbers::Numbers;

/// How kinds of events end that take over what another tool has on record: nothing new has happened there.
const IMPORTED: &str = ".imported";

statements! {
    FIND_PROMPT_TAG = "SELECT value
        FROM registered_model_tag JOIN registered_model ON registered_model.number = registered_model_tag.model
        WHERE registered_model.name = ?1 AND key = ?2";
    LIST_WANTING = "SELECT webhook.number
        FROM webhook_event JOIN webhook ON webhook.number = webhook_event.webhook
        WHERE webhook_event.event = ?1 AND webhook.status = 'ACTIVE' AND webhook.deleted_at IS NULL
        ORDER BY webhook.number";
    ADD_DELIVERY = "INSERT INTO webhook_delivery (webhook, position, place, event, number)
        VALUES (?1, ?2, ?3, ?4, ?5)";
}

/// Notes the deliveries that follow from an event, once its changes have been made.
pub(crate) fn write_deliveries(
    connection: &dyn Connection,
    numbers: &Numbers,
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
        let fault = || database_fault("noting what webhooks are to be told");
        let wanting: Vec<i64> = connection
            .list(LIST_WANTING, [event.as_str()], |row| row.get(0))
            .map_err(fault())?;
        for webhook in wanting {
            let number = numbers.next()?;
            let row = params![webhook, position, place as i64, event.as_str(), number];
            connection.send_change(ADD_DELIVERY, row).map_err(fault())?;
        }
    }
    Ok(())
}

fn is_prompt(connection: &dyn Connection, model: &str) -> Result<bool, StoreError> {
    let value: Option<String> = connection
        .find(FIND_PROMPT_TAG, [model, PROMPT_TAG], |row| row.get(0))
        .map_err(database_fault("asking whether something is a prompt"))?;
    Ok(value.is_some_and(|value| value.eq_ignore_ascii_case("true")))
}
