//! What can be searched by, how its values compare, and what a misspelt name may mean.

/// How the values of a field compare.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueKind {
    Number,
    /// Params and tags: no lists, but they may be missing.
    KeyedText,
    Text,
    /// What assessments say: a text or a number.
    TextOrNumber,
    /// Whole contents: patterns alone.
    Pattern,
    /// What is named as a whole.
    Exact,
}

impl ValueKind {
    /// Whether regular expressions may be looked for in it.
    pub(super) const fn is_searched_text(self) -> bool {
        matches!(self, Self::KeyedText | Self::Text | Self::TextOrNumber)
    }

    pub(super) fn example(self, name: &str) -> String {
        match self {
            Self::Number if name.contains("time") => {
                format!(
                    "{name} > 1767225600000` (milliseconds since 1970), or `{name} < 1798761600000"
                )
            }
            Self::Number => format!("{name} > 0.5"),
            Self::Pattern => format!("{name} LIKE '%text%'"),
            Self::KeyedText | Self::Text | Self::TextOrNumber | Self::Exact => {
                format!("{name} = 'text'")
            }
        }
    }

    pub(super) fn forms(self, name: &str) -> String {
        match self {
            Self::Number => format!("`{name}` and one of =, !=, <, <=, >, >= and a number"),
            Self::KeyedText => {
                format!("`{name}` and one of =, !=, LIKE, ILIKE and a text, or IS [NOT] NULL")
            }
            Self::Text => {
                format!("`{name}` and one of =, !=, LIKE, ILIKE and a text, or [NOT] IN and a list")
            }
            Self::TextOrNumber => format!(
                "`{name}` and one of =, !=, LIKE, ILIKE and a text, one of =, !=, <, <=, >, >= and a number, or IS [NOT] NULL"
            ),
            Self::Pattern => format!("`{name}` and one of LIKE, ILIKE and a text"),
            Self::Exact => format!("`{name} =` and a text"),
        }
    }
}

/// A field of the thing itself.
pub(super) struct Attribute {
    pub(super) name: &'static str,
    pub(super) aliases: &'static [&'static str],
    pub(super) values: ValueKind,
}

const fn attribute(
    name: &'static str,
    aliases: &'static [&'static str],
    values: ValueKind,
) -> Attribute {
    Attribute {
        name,
        aliases,
        values,
    }
}

pub(super) const RUN_ATTRIBUTES: &[Attribute] = &[
    attribute("start_time", &["created", "Created"], ValueKind::Number),
    attribute("end_time", &[], ValueKind::Number),
    attribute("run_id", &[], ValueKind::Text),
    attribute(
        "run_name",
        &["run name", "Run name", "Run Name"],
        ValueKind::Text,
    ),
    attribute("status", &[], ValueKind::Text),
    attribute("user_id", &[], ValueKind::Text),
    attribute("artifact_uri", &[], ValueKind::Text),
    attribute("lifecycle_stage", &["lifecycle"], ValueKind::Text),
    attribute("experiment_id", &[], ValueKind::Text),
];

pub(super) const EXPERIMENT_ATTRIBUTES: &[Attribute] = &[
    attribute("name", &[], ValueKind::Text),
    attribute("experiment_id", &[], ValueKind::Text),
    attribute("creation_time", &[], ValueKind::Number),
    attribute("last_update_time", &[], ValueKind::Number),
];

pub(super) const MODEL_ATTRIBUTES: &[Attribute] = &[
    attribute("name", &[], ValueKind::Text),
    attribute("model_id", &[], ValueKind::Text),
    attribute("model_type", &[], ValueKind::Text),
    attribute("status", &[], ValueKind::Text),
    attribute("source_run_id", &[], ValueKind::Text),
    attribute("experiment_id", &[], ValueKind::Text),
    attribute("creation_timestamp", &["creation_time"], ValueKind::Number),
    attribute(
        "last_updated_timestamp",
        &["last_updated_time"],
        ValueKind::Number,
    ),
];

pub(super) const REGISTERED_MODEL_ATTRIBUTES: &[Attribute] = &[
    attribute("name", &[], ValueKind::Text),
    attribute("creation_timestamp", &["creation_time"], ValueKind::Number),
    attribute(
        "last_updated_timestamp",
        &["last_updated_time", "timestamp"],
        ValueKind::Number,
    ),
];

