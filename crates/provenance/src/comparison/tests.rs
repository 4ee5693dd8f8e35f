//! Replays with one thing changed at a time.

use super::*;
use crate::samples::{self, START_S};
use entities::{Count, Gap, Metric, NetworkPeer, NotKept, Sha256Digest};

use ReplayLevel::{R0, R1, R2, R3, R4};

fn never(_: &ObjectId) -> Option<Vec<u8>> {
    None
}

fn rules() -> ComparisonRules<'static> {
    ComparisonRules {
        lost_inputs: Vec::new(),
        tolerances: Tolerances::default(),
        timings: vec!["*_seconds".to_owned()],
        ids: Vec::new(),
        read_object: &never,
    }
}

fn compare(change: impl FnOnce(&mut ReplayFacts)) -> Comparison {
    let mut replay = samples::replay_facts();
    change(&mut replay);
    compare_replay(&samples::replay_facts(), &replay, &rules())
}

fn outcomes(comparison: &Comparison) -> Vec<(&str, Outcome)> {
    comparison
        .metrics
        .iter()
        .map(|metric| (metric.key.as_str(), metric.outcome))
        .collect()
}

fn environment(facts: &mut ReplayFacts) -> &mut entities::Environment {
    &mut facts.run.recipe.as_mut().unwrap().environment
}

fn record(facts: &mut ReplayFacts) -> &mut Record {
    facts.run.record.as_mut().unwrap()
}

fn codes(comparison: &Comparison) -> Vec<&'static str> {
    comparison.causes.iter().map(|cause| cause.code).collect()
}

#[test]
fn an_identical_replay_reaches_everything() {
    let comparison = compare(|_| {});
    assert_eq!(comparison.level, Some(R4));
    assert!(comparison.is_identical && comparison.is_within_tolerance);
    assert!(comparison.causes.is_empty());
    assert_eq!(
        outcomes(&comparison),
        [
            ("auc", Outcome::Identical),
            ("loss", Outcome::Identical),
            ("nan", Outcome::Identical)
        ]
    );
    let verdict = comparison.verdict(ObjectId::of(b"host"), ObjectId::of(b"comparison"));
    assert_eq!((verdict.level, verdict.is_identical), (Some(R4), true));
}

#[test]
fn times_of_points_and_their_order_do_not_count() {
    let comparison = compare(|replay| {
        replay.points.reverse();
        for point in &mut replay.points {
            point.metric.timestamp_ms += 1_000_000;
        }
    });
    assert!(comparison.is_identical);
}

#[test]
fn a_point_in_the_middle_counts_though_the_latest_is_equal() {
    let comparison = compare(|replay| replay.points[1].metric.value = 0.75);
    let loss = &comparison.metrics[1];
    assert_eq!(
        (loss.outcome, loss.latest_outcome),
        (Outcome::Different, Outcome::Identical)
    );
    assert_eq!(
        (loss.points, loss.differing_points, loss.largest_difference),
        (3, 1, Some(0.25))
    );
    assert_eq!(loss.largest_relative_difference, Some(0.5));
    assert_eq!(comparison.level, Some(R2));
    assert_eq!(comparison.reached, BTreeSet::from([R0, R1, R2, R4]));
}

#[test]
fn a_series_that_is_shorter_longer_or_not_there_is_told_apart() {
    let shorter = compare(|replay| drop(replay.points.remove(2)));
    assert_eq!(outcomes(&shorter)[1], ("loss", Outcome::Different));
    let longer = compare(|replay| replay.points.push(Metric::new("loss", 0.0, 0, 9).into()));
    assert_eq!(outcomes(&longer)[1], ("loss", Outcome::Different));
    let missing = compare(|replay| replay.points.retain(|point| point.metric.key != "loss"));
    assert_eq!(outcomes(&missing)[1], ("loss", Outcome::Missing));
    let extra = compare(|replay| replay.points.push(Metric::new("new", 0.0, 0, 9).into()));
    assert_eq!(outcomes(&extra)[3], ("new", Outcome::Extra));
    for comparison in [shorter, longer, missing, extra] {
        assert!(!comparison.is_within_tolerance);
        assert_eq!(comparison.level, Some(R2));
    }
}

