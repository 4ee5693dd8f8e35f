//! Ids of runs, experiments, models and writers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Random;

/// A text that should have been an id and is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a valid {noun} id")]
pub struct IdParseError {
    /// Which id was wanted.
    pub noun: &'static str,
    /// What was given.
    pub text: String,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $noun:literal, $accepts:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Gives the id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $name {
            type Err = IdParseError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let accepts: fn(&str) -> bool = $accepts;
                if accepts(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(IdParseError { noun: $noun, text: text.to_owned() })
                }
            }
        }
        impl TryFrom<String> for $name {
            type Error = IdParseError;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

text_id!(
    /// Names a run: MLflow's 32 hex digits for those made here, and any id of MLflow's own grammar
    /// (`[a-zA-Z0-9][\w-]{0,255}`) for those brought over.
    RunId, "run", is_mlflow_id
);
text_id!(
    /// Names an experiment: a decimal number, as MLflow's clients require.
    ExperimentId,
    "experiment",
    |text| !text.is_empty() && text.len() <= 19 && text.bytes().all(|byte| byte.is_ascii_digit())
);
text_id!(
    /// Names a logged model: `m-` and 32 hex digits for those made here.
    ModelId, "model", is_mlflow_id
);
text_id!(
    /// Names a trace: `tr-` and the 32 hex digits of OpenTelemetry's id for those that clients make today.
    TraceId, "trace", is_mlflow_id
);
text_id!(
    /// Names a span within its trace: the 16 hex digits of OpenTelemetry's id.
    SpanId,
    "span",
    |text| text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
);
text_id!(
    /// Names an evaluation dataset: `d-` and 32 hex digits for those made here.
    DatasetId, "dataset", is_mlflow_id
);
text_id!(
    /// Names a record of an evaluation dataset: `dr-` and 32 hex digits for those made here.
    DatasetRecordId, "dataset record", is_mlflow_id
);
text_id!(
    /// Names a scorer: a UUID.
    ScorerId, "scorer", is_mlflow_id
);
text_id!(
    /// Names an issue: `iss-` and 32 hex digits for those made here.
    IssueId, "issue", is_mlflow_id
);
text_id!(
    /// Names a label schema: `ls-` and 32 hex digits for those made here.
    LabelSchemaId, "label schema", is_mlflow_id
);
text_id!(
    /// Names a webhook: a UUID for those made here, as MLflow has it.
    WebhookId, "webhook", is_mlflow_id
);
text_id!(
    /// Names an access token: 12 hex digits for those made here.
    TokenId, "token", is_mlflow_id
);
text_id!(
    /// Names a delivery to a webhook: a UUID, which all attempts share.
    DeliveryId, "delivery", is_mlflow_id
);
text_id!(
    /// Names a writer of the ledger: one installation of Reproof, not one process.
    WriterId, "writer", is_mlflow_id
);

impl RunId {
    /// Draws a fresh id.
    pub fn random(random: &dyn Random) -> Self {
        Self(draw_hex(random))
    }
}

impl ModelId {
    /// Draws a fresh id.
    pub fn random(random: &dyn Random) -> Self {
        Self(format!("m-{}", draw_hex(random)))
    }
}

impl TraceId {
    /// Draws a fresh id, as for a trace that a client of MLflow 2 begins.
    pub fn random(random: &dyn Random) -> Self {
        Self(draw_hex(random))
    }

    /// The id that MLflow gives to a trace of OpenTelemetry.
    pub fn of_open_telemetry(id: [u8; 16]) -> Self {
        Self(format!("tr-{}", hex::encode(id)))
    }

    /// OpenTelemetry's id of a trace; none for those that came another way.
    pub fn to_open_telemetry(&self) -> Option<[u8; 16]> {
        let mut id = [0; 16];
        hex::decode_to_slice(self.0.strip_prefix("tr-")?, &mut id).ok()?;
        Some(id)
    }
}

impl WebhookId {
    /// Draws a fresh id.
    pub fn random(random: &dyn Random) -> Self {
        let mut bytes = [0; 16];
        random.fill(&mut bytes);
        Self(uuid(bytes, 4))
    }
}

impl TokenId {
    /// Draws a fresh id.
    pub fn random(random: &dyn Random) -> Self {
        Self(draw_hex(random)[..12].to_owned())
    }
}

impl DeliveryId {
    /// Draws a fresh id, for a delivery that follows from no event.
    pub fn random(random: &dyn Random) -> Self {
        let mut bytes = [0; 16];
        random.fill(&mut bytes);
        Self(uuid(bytes, 4))
    }

    /// The id of the delivery of one notice of an event to a webhook: the same whoever asks, and whenever.
    ///
    /// `event` is how other events refer to it, `place` that of the notice among those of the event.
    pub fn of(webhook: &WebhookId, event: &str, place: u32) -> Self {
        let named = format!("reproof webhook delivery v1\n{webhook}\n{event}\n{place}");
        let digest = crate::ObjectId::of(named.as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest.as_bytes()[..16]);
        Self(uuid(bytes, 8))
    }
}

impl SpanId {
    /// Reads OpenTelemetry's form.
    pub fn of_open_telemetry(id: [u8; 8]) -> Self {
        Self(hex::encode(id))
    }

    /// OpenTelemetry's form.
    pub fn to_open_telemetry(&self) -> [u8; 8] {
        let mut id = [0; 8];
        hex::decode_to_slice(&self.0, &mut id).expect("an id is 16 hex digits");
        id
    }
}

impl DatasetId {
    /// Draws a fresh id.
    pub fn random(random: &dyn Random) -> Self {
        Self(format!("d-{}", draw_hex(random)))
    }
}

impl DatasetRecordId {
    /// Draws a fresh id.
    pub fn random(random: &dyn Random) -> Self {
        Self(format!("dr-{}", draw_hex(random)))
    }
}

impl ScorerId {
    /// Draws a fresh id.
    pub fn random(random: &dyn Random) -> Self {
        let mut bytes = [0; 16];
        random.fill(&mut bytes);
        // Version 4, variant 1 (RFC 9562, section 5.4).
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let digits = hex::encode(bytes);
        let (first, second) = (&digits[..8], &digits[8..12]);
        let (third, fourth) = (&digits[12..16], &digits[16..20]);
        Self(format!(
            "{first}-{second}-{third}-{fourth}-{}",
            &digits[20..]
        ))
    }
}

impl WriterId {
    /// Draws a fresh id.
    pub fn random(random: &dyn Random) -> Self {
        Self(format!("w-{}", &draw_hex(random)[..16]))
    }
}

/// Draws 32 hex digits.
pub fn draw_hex(random: &dyn Random) -> String {
    let mut bytes = [0; 16];
    random.fill(&mut bytes);
    hex::encode(bytes)
}

/// Writes bytes as a UUID of a version.
///
/// *Source*: RFC 9562, sections 4 and 5: version 4 is drawn, version 8 is made in a way of one's own.
fn uuid(mut bytes: [u8; 16], version: u8) -> String {
    bytes[6] = (bytes[6] & 0x0f) | (version << 4);
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let digits = hex::encode(bytes);
    let groups = [
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..],
    ];
    groups.join("-")
}

