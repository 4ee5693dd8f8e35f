//! `reproof diff`

use std::fmt::Write as _;
use std::process::ExitCode;

use cas::Cas;
use entities::{RecordedPath, Run, StandardInput};
use executor::short_id;
use provenance::{
    EnvironmentDiff, EnvironmentFileChange, FileChange, FileFact, LARGEST_PATCH_BYTES,
    MetricChange, PackageChange, RunDiff, TextChange, VariableChange, VariableFact, diff_runs,
    unified_patch,
};
use serde_json::json;

use crate::arguments::DiffArguments;
use crate::context::Context;
use crate::error::CommandError;
use crate::faults::executor_fault;
use crate::output::{
    Output, in_shell_words, metric_value, safe, safe_lines, size, table, table_text,
};

pub(crate) async fn run(
    arguments: &DiffArguments,
    output: &Output,
) -> Result<ExitCode, CommandError> {
    let context = Context::open(output).await?;
    let (a, b) = (
        context.resolve_run(&arguments.a).await?,
        context.resolve_run(&arguments.b).await?,
    );
    let facts = async |run| {
        executor::run_facts(&context.bench, run)
            .await
            .map_err(executor_fault)
    };
    let diff = diff_runs(&facts(&a).await?, &facts(&b).await?);
    let cas = &context.bench.cas;
    if output.is_json {
        let patch = code_patch(cas, &diff.code);
        let is_equal = is_equal(&diff);
        output.json(
            &json!({ "a": a.id, "b": b.id, "diff": diff, "patch": patch, "is_equal": is_equal }),
        );
    } else if arguments.patch {
        output.bytes(code_patch(cas, &diff.code).as_bytes());
    } else {
        let code = if arguments.stat {
            files(&diff.code)
        } else {
            code_in_words(cas, &diff.code)
        };
        output.line(&in_words(&a, &b, &diff, code));
    }
    let is_no = arguments.exit_code && !is_equal(&diff);
    Ok(if is_no {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    })
}

/// Lines of a file's patch beyond these are only counted.
const LARGEST_PATCH_LINES: usize = 200;

/// The difference of the code for people: safe to print, and long patches cut.
fn code_in_words(cas: &Cas, changes: &[FileChange]) -> String {
    changes
        .iter()
        .map(|change| cut(&safe_lines(&file_patch(cas, change))))
        .collect()
}

fn cut(patch: &str) -> String {
    let lines: Vec<_> = patch.lines().collect();
    let shown = lines.len().min(LARGEST_PATCH_LINES);
    let mut text = format!("{}\n", lines[..shown].join("\n"));
    if shown < lines.len() {
        let _ = writeln!(
            text,
            "… {} more lines of this file; `--patch` has them all",
            lines.len() - shown
        );
    }
    text
}

/// Whether nothing differs that says something of the result.
fn is_equal(diff: &RunDiff) -> bool {
    let without_resources = RunDiff {
        metrics: shown_metrics(&diff.metrics).cloned().collect(),
        ..diff.clone()
    };
    without_resources.is_empty()
}

/// The difference of the code as one patch; files whose content is not kept are named in it.
fn code_patch(cas: &Cas, changes: &[FileChange]) -> String {
    changes
        .iter()
        .map(|change| file_patch(cas, change))
        .collect()
}

fn file_patch(cas: &Cas, change: &FileChange) -> String {
    let (before, after) = (change.before.as_ref(), change.after.as_ref());
    let is_large = |fact: Option<&FileFact>| {
        fact.is_some_and(|fact| fact.size_bytes > LARGEST_PATCH_BYTES as u64)
    };
    if is_large(before) || is_large(after) {
        return format!("Large files a/{0} and b/{0} differ\n", change.path);
    }
    let content = |fact: Option<&FileFact>| fact.map(|fact| cas.read(&fact.object)).transpose();
    match (content(before), content(after)) {
        (Ok(old), Ok(new)) => unified_patch(&change.path, old.as_deref(), new.as_deref())
            .unwrap_or_else(|| {
                format!(
                    "Files a/{0} and b/{0} differ in their kind or mode\n",
                    change.path
                )
            }),
        _ => format!(
            "Files a/{0} and b/{0} differ, their content is not kept\n",
            change.path
        ),
    }
}

