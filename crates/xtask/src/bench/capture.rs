//! What `reproof run` adds to a command.

use std::fs;

use super::measure::{alternate, median, ratio, time_s};
use super::{Bench, Project, Section};
use crate::error::TaskError;

/// Trees that make the training take more than five seconds.
const TREES: &str = "160";

/// More pairs where one takes a fraction of a second.
const SHORT_PAIRS: usize = 4;

pub(super) fn measure(bench: &Bench<'_>) -> Result<Section, TaskError> {
    let project = bench.make_project()?;
    let captured = Captured {
        bench,
        project: &project,
    };
    let mut rows = Vec::new();
    rows.push(captured.row("training", &["training.py", TREES], bench.pairs, false)?);
    let short_pairs = bench.pairs * SHORT_PAIRS;
    rows.push(captured.row(
        "`python -c pass`, warm",
        &["-c", "pass"],
        short_pairs,
        false,
    )?);
    rows.push(captured.row("`python -c pass`, cold", &["-c", "pass"], bench.pairs, true)?);
    // The files are made by whoever runs first, which is not measured.
    time_s(project.command(&bench.python).arg("many_files.py"))?;
    let first = captured.once_each(&["many_files.py"])?;
    rows.push(line(
        "20,000 files, seen for the first time",
        &first.0,
        &first.1,
    ));
    rows.push(captured.row(
        "20,000 files, seen before",
        &["many_files.py"],
        bench.pairs,
        false,
    )?);
    Ok(Section {
        title: "Capture",
        command: "cargo xtask bench capture",
        head: vec![
            "command",
            "alone, s",
            "captured, s",
            "ratio",
            "added, ms",
            "pairs",
        ],
        rows,
        notes: vec![
            "Medians of pairs in alternation; the ratio is the median of the pairs' ratios."
                .to_owned(),
            "Cold: the cache of digests, of what is installed, is removed before each.".to_owned(),
        ],
        faults: Vec::new(),
    })
}

struct Captured<'a> {
    bench: &'a Bench<'a>,
    project: &'a Project,
}

impl Captured<'_> {
    fn alone(&self, arguments: &[&str]) -> Result<f64, TaskError> {
        time_s(self.project.command(&self.bench.python).args(arguments))
    }

    fn captured(&self, arguments: &[&str]) -> Result<f64, TaskError> {
        time_s(
            self.project
                .command(&self.bench.reproof)
                .args(["-q", "run", "--"])
                .arg(&self.bench.python)
                .args(arguments),
        )
    }

    fn forget(&self) -> Result<(), TaskError> {
        let cache = self.project.root.join(".reproof/cache");
        match fs::remove_dir_all(&cache) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(TaskError::file(&cache)(error))
            }
            _ => Ok(()),
        }
    }

    fn row(
        &self,
        what: &str,
        arguments: &[&str],
        pairs: usize,
        is_cold: bool,
    ) -> Result<Vec<String>, TaskError> {
        println!("measuring {what}");
        // Neither the disk's cache nor ours is to be filled by the first pair.
        self.alone(arguments)?;
        self.captured(arguments)?;
        let (alone, captured) = alternate(
            pairs,
            || self.alone(arguments),
            || {
                if is_cold {
                    self.forget()?;
                }
                self.captured(arguments)
            },
        )?;
        Ok(line(what, &alone, &captured))
    }

    fn once_each(&self, arguments: &[&str]) -> Result<(Vec<f64>, Vec<f64>), TaskError> {
        Ok((
            vec![self.alone(arguments)?],
            vec![self.captured(arguments)?],
        ))
    }
}

fn line(what: &str, alone: &[f64], captured: &[f64]) -> Vec<String> {
    let added_ms = (median(captured) - median(alone)) * 1000.0;
    vec![
        what.to_owned(),
        format!("{:.3}", median(alone)),
        format!("{:.3}", median(captured)),
        format!("{:.3}", ratio(captured, alone)),
        format!("{added_ms:.0}"),
        alone.len().to_string(),
    ]
}
