//! Tokens and costs of a whole trace.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::SpanId;

/// Tokens or costs that one span counts.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanUsage {
    /// The span.
    pub span: SpanId,
    /// The span that it happened in.
    pub parent: Option<SpanId>,
    /// What it counts, by name.
    pub counts: Option<Map<String, Value>>,
}

/// Tokens that are always told; those of caches only where some span counts them.
const TOKENS: [&str; 3] = ["input_tokens", "output_tokens", "total_tokens"];
const CACHED_TOKENS: [&str; 3] = [
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "cache_creation_input_tokens_above_1hr",
];
const COSTS: [&str; 3] = ["input_cost", "output_cost", "total_cost"];

/// Sums the tokens of all spans, in the form of MLflow's metadata; none where no span counts any.
pub fn sum_tokens(usages: &[SpanUsage]) -> Option<String> {
    let sums = sum(usages, &TOKENS, &CACHED_TOKENS)?;
    Some(write_counts(&sums, |count| {
        format!("{}", count.round() as i64)
    }))
}

/// Sums the costs of all spans likewise, in US dollars.
pub fn sum_costs(usages: &[SpanUsage]) -> Option<String> {
    let sums = sum(usages, &COSTS, &[])?;
    Some(write_counts(&sums, crate::python::float))
}

/// A span that counts tells of all inside it, so that nothing inside it is counted again.
///
/// *Cost*: linear; a deep tree needs no deep stack.
fn sum<'k>(
    usages: &[SpanUsage],
    always: &[&'k str],
    at_times: &[&'k str],
) -> Option<Vec<(&'k str, f64)>> {
    let mut children: BTreeMap<&SpanId, Vec<&SpanUsage>> = BTreeMap::new();
    let ids: std::collections::BTreeSet<&SpanId> = usages.iter().map(|usage| &usage.span).collect();
    let mut open: Vec<(&SpanUsage, bool)> = Vec::new();
    for usage in usages {
        match usage.parent.as_ref().filter(|parent| ids.contains(parent)) {
            Some(parent) => children.entry(parent).or_default().push(usage),
            None => open.push((usage, false)),
        }
    }
    let mut sums: Vec<(&str, f64)> = always.iter().map(|key| (*key, 0.0)).collect();
    let mut has_counts = false;
    while let Some((usage, is_inside)) = open.pop() {
        if let Some(counts) = usage.counts.as_ref().filter(|_| !is_inside) {
            has_counts = true;
            let number = |key: &str| counts.get(key).and_then(Value::as_f64);
            for (key, sum) in &mut sums {
                *sum += number(key).unwrap_or(0.0);
            }
            for key in at_times {
                // Those that are in the sums already were added above.
                if let Some(count) = number(key)
                    && !sums.iter().any(|(known, _)| known == key)
                {
                    sums.push((key, count));
                }
            }
        }
        let is_inside = is_inside || usage.counts.is_some();
        let inner = children.remove(&usage.span).unwrap_or_default();
        open.extend(inner.into_iter().map(|usage| (usage, is_inside)));
    }
    sums[always.len()..].sort_by_key(|(key, _)| at_times.iter().position(|known| known == key));
    has_counts.then_some(sums)
}

fn write_counts(counts: &[(&str, f64)], write: impl Fn(f64) -> String) -> String {
    let written: Vec<String> = counts
        .iter()
        .map(|(key, count)| format!("\"{key}\": {}", write(*count)))
        .collect();
    format!("{{{}}}", written.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn usage(id: &str, parent: Option<&str>, counts: &Value) -> SpanUsage {
        SpanUsage {
            span: id.parse().unwrap(),
            parent: parent.map(|parent| parent.parse().unwrap()),
            counts: counts.as_object().cloned(),
        }
    }

    const A: &str = "00000000000000aa";
    const B: &str = "00000000000000bb";
    const C: &str = "00000000000000cc";

    #[test]
    fn tokens_inside_a_span_that_counts_are_not_counted_again() {
        let counts =
            |input| json!({"input_tokens": input, "output_tokens": 1, "total_tokens": input + 1});
        let of_children = [
            usage(A, None, &Value::Null),
            usage(B, Some(A), &counts(3)),
            usage(C, Some(A), &counts(4)),
        ];
        assert_eq!(
            sum_tokens(&of_children).unwrap(),
            r#"{"input_tokens": 7, "output_tokens": 2, "total_tokens": 9}"#
        );
        let of_parent = [
            usage(C, Some(B), &counts(4)),
            usage(B, Some(A), &Value::Null),
            usage(A, None, &counts(100)),
        ];
        assert_eq!(
            sum_tokens(&of_parent).unwrap(),
            r#"{"input_tokens": 100, "output_tokens": 1, "total_tokens": 101}"#
        );
        assert_eq!(sum_tokens(&[usage(A, None, &Value::Null)]), None);
        assert_eq!(sum_tokens(&[]), None);
    }

    #[test]
    fn tokens_of_caches_are_told_where_some_span_counts_them() {
        let cached = [
            usage(
                A,
                None,
                &json!({"input_tokens": 1, "cache_creation_input_tokens": 2}),
            ),
            usage(
                B,
                None,
                &json!({"input_tokens": 1, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 2}),
            ),
        ];
        assert_eq!(
            sum_tokens(&cached).unwrap(),
            r#"{"input_tokens": 2, "output_tokens": 0, "total_tokens": 0, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 4}"#
        );
        let costs = [usage(A, None, &json!({"input_cost": 0.5, "total_cost": 2}))];
        assert_eq!(
            sum_costs(&costs).unwrap(),
            r#"{"input_cost": 0.5, "output_cost": 0.0, "total_cost": 2.0}"#
        );
    }

    #[test]
    fn spans_that_are_their_own_ancestors_end_the_sum() {
        let circle = [
            usage(A, Some(B), &json!({"input_tokens": 1})),
            usage(B, Some(A), &Value::Null),
        ];
        assert_eq!(sum_tokens(&circle), None);
        let own = [usage(A, Some(A), &json!({"input_tokens": 1}))];
        assert_eq!(sum_tokens(&own), None);
    }
}
