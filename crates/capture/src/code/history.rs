//! What a repository holds beside what is checked out: refs, commits, files of any commit.
//!
//! Git reads it, such that nothing in the repository is executed and nothing outside of it is read. Of its commands only
//! those are used that neither follow settings for people nor look at what is checked out. `git log` and `git reflog` are
//! none of them: where `log.showSignature` is set they start the program that `gpg.program` names. So what was noted of a
//! ref is read here.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::git::{Git, Settings};
use crate::CaptureError;

/// How many bytes of contents are kept that were read ahead.
const AHEAD_MAX_BYTES: u64 = 64 << 20;

/// Longest file of what was noted of a ref that is read.
const NOTED_MAX_BYTES: u64 = 64 << 20;

/// An id names what it is the digest of, whatever `refs/replace` says.
const AS_IT_IS: &str = "--no-replace-objects";

/// What is looked for links in `.git`: all that refs, commits and contents are read from.
const HELD_IN: &[&str] = &["objects", "refs", "logs"];

/// Files in `.git` by which it is another repository's, wholly or in part.
const LEADING_ELSEWHERE: &[&str] = &[
    "commondir",
    "objects/info/alternates",
    "objects/info/http-alternates",
];

/// The history of a repository.
#[derive(Debug)]
pub struct History {
    folder: PathBuf,
    settings: Settings,
    ahead: Mutex<Contents>,
}

/// Contents by their ids.
type Contents = BTreeMap<String, Arc<[u8]>>;

/// Why there is no history to be read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// Neither the folder nor one above it has a `.git`.
    #[error("`{}` is in no repository of git", path.display())]
    NoRepository {
        /// The folder.
        path: PathBuf,
    },
    /// It is kept elsewhere, as that of a worktree or a submodule is, or in part.
    #[error(
        "`{}` leads out of the repository, where nothing is read; name the repository that it leads to, or copy that",
        path.display()
    )]
    Elsewhere {
        /// What leads there.
        path: PathBuf,
    },
    /// A setting names a program and cannot be switched off.
    #[error("the settings of the repository `{}` name a program in a way that cannot be switched off", path.display())]
    Settings {
        /// The folder of the checkout.
        path: PathBuf,
    },
    /// A folder of the repository cannot be read.
    #[error("cannot read `{}`", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Git is not there, or refuses.
    #[error(transparent)]
    Git(#[from] CaptureError),
}

/// A name that points at a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The whole name, such as `refs/heads/main`.
    pub name: String,
    /// The id of what it points at.
    pub object: String,
}

/// What a commit says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommitDetail {
    /// The id of the tree.
    pub tree: String,
    /// The ids of its parents.
    pub parents: Vec<String>,
    /// Who made it.
    pub author: String,
    /// When it was made, in seconds since the epoch.
    pub committed_at_s: i64,
    /// What was said of it.
    pub message: String,
}

/// A file of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedFile {
    /// Its path, with slashes; what is no UTF-8 has U+FFFD in its place.
    pub path: String,
    /// Whether the path is that, and not one that only looks like it.
    pub is_exact: bool,
    /// The id of its content.
    pub object: String,
    /// Whether it is a link: its content is where it leads.
    pub is_link: bool,
    /// The size of its content; none where that is missing.
    pub size_bytes: Option<u64>,
}

/// What was noted of a ref: what it pointed at, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// The id of what it pointed at.
    pub object: String,
    /// Why.
    pub message: String,
}

impl History {
    /// Finds the repository whose checkout a folder is in.
    ///
    /// *Errors*: `NoRepository`; `Elsewhere` if refs or objects of it are kept outside of its own `.git`, or a link
    /// leads there; `Settings`; `Git` and `Io` if it cannot be read.
    pub fn find(folder: &Path) -> Result<Self, HistoryError> {
        let none = || HistoryError::NoRepository {
            path: folder.to_owned(),
        };
        let canonical = folder.canonicalize().map_err(|_| none())?;
        let has_git = |folder: &&Path| folder.join(".git").symlink_metadata().is_ok();
        let top = canonical.ancestors().find(has_git).ok_or_else(none)?;
        refuse_elsewhere(&top.join(".git"))?;
        let settings = Settings::read(&Git::new(top, top))?;
        if Git::new(top, top).with_settings(&settings).is_none() {
            return Err(HistoryError::Settings {
                path: top.to_owned(),
            });
        }
        Ok(Self {
            folder: top.to_owned(),
            settings,
            ahead: Mutex::default(),
        })
    }

