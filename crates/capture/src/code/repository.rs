//! A repository for restored code: at the recorded commit, with the objects of the one that the code was taken from.
//!
//! No object is copied, and nothing of the original is changed: it is named as an alternate object store.
//! What a program finds is the state that the record tells: commit, branch, remote, and which files differ from the
//! commit. Whether a difference was staged is on no record; of what was added only the name is.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use entities::GitState;

use super::git::{Git, Settings};
use super::{listing, patch, walk};
use crate::CaptureError;

/// What to make a repository of.
#[derive(Clone, Copy, Debug)]
pub struct RepositoryRequest<'a> {
    /// The checkout that the code was taken from.
    pub original: &'a Path,
    /// The restored code, without a repository.
    pub into: &'a Path,
    /// What the record says.
    pub state: &'a GitState,
    /// The recorded difference from the commit.
    pub patch: &'a [u8],
    /// Files of the code that could not be restored, by their path in it.
    pub not_restored: &'a [PathBuf],
}

/// Objects that a new repository takes from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedObjects {
    /// Where they are.
    pub objects: PathBuf,
    /// A folder of the restored code at which the repository looks for them too, for whoever does not see them there.
    pub inside: PathBuf,
}

/// Why there is no repository.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// The original is no checkout by itself.
    #[error("`{}` is not the root of a checkout", path.display())]
    NoCheckout {
        /// The folder.
        path: PathBuf,
    },
    /// The original has lost the commit.
    #[error("the commit `{commit}` is not in the project's repository any more")]
    NoCommit {
        /// The commit.
        commit: String,
    },
    /// The restored code has something of that name.
    #[error("`{}` is there already", path.display())]
    InTheWay {
        /// What is there.
        path: PathBuf,
    },
    /// A file of the repository could not be made.
    #[error("cannot make `{}`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Git is not there, or refuses.
    #[error(transparent)]
    Git(#[from] CaptureError),
}

/// Makes a repository for restored code, and one for each submodule whose objects are there.
///
/// Nothing is left behind where that fails.
///
/// *Cost*: about ten processes of git for each.
pub fn recreate_repository(
    request: RepositoryRequest<'_>,
) -> Result<Vec<SharedObjects>, RepositoryError> {
    let mut shared = Vec::new();
    // A checkout around it looks at the commit of one inside.
    for submodule in &request.state.submodules {
        let path = submodule.path.to_path();
        if !listing::is_plain(&path) || !walk::has_real_parents(request.into, &path.join(".git")) {
            continue;
        }
        let inner = RepositoryRequest {
            original: &request.original.join(&path),
            into: &request.into.join(&path),
            state: &GitState {
                commit: Some(submodule.commit.clone()),
                ..GitState::default()
            },
            patch: b"",
            not_restored: &[],
        };
        match make_repository(inner) {
            Ok(objects) => shared.push(SharedObjects {
                inside: path.join(objects.inside),
                ..objects
            }),
            Err(error) => {
                tracing::warn!(path = %path.display(), error = &error as &dyn std::error::Error, "a submodule has no repository");
            }
        }
    }
    shared.push(make_repository(request)?);
    let original = request.original.canonicalize();
    for objects in &mut shared {
        let inside = original.as_ref().ok();
        let inside = inside.and_then(|original| objects.objects.strip_prefix(original).ok());
        // Objects of a submodule are below the project's own `.git`, where the new one has none.
        if let Some(inside) = inside
            && request.into.join(inside).symlink_metadata().is_err()
            && inside.starts_with(".git")
        {
            objects.inside = inside.to_owned();
        }
        let folder = request.into.join(&objects.inside);
        fs::create_dir_all(&folder).map_err(|source| RepositoryError::Io {
            path: folder.clone(),
            source,
        })?;
    }
    Ok(shared)
}

/// Where objects are looked for besides the path at which they are now.
const SHARED_OBJECTS: &str = "objects-of-the-project";

fn make_repository(request: RepositoryRequest<'_>) -> Result<SharedObjects, RepositoryError> {
    let original = Original::find(request.original, request.state)?;
    let folder = request.into.join(".git");
    if folder.symlink_metadata().is_ok() {
        return Err(RepositoryError::InTheWay { path: folder });
    }
    let made = fill(request, &original, &folder);
    if made.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_dir_all(&folder);
    }
    made?;
    Ok(SharedObjects {
        objects: original.objects,
        inside: Path::new(".git").join(SHARED_OBJECTS),
    })
}

/// What is taken from the repository of the project.
struct Original {
    objects: PathBuf,
    object_format: String,
    settings: Settings,
    /// Where the history was cut off.
    shallow: Option<Vec<u8>>,
    /// Rules for what is no code, besides those of the project's own files.
    exclude: Option<Vec<u8>>,
    /// Tags of the commit and those before it, one a line.
    tags: Vec<u8>,
}

