//! Lines of MLflow's files of metrics.

use entities::{Metric, ModelId, RunId};

/// Reads `TIME VALUE [STEP [DATASET DIGEST]]`, a line of a run's file.
///
/// MLflow itself reads 0 as the step of a line that names a dataset; here it is the one that was written.
pub(super) fn run_point(key: &str, line: &str) -> Option<Metric> {
    let (timestamp_ms, value, rest) = time_and_value(line)?;
    let (step, rest) = match rest {
        "" => (0, ""),
        rest => split(rest)?,
    };
    let point = Metric::new(key, value, timestamp_ms, step);
    let dataset = if rest.is_empty() {
        None
    } else {
        Some(dataset_of(rest)?)
    };
    Some(Metric { dataset, ..point })
}

/// Reads `TIME VALUE STEP RUN [DATASET DIGEST]`, a line of a logged model's file.
pub(super) fn model_point(key: &str, line: &str, model: &ModelId) -> Option<(RunId, Metric)> {
    let (timestamp_ms, value, rest) = time_and_value(line)?;
    let (step, rest) = split::<i64>(rest)?;
    let (run, rest) = split(rest)?;
    let point = Metric {
        model: Some(model.clone()),
        dataset: if rest.is_empty() {
            None
        } else {
            Some(dataset_of(rest)?)
        },
        ..Metric::new(key, value, timestamp_ms, step)
    };
    Some((run, point))
}

fn time_and_value(line: &str) -> Option<(i64, f64, &str)> {
    let (time, rest) = split(line.trim())?;
    let (value, rest) = split(rest)?;
    Some((time, value, rest))
}

/// The first word, read, and what comes after the space that ends it.
fn split<T: std::str::FromStr>(text: &str) -> Option<(T, &str)> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    Some((word.parse().ok()?, rest))
}

/// Name and digest; a name may hold spaces.
fn dataset_of(text: &str) -> Option<(String, String)> {
    let (name, digest) = text.rsplit_once(' ')?;
    Some((name.to_owned(), digest.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_every_length_are_read() {
        let point = |line: &str| {
            run_point("m", line)
                .map(|point| (point.timestamp_ms, point.value, point.step, point.dataset))
        };
        assert_eq!(point("5 0.5"), Some((5, 0.5, 0, None)));
        assert_eq!(point("5 1e-05 7\n"), Some((5, 1e-5, 7, None)));
        assert_eq!(point("5 -inf -7"), Some((5, f64::NEG_INFINITY, -7, None)));
        let dataset = ("my rows".to_owned(), "ab".to_owned());
        assert_eq!(point("5 1 7 my rows ab"), Some((5, 1.0, 7, Some(dataset))));
        assert!(run_point("m", "5 nan 0").is_some_and(|point| point.value.is_nan()));
        for line in ["", "5", "x 1 2", "5 x 2", "5 1 x", "5 1 2 three", "5  1"] {
            assert_eq!(point(line), None, "{line:?}");
        }
    }

    #[test]
    fn points_of_models_name_their_run() {
        let model: ModelId = "m-1".parse().unwrap();
        let (run, point) = model_point("m", &format!("5 1 7 {:032x} rows ab", 3), &model).unwrap();
        assert_eq!(run.as_str(), format!("{:032x}", 3));
        assert_eq!(point.dataset, Some(("rows".to_owned(), "ab".to_owned())));
        assert_eq!(point.model, Some(model.clone()));
        for line in ["5 1 7", "5 1 7 ../x", "5 1"] {
            assert!(model_point("m", line, &model).is_none(), "{line:?}");
        }
    }
}
