//! Figures over traces, as they are asked for in MLflow's words.

use entities::{
    Aggregation, ExperimentId, Figure, FigureField, FigureFilter, FigurePoint, FigureQuery,
    FigureView, Grouping, SearchParseError, parse_figure_filter, python,
};

use crate::validation::invalid;
use crate::{Traces, TracesError};

/// Groups in an answer where the request does not say.
const DEFAULT_LIMIT: i64 = 1000;

/// Groups in an answer: more than anybody draws.
const LARGEST_LIMIT: i64 = 100_000;

/// Conditions of one request.
const LARGEST_FILTER_COUNT: usize = 100;

/// What is summed up of each group of one request.
const LARGEST_AGGREGATION_COUNT: usize = 100;

/// A figure that a client asks for.
#[derive(Clone, Debug)]
pub struct FigureRequest {
    /// Of which experiments.
    pub experiments: Vec<ExperimentId>,
    /// Over what.
    pub view: FigureView,
    /// MLflow's name of the figure.
    pub name: String,
    /// What is made of the values, in MLflow's words, with the percent of a percentile.
    pub aggregations: Vec<(&'static str, Option<f64>)>,
    /// What it is grouped by, in MLflow's words.
    pub groupings: Vec<String>,
    /// What must hold, one comparison each.
    pub filters: Vec<String>,
    /// In stretches of so many seconds; 0 is none.
    pub bucket_seconds: Option<i64>,
    /// From when on, in milliseconds.
    pub from_ms: Option<i64>,
    /// Until when, in milliseconds.
    pub until_ms: Option<i64>,
    /// So many groups.
    pub limit: Option<i64>,
}

/// A figure that was asked for, and what came out.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// What was asked for.
    pub query: FigureQuery,
    /// The groups, in the order of time and of what they are grouped by.
    pub points: Vec<FigurePoint>,
}

/// What cannot be asked of a figure.
#[derive(Debug, thiserror::Error)]
pub enum FigureFault {
    /// No such figure.
    #[error("metric_name must be one of {known}, got '{name}'")]
    Unknown {
        /// Those that there are, as Python lists them.
        known: String,
        /// What was asked for.
        name: String,
    },
    /// What is not made of its values.
    #[error("Found invalid aggregation_type(s): {given}. Supported aggregation types: {known}")]
    Aggregations {
        /// What was asked for.
        given: String,
        /// What can be.
        known: String,
    },
    /// What it is not grouped by.
    #[error("Found invalid dimension(s): {given}. Supported dimensions: {known}")]
    Groupings {
        /// What was asked for.
        given: String,
        /// What can be.
        known: String,
    },
    /// A percentile without its percent.
    #[error("Percentile value is required for PERCENTILE aggregation")]
    NoPercent,
    /// A percent that is none.
    #[error("Percentile value must be between 0 and 100, got {}", python::float(*.given))]
    Percent {
        /// What was given.
        given: f64,
    },
    /// A percent of something else.
    #[error("Percentile value is only allowed for PERCENTILE aggregation type, got {word}")]
    PercentOf {
        /// Of what.
        word: &'static str,
    },
    /// Stretches of an endless time.
    #[error("start_time_ms and end_time_ms are required if time_interval_seconds is set")]
    EndlessStretches,
    /// A field of something else.
    #[error(
        "Filtering by {} is only supported for {} view type, got {}",
        noun(*.of), .of.as_str(), .view.as_str()
    )]
    FieldOfOther {
        /// What has the field.
        of: FigureView,
        /// What the figure is taken over.
        view: FigureView,
    },
    /// A filter that cannot be read.
    #[error(transparent)]
    Filter(#[from] SearchParseError),
}

const fn noun(view: FigureView) -> &'static str {
    match view {
        FigureView::Traces => "trace",
        FigureView::Spans => "span",
        FigureView::Assessments => "assessment",
    }
}

impl Traces {
    /// Takes a figure over traces.
    pub async fn measure(&self, request: FigureRequest) -> Result<Measured, TracesError> {
        let query = read_request(request)?;
        let points = self.store().measure_traces(&query).await?;
        Ok(Measured { query, points })
    }
}

fn read_request(request: FigureRequest) -> Result<FigureQuery, TracesError> {
    let FigureRequest {
        experiments,
        view,
        name,
        aggregations,
        groupings,
        filters,
        bucket_seconds,
        from_ms,
        until_ms,
        limit,
    } = request;
    let figure = Figure::find(view, &name).ok_or_else(|| FigureFault::Unknown {
        known: python::list(&Figure::names(view)),
        name,
    })?;
    if aggregations.len() > LARGEST_AGGREGATION_COUNT {
        let reason = format!("There can be at most {LARGEST_AGGREGATION_COUNT} aggregations.");
        return Err(invalid(
            "aggregations",
            aggregations.len().to_string(),
            reason,
        ));
    }
    let aggregations = read_aggregations(figure, &aggregations)?;
    let groupings = read_groupings(figure, &groupings)?;
    let bucket_seconds = read_stretch(bucket_seconds, from_ms.zip(until_ms).is_some())?;
    let (traces, rows) = read_filters(view, &filters)?;
    Ok(FigureQuery {
        experiments,
        figure,
        aggregations,
        groupings,
        traces,
        rows,
        from_ms,
        until_ms,
        bucket_seconds,
        limit: read_limit(limit)?,
    })
}

