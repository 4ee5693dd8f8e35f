//! Reads MLflow's search grammar.
//!
//! `filter := comparison (AND comparison)*`, `comparison := [entity.]key operator value`, without `OR`.
//! A little more is taken than MLflow takes: keys with `-`, `/` and `:` need no quotes, a quote may be written twice
//! in a text, and every text attribute may be compared with a list.

use super::fields::{
    Attribute, DATASET_FIELDS, EXPERIMENT_ATTRIBUTES, MODEL_ATTRIBUTES, MODEL_VERSION_ATTRIBUTES,
    Nearest, REGISTERED_MODEL_ATTRIBUTES, RUN_ATTRIBUTES, ValueKind, is_attribute_name, nearest,
};
use super::tokens::{Token, TokenFault, TokenKind, cut};
use super::{Comparison, Condition, Field, Operator, OrderBy};

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
        if matches!(field, Field::Dataset(_)) {
            return Err(self.fault(position, "an order cannot name a dataset"));
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
        match &token.kind {
            TokenKind::Operator(operator) if values == ValueKind::Number => {
                self.number(name, *operator)
            }
            TokenKind::Operator(operator @ (Operator::Equal | Operator::NotEqual)) => {
                let text = self.text_value(name)?;
                Ok(Comparison::Text(*operator, text))
            }
            TokenKind::Operator(operator) => refuse(self, operator.as_str()),
            kind if kind.is_keyword("LIKE") || kind.is_keyword("ILIKE") => {
                if values == ValueKind::Number {
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
                if values == ValueKind::Number && !is_attribute_name(name) {
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
            _ => {
                let entities = self.entities();
                let message = format!(
                    "{} cannot be searched by `{entity}`{}",
                    self.plural(),
                    nearest(entity, entities).advice("", entities)
                );
                Err(self.fault(position, message))
            }
        }
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
            return Ok((
                Field::Attribute(attribute.name.to_owned()),
                attribute.values,
            ));
        }
        let names: Vec<_> = attributes.iter().map(|attribute| attribute.name).collect();
        let advice = match nearest(name, &names) {
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
        }
    }

    const fn entities(&self) -> &'static [&'static str] {
        match self.kind {
            SearchKind::Runs => &["metrics", "params", "tags", "attributes", "dataset"],
            SearchKind::Experiments | SearchKind::RegisteredModels | SearchKind::ModelVersions => {
                &["tags", "attributes"]
            }
            SearchKind::Models => &["metrics", "params", "tags", "attributes"],
        }
    }

    const fn plural(&self) -> &'static str {
        match self.kind {
            SearchKind::Runs => "runs",
            SearchKind::Experiments => "experiments",
            SearchKind::Models => "logged models",
            SearchKind::RegisteredModels => "registered models",
            SearchKind::ModelVersions => "versions of models",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(text: &str) -> Vec<Condition> {
        parse_filter(text, SearchKind::Runs).unwrap()
    }

    fn message(text: &str) -> String {
        parse_filter(text, SearchKind::Runs)
            .unwrap_err()
            .to_string()
    }

    fn one(field: Field, comparison: Comparison) -> Vec<Condition> {
        vec![Condition { field, comparison }]
    }

    fn text_is(text: &str) -> Comparison {
        Comparison::Text(Operator::Equal, text.to_owned())
    }

    #[test]
    fn every_form_of_a_name_is_read() {
        let loss = |text| {
            let below = Comparison::Number(Operator::Less, 0.5);
            assert_eq!(runs(text), one(Field::Metric("my loss".to_owned()), below));
        };
        loss("metrics.\"my loss\" < 0.5");
        loss("metric.`my loss`<.5");
        loss("  `metrics.my loss`  <  5e-1 ");
        let dotted = one(Field::Param("a.b-c/d".to_owned()), text_is("x"));
        assert_eq!(runs("params.a.b-c/d = 'x'"), dotted);
        assert_eq!(runs("parameter.a.b-c/d=\"x\""), dotted);
        let name = one(Field::Attribute("run_name".to_owned()), text_is("x"));
        for text in [
            "run_name = 'x'",
            "attributes.run_name = 'x'",
            "attr.`Run Name` = 'x'",
            "\"run name\" = 'x'",
            "run.run_name = 'x'",
        ] {
            assert_eq!(runs(text), name, "{text}");
        }
    }

    #[test]
    fn every_comparison_is_read() {
        let tag = |comparison| one(Field::Tag("t".to_owned()), comparison);
        let like = |pattern: &str, ignores_case| Comparison::Like {
            pattern: pattern.to_owned(),
            ignores_case,
        };
        assert_eq!(runs("tags.t like 'a%'"), tag(like("a%", false)));
        assert_eq!(runs("tags.t ILIKE 'a%'"), tag(like("a%", true)));
        assert_eq!(
            runs("tags.t IS NULL"),
            tag(Comparison::Null { is_negated: false })
        );
        assert_eq!(
            runs("tags.t is not null"),
            tag(Comparison::Null { is_negated: true })
        );
        assert_eq!(runs("tags.t = 'it''s'"), tag(text_is("it's")));
        let list = Comparison::In {
            values: vec!["a".to_owned(), "b".to_owned()],
            is_negated: true,
        };
        assert_eq!(
            runs("run_id NOT IN ('a',\"b\")"),
            one(Field::Attribute("run_id".to_owned()), list)
        );
        let both = runs("metrics.a >= -1 and dataset.name != 'd' AND end_time IS NULL");
        assert_eq!(both.len(), 3);
        assert_eq!(
            both[0].comparison,
            Comparison::Number(Operator::GreaterOrEqual, -1.0)
        );
        assert!(runs(" \n ").is_empty());
    }

    #[test]
    fn messages_say_what_where_and_what_to_write() {
        let cases = [
            (
                "metrics.a = 'x'",
                "`metrics.a` compares with a number, not `'x'`; write `metrics.a = 0.5` (at character 13",
            ),
            ("metrics.a = '3'", "write `metrics.a = 3`"),
            (
                "params.p = 3",
                "compares with a text in quotes, not `3`; write `'3'` (at character 12",
            ),
            (
                "params.p > '3'",
                "`params.p` cannot be compared by >; write `params.p` and one of =, !=",
            ),
            ("params.p IN ('a')", "cannot be compared by a list"),
            ("metrics.a LIKE 'x'", "cannot be compared by LIKE"),
            ("metric.a = 1 OR metric.b = 2", "there is no OR, only AND"),
            (
                "metrics.a == 1",
                "`==` is not a comparison; write `=` (at character 11",
            ),
            ("statsu = 'FINISHED'", "did you mean `status`?"),
            ("metrcs.a > 1", "did you mean `metrics`?"),
            ("name LIKE 'a%'", "did you mean `run_name`?"),
            ("user = 'ann'", "did you mean `user_id`?"),
            ("loss > 1", "`metrics.loss`"),
            ("dataset.nme = 'x'", "did you mean `dataset.name`?"),
            (
                "params.p = 'x",
                "the quote ' is not closed (at character 12",
            ),
            (
                "params.p =",
                "expected a text in quotes, found the end (at character 11",
            ),
            (
                "params.p",
                "expected a comparison, such as `params.p = 'text'`, found the end",
            ),
            ("metrics. > 1", "a key is missing after `metrics.`"),
            ("metrics.a > 1 metrics.b > 1", "expected AND"),
            ("metrics.a > 1 AND", "expected a condition"),
            ("metrics.a > nan", "compares with a number"),
            ("run_id IN ()", "compares with a text in quotes, not `)`"),
            ("run_id IN 'a'", "expected a list, found `'a'`"),
            ("(metrics.a > 1)", "expected a field"),
            ("metrics.a > 1; DROP TABLE run", "`;` has no meaning here"),
        ];
        for (text, expected) in cases {
            let message = message(text);
            assert!(message.contains(expected), "{text}: {message}");
        }
    }

    #[test]
    fn each_kind_has_its_own_fields() {
        assert!(parse_filter("name LIKE 'x%'", SearchKind::Experiments).is_ok());
        assert!(parse_filter("metrics.a > 1", SearchKind::Experiments).is_err());
        assert!(parse_filter("metrics.a > 1", SearchKind::Models).is_ok());
        assert!(parse_filter("dataset.name = 'x'", SearchKind::Models).is_err());
        let aliased = parse_filter("creation_time > 5", SearchKind::Models).unwrap();
        assert_eq!(
            aliased[0].field,
            Field::Attribute("creation_timestamp".to_owned())
        );
        assert!(
            parse_filter(
                "name LIKE 'x%' AND tags.t = '1'",
                SearchKind::RegisteredModels
            )
            .is_ok()
        );
        assert!(parse_filter("metrics.a > 1", SearchKind::RegisteredModels).is_err());
        assert!(
            parse_filter(
                "version_number >= 2 AND run_id IN ('a')",
                SearchKind::ModelVersions
            )
            .is_ok()
        );
        assert!(parse_filter("version_number = '2'", SearchKind::ModelVersions).is_err());
        assert!(parse_order_by(&["timestamp DESC"], SearchKind::RegisteredModels).is_ok());
    }

    #[test]
    fn orders_are_read() {
        let order = |clause| parse_order_by(&[clause], SearchKind::Runs);
        let by = |field, is_ascending| {
            Ok(vec![OrderBy {
                field,
                is_ascending,
            }])
        };
        let loss = Field::Metric("loss".to_owned());
        assert_eq!(order("metrics.loss"), by(loss.clone(), true));
        assert_eq!(order("metrics.`loss` desc"), by(loss, false));
        let start = Field::Attribute("start_time".to_owned());
        assert_eq!(order("Created DESC"), by(start, false));
        assert!(order("dataset.name").is_err());
        assert!(order("").is_err());
        let error = order("metrics.loss DOWN").unwrap_err();
        assert_eq!(error.position, 13);
        assert!(error.message.contains("expected ASC or DESC"));
        assert!(order("metrics.loss DESC, metrics.acc").is_err());
    }

    #[test]
    fn no_text_makes_the_parser_panic() {
        let pieces = [
            "metrics", ".", "\"", "'", "`", "a", " ", "=", "IN", "(", ")", ",", "ä", "IS", "NOT",
            "1",
        ];
        let mut number = 1_u64;
        for _ in 0..20_000 {
            let mut text = String::new();
            for _ in 0..8 {
                number = number
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                text += pieces[(number >> 33) as usize % pieces.len()];
            }
            if let Err(error) = parse_filter(&text, SearchKind::Runs) {
                assert!(error.position <= text.chars().count(), "{text}: {error}");
            }
        }
    }
}
