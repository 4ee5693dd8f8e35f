//! What a run ran in, on which machine, and how it was observed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use entities::{Environment, Gap, Recipe, Record, TrackingTarget};
use executor::short_id;
use provenance::{CUT_SHORT, is_blind_to_reads};

use super::Known;
use super::page::{Page, list_in_a_line, wide_facts};
use crate::output::{duration, safe, size};

pub(super) fn environment(page: &mut Page, recipe: &Recipe, record: &Record) {
    let Environment {
        interpreter,
        python,
        others,
        libraries,
        blas,
        threads,
        locale,
        time_zone,
        umask,
        container,
    } = &recipe.environment;
    page.heading("environment");
    let mut facts = Vec::new();
    if let Some(interpreter) = interpreter {
        facts.push((
            "  interpreter",
            format!(
                "{} {}",
                safe(&interpreter.implementation),
                safe(&interpreter.version)
            ),
        ));
        if page.is_full {
            facts.push((
                "  binary",
                format!(
                    "{} b3:{}",
                    safe(interpreter.binary.as_str()),
                    interpreter.object.short()
                ),
            ));
        }
    }
    if let Some(python) = python {
        let imported: Vec<_> = python
            .distributions
            .iter()
            .filter(|distribution| distribution.is_imported)
            .collect();
        let counts = format!(
            "{} installed, {} imported",
            python.distributions.len(),
            imported.len()
        );
        let names: Vec<_> = imported
            .iter()
            .map(|distribution| {
                format!(
                    "{} {}",
                    safe(&distribution.name),
                    safe(&distribution.version)
                )
            })
            .collect();
        facts.push(("  packages", counts));
        if !page.is_full && !names.is_empty() {
            facts.push(("", list_in_a_line(&names)));
        }
    }
    for other in others {
        let interpreter = &other.interpreter;
        let packages = match &other.python {
            Some(python) => format!("{} installed", python.distributions.len()),
            None => "not known".to_owned(),
        };
        facts.push((
            "  also ran",
            format!(
                "{} {} in {}, packages: {packages}",
                safe(&interpreter.implementation),
                safe(&interpreter.version),
                safe(interpreter.prefix.as_str()),
            ),
        ));
    }
    let libraries_seen = if is_blind_to_reads(record) {
        "not known".to_owned()
    } else {
        libraries.len().to_string()
    };
    facts.push(("  libraries", libraries_seen));
    let blas: Vec<_> = blas
        .iter()
        .map(|blas| {
            let version = blas.version.as_deref().unwrap_or("?");
            let kernel = blas.kernel.as_deref().unwrap_or("not told");
            format!(
                "{} {} with kernel {}",
                safe(&blas.name),
                safe(version),
                safe(kernel)
            )
        })
        .collect();
    facts.push(("  algebra", blas.join("\n")));
    let pairs = |pairs: &BTreeMap<String, String>| {
        pairs
            .iter()
            .map(|(key, value)| format!("{}={}", safe(key), safe(value)))
            .collect::<Vec<_>>()
            .join(" ")
    };
    facts.extend([
        ("  threads", pairs(threads)),
        ("  locale", pairs(locale)),
        ("  seeds", pairs(&recipe.seeds)),
    ]);
    let optional = [
        ("  time zone", time_zone),
        ("  umask", umask),
        ("  container", container),
    ];
    facts.extend(
        optional
            .into_iter()
            .filter_map(|(name, text)| Some((name, safe(text.as_deref()?)))),
    );
    wide_facts(page, &facts);
    if page.is_full {
        environment_lists(page, recipe);
    }
}

fn environment_lists(page: &mut Page, recipe: &Recipe) {
    let distributions = recipe
        .environment
        .python
        .iter()
        .flat_map(|python| &python.distributions);
    page.rows(
        "packages",
        distributions.map(|distribution| {
            let imported = if distribution.is_imported {
                "imported"
            } else {
                ""
            };
            let modified = match distribution.modified_files.len() {
                0 => String::new(),
                count => format!("{count} files were modified"),
            };
            let origin = distribution
                .direct_url
                .as_deref()
                .map(safe)
                .unwrap_or_default();
            [
                safe(&distribution.name),
                safe(&distribution.version),
                imported.to_owned(),
                modified,
                origin,
            ]
        }),
    );
    let libraries = recipe.environment.libraries.iter().map(|library| {
        let package = library.package.as_deref().map(safe).unwrap_or_default();
        [
            safe(library.path.as_str()),
            format!("b3:{}", library.object.short()),
            package,
        ]
    });
    page.rows("libraries", libraries);
    let values = recipe
        .variables
        .values
        .iter()
        .map(|(name, value)| [safe(name), safe(value)]);
    page.rows("variables", values);
    let hidden = recipe.variables.digests.keys().map(|name| [safe(name)]);
    page.rows("variables of which only a keyed digest is kept", hidden);
}