#[test]
fn a_tolerance_lets_a_metric_through_and_never_makes_it_identical() {
    let mut replay = samples::replay_facts();
    replay.points[0].metric.value += 0.001;
    let rules = ComparisonRules {
        tolerances: [("loss".to_owned(), Tolerance::Relative(0.01))]
            .into_iter()
            .collect(),
        ..rules()
    };
    let comparison = compare_replay(&samples::replay_facts(), &replay, &rules);
    assert_eq!(outcomes(&comparison)[1], ("loss", Outcome::WithinTolerance));
    assert!(comparison.is_within_tolerance && !comparison.is_identical);
    assert_eq!(comparison.level, Some(R4), "its outputs are identical");
}

#[test]
fn an_input_that_was_not_given_back_leaves_nothing_above_r2_though_all_came_out_the_same() {
    let lost = RecordedPath::new("/data/in.csv");
    let rules = ComparisonRules {
        lost_inputs: vec![lost.clone()],
        ..rules()
    };
    let origin = samples::replay_facts();
    let comparison = compare_replay(&origin, &origin, &rules);
    assert_eq!(comparison.level, Some(R2));
    assert_eq!(comparison.reached, [R0, R1, R2].into());
    assert!(!comparison.is_identical && !comparison.is_within_tolerance);
    assert!(
        comparison.causes.is_empty(),
        "nothing differs that would need one"
    );
    assert_eq!(comparison.lost_inputs, [lost]);

    let mut other = samples::replay_facts();
    other.points[0].metric.value += 1.0;
    let comparison = compare_replay(&origin, &other, &rules);
    assert_eq!(codes(&comparison)[0], "lost_input");
}

#[test]
fn an_input_that_only_the_replay_read_leaves_nothing_above_r2() {
    let path = RecordedPath::new("data/new.csv");
    let comparison = compare(|replay| {
        let inputs = &mut replay.run.inputs.outside;
        inputs.insert(path.clone(), samples::file(b"new"));
    });
    assert_eq!(comparison.level, Some(R2));
    assert_eq!(comparison.reached, [R0, R1, R2].into());
    assert!(!comparison.is_identical && !comparison.is_within_tolerance);
    assert_eq!(
        comparison.other_inputs,
        [RecordedPath::new("/data/new.csv")]
    );

    // One that only the origin read was not needed, and code that is read as data was there from the start.
    let (mut origin, mut replay) = (samples::replay_facts(), samples::replay_facts());
    origin
        .run
        .inputs
        .outside
        .insert(path.clone(), samples::file(b"new"));
    let (code, content) = origin.run.code.iter().next().unwrap();
    replay
        .run
        .inputs
        .project
        .insert(code.clone(), content.clone());
    let comparison = compare_replay(&origin, &replay, &rules());
    assert_eq!(comparison.other_inputs, []);
    assert_eq!(comparison.level, Some(R4));
    assert!(comparison.is_identical);

    // Another content at the same place.
    replay
        .run
        .inputs
        .outside
        .insert(path, samples::file(b"newer"));
    let comparison = compare_replay(&origin, &replay, &rules());
    assert_eq!(
        comparison.other_inputs,
        [RecordedPath::new("/data/new.csv")]
    );
    assert_eq!(comparison.level, Some(R2));
}

#[test]
fn a_comparison_with_all_inputs_is_encoded_as_ever() {
    let encoded = serde_json::to_value(compare(|_| {})).unwrap();
    assert!(encoded.get("lost_inputs").is_none(), "{encoded}");
    assert!(encoded.get("other_inputs").is_none(), "{encoded}");
}

