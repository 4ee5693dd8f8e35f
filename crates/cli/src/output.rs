//! What goes to the terminal: data to standard output, everything else to standard error.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use entities::{Clock as _, Timestamp};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::Value;

use crate::arguments::{Common, LogFormat};
use crate::diagnostics::LogLine;
use crate::error::CommandError;
use crate::system::SystemClock;

/// Prints, as JSON or for people.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    pub(crate) is_json: bool,
    pub(crate) is_quiet: bool,
    /// How what is not data is written.
    pub(crate) log_format: LogFormat,
}

impl Output {
    pub(crate) fn new(common: &Common) -> Self {
        Self {
            is_json: common.json,
            is_quiet: common.quiet,
            log_format: common.log_format,
        }
    }

    /// Prints a value as JSON.
    pub(crate) fn json<T: Serialize + ?Sized>(&self, value: &T) {
        let text = serde_json::to_string_pretty(value).expect("what is printed has text keys only");
        self.line(&text);
    }

    /// Prints a value as one line of JSON to standard error, where standard output belongs to another program.
    #[expect(
        clippy::unused_self,
        reason = "printing goes through the output, so that there is one way"
    )]
    pub(crate) fn json_aside<T: Serialize + ?Sized>(&self, value: &T) {
        let text = serde_json::to_string(value).expect("what is printed has text keys only");
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }

    /// Prints a line of data.
    #[expect(
        clippy::unused_self,
        reason = "printing goes through the output, so that there is one way"
    )]
    pub(crate) fn line(&self, text: &str) {
        // A reader that has gone away (`| head`) is no fault of ours.
        let _ = writeln!(std::io::stdout().lock(), "{text}");
    }

    /// Prints bytes as they are.
    #[expect(
        clippy::unused_self,
        reason = "printing goes through the output, so that there is one way"
    )]
    pub(crate) fn bytes(&self, bytes: &[u8]) {
        let _ = std::io::stdout().lock().write_all(bytes);
    }

    /// Prints bytes as they are to standard error.
    #[expect(
        clippy::unused_self,
        reason = "printing goes through the output, so that there is one way"
    )]
    pub(crate) fn error_bytes(&self, bytes: &[u8]) {
        let _ = std::io::stderr().lock().write_all(bytes);
    }

    /// Says something that is not data.
    pub(crate) fn say(&self, text: &str) {
        if !self.is_quiet {
            self.log("info", text, text, &[]);
        }
    }

    /// Says a step of long work, when somebody is there to read it or not: a plain line either way.
    pub(crate) fn step(&self, text: &str) {
        self.say(&format!("… {text}"));
    }

    /// Warns, quiet or not.
    pub(crate) fn warn(&self, text: &str) {
        self.log("warning", &format!("reproof: warning: {text}"), text, &[]);
    }

    /// Writes a line to standard error: a text, or an object of JSON.
    fn log(&self, level: &str, text: &str, message: &str, fields: &[(&'static str, Value)]) {
        let mut stderr = std::io::stderr().lock();
        let _ = match self.log_format {
            LogFormat::Text => writeln!(stderr, "{text}"),
            LogFormat::Json => {
                let line = LogLine {
                    at: SystemClock.now(),
                    level,
                    room: "reproof",
                    message,
                    fields,
                };
                writeln!(stderr, "{line}")
            }
        };
    }

    /// Says an error.
    pub(crate) fn fail(&self, error: &CommandError) {
        if self.log_format == LogFormat::Json {
            let fields = [
                ("code", error.code().into()),
                ("hints", error.hints().into()),
            ];
            return self.log("error", "", error.message(), &fields);
        }
        if self.is_json {
            let value = serde_json::json!({
                "error": { "code": error.code(), "message": error.message(), "hints": error.hints() }
            });
            let _ = writeln!(std::io::stderr().lock(), "{value}");
            return;
        }
        let mut text = format!(
            "reproof: error[{}]: {}\n",
            error.code(),
            safe_lines(error.message())
        );
        for hint in error.hints() {
            let _ = writeln!(text, "  try: {}", safe_lines(hint));
        }
        let _ = writeln!(text, "  more: reproof explain {}", error.code());
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }

    /// Says a step of long work that prints nothing itself; on a terminal it shows that it goes on.
    pub(crate) fn work(&self, text: &str) -> Working {
        if self.is_quiet || self.log_format == LogFormat::Json || !std::io::stderr().is_terminal() {
            self.step(text);
            return Working(None);
        }
        let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}")
            .expect("the template names what indicatif knows");
        let spinner = ProgressBar::new_spinner()
            .with_style(style)
            .with_message(text.to_owned());
        spinner.enable_steady_tick(Duration::from_millis(120));
        Working(Some((spinner, text.to_owned())))
    }
}

/// A step under way; when it goes, a plain line says what was done.
pub(crate) struct Working(Option<(ProgressBar, String)>);

impl Drop for Working {
    fn drop(&mut self) {
        if let Some((spinner, text)) = self.0.take() {
            spinner.finish_and_clear();
            let _ = writeln!(std::io::stderr().lock(), "… {text}");
        }
    }
}

/// A table in the plain style of all commands.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    if !header.is_empty() {
        table.set_header(header.iter().map(|name| name.to_uppercase()));
    }
    table
}

