//! Reads the filters of figures over traces: `trace.tag.KEY = 'value'`, one comparison each.

use super::tokens::{Token, TokenFault, TokenKind, cut};
use super::{Comparison, Condition, Field, Operator, SearchParseError};
use crate::{FigureField, FigureView, TRACE_RUN_KEY};

/// What a figure is taken of.
#[derive(Clone, Debug, PartialEq)]
pub enum FigureFilter {
    /// Traces that have this.
    Traces(Condition),
    /// Spans or assessments whose field is this.
    Rows(FigureField, String),
}

impl FigureField {
    /// What has the field.
    pub const fn view(self) -> FigureView {
        match self {
            Self::SpanName | Self::SpanStatus | Self::SpanType => FigureView::Spans,
            Self::AssessmentName | Self::AssessmentType => FigureView::Assessments,
        }
    }
}

/// What can be compared, and whether it is one of several by a key.
const FIELDS: [(&str, &[(&str, bool)]); 3] = [
    (
        "trace",
        &[("status", false), ("tag", true), ("metadata", true)],
    ),
    (
        "span",
        &[("name", false), ("status", false), ("type", false)],
    ),
    ("assessment", &[("name", false), ("type", false)]),
];

/// Reads one.
pub fn parse_figure_filter(text: &str) -> Result<FigureFilter, SearchParseError> {
    let fault = |position: usize, message: String| SearchParseError {
        position,
        message,
        text: text.to_owned(),
    };
    let tokens = cut(text).map_err(|TokenFault { position, message }| fault(position, message))?;
    let end = text.chars().count();
    let mut tokens = tokens.into_iter().peekable();
    let Some(first) = tokens.next() else {
        let said = "Invalid filter: ''. Expected one filter clause";
        return Err(fault(0, said.to_owned()));
    };
    let mut name = first.kind.clone();
    if let (
        TokenKind::Word(word),
        Some(Token {
            kind: TokenKind::Quoted { text, .. },
            ..
        }),
    ) = (&first.kind, tokens.peek())
        && word.ends_with('.')
    {
        name = TokenKind::Word(format!("{word}{text}"));
        tokens.next();
    }
    let named = read_name(&name).map_err(|said| fault(first.position, said))?;
    let comparator = tokens.next();
    match &comparator {
        Some(Token {
            kind: TokenKind::Operator(Operator::Equal),
            ..
        }) => {}
        found => {
            let (position, shown) = shown(found.as_ref(), end);
            let said = format!("Invalid comparator: '{shown}', only '=' operator is supported");
            return Err(fault(position, said));
        }
    }
    let value = match tokens.next() {
        Some(Token {
            kind:
                TokenKind::Quoted {
                    text,
                    quote: '\'' | '"',
                },
            ..
        }) => text,
        found => {
            let (position, shown) = shown(found.as_ref(), end);
            let said = format!(
                "Expected a quoted string value for {} value (e.g. 'my-value'). Got value {shown}",
                named.1
            );
            return Err(fault(position, said));
        }
    };
    if let Some(more) = tokens.next() {
        let said = format!(
            "a filter is one comparison, found `{}` after it; give each as a filter of its own",
            more.kind.show()
        );
        return Err(fault(more.position, said));
    }
    Ok(filter_of(named, value))
}

fn shown(token: Option<&Token>, end: usize) -> (usize, String) {
    token.map_or((end, String::new()), |token| {
        (token.position, token.kind.show())
    })
}

/// View, entity and key.
type Named = (&'static str, &'static str, String);

