//! What webhooks are told: MLflow's JSON, as Python writes it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use entities::{
    ModelVersion, Notice, PROMPT_TAG, RegisteredModel, Timestamp, WebhookEvent, python,
};
use serde_json::{Map, Value, json};

/// The tag in which MLflow keeps what form a prompt has.
const PROMPT_TYPE_TAG: &str = "_mlflow_prompt_type";

/// The tag in which MLflow keeps the text of a version of a prompt.
const PROMPT_TEXT_TAG: &str = "mlflow.prompt.text";

/// The body of a delivery. It is the same at every attempt: its time is that of the change.
///
/// *Source*: `_send_webhook_request` of MLflow 3.17.2; members and spaces are as there.
pub(crate) fn body(event: WebhookEvent, happened_at: Timestamp, data: &Value) -> String {
    let moment = happened_at.to_string();
    let moment = moment.strip_suffix('Z').unwrap_or(&moment);
    let body = json!({
        "entity": event.entity(),
        "action": event.action(),
        "timestamp": format!("{moment}+00:00"),
        "data": data,
    });
    in_ascii(&python::dumps(&body))
}

/// Escapes what is not ASCII, which stands in texts only.
fn in_ascii(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for letter in json.chars() {
        if matches!(letter, ' '..='~') {
            escaped.push(letter);
            continue;
        }
        for unit in letter.encode_utf16(&mut [0; 2]) {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "\\u{unit:04x}");
        }
    }
    escaped
}

/// What a notice says.
pub(crate) fn data_of(notice: &Notice<'_>, event: WebhookEvent) -> Value {
    match notice {
        Notice::ModelCreated(model) => data_of_model(model, event),
        Notice::VersionCreated(version) => data_of_version(version, event),
        Notice::ModelTagSet { name, key, value } => {
            json!({"name": name, "key": key, "value": value})
        }
        Notice::ModelTagDeleted { name, key } => json!({"name": name, "key": key}),
        Notice::VersionTagSet {
            name,
            version,
            key,
            value,
        } => json!({"name": name, "version": version.to_string(), "key": key, "value": value}),
        Notice::VersionTagDeleted { name, version, key } => {
            json!({"name": name, "version": version.to_string(), "key": key})
        }
        Notice::AliasSet {
            name,
            alias,
            version,
        } => json!({"name": name, "alias": alias, "version": version.to_string()}),
        Notice::AliasDeleted { name, alias } => json!({"name": name, "alias": alias}),
    }
}

fn data_of_model(model: &RegisteredModel, event: WebhookEvent) -> Value {
    let left_out: &[&str] = if event == WebhookEvent::PromptCreated {
        &[PROMPT_TAG, PROMPT_TYPE_TAG]
    } else {
        &[]
    };
    json!({
        "name": model.name,
        "tags": tags_but(&model.tags, left_out),
        // MLflow has the empty text here, and none for versions.
        "description": model.description.as_deref().unwrap_or_default(),
    })
}

fn data_of_version(version: &ModelVersion, event: WebhookEvent) -> Value {
    let description = version.description.as_deref();
    let description = description.filter(|text| !text.is_empty());
    let number = version.version.to_string();
    if event == WebhookEvent::PromptVersionCreated {
        let left_out = [PROMPT_TAG, PROMPT_TYPE_TAG, PROMPT_TEXT_TAG];
        return json!({
            "name": version.name,
            "version": number,
            "template": version.tags.get(PROMPT_TEXT_TAG),
            "tags": tags_but(&version.tags, &left_out),
            "description": description,
        });
    }
    json!({
        "name": version.name,
        "version": number,
        "source": version.source,
        "run_id": version.run.as_ref().map(entities::RunId::as_str),
        "tags": tags_but(&version.tags, &[]),
        "description": description,
    })
}

fn tags_but(tags: &BTreeMap<String, String>, left_out: &[&str]) -> Map<String, Value> {
    tags.iter()
        .filter(|(key, _)| !left_out.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), Value::from(value.as_str())))
        .collect()
}

