//! Figures over traces.

use std::collections::BTreeMap;

use axum::extract::State;
use entities::{FigurePoint, FigureQuery};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use traces::{FigureRequest, Measured};

use super::runs::experiment_ids_of;
use crate::app::App;
use crate::wire::{
    AggregationWord, Answer, Double, FigureViewWord, Int64, Json, json, missing, required,
};

#[derive(Deserialize, JsonSchema)]
pub(super) struct Ask {
    #[serde(alias = "experimentIds")]
    #[schemars(required)]
    experiment_ids: Option<Vec<String>>,
    #[serde(alias = "viewType")]
    #[schemars(required)]
    view_type: Option<FigureViewWord>,
    #[serde(alias = "metricName")]
    #[schemars(required)]
    metric_name: Option<String>,
    #[schemars(required)]
    aggregations: Option<Vec<AggregationBody>>,
    dimensions: Option<Vec<String>>,
    filters: Option<Vec<String>>,
    #[serde(alias = "timeIntervalSeconds")]
    time_interval_seconds: Option<Int64>,
    #[serde(alias = "startTimeMs")]
    start_time_ms: Option<Int64>,
    #[serde(alias = "endTimeMs")]
    end_time_ms: Option<Int64>,
    #[serde(alias = "maxResults")]
    max_results: Option<Int64>,
}

#[derive(Deserialize, JsonSchema)]
struct AggregationBody {
    #[serde(alias = "aggregationType")]
    aggregation_type: Option<AggregationWord>,
    #[serde(alias = "percentileValue")]
    percentile_value: Option<Double>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Measures<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    data_points: Vec<FigurePointView<'a>>,
}

/// Figures of one group.
#[derive(Serialize, JsonSchema)]
struct FigurePointView<'a> {
    metric_name: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    dimensions: BTreeMap<&'a str, String>,
    values: BTreeMap<String, Double>,
}

/// `POST traces/metrics`.
pub(super) async fn measure(
    State(app): State<App>,
    Json(request): Json<Ask>,
) -> Answer<Measures<'static>> {
    let Ask {
        experiment_ids,
        view_type,
        metric_name,
        aggregations,
        dimensions,
        filters,
        time_interval_seconds,
        start_time_ms,
        end_time_ms,
        max_results,
    } = request;
    let experiment_ids = experiment_ids.ok_or_else(|| missing("experiment_ids"))?;
    let FigureViewWord(view) = view_type.ok_or_else(|| missing("view_type"))?;
    let name = required("metric_name", metric_name)?;
    let aggregations = aggregations.filter(|listed| !listed.is_empty());
    let aggregations = aggregations.ok_or_else(|| missing("aggregations"))?;
    let aggregations = aggregations.into_iter().enumerate().map(|(place, body)| {
        let word = body.aggregation_type;
        let word =
            word.ok_or_else(|| missing(format!("aggregations[{place}].aggregation_type")))?;
        Ok((word.0, body.percentile_value.map(|Double(percent)| percent)))
    });
    let filters = filters.unwrap_or_default();
    let filters = filters
        .iter()
        .map(|filter| app.access.real_filter(filter).into_owned());
    let number = |given: Option<Int64>| given.map(|Int64(number)| number);
    let asked = FigureRequest {
        experiments: experiment_ids_of(Some(experiment_ids))?,
        view,
        name,
        aggregations: aggregations.collect::<Result<_, crate::error::RequestError>>()?,
        groupings: dimensions.unwrap_or_default(),
        filters: filters.collect(),
        bucket_seconds: number(time_interval_seconds),
        from_ms: number(start_time_ms),
        until_ms: number(end_time_ms),
        limit: number(max_results),
    };
    let Measured { query, points } = app.traces.measure(asked).await?;
    let data_points = points
        .into_iter()
        .filter_map(|point| view_of(&query, point));
    json(&Measures {
        data_points: data_points.collect(),
    })
}

/// A group with values.
fn view_of(query: &FigureQuery, point: FigurePoint) -> Option<FigurePointView<'_>> {
    let FigurePoint {
        bucket_ms,
        group,
        values,
    } = point;
    let labels = query.aggregations.iter().map(|each| each.label());
    let values: BTreeMap<_, _> = labels
        .zip(values)
        .filter_map(|(label, value)| Some((label, Double(value?))))
        .collect();
    let groupings = query.groupings.iter().map(|grouping| grouping.as_str());
    let bucket = bucket_ms.map(|bucket_ms| ("time_bucket", show_bucket(bucket_ms)));
    (!values.is_empty()).then(|| FigurePointView {
        metric_name: query.figure.name(),
        dimensions: groupings.zip(group).chain(bucket).collect(),
        values,
    })
}

/// As Python's `isoformat` writes it; in milliseconds where it has no date.
fn show_bucket(bucket_ms: i64) -> String {
    match jiff::Timestamp::from_millisecond(bucket_ms) {
        Ok(time) => time.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string(),
        Err(_) => bucket_ms.to_string(),
    }
}