fn read_name(token: &TokenKind) -> Result<Named, String> {
    let written = match token {
        TokenKind::Word(word) => word.clone(),
        TokenKind::Dotted { entity, key } => format!("{entity}.{key}"),
        other => other.show(),
    };
    let mut parts = written.splitn(3, '.');
    let (Some(view), Some(entity)) = (parts.next(), parts.next()) else {
        return Err(format!(
            "Invalid identifier '{written}'. Columns should be specified as 'trace.<key>', 'span.<key>', 'assessment.<key>'"
        ));
    };
    let key = parts.next();
    let Some((view, entities)) = FIELDS.iter().find(|(known, _)| *known == view) else {
        return Err(format!(
            "Invalid view type '{view}'. Valid values are trace, span and assessment"
        ));
    };
    let Some((entity, has_key)) = entities.iter().find(|(known, _)| *known == entity) else {
        let known: Vec<_> = entities
            .iter()
            .map(|(known, _)| (*known).to_owned())
            .collect();
        return Err(format!(
            "Invalid entity '{entity}' specified for view type '{view}'. Valid entities are {}",
            crate::python::list(&known)
        ));
    };
    match (has_key, key) {
        (true, None) => Err(format!(
            "Filtering by {entity} requires a key, e.g. '{view}.{entity}.<key> = <value>'"
        )),
        (false, Some(_)) => Err(format!(
            "Filtering by {entity} does not require a key, use '{view}.{entity}' instead"
        )),
        (_, key) => Ok((view, entity, key.unwrap_or_default().to_owned())),
    }
}

fn filter_of((view, entity, key): Named, value: String) -> FigureFilter {
    let row = match (view, entity) {
        ("span", "name") => Some(FigureField::SpanName),
        ("span", "status") => Some(FigureField::SpanStatus),
        ("span", _) => Some(FigureField::SpanType),
        ("assessment", "name") => Some(FigureField::AssessmentName),
        ("assessment", _) => Some(FigureField::AssessmentType),
        _ => None,
    };
    if let Some(field) = row {
        return FigureFilter::Rows(field, value);
    }
    let field = match (entity, key.as_str()) {
        ("tag", _) => Field::Tag(key),
        // Traces that were linked to the run later are of it too.
        ("metadata", TRACE_RUN_KEY) => Field::Attribute("run_id".to_owned()),
        ("metadata", _) => Field::Metadata(key),
        _ => Field::Attribute("status".to_owned()),
    };
    FigureFilter::Traces(Condition {
        field,
        comparison: Comparison::Text(Operator::Equal, value),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tagged(key: &str, value: &str) -> FigureFilter {
        FigureFilter::Traces(Condition {
            field: Field::Tag(key.to_owned()),
            comparison: Comparison::Text(Operator::Equal, value.to_owned()),
        })
    }

    #[test]
    fn one_comparison_is_read_however_its_key_is_written() {
        for text in [
            "trace.tag.team.x = 'blue'",
            "trace.tag.`team.x`='blue'",
            "trace.tag.'team.x' = \"blue\"",
            "  trace.tag.\"team.x\"  =  'blue'  ",
        ] {
            assert_eq!(
                parse_figure_filter(text).unwrap(),
                tagged("team.x", "blue"),
                "{text}"
            );
        }
        assert_eq!(
            parse_figure_filter("span.type = 'it''s'").unwrap(),
            FigureFilter::Rows(FigureField::SpanType, "it's".to_owned())
        );
        assert_eq!(
            parse_figure_filter("trace.tag.team = 'x''; DROP TABLE span; --'").unwrap(),
            tagged("team", "x'; DROP TABLE span; --")
        );
    }

    #[test]
    fn what_is_no_comparison_is_refused_where_it_goes_wrong() {
        for (text, position, part) in [
            ("", 0, "Expected one filter clause"),
            ("status = 'x'", 0, "Invalid identifier 'status'"),
            ("run.status = 'x'", 0, "Invalid view type 'run'"),
            ("trace.colour = 'x'", 0, "['status', 'tag', 'metadata']"),
            ("trace.tag = 'x'", 0, "requires a key"),
            ("trace.status.x = 'x'", 0, "does not require a key"),
            ("trace.status != 'x'", 13, "only '='"),
            ("trace.status LIKE 'x'", 13, "'LIKE'"),
            ("trace.status", 12, "only '='"),
            ("trace.status =", 14, "Expected a quoted string"),
            ("trace.status = 1", 15, "Got value 1"),
            ("trace.status = `x`", 15, "Got value `x`"),
            ("trace.status = 'x", 15, "not closed"),
            ("trace.status = 'x' AND span.name = 'y'", 19, "of its own"),
            ("'trace.status' = 'x'", 0, "Invalid view type ''trace'"),
            ("= 'x'", 0, "Invalid identifier '='"),
        ] {
            let fault = parse_figure_filter(text).unwrap_err();
            assert!(fault.message.contains(part), "{text}: {fault}");
            assert_eq!(fault.position, position, "{text}: {fault}");
        }
    }
}
