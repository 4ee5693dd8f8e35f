//! MLflow's rules for webhooks.

use std::collections::BTreeSet;

use entities::WebhookEvent;

use crate::WebhooksError;

/// Longest name, in letters.
const LONGEST_NAME: usize = 63;

/// Nouns that MLflow has and this server has not, with what happens to them.
const ELSEWHERE: &[(&str, &str)] = &[("budget_policy", "exceeded")];

pub(crate) fn check_name(name: &str) -> Result<(), WebhooksError> {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric();
    let is_name = name.len() <= LONGEST_NAME
        && name.starts_with(is_plain)
        && name.ends_with(is_plain)
        && name
            .chars()
            .all(|letter| is_plain(letter) || "._-".contains(letter));
    if is_name {
        return Ok(());
    }
    Err(WebhooksError::InvalidName {
        name: name.to_owned(),
    })
}

pub(crate) fn check_length(
    field: &'static str,
    text: &str,
    limit: usize,
) -> Result<(), WebhooksError> {
    if text.chars().count() > limit {
        return Err(WebhooksError::TooLong { field, limit });
    }
    Ok(())
}

/// Reads what a webhook is to be told of; what is named twice is told once.
pub(crate) fn read_events(
    names: &[(String, String)],
) -> Result<BTreeSet<WebhookEvent>, WebhooksError> {
    names
        .iter()
        .map(|(entity, action)| read_event(entity, action))
        .collect()
}

/// Reads an event by its noun and what happens to it.
pub(crate) fn read_event(entity: &str, action: &str) -> Result<WebhookEvent, WebhooksError> {
    let event = format!("{entity}.{action}");
    if let Some(event) = WebhookEvent::find(&event) {
        return Ok(event);
    }
    if ELSEWHERE.contains(&(entity, action)) {
        return Err(WebhooksError::NeverHappens { event });
    }
    let here = WebhookEvent::ALL.map(|event| (event.entity(), event.action()));
    let valid = here.iter().chain(ELSEWHERE);
    Err(WebhooksError::InvalidAction {
        entity: entity.to_owned(),
        action: action.to_owned(),
        valid: valid
            .filter(|(of, _)| *of == entity)
            .map(|(_, action)| (*action).to_owned())
            .collect(),
    })
}
