//! Why a replay may differ, the likeliest reason first.

use entities::{Gap, NotKeptReason};
use serde::Serialize;

use crate::{
    MetricComparison, Outcome, OutputComparison, PackageChange, RENAMED_BETWEEN_MOUNTS, RunDiff,
    RunFacts, STANDARD_INPUT_FILE_NOT_KEPT, STANDARD_INPUT_NOT_KEPT, WRITTEN_BY_OTHERS,
};

/// A likely reason for a difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// A stable word, such as `package_differs`.
    pub code: &'static str,
    /// The same for people, with the facts.
    pub message: String,
    /// How likely, for the order only: larger is likelier.
    pub weight: u32,
}

/// Lists likely reasons for what differs, the likeliest first; none where nothing does.
///
/// The weights follow from what was measured with scikit-learn and OpenBLAS on fixed data:
/// - Other data, code or command computes something else: nothing else need be asked (100 to 96).
/// - An imported package computes; one that is only installed hardly does (90 against 20). The interpreter is between (80).
/// - Another BLAS kernel changed the bytes of 4 of 10 kinds of models, another CPU with the same kernel of none (70 against 40).
/// - Another thread count changed 2 of 10, which store it, and the last bits of parallel predictions (60).
///   So did the number of CPUs, where threads are as many as those (50).
/// - Rounding of this kind is small: where every metric is off by less than 1e-9 of its value,
///   kernel, CPU and threads are likelier by 25, and unseeded randomness, which is not small, less likely by 20.
/// - Unseeded randomness (55, with a declared seed 35), an input whose bytes were not kept (54), network (45), time (30).
///   These were seen in runs that replay identically too, so they stand behind what is known to differ.
/// - A program that the command starts computes (85), and so does a module without a package (88); of other files of the
///   system some matter and most do not (51).
/// - A metric whose name tells of time is no surprise (57).
/// - Where nothing known is left to explain the difference, what no observer sees is named: random numbers without a
///   declared seed (53, else 33), and the order of Python's sets, which each process draws anew (32).
/// - Where outputs differ in embedded times or ids and in nothing else, that is the reason (95).
pub fn likely_causes(
    origin: &RunFacts,
    replay: &RunFacts,
    diff: &RunDiff,
    outputs: &[OutputComparison],
    metrics: &[MetricComparison],
) -> Vec<Cause> {
    let outcomes = || {
        outputs
            .iter()
            .map(|output| output.outcome)
            .chain(metrics.iter().map(|metric| metric.outcome))
    };
    let is_difference = |outcome| !matches!(outcome, Outcome::Identical | Outcome::NotCompared);
    if !outcomes().any(is_difference) {
        return Vec::new();
    }
    let embedded = outputs
        .iter()
        .filter(|output| output.outcome == Outcome::EmbeddedOnly)
        .count();
    let is_only_embedded = outcomes()
        .filter(|outcome| is_difference(*outcome))
        .all(|outcome| outcome == Outcome::EmbeddedOnly);
    let mut causes = Vec::new();
    if embedded > 0 {
        let message = format!(
            "{embedded} {} an embedded time or id",
            if embedded == 1 {
                "output holds"
            } else {
                "outputs hold"
            }
        );
        causes.push(Cause {
            code: "embedded_values",
            message,
            weight: if is_only_embedded { 95 } else { 10 },
        });
    }
    if !is_only_embedded {
        let rounding = is_rounding(metrics);
        causes.extend(recipe_causes(diff));
        causes.extend(machine_causes(diff, rounding));
        causes.extend(observed_causes(origin, replay, diff, rounding));
        causes.extend(timing_cause(metrics));
        causes.extend(rename_cause(replay));
        causes.extend(others_cause(origin).or_else(|| others_cause(replay)));
        if causes.iter().all(|cause| cause.weight < KNOWN_WEIGHT) {
            causes.extend(unseen_causes(origin));
        }
    }
    causes.sort_by(|a, b| {
        b.weight
            .cmp(&a.weight)
            .then_with(|| a.code.cmp(b.code))
            .then_with(|| a.message.cmp(&b.message))
    });
    causes
}

