use std::fs;
use std::os::unix::fs::symlink;

use entities::Artifact;
use md5::{Digest as _, Md5};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const HELLO: &str = "5d41402abc4b2a76b9719d911017c592";

/// A repository's folder, without links in its path.
fn folder() -> (TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap().join("repository");
    fs::create_dir(&path).unwrap();
    (folder, path)
}

fn put_below(cache: &Path, md5: &str, content: &[u8]) {
    let path = cache.join(&md5[..2]);
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join(&md5[2..]), content).unwrap();
}

fn put(repository: &Path, md5: &str, content: &[u8]) {
    put_below(&repository.join(".dvc/cache/files/md5"), md5, content);
}

fn out(path: &str, md5: &str) -> Out {
    Out {
        path: path.to_owned(),
        kept: Kept::Cache(md5.to_owned()),
        tracked_by: None,
    }
}

/// What is told of the files of an output, each with its content or why there is none.
fn told(cache: &Cache, out: &Out) -> Vec<String> {
    let files = cache.expand(out).into_iter();
    let told = files.map(|(path, md5)| {
        let content = md5.and_then(|md5| cache.find(&md5)).map(|found| {
            let content = found.read(100).unwrap().unwrap();
            String::from_utf8(content).unwrap()
        });
        format!("{path}: {}", content.unwrap_or_else(str::to_owned))
    });
    told.collect()
}

fn found(cache: &Cache, md5: &str) -> String {
    told(cache, &out("x", md5)).remove(0)
}

#[test]
fn what_is_there_is_taken_and_what_is_not_is_named() {
    let (_kept, folder) = folder();
    put(&folder, HELLO, b"hello");
    let other = "0".repeat(32);
    put(&folder, &other, b"hello");
    let cache = Cache::of(&folder, "", None);
    assert_eq!(told(&cache, &out("a/b", HELLO)), ["a/b: hello"]);
    assert_eq!(found(&cache, &other), format!("x: {DAMAGED}"));
    assert_eq!(found(&cache, &"1".repeat(32)), format!("x: {NOT_THERE}"));
    let elsewhere = Out {
        kept: Kept::Elsewhere,
        ..out("x", HELLO)
    };
    assert_eq!(cache.expand(&elsewhere), [("x".to_owned(), Err(ELSEWHERE))]);
}

#[test]
fn what_older_releases_kept_is_found_by_the_name_that_they_gave_it() {
    let (_kept, folder) = folder();
    let unix = hex::encode(Md5::digest(b"a\n"));
    put_below(&folder.join(".dvc/cache"), &unix, b"a\r\n");
    let cache = Cache::of(&folder, "", None);
    assert_eq!(found(&cache, &unix), "x: a\r\n");
    // Now only the content itself has a name.
    let (_kept, folder) = self::folder();
    put(&folder, &unix, b"a\r\n");
    let cache = Cache::of(&folder, "", None);
    assert_eq!(found(&cache, &unix), format!("x: {DAMAGED}"));
}

#[test]
fn a_list_of_a_folder_leads_nowhere_else() {
    let (_kept, folder) = folder();
    put(&folder, HELLO, b"hello");
    let list = format!(
        r#"[{{"md5": "{HELLO}", "relpath": "in/side"}}, {{"md5": "{HELLO}", "relpath": "../up"}},
            {{"md5": "{HELLO}", "relpath": "/etc/passwd"}}, {{"md5": "{HELLO}", "relpath": "a/../b"}},
            {{"md5": "{HELLO}", "relpath": ""}}, {{"md5": "../../x", "relpath": "no"}}, {{"relpath": "none"}}]"#
    );
    let named = format!("{}.dir", hex::encode(Md5::digest(list.as_bytes())));
    put(&folder, &named, list.as_bytes());
    let cache = Cache::of(&folder, "", None);
    let told = told(&cache, &out("d", &named));
    assert_eq!(told[0], "d/in/side: hello");
    assert!(
        told[1..5].iter().all(|one| one.ends_with(LEADS_OUT)),
        "{told:?}"
    );
    assert_eq!(told[5], format!("d/no: {NO_NAME}"));
    assert_eq!(told[6], format!("d/none: {NO_NAME}"));
    let wrong = "{}";
    let named = format!("{}.dir", hex::encode(Md5::digest(wrong)));
    put(&folder, &named, wrong.as_bytes());
    assert_eq!(found(&cache, &named), format!("x: {NO_LIST}"));
}

