//! `reproof.toml`, with `.reproof/local.toml` over it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Deserializer};

use crate::error::CommandError;

/// The settings of a project.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(crate) capture: Capture,
    pub(crate) redaction: Redaction,
    pub(crate) replay: Replay,
    pub(crate) retention: Retention,
}

/// `[capture]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Capture {
    /// Files larger than this are recorded by digest only.
    pub(crate) size_limit: Size,
    /// Untracked files larger than this are not part of the code.
    pub(crate) code_file_limit: Size,
    /// Metrics files that runs write.
    pub(crate) metrics: Vec<String>,
    /// What to do with processes that outlive the command.
    pub(crate) orphans: Orphans,
    /// How often CPU and memory are sampled; 0 for never.
    pub(crate) sample_interval_ms: u64,
}

/// What to do with processes that outlive the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Orphans {
    /// Wait until they have ended.
    Wait,
    /// End them.
    End,
}

/// `[redaction]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Redaction {
    /// Environment variables whose values may be kept.
    pub(crate) allow_variables: Vec<String>,
    /// Files of which only the path is kept.
    pub(crate) secret_files: Vec<String>,
}

/// `[replay]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Replay {
    /// Metrics that measure time, and so are not compared.
    pub(crate) timings: Vec<String>,
    /// How far each metric may be off.
    pub(crate) tolerance: BTreeMap<String, String>,
}

/// `[retention]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Retention {
    /// How long a run or an experiment must have been deleted before it may be removed for good.
    pub(crate) deleted_for: Wait,
    /// Tags of runs and experiments that hold them, beside `reproof.hold`.
    pub(crate) hold_tags: Vec<String>,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            deleted_for: Wait {
                milliseconds: 30 * 24 * 3_600_000,
            },
            hold_tags: Vec::new(),
        }
    }
}

/// A length of time, written as `30d`, `12h` or `2d8h5m20s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wait {
    pub(crate) milliseconds: u64,
}

impl std::str::FromStr for Wait {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse =
            || format!("`{text}` is not a length of time such as `30d`, `12h` or `2d8h5m20s`");
        // Each unit at most once, the larger ones first.
        let mut units = [
            ('d', 86_400_000.0),
            ('h', 3_600_000.0),
            ('m', 60_000.0),
            ('s', 1000.0),
        ]
        .iter();
        let mut milliseconds = 0.0;
        let mut rest = text;
        while let Some(end) = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.') {
            let number: f64 = rest[..end].parse().map_err(|_| refuse())?;
            let letter = rest[end..].chars().next().ok_or_else(refuse)?;
            let (_, factor) = units.find(|(unit, _)| *unit == letter).ok_or_else(refuse)?;
            milliseconds += number * factor;
            rest = &rest[end + letter.len_utf8()..];
        }
        // Some thousand years, so that no sum of times runs over.
        if text.is_empty() || !rest.is_empty() || !(0.0..=1e14).contains(&milliseconds) {
            return Err(refuse());
        }
        Ok(Self {
            milliseconds: milliseconds as u64,
        })
    }
}