/// What is at least as likely as this is known to differ, or was seen.
const KNOWN_WEIGHT: u32 = 50;

/// A rename that worked in the origin and cannot in a replay.
fn rename_cause(replay: &RunFacts) -> Option<Cause> {
    let gaps = &replay.record.as_ref()?.gaps;
    let gap = gaps.iter().find(|gap| gap.code == RENAMED_BETWEEN_MOUNTS)?;
    Some(Cause {
        code: RENAMED_BETWEEN_MOUNTS,
        message: gap.message.clone(),
        weight: 92,
    })
}

/// An output of one of the runs that another process wrote too.
fn others_cause(run: &RunFacts) -> Option<Cause> {
    let gaps = &run.record.as_ref()?.gaps;
    let gap = gaps.iter().find(|gap| gap.code == WRITTEN_BY_OTHERS)?;
    Some(Cause {
        code: WRITTEN_BY_OTHERS,
        message: gap.message.clone(),
        weight: 94,
    })
}

/// Metrics that differ and whose names tell of time.
fn timing_cause(metrics: &[MetricComparison]) -> Option<Cause> {
    let names: Vec<_> = metrics
        .iter()
        .filter(|metric| metric.outcome == Outcome::Different && tells_of_time(&metric.key))
        .map(|metric| format!("`{}`", metric.key))
        .collect();
    (!names.is_empty()).then(|| Cause {
        code: "timing_compared",
        message: format!(
            "time seems to be measured by {}; `[replay] timings` leaves such metrics out",
            listed(names.into_iter())
        ),
        weight: 57,
    })
}

fn tells_of_time(key: &str) -> bool {
    let words = key.split(|character: char| !character.is_ascii_alphanumeric());
    let times = [
        "time", "times", "timing", "duration", "elapsed", "seconds", "secs", "sec", "ms",
        "latency", "runtime",
    ];
    words
        .into_iter()
        .any(|word| times.contains(&word.to_ascii_lowercase().as_str()))
}

/// What can make a difference and leaves no trace.
fn unseen_causes(origin: &RunFacts) -> Vec<Cause> {
    let Some(recipe) = &origin.recipe else {
        return Vec::new();
    };
    let hash_seed = "PYTHONHASHSEED";
    let has_seed = recipe.seeds.keys().any(|name| name != hash_seed);
    let (weight, seed) = if has_seed {
        (33, "a seed is declared, but not everything may use it")
    } else {
        (53, "no seed is declared")
    };
    let mut causes = vec![Cause {
        code: "unseeded_randomness",
        message: format!("nothing else explains it, and {seed}: random numbers may be drawn anew"),
        weight,
    }];
    if recipe.environment.python.is_some() && !recipe.seeds.contains_key(hash_seed) {
        causes.push(Cause {
            code: "hash_order",
            message: format!(
                "each Python process orders its sets anew, since {hash_seed} is not set"
            ),
            weight: 32,
        });
    }
    causes
}

/// Whether metrics differ, and each by no more than rounding does.
fn is_rounding(metrics: &[MetricComparison]) -> bool {
    let mut differing = metrics
        .iter()
        .filter(|metric| {
            matches!(
                metric.outcome,
                Outcome::Different | Outcome::WithinTolerance
            )
        })
        .peekable();
    differing.peek().is_some()
        && differing.all(|metric| {
            metric
                .largest_relative_difference
                .is_some_and(|share| share < 1e-9)
        })
}