#[test]
fn no_link_in_a_repository_leads_to_what_is_outside() {
    let secret = tempfile::tempdir().unwrap();
    put_below(&secret.path().join("files/md5"), HELLO, b"hello");
    let file = secret.path().join("files/md5/5d").join(&HELLO[2..]);
    let objects = ".dvc/cache/files/md5";
    let digits = format!("{objects}/5d/{}", &HELLO[2..]);
    for (link, target) in [
        (digits.as_str(), file.clone()),
        (
            ".dvc/cache/files/md5/5d",
            secret.path().join("files/md5/5d"),
        ),
        (objects, secret.path().join("files/md5")),
        (".dvc/cache", secret.path().to_owned()),
        (".dvc", secret.path().to_owned()),
    ] {
        let (_kept, folder) = folder();
        let link = folder.join(link);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(&target, &link).unwrap();
        let cache = Cache::of(&folder, "", None);
        assert_eq!(
            found(&cache, HELLO),
            format!("x: {NOT_THERE}"),
            "{}",
            link.display()
        );
    }
    // One that stays inside is DVC's own way to share a disk.
    let (_kept, folder) = folder();
    put_below(&folder.join(".dvc/cache/kept"), HELLO, b"hello");
    fs::create_dir_all(folder.join(objects)).unwrap();
    symlink("../../kept/5d", folder.join(objects).join("5d")).unwrap();
    assert_eq!(found(&Cache::of(&folder, "", None), HELLO), "x: hello");
}

#[test]
fn a_pipe_in_the_cache_is_not_waited_for() {
    let (_kept, folder) = folder();
    let objects = folder.join(".dvc/cache/files/md5/5d");
    fs::create_dir_all(&objects).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let kind = rustix::fs::FileType::Fifo;
    let pipe = objects.join(&HELLO[2..]);
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, kind, mode, 0).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, folder.join(".dvc/config"), kind, mode, 0).unwrap();
    assert_eq!(
        found(&Cache::of(&folder, "", None), HELLO),
        format!("x: {NOT_THERE}")
    );
}

#[test]
fn settings_are_believed_as_far_as_they_stay_inside() {
    let secret = tempfile::tempdir().unwrap();
    let outside = secret.path().canonicalize().unwrap();
    put_below(&outside.join("files/md5"), HELLO, b"hello");
    let (_kept, folder) = folder();
    put_below(&folder.join("kept %41/files/md5"), HELLO, b"hello");
    let set = |name: &str, dir: &str| {
        fs::create_dir_all(folder.join("in/.dvc")).unwrap();
        let text = format!("[core]\n    dir = no\n[cache]\n    type = copy\n    dir = {dir}\n");
        fs::write(folder.join("in/.dvc").join(name), text).unwrap();
    };
    let of = |named: Option<&Path>| found(&Cache::of(&folder, "in", named), HELLO);
    for dir in [
        "../../kept %41",
        "'../../kept %41'",
        "../../kept %41 # a word",
    ] {
        set("config", dir);
        assert_eq!(of(None), "x: hello", "{dir}");
    }
    set("config", &format!("{}/kept %41", folder.display()));
    assert_eq!(of(None), "x: hello");
    for dir in [
        outside.to_str().unwrap(),
        "../../../x",
        "~/x",
        &format!("{}/../x", folder.display()),
    ] {
        set("config.local", dir);
        assert_eq!(of(None), format!("x: {OUTSIDE}"), "{dir}");
    }
    assert_eq!(of(Some(&outside)), "x: hello");
    assert_eq!(of(Some(&outside.join("none"))), format!("x: {NOT_THERE}"));
}

#[test]
fn a_content_that_changes_after_it_was_checked_is_not_read_as_it() {
    let (_kept, folder) = folder();
    put(&folder, HELLO, b"hello");
    let cache = Cache::of(&folder, "", None);
    let file = cache.find(HELLO).unwrap();
    put(&folder, HELLO, b"other");
    let mut content = Vec::new();
    let error = file.open().unwrap().read_to_end(&mut content).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

proptest! {
    #[test]
    fn whatever_a_list_names_stays_in_its_folder(
        relpath in "[a-z./\\\\:]{0,16}",
        md5 in "[0-9a-f./]{0,40}",
    ) {
        let files = vec![Listed { md5: Some(md5), relpath }];
        for (path, md5) in listing("folder", files) {
            prop_assert!(md5.as_ref().is_err() || Artifact::is_valid_path(&path), "{path}");
            prop_assert!(md5.as_ref().is_err() || path.starts_with("folder/"), "{path}");
            prop_assert!(md5.is_err() || md5.is_ok_and(|md5| md5.len() == 32));
        }
    }

    #[test]
    fn whatever_settings_name_is_inside_or_refused(dir in "[~a-z./'\"#%-]{0,16}") {
        let (_kept, folder) = folder();
        fs::create_dir_all(folder.join("in/.dvc")).unwrap();
        let text = format!("[cache]\ndir = {dir}\n");
        fs::write(folder.join("in/.dvc/config"), text).unwrap();
        let outer = folder.parent().unwrap();
        put_below(&outer.join("files/md5"), HELLO, b"hello");
        put_below(&outer.join("a/files/md5"), HELLO, b"hello");
        let cache = Cache::of(&folder, "in", None);
        prop_assert!(cache.find(HELLO).is_err());
    }
}

#[test]
fn settings_name_another_folder() {
    assert_eq!(
        folder_in("[core]\n    dir = no\n[cache]\n    type = copy\n    dir = ../../shared\n"),
        Some("../../shared".to_owned())
    );
    assert_eq!(folder_in("[cache]\n['remote \"x\"']\n  dir = no\n"), None);
    assert_eq!(folder_in(""), None);
}
