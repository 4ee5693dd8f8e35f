//! Asking git, such that nothing in the repository is executed.
//!
//! Settings of a repository can name programs: monitors of the file system, hooks, filters of content, drivers of
//! differences, transports. A checkout that came as an archive may have been made to run one as soon as somebody asks
//! for its status. So whatever names a program is switched off, filters by their names as the settings list them.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::{CaptureError, process};

/// Large repositories on slow disks need some seconds.
const LIMIT: Duration = Duration::from_secs(60);

/// A folder of a repository, with what must be switched off in it.
#[derive(Clone, Debug)]
pub(super) struct Git<'a> {
    folder: &'a Path,
    /// The checkout that the folder is in, beyond which git does not look.
    top: &'a Path,
    switched_off: Vec<String>,
}

/// Settings as git lists them, in order; later ones win.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    entries: Vec<(String, String)>,
}

impl<'a> Git<'a> {
    /// For what only lists settings and the index, and so never looks at the content of a file.
    pub(super) fn new(folder: &'a Path, top: &'a Path) -> Self {
        Self {
            folder,
            top,
            switched_off: Vec::new(),
        }
    }

    /// For what compares files too.
    ///
    /// None where a name cannot be switched off.
    pub(super) fn with_settings(self, settings: &Settings) -> Option<Self> {
        let mut switched_off = Vec::new();
        for (key, _) in &settings.entries {
            let Some(replacement) = harmless_value(key) else {
                continue;
            };
            // A key with `=` cannot be given on the command line, which is all that older versions take.
            if key.contains(['=', '\n']) {
                return None;
            }
            switched_off.push(format!("{key}={replacement}"));
        }
        switched_off.sort();
        switched_off.dedup();
        Some(Self {
            switched_off,
            ..self
        })
    }

    /// Asks for something, and gives what git wrote to standard output.
    pub(super) fn ask<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Result<Vec<u8>, CaptureError> {
        process::run_well(self.command(arguments), LIMIT)
    }

    /// The same, with an input.
    pub(super) fn ask_with_input<A: AsRef<OsStr>>(
        &self,
        arguments: &[A],
        input: File,
    ) -> Result<Vec<u8>, CaptureError> {
        process::run_well_on(self.command(arguments), input, LIMIT)
    }

    fn command<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Command {
        #[expect(
            clippy::disallowed_methods,
            reason = "starting git is what this room is for"
        )]
        let mut command = Command::new("git");
        command.current_dir(self.folder).arg("--no-pager");
        for setting in SWITCHED_OFF {
            command.args(["-c", setting]);
        }
        for setting in &self.switched_off {
            command.args(["-c", setting]);
        }
        command.args(arguments);
        for name in REMOVED_VARIABLES {
            command.env_remove(name);
        }
        command.envs(SET_VARIABLES.iter().copied());
        // Above a checkout that is broken may stand another, which is not the one that was meant.
        command.env(
            "GIT_CEILING_DIRECTORIES",
            self.top.parent().unwrap_or(self.top),
        );
        command
    }
}

/// What a setting that names a program, or makes one necessary, is replaced with.
fn harmless_value(key: &str) -> Option<&'static str> {
    let (section, name) = (key.split('.').next()?, key.rsplit('.').next()?);
    match (section, name) {
        ("filter", "clean" | "smudge" | "process")
        | ("diff", "textconv" | "command")
        | ("merge", "driver") => Some(""),
        ("filter", "required") | ("remote", "promisor") => Some("false"),
        _ => None,
    }
}

/// Settings that name programs whatever the repository calls them, and those that change the form of answers.
const SWITCHED_OFF: &[&str] = &[
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.sshCommand=false",
    "core.gitProxy=",
    "core.askPass=",
    "core.editor=false",
    "core.pager=cat",
    "core.alternateRefsCommand=false",
    "core.quotePath=true",
    "credential.helper=",
    "protocol.allow=never",
    "diff.external=",
    "diff.autoRefreshIndex=false",
    "diff.submodule=short",
    "diff.noprefix=false",
    "diff.mnemonicPrefix=false",
    "status.submoduleSummary=false",
    "submodule.recurse=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "color.ui=false",
];