fn recipe_causes(diff: &RunDiff) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut add = |code, weight, message| {
        causes.push(Cause {
            code,
            message,
            weight,
        });
    };
    if !diff.data.is_empty() {
        let names = listed(
            diff.data
                .iter()
                .map(|change| change.place.whole(&change.path).to_string()),
        );
        add("input_differs", 100, format!("other input files: {names}"));
    }
    if !diff.code.is_empty() {
        let names = listed(diff.code.iter().map(|change| change.path.to_string()));
        add("code_differs", 98, format!("other code: {names}"));
    }
    if diff.command.is_some() {
        add("command_differs", 96, "another command line".to_owned());
    }
    let environment = &diff.environment;
    let (imported, installed): (Vec<_>, Vec<_>) = environment
        .packages
        .iter()
        .partition(|change| change.is_imported);
    for change in imported {
        add(
            "package_differs",
            90,
            format!("imported package {}", describe_package(change)),
        );
    }
    if !installed.is_empty() {
        let names = listed(installed.iter().map(|change| describe_package(change)));
        add(
            "package_differs",
            20,
            format!("packages that were not imported: {names}"),
        );
    }
    if !environment.interpreter.is_empty() {
        let names = listed(environment.interpreter.iter().map(describe_text));
        add(
            "interpreter_differs",
            80,
            format!("another interpreter: {names}"),
        );
    }
    if !environment.libraries.is_empty() {
        let names = listed(
            environment
                .libraries
                .iter()
                .map(|change| change.path.to_string()),
        );
        add(
            "library_differs",
            58,
            format!("other shared libraries: {names}"),
        );
    }
    let (of_packages, of_system): (Vec<_>, Vec<_>) = environment
        .files
        .iter()
        .partition(|change| change.is_of_packages);
    for (code, weight, what, changes) in [
        (
            "program_differs",
            85,
            "other programs",
            environment.programs.iter().collect(),
        ),
        (
            "module_differs",
            88,
            "other files among the packages that belong to none of them",
            of_packages,
        ),
        (
            "system_file_differs",
            51,
            "other files of the system",
            of_system,
        ),
    ] {
        if !changes.is_empty() {
            let names = listed(changes.iter().map(|change| change.path.to_string()));
            add(code, weight, format!("{what}: {names}"));
        }
    }
    if !environment.variables.is_empty() {
        let names = listed(
            environment
                .variables
                .iter()
                .map(|change| change.name.clone()),
        );
        add(
            "variable_differs",
            25,
            format!("other environment variables: {names}"),
        );
    }
    let settings: Vec<_> = environment
        .locale
        .iter()
        .chain(&environment.settings)
        .map(describe_text)
        .collect();
    if !settings.is_empty() {
        add(
            "setting_differs",
            22,
            format!("other settings: {}", listed(settings.into_iter())),
        );
    }
    causes
}

fn machine_causes(diff: &RunDiff, is_rounding: bool) -> Vec<Cause> {
    let boost: u32 = if is_rounding { 25 } else { 0 };
    let environment = &diff.environment;
    let mut causes = Vec::new();
    let mut add = |code, weight: u32, changes: Vec<String>, what: &str| {
        if !changes.is_empty() {
            causes.push(Cause {
                code,
                message: format!("{what}: {}", listed(changes.into_iter())),
                weight: weight + boost,
            });
        }
    };
    let hardware = |keys: &[&str]| -> Vec<String> {
        environment
            .hardware
            .iter()
            .filter(|change| keys.contains(&change.key.as_str()))
            .map(describe_text)
            .collect()
    };
    add(
        "blas_kernel_differs",
        70,
        environment.blas.iter().map(describe_text).collect(),
        "another BLAS library or kernel",
    );
    add(
        "threads_differ",
        60,
        environment.threads.iter().map(describe_text).collect(),
        "another thread count",
    );
    add(
        "cpu_count_differs",
        50,
        hardware(&["cpu_count"]),
        "another number of CPUs",
    );
    add(
        "gpu_differs",
        65,
        hardware(&["gpus"]),
        "another GPU or driver",
    );
    let flags = environment
        .hardware
        .iter()
        .any(|change| change.key == "cpu_flags")
        .then(|| "other CPU features".to_owned());
    let cpu: Vec<_> = hardware(&["cpu_model", "architecture"])
        .into_iter()
        .chain(flags)
        .collect();
    add("cpu_differs", 40, cpu, "another CPU");
    causes
}

