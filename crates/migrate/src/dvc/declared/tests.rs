use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

fn declared(files: &[(&str, &str)]) -> Declared {
    let mut declared = Declared::default();
    for (path, text) in files {
        declared.take(path, text);
    }
    declared
}

fn paths(found: &BTreeSet<String>) -> Vec<&str> {
    found.iter().map(String::as_str).collect()
}

fn keys(declared: &Declared, path: &str) -> Keys {
    declared.params[path].clone()
}

const STAGES: &str = "
params: [top.json]
metrics:
- m.json: {cache: false}
plots:
- p.csv
- name of a plot: {x: {q.csv: a}, y: {r.csv: b}}
vars: [v.yaml, 'w.yaml:one,two', {depth: 3}]
stages:
  t:
    wdir: ../b
    params: [lr, net.act, x.toml: [k], own.yaml: ]
    metrics: [s.json]
  e:
    foreach: [1]
    do:
      cmd: x
      metrics: ['m/${item}/all.json']
      params: ['${item}.yaml': [k]]
      outs: ['kept', 'w/${item}': {cache: false}]
      plots: ['${item}.csv': {x: n}]
";

#[test]
fn stages_declare_params_metrics_plots_and_outputs_in_their_folders() {
    let md5 = "0".repeat(32);
    let lock = format!(
        "
stages:
  t:
    outs: [{{path: o, md5: {md5}.dir}}]
  e@1:
    params: {{1.yaml: {{k: 5}}, gone.yaml: }}
    outs:
    - {{path: p, md5: {md5}}}
    - {{path: m/1/all.json, md5: {md5}}}
    - {{path: m/1/none.json, md5: {md5}}}
    - {{path: 1.csv, md5: {md5}}}
    - {{path: far, etag: x}}
    - {{path: w/1, md5: {md5}}}
  gone:
    outs: [{{path: stale, md5: {md5}}}]
"
    );
    let found = declared(&[
        ("a/dvc.yaml", STAGES),
        ("a/dvc.lock", &lock),
        ("c.dvc", &format!("outs:\n- md5: {md5}\n  path: c\n")),
    ]);
    assert_eq!(found.faults, Vec::<String>::new());
    let params: Vec<_> = found.params.keys().map(String::as_str).collect();
    assert_eq!(
        params,
        [
            "a/1.yaml",
            "a/top.json",
            "a/v.yaml",
            "a/w.yaml",
            "b/own.yaml",
            "b/params.yaml",
            "b/x.toml"
        ]
    );
    assert_eq!(keys(&found, "b/params.yaml"), named(["lr", "net.act"]));
    assert_eq!(keys(&found, "b/x.toml"), named(["k"]));
    assert_eq!(keys(&found, "b/own.yaml"), Keys::All);
    assert_eq!(keys(&found, "a/w.yaml"), named(["one", "two"]));
    assert_eq!(found.locked["a/1.yaml"]["k"], 5);
    assert_eq!(found.inline.len(), 1);
    assert_eq!(
        paths(&found.metrics),
        ["a/m.json", "a/m/1/all.json", "b/s.json"]
    );
    assert_eq!(
        paths(&found.plots),
        ["a/1.csv", "a/p.csv", "a/q.csv", "a/r.csv"]
    );
    let outs: Vec<_> = found.outs.iter().map(|out| out.path.as_str()).collect();
    assert_eq!(
        outs,
        [
            "a/p",
            "a/m/1/all.json",
            "a/m/1/none.json",
            "a/1.csv",
            "a/far",
            "a/w/1",
            "b/o",
            "c"
        ]
    );
    assert!(matches!(found.outs[4].kept, Kept::Elsewhere));
    assert!(matches!(found.outs[5].kept, Kept::Git));
    assert_eq!(found.outs[7].tracked_by.as_deref(), Some("c.dvc"));
}

#[test]
fn a_value_is_meant_by_its_name_and_by_one_around_it() {
    let keys = named(["net", "lr"]);
    for (name, is_meant) in [
        ("net", true),
        ("net.act", true),
        ("network", false),
        ("lr", true),
        ("other", false),
    ] {
        assert_eq!(keys.has(name), is_meant, "{name}");
    }
    assert!(named(["net.*"]).has("net.act") && Keys::All.has("x"));
}