fn in_words(a: &Run, b: &Run, diff: &RunDiff, code: String) -> String {
    let mut text = format!(
        "from {} ({}) to {} ({})\n",
        short_id(&a.id),
        safe(&a.name),
        short_id(&b.id),
        safe(&b.name)
    );
    let mut section = |name: &str, body: String| {
        if !body.is_empty() {
            let _ = write!(text, "\n{name}\n{}\n", body.trim_end());
        }
    };
    section("ending", texts(&diff.ending));
    section("params", texts(&diff.params));
    section("metrics", metrics(&diff.metrics));
    section("command", command(diff));
    section("standard input", standard_input(diff));
    section("git", texts(&diff.git));
    section("code", code);
    section("data read", files(&diff.data));
    section("outputs", files(&diff.outputs));
    environment(&diff.environment, &mut section);
    let equal = equal_kinds(diff);
    if is_equal(diff) {
        let of_what = if diff.not_compared.is_empty() {
            ""
        } else {
            " of what was compared"
        };
        let _ = write!(text, "\nnothing differs{of_what}\n");
    } else if !equal.is_empty() {
        let _ = write!(text, "\nequal: {}\n", equal.join(", "));
    }
    if !diff.not_compared.is_empty() {
        let reason = if diff.not_compared.contains(&"command") {
            "one of them was not captured"
        } else {
            "they are not known of one of them"
        };
        let _ = write!(
            text,
            "\nnot compared, for {reason}: {}\n",
            diff.not_compared.join(", ")
        );
    }
    text.trim_end().to_owned()
}

/// Kinds that were compared and are equal.
fn equal_kinds(diff: &RunDiff) -> Vec<&'static str> {
    let environment = &diff.environment;
    let kinds = [
        ("params", diff.params.is_empty()),
        ("metrics", shown_metrics(&diff.metrics).next().is_none()),
        ("command", diff.command.is_none()),
        ("code", diff.code.is_empty()),
        (
            "data",
            diff.data.is_empty() && diff.standard_input.is_none(),
        ),
        ("outputs", diff.outputs.is_empty()),
        ("environment", environment.is_empty()),
        // Where only a part of it differs, the parts that matter most are named.
        (
            "interpreter",
            !environment.is_empty() && environment.interpreter.is_empty(),
        ),
        (
            "packages",
            !environment.is_empty() && environment.packages.is_empty(),
        ),
        (
            "libraries",
            !environment.is_empty() && environment.libraries.is_empty(),
        ),
    ];
    kinds
        .into_iter()
        .filter(|(name, is_equal)| {
            *is_equal && !diff.not_compared.iter().any(|kind| is_part(kind, name))
        })
        .map(|(name, _)| name)
        .collect()
}

/// Whether a kind is another or belongs to it: the environment has several.
fn is_part(kind: &str, of: &str) -> bool {
    const ENVIRONMENT: [&str; 5] = [
        "interpreter",
        "packages",
        "libraries",
        "linear algebra",
        "hardware",
    ];
    kind == of || of == "environment" && ENVIRONMENT.contains(&kind)
}

fn texts(changes: &[TextChange]) -> String {
    let mut table = table(&[]);
    for TextChange { key, before, after } in changes {
        table.add_row([
            indented(key),
            or_nothing(before.as_deref()),
            "→".to_owned(),
            or_nothing(after.as_deref()),
        ]);
    }
    table_text(&table)
}

/// What resources were used differs each time and says nothing of the result.
fn shown_metrics(changes: &[MetricChange]) -> impl Iterator<Item = &MetricChange> {
    changes
        .iter()
        .filter(|change| !change.key.starts_with("system/"))
}

fn metrics(changes: &[MetricChange]) -> String {
    let mut table = table(&[]);
    for MetricChange { key, before, after } in shown_metrics(changes) {
        let value = |value: &Option<f64>| value.map_or_else(|| "–".to_owned(), metric_value);
        let step = match (before, after) {
            (Some(before), Some(after)) => format!("({})", signed(after - before)),
            _ => String::new(),
        };
        table.add_row([
            indented(key),
            value(before),
            "→".to_owned(),
            value(after),
            step,
        ]);
    }
    table_text(&table)
}

fn signed(difference: f64) -> String {
    let sign = if difference >= 0.0 { "+" } else { "" };
    format!("{sign}{}", metric_value(difference))
}

fn standard_input(diff: &RunDiff) -> String {
    let Some(change) = &diff.standard_input else {
        return String::new();
    };
    let fact = |input: &Option<StandardInput>| match input {
        Some(input) => format!("{} b3:{}", size(input.size_bytes.0), input.object.short()),
        None => "not on record".to_owned(),
    };
    format!("  {}  →  {}", fact(&change.before), fact(&change.after))
}

fn command(diff: &RunDiff) -> String {
    let Some(change) = &diff.command else {
        return String::new();
    };
    let words = |words: &[RecordedPath]| in_shell_words(words.iter().map(RecordedPath::as_str));
    format!(
        "  - {}\n  + {}",
        words(&change.before),
        words(&change.after)
    )
}

