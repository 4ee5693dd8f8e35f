//! `reproof replay`

mod report;

use std::process::ExitCode;

use executor::{ReplayEnvironment, ReplayRequest, short_id};
use provenance::{Comparison, Tolerance, Tolerances};

use self::report::{as_json, in_words, is_verified, verification};
use crate::arguments::{EnvironmentChoice, ReplayArguments};
use crate::context::Context;
use crate::error::CommandError;
use crate::faults::{executor_fault, tolerance_fault};
use crate::output::{Output, safe};
use crate::settings::Settings;
use crate::system::with_stdout_on_stderr;

pub(crate) async fn run(
    arguments: ReplayArguments,
    output: &Output,
) -> Result<ExitCode, CommandError> {
    let context = Context::open_to_write(output).await?;
    let tolerances = tolerances(&context.settings, &arguments.tolerance)?;
    let run = context.resolve_run(&arguments.run).await?;
    let request = ReplayRequest {
        run: run.clone(),
        into: arguments.into,
        environment: arguments.env.map(|choice| match choice {
            EnvironmentChoice::Rebuild => ReplayEnvironment::Rebuild,
            EnvironmentChoice::Current => ReplayEnvironment::Current,
        }),
        variables: arguments.variables.into_iter().collect(),
        tolerances,
    };
    let first_time = match arguments.env {
        Some(EnvironmentChoice::Rebuild) => {
            "; the first time its packages are installed, which may take a while"
        }
        _ => "",
    };
    output.step(&format!(
        "replaying {} ({}){first_time}",
        short_id(&run.id),
        safe(&run.name)
    ));
    let meanwhile = context.work_meanwhile();
    // Standard output is for the verdict; what the command prints goes beside it.
    let replayed = with_stdout_on_stderr(Box::pin(executor::replay(&context.bench, request))).await;
    meanwhile.stop().await;
    let replayed = replayed?.map_err(executor_fault)?;
    context.publish_or_warn(output).await;
    warn_of_tolerances(&arguments.tolerance, &replayed.comparison, output);
    let is_verified = is_verified(&replayed.comparison, arguments.allow_embedded);
    if output.is_json {
        output.json(&as_json(&replayed, is_verified));
    } else {
        output.line(&in_words(&replayed));
        if arguments.verify {
            let answer = verification(&replayed.comparison, is_verified);
            output.line(&format!("\n{answer}"));
        }
    }
    let is_no = arguments.verify && !is_verified;
    Ok(if is_no {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    })
}

/// Says which tolerances were given for metrics that there are not.
fn warn_of_tolerances(given: &[String], comparison: &Comparison, output: &Output) {
    for text in given {
        let Ok((metric, _)) = Tolerance::parse_assignment(text) else {
            continue;
        };
        if comparison.metrics.iter().all(|found| found.key != metric) {
            output.warn(&format!(
                "`--tolerance {}`: the run has no metric of that name",
                safe(text)
            ));
        }
    }
}

/// Tolerances of the settings, with those of the command line before them.
fn tolerances(settings: &Settings, given: &[String]) -> Result<Tolerances, CommandError> {
    let mut tolerances = Tolerances::default();
    for (metric, text) in &settings.replay.tolerance {
        let tolerance = Tolerance::parse(text).map_err(|error| {
            CommandError::usage("E0004", format!("[replay.tolerance] {metric}: {error}"))
                .hint("such as: auc = \"0.001\" or loss = \"1%\" in reproof.toml")
        })?;
        tolerances.insert(metric.clone(), tolerance);
    }
    for text in given {
        let (metric, tolerance) =
            Tolerance::parse_assignment(text).map_err(|error| tolerance_fault(&error))?;
        tolerances.insert(metric, tolerance);
    }
    Ok(tolerances)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tolerance_of_the_command_line_goes_before_the_settings() {
        let mut settings = Settings::default();
        settings
            .replay
            .tolerance
            .insert("auc".to_owned(), "1%".to_owned());
        settings
            .replay
            .tolerance
            .insert("loss".to_owned(), "0.5".to_owned());
        let tolerances = tolerances(&settings, &["auc=0.25".to_owned()]).unwrap();
        assert_eq!(tolerances.of("auc"), Tolerance::Absolute(0.25));
        assert_eq!(tolerances.of("loss"), Tolerance::Absolute(0.5));
        assert_eq!(tolerances.of("other"), Tolerance::Exact);
    }

    #[test]
    fn a_tolerance_that_cannot_be_read_is_bad_input_wherever_it_stands() {
        let mut settings = Settings::default();
        assert_eq!(
            tolerances(&settings, &["auc=x".to_owned()])
                .unwrap_err()
                .code(),
            "E0022"
        );
        settings
            .replay
            .tolerance
            .insert("auc".to_owned(), "x".to_owned());
        assert_eq!(tolerances(&settings, &[]).unwrap_err().code(), "E0004");
    }
}