#[test]
fn resources_and_timings_are_listed_and_not_compared() {
    let comparison = compare(|replay| {
        replay
            .points
            .push(Metric::new("system/cpu", 3.0, 0, 0).into());
        replay
            .points
            .push(Metric::new("fit_seconds", 3.0, 0, 0).into());
    });
    assert!(comparison.is_identical);
    let left_out: Vec<_> = outcomes(&comparison)
        .into_iter()
        .filter(|(_, outcome)| *outcome == Outcome::NotCompared)
        .collect();
    assert_eq!(left_out.len(), 2);
}

#[test]
fn outputs_are_told_apart() {
    let comparison = compare(|replay| {
        let outputs = &mut replay.run.outputs;
        outputs
            .project
            .insert(RecordedPath::new("model.pkl"), samples::file(b"other"));
        outputs
            .outside
            .insert(RecordedPath::new("tmp/x"), samples::file(b"x"));
    });
    let seen: Vec<_> = comparison
        .outputs
        .iter()
        .map(|output| (output.path.as_str(), output.outcome))
        .collect();
    assert_eq!(
        seen,
        [("model.pkl", Outcome::Different), ("tmp/x", Outcome::Extra)]
    );
    assert_eq!(comparison.level, Some(R3));
    let missing = compare(|replay| replay.run.outputs.project.clear());
    assert_eq!(missing.outputs[0].outcome, Outcome::Missing);
    let other_kind = compare(|replay| {
        let file = replay.run.outputs.project.values_mut().next().unwrap();
        file.kind = entities::EntryKind::Executable;
    });
    assert_eq!(other_kind.outputs[0].outcome, Outcome::Different);
}

#[test]
fn an_embedded_time_is_shown_and_is_no_r4() {
    let texts = [
        format!("utc_time_created: '2026-11-24 08:22:11.1'\nat: {START_S}\n"),
        "utc_time_created: '2026-11-24 08:22:31.2'\nat: 1795508551\n".to_owned(),
    ];
    let (mut origin, mut replay) = (samples::replay_facts(), samples::replay_facts());
    for (facts, text) in [&mut origin, &mut replay].into_iter().zip(&texts) {
        facts
            .run
            .outputs
            .project
            .insert(RecordedPath::new("MLmodel"), samples::file(text.as_bytes()));
    }
    let read = |id: &ObjectId| {
        texts
            .iter()
            .find(|text| ObjectId::of(text.as_bytes()) == *id)
            .map(|text| text.clone().into_bytes())
    };
    let comparison = compare_replay(
        &origin,
        &replay,
        &ComparisonRules {
            read_object: &read,
            ..rules()
        },
    );
    assert_eq!(comparison.outputs[0].outcome, Outcome::EmbeddedOnly);
    assert_eq!(comparison.outputs[0].embedded.len(), 2);
    assert_eq!(comparison.level, Some(R3));
    assert!(!comparison.is_identical && comparison.is_within_tolerance);
    assert_eq!(codes(&comparison), ["embedded_values"]);
    let unread = compare_replay(&origin, &replay, &rules());
    assert_eq!(
        unread.outputs[0].outcome,
        Outcome::Different,
        "what cannot be read is not said to be equal"
    );
}

#[test]
fn an_output_without_a_digest_is_not_said_to_be_identical() {
    let not_kept = |reason| NotKept {
        path: RecordedPath::new("/tmp/big"),
        size_bytes: Some(Count(1)),
        object: None,
        reason,
    };
    let (mut origin, mut replay) = (samples::replay_facts(), samples::replay_facts());
    for facts in [&mut origin, &mut replay] {
        let unreadable = not_kept(NotKeptReason::Unreadable);
        record(facts).outputs.not_kept.push(unreadable);
    }
    let unreadable = compare_replay(&origin, &replay, &rules());
    assert_eq!(unreadable.outputs[1].outcome, Outcome::NotCompared);
    assert_eq!(unreadable.outputs[1].path.as_str(), "tmp/big");
    assert_eq!(unreadable.level, Some(R3));
    let only_then = compare_replay(&origin, &samples::replay_facts(), &rules());
    assert_eq!(only_then.outputs[1].outcome, Outcome::Missing);
    let socket = compare(|replay| {
        record(replay)
            .outputs
            .not_kept
            .push(not_kept(NotKeptReason::Special));
    });
    assert_eq!(socket.level, Some(R4));
}