/// What a webhook is told when it is tried out.
///
/// *Source*: the examples in `mlflow/webhooks/types.py` of MLflow 3.17.2.
pub(crate) fn example_of(event: WebhookEvent) -> Value {
    use WebhookEvent as Event;
    let tags = json!({"example_key": "example_value"});
    match event {
        Event::RegisteredModelCreated => json!({
            "name": "example_model",
            "tags": tags,
            "description": "An example registered model",
        }),
        Event::ModelVersionCreated => json!({
            "name": "example_model",
            "version": "1",
            "source": "models:/123",
            "run_id": "abcd1234abcd5678",
            "tags": tags,
            "description": "An example model version",
        }),
        Event::PromptCreated => json!({
            "name": "example_prompt",
            "tags": tags,
            "description": "An example prompt",
        }),
        Event::PromptVersionCreated => json!({
            "name": "example_prompt",
            "version": "1",
            "template": "Hello {{name}}!",
            "tags": tags,
            "description": "An example prompt version",
        }),
        Event::ModelVersionTagSet => tag("example_model", true, true),
        Event::ModelVersionTagDeleted => tag("example_model", true, false),
        Event::PromptVersionTagSet => tag("example_prompt", true, true),
        Event::PromptVersionTagDeleted => tag("example_prompt", true, false),
        Event::PromptTagSet => tag("example_prompt", false, true),
        Event::PromptTagDeleted => tag("example_prompt", false, false),
        Event::ModelVersionAliasCreated => alias("example_model", true),
        Event::ModelVersionAliasDeleted => alias("example_model", false),
        Event::PromptAliasCreated => alias("example_prompt", true),
        Event::PromptAliasDeleted => alias("example_prompt", false),
    }
}

fn tag(name: &str, is_of_version: bool, is_set: bool) -> Value {
    let mut data = Map::new();
    data.insert("name".to_owned(), name.into());
    if is_of_version {
        data.insert("version".to_owned(), "1".into());
    }
    data.insert("key".to_owned(), "example_key".into());
    if is_set {
        data.insert("value".to_owned(), "example_value".into());
    }
    data.into()
}

fn alias(name: &str, is_set: bool) -> Value {
    let mut data = Map::new();
    data.insert("name".to_owned(), name.into());
    data.insert("alias".to_owned(), "example_alias".into());
    if is_set {
        data.insert("version".to_owned(), "1".into());
    }
    data.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time() -> Timestamp {
        Timestamp::from_micros(1_795_799_288_558_134)
    }

    /// What MLflow 3.17.2 sent for a model that was registered so.
    #[test]
    fn a_body_is_written_as_python_writes_it() {
        let model = RegisteredModel {
            name: "net é".to_owned(),
            description: Some("d".to_owned()),
            created_at: time(),
            updated_at: time(),
            tags: BTreeMap::from([("k".to_owned(), "w".to_owned())]),
        };
        let event = WebhookEvent::RegisteredModelCreated;
        let data = data_of(&Notice::ModelCreated(&model), event);
        assert_eq!(
            body(event, time(), &data),
            r#"{"entity": "registered_model", "action": "created", "timestamp": "2026-11-27T17:08:08.558134+00:00", "data": {"name": "net \u00e9", "tags": {"k": "w"}, "description": "d"}}"#
        );
        assert_eq!(in_ascii("\"\u{7f}𝄞\""), r#""\u007f\ud834\udd1e""#);
    }

    #[test]
    fn a_prompt_is_told_without_the_tags_that_make_it_one() {
        let tags = [
            (PROMPT_TAG, "true"),
            (PROMPT_TYPE_TAG, "text"),
            (PROMPT_TEXT_TAG, "Hi"),
            ("t", "u"),
        ];
        let version = ModelVersion {
            description: Some(String::new()),
            tags: tags
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            ..testkit_version()
        };
        let notice = Notice::VersionCreated(&version);
        let told = data_of(&notice, WebhookEvent::PromptVersionCreated).to_string();
        assert_eq!(
            told,
            r#"{"name":"ask","version":"1","template":"Hi","tags":{"t":"u"},"description":null}"#
        );
        let told = data_of(&notice, WebhookEvent::ModelVersionCreated);
        assert_eq!(told["tags"][PROMPT_TEXT_TAG], "Hi");
        assert_eq!(told["run_id"], Value::Null);
    }

    fn testkit_version() -> ModelVersion {
        ModelVersion {
            name: "ask".to_owned(),
            version: entities::VersionNumber::FIRST,
            description: None,
            stage: entities::Stage::None,
            source: "prompt-template".to_owned(),
            files_uri: None,
            run: None,
            logged_model: None,
            run_link: None,
            files: None,
            created_at: time(),
            updated_at: time(),
            tags: BTreeMap::new(),
        }
    }

    #[test]
    fn every_event_has_an_example() {
        for event in WebhookEvent::ALL {
            let name = &example_of(event)["name"];
            let is_of_prompt = event.entity().starts_with("prompt");
            assert_eq!(name == "example_prompt", is_of_prompt, "{event:?}");
        }
    }
}