fn read_aggregations(
    figure: Figure,
    given: &[(&'static str, Option<f64>)],
) -> Result<Vec<Aggregation>, FigureFault> {
    let mut read = Vec::with_capacity(given.len());
    for (word, percent) in given {
        let aggregation = read_aggregation(word, *percent)?;
        if !read.contains(&aggregation) {
            read.push(aggregation);
        }
    }
    let known = figure.aggregations();
    let unknown = read.iter().map(|each| each.word());
    let unknown: Vec<_> = unknown.filter(|word| !known.contains(word)).collect();
    if unknown.is_empty() {
        return Ok(read);
    }
    Err(FigureFault::Aggregations {
        given: sorted_list(unknown),
        known: sorted_list(known.to_vec()),
    })
}

fn read_aggregation(word: &'static str, percent: Option<f64>) -> Result<Aggregation, FigureFault> {
    let simple = match word {
        "COUNT" => Aggregation::Count,
        "SUM" => Aggregation::Sum,
        "AVG" => Aggregation::Mean,
        "MIN" => Aggregation::Least,
        "MAX" => Aggregation::Largest,
        _ => {
            let percent = percent.ok_or(FigureFault::NoPercent)?;
            return if (0.0..=100.0).contains(&percent) {
                Ok(Aggregation::Percentile(percent))
            } else {
                Err(FigureFault::Percent { given: percent })
            };
        }
    };
    match percent {
        None => Ok(simple),
        Some(_) => Err(FigureFault::PercentOf { word }),
    }
}

fn read_groupings(figure: Figure, given: &[String]) -> Result<Vec<Grouping>, FigureFault> {
    let known = figure.groupings();
    let (mut read, mut unknown) = (Vec::with_capacity(given.len()), Vec::new());
    for word in given {
        match known.iter().find(|known| known.as_str() == word) {
            Some(grouping) if read.contains(grouping) => {}
            Some(grouping) => read.push(*grouping),
            None => unknown.push(word.as_str()),
        }
    }
    if unknown.is_empty() {
        return Ok(read);
    }
    Err(FigureFault::Groupings {
        given: sorted_list(unknown),
        known: sorted_list(known.iter().map(|known| known.as_str()).collect()),
    })
}

fn sorted_list(mut words: Vec<&str>) -> String {
    words.sort_unstable();
    words.dedup();
    let words: Vec<_> = words.into_iter().map(str::to_owned).collect();
    python::list(&words)
}

fn read_stretch(seconds: Option<i64>, is_bounded: bool) -> Result<Option<i64>, TracesError> {
    match seconds {
        None | Some(0) => Ok(None),
        Some(seconds) if seconds < 0 => {
            let reason = "It must not be negative.";
            Err(invalid(
                "time_interval_seconds",
                seconds.to_string(),
                reason,
            ))
        }
        Some(_) if !is_bounded => Err(FigureFault::EndlessStretches.into()),
        Some(seconds) => Ok(Some(seconds)),
    }
}

fn read_limit(limit: Option<i64>) -> Result<usize, TracesError> {
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    if (0..=LARGEST_LIMIT).contains(&limit) {
        return Ok(usize::try_from(limit).unwrap_or_default());
    }
    let reason = format!("It must be at least 0 and at most {LARGEST_LIMIT}.");
    Err(invalid("max_results", limit.to_string(), reason))
}

type Filters = (Vec<entities::Condition>, Vec<(FigureField, String)>);

fn read_filters(view: FigureView, filters: &[String]) -> Result<Filters, TracesError> {
    if filters.len() > LARGEST_FILTER_COUNT {
        let reason = format!("There can be at most {LARGEST_FILTER_COUNT} filters.");
        return Err(invalid("filters", filters.len().to_string(), reason));
    }
    let (mut traces, mut rows) = (Vec::new(), Vec::new());
    for filter in filters {
        match parse_figure_filter(filter).map_err(FigureFault::from)? {
            FigureFilter::Traces(condition) => traces.push(condition),
            FigureFilter::Rows(field, _) if field.view() != view => {
                let of = field.view();
                return Err(FigureFault::FieldOfOther { of, view }.into());
            }
            FigureFilter::Rows(field, value) => rows.push((field, value)),
        }
    }
    Ok((traces, rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_not_summed_up_than_anybody_reads() {
        let request = |count| FigureRequest {
            experiments: vec!["0".parse().unwrap()],
            view: FigureView::Traces,
            name: "latency".to_owned(),
            aggregations: vec![("PERCENTILE", Some(50.0)); count],
            groupings: Vec::new(),
            filters: Vec::new(),
            bucket_seconds: None,
            from_ms: None,
            until_ms: None,
            limit: None,
        };
        assert!(read_request(request(LARGEST_AGGREGATION_COUNT)).is_ok());
        let refused = read_request(request(LARGEST_AGGREGATION_COUNT + 1));
        let message = refused.unwrap_err().to_string();
        assert!(message.contains("at most 100 aggregations"), "{message}");
    }
}