/// Variables that a hook of git hands on, or that make git start something.
const REMOVED_VARIABLES: &[&str] = &[
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_ATTR_SOURCE",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DIFF_OPTS",
    "GIT_DIR",
    "GIT_EXEC_PATH",
    "GIT_EXTERNAL_DIFF",
    "GIT_GLOB_PATHSPECS",
    "GIT_GRAFT_FILE",
    "GIT_ICASE_PATHSPECS",
    "GIT_INDEX_FILE",
    "GIT_LITERAL_PATHSPECS",
    "GIT_NAMESPACE",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_PROXY_COMMAND",
    "GIT_SHALLOW_FILE",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_SSH_VARIANT",
    "GIT_TRACE",
    "GIT_TRACE2",
    "GIT_TRACE2_EVENT",
    "GIT_TRACE2_PERF",
    "GIT_WORK_TREE",
    "SSH_ASKPASS",
];

const SET_VARIABLES: &[(&str, &str)] = &[
    // Neither wait for a lock nor write the index back.
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_ASKPASS", "false"),
    // A partial clone fetches what it lacks, through any program that its settings name.
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_ALLOW_PROTOCOL", ""),
    ("GIT_PAGER", "cat"),
    ("GIT_EDITOR", "false"),
    ("LC_ALL", "C"),
];

impl Settings {
    pub(super) fn read(git: &Git<'_>) -> Result<Self, CaptureError> {
        let listed = git.ask(&["config", "--list", "-z"])?;
        Ok(Self::parse(&listed))
    }

    /// Reads entries `KEY\nVALUE\0`; a key without a value means yes.
    fn parse(listed: &[u8]) -> Self {
        let entries = listed
            .split(|&byte| byte == 0)
            .filter(|entry| !entry.is_empty())
            .map(|entry| {
                let entry = String::from_utf8_lossy(entry);
                let (key, value) = entry.split_once('\n').unwrap_or((&entry, "true"));
                (key.to_owned(), value.to_owned())
            });
        Self {
            entries: entries.collect(),
        }
    }

    pub(super) fn find(&self, key: &str) -> Option<&str> {
        self.entries
            .iter()
            .rev()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    /// Names of the submodules that are in use.
    pub(super) fn submodules(&self) -> BTreeSet<&str> {
        let names = self.entries.iter();
        names
            .filter_map(|(key, _)| key.strip_prefix("submodule.")?.strip_suffix(".url"))
            .collect()
    }

    /// URL of the branch's remote, of `origin`, or of the only one there is.
    pub(super) fn remote_url(&self, branch: Option<&str>) -> Option<&str> {
        let of = |remote: &str| self.find(&format!("remote.{remote}.url"));
        let named = branch.and_then(|branch| self.find(&format!("branch.{branch}.remote")));
        let is_remote = |key: &str| {
            key.strip_prefix("remote.")
                .is_some_and(|rest| rest.rsplit('.').next() == Some("url"))
        };
        let mut remotes = self.entries.iter().filter(|(key, _)| is_remote(key));
        let only = || match (remotes.next(), remotes.next()) {
            (Some((_, url)), None) => Some(url.as_str()),
            _ => None,
        };
        named.and_then(of).or_else(|| of("origin")).or_else(only)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_with_any_value() {
        let settings = Settings::parse(b"a.b\n1\nx\0a.b\n2\0remote.up.url\nhttps://h/x\0c.d\0");
        assert_eq!(settings.find("a.b"), Some("2"));
        assert_eq!(settings.find("c.d"), Some("true"));
        assert_eq!(settings.find("a"), None);
        assert_eq!(settings.remote_url(None), Some("https://h/x"));
    }

    #[test]
    fn the_branch_decides_the_remote() {
        let settings =
            Settings::parse(b"remote.origin.url\no\0remote.fork.url\nf\0branch.x.remote\nfork\0");
        assert_eq!(settings.remote_url(Some("x")), Some("f"));
        assert_eq!(settings.remote_url(Some("y")), Some("o"));
        assert_eq!(
            Settings::parse(b"remote.a.url\n1\0remote.b.url\n2\0").remote_url(None),
            None
        );
    }

    fn git() -> Git<'static> {
        Git::new(Path::new("/"), Path::new("/"))
    }

    #[test]
    fn what_cannot_be_switched_off_is_not_asked() {
        let settings = Settings::parse(b"filter.a=b.clean\nevil\0");
        assert!(git().with_settings(&settings).is_none());
        let settings =
            Settings::parse(b"filter.x y.clean\nevil\0filter.x y.required\ntrue\0user.name\nme\0");
        let git = git().with_settings(&settings).unwrap();
        assert_eq!(
            git.switched_off,
            ["filter.x y.clean=", "filter.x y.required=false"]
        );
    }
}