fn observed_causes(
    origin: &RunFacts,
    replay: &RunFacts,
    diff: &RunDiff,
    is_rounding: bool,
) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut add = |code, weight, message| {
        causes.push(Cause {
            code,
            message,
            weight,
        });
    };
    let not_kept = origin.recipe.iter().flat_map(|recipe| {
        // A secret that merely lies in the project has nothing to do with the run.
        let code = recipe.code.not_kept.iter();
        let code = code.filter(|file| file.reason != NotKeptReason::Secret);
        recipe.inputs.not_kept.iter().chain(code)
    });
    let names: Vec<_> = not_kept
        .filter(|file| file.reason != NotKeptReason::Special)
        .map(|file| file.path.to_string())
        .collect();
    if !names.is_empty() {
        add(
            "input_not_kept",
            54,
            format!(
                "files that could not be restored: {}",
                listed(names.into_iter())
            ),
        );
    }
    let gaps = origin.record.iter().flat_map(|record| &record.gaps);
    for gap in gaps.filter(|gap| is_of_standard_input(gap)) {
        add("input_not_kept", 54, gap.message.clone());
    }
    let records: Vec<_> = [origin, replay]
        .into_iter()
        .filter_map(|facts| facts.record.as_ref())
        .collect();
    let signs: Vec<&Gap> = records.iter().flat_map(|record| &record.signs).collect();
    let find = |words: &[&str]| {
        signs
            .iter()
            .find(|sign| words.iter().any(|word| sign.code.contains(word)))
    };
    let mut peers: Vec<_> = records
        .iter()
        .flat_map(|record| &record.network_peers)
        .filter(|peer| peer.family != "unix")
        .map(|peer| peer.address.clone())
        .collect();
    peers.sort();
    peers.dedup();
    if !peers.is_empty() {
        add(
            "network_used",
            45,
            format!("network used: {}", listed(peers.into_iter())),
        );
    } else if let Some(sign) = find(&["network"]) {
        add("network_used", 45, sign.message.clone());
    }
    if let Some(sign) = find(&["random"]) {
        let has_seed = origin
            .recipe
            .as_ref()
            .is_some_and(|recipe| !recipe.seeds.is_empty());
        let seen: u32 = if has_seed { 35 } else { 55 };
        let weight = if is_rounding { seen - 20 } else { seen };
        let seed = if has_seed {
            "a seed is declared, but not everything may use it"
        } else {
            "no seed is declared"
        };
        add(
            "unseeded_randomness",
            weight,
            format!("{}; {seed}", sign.message),
        );
    }
    if let Some(sign) = find(&["time", "clock"]) {
        add("time_read", 30, sign.message.clone());
    }
    if diff.not_compared.contains(&"environment") {
        add(
            "not_captured",
            5,
            "one of the runs has no manifest, so what else differs is not known".to_owned(),
        );
    }
    causes
}

fn describe_package(change: &PackageChange) -> String {
    match (&change.before, &change.after) {
        (Some(before), Some(after)) if before.version == after.version => {
            format!("`{}` {} with other content", change.name, before.version)
        }
        (Some(before), Some(after)) => format!(
            "`{}` {} instead of {}",
            change.name, after.version, before.version
        ),
        (Some(before), None) => format!("`{}` {} is missing", change.name, before.version),
        (None, Some(after)) => format!("`{}` {} was added", change.name, after.version),
        (None, None) => format!("`{}`", change.name),
    }
}

fn describe_text(change: &crate::TextChange) -> String {
    let show = |text: &Option<String>| {
        text.clone()
            .map_or_else(|| "not set".to_owned(), |text| format!("`{text}`"))
    };
    format!(
        "{} {} instead of {}",
        change.key,
        show(&change.after),
        show(&change.before)
    )
}

/// Names three and counts the rest, so that a message stays one line.
fn listed(names: impl ExactSizeIterator<Item = String>) -> String {
    let count = names.len();
    let first: Vec<_> = names.take(3).collect();
    let more = if count > first.len() {
        format!(" and {} more", count - first.len())
    } else {
        String::new()
    };
    format!("{}{more}", first.join(", "))
}

fn is_of_standard_input(gap: &Gap) -> bool {
    [STANDARD_INPUT_NOT_KEPT, STANDARD_INPUT_FILE_NOT_KEPT].contains(&gap.code.as_str())
}