impl std::fmt::Display for Wait {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut rest = self.milliseconds / 1000;
        if rest == 0 {
            return write!(formatter, "0s");
        }
        for (letter, seconds) in [('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)] {
            if rest >= seconds {
                write!(formatter, "{}{letter}", rest / seconds)?;
                rest %= seconds;
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Wait {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl Default for Capture {
    fn default() -> Self {
        Self {
            size_limit: Size(1 << 30),
            code_file_limit: Size(5 << 20),
            metrics: vec!["metrics*.json".to_owned()],
            orphans: Orphans::Wait,
            sample_interval_ms: 1000,
        }
    }
}

/// A number of bytes, written as a number or as `5MiB`, `1GB`, ….
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(u64),
            Text(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Number(bytes) => Ok(Self(bytes)),
            Form::Text(text) => parse_size(&text).map(Self).ok_or_else(|| {
                serde::de::Error::custom(format!("`{text}` is not a size such as `5MiB` or `1GB`"))
            }),
        }
    }
}

fn parse_size(text: &str) -> Option<u64> {
    let digits_end = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let number: u64 = text[..digits_end].parse().ok()?;
    let factor = match text[digits_end..].trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// What `reproof init` writes: every key with its default, its unit and what it does.
pub(crate) const TEMPLATE: &str = include_str!("reproof.toml");

impl Settings {
    /// Reads the project's settings; what is in `.reproof/local.toml` wins over `reproof.toml`.
    pub(crate) fn load(project_root: &Path, store_directory: &Path) -> Result<Self, CommandError> {
        let mut merged = toml::Table::new();
        for path in [
            project_root.join("reproof.toml"),
            store_directory.join("local.toml"),
        ] {
            let text = match std::fs::read_to_string(&path) {
                Ok(text) => text,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => {
                    return Err(CommandError::system(
                        "E0004",
                        format!("cannot read {}: {error}", path.display()),
                    ));
                }
            };
            // Each file is checked by itself first, so that the error names the file and its line.
            toml::from_str::<Self>(&text).map_err(|error| invalid(&path, &error))?;
            let table = toml::from_str(&text).map_err(|error| invalid(&path, &error))?;
            merge(&mut merged, table);
        }
        merged
            .try_into()
            .map_err(|error: toml::de::Error| invalid(project_root, &error))
    }
}

fn invalid(path: &Path, error: &toml::de::Error) -> CommandError {
    CommandError::usage(
        "E0004",
        format!(
            "{} is not valid: {}",
            path.display(),
            error.to_string().trim_end()
        ),
    )
    .hint("`reproof init` in an empty directory writes a file with every key and its default")
}

fn merge(into: &mut toml::Table, from: toml::Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(toml::Value::Table(old)), toml::Value::Table(new)) => merge(old, new),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_says_the_defaults() {
        let lines: Vec<_> = TEMPLATE
            .lines()
            .map(|line| line.strip_prefix("#: ").unwrap_or(line))
            .collect();
        let uncommented = lines.join("\n");
        let stated: Settings = toml::from_str(&uncommented).unwrap();
        assert_eq!(stated, Settings::default());
        assert!(
            uncommented.contains("sample_interval_ms"),
            "the template lost its keys"
        );
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(
            directory.path().join("reproof.toml"),
            "[capture]\nsize_limits = 3\n",
        )
        .unwrap();
        let error = Settings::load(directory.path(), directory.path()).unwrap_err();
        assert!(
            error.message().contains("size_limits") && error.message().contains("line 2"),
            "{}",
            error.message()
        );
    }

    #[test]
    fn the_checkout_wins_over_the_project() {
        let directory = tempfile::tempdir().unwrap();
        let store = directory.path().join(".reproof");
        std::fs::create_dir(&store).unwrap();
        std::fs::write(
            directory.path().join("reproof.toml"),
            "[capture]\nsize_limit = \"5MiB\"\norphans = \"end\"\n",
        )
        .unwrap();
        std::fs::write(store.join("local.toml"), "[capture]\nsize_limit = 7\n").unwrap();
        let settings = Settings::load(directory.path(), &store).unwrap();
        assert_eq!(settings.capture.size_limit, Size(7));
        assert_eq!(settings.capture.orphans, Orphans::End);
    }

    #[test]
    fn lengths_of_time_are_read_and_said_with_their_units() {
        for (text, milliseconds, said) in [
            ("30d", 2_592_000_000, "30d"),
            ("2d8h5m20s", 201_920_000, "2d8h5m20s"),
            ("1.5h", 5_400_000, "1h30m"),
            ("0d", 0, "0s"),
            ("90m", 5_400_000, "1h30m"),
        ] {
            let wait: Wait = text.parse().unwrap();
            assert_eq!(wait.milliseconds, milliseconds, "{text}");
            assert_eq!(wait.to_string(), said);
        }
        for text in [
            "",
            "30",
            "d",
            "5s1d",
            "1d1d",
            "-1d",
            "1y",
            "1e3d",
            "9999999999999999d",
            "1d ",
            "1..5h",
        ] {
            assert!(text.parse::<Wait>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_read_with_their_units() {
        assert_eq!(parse_size("1GiB"), Some(1 << 30));
        assert_eq!(parse_size("5 MB"), Some(5_000_000));
        for text in ["", "MiB", "5 parsecs", "-1", "99999999999TiB"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }
}
