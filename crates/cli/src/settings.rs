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
    fn sizes_are_read_with_their_units() {
        assert_eq!(parse_size("1GiB"), Some(1 << 30));
        assert_eq!(parse_size("5 MB"), Some(5_000_000));
        for text in ["", "MiB", "5 parsecs", "-1", "99999999999TiB"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }
}