pub(super) const MODEL_VERSION_ATTRIBUTES: &[Attribute] = &[
    attribute("name", &[], ValueKind::Text),
    attribute("version_number", &[], ValueKind::Number),
    attribute("run_id", &[], ValueKind::Text),
    attribute("source_path", &[], ValueKind::Text),
    attribute("stage", &["current_stage"], ValueKind::Text),
    attribute("creation_timestamp", &["creation_time"], ValueKind::Number),
    attribute(
        "last_updated_timestamp",
        &["last_updated_time"],
        ValueKind::Number,
    ),
];

/// `name`, `run_id`, `prompt` and `text` are kept elsewhere, and read so.
pub(super) const TRACE_ATTRIBUTES: &[Attribute] = &[
    attribute("request_id", &["trace_id"], ValueKind::Text),
    attribute("timestamp_ms", &["timestamp"], ValueKind::Number),
    attribute("execution_time_ms", &["execution_time"], ValueKind::Number),
    attribute("end_time_ms", &["end_time"], ValueKind::Number),
    attribute("status", &["state"], ValueKind::Text),
    attribute("client_request_id", &[], ValueKind::Text),
    attribute("experiment_id", &[], ValueKind::Text),
    attribute("run_id", &[], ValueKind::Text),
    attribute("name", &[], ValueKind::Text),
    attribute("prompt", &[], ValueKind::Exact),
    attribute("text", &[], ValueKind::Pattern),
];

pub(super) const DATASET_ATTRIBUTES: &[Attribute] = &[
    attribute("name", &[], ValueKind::Text),
    attribute("created_time", &[], ValueKind::Number),
    attribute("last_update_time", &[], ValueKind::Number),
    attribute("created_by", &[], ValueKind::Text),
    attribute("last_updated_by", &[], ValueKind::Text),
];

pub(super) const ISSUE_ATTRIBUTES: &[Attribute] = &[
    attribute("status", &[], ValueKind::Text),
    attribute("source_run_id", &[], ValueKind::Text),
    attribute("severity", &[], ValueKind::Text),
];

pub(super) const SPAN_FIELDS: &[&str] = &["name", "type", "status", "content"];

pub(super) const DATASET_FIELDS: &[&str] = &["name", "digest", "context"];

/// Whether a name as written is that of an attribute, which alone of all numbers may be asked to be missing.
pub(super) fn is_attribute_name(name: &str) -> bool {
    match name.split_once('.') {
        None => true,
        Some((entity, _)) => matches!(
            entity,
            "attribute" | "attributes" | "attr" | "run" | "trace"
        ),
    }
}

pub(super) enum Nearest<'n> {
    Same(&'n str),
    Near(&'n str),
    None,
}

impl Nearest<'_> {
    pub(super) fn advice(&self, prefix: &str, all: &[&str]) -> String {
        match self {
            Self::Same(name) | Self::Near(name) => format!("; did you mean `{prefix}{name}`?"),
            Self::None => format!("; there are {}", all.join(", ")),
        }
    }
}

/// Finds what a misspelt name may mean.
pub(super) fn nearest<'n>(name: &str, known: &[&'n str]) -> Nearest<'n> {
    let closest = known
        .iter()
        .map(|known| (distance(&name.to_lowercase(), known), *known))
        .min();
    // `name` for `run_name`, `user` for `user_id`.
    let mut longer = known.iter().filter(|known| {
        let rest = known.strip_suffix(name).map(|rest| rest.ends_with('_'));
        let end = known.strip_prefix(name).map(|rest| rest.starts_with('_'));
        !name.is_empty() && (rest == Some(true) || end == Some(true))
    });
    let only = longer.next().filter(|_| longer.next().is_none());
    match closest {
        Some((_, known)) if known == name => Nearest::Same(known),
        _ if only.is_some() => only.map_or(Nearest::None, |known| Nearest::Near(known)),
        // More than a third of the letters wrong is another word.
        Some((distance, known)) if distance * 3 <= known.len() => Nearest::Near(known),
        _ => Nearest::None,
    }
}

/// The number of letters to insert, delete or replace (Levenshtein), one row of the table at a time.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}
