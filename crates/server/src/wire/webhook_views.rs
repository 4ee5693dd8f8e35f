//! Webhooks as clients see them: without their secrets.

use entities::{Webhook, WebhookEvent, WebhookStatus};
use schemars::JsonSchema;
use serde::Serialize;
use webhooks::Trial;

use super::Word;

/// A webhook.
#[derive(Serialize, JsonSchema)]
pub(crate) struct WebhookView<'a> {
    webhook_id: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    url: &'a str,
    events: Vec<WebhookEventView>,
    status: Word<WebhookStatus>,
    creation_timestamp: i64,
    last_updated_timestamp: i64,
}

/// What a webhook is told of: what it is about, and what happened.
#[derive(Serialize, JsonSchema)]
struct WebhookEventView {
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
            events: events.iter().copied().map(WebhookEventView::new).collect(),
            status: Word(*status),
            creation_timestamp: created_at.as_millis(),
            last_updated_timestamp: updated_at.as_millis(),
        }
    }
}

impl WebhookEventView {
    fn new(event: WebhookEvent) -> Self {
        Self {
            entity: event.entity().to_uppercase(),
            action: event.action().to_uppercase(),
        }
    }
}

/// What came of trying a webhook out.
#[derive(Serialize, JsonSchema)]
pub(crate) struct WebhookTrialView<'a> {
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_body: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<&'a str>,
}

impl<'a> WebhookTrialView<'a> {
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