fn is_mlflow_id(text: &str) -> bool {
    let mut characters = text.chars();
    text.len() <= 256
        && characters
            .next()
            .is_some_and(|first| first.is_ascii_alphanumeric())
        && characters.all(|other| other.is_ascii_alphanumeric() || other == '_' || other == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_cannot_leave_its_folder_or_its_quotes() {
        for text in [
            "", "..", "../x", "a/b", "a'b", "a\"b", "-a", "_a", "a b", "ä",
        ] {
            assert!(text.parse::<RunId>().is_err(), "{text} was taken");
        }
        assert!("abc".parse::<ExperimentId>().is_err());
        assert!("0".parse::<ExperimentId>().is_ok());
    }

    #[test]
    fn a_delivery_has_one_id_and_no_other_has_it() {
        let webhook: WebhookId = "a".parse().unwrap();
        let id = DeliveryId::of(&webhook, "w-1:3", 0);
        assert_eq!(id, DeliveryId::of(&webhook, "w-1:3", 0));
        assert_ne!(id, DeliveryId::of(&webhook, "w-1:3", 1));
        assert_ne!(id, DeliveryId::of(&webhook, "w-1:4", 0));
        assert_ne!(id, DeliveryId::of(&"b".parse().unwrap(), "w-1:3", 0));
        assert_eq!(id.as_str().len(), 36);
        assert_eq!(&id.as_str()[14..15], "8");
    }
}