impl Original {
    fn find(checkout: &Path, state: &GitState) -> Result<Self, RepositoryError> {
        if checkout.join(".git").symlink_metadata().is_err() {
            return Err(RepositoryError::NoCheckout {
                path: checkout.to_owned(),
            });
        }
        let git = Git::new(checkout, checkout);
        let objects = path_in(&git, checkout, "objects")?;
        let objects = objects
            .canonicalize()
            .map_err(|source| RepositoryError::Io {
                path: objects.clone(),
                source,
            })?;
        let mut tags = Vec::new();
        if let Some(commit) = &state.commit {
            let is_commit =
                commit.len() >= 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
            let is_there = is_commit
                && git
                    .ask(&["cat-file", "-e", &format!("{commit}^{{tree}}")])
                    .is_ok();
            if !is_there {
                return Err(RepositoryError::NoCommit {
                    commit: commit.clone(),
                });
            }
            let merged = format!("--merged={commit}");
            // Without them a version that is told from tags is another one, and all else is the same.
            let tags_of = [
                "for-each-ref",
                &merged,
                "--format=%(objectname) %(refname)",
                "refs/tags",
            ];
            tags = git.ask(&tags_of).unwrap_or_default();
        }
        // Versions of git that do not know the question know one format.
        let format = git.ask(&["rev-parse", "--show-object-format"]);
        let format = String::from_utf8_lossy(&format.unwrap_or_default())
            .trim()
            .to_owned();
        Ok(Self {
            objects,
            object_format: if format.is_empty() {
                "sha1".to_owned()
            } else {
                format
            },
            settings: Settings::read(&git)?,
            exclude: fs::read(path_in(&git, checkout, "info/exclude")?).ok(),
            shallow: fs::read(path_in(&git, checkout, "shallow")?).ok(),
            tags,
        })
    }
}

fn fill(
    request: RepositoryRequest<'_>,
    original: &Original,
    folder: &Path,
) -> Result<(), RepositoryError> {
    let RepositoryRequest { into, state, .. } = request;
    let git = Git::new(into, into);
    let mut init = vec!["init", "--quiet", "--template="];
    let format = format!("--object-format={}", original.object_format);
    if original.object_format != "sha1" {
        init.push(&format);
    }
    git.ask(&init)?;
    let write = |name: &str, bytes: &[u8]| write_to(&folder.join(name), bytes);
    fs::create_dir_all(folder.join("objects/info"))
        .and_then(|()| fs::create_dir_all(folder.join(SHARED_OBJECTS)))
        .and_then(|()| fs::create_dir_all(folder.join("info")))
        .map_err(|source| RepositoryError::Io {
            path: folder.to_owned(),
            source,
        })?;
    write("objects/info/alternates", &alternates(&original.objects))?;
    append_to(
        &folder.join("config"),
        config(&original.settings, state).as_bytes(),
    )?;
    if let Some(shallow) = &original.shallow {
        write("shallow", shallow)?;
    }
    if !original.tags.is_empty() {
        write("packed-refs", &original.tags)?;
    }
    // What the project leaves out by rules of its own must not become code.
    if let Some(exclude) = &original.exclude {
        write("info/exclude", exclude)?;
    }
    let settings = Settings::read(&git)?;
    let Some(git) = git.with_settings(&settings) else {
        return Err(RepositoryError::InTheWay {
            path: folder.join("config"),
        });
    };
    check_out(&git, state)?;
    note_differences(&git, request)
}

/// The path of a file of a repository, which in a worktree stands elsewhere.
fn path_in(git: &Git<'_>, checkout: &Path, name: &str) -> Result<PathBuf, RepositoryError> {
    let answer = git.ask(&["rev-parse", "--git-path", name])?;
    let answer = answer.strip_suffix(b"\n").unwrap_or(&answer);
    Ok(checkout.join(OsStr::from_bytes(answer)))
}

/// Puts HEAD and the index where they were, and leaves the files as they are.
fn check_out(git: &Git<'_>, state: &GitState) -> Result<(), RepositoryError> {
    let branch = state.branch.as_ref();
    let branch = branch.map(|branch| format!("refs/heads/{branch}"));
    if let Some(branch) = &branch {
        git.ask(&["symbolic-ref", "HEAD", branch])?;
    }
    if let Some(commit) = &state.commit {
        let update: &[&str] = match &branch {
            Some(branch) => &["update-ref", branch, commit],
            None => &["update-ref", "--no-deref", "HEAD", commit],
        };
        git.ask(update)?;
        git.ask(&["read-tree", "HEAD"])?;
    }
    Ok(())
}