    /// The folder of the checkout, without links in it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Refs below a name that ends with a slash, or the one of that name.
    pub fn list_references(&self, name: &str) -> Result<Vec<Reference>, CaptureError> {
        let listed = self.ask(&["for-each-ref", "--format=%(objectname) %(refname)", name])?;
        let listed = String::from_utf8_lossy(&listed);
        let references = listed.lines().filter_map(|line| {
            let (object, name) = line.split_once(' ')?;
            Some(Reference {
                name: name.to_owned(),
                object: object.to_owned(),
            })
        });
        Ok(references.collect())
    }

    /// What a ref pointed at, the newest first; empty where nothing was noted of it.
    pub fn list_noted(&self, reference: &str) -> Result<Vec<Noted>, CaptureError> {
        let is_name = |name: &str| !matches!(name, "" | "." | "..");
        assert!(
            reference.starts_with("refs/") && reference.split('/').all(is_name),
            "the name of a ref is a path below `.git`"
        );
        if self.list_references(reference)?.is_empty() {
            return Ok(Vec::new());
        }
        let path = self.folder.join(".git/logs").join(reference);
        let noted = read_noted(&path).map_err(|source| CaptureError::io("read", &path, source))?;
        Ok(parse_noted(&String::from_utf8_lossy(&noted)))
    }

    /// What a commit says.
    pub fn find_commit(&self, id: &str) -> Result<CommitDetail, CaptureError> {
        let told = self.ask(&["cat-file", "commit", checked(id)])?;
        Ok(parse_commit(&String::from_utf8_lossy(&told)))
    }

    /// All files of a commit, by path.
    pub fn list_files(&self, commit: &str) -> Result<Vec<CommittedFile>, CaptureError> {
        let listed = self.ask(&["ls-tree", "-r", "-l", "-z", "--full-tree", checked(commit)])?;
        let files = listed.split(|byte| *byte == 0).filter_map(parse_file);
        Ok(files.collect())
    }

    /// Reads contents with one process, so that reading each of them takes none. Those that were read ahead before are
    /// forgotten, and what does not fit or is missing is left.
    pub fn read_ahead(&self, files: &[&CommittedFile]) -> Result<(), CaptureError> {
        let mut wanted: BTreeMap<&str, u64> = BTreeMap::new();
        let mut total = 0;
        for file in files {
            let Some(size_bytes) = file.size_bytes else {
                continue;
            };
            if wanted.contains_key(file.object.as_str()) || total + size_bytes > AHEAD_MAX_BYTES {
                continue;
            }
            total += size_bytes;
            wanted.insert(checked(&file.object), size_bytes);
        }
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = std::mem::take(&mut *ahead);
        known.retain(|id, _| wanted.contains_key(id.as_str()));
        let missing: Vec<&str> = wanted
            .into_keys()
            .filter(|id| !known.contains_key(*id))
            .collect();
        if !missing.is_empty() {
            let listed = missing.join("\n") + "\n";
            let input = in_memory(listed.as_bytes())
                .map_err(|source| CaptureError::io("write", "ids for git", source))?;
            let told = self
                .git()
                .ask_with_input(&[AS_IT_IS, "cat-file", "--batch"], input)?;
            known.extend(parse_contents(&told)?);
        }
        *ahead = known;
        Ok(())
    }

    /// The content of a file, as it was committed.
    pub fn read(&self, object: &str) -> Result<Arc<[u8]>, CaptureError> {
        let ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = ahead.get(object) {
            return Ok(Arc::clone(known));
        }
        drop(ahead);
        Ok(self.ask(&["cat-file", "blob", checked(object)])?.into())
    }

    fn ask(&self, arguments: &[&str]) -> Result<Vec<u8>, CaptureError> {
        self.git().ask(&[&[AS_IT_IS], arguments].concat())
    }

    fn git(&self) -> Git<'_> {
        Git::new(&self.folder, &self.folder)
            .with_settings(&self.settings)
            .expect("it was tried when the repository was found")
    }
}