#[test]
fn another_environment_with_identical_outputs_is_told_as_both() {
    let comparison = compare(|replay| {
        environment(replay).python.as_mut().unwrap().content_digest = Sha256Digest::of(b"other");
    });
    assert_eq!(comparison.level, None);
    assert_eq!(comparison.reached, BTreeSet::from([R1, R2, R3, R4]));
    assert!(comparison.is_identical);
    let library =
        compare(|replay| environment(replay).libraries[0].object = ObjectId::of(b"other"));
    assert_eq!(library.level, Some(R0));
}

#[test]
fn a_replay_that_ends_otherwise_did_not_run_to_its_end() {
    for exit in [Exit::Code(1), Exit::Signal(9), Exit::Unknown] {
        assert_eq!(
            compare(|replay| record(replay).exit = exit).level,
            Some(R1),
            "{exit:?}"
        );
    }
    let (mut origin, mut replay) = (samples::replay_facts(), samples::replay_facts());
    record(&mut origin).exit = Exit::Signal(9);
    record(&mut replay).exit = Exit::Signal(9);
    assert_eq!(compare_replay(&origin, &replay, &rules()).level, Some(R1));
}

#[test]
fn nothing_to_compare_proves_nothing() {
    let (mut origin, mut replay) = (samples::replay_facts(), samples::replay_facts());
    for facts in [&mut origin, &mut replay] {
        facts.points.clear();
        facts.run.outputs.project.clear();
    }
    let comparison = compare_replay(&origin, &replay, &rules());
    assert_eq!(comparison.level, Some(R2));
    assert!(!comparison.is_identical && !comparison.is_within_tolerance);
}

#[test]
fn without_metrics_other_outputs_are_no_success() {
    let (mut origin, mut replay) = (samples::replay_facts(), samples::replay_facts());
    origin.points.clear();
    replay.points.clear();
    let same = compare_replay(&origin, &replay, &rules());
    assert_eq!(same.level, Some(R4));
    replay
        .run
        .outputs
        .project
        .insert(RecordedPath::new("model.pkl"), samples::file(b"other"));
    let other = compare_replay(&origin, &replay, &rules());
    assert_eq!(other.level, Some(R2));
}

#[test]
fn known_differences_go_before_suspicions() {
    let comparison = compare(|replay| {
        replay.points[0].metric.value = 9.0;
        environment(replay).python.as_mut().unwrap().distributions[0].version = "2.5".to_owned();
        environment(replay).python.as_mut().unwrap().distributions[1].version = "26".to_owned();
        environment(replay).blas[0].kernel = Some("Zen".to_owned());
        environment(replay)
            .threads
            .insert("OMP_NUM_THREADS".to_owned(), "2".to_owned());
        replay
            .run
            .inputs
            .project
            .insert(RecordedPath::new("data.csv"), samples::file(b"3"));
        let record = record(replay);
        record.host.cpu_model = "AMD".to_owned();
        record.network_peers.push(NetworkPeer {
            family: "inet".to_owned(),
            address: "10.0.0.1:443".to_owned(),
        });
        record.signs = ["getrandom", "time_read"]
            .map(|code| Gap {
                code: code.to_owned(),
                message: code.to_owned(),
            })
            .to_vec();
    });
    let expected = [
        "input_differs",
        "package_differs",
        "blas_kernel_differs",
        "threads_differ",
        "unseeded_randomness",
        "network_used",
        "cpu_differs",
        "time_read",
        "package_differs",
    ];
    assert_eq!(codes(&comparison), expected);
    assert_eq!(
        comparison.causes[1].message,
        "imported package `numpy` 2.5 instead of 2.4.6"
    );
    assert_eq!(
        comparison.causes[2].message,
        "another BLAS library or kernel: libopenblas.so kernel `Zen` instead of `SkylakeX`"
    );
}

