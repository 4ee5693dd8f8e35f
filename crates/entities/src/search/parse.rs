//! Reads MLflow's search grammar.
//!
//! `filter := comparison (AND comparison)*`, `comparison := [entity.]key operator value`, without `OR`.
//! A little more is taken than MLflow takes: keys with `-`, `/` and `:` need no quotes, a quote may be written twice
//! in a text, and every text attribute may be compared with a list.

use super::fields::{
    Attribute, DATASET_ATTRIBUTES, DATASET_FIELDS, EXPERIMENT_ATTRIBUTES, ISSUE_ATTRIBUTES,
    MODEL_ATTRIBUTES, MODEL_VERSION_ATTRIBUTES, Nearest, REGISTERED_MODEL_ATTRIBUTES,
    RUN_ATTRIBUTES, SPAN_FIELDS, TRACE_ATTRIBUTES, ValueKind, is_attribute_name, nearest,
};
use super::tokens::{Token, TokenFault, TokenKind, cut};
use super::{Comparison, Condition, Field, Operator, OrderBy};
use crate::TRACE_NAME_TAG;

/// What is searched, which decides what can be searched by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchKind {
    /// Runs.
    Runs,
    /// Experiments.
    Experiments,
    /// Logged models.
    Models,
    /// Registered models.
    RegisteredModels,
    /// Versions of registered models.
    ModelVersions,
    /// Traces.
    Traces,
    /// Evaluation datasets.
    Datasets,
    /// Issues.
    Issues,
}

impl SearchKind {
    const fn has_metrics(self) -> bool {
        matches!(self, Self::Runs | Self::Models)
    }
}

/// A filter or an order that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (at character {} of `{text}`)", .position + 1)]
pub struct SearchParseError {
    /// Where the fault is, in characters from 0.
    pub position: usize,
    /// What is wrong, and what can be written instead.
    pub message: String,
    /// What was given.
    pub text: String,
}

/// Reads a filter; an empty one has no conditions.
pub fn parse_filter(text: &str, kind: SearchKind) -> Result<Vec<Condition>, SearchParseError> {
    let mut parser = Parser::new(text, kind)?;
    let mut conditions = Vec::new();
    if parser.peek().is_none() {
        return Ok(conditions);
    }
    loop {
        conditions.push(parser.condition()?);
        let Some(token) = parser.next() else {
            return Ok(conditions);
        };
        if token.kind.is_keyword("OR") {
            let message = "there is no OR, only AND; search once for each alternative";
            return Err(parser.fault(token.position, message));
        }
        if !token.kind.is_keyword("AND") {
            let message = format!(
                "expected AND before the next condition, found `{}`",
                token.kind.show()
            );
            return Err(parser.fault(token.position, message));
        }
    }
}

/// Reads orders, each `[entity.]key [ASC|DESC]`, the most important first.
pub fn parse_order_by(
    clauses: &[&str],
    kind: SearchKind,
) -> Result<Vec<OrderBy>, SearchParseError> {
    clauses
        .iter()
        .map(|clause| Parser::new(clause, kind)?.order())
        .collect()
}

struct Parser<'t> {
    text: &'t str,
    kind: SearchKind,
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
}

impl<'t> Parser<'t> {
    fn new(text: &'t str, kind: SearchKind) -> Result<Self, SearchParseError> {
        match cut(text) {
            Ok(tokens) => Ok(Self {
                text,
                kind,
                tokens: tokens.into_iter().peekable(),
            }),
            Err(TokenFault { position, message }) => Err(SearchParseError {
                position,
                message,
                text: text.to_owned(),
            }),
        }
    }

    fn peek(&mut self) -> Option<&Token> {
        self.tokens.peek()
    }

    fn next(&mut self) -> Option<Token> {
        self.tokens.next()
    }

    fn fault(&self, position: usize, message: impl Into<String>) -> SearchParseError {
        SearchParseError {
            position,
            message: message.into(),
            text: self.text.to_owned(),
        }
    }