/// Makes git see the recorded difference from the commit, and no other.
fn note_differences(git: &Git<'_>, request: RepositoryRequest<'_>) -> Result<(), RepositoryError> {
    let is_there = |path: &Path| request.into.join(path).symlink_metadata().is_ok();
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    for (path, change) in patch::changes_of(request.patch) {
        match change {
            _ if !listing::is_plain(&path) || !is_there(&path) => {}
            patch::Change::Added => added.push(path),
            // What is there all the same was only taken out of the index.
            patch::Change::Deleted => removed.push(path),
        }
    }
    let tracked = git.ask(&["ls-files", "-z"])?;
    let tracked: std::collections::BTreeSet<_> = tracked.split(|&byte| byte == 0).collect();
    let not_restored: Vec<_> = request
        .not_restored
        .iter()
        .filter(|path| !is_there(path) && tracked.contains(path.as_os_str().as_bytes()))
        .cloned()
        .collect();
    let steps: [(&[&str], &[PathBuf], bool); 3] = [
        (&["add", "--intent-to-add", "--force", "--"], &added, true),
        (&["update-index", "--force-remove", "--"], &removed, false),
        // The command never had them deleted.
        (
            &["update-index", "--skip-worktree", "--"],
            &not_restored,
            false,
        ),
    ];
    for (words, paths, takes_patterns) in steps {
        for paths in patch::groups(
            paths.iter(),
            if takes_patterns { patch::LITERAL } else { "" },
        ) {
            let words = words.iter().map(OsString::from);
            git.ask(&words.chain(paths).collect::<Vec<_>>())?;
        }
    }
    // So that what only looks at times and sizes sees no difference either; it fails where there are some.
    let _ = git.ask(&["update-index", "-q", "--refresh"]);
    Ok(())
}

/// The objects at their path, and where they are shown to whoever finds the new repository in place of the old one.
fn alternates(objects: &Path) -> Vec<u8> {
    let bytes = objects.as_os_str().as_bytes();
    let mut lines = Vec::new();
    if bytes.contains(&b'\n') || bytes.first() != Some(&b'/') {
        lines.push(b'"');
        for &byte in bytes {
            match byte {
                b'\n' => lines.extend_from_slice(b"\\n"),
                b'"' | b'\\' => lines.extend_from_slice(&[b'\\', byte]),
                _ => lines.push(byte),
            }
        }
        lines.push(b'"');
    } else {
        lines.extend_from_slice(bytes);
    }
    lines.extend_from_slice(format!("\n../{SHARED_OBJECTS}\n").as_bytes());
    lines
}

/// Settings that say what the content of a file is and who makes a commit.
const KEPT_SETTINGS: &[(&str, &str)] = &[
    ("core", "autocrlf"),
    ("core", "eol"),
    ("core", "filemode"),
    ("core", "symlinks"),
    ("user", "name"),
    ("user", "email"),
];

fn config(settings: &Settings, state: &GitState) -> String {
    let mut sections = vec![
        "[core]\n\thooksPath = /dev/null\n[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n"
            .to_owned(),
    ];
    let kept = KEPT_SETTINGS.iter().filter_map(|(section, name)| {
        let value = settings.find(&format!("{section}.{name}"))?;
        Some(format!("[{section}]\n\t{name} = {}\n", quoted(value)))
    });
    sections.extend(kept);
    let submodules = settings.submodules().into_iter();
    sections
        .extend(submodules.map(|name| format!("[submodule {}]\n\tactive = true\n", quoted(name))));
    sections.extend(state.remote.as_ref().map(|remote| {
        format!(
            "[remote \"origin\"]\n\turl = {}\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n",
            quoted(remote)
        )
    }));
    sections.concat()
}

fn quoted(value: &str) -> String {
    let mut text = String::from("\"");
    for character in value.chars() {
        match character {
            '\n' => text.push_str("\\n"),
            '"' | '\\' => text.extend(['\\', character]),
            _ => text.push(character),
        }
    }
    text.push('"');
    text
}

fn write_to(path: &Path, bytes: &[u8]) -> Result<(), RepositoryError> {
    fs::write(path, bytes).map_err(|source| RepositoryError::Io {
        path: path.to_owned(),
        source,
    })
}

fn append_to(path: &Path, bytes: &[u8]) -> Result<(), RepositoryError> {
    let mut all = fs::read(path).unwrap_or_default();
    all.extend_from_slice(bytes);
    write_to(path, &all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_at_any_path_are_named() {
        assert!(alternates(Path::new("/a b/objects")).starts_with(b"/a b/objects\n../"));
        let odd = alternates(Path::new("/a\n\"b\\/objects"));
        assert!(odd.starts_with(b"\"/a\\n\\\"b\\\\/objects\"\n../"));
    }
}
