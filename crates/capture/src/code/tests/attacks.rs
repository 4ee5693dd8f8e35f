//! Repositories that were made to do harm, and broken ones.

use super::*;

#[test]
fn nothing_that_a_repository_names_is_executed() {
    let project = Project::with_git();
    let marker = project.folder.path().join("executed");
    let evil = project.folder.path().join("evil");
    fs::write(
        &evil,
        format!("#!/bin/sh\necho \"$0 $@\" >> '{}'\ncat\n", marker.display()),
    )
    .unwrap();
    fs::set_permissions(&evil, fs::Permissions::from_mode(0o755)).unwrap();
    let evil = evil.to_str().unwrap();
    let attributes = "* filter=evil diff=evil merge=evil\n*.other filter=sp ace\n";
    project
        .write("a.py", "one\n")
        .write("b.other", "one\n")
        .write(".gitattributes", attributes);
    project.commit_all();
    let hooks = project.root.join(".git/hooks");
    for hook in [
        "post-index-change",
        "fsmonitor-watchman",
        "pre-auto-gc",
        "reference-transaction",
    ] {
        fs::copy(evil, hooks.join(hook)).unwrap();
    }
    for key in [
        "core.fsmonitor",
        "core.sshCommand",
        "core.pager",
        "core.editor",
        "core.gitProxy",
        "core.askPass",
        "diff.external",
        "core.alternateRefsCommand",
        "credential.helper",
        "filter.evil.clean",
        "filter.evil.smudge",
        "filter.evil.process",
        "diff.evil.command",
        "diff.evil.textconv",
        "merge.evil.driver",
        "gpg.program",
        "interactive.diffFilter",
        "pager.status",
        "pager.diff",
        "pager.config",
        "alias.status",
        "alias.ls-files",
    ] {
        project.git(&["config", key, evil]);
    }
    project.git(&["config", "core.hooksPath", hooks.to_str().unwrap()]);
    project.git(&["config", "filter.evil.required", "true"]);
    project.git(&["config", "protocol.ext.allow", "always"]);
    project.git(&["config", "remote.origin.url", &format!("ext::{evil}")]);
    project.git(&["config", "remote.origin.promisor", "true"]);
    project.git(&["config", "extensions.partialClone", "origin"]);
    let _ = fs::remove_file(&marker);
    // Of another length, of the same length, and only touched: git must look into each.
    project
        .write("a.py", "two two\n")
        .write("b.other", "two\n")
        .write("new.py", "n\n");
    project.write(".gitattributes", attributes);
    let code = project.capture();
    assert_eq!(
        names(&code),
        [".gitattributes", "a.py", "b.other", "new.py"]
    );
    assert!(git_of(&code).is_dirty);
    assert!(project.patch(&code).contains("+two two"));
    let executed = fs::read_to_string(&marker).unwrap_or_default();
    assert_eq!(executed, "", "something was executed");

    // The trap is one: git itself walks into it.
    let _ = Command::new("git")
        .current_dir(&project.root)
        .args(["status"])
        .output()
        .unwrap();
    assert!(
        marker.exists(),
        "the repository of this test executes nothing in any case"
    );
}

#[test]
fn nothing_that_a_submodule_names_is_executed() {
    let (library, project) = (Project::with_git(), Project::with_git());
    library
        .write("lib.py", "one")
        .write(".gitattributes", "* filter=evil\n");
    library.commit_all();
    let url = library.root.to_str().unwrap();
    project.git(&["submodule", "add", "-q", url, "lib"]);
    project.commit_all();
    let marker = project.folder.path().join("executed");
    let evil = project.folder.path().join("evil");
    let script = format!("#!/bin/sh\necho x >> '{}'\ncat\n", marker.display());
    fs::write(&evil, script).unwrap();
    fs::set_permissions(&evil, fs::Permissions::from_mode(0o755)).unwrap();
    let inner = project.root.join("lib");
    for key in ["core.fsmonitor", "filter.evil.clean"] {
        git_in(&inner, &["config", key, evil.to_str().unwrap()]);
    }
    let _ = fs::remove_file(&marker);
    // Of the same length, so that git must look into it.
    project.write("lib/lib.py", "two");
    let code = project.capture();
    assert!(git_of(&code).submodules[0].is_dirty);
    assert!(!marker.exists(), "something was executed");

    let mut status = Command::new("git");
    status.current_dir(&project.root);
    let _ = status
        .args(["-c", "core.fsmonitor=false", "status"])
        .output()
        .unwrap();
    assert!(
        marker.exists(),
        "the submodule of this test executes nothing in any case"
    );
}

#[test]
fn a_worktree_setting_that_leads_elsewhere_does_not_mislead() {
    let project = Project::with_git();
    project.write("a.py", "1");
    project.commit_all();
    project.git(&["config", "core.worktree", "/"]);
    let code = project.capture();
    for path in code.files.keys() {
        assert!(
            path.is_relative() && path.components().count() == 1,
            "{path:?}"
        );
    }
    assert!(code.files.contains_key(Path::new("a.py")));
}