fn is_cut_short(record: &Record) -> bool {
    record.gaps.iter().any(|gap| gap.code == CUT_SHORT)
}

pub(super) fn machine(page: &mut Page, record: &Record) {
    page.heading("machine");
    let host = &record.host;
    let usage = &record.usage;
    let used = if is_cut_short(record) {
        "not known".to_owned()
    } else {
        format!(
            "{} of time, {} of processor, at most {} of memory, {}",
            duration(usage.wall_ms),
            duration(usage.user_cpu_ms + usage.system_cpu_ms),
            size(usage.peak_memory_bytes.0),
            if record.processes.0 == 1 {
                "1 process".to_owned()
            } else {
                format!("{} processes", record.processes.0)
            }
        )
    };
    let mut facts = vec![
        (
            "  host",
            format!(
                "{}, {}, {} {}",
                safe(&host.name),
                safe(&host.os),
                safe(&host.kernel),
                safe(&host.architecture)
            ),
        ),
        (
            "  processor",
            format!(
                "{}, {} usable, {} of memory",
                safe(&host.cpu_model),
                host.cpu_count,
                size(host.memory_bytes.0)
            ),
        ),
        (
            "  gpus",
            host.gpus
                .iter()
                .map(|gpu| safe(gpu))
                .collect::<Vec<_>>()
                .join("\n"),
        ),
        ("  used", used),
    ];
    if page.is_full {
        facts.push(("  flags", safe(&host.cpu_flags.join(" "))));
    }
    wide_facts(page, &facts);
    let executed = record.executed.iter().map(|(path, object)| {
        [
            safe(path.as_str()),
            object.map_or_else(
                || "not readable".to_owned(),
                |object| format!("b3:{}", object.short()),
            ),
        ]
    });
    if page.is_full {
        page.rows("programs executed", executed);
    }
}

pub(super) fn observation(page: &mut Page, known: &Known, record: &Record) {
    page.heading("how it was observed");
    let target = match &record.tracking {
        TrackingTarget::Run => "MLflow calls go into this run".to_owned(),
        TrackingTarget::Elsewhere { uri } => {
            format!("MLflow calls went to {}, not into this run", safe(uri))
        }
        TrackingTarget::None => "no MLflow endpoint was offered".to_owned(),
    };
    let peers: Vec<_> = record
        .network_peers
        .iter()
        .map(|peer| safe(&peer.address))
        .collect();
    let network = if provenance::is_blind_to_reads(record) {
        "not seen with this method".to_owned()
    } else if peers.is_empty() {
        "no connection".to_owned()
    } else {
        list_in_a_line(&peers)
    };
    let (limits, gaps): (Vec<_>, Vec<_>) = record
        .gaps
        .iter()
        .partition(|gap| provenance::is_limit_of_method(gap));
    let gaps = if gaps.is_empty() {
        "none known".to_owned()
    } else {
        messages(&gaps)
    };
    let signs: Vec<_> = record
        .signs
        .iter()
        .map(|sign| safe(&sign.message))
        .collect();
    wide_facts(
        page,
        &[
            ("  method", safe(&record.method)),
            ("  its limits", messages(&limits)),
            ("  tracking", target),
            ("  network", network),
            ("  gaps", gaps),
            ("  may vary", signs.join("\n")),
        ],
    );
    if known
        .facts
        .record
        .as_ref()
        .is_some_and(|record| record.stdout.is_some() || record.stderr.is_some())
    {
        let _ = writeln!(
            page.text,
            "  printed      `reproof logs {}`",
            short_id(&known.detail().run.id)
        );
    }
}

fn messages(gaps: &[&Gap]) -> String {
    let messages: Vec<_> = gaps.iter().map(|gap| safe(&gap.message)).collect();
    messages.join("\n")
}
