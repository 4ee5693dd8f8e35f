//! A ledger that we wrote, read by Go's `sumdb`, of which no line is ours.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

use std::path::{Path, PathBuf};
use std::process::Output;

use ledger::{DirectoryTiles, Integrator, SigningKey};

/// Where Debian puts the Go packages of `golang-golang-x-mod-dev`.
const GO_PATH: &str = "/usr/share/gocode";

#[expect(
    clippy::disallowed_methods,
    reason = "the point of this test is to run somebody else's verifier"
)]
fn go(arguments: &[&str], cache: &Path) -> std::io::Result<Output> {
    std::process::Command::new("go")
        .args(arguments)
        .env("GO111MODULE", "off")
        .env("GOPATH", GO_PATH)
        .env("GOCACHE", cache)
        .output()
}

fn write_ledger(root: &Path, key: &SigningKey) {
    let tiles = DirectoryTiles::new(root);
    let mut integrator = Integrator::new();
    for (from, to) in [(0, 1), (1, 255), (255, 300), (300, 700)] {
        let entries: Vec<_> = (from..to).map(|number| format!("entry {number}")).collect();
        integrator.append(&tiles, &entries).unwrap();
        integrator.publish(&tiles, &[key]).unwrap();
    }
}

#[test]
fn gos_sumdb_verifies_our_ledger_and_refuses_it_once_changed() {
    let packages = PathBuf::from(GO_PATH).join("src/golang.org/x/mod/sumdb");
    let scratch = tempfile::tempdir().unwrap();
    let cache = scratch.path().join("cache");
    if !packages.is_dir() || go(&["version"], &cache).is_err() {
        println!("skipped: needs the Debian packages golang-go and golang-golang-x-mod-dev");
        return;
    }
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/go/verify.go");
    let program = scratch.path().join("verify");
    let program = program.to_str().unwrap();
    let built = go(&["build", "-o", program, source], &cache).unwrap();
    assert!(built.status.success(), "{built:?}");

    let root = scratch.path().join("ledger");
    let key = SigningKey::from_seed("example.com/log", &[3; 32]).unwrap();
    write_ledger(&root, &key);
    let vkey = key.verifier().to_string();
    let output = run(program, &root, &vkey);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "verified 700 entries\n",
        "{output:?}"
    );

    let other = SigningKey::from_seed("example.com/log", &[4; 32]).unwrap();
    let output = run(program, &root, &other.verifier().to_string());
    assert_eq!(output.status.code(), Some(1), "another key was taken");

    for path in ["tile/0/001", "tile/1/000.p/2", "tile/entries/002.p/188"] {
        let whole = std::fs::read(root.join(path)).unwrap();
        let mut changed = whole.clone();
        changed[40] ^= 1;
        std::fs::write(root.join(path), changed).unwrap();
        let output = run(program, &root, &vkey);
        assert_eq!(
            output.status.code(),
            Some(1),
            "a change of {path} was taken"
        );
        std::fs::write(root.join(path), whole).unwrap();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the point of this test is to run somebody else's verifier"
)]
fn run(program: &str, root: &Path, vkey: &str) -> Output {
    std::process::Command::new(program)
        .arg(root)
        .arg(vkey)
        .output()
        .unwrap()
}
