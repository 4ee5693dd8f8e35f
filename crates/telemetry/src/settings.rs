//! What the environment asks for, by the names that all libraries of OpenTelemetry know.

use std::time::Duration;

const DISABLED: &str = "OTEL_SDK_DISABLED";
const EXPORTER: &str = "OTEL_TRACES_EXPORTER";
const ENDPOINTS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];
const PROTOCOLS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
];
const TIMEOUTS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
];

/// The one protocol that is spoken.
const PROTOCOL: &str = "http/protobuf";

/// What the specification sets for a request to a collector.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How spans are to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long the collector may take to answer.
    pub timeout: Duration,
}

/// What the environment asks for and cannot have.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Another exporter than OTLP.
    #[error("{EXPORTER} names `{name}`, and spans are sent by `otlp` only")]
    Exporter {
        /// What it names.
        name: String,
    },
    /// Another protocol than that one.
    #[error(
        "{variable} is `{name}`, and spans are sent by `{PROTOCOL}` only, which collectors take on port 4318"
    )]
    Protocol {
        /// Where it is asked for.
        variable: &'static str,
        /// What it names.
        name: String,
    },
    /// A time that is none.
    #[error("{variable} is `{value}`, which is no number of milliseconds")]
    Timeout {
        /// Where it stands.
        variable: &'static str,
        /// What stands there.
        value: String,
    },
}

impl Settings {
    /// Reads them; none where nothing is to be sent.
    ///
    /// *Errors*: as the variants say.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, SettingsError> {
        let text = |name: &'static str| {
            let value = variable(name)?.trim().to_owned();
            (!value.is_empty()).then_some((name, value))
        };
        let first = |names: [&'static str; 2]| names.into_iter().find_map(text);
        if text(DISABLED).is_some_and(|(_, value)| value.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        match text(EXPORTER) {
            Some((_, names)) if names == "none" => return Ok(None),
            Some((_, names)) if names.split(',').all(|name| name.trim() != "otlp") => {
                return Err(SettingsError::Exporter { name: names });
            }
            None if first(ENDPOINTS).is_none() => return Ok(None),
            Some(_) | None => {}
        }
        if let Some((variable, name)) = first(PROTOCOLS)
            && name != PROTOCOL
        {
            return Err(SettingsError::Protocol { variable, name });
        }
        let timeout = match first(TIMEOUTS) {
            None => TIMEOUT,
            Some((variable, value)) => match value.parse() {
                Ok(milliseconds) => Duration::from_millis(milliseconds),
                Err(_) => return Err(SettingsError::Timeout { variable, value }),
            },
        };
        Ok(Some(Self { timeout }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<Settings>, SettingsError> {
        Settings::read(|name| {
            let found = variables.iter().find(|(there, _)| *there == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");

    #[test]
    fn nothing_is_sent_unless_a_collector_is_named() {
        let default = Settings { timeout: TIMEOUT };
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[("OTEL_SERVICE_NAME", "a")]), Ok(None));
        assert_eq!(read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]), Ok(None));
        assert_eq!(read(&[ENDPOINT]), Ok(Some(default.clone())));
        let of_traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://a/b");
        assert_eq!(read(&[of_traces]), Ok(Some(default.clone())));
        let by_default = ("OTEL_TRACES_EXPORTER", "console, otlp");
        assert_eq!(read(&[by_default]), Ok(Some(default)));
        assert_eq!(read(&[ENDPOINT, ("OTEL_SDK_DISABLED", "TRUE")]), Ok(None));
        assert_eq!(
            read(&[ENDPOINT, ("OTEL_TRACES_EXPORTER", "none")]),
            Ok(None)
        );
    }

    #[test]
    fn what_is_for_traces_goes_before_what_is_for_all() {
        let found = read(&[
            ENDPOINT,
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "1500"),
        ]);
        let timeout = Duration::from_millis(1500);
        assert_eq!(found, Ok(Some(Settings { timeout })));
    }

    #[test]
    fn what_cannot_be_had_is_named() {
        let told = |name, value| read(&[ENDPOINT, (name, value)]).unwrap_err().to_string();
        let grpc = told("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
        assert!(
            grpc.contains("OTEL_EXPORTER_OTLP_PROTOCOL is `grpc`"),
            "{grpc}"
        );
        let zipkin = told("OTEL_TRACES_EXPORTER", "zipkin");
        assert!(zipkin.contains("names `zipkin`"), "{zipkin}");
        let soon = told("OTEL_EXPORTER_OTLP_TIMEOUT", "soon");
        assert!(
            soon.contains("`soon`, which is no number of milliseconds"),
            "{soon}"
        );
    }
}
