//! Trying a webhook out.

use entities::DeliveryId;
use tracing::Instrument as _;
use tracing::field::Empty;

use crate::exchange::{Answer, Message};
use crate::payload::{body, example_of};
use crate::seal::sign;
use crate::transport::TransportError;
use crate::validation::read_event;
use crate::{Secret, Webhooks, WebhooksError};

/// What came of trying a webhook out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Whether the receiver took what it was told.
    pub is_success: bool,
    /// The status that it answered.
    pub status: Option<u16>,
    /// The begin of its answer.
    pub body: Option<String>,
    /// Why there is no answer.
    pub failure: Option<String>,
}

impl Webhooks {
    /// Tells a webhook an example, once: of an event that is named, or the first that it is told of.
    pub async fn try_out(
        &self,
        id: &str,
        event: Option<(&str, &str)>,
    ) -> Result<Trial, WebhooksError> {
        let named = event
            .map(|(entity, action)| read_event(entity, action))
            .transpose()?;
        let webhook = self.get(id).await?;
        let Some(event) = named.or_else(|| webhook.events.first().copied()) else {
            return Err(WebhooksError::NoEvents);
        };
        let secret = match self.open_secret(&webhook.id).await {
            Ok(secret) => secret,
            Err(error @ WebhooksError::Locked { .. }) => return Ok(failed(&error)),
            Err(error) => return Err(error),
        };
        let delivery = DeliveryId::random(self.random());
        let body = body(event, self.now(), &example_of(event));
        let sent = self
            .send(&webhook.url, delivery.as_str(), secret.as_ref(), &body)
            .await;
        Ok(match sent {
            Ok(answer) => Trial {
                is_success: is_taken(answer.status),
                status: Some(answer.status),
                body: Some(answer.body),
                failure: None,
            },
            Err(error) => failed(&error),
        })
    }

    /// Sends a body now, signed where there is a secret.
    pub(crate) async fn send(
        &self,
        url: &str,
        delivery: &str,
        secret: Option<&Secret>,
        body: &str,
    ) -> Result<Answer, TransportError> {
        let unix_time = (self.now().as_millis() / 1000).to_string();
        let signature = secret.map(|secret| sign(secret, delivery, &unix_time, body));
        let message = Message {
            delivery,
            unix_time: &unix_time,
            signature: signature.as_deref(),
            body,
        };
        let span = tracing::info_span!(
            "webhook.send",
            otel.kind = "client",
            otel.status_code = Empty,
            http.request.method = "POST",
            http.response.status_code = Empty,
        );
        let sending = self.transport().send(url, &message);
        let sent = sending.instrument(span.clone()).await;
        if let Ok(answer) = &sent {
            span.record("http.response.status_code", answer.status);
        }
        if !sent.as_ref().is_ok_and(|answer| is_taken(answer.status)) {
            span.record("otel.status_code", "ERROR");
        }
        sent
    }
}

/// Whether a receiver took what it was told. One that sends elsewhere did not: nobody goes there.
pub(crate) const fn is_taken(status: u16) -> bool {
    status >= 200 && status < 300
}

fn failed(error: &dyn std::error::Error) -> Trial {
    Trial {
        is_success: false,
        status: None,
        body: None,
        failure: Some(format!("Failed to test webhook: {error}")),
    }
}
