//! Calls about webhooks.

use axum::extract::{Path, State};
use entities::Webhook;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use webhooks::{NewWebhook, Secret, WebhookPatch};

use super::registered_models::page_of;
use crate::app::{App, By};
use crate::error::RequestError;
use crate::wire::{
    ActionWord, Answer, EntityWord, Json, Page, Query, WebhookStatusWord, WebhookTrialView,
    WebhookView, empty, json, missing, required,
};

/// Webhooks on a page where the request does not say.
const DEFAULT_PAGE: i64 = 100;

/// An event as requests name it.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Event {
    entity: Option<EntityWord>,
    action: Option<ActionWord>,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Fields {
    name: Option<String>,
    url: Option<String>,
    events: Option<Vec<Event>>,
    description: Option<String>,
    /// Any value, so that no message repeats one of another type.
    secret: Option<Value>,
    status: Option<WebhookStatusWord>,
}

pub(super) async fn create(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<Fields>,
) -> Answer<Found<'static>> {
    let webhooks = app.webhooks()?;
    let Fields {
        name,
        url,
        events,
        description,
        secret,
        status,
    } = request;
    let new = NewWebhook {
        name: required("name", name)?,
        url: required("url", url)?,
        events: read_events(&events.ok_or_else(|| missing("events"))?)?,
        description,
        secret: read_secret(secret)?,
        status: status.map(|word| word.0),
    };
    answer(&webhooks.create(&caller, new).await?)
}

pub(super) async fn find(State(app): State<App>, Path(id): Path<String>) -> Answer<Found<'static>> {
    answer(&app.webhooks()?.get(&id).await?)
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Items<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    webhooks: Vec<WebhookView<'a>>,
}

pub(super) async fn list(State(app): State<App>, query: Query) -> Answer<Page<Items<'static>>> {
    let webhooks = app.webhooks()?;
    let mut page = page_of(&query, DEFAULT_PAGE)?;
    // Protobuf does not tell 0 from nothing.
    if query.integer("max_results")? == Some(0) {
        page.limit = DEFAULT_PAGE as usize;
    }
    let found = webhooks.list(&page).await?;
    json(&Page {
        items: Items {
            webhooks: found.items.iter().map(WebhookView::new).collect(),
        },
        next_page_token: found.next,
    })
}

pub(super) async fn update(
    State(app): State<App>,
    By(caller): By,
    Path(id): Path<String>,
    Json(request): Json<Fields>,
) -> Answer<Found<'static>> {
    let webhooks = app.webhooks()?;
    let Fields {
        name,
        url,
        events,
        description,
        secret,
        status,
    } = request;
    // What is empty is not given, but for what may be taken away.
    let is_given = |text: &String| !text.is_empty();
    let events = events.filter(|events| !events.is_empty());
    let patch = WebhookPatch {
        name: name.filter(is_given),
        url: url.filter(is_given),
        events: events.as_deref().map(read_events).transpose()?,
        description,
        secret: read_secret(secret)?,
        status: status.map(|word| word.0),
    };
    answer(&webhooks.update(&caller, &id, patch).await?)
}

pub(super) async fn delete(
    State(app): State<App>,
    By(caller): By,
    Path(id): Path<String>,
) -> Answer {
    app.webhooks()?.delete(&caller, &id).await?;
    Ok(empty())
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct TryOut {
    event: Option<Event>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Tried<'a> {
    result: WebhookTrialView<'a>,
}

pub(super) async fn try_out(
    State(app): State<App>,
    Path(id): Path<String>,
    Json(request): Json<TryOut>,
) -> Answer<Tried<'static>> {
    let webhooks = app.webhooks()?;
    let event = request
        .event
        .map(|event| read_event("event", &event))
        .transpose()?;
    let tried = webhooks.try_out(&id, event).await?;
    json(&Tried {
        result: WebhookTrialView::new(&tried),
    })
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Found<'a> {
    webhook: WebhookView<'a>,
}

fn answer(webhook: &Webhook) -> Answer<Found<'static>> {
    json(&Found {
        webhook: WebhookView::new(webhook),
    })
}

fn read_events(events: &[Event]) -> Result<Vec<(String, String)>, RequestError> {
    let numbered = events.iter().enumerate();
    numbered
        .map(|(index, event)| {
            let (entity, action) = read_event(&format!("events[{index}]"), event)?;
            Ok((entity.to_owned(), action.to_owned()))
        })
        .collect()
}

fn read_event(field: &str, event: &Event) -> Result<(&'static str, &'static str), RequestError> {
    let part = |name: &str| missing(format!("{field}.{name}"));
    let entity = event.entity.ok_or_else(|| part("entity"))?;
    let action = event.action.ok_or_else(|| part("action"))?;
    Ok((entity.0, action.0))
}

/// Reads a secret; one that is no text is refused without being repeated.
fn read_secret(value: Option<Value>) -> Result<Option<Secret>, RequestError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(Secret::new(text))),
        Some(_) => Err(RequestError::WrongType {
            field: "secret".to_owned(),
            value: "(not shown)".to_owned(),
            kind: "other than str",
        }),
    }
}
