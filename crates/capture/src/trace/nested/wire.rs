//! What supervisors tell each other, as JSON in packets.

use std::path::PathBuf;

use entities::{NetworkPeer, RecordedPath};
use serde::{Deserialize, Serialize};

use crate::trace::AccessKind;
use crate::trace::findings::Notes;
use crate::trace::observe::Observed;

/// An inner supervisor wants to join.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Join {
    /// Version of what follows; another one is refused.
    pub(super) v: u32,
    /// The process below which everything is its command's.
    pub(super) keeper: u32,
}

/// The outer supervisor's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Welcome {
    pub(super) is_accepted: bool,
}

/// Version of these packets.
pub(super) const VERSION: u32 = 1;

/// Longest packet: two paths of 4096 bytes in hex, and room to spare.
pub(super) const PACKET_BYTES_MAX: usize = 64 * 1024;

/// What a process of the inner command is about to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    /// To be sent back when the process may go on.
    pub(super) id: u64,
    pub(super) pid: u32,
    pub(super) links: Vec<RecordedPath>,
    pub(super) accesses: Vec<WireAccess>,
    pub(super) gaps: Vec<(String, String)>,
    pub(super) signs: Vec<(String, String)>,
}

/// The process may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Done {
    pub(super) id: u64,
}

/// An access with its paths in a form that JSON can hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum WireAccess {
    Read(RecordedPath),
    Write {
        path: RecordedPath,
        keeps_content: bool,
        reads: bool,
    },
    Remove(RecordedPath),
    Rename(RecordedPath, RecordedPath),
    Exchange(RecordedPath, RecordedPath),
    Link(RecordedPath, RecordedPath),
    Symlink(RecordedPath),
    Execute(RecordedPath),
    Connect(NetworkPeer),
}

impl From<&AccessKind> for WireAccess {
    fn from(kind: &AccessKind) -> Self {
        match kind {
            AccessKind::Read { path } => Self::Read(RecordedPath::new(path)),
            AccessKind::Write {
                path,
                keeps_content,
                reads,
            } => Self::Write {
                path: RecordedPath::new(path),
                keeps_content: *keeps_content,
                reads: *reads,
            },
            AccessKind::Remove { path } => Self::Remove(RecordedPath::new(path)),
            AccessKind::Rename { from, to } => {
                Self::Rename(RecordedPath::new(from), RecordedPath::new(to))
            }
            AccessKind::Exchange { from, to } => {
                Self::Exchange(RecordedPath::new(from), RecordedPath::new(to))
            }
            AccessKind::Link { from, to } => {
                Self::Link(RecordedPath::new(from), RecordedPath::new(to))
            }
            AccessKind::Symlink { path } => Self::Symlink(RecordedPath::new(path)),
            AccessKind::Execute { path } => Self::Execute(RecordedPath::new(path)),
            AccessKind::Connect { peer } => Self::Connect(peer.clone()),
        }
    }
}

impl From<WireAccess> for AccessKind {
    fn from(access: WireAccess) -> Self {
        let path = |path: RecordedPath| -> PathBuf { path.to_path() };
        match access {
            WireAccess::Read(read) => Self::Read { path: path(read) },
            WireAccess::Write {
                path: written,
                keeps_content,
                reads,
            } => Self::Write {
                path: path(written),
                keeps_content,
                reads,
            },
            WireAccess::Remove(removed) => Self::Remove {
                path: path(removed),
            },
            WireAccess::Rename(from, to) => Self::Rename {
                from: path(from),
                to: path(to),
            },
            WireAccess::Exchange(from, to) => Self::Exchange {
                from: path(from),
                to: path(to),
            },
            WireAccess::Link(from, to) => Self::Link {
                from: path(from),
                to: path(to),
            },
            WireAccess::Symlink(link) => Self::Symlink { path: path(link) },
            WireAccess::Execute(program) => Self::Execute {
                path: path(program),
            },
            WireAccess::Connect(peer) => Self::Connect { peer },
        }
    }
}

impl Told {
    pub(super) fn new(id: u64, observed: &Observed) -> Self {
        let texts = |notes: &std::collections::BTreeMap<_, _>| {
            let pairs = notes.iter();
            pairs
                .map(
                    |(code, message): (
                        &std::borrow::Cow<'static, str>,
                        &std::borrow::Cow<'static, str>,
                    )| { (code.to_string(), message.to_string()) },
                )
                .collect()
        };
        Self {
            id,
            pid: observed.actor.pid,
            links: observed.links.iter().map(RecordedPath::new).collect(),
            accesses: observed.accesses.iter().map(WireAccess::from).collect(),
            gaps: texts(&observed.notes.gaps),
            signs: texts(&observed.notes.signs),
        }
    }

    /// What was noted of the call.
    pub(super) fn notes(&self) -> Notes {
        let cows = |texts: &[(String, String)]| {
            texts
                .iter()
                .map(|(code, message)| (code.clone().into(), message.clone().into()))
                .collect()
        };
        Notes {
            gaps: cows(&self.gaps),
            signs: cows(&self.signs),
        }
    }
}

pub(super) fn to_packet(message: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(message).expect("texts and numbers have a JSON form")
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    #[test]
    fn every_access_survives_its_packet() {
        let path = || PathBuf::from(OsStr::from_bytes(b"/a\n\xff b"));
        let peer = NetworkPeer {
            family: "inet".to_owned(),
            address: "127.0.0.1:1".to_owned(),
        };
        let kinds = [
            AccessKind::Read { path: path() },
            AccessKind::Write {
                path: path(),
                keeps_content: true,
                reads: false,
            },
            AccessKind::Remove { path: path() },
            AccessKind::Rename {
                from: path(),
                to: path(),
            },
            AccessKind::Exchange {
                from: path(),
                to: path(),
            },
            AccessKind::Link {
                from: path(),
                to: path(),
            },
            AccessKind::Symlink { path: path() },
            AccessKind::Execute { path: path() },
            AccessKind::Connect { peer },
        ];
        for kind in kinds {
            let packet = to_packet(&WireAccess::from(&kind));
            let read: WireAccess = serde_json::from_slice(&packet).unwrap();
            assert_eq!(AccessKind::from(read), kind);
        }
    }

    #[test]
    fn the_longest_paths_fit_in_a_packet() {
        let path = PathBuf::from(OsStr::from_bytes(&[0xff; 4095]));
        let kind = AccessKind::Rename {
            from: path.clone(),
            to: path,
        };
        assert!(to_packet(&WireAccess::from(&kind)).len() < PACKET_BYTES_MAX / 2);
    }
}