/// A table as lines without space at their ends, and without the padding of the first column.
pub(crate) fn table_text(table: &Table) -> String {
    let text = table.to_string();
    let lines: Vec<_> = text
        .lines()
        .map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end())
        .collect();
    lines.join("\n")
}

/// Makes a text of unknown origin safe to print: control characters are shown, not obeyed.
pub(crate) fn safe(text: &str) -> String {
    text.chars()
        .map(|character| {
            if character.is_control() {
                character.escape_default().to_string()
            } else {
                character.to_string()
            }
        })
        .collect()
}

/// The same for a text of several lines, whose line ends and tabs stay.
pub(crate) fn safe_lines(text: &str) -> String {
    let line = |line: &str| line.split('\t').map(safe).collect::<Vec<_>>().join("\t");
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// A size for people.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A duration for people.
pub(crate) fn duration(milliseconds: u64) -> String {
    match milliseconds {
        0..1000 => format!("{milliseconds} ms"),
        1000..60_000 => format!("{:.1} s", milliseconds as f64 / 1000.0),
        60_000..3_600_000 => format!(
            "{} min {} s",
            milliseconds / 60_000,
            milliseconds / 1000 % 60
        ),
        _ => format!(
            "{} h {} min",
            milliseconds / 3_600_000,
            milliseconds / 60_000 % 60
        ),
    }
}

/// A time in this machine's zone, to the second.
pub(crate) fn local_time(time: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(time.as_micros()).map_or_else(
        |_| time.to_string(),
        |time| {
            time.to_zoned_datetime(jiff::tz::TimeZone::system())
                .strftime("%Y-%m-%d %H:%M:%S")
                .to_string()
        },
    )
}

/// A number for people: the whole of it where it is short, else its first digits; a power of ten only where it is
/// very small or large.
pub(crate) fn metric_value(value: f64) -> String {
    let plain = format!("{value}");
    let is_tiny = value != 0.0 && value.abs() < 1e-3;
    if !value.is_finite() || (plain.len() <= 10 && (!is_tiny || plain.len() <= 7)) {
        plain
    } else if (1e-3..1e9).contains(&value.abs()) {
        without_zeros(&format!("{value:.6}"))
    } else {
        let text = format!("{value:.5e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        format!("{}e{exponent}", without_zeros(digits))
    }
}

/// A number with a point, without what says nothing at its end.
fn without_zeros(digits: &str) -> String {
    digits
        .trim_end_matches('0')
        .trim_end_matches('.')
        .to_owned()
}

/// A text that is cut where it is longer than a cell of a table should be.
pub(crate) fn shortened(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    let kept: String = text.chars().take(length.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// Columns of the terminal that standard output goes to; none where it goes elsewhere.
pub(crate) fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// A command line that a shell reads as these words, with quotes where it needs them.
pub(crate) fn in_shell_words(words: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let quoted = words.into_iter().map(|word| {
        let word = word.as_ref();
        let is_plain =
            |character: char| character.is_alphanumeric() || "-_./=:,+@%".contains(character);
        if !word.is_empty() && word.chars().all(is_plain) {
            return word.to_owned();
        }
        format!("'{}'", safe(&word.replace('\'', "'\\''")))
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// A URI as it may be shown: without what stands before its host, and without its settings.
pub(crate) fn without_password(uri: &str) -> String {
    let before = uri.split(['?', '#']).next().unwrap_or_default();
    let Some(at) = before.rfind('@') else {
        return safe(before);
    };
    let scheme = before[..at].split(':').next().unwrap_or_default();
    safe(&format!("{scheme}://***@{}", &before[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_read_well() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(1 << 30), "1.0 GiB");
        assert_eq!(duration(999), "999 ms");
        assert_eq!(duration(61_000), "1 min 1 s");
        assert_eq!(duration(3_660_000), "1 h 1 min");
    }

    #[test]
    fn values_are_short_and_keep_their_size() {
        let cases = [
            (0.5, "0.5"),
            (1.0 / 3.0, "0.333333"),
            (-1.0 / 3.0, "-0.333333"),
            (1.0 / 3e7, "3.33333e-8"),
            (1.8, "1.8"),
            (1.799_999_999_999_999_8, "1.8"),
            (2.3e-7, "2.3e-7"),
            (0.0005, "0.0005"),
            (2e-16, "2e-16"),
            (0.0, "0"),
            (1e300, "1e300"),
            (123_456_789_012.5, "1.23457e11"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (value, expected) in cases {
            assert_eq!(metric_value(value), expected);
        }
        assert_eq!(shortened("äöü", 3), "äöü");
        assert_eq!(shortened("äöüß", 3), "äö…");
    }

    #[test]
    fn a_name_cannot_drive_the_terminal() {
        assert_eq!(safe("a\u{1b}[31mb\n"), "a\\u{1b}[31mb\\n");
        assert_eq!(safe_lines("+\ta\u{1b}[2J\n-b\n"), "+\ta\\u{1b}[2J\n-b");
    }

    #[test]
    fn a_command_line_can_be_typed_again() {
        let words = ["train.py", "a b", "it's", "", "--lr=0.1"];
        assert_eq!(
            in_shell_words(words),
            r"train.py 'a b' 'it'\''s' '' --lr=0.1"
        );
        assert_eq!(in_shell_words(["a\u{1b}[2J"]).matches('\u{1b}').count(), 0);
    }
}