#[test]
fn what_leads_out_of_the_project_is_named_and_not_taken() {
    let md5 = "0".repeat(32);
    for path in [
        "../up",
        "/etc/passwd",
        "a/../../up",
        "C:\\x",
        "..",
        "a/../..",
        ".",
        "s3://b/x",
    ] {
        let found = declared(&[(
            "x.dvc",
            &format!("outs:\n- {{md5: {md5}, path: '{path}'}}\n"),
        )]);
        assert!(
            found.outs.is_empty() && found.faults.len() == 1,
            "{path}: {found:?}"
        );
    }
    for md5 in [
        "../../../etc/passwd",
        "",
        "0",
        "Z",
        &"0".repeat(33),
        &"A".repeat(32),
    ] {
        let found = declared(&[("x.dvc", &format!("outs:\n- {{md5: '{md5}', path: x}}\n"))]);
        assert!(
            found.outs.is_empty() && found.faults.len() == 1,
            "{md5}: {found:?}"
        );
    }
    let text = "stages: {t: {wdir: ../.., metrics: [m]}, u: {wdir: '${x}', metrics: [m]}, v: {params: [/etc/passwd: ]}}\nmetrics: [../m.json]\nplots: [/p]\nvars: [../v.yaml]\n";
    let found = declared(&[("dvc.yaml", text)]);
    assert_eq!(found.faults.len(), 6, "{found:?}");
    assert!(found.metrics.is_empty() && found.plots.is_empty() && found.params.is_empty());
}

#[test]
fn what_is_no_yaml_or_grows_without_end_is_named() {
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..10 {
        let list = vec![format!("*a{}", level - 1); 9].join(",");
        writeln!(bomb, "a{level}: &a{level} [{list}]").unwrap();
    }
    for text in [
        "[",
        "- 1",
        "stages: [",
        "\u{0}",
        "a: b: c",
        &bomb,
        &"[".repeat(100_000),
        &"a: {".repeat(100_000),
    ] {
        for path in ["dvc.yaml", "x/dvc.lock", "x.dvc"] {
            let found = declared(&[(path, text)]);
            assert!(
                found.outs.is_empty() && found.params.is_empty(),
                "{text:.20}"
            );
            assert!(found.faults.len() <= 1);
        }
    }
    assert_eq!(declared(&[("dvc.yaml", &bomb)]).faults.len(), 1);
    assert_eq!(declared(&[("dvc.yaml", "")]).faults, Vec::<String>::new());
}

#[test]
fn a_template_stands_for_what_it_may_become() {
    for (template, path, is_match) in [
        ("m/${item}.json", "m/a.json", true),
        ("m/${item}.json", "m/a.csv", false),
        ("${a}-${b}.json", "x-y.json", true),
        ("${a}-${b}.json", "xy.json", false),
        ("${a}", "anything", true),
        ("a${b}a", "a", false),
        ("plain", "plain", true),
        ("plain", "plainer", false),
        ("x${", "x", true),
    ] {
        assert_eq!(
            Pattern::of(template).matches(path),
            is_match,
            "{template} {path}"
        );
    }
}

proptest! {
    #[test]
    fn a_path_stays_inside(base in "[a-z/.]{0,12}", path in "[a-z/.:\\\\]{0,12}") {
        if let Some(path) = joined(&base, &path) {
            prop_assert!(path.split('/').all(|name| name != ".." && name != "."));
            prop_assert!(!path.starts_with('/'));
        }
    }

    #[test]
    fn whatever_files_declare_stays_inside(
        stages in "(stages:\n  t:\n    )?(wdir|outs|params|metrics|plots|vars): \\[?[a-z./'{}:, ]{0,24}\\]?\n?",
        outs in "(stages: \\{t: \\{)?outs: \\[\\{path: [a-z./]{0,12}, md5: '?[0-9a-f./]{0,33}'?\\}\\](\\}\\})?",
    ) {
        let found = declared(&[
            ("a/dvc.yaml", &stages),
            ("a/dvc.lock", &outs),
            ("a/x.dvc", &outs),
        ]);
        let outs = found.outs.iter().map(|out| &out.path);
        let all = found.params.keys().chain(&found.metrics).chain(&found.plots).chain(outs);
        for path in all {
            prop_assert!(path.split('/').all(|name| name != ".."), "{path}");
            prop_assert!(!path.starts_with('/'), "{path}");
        }
    }

    #[test]
    fn no_template_makes_the_matching_fail(template in "[a${}-]{0,12}", path in "[a$-]{0,8}") {
        Pattern::of(&template).matches(&path);
    }
}