/// Refuses what makes git read outside of a `.git`.
fn refuse_elsewhere(git: &Path) -> Result<(), HistoryError> {
    let elsewhere = |path: &Path| HistoryError::Elsewhere {
        path: path.to_owned(),
    };
    let is_folder = |path: &Path| path.symlink_metadata().is_ok_and(|found| found.is_dir());
    if !is_folder(git) {
        return Err(elsewhere(git));
    }
    for name in LEADING_ELSEWHERE {
        let path = git.join(name);
        if path.symlink_metadata().is_ok() {
            return Err(elsewhere(&path));
        }
    }
    let mut waiting = vec![git.to_owned()];
    while let Some(folder) = waiting.pop() {
        let unread = |source| HistoryError::Io {
            path: folder.clone(),
            source,
        };
        for entry in folder.read_dir().map_err(unread)? {
            let entry = entry.map_err(unread)?;
            let kind = entry.file_type().map_err(unread)?;
            let name = entry.file_name();
            let is_read = folder != *git || HELD_IN.iter().any(|held| name == *held);
            if kind.is_symlink() && (is_read || !is_of_user(&name.to_string_lossy())) {
                return Err(elsewhere(&entry.path()));
            }
            if kind.is_dir() && is_read {
                waiting.push(entry.path());
            }
        }
    }
    Ok(())
}

/// Whether something right in `.git` may be a link, since nothing is read from it.
fn is_of_user(name: &str) -> bool {
    matches!(
        name,
        "hooks" | "info" | "description" | "annex" | "lfs" | "rr-cache" | "branches"
    )
}

/// A file of this process alone, from its begin.
fn in_memory(content: &[u8]) -> io::Result<File> {
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::memfd_create("ids", flags)?);
    file.write_all(content)?;
    file.rewind()?;
    Ok(file)
}

/// An id, which is no option whatever a caller makes of it.
fn checked(id: &str) -> &str {
    assert!(is_id(id), "git names objects by hex digits");
    id
}

fn is_id(id: &str) -> bool {
    matches!(id.len(), 40 | 64) && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Reads a file of what was noted; empty where there is none. A link is not followed, a pipe is not waited for.
fn read_noted(path: &Path) -> io::Result<Vec<u8>> {
    let opened = File::options()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path);
    let file = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened?,
    };
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut noted = Vec::new();
    file.take(NOTED_MAX_BYTES).read_to_end(&mut noted)?;
    Ok(noted)
}

/// Lines `OLD NEW WHO <MAIL> TIME ZONE\tMESSAGE`, the newest last.
fn parse_noted(told: &str) -> Vec<Noted> {
    let noted = told.lines().rev().filter_map(|line| {
        let (head, message) = line.split_once('\t')?;
        let object = head.split(' ').nth(1)?;
        is_id(object).then(|| Noted {
            object: object.to_owned(),
            message: message.to_owned(),
        })
    });
    noted.collect()
}

fn parse_commit(told: &str) -> CommitDetail {
    let (head, message) = told.split_once("\n\n").unwrap_or((told, ""));
    let mut commit = CommitDetail {
        message: message.trim_end().to_owned(),
        ..CommitDetail::default()
    };
    for line in head.lines() {
        match line.split_once(' ') {
            Some(("tree", id)) => id.clone_into(&mut commit.tree),
            Some(("parent", id)) => commit.parents.push(id.to_owned()),
            Some(("author", told)) => {
                let name = told.split('<').next().unwrap_or_default();
                name.trim().clone_into(&mut commit.author);
            }
            Some(("committer", told)) => {
                let mut words = told.rsplit(' ').skip(1);
                let seconds = words.next().and_then(|word| word.parse().ok());
                commit.committed_at_s = seconds.unwrap_or(0);
            }
            _ => {}
        }
    }
    commit
}

/// `MODE TYPE ID SIZE\tPATH`; of what is missing, the size is a word.
fn parse_file(entry: &[u8]) -> Option<CommittedFile> {
    let tab = entry.iter().position(|byte| *byte == b'\t')?;
    let (told, path) = (str::from_utf8(&entry[..tab]).ok()?, &entry[tab + 1..]);
    let mut words = told.split_ascii_whitespace();
    let (mode, kind) = (words.next()?, words.next()?);
    let (object, size) = (words.next()?, words.next()?);
    // The other kind is a commit of a submodule.
    (kind == "blob").then_some(())?;
    Some(CommittedFile {
        path: String::from_utf8_lossy(path).into_owned(),
        is_exact: str::from_utf8(path).is_ok(),
        object: object.to_owned(),
        is_link: mode == "120000",
        size_bytes: size.parse().ok(),
    })
}