fn files(changes: &[FileChange]) -> String {
    let mut table = table(&[]);
    for change in changes {
        let verb = match (&change.before, &change.after) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => "changed",
        };
        let fact = |fact: &Option<FileFact>| {
            fact.as_ref().map_or_else(
                || "–".to_owned(),
                |fact| format!("{} b3:{}", size(fact.size_bytes), fact.object.short()),
            )
        };
        let path = change.place.whole(&change.path);
        table.add_row([
            indented(verb),
            safe(path.as_str()),
            fact(&change.before),
            "→".to_owned(),
            fact(&change.after),
        ]);
    }
    table_text(&table)
}

fn file_lines(changes: &[EnvironmentFileChange]) -> String {
    let mut table = table(&[]);
    for change in changes {
        table.add_row([
            indented(change.path.as_str()),
            format!("b3:{}", change.before.short()),
            "→".to_owned(),
            format!("b3:{}", change.after.short()),
        ]);
    }
    table_text(&table)
}

fn environment(diff: &EnvironmentDiff, section: &mut impl FnMut(&str, String)) {
    let EnvironmentDiff {
        interpreter,
        packages,
        libraries,
        programs,
        files,
        blas,
        hardware,
        variables,
        threads,
        locale,
        settings,
    } = diff;
    section("interpreter", texts(interpreter));
    section("packages", package_lines(packages));
    let mut table = table(&[]);
    for change in libraries {
        let fact = |fact: &Option<provenance::LibraryFact>| {
            fact.as_ref().map_or_else(
                || "–".to_owned(),
                |fact| {
                    fact.package
                        .clone()
                        .unwrap_or_else(|| format!("b3:{}", fact.object.short()))
                },
            )
        };
        let row = [
            indented(change.path.as_str()),
            fact(&change.before),
            "→".to_owned(),
            fact(&change.after),
        ];
        table.add_row(row);
    }
    section("libraries", table_text(&table));
    section("programs", file_lines(programs));
    section("other files of the environment", file_lines(files));
    section("linear algebra", texts(blas));
    section("hardware", texts(hardware));
    section("variables", variable_lines(variables));
    section("threads", texts(threads));
    section("locale", texts(locale));
    section("settings", texts(settings));
}

fn package_lines(changes: &[PackageChange]) -> String {
    let mut table = table(&[]);
    for PackageChange {
        name,
        before,
        after,
        is_imported,
    } in changes
    {
        let is_same_version = before
            .as_ref()
            .zip(after.as_ref())
            .is_some_and(|(before, after)| before.version == after.version);
        let version = |fact: &Option<provenance::PackageFact>| {
            or_nothing(fact.as_ref().map(|fact| fact.version.as_str()))
        };
        let mut remarks = Vec::new();
        if is_same_version {
            remarks.push("same version, other files");
        }
        remarks.push(if *is_imported {
            "imported"
        } else {
            "not imported"
        });
        table.add_row([
            indented(name),
            version(before),
            "→".to_owned(),
            version(after),
            format!("({})", remarks.join(", ")),
        ]);
    }
    table_text(&table)
}

fn variable_lines(changes: &[VariableChange]) -> String {
    let mut table = table(&[]);
    for VariableChange {
        name,
        before,
        after,
    } in changes
    {
        let fact = |fact: &Option<VariableFact>| match fact {
            None => "–".to_owned(),
            Some(VariableFact::Value(value)) => safe(value),
            Some(VariableFact::Hidden) => "(hidden)".to_owned(),
        };
        table.add_row([indented(name), fact(before), "→".to_owned(), fact(after)]);
    }
    table_text(&table)
}

fn indented(text: &str) -> String {
    format!("  {}", safe(text))
}

fn or_nothing(text: Option<&str>) -> String {
    text.map_or_else(|| "–".to_owned(), safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_patch_is_cut_and_says_by_how_much() {
        let lines: Vec<_> = (0..LARGEST_PATCH_LINES + 5)
            .map(|line| line.to_string())
            .collect();
        let text = cut(&lines.join("\n"));
        assert!(
            text.ends_with("\n199\n… 5 more lines of this file; `--patch` has them all\n"),
            "{text}"
        );
        assert_eq!(cut("a\nb"), "a\nb\n");
    }

    #[test]
    fn resource_metrics_are_no_difference_to_show() {
        let change = |key: &str| MetricChange {
            key: key.to_owned(),
            before: Some(1.0),
            after: Some(1.5),
        };
        let text = metrics(&[change("auc"), change("system/cpu")]);
        assert!(
            text.contains("auc") && text.contains("(+0.5)") && !text.contains("system"),
            "{text}"
        );
        let only_resources = RunDiff {
            metrics: vec![change("system/cpu")],
            ..RunDiff::default()
        };
        assert!(equal_kinds(&only_resources).contains(&"metrics"));
        assert!(is_equal(&only_resources) && !only_resources.is_empty());
    }
}
