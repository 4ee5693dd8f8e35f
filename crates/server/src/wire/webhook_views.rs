//! Webhooks as clients see them: without their secrets.

use entities::{Webhook, WebhookEvent};
use serde::Serialize;
use webhooks::Trial;

/// A webhook.
#[derive(Serialize)]
pub(crate) struct WebhookView<'a> {
    webhook_id: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    url: &'a str,
    events: Vec<EventView>,
    status: &'static str,
    creation_timestamp: i64,
    last_updated_timestamp: i64,
}

#[derive(Serialize)]
struct EventView {
    entity: String,
    action: String,
}

impl<'a> WebhookView<'a> {
    pub(crate) fn new(webhook: &'a Webhook) -> Self {
        let Webhook {
            id,
            name,
            description,
            url,
            events,
            status,
            created_at,
            updated_at,
        } = webhook;
        Self {
            webhook_id: id.as_str(),
            name,
            description: description.as_deref(),
            url,
            events: events.iter().copied().map(EventView::new).collect(),
            status: status.as_str(),
            creation_timestamp: created_at.as_millis(),
            last_updated_timestamp: updated_at.as_millis(),
        }
    }
}

impl EventView {
    fn new(event: WebhookEvent) -> Self {
        Self {
            entity: event.entity().to_uppercase(),
            action: event.action().to_uppercase(),
        }
    }
}

/// What came of trying a webhook out.
#[derive(Serialize)]
pub(crate) struct TrialView<'a> {
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_body: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<&'a str>,
}

impl<'a> TrialView<'a> {
    pub(crate) fn new(trial: &'a Trial) -> Self {
        let Trial {
            is_success,
            status,
            body,
            failure,
        } = trial;
        Self {
            success: *is_success,
            response_status: *status,
            response_body: body.as_deref(),
            error_message: failure.as_deref(),
        }
    }
}