    /// The next token, which must be there.
    fn expect(&mut self, what: &str) -> Result<Token, SearchParseError> {
        let end = self.text.chars().count();
        self.next()
            .ok_or_else(|| self.fault(end, format!("expected {what}, found the end")))
    }

    fn expect_keyword(&mut self, keyword: &str) -> Result<(), SearchParseError> {
        let token = self.expect(keyword)?;
        if token.kind.is_keyword(keyword) {
            return Ok(());
        }
        let message = format!("expected {keyword}, found `{}`", token.kind.show());
        Err(self.fault(token.position, message))
    }

    fn order(&mut self) -> Result<OrderBy, SearchParseError> {
        let token = self.expect("a field, such as `metrics.loss` or `start_time`")?;
        let position = token.position;
        let (field, _) = self.field(token)?;
        if let Some(what) = unordered(&field) {
            return Err(self.fault(position, format!("an order cannot name {what}")));
        }
        let is_ascending = match self.next() {
            None => true,
            Some(token) if token.kind.is_keyword("ASC") => true,
            Some(token) if token.kind.is_keyword("DESC") => false,
            Some(token) => {
                let message = format!("expected ASC or DESC, found `{}`", token.kind.show());
                return Err(self.fault(token.position, message));
            }
        };
        match self.next() {
            None => Ok(OrderBy {
                field,
                is_ascending,
            }),
            Some(token) => {
                let message = format!(
                    "expected the end, found `{}`; give each field as an order of its own",
                    token.kind.show()
                );
                Err(self.fault(token.position, message))
            }
        }
    }

    fn condition(&mut self) -> Result<Condition, SearchParseError> {
        let token = self.expect("a condition, such as `metrics.loss < 0.1`")?;
        let name = token.kind.show();
        let (field, values) = self.field(token)?;
        let comparison = self.comparison(&name, values)?;
        Ok(Condition { field, comparison })
    }

    fn comparison(
        &mut self,
        name: &str,
        values: ValueKind,
    ) -> Result<Comparison, SearchParseError> {
        let example = values.example(name);
        let token = self.expect(&format!("a comparison, such as `{example}`"))?;
        let position = token.position;
        let refuse = |parser: &Self, shown: &str| {
            let message = format!(
                "`{name}` cannot be compared by {shown}; write {}",
                values.forms(name)
            );
            Err(parser.fault(position, message))
        };
        let has_number = values == ValueKind::TextOrNumber
            && matches!(
                self.peek().map(|token| &token.kind),
                Some(TokenKind::Word(_))
            );
        match &token.kind {
            TokenKind::Operator(operator) if values == ValueKind::Number || has_number => {
                self.number(name, *operator)
            }
            TokenKind::Operator(Operator::NotEqual) if values == ValueKind::Exact => {
                refuse(self, "!=")
            }
            TokenKind::Operator(operator @ (Operator::Equal | Operator::NotEqual))
                if values != ValueKind::Pattern =>
            {
                let text = self.text_value(name)?;
                Ok(Comparison::Text(*operator, text))
            }
            TokenKind::Operator(_) if values == ValueKind::TextOrNumber => {
                let said = self.peek().map(|token| token.kind.show());
                let message = format!(
                    "a size compares with a number, not `{}`; write {}",
                    said.unwrap_or_default(),
                    values.forms(name)
                );
                Err(self.fault(position, message))
            }
            TokenKind::Operator(operator) => refuse(self, operator.as_str()),
            kind if kind.is_keyword("RLIKE") => {
                if self.kind != SearchKind::Traces || !values.is_searched_text() {
                    return refuse(self, "RLIKE");
                }
                Ok(Comparison::Matches {
                    pattern: self.text_value(name)?,
                })
            }
            kind if kind.is_keyword("LIKE") || kind.is_keyword("ILIKE") => {
                if matches!(values, ValueKind::Number | ValueKind::Exact) {
                    return refuse(self, "LIKE");
                }
                Ok(Comparison::Like {
                    ignores_case: kind.is_keyword("ILIKE"),
                    pattern: self.text_value(name)?,
                })
            }
            kind if kind.is_keyword("IN") || kind.is_keyword("NOT") => {
                let is_negated = kind.is_keyword("NOT");
                if is_negated {
                    self.expect_keyword("IN")?;
                }
                if values != ValueKind::Text {
                    return refuse(self, "a list");
                }
                let values = self.list()?;
                Ok(Comparison::In { values, is_negated })
            }
            kind if kind.is_keyword("IS") => {
                let is_unkeyed_number = values == ValueKind::Number && !is_attribute_name(name);
                if is_unkeyed_number || matches!(values, ValueKind::Pattern | ValueKind::Exact) {
                    return refuse(self, "IS");
                }
                self.null()
            }
            kind => {
                let message = format!(
                    "expected a comparison after `{name}`, found `{}`; write {}",
                    kind.show(),
                    values.forms(name)
                );
                Err(self.fault(position, message))
            }
        }
    }

