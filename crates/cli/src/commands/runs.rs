//! `reproof runs`

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use entities::{
    Comparison, Condition, ExperimentId, Field, Lifecycle, OrderBy, Run, RunDetail, RunStatus,
    SearchKind, SearchQuery,
};
use serde_json::{Value, json};
use store::{PageRequest, View};

use crate::arguments::RunsArguments;
use crate::commands::outcome::{is_interruption, number_json};
use crate::context::Context;
use crate::error::CommandError;
use crate::faults::{order_fault, search_fault, store_fault};
use crate::output::{
    Output, local_time, metric_value, safe, shortened, table, table_text, terminal_width,
};

/// Longer texts are cut in the table.
const LARGEST_CELL_LENGTH: usize = 28;

/// Params and metrics beyond these are not columns of the table; `show` and `--json` have them all.
const LARGEST_COLUMN_COUNT: usize = 6;

pub(crate) async fn run(
    arguments: &RunsArguments,
    output: &Output,
) -> Result<ExitCode, CommandError> {
    let context = Context::open(output).await?;
    let orders: Vec<_> = arguments.order_by.iter().map(String::as_str).collect();
    let query = SearchQuery {
        conditions: conditions(arguments.filter.as_deref().unwrap_or_default())?,
        order_by: entities::parse_order_by(&orders, SearchKind::Runs)
            .map_err(|error| order_fault(&error))?,
    };
    let experiments = match &arguments.experiment {
        Some(name) => vec![context.experiment(name).await?.id],
        None => Vec::new(),
    };
    let view = if arguments.all {
        View::All
    } else {
        View::Active
    };
    let page = PageRequest::first(arguments.limit);
    let page = context
        .store
        .search_runs(&experiments, &query, view, &page)
        .await
        .map_err(store_fault)?;
    if output.is_json {
        let runs: Vec<_> = page.items.iter().map(run_json).collect();
        output.json(&json!({ "runs": runs, "is_complete": page.next.is_none() }));
        return Ok(ExitCode::SUCCESS);
    }
    if page.items.is_empty() {
        output.say(&nothing_found(arguments, &context).await?);
        return Ok(ExitCode::SUCCESS);
    }
    let width = terminal_width().unwrap_or(usize::MAX);
    let mut rows = Vec::with_capacity(page.items.len());
    let names = experiment_names(&context, &page.items).await?;
    for detail in &page.items {
        rows.push(Row {
            detail,
            status: status_in_a_word(&context, &detail.run),
            experiment: names.get(&detail.run.experiment).map(String::as_str),
        });
    }
    output.line(&runs_table(&rows, shortest_unique(&page.items), width));
    let (params, metrics) = (
        count_keys(page.items.iter().flat_map(|detail| detail.params.keys())),
        count_keys(page.items.iter().flat_map(|detail| {
            let keys = detail.metrics.iter().map(|metric| &metric.key);
            keys.filter(|key| !key.starts_with("system/"))
        })),
    );
    if params > LARGEST_COLUMN_COUNT || metrics > LARGEST_COLUMN_COUNT {
        output.say(&format!(
            "of {params} params and {metrics} metrics at most {LARGEST_COLUMN_COUNT} each are columns; `--json` and `reproof show RUN` have all"
        ));
    }
    if let Some(key) = find_missing_order(&query.order_by, &page.items) {
        output.say(&format!(
            "no run has `{}`: nothing is in order by it",
            safe(&key)
        ));
    }
    if page.next.is_some() {
        output.say(&format!(
            "only the first {} are shown; `--limit N` shows more",
            page.items.len()
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads a filter. Statuses may be written in any case, and must be ones that there are.
///
/// MLflow compares them byte by byte, so the server does too; from a person, a status in another case is no question
/// for a run that cannot be.
fn conditions(filter: &str) -> Result<Vec<Condition>, CommandError> {
    let mut conditions =
        entities::parse_filter(filter, SearchKind::Runs).map_err(|error| search_fault(&error))?;
    let status = Field::Attribute("status".to_owned());
    for condition in conditions
        .iter_mut()
        .filter(|condition| condition.field == status)
    {
        match &mut condition.comparison {
            Comparison::Text(_, text) => *text = known_status(text)?,
            Comparison::In { values, .. } => {
                for value in values {
                    *value = known_status(value)?;
                }
            }
            Comparison::Like { pattern, .. } => *pattern = pattern.to_uppercase(),
            Comparison::Number(..) | Comparison::Null { .. } | Comparison::Matches { .. } => {}
        }
    }
    Ok(conditions)
}

fn known_status(text: &str) -> Result<String, CommandError> {
    let word = text.to_uppercase();
    if STATUSES.iter().any(|status| status.as_str() == word) {
        return Ok(word);
    }
    let known: Vec<_> = STATUSES
        .iter()
        .map(|status| status.as_str().to_lowercase())
        .collect();
    let error = CommandError::usage(
        "E0014",
        format!(
            "no status is named `{text}`; there are {}",
            known.join(", ")
        ),
    );
    Err(if word == "INTERRUPTED" {
        error.hint("status = 'killed': a run that was interrupted has this status")
    } else {
        error.hint("such as: status = 'finished'")
    })
}

const STATUSES: [RunStatus; 5] = [
    RunStatus::Running,
    RunStatus::Scheduled,
    RunStatus::Finished,
    RunStatus::Failed,
    RunStatus::Killed,
];

/// Says why the list is empty.
async fn nothing_found(
    arguments: &RunsArguments,
    context: &Context,
) -> Result<String, CommandError> {
    let place = arguments
        .experiment
        .as_ref()
        .map_or_else(String::new, |name| {
            format!(" of experiment `{}`", safe(name))
        });
    let (everything, first) = (SearchQuery::default(), PageRequest::first(1));
    let found = context
        .store
        .search_runs(&[], &everything, View::All, &first)
        .await
        .map_err(store_fault)?;
    Ok(match (found.items.is_empty(), &arguments.filter) {
        (true, _) => {
            "no runs in the store yet; `reproof run python train.py` records one".to_owned()
        }
        (false, Some(filter)) => format!("no run{place} matches `{}`", safe(filter)),
        (false, None) if arguments.all => format!("there is no run{place}"),
        (false, None) => {
            format!("there is no run{place} that is not deleted; `--all` lists deleted ones too")
        }
    })
}

/// A run as JSON, the same in every command.
pub(crate) fn run_json(detail: &RunDetail) -> Value {
    let RunDetail {
        run,
        params,
        tags,
        metrics,
        ..
    } = detail;
    let metrics: BTreeMap<_, _> = metrics
        .iter()
        .map(|metric| (metric.key.as_str(), number_json(metric.value)))
        .collect();
    json!({
        "run_id": run.id,
        "name": run.name,
        "experiment_id": run.experiment,
        "status": run.status.as_str(),
        "is_interrupted": run.is_interrupted,
        "user": run.user,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "lifecycle": run.lifecycle.as_str(),
        "artifact_uri": run.artifact_uri,
        "parent": run.parent,
        "replay_of": run.replay_of,
        "fingerprint": run.recipe,
        "params": params,
        "metrics": metrics,
        "tags": tags,
    })
}

/// A run as the table lists it.
struct Row<'r> {
    detail: &'r RunDetail,
    status: String,
    /// Its experiment, where runs of several are listed.
    experiment: Option<&'r str>,
}

/// The names of the experiments of these runs; none where it is one and the same.
async fn experiment_names(
    context: &Context,
    runs: &[RunDetail],
) -> Result<BTreeMap<ExperimentId, String>, CommandError> {
    let ids: BTreeSet<_> = runs.iter().map(|detail| &detail.run.experiment).collect();
    let mut names = BTreeMap::new();
    if ids.len() < 2 {
        return Ok(names);
    }
    for id in ids {
        let found = context.store.find_experiment(id).await;
        let name = found.map_err(store_fault)?.map(|found| found.name);
        names.insert(id.clone(), name.unwrap_or_else(|| id.to_string()));
    }
    Ok(names)
}

/// The first key to order by that no run has: one that has it would come first.
fn find_missing_order(order_by: &[OrderBy], runs: &[RunDetail]) -> Option<String> {
    let first = runs.first()?;
    order_by
        .iter()
        .take(1)
        .find_map(|order| match &order.field {
            Field::Metric(key) if first.metrics.iter().all(|metric| metric.key != *key) => {
                Some(format!("metrics.{key}"))
            }
            Field::Param(key) if !first.params.contains_key(key) => Some(format!("params.{key}")),
            Field::Tag(key) if !first.tags.contains_key(key) => Some(format!("tags.{key}")),
            _ => None,
        })
}

/// The table with as many params and metrics as fit.
fn runs_table(runs: &[Row<'_>], id_length: usize, width: usize) -> String {
    let mut params = common_keys(runs.iter().map(|row| {
        let params = row.detail.params.iter();
        params
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect()
    }));
    let mut metrics = common_keys(runs.iter().map(|row| {
        let metrics = row.detail.metrics.iter();
        let metrics = metrics.map(|metric| (metric.key.as_str(), metric.value.to_bits()));
        metrics
            .filter(|(key, _)| !key.starts_with("system/"))
            .collect()
    }));
    loop {
        let text = table_of(runs, id_length, &params, &metrics);
        let is_too_wide = text.lines().any(|line| line.chars().count() > width);
        let longer = if params.len() > metrics.len() {
            &mut params
        } else {
            &mut metrics
        };
        if !is_too_wide || longer.pop().is_none() {
            return text;
        }
    }
}

fn table_of(runs: &[Row<'_>], id_length: usize, params: &[&str], metrics: &[&str]) -> String {
    // Keys keep their case and say their kind, as a filter has them: `lr` and `Lr`, or a param and a metric, are two.
    let keys = params
        .iter()
        .map(|key| format!("params.{key}"))
        .chain(metrics.iter().map(|key| format!("metrics.{key}")))
        .map(|key| shortened(&safe(&key), LARGEST_CELL_LENGTH + "metrics.".len()));
    let has_experiments = runs.iter().any(|row| row.experiment.is_some());
    let mut names = vec!["RUN", "NAME", "STATUS", "STARTED"];
    if has_experiments {
        names.insert(2, "EXPERIMENT");
    }
    let mut table = table(&[]);
    table.set_header(names.into_iter().map(ToOwned::to_owned).chain(keys));
    let cell = |value: &str| shortened(&safe(value), LARGEST_CELL_LENGTH);
    for Row {
        detail,
        status,
        experiment,
    } in runs
    {
        let RunDetail {
            run,
            params: run_params,
            metrics: run_metrics,
            ..
        } = detail;
        let mut row = vec![
            run.id.as_str().chars().take(id_length).collect(),
            cell(&run.name),
        ];
        row.extend(experiment.map(cell));
        row.extend([status.clone(), local_time(run.started_at)]);
        row.extend(params.iter().map(|key| {
            run_params
                .get(*key)
                .map_or_else(String::new, |value| cell(value))
        }));
        row.extend(metrics.iter().map(|key| {
            run_metrics
                .iter()
                .find(|metric| metric.key == *key)
                .map_or_else(String::new, |metric| metric_value(metric.value))
        }));
        table.add_row(row);
    }
    table_text(&table)
}

/// The status as the summary of the run has it: one that was killed may have been interrupted, which its record tells.
fn status_in_a_word(context: &Context, run: &Run) -> String {
    let is_ended_so = || {
        context
            .manifest(run)
            .is_ok_and(|manifest| is_interruption(run.status, manifest.record.exit))
    };
    let status = if run.is_interrupted || (run.status == RunStatus::Killed && is_ended_so()) {
        "interrupted".to_owned()
    } else {
        run.status.as_str().to_lowercase()
    };
    match run.lifecycle {
        Lifecycle::Active => status,
        Lifecycle::Deleted => format!("{status}, deleted"),
    }
}

fn count_keys<'a>(keys: impl Iterator<Item = &'a String>) -> usize {
    keys.collect::<BTreeSet<_>>().len()
}

/// The keys that tell runs apart first, then those that most runs have; at most a screen's worth, in the order of their
/// names.
fn common_keys<'a, V: Ord>(runs: impl Iterator<Item = Vec<(&'a str, V)>>) -> Vec<&'a str> {
    let mut seen: BTreeMap<&str, (usize, BTreeSet<V>)> = BTreeMap::new();
    for (key, value) in runs.flatten() {
        let (count, values) = seen.entry(key).or_default();
        *count += 1;
        values.insert(value);
    }
    let mut ranked: Vec<_> = seen
        .into_iter()
        .map(|(key, (count, values))| (values.len() < 2, std::cmp::Reverse(count), key))
        .collect();
    ranked.sort();
    let chosen: BTreeSet<_> = ranked
        .into_iter()
        .take(LARGEST_COLUMN_COUNT)
        .map(|(_, _, key)| key)
        .collect();
    chosen.into_iter().collect()
}

/// How many digits tell these runs apart; at least 8.
fn shortest_unique(runs: &[RunDetail]) -> usize {
    let mut ids: Vec<_> = runs.iter().map(|detail| detail.run.id.as_str()).collect();
    ids.sort_unstable();
    let shared = ids.windows(2).map(|pair| {
        pair[0]
            .bytes()
            .zip(pair[1].bytes())
            .take_while(|(one, other)| one == other)
            .count()
    });
    shared.max().map_or(8, |shared| (shared + 1).max(8))
}

#[cfg(test)]
mod tests {
    use entities::Operator;

    use super::*;

    #[test]
    fn columns_that_do_not_fit_are_left_out() {
        let run = detail();
        let runs = [row(&run)];
        let whole = runs_table(&runs, 8, usize::MAX);
        assert!(
            whole.starts_with("RUN       NAME  STATUS    STARTED")
                && whole.contains("params.depth")
                && whole.contains("metrics.auc"),
            "{whole}"
        );
        let narrow = runs_table(&runs, 8, 60);
        assert!(
            narrow.lines().all(|line| line.chars().count() <= 60),
            "{narrow}"
        );
        assert!(
            narrow.contains("name") && !narrow.contains("metrics.loss"),
            "{narrow}"
        );
    }

    #[test]
    fn runs_of_several_experiments_say_which() {
        let run = detail();
        let of = |experiment| Row {
            experiment: Some(experiment),
            ..row(&run)
        };
        let text = runs_table(&[of("first"), of("second")], 8, usize::MAX);
        let columns = |line: usize| {
            let line = text.lines().nth(line).unwrap();
            line.split_whitespace().take(4).collect::<Vec<_>>()
        };
        assert_eq!(columns(0), ["RUN", "NAME", "EXPERIMENT", "STATUS"]);
        assert_eq!(columns(1), ["01234567", "name", "first", "finished"]);
        assert_eq!(columns(2), ["01234567", "name", "second", "finished"]);
    }

    #[test]
    fn an_order_by_what_no_run_has_is_told() {
        let missing = |order: &str| {
            let order = entities::parse_order_by(&[order], SearchKind::Runs).unwrap();
            find_missing_order(&order, &[detail()])
        };
        assert_eq!(missing("metrics.auk DESC").as_deref(), Some("metrics.auk"));
        assert_eq!(missing("params.none").as_deref(), Some("params.none"));
        assert_eq!(missing("tags.none").as_deref(), Some("tags.none"));
        for known in ["metrics.auc DESC", "params.depth", "start_time"] {
            assert_eq!(missing(known), None);
        }
    }

    #[test]
    fn names_that_differ_in_case_or_in_kind_only_can_be_told_apart() {
        let mut run = detail();
        run.params = ["lr", "Lr", "auc"]
            .map(|key| (key.to_owned(), "1".to_owned()))
            .into();
        let text = runs_table(&[row(&run)], 8, usize::MAX);
        let header: Vec<_> = text.lines().next().unwrap().split_whitespace().collect();
        assert_eq!(
            header,
            [
                "RUN",
                "NAME",
                "STATUS",
                "STARTED",
                "params.Lr",
                "params.auc",
                "params.lr",
                "metrics.auc",
                "metrics.loss"
            ]
        );
    }

    #[test]
    fn a_status_is_understood_in_any_case_and_an_unknown_one_refused_with_those_there_are() {
        let comparison = |filter: &str| conditions(filter).unwrap().remove(0).comparison;
        let text = |operator, word: &str| Comparison::Text(operator, word.to_owned());
        assert_eq!(
            comparison("status = 'finished'"),
            text(Operator::Equal, "FINISHED")
        );
        assert_eq!(
            comparison("attributes.status != 'Failed'"),
            text(Operator::NotEqual, "FAILED")
        );
        let list = Comparison::In {
            values: vec!["KILLED".to_owned(), "RUNNING".to_owned()],
            is_negated: false,
        };
        assert_eq!(comparison("status IN ('killed', 'Running')"), list);
        let pattern = Comparison::Like {
            pattern: "FIN%".to_owned(),
            ignores_case: false,
        };
        assert_eq!(comparison("status LIKE 'fin%'"), pattern);
        assert_eq!(
            comparison("tags.status = 'finished'"),
            text(Operator::Equal, "finished"),
            "a tag is the user's own"
        );
        for filter in ["status = 'done'", "status NOT IN ('finished', 'done')"] {
            let error = conditions(filter).unwrap_err();
            assert_eq!(error.code(), "E0014");
            assert_eq!(
                error.message(),
                "no status is named `done`; there are running, scheduled, finished, failed, killed"
            );
        }
        let error = conditions("status = 'interrupted'").unwrap_err();
        assert!(error.hints()[0].contains("killed"), "{:?}", error.hints());
    }

    fn row(detail: &RunDetail) -> Row<'_> {
        Row {
            detail,
            status: "finished".to_owned(),
            experiment: None,
        }
    }

    fn detail() -> RunDetail {
        let text = r#"{
            "id": "0123456789abcdef0123456789abcdef", "experiment": "0", "name": "name", "user": "ann",
            "status": "FINISHED", "started_at": "2026-11-23T22:19:34.123456Z", "ended_at": null,
            "lifecycle": "active", "artifact_uri": "mlflow-artifacts:/0/0/artifacts", "parent": null,
            "replay_of": null, "process": null, "is_interrupted": false, "recipe": null, "record": null
        }"#;
        let metrics = [("auc", 0.5), ("loss", 1.0 / 3.0), ("system/cpu", 1.0)];
        RunDetail {
            run: serde_json::from_str(text).unwrap(),
            params: BTreeMap::from([("depth".to_owned(), "x".repeat(100))]),
            tags: BTreeMap::new(),
            metrics: metrics
                .map(|(key, value)| entities::Metric::new(key, value, 0, 0))
                .to_vec(),
            datasets: Vec::new(),
            model_inputs: Vec::new(),
            model_outputs: Vec::new(),
        }
    }

    #[test]
    fn columns_are_what_tells_runs_apart_and_then_what_most_have() {
        let same = |keys: &[&'static str]| keys.iter().map(|key| (*key, 0)).collect::<Vec<_>>();
        let runs = [same(&["a", "b"]), same(&["b", "c"]), same(&["b"])];
        assert_eq!(common_keys(runs.into_iter()), ["a", "b", "c"]);
        let many: Vec<_> = (0..20).map(|number| format!("k{number:02}")).collect();
        let crowded = |at: usize| {
            let keys = many.iter().enumerate();
            keys.map(|(index, key)| (key.as_str(), if index > 17 { at } else { 0 }))
                .collect::<Vec<_>>()
        };
        let columns = common_keys([crowded(1), crowded(2), vec![("k17", 0)]].into_iter());
        assert_eq!(columns, ["k00", "k01", "k02", "k17", "k18", "k19"]);
    }
}
