//! What the rooms below say of their work, on standard error: warnings always, more with `-v`.

use std::fmt::Write as _;
use std::io::Write as _;

use entities::{Clock as _, Timestamp};
use serde_json::{Map, Value, json};
use telemetry::Telemetry;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::{FilterFn, LevelFilter};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::Registry;

use crate::arguments::{Common, LogFormat};
use crate::output::safe;
use crate::system::SystemClock;

/// Begins to print what the rooms below say, and to send spans where a collector is named.
pub(crate) fn install(common: &Common, telemetry: Option<&Telemetry>) {
    let level = match (common.quiet, common.verbose) {
        (true, _) => Level::ERROR,
        (false, 0) => Level::WARN,
        (false, 1) => Level::INFO,
        (false, 2) => Level::DEBUG,
        (false, _) => Level::TRACE,
    };
    let wanted = move |metadata: &Metadata<'_>| {
        // What libraries of others say is for those who develop Reproof.
        let is_shown = level == Level::TRACE || is_ours(metadata.target());
        metadata.is_event() && *metadata.level() <= level && is_shown
    };
    let printer = Printer {
        format: common.log_format,
    };
    let filter = FilterFn::new(wanted).with_max_level_hint(LevelFilter::from_level(level));
    let sending = telemetry.map(|telemetry| telemetry.layer(is_ours));
    let both = Registry::default()
        .with(printer.with_filter(filter))
        .with(sending);
    tracing::subscriber::set_global_default(both).expect("this is called once, at the start");
}

/// Prints events as single lines, for people or for programs.
struct Printer {
    format: LogFormat,
}

impl<S: Subscriber> Layer<S> for Printer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let line = match self.format {
            LogFormat::Text => line_of(event),
            LogFormat::Json => json_line_of(event, SystemClock.now()),
        };
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }
}

fn is_ours(target: &str) -> bool {
    let room = target.split("::").next();
    room.is_some_and(|room| OUR_ROOMS.contains(&room))
}

const OUR_ROOMS: [&str; 19] = [
    "reproof",
    "access",
    "buckets",
    "capture",
    "cas",
    "datasets",
    "executor",
    "ledger",
    "locations",
    "migrate",
    "registry",
    "server",
    "store_postgres",
    "store_sql",
    "store_sqlite",
    "telemetry",
    "traces",
    "tracking",
    "webhooks",
];

fn word_of(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// An event for people.
fn line_of(event: &Event<'_>) -> String {
    let mut fields = Fields::default();
    event.record(&mut fields);
    let mut others = String::new();
    for (name, value) in &fields.others {
        let separator = if others.is_empty() { " (" } else { ", " };
        let _ = match value {
            Value::String(text) => write!(others, "{separator}{name}: {text}"),
            value => write!(others, "{separator}{name}: {value}"),
        };
    }
    if !others.is_empty() {
        others.push(')');
    }
    let word = word_of(*event.metadata().level());
    format!(
        "reproof: {word}: {}{}",
        safe(&fields.message),
        safe(&others)
    )
}

/// An event as an object of JSON.
fn json_line_of(event: &Event<'_>, at: Timestamp) -> String {
    let mut fields = Fields::default();
    event.record(&mut fields);
    let metadata = event.metadata();
    let line = LogLine {
        at,
        level: word_of(*metadata.level()),
        room: metadata.target().split("::").next().unwrap_or_default(),
        message: &fields.message,
        fields: &fields.others,
    };
    line.to_string()
}

/// One line of a log in JSON.
#[derive(Debug)]
pub(crate) struct LogLine<'a> {
    pub(crate) at: Timestamp,
    /// `error`, `warning`, `info`, `debug` or `trace`.
    pub(crate) level: &'a str,
    pub(crate) room: &'a str,
    pub(crate) message: &'a str,
    pub(crate) fields: &'a [(&'static str, Value)],
}

impl std::fmt::Display for LogLine<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fields = self.fields.iter();
        let fields: Map<String, Value> = fields
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        let line = json!({
            "time": self.at.to_string(),
            "level": self.level,
            "room": self.room,
            "message": self.message,
            "fields": fields,
        });
        write!(formatter, "{line}")
    }
}

/// The fields of an event: its message, and the others in their order.
#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, Value)>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            ("message", value) => self.message = value.to_string(),
            (name, value) => self.others.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.add(field, Value::from(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, Value::from(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, Value::from(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, Value::from(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.add(field, Value::from(crate::error::with_causes(value)));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    struct Collecting(Arc<Mutex<Vec<String>>>);

    impl<S: Subscriber> Layer<S> for Collecting {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let mut lines = self.0.lock().unwrap();
            lines.push(line_of(event));
            lines.push(json_line_of(event, Timestamp::from_millis(1000)));
        }
    }

    #[test]
    fn an_event_is_one_line_that_cannot_drive_the_terminal() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let subscriber = Registry::default().with(Collecting(Arc::clone(&lines)));
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(path = "a\nb\u{1b}", size_bytes = 3_u64, "could not be kept");
        });
        let expected = "reproof: warning: could not be kept (path: a\\nb\\u{1b}, size_bytes: 3)";
        let lines = lines.lock().unwrap();
        assert_eq!(lines[0], expected);
        assert!(!lines[1].contains(['\n', '\u{1b}']), "{}", lines[1]);
        let line: Value = serde_json::from_str(&lines[1]).unwrap();
        let expected = json!({
            "time": "1970-01-01T00:00:01.000000Z",
            "level": "warning",
            "room": "reproof",
            "message": "could not be kept",
            "fields": { "path": "a\nb\u{1b}", "size_bytes": 3 },
        });
        assert_eq!(line, expected);
    }
}