    fn null(&mut self) -> Result<Comparison, SearchParseError> {
        let is_negated = self
            .peek()
            .is_some_and(|token| token.kind.is_keyword("NOT"));
        if is_negated {
            self.next();
        }
        self.expect_keyword("NULL")?;
        Ok(Comparison::Null { is_negated })
    }

    fn number(&mut self, name: &str, operator: Operator) -> Result<Comparison, SearchParseError> {
        let token = self.expect("a number")?;
        if let TokenKind::Word(word) = &token.kind
            && let Ok(number) = word.parse::<f64>()
            && number.is_finite()
        {
            return Ok(Comparison::Number(operator, number));
        }
        let example = match &token.kind {
            TokenKind::Quoted { text, .. } if text.parse::<f64>().is_ok() => text.as_str(),
            _ => "0.5",
        };
        let message = format!(
            "`{name}` compares with a number, not `{}`; write `{name} {} {example}`",
            token.kind.show(),
            operator.as_str()
        );
        Err(self.fault(token.position, message))
    }

    fn text_value(&mut self, name: &str) -> Result<String, SearchParseError> {
        let token = self.expect("a text in quotes")?;
        match token.kind {
            TokenKind::Quoted {
                text,
                quote: '\'' | '"',
            } => Ok(text),
            kind => {
                let bare = match &kind {
                    TokenKind::Word(word) => word,
                    TokenKind::Quoted { text, .. } => text,
                    _ => "text",
                };
                let message = format!(
                    "`{name}` compares with a text in quotes, not `{}`; write `'{bare}'`",
                    kind.show()
                );
                Err(self.fault(token.position, message))
            }
        }
    }

    fn list(&mut self) -> Result<Vec<String>, SearchParseError> {
        let token = self.expect("a list, such as `('a', 'b')`")?;
        if token.kind != TokenKind::Open {
            let message = format!(
                "expected a list, found `{}`; write `('a', 'b')`",
                token.kind.show()
            );
            return Err(self.fault(token.position, message));
        }
        let mut values = Vec::new();
        loop {
            values.push(self.text_value("a list")?);
            let token = self.expect("`,` or `)`")?;
            match token.kind {
                TokenKind::Comma => {}
                TokenKind::Close => return Ok(values),
                kind => {
                    let message = format!("expected `,` or `)`, found `{}`", kind.show());
                    return Err(self.fault(token.position, message));
                }
            }
        }
    }

