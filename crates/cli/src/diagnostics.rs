//! What the rooms below say of their work, on standard error: warnings always, more with `-v`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::arguments::Common;
use crate::output::safe;

/// Begins to print what the rooms below say.
pub(crate) fn install(common: &Common) {
    let level = match (common.quiet, common.verbose) {
        (true, _) => Level::ERROR,
        (false, 0) => Level::WARN,
        (false, 1) => Level::INFO,
        (false, 2) => Level::DEBUG,
        (false, _) => Level::TRACE,
    };
    let printer = Printer {
        level,
        next_span: AtomicU64::new(1),
    };
    tracing::subscriber::set_global_default(printer).expect("this is called once, at the start");
}

/// Prints events as single lines; spans are not shown.
struct Printer {
    level: Level,
    next_span: AtomicU64,
}

impl Subscriber for Printer {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // What libraries of others say is for those who develop Reproof.
        let is_ours = OUR_ROOMS
            .iter()
            .any(|room| metadata.target().split("::").next() == Some(room));
        *metadata.level() <= self.level && (is_ours || self.level == Level::TRACE)
    }

    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        Some(self.level.into())
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(self.next_span.fetch_add(1, Ordering::Relaxed))
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let line = line_of(event);
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

const OUR_ROOMS: [&str; 10] = [
    "reproof",
    "server",
    "executor",
    "tracking",
    "capture",
    "cas",
    "store_postgres",
    "store_sqlite",
    "ledger",
    "webhooks",
];

fn line_of(event: &Event<'_>) -> String {
    let word = match *event.metadata().level() {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    };
    let mut fields = Fields::default();
    event.record(&mut fields);
    let Fields { message, others } = fields;
    let others = if others.is_empty() {
        String::new()
    } else {
        format!(" ({others})")
    };
    format!("reproof: {word}: {}{}", safe(&message), safe(&others))
}

/// The fields of an event: its message, and the others as `name: value`.
#[derive(Default)]
struct Fields {
    message: String,
    others: String,
}

impl Fields {
    fn add(&mut self, field: &Field, value: &dyn std::fmt::Display) {
        if field.name() == "message" {
            self.message = value.to_string();
            return;
        }
        let separator = if self.others.is_empty() { "" } else { ", " };
        let _ = write!(self.others, "{separator}{}: {value}", field.name());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.add(field, &format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, &value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.add(field, &crate::error::with_causes(value));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    struct Collecting(Arc<Mutex<Vec<String>>>);

    impl Subscriber for Collecting {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, event: &Event<'_>) {
            self.0.lock().unwrap().push(line_of(event));
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn an_event_is_one_line_that_cannot_drive_the_terminal() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        tracing::subscriber::with_default(Collecting(Arc::clone(&lines)), || {
            tracing::warn!(path = "a\nb\u{1b}", size_bytes = 3_u64, "could not be kept");
        });
        let expected = "reproof: warning: could not be kept (path: a\\nb\\u{1b}, size_bytes: 3)";
        assert_eq!(*lines.lock().unwrap(), [expected]);
    }
}
