//! Conditions that only traces have: on their runs, spans, assessments and prompts.

use entities::{Comparison, Condition, Field, Operator, TRACE_RUN_KEY, TRACE_SESSION_KEY};
use store::StoreError;

use super::conditions::operator_sql;
use super::{Compiler, Subject, refuse};

impl Compiler {
    /// A trace is of the run that its metadata names, and of those that it was linked to.
    pub(super) fn trace_run_condition(
        &mut self,
        comparison: &Comparison,
    ) -> Result<String, StoreError> {
        let (is, linked, told) = match comparison {
            Comparison::Null { is_negated } => {
                let is = if *is_negated { "IN" } else { "NOT IN" };
                (is, "1 = 1".to_owned(), "1 = 1".to_owned())
            }
            _ => (
                "IN",
                self.text_condition("run", comparison)?,
                self.text_condition("value", comparison)?,
            ),
        };
        let key = self.bind_text(TRACE_RUN_KEY);
        Ok(format!(
            "trace.number {is} (SELECT trace FROM trace_run WHERE {linked} \
             UNION SELECT trace FROM trace_metadata WHERE key = {key} AND {told})"
        ))
    }

    /// Conditions that must hold of one and the same span.
    pub(super) fn span_conditions(
        &mut self,
        conditions: &[&Condition],
    ) -> Result<String, StoreError> {
        if self.subject != Subject::Traces {
            return refuse("only traces have spans to search by");
        }
        let mut needs_content = false;
        let mut compiled = Vec::with_capacity(conditions.len());
        for Condition { field, comparison } in conditions {
            let column = match field {
                Field::Span(name) => match name.as_str() {
                    "name" => "span.name".to_owned(),
                    "type" => "span.type".to_owned(),
                    "status" => "span.status".to_owned(),
                    "content" => "span_content(trace_record.encoded)".to_owned(),
                    _ => return refuse(format!("`{name}` is not a field of a span")),
                },
                Field::SpanAttribute(key) => {
                    let key = self.bind_text(key);
                    format!("span_attribute(trace_record.encoded, {key})")
                }
                _ => return refuse("this is not about spans"),
            };
            needs_content |= column.starts_with("span_");
            compiled.push(self.text_condition(&column, comparison)?);
        }
        let join = if needs_content {
            " JOIN trace_record ON trace_record.number = span.record"
        } else {
            ""
        };
        Ok(format!(
            "trace.number IN (SELECT span.trace FROM span{join} WHERE {})",
            compiled.join(" AND ")
        ))
    }

    /// A valid assessment of the trace, or one that covers the session that the trace is part of.
    pub(super) fn assessment_condition(
        &mut self,
        kind: &'static str,
        name: &str,
        comparison: &Comparison,
    ) -> Result<String, StoreError> {
        if self.subject != Subject::Traces {
            return refuse("only traces have assessments to search by");
        }
        let (is, says) = match comparison {
            Comparison::Null { is_negated } => {
                let is = if *is_negated { "IN" } else { "NOT IN" };
                (is, "1 = 1".to_owned())
            }
            Comparison::Number(operator, number) => {
                let number = self.bind_number(*number);
                let operator = operator_sql(*operator);
                (
                    "IN",
                    format!(
                        "assessment.number IS NOT NULL AND assessment.number {operator} {number}"
                    ),
                )
            }
            _ => ("IN", self.text_condition("assessment.text", comparison)?),
        };
        let name = self.bind_text(name);
        let session = self.bind_text(TRACE_SESSION_KEY);
        let fits = format!(
            "assessment.kind = '{kind}' AND assessment.name = {name} AND assessment.is_valid = 1 AND {says}"
        );
        Ok(format!(
            "trace.number {is} (SELECT assessment.trace FROM assessment WHERE {fits} \
             UNION SELECT other.number FROM assessment \
             JOIN trace AS own ON own.number = assessment.trace \
             JOIN trace_metadata AS own_session ON own_session.trace = own.number AND own_session.key = {session} \
             JOIN trace_metadata AS other_session ON other_session.key = {session} \
             AND other_session.value = own_session.value \
             JOIN trace AS other ON other.number = other_session.trace AND other.experiment = own.experiment \
             WHERE assessment.covers_session = 1 AND {fits})"
        ))
    }

    pub(super) fn issue_condition(
        &mut self,
        comparison: &Comparison,
    ) -> Result<String, StoreError> {
        let fits = self.text_condition("name", comparison)?;
        Ok(format!(
            "trace.number IN (SELECT trace FROM assessment WHERE kind = 'issue' AND {fits})"
        ))
    }

    pub(super) fn prompt_condition(
        &mut self,
        comparison: &Comparison,
    ) -> Result<String, StoreError> {
        let Comparison::Text(Operator::Equal, prompt) = comparison else {
            return refuse("a prompt is named as a whole: `prompt = 'name/version'`");
        };
        if prompt.matches('/').count() != 1 {
            return refuse(format!(
                "`{prompt}` is not a version of a prompt; write `prompt = 'name/version'`"
            ));
        }
        let prompt = self.bind_text(prompt);
        Ok(format!(
            "trace.number IN (SELECT trace FROM trace_prompt WHERE prompt = {prompt})"
        ))
    }
}