    /// Reads a name: `entity.key`, or an attribute alone.
    fn field(&self, token: Token) -> Result<(Field, ValueKind), SearchParseError> {
        let Token { position, kind } = token;
        match kind {
            TokenKind::Dotted { entity, key } => self.keyed_field(position, &entity, key),
            // Only the first dot splits: keys may hold more.
            TokenKind::Word(name)
            | TokenKind::Quoted {
                text: name,
                quote: '"' | '`',
            } => match name.split_once('.') {
                Some((entity, key)) => self.keyed_field(position, entity, key.to_owned()),
                None => self.attribute(position, &name),
            },
            kind => {
                let message = format!(
                    "expected a field, such as `metrics.loss` or `{}`, found `{}`",
                    self.attributes()[0].name,
                    kind.show()
                );
                Err(self.fault(position, message))
            }
        }
    }

    fn keyed_field(
        &self,
        position: usize,
        entity: &str,
        key: String,
    ) -> Result<(Field, ValueKind), SearchParseError> {
        if key.is_empty() {
            return Err(self.fault(position, format!("a key is missing after `{entity}.`")));
        }
        let has_metrics = self.kind.has_metrics();
        match entity {
            "metric" | "metrics" if has_metrics => Ok((Field::Metric(key), ValueKind::Number)),
            "param" | "params" | "parameter" | "parameters" if has_metrics => {
                Ok((Field::Param(key), ValueKind::KeyedText))
            }
            "tag" | "tags" => Ok((Field::Tag(key), ValueKind::KeyedText)),
            "attribute" | "attributes" | "attr" | "run" => self.attribute(position, &key),
            _ if self.kind == SearchKind::Traces => self.trace_field(position, entity, key),
            "dataset" | "datasets" if self.kind == SearchKind::Runs => {
                match nearest(&key, DATASET_FIELDS) {
                    Nearest::Same(field) => Ok((Field::Dataset(field.to_owned()), ValueKind::Text)),
                    near => {
                        let message = format!(
                            "a dataset has no `{key}`{}",
                            near.advice("dataset.", DATASET_FIELDS)
                        );
                        Err(self.fault(position, message))
                    }
                }
            }
            _ => self.unknown_entity(position, entity),
        }
    }

    /// What only traces have.
    fn trace_field(
        &self,
        position: usize,
        entity: &str,
        key: String,
    ) -> Result<(Field, ValueKind), SearchParseError> {
        match entity {
            "trace" => self.attribute(position, &key),
            "metadata" | "request_metadata" => Ok((Field::Metadata(key), ValueKind::KeyedText)),
            "feedback" => Ok((Field::Feedback(key), ValueKind::TextOrNumber)),
            "expectation" => Ok((Field::Expectation(key), ValueKind::TextOrNumber)),
            "issue" if key == "id" => Ok((Field::Issue, ValueKind::Exact)),
            "span" => match key.strip_prefix("attributes.").map(unquote) {
                Some("") => Err(self.fault(position, "a key is missing after `span.attributes.`")),
                Some(attribute) => {
                    Ok((Field::SpanAttribute(attribute.to_owned()), ValueKind::Text))
                }
                None => match nearest(&key, SPAN_FIELDS) {
                    Nearest::Same("content") => {
                        Ok((Field::Span("content".to_owned()), ValueKind::Pattern))
                    }
                    Nearest::Same(field) => Ok((Field::Span(field.to_owned()), ValueKind::Text)),
                    near => {
                        let advice = near.advice("span.", SPAN_FIELDS);
                        let message = format!(
                            "a span has no `{key}`{advice}, and `span.attributes.` with a name"
                        );
                        Err(self.fault(position, message))
                    }
                },
            },
            _ => self.unknown_entity(position, entity),
        }
    }

    fn unknown_entity<T>(&self, position: usize, entity: &str) -> Result<T, SearchParseError> {
        let entities = self.entities();
        let message = format!(
            "{} cannot be searched by `{entity}`{}",
            self.plural(),
            nearest(entity, entities).advice("", entities)
        );
        Err(self.fault(position, message))
    }

