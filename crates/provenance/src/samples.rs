//! Builders of runs for the tests of this room.

use std::collections::BTreeMap;

use entities::{
    Blas, Code, Count, Distribution, EntryKind, Environment, Exit, FileTrees, GitState, Host,
    Interpreter, Library, Lifecycle, MANIFEST_VERSION, Metric, ObjectId, PythonEnvironment, Recipe,
    Record, RecordedPath, Run, RunDetail, RunStatus, Sha256Digest, Timestamp, TrackingTarget,
    Usage, Variables,
};

use crate::{FileFact, FileMap, FileSet, ReplayFacts, RunFacts, fingerprint};

/// 2026-11-24T08:22:11Z, when every sample run was started; it took a minute.
pub(crate) const START_S: i64 = 1_795_508_531;

pub(crate) fn file(content: &[u8]) -> FileFact {
    FileFact {
        object: ObjectId::of(content),
        size_bytes: content.len() as u64,
        kind: EntryKind::File,
    }
}

pub(crate) fn distribution(name: &str, version: &str, is_imported: bool) -> Distribution {
    Distribution {
        name: name.to_owned(),
        version: version.to_owned(),
        content_digest: Sha256Digest::of(name.as_bytes()),
        is_imported,
        direct_url: None,
        modified_files: Vec::new(),
    }
}

/// A captured run: `python train.py` with one input, one output and two metrics.
pub(crate) fn run() -> RunFacts {
    let recipe = recipe();
    let record = record(&recipe);
    let map =
        |name: &str, content: &[u8]| FileMap::from([(RecordedPath::new(name), file(content))]);
    RunFacts {
        detail: detail(&recipe),
        code: map("train.py", b"code"),
        inputs: FileSet {
            project: map("data.csv", b"1,2"),
            outside: FileMap::new(),
        },
        outputs: FileSet {
            project: map("model.pkl", b"model"),
            outside: FileMap::new(),
        },
        recipe: Some(recipe),
        record: Some(record),
        environment_files: BTreeMap::from([(
            RecordedPath::new("/usr/share/zoneinfo/UTC"),
            ObjectId::of(b"zone"),
        )]),
    }
}

pub(crate) fn replay_facts() -> ReplayFacts {
    let points = (0..3_i32).map(|step| {
        Metric::new(
            "loss",
            1.0 / f64::from(step + 1),
            i64::from(step) * 10,
            i64::from(step),
        )
    });
    ReplayFacts {
        points: points
            .chain([
                Metric::new("auc", 0.75, 99, 0),
                Metric::new("nan", f64::NAN, 99, 0),
            ])
            .map(crate::PlacedMetric::from)
            .collect(),
        run: run(),
    }
}

fn detail(recipe: &Recipe) -> RunDetail {
    RunDetail {
        run: Run {
            id: "0123456789ab4def8123456789abcdef".parse().unwrap(),
            experiment: "0".parse().unwrap(),
            name: "n".to_owned(),
            user: "ann".to_owned(),
            status: RunStatus::Finished,
            started_at: Timestamp::from_millis(START_S * 1000),
            ended_at: Some(Timestamp::from_millis((START_S + 60) * 1000)),
            lifecycle: Lifecycle::Active,
            artifact_uri: String::new(),
            parent: None,
            replay_of: None,
            process: None,
            is_interrupted: false,
            recipe: Some(fingerprint(recipe)),
            record: None,
        },
        params: BTreeMap::from([
            ("lr".to_owned(), "0.1".to_owned()),
            ("depth".to_owned(), "3".to_owned()),
        ]),
        tags: BTreeMap::new(),
        metrics: vec![
            Metric::new("auc", 0.75, 0, 0),
            Metric::new("nan", f64::NAN, 0, 0),
        ],
        datasets: Vec::new(),
        model_inputs: Vec::new(),
        model_outputs: Vec::new(),
    }
}

pub(crate) fn recipe() -> Recipe {
    Recipe {
        v: MANIFEST_VERSION,
        command: vec![RecordedPath::new("python"), RecordedPath::new("train.py")],
        project_root: RecordedPath::new("/project"),
        working_directory: RecordedPath::new("/project"),
        variables: Variables {
            values: BTreeMap::from([("LANG".to_owned(), "de_DE.UTF-8".to_owned())]),
            digests: BTreeMap::new(),
        },
        params: BTreeMap::new(),
        code: Code {
            tree: ObjectId::of(b"tree"),
            files: Count(1),
            size_bytes: Count(4),
            not_kept: Vec::new(),
            git: Some(GitState {
                commit: Some("c1".to_owned()),
                branch: Some("main".to_owned()),
                ..GitState::default()
            }),
            lfs_pointers: Vec::new(),
        },
        environment: environment(),
        inputs: FileTrees::default(),
        standard_input: None,
        seeds: BTreeMap::new(),
    }
}

fn environment() -> Environment {
    let library = |path: &str| Library {
        path: RecordedPath::new(path),
        object: ObjectId::of(path.as_bytes()),
        package: None,
    };
    Environment {
        interpreter: Some(Interpreter {
            implementation: "CPython".to_owned(),
            version: "3.11.7".to_owned(),
            build: "gcc".to_owned(),
            path: RecordedPath::new("/project/env/bin/python"),
            binary: RecordedPath::new("/opt/python/bin/python3.11"),
            object: ObjectId::of(b"python"),
            prefix: RecordedPath::new("/project/env"),
            base_prefix: RecordedPath::new("/opt/python"),
        }),
        python: Some(PythonEnvironment {
            pylock: ObjectId::of(b"lock"),
            content_digest: Sha256Digest::of(b"packages"),
            site_packages: vec![RecordedPath::new(
                "/project/env/lib/python3.11/site-packages",
            )],
            distributions: vec![
                distribution("numpy", "2.4.6", true),
                distribution("pip", "25", false),
            ],
        }),
        libraries: vec![
            library("/lib/libc.so.6"),
            library("/project/env/lib/python3.11/site-packages/numpy/libopenblas.so"),
        ],
        blas: vec![Blas {
            name: "openblas".to_owned(),
            library: "libopenblas.so".to_owned(),
            version: Some("0.3.30".to_owned()),
            kernel: Some("SkylakeX".to_owned()),
        }],
        time_zone: Some("UTC".to_owned()),
        ..Environment::default()
    }
}

pub(crate) fn record(recipe: &Recipe) -> Record {
    Record {
        v: MANIFEST_VERSION,
        run: "0123456789ab4def8123456789abcdef".parse().unwrap(),
        recipe: fingerprint(recipe),
        parent: None,
        replay_of: None,
        started_at: Timestamp::from_millis(START_S * 1000),
        ended_at: Timestamp::from_millis((START_S + 60) * 1000),
        usage: Usage::default(),
        exit: Exit::Code(0),
        host: Host {
            name: "h".to_owned(),
            cpu_model: "Intel".to_owned(),
            cpu_count: 4,
            ..Host::default()
        },
        outputs: FileTrees::default(),
        deleted: Vec::new(),
        folders: Vec::new(),
        scratch_files: Count(0),
        executed: BTreeMap::new(),
        environment_files: None,
        network_peers: Vec::new(),
        processes: Count(1),
        stdout: None,
        stderr: None,
        tracking: TrackingTarget::None,
        method: "seccomp".to_owned(),
        gaps: Vec::new(),
        signs: Vec::new(),
    }
}
