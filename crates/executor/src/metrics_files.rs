//! Metrics from the files that a run writes.

use std::path::Path;

use entities::Metric;

/// Tells whether a written file is one of the metrics files.
pub(crate) fn is_metrics_file(path: &Path, patterns: &[String]) -> bool {
    let path = path.to_string_lossy();
    patterns
        .iter()
        .any(|pattern| provenance::matches_path(pattern, &path))
}

/// Reads the points of a file; says what is wrong with one that cannot be read.
pub(crate) fn metrics_of_file(text: &str, timestamp_ms: i64) -> Result<Vec<Metric>, String> {
    let points = provenance::read_metrics_file(text).map_err(|error| error.to_string())?;
    let points = points.into_iter();
    Ok(points
        .map(|point| Metric::new(point.key, point.value, timestamp_ms, point.step))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_speaks_of_names_or_of_paths() {
        let patterns = ["metrics*.json".to_owned(), "./reports/?.json".to_owned()];
        for path in ["metrics.json", "deep/metrics_eval.json", "reports/a.json"] {
            assert!(is_metrics_file(Path::new(path), &patterns), "{path}");
        }
        for path in [
            "metric.json",
            "metrics.json/x",
            "other/a.json",
            "reports/ab.json",
        ] {
            assert!(!is_metrics_file(Path::new(path), &patterns), "{path}");
        }
    }
}