    fn attribute(
        &self,
        position: usize,
        name: &str,
    ) -> Result<(Field, ValueKind), SearchParseError> {
        let attributes = self.attributes();
        let is_meant =
            |attribute: &&Attribute| attribute.name == name || attribute.aliases.contains(&name);
        if let Some(attribute) = attributes.iter().find(is_meant) {
            let field = match (self.kind, attribute.name) {
                (SearchKind::Traces, "name") => Field::Tag(TRACE_NAME_TAG.to_owned()),
                (SearchKind::Traces, "prompt") => Field::Prompt,
                (SearchKind::Traces, "text") => Field::Span("content".to_owned()),
                (_, name) => Field::Attribute(name.to_owned()),
            };
            return Ok((field, attribute.values));
        }
        let names: Vec<_> = attributes.iter().map(|attribute| attribute.name).collect();
        let advice = match nearest(name, &names) {
            Nearest::None if self.kind == SearchKind::Issues => {
                format!("; there are {}", names.join(", "))
            }
            Nearest::None if !self.kind.has_metrics() => {
                format!("; there are {}, and `tags.{name}`", names.join(", "))
            }
            Nearest::None => format!(
                "; there are {}, and `metrics.{name}`, `params.{name}`, `tags.{name}`",
                names.join(", ")
            ),
            near => near.advice("", &names),
        };
        let message = format!("{} have no attribute `{name}`{advice}", self.plural());
        Err(self.fault(position, message))
    }

    const fn attributes(&self) -> &'static [Attribute] {
        match self.kind {
            SearchKind::Runs => RUN_ATTRIBUTES,
            SearchKind::Experiments => EXPERIMENT_ATTRIBUTES,
            SearchKind::Models => MODEL_ATTRIBUTES,
            SearchKind::RegisteredModels => REGISTERED_MODEL_ATTRIBUTES,
            SearchKind::ModelVersions => MODEL_VERSION_ATTRIBUTES,
            SearchKind::Traces => TRACE_ATTRIBUTES,
            SearchKind::Datasets => DATASET_ATTRIBUTES,
            SearchKind::Issues => ISSUE_ATTRIBUTES,
        }
    }

    const fn entities(&self) -> &'static [&'static str] {
        match self.kind {
            SearchKind::Runs => &["metrics", "params", "tags", "attributes", "dataset"],
            SearchKind::Experiments
            | SearchKind::RegisteredModels
            | SearchKind::ModelVersions
            | SearchKind::Datasets => &["tags", "attributes"],
            SearchKind::Issues => &["attributes"],
            SearchKind::Models => &["metrics", "params", "tags", "attributes"],
            SearchKind::Traces => &[
                "tags",
                "metadata",
                "span",
                "feedback",
                "expectation",
                "issue",
                "trace",
                "attributes",
            ],
        }
    }

    const fn plural(&self) -> &'static str {
        match self.kind {
            SearchKind::Runs => "runs",
            SearchKind::Experiments => "experiments",
            SearchKind::Models => "logged models",
            SearchKind::RegisteredModels => "registered models",
            SearchKind::ModelVersions => "versions of models",
            SearchKind::Traces => "traces",
            SearchKind::Datasets => "evaluation datasets",
            SearchKind::Issues => "issues",
        }
    }
}

/// What an order cannot name, in words.
fn unordered(field: &Field) -> Option<&'static str> {
    match field {
        Field::Dataset(_) => Some("a dataset"),
        Field::Span(_) | Field::SpanAttribute(_) => Some("a span, of which a trace has many"),
        Field::Feedback(_) | Field::Expectation(_) | Field::Issue => {
            Some("an assessment, of which a trace has many")
        }
        Field::Prompt => Some("a prompt, of which a trace has many"),
        Field::Attribute(_)
        | Field::Metric(_)
        | Field::Param(_)
        | Field::Tag(_)
        | Field::Measured { .. }
        | Field::Metadata(_) => None,
    }
}

/// A key without the backticks around it.
fn unquote(key: &str) -> &str {
    let inner = key.strip_prefix('`').and_then(|key| key.strip_suffix('`'));
    inner.unwrap_or(key)
}

#[cfg(test)]
mod tests;