#[test]
fn a_difference_of_rounding_speaks_for_the_machine() {
    let with = |value: f64| {
        compare(|replay| {
            replay.points[0].metric.value = value;
            environment(replay).python.as_mut().unwrap().distributions[0].version =
                "2.5".to_owned();
            environment(replay).blas[0].kernel = Some("Zen".to_owned());
        })
    };
    assert_eq!(
        codes(&with(1.0 + f64::EPSILON)),
        ["blas_kernel_differs", "package_differs"]
    );
    assert_eq!(
        codes(&with(1.5)),
        ["package_differs", "blas_kernel_differs"]
    );
}

#[test]
fn a_declared_seed_makes_randomness_less_likely() {
    let with_seed = |has_seed: bool| {
        let (mut origin, mut replay) = (samples::replay_facts(), samples::replay_facts());
        replay.points[0].metric.value = 9.0;
        record(&mut replay).signs.push(Gap {
            code: "urandom_read".to_owned(),
            message: "read".to_owned(),
        });
        if has_seed {
            origin
                .run
                .recipe
                .as_mut()
                .unwrap()
                .seeds
                .insert("seed".to_owned(), "1".to_owned());
        }
        compare_replay(&origin, &replay, &rules())
            .causes
            .remove(0)
            .weight
    };
    assert!(with_seed(true) < with_seed(false));
}

#[test]
fn what_nothing_recorded_explains_is_laid_to_what_no_observer_sees() {
    let unexplained = |change: &dyn Fn(&mut entities::Recipe)| {
        let (mut origin, mut replay) = (samples::replay_facts(), samples::replay_facts());
        replay.points[0].metric.value = 9.0;
        for facts in [&mut origin, &mut replay] {
            change(facts.run.recipe.as_mut().unwrap());
        }
        compare_replay(&origin, &replay, &rules())
    };
    let set = |recipe: &mut entities::Recipe, seed: &str| {
        recipe.seeds.insert(seed.to_owned(), "0".to_owned());
    };
    let bare = unexplained(&|recipe| recipe.seeds.clear());
    assert_eq!(codes(&bare), ["unseeded_randomness", "hash_order"]);
    let seeded = unexplained(&|recipe| {
        recipe.seeds.clear();
        set(recipe, "random_state");
        set(recipe, "PYTHONHASHSEED");
    });
    assert_eq!(codes(&seeded), ["unseeded_randomness"]);
    assert!(seeded.causes[0].weight < bare.causes[0].weight);
}

#[test]
fn a_metric_that_measures_time_is_named() {
    let causes_of = |key: &str| {
        let (mut origin, mut replay) = (samples::replay_facts(), samples::replay_facts());
        for (facts, value) in [(&mut origin, 1.0), (&mut replay, 2.0)] {
            facts.points[0].metric.key = key.to_owned();
            facts.points[0].metric.value = value;
        }
        codes(&compare_replay(&origin, &replay, &rules()))
    };
    for key in ["fit time", "train/elapsed-ms", "Duration_total"] {
        assert_eq!(causes_of(key), ["timing_compared"], "{key}");
    }
    for key in ["timestep_loss", "terms", "lifetime_value"] {
        assert!(!causes_of(key).contains(&"timing_compared"), "{key}");
    }
}

