//! What a convention is: where each thing stands among the attributes of a span.

use serde_json::{Map, Value};

use super::values::{is_blank, parse_count};

/// The attributes of a span.
pub(super) type Attributes = Map<String, Value>;

/// Keys, the first to be asked first.
pub(super) type Keys = &'static [&'static str];

/// Where a convention has what MLflow asks for.
pub(super) struct Convention {
    /// What kind of step it was.
    pub(super) kind: Kind,
    /// What went in.
    pub(super) inputs: Content,
    /// What came out.
    pub(super) outputs: Content,
    /// How many tokens it took.
    pub(super) tokens: Tokens,
    /// Which model it was.
    pub(super) models: Keys,
    /// Who runs the model.
    pub(super) providers: Keys,
    /// Which tools the model may call.
    pub(super) tools: Keys,
    /// The form of the messages.
    pub(super) format: Option<Format>,
    /// The same, where it is settled when the convention is asked what went in, over what was said before.
    pub(super) format_with_inputs: Option<Format>,
}

impl Convention {
    /// One that has nothing.
    pub(super) const EMPTY: Self = Self {
        kind: Kind::Named {
            keys: &[],
            kinds: &[],
        },
        inputs: Content::Keys(&[]),
        outputs: Content::Keys(&[]),
        tokens: Tokens::Keys(TokenKeys::EMPTY),
        models: &[],
        providers: &[],
        tools: &[],
        format: None,
        format_with_inputs: None,
    };
}

/// Where the kind of a step stands.
pub(super) enum Kind {
    /// Under the first of the keys that holds a known name.
    Named {
        /// The keys.
        keys: Keys,
        /// The convention's name of each kind, with MLflow's.
        kinds: &'static [(&'static str, &'static str)],
    },
    /// Code has to look.
    Found(fn(&Attributes) -> Option<&'static str>),
}

impl Kind {
    /// MLflow's name of the kind.
    pub(super) fn find(&self, attributes: &Attributes) -> Option<&'static str> {
        match self {
            Self::Named { keys, kinds } => keys.iter().find_map(|key| {
                let name = attributes.get(*key)?.as_str()?;
                find_kind(kinds, name)
            }),
            Self::Found(find) => find(attributes),
        }
    }
}

/// Translates the name of a kind.
pub(super) fn find_kind(
    kinds: &[(&'static str, &'static str)],
    name: &str,
) -> Option<&'static str> {
    let (_, kind) = kinds.iter().find(|(known, _)| *known == name)?;
    Some(kind)
}

/// Where what went in or came out stands.
pub(super) enum Content {
    /// Under the first of the keys that says something.
    Keys(Keys),
    /// Code has to look.
    Found(fn(&Attributes) -> Option<Value>),
}

impl Content {
    /// What it says.
    pub(super) fn find(&self, attributes: &Attributes) -> Option<Value> {
        match self {
            Self::Keys(keys) => find_said(attributes, keys).cloned(),
            Self::Found(find) => find(attributes),
        }
    }
}

/// The value of the first key that says something.
pub(super) fn find_said<'a>(attributes: &'a Attributes, keys: &[&str]) -> Option<&'a Value> {
    keys.iter()
        .filter_map(|key| attributes.get(*key))
        .find(|value| !is_blank(value))
}

/// Where counts of tokens stand.
pub(super) enum Tokens {
    /// Under keys.
    Keys(TokenKeys),
    /// Code has to look.
    Found(fn(&Attributes) -> TokenCounts),
}

impl Tokens {
    /// What they count.
    pub(super) fn count(&self, attributes: &Attributes) -> TokenCounts {
        match self {
            Self::Keys(keys) => keys.count(attributes),
            Self::Found(count) => count(attributes),
        }
    }
}

/// Keys of the counts of tokens. The first that is there decides, even if it holds no count.
pub(super) struct TokenKeys {
    /// Of the request.
    pub(super) input: Keys,
    /// Of the answer.
    pub(super) output: Keys,
    /// Of both.
    pub(super) total: Keys,
    /// Of the request, as far as they were read from a cache.
    pub(super) cache_read: Keys,
    /// Of the request, as far as they were written to a cache.
    pub(super) cache_creation: Keys,
}

impl TokenKeys {
    /// None.
    pub(super) const EMPTY: Self = Self {
        input: &[],
        output: &[],
        total: &[],
        cache_read: &[],
        cache_creation: &[],
    };

    fn count(&self, attributes: &Attributes) -> TokenCounts {
        let count = |keys: Keys| {
            let value = keys.iter().find_map(|key| attributes.get(*key))?;
            parse_count(value)
        };
        TokenCounts {
            input: count(self.input),
            output: count(self.output),
            total: count(self.total),
            cache_read: count(self.cache_read),
            cache_creation: count(self.cache_creation),
        }
    }
}

/// How many tokens a step took.
#[derive(Default)]
pub(super) struct TokenCounts {
    /// In the request.
    pub(super) input: Option<i64>,
    /// In the answer.
    pub(super) output: Option<i64>,
    /// In both.
    pub(super) total: Option<i64>,
    /// In the request, read from a cache.
    pub(super) cache_read: Option<i64>,
    /// In the request, written to a cache.
    pub(super) cache_creation: Option<i64>,
}

impl TokenCounts {
    /// MLflow's form; none where nothing but what caches held was counted.
    pub(super) fn into_usage(self) -> Option<Map<String, Value>> {
        let Self {
            input,
            output,
            total,
            cache_read,
            cache_creation,
        } = self;
        let total = total.or_else(|| Some(input?.saturating_add(output?)));
        input.or(output).or(total)?;
        let counts = [
            ("input_tokens", input),
            ("output_tokens", output),
            ("total_tokens", total),
            ("cache_read_input_tokens", cache_read),
            ("cache_creation_input_tokens", cache_creation),
        ];
        let told = |(key, count): (&str, Option<i64>)| Some((key.to_owned(), Value::from(count?)));
        Some(counts.into_iter().filter_map(told).collect())
    }
}

/// A form of messages that MLflow's web pages can show.
pub(super) struct Format {
    /// MLflow's name of it.
    pub(super) name: &'static str,
    /// Whether a span has messages of this form.
    pub(super) is_meant: fn(&Attributes) -> bool,
}