/// A line `ID TYPE SIZE`, so many bytes and a new line; or `ID missing`.
fn parse_contents(told: &[u8]) -> Result<Contents, CaptureError> {
    let wrong = || CaptureError::Answer {
        program: "git".into(),
        message: "contents are not as long as they are said to be".to_owned(),
    };
    let mut contents = Contents::new();
    let mut rest = told;
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n');
        let (line, after) = rest.split_at(end.ok_or_else(wrong)?);
        rest = &after[1..];
        let line = String::from_utf8_lossy(line);
        let words: Vec<&str> = line.split(' ').collect();
        let &[id, kind, size] = words.as_slice() else {
            continue;
        };
        let size: usize = size.parse().map_err(|_| wrong())?;
        let content = rest.get(..size).ok_or_else(wrong)?;
        rest = rest.get(size + 1..).ok_or_else(wrong)?;
        if kind == "blob" {
            contents.insert(id.to_owned(), Arc::from(content));
        }
    }
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_read_whatever_it_says() {
        let commit = parse_commit(
            "tree aa\nparent bb\nparent cc\nauthor A <b> C <d> 1 +0000\ncommitter x <y> 1700000000 -0230\ngpgsig -----\n parent dd\n\nsubject\n\nauthor no\n",
        );
        assert_eq!(commit.tree, "aa");
        assert_eq!(commit.parents, ["bb", "cc"]);
        assert_eq!(commit.author, "A");
        assert_eq!(commit.committed_at_s, 1_700_000_000);
        assert_eq!(commit.message, "subject\n\nauthor no");
        assert_eq!(parse_commit(""), CommitDetail::default());
        let odd = parse_commit("tree\ncommitter\ncommitter x\nauthor");
        assert_eq!(odd.committed_at_s, 0);
    }

    #[test]
    fn files_are_told_from_links_and_other_repositories() {
        let file = parse_file(b"100644 blob 1234      17\ta b/\"c\"\n").unwrap();
        assert_eq!(
            (file.path.as_str(), file.size_bytes),
            ("a b/\"c\"\n", Some(17))
        );
        assert!(file.is_exact && !file.is_link);
        assert!(parse_file(b"120000 blob 1234 3\tlink").unwrap().is_link);
        let missing = parse_file(b"100644 blob 1234 BAD\tx").unwrap();
        assert_eq!(missing.size_bytes, None);
        assert!(!parse_file(b"100644 blob 1234 3\t\xff").unwrap().is_exact);
        assert!(parse_file(b"160000 commit 1234 -\tsub").is_none());
        assert!(parse_file(b"").is_none());
        assert!(parse_file(b"100644 blob\tx").is_none());
    }

    #[test]
    fn contents_are_told_apart_by_their_lengths() {
        let told = b"aa blob 6\nx\ncc d\ncc missing\nbb blob 0\n\ndd tree 1\nt\n";
        let contents = parse_contents(told).unwrap();
        let ids: Vec<_> = contents.keys().map(String::as_str).collect();
        assert_eq!(ids, ["aa", "bb"]);
        assert_eq!(&*contents["aa"], b"x\ncc d");
        for wrong in [
            &b"aa blob 9\nx\n"[..],
            b"aa blob x\nx\n",
            b"aa blob 1\nx",
            b"aa",
        ] {
            assert!(parse_contents(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_was_noted_is_read_from_the_end() {
        let (one, two) = ("a".repeat(40), "b".repeat(64));
        let noted = parse_noted(&format!(
            "{two} {one} A B <c> 1 +0000\tcommit: dvc-exp:x\n{one} {two} A <c> 2 +0000\t\nno line\n{one} --output=x A\tx\n{one} {one}\n"
        ));
        let told: Vec<_> = noted
            .iter()
            .map(|noted| (noted.object.as_str(), noted.message.as_str()))
            .collect();
        assert_eq!(
            told,
            [(two.as_str(), ""), (one.as_str(), "commit: dvc-exp:x")]
        );
    }

    #[test]
    #[should_panic(expected = "hex digits")]
    fn an_id_is_never_an_option() {
        checked("--output=/tmp/x");
    }
}