#[test]
fn a_comparison_has_a_canonical_form_whatever_the_numbers() {
    let comparison = compare(|replay| {
        replay.points[0].metric.value = f64::NAN;
        replay.points[1].metric.value = f64::INFINITY;
    });
    let text = String::from_utf8(entities::canonical_json(&comparison).unwrap()).unwrap();
    assert!(text.contains(r#""level":"R2""#), "{text}");
}

#[test]
fn what_no_run_knows_of_itself_is_no_equality() {
    let blind = |facts: &mut ReplayFacts, code: &str| {
        record(facts).gaps.push(Gap {
            code: code.to_owned(),
            message: "m".to_owned(),
        });
        let environment = environment(facts);
        environment.python = None;
        if code == "reads_not_seen" {
            environment.interpreter = None;
            environment.libraries.clear();
        }
    };
    for (code, reached, unknown) in [
        (
            "reads_not_seen",
            vec![R2, R3, R4],
            ["packages", "interpreter"].as_slice(),
        ),
        ("packages_unknown", vec![R1, R2, R3, R4], &["packages"]),
    ] {
        let (mut origin, mut replay) = (samples::replay_facts(), samples::replay_facts());
        blind(&mut origin, code);
        blind(&mut replay, code);
        let comparison = compare_replay(&origin, &replay, &rules());
        assert_eq!(comparison.level, None, "{code}");
        assert_eq!(comparison.reached, BTreeSet::from_iter(reached), "{code}");
        assert_eq!(comparison.unknown_for(R0), unknown, "{code}");
        let is_blind = code == "reads_not_seen";
        assert_eq!(comparison.not_known.contains(&"data"), is_blind, "{code}");
        // One that does not know is not told to be other.
        let comparison = compare_replay(&origin, &samples::replay_facts(), &rules());
        assert_eq!(comparison.level, None, "{code}");
        assert!(!comparison.unknown_for(R0).is_empty(), "{code}");
    }
}

#[test]
fn a_further_environment_counts_as_that_of_the_command_does() {
    let other = || entities::OtherPython {
        interpreter: entities::Interpreter {
            prefix: RecordedPath::new("/opt/conda"),
            ..environment(&mut samples::replay_facts())
                .interpreter
                .clone()
                .unwrap()
        },
        python: environment(&mut samples::replay_facts()).python.clone(),
    };
    let compare = |change: fn(&mut entities::OtherPython)| {
        let (mut origin, mut replay) = (samples::replay_facts(), samples::replay_facts());
        environment(&mut origin).others = vec![other()];
        let mut changed = other();
        change(&mut changed);
        environment(&mut replay).others = vec![changed];
        replay.points[0].metric.value = 9.0;
        compare_replay(&origin, &replay, &rules())
    };
    assert_eq!(compare(|_| {}).level, Some(R2));
    let comparison = compare(|other| {
        let python = other.python.as_mut().unwrap();
        python.content_digest = Sha256Digest::of(b"upgraded");
        python.distributions[0].version = "9".to_owned();
    });
    assert!(!comparison.reached.contains(&R0));
    let message = &comparison.causes[0].message;
    assert!(message.contains("numpy (in /opt/conda)"), "{message}");
    let comparison = compare(|other| other.interpreter.object = ObjectId::of(b"other"));
    assert!(!comparison.reached.contains(&R1));
}

#[test]
fn programs_and_loose_modules_count_and_other_files_are_named() {
    let file = |path: &str, content: &[u8]| (RecordedPath::new(path), ObjectId::of(content));
    let compare = |content: &'static [u8]| {
        let (mut origin, mut replay) = (samples::replay_facts(), samples::replay_facts());
        for (facts, content) in [(&mut origin, b"old".as_slice()), (&mut replay, content)] {
            let programs = [
                ("/usr/local/bin/solver", content),
                ("/project/tool", content),
                // What it is, another field says.
                ("/project/env/bin/python", b"python"),
            ];
            let programs = programs
                .map(|(path, content)| (RecordedPath::new(path), Some(ObjectId::of(content))));
            record(facts).executed = programs.into_iter().collect();
            let packages = "/project/env/lib/python3.11/site-packages";
            facts.run.environment_files = [
                file(&format!("{packages}/sitecustomize.py"), content),
                file(
                    &format!("{packages}/__pycache__/a.cpython-311.pyc"),
                    content,
                ),
                file(&format!("{packages}/numpy-2.dist-info/RECORD"), content),
                file("/usr/share/data.csv", content),
                file("/etc/resolv.conf", content),
            ]
            .into_iter()
            .collect();
        }
        replay.points[0].metric.value = 9.0;
        compare_replay(&origin, &replay, &rules())
    };
    assert_eq!(compare(b"old").level, Some(R2));
    let changed = compare(b"new");
    assert_eq!(changed.reached, BTreeSet::from([R2, R4]));
    let paths = |changes: &[crate::EnvironmentFileChange]| -> Vec<String> {
        changes
            .iter()
            .map(|change| change.path.to_string())
            .collect()
    };
    assert_eq!(
        paths(&changed.environment.programs),
        ["/usr/local/bin/solver"]
    );
    assert_eq!(
        paths(&changed.environment.files),
        [
            "/usr/share/data.csv",
            "{prefix}/lib/python3.11/site-packages/sitecustomize.py"
        ]
    );
    assert_eq!(
        codes(&changed)[..3],
        ["module_differs", "program_differs", "system_file_differs"]
    );
}

#[test]
fn what_only_one_of_the_runs_removed_is_a_difference() {
    let (mut origin, mut replay) = (samples::replay_facts(), samples::replay_facts());
    record(&mut origin).deleted = ["a", "b"].map(RecordedPath::new).to_vec();
    record(&mut replay).deleted = ["b"].map(RecordedPath::new).to_vec();
    let comparison = compare_replay(&origin, &replay, &rules());
    assert!(!comparison.is_within_tolerance && !comparison.reached.contains(&R4));
    let removals = comparison.outputs.iter().filter(|output| output.is_removal);
    let removals: Vec<_> = removals
        .map(|output| (output.path.as_str(), output.outcome))
        .collect();
    assert_eq!(removals, [("a", Outcome::Missing)]);
    record(&mut replay).deleted = record(&mut origin).deleted.clone();
    assert!(compare_replay(&origin, &replay, &rules()).is_identical);
}

#[test]
fn a_secret_that_only_one_of_the_runs_wrote_is_a_difference() {
    let secret = NotKept {
        path: RecordedPath::new("client.key"),
        size_bytes: None,
        object: None,
        reason: NotKeptReason::Secret,
    };
    let (mut origin, mut replay) = (samples::replay_facts(), samples::replay_facts());
    record(&mut origin).outputs.not_kept = vec![secret.clone()];
    let comparison = compare_replay(&origin, &replay, &rules());
    assert!(!comparison.is_within_tolerance);
    record(&mut replay).outputs.not_kept = vec![secret];
    assert!(compare_replay(&origin, &replay, &rules()).is_identical);
}

#[test]
fn rules_apply_to_the_metrics_of_inner_runs_by_their_own_key() {
    let (mut origin, mut replay) = (samples::replay_facts(), samples::replay_facts());
    for (facts, value) in [(&mut origin, 1.0), (&mut replay, 2.0)] {
        for key in ["system/cpu", "fit_seconds", "auc"] {
            facts.points.push(crate::PlacedMetric {
                place: "child 1: ".to_owned(),
                metric: Metric::new(key, value, 0, 0),
            });
        }
    }
    let comparison = compare_replay(&origin, &replay, &rules());
    let of_child = outcomes(&comparison)
        .into_iter()
        .filter(|(key, _)| key.starts_with("child"));
    assert_eq!(
        of_child.collect::<Vec<_>>(),
        [
            ("child 1: auc", Outcome::Different),
            ("child 1: fit_seconds", Outcome::NotCompared),
            ("child 1: system/cpu", Outcome::NotCompared),
        ]
    );
}
