//! What an observer is told.

use std::path::{Path, PathBuf};

use entities::NetworkPeer;

/// Is told what the command and its descendants are about to do.
pub trait Observer: Send + Sync {
    /// Called when a process is about to do something; its thread waits until this returns.
    ///
    /// Calls come from several threads at once.
    /// The call of the kernel may still fail: this is told before it, not after.
    fn before(&self, access: Access);

    /// Called before `before` for each symbolic link that the process's path leads through, in their order.
    ///
    /// The link's own path is absolute, with the links before it resolved; those in /proc and /dev are left out.
    fn followed_link(&self, _pid: u32, _link: &Path) {}
}

/// One thing that a process is about to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The process.
    pub pid: u32,
    /// What it is about to do.
    pub kind: AccessKind,
}

/// What a process is about to do.
///
/// Paths are absolute and as the command sees them.
/// `.`, `..` and links of folders are resolved; of opened and executed files the last link too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessKind {
    /// Open something for reading that exists and is no directory.
    Read {
        /// What is opened.
        path: PathBuf,
    },
    /// Open a file for writing, create or truncate it.
    Write {
        /// What is opened.
        path: PathBuf,
        /// Whether its present content survives the opening.
        keeps_content: bool,
        /// Whether it is opened for reading too.
        reads: bool,
    },
    /// Remove a name of something that exists and is no directory.
    Remove {
        /// What is removed.
        path: PathBuf,
    },
    /// Rename a file or a directory that exists.
    Rename {
        /// Its name.
        from: PathBuf,
        /// Its new name; what is there is replaced.
        to: PathBuf,
    },
    /// Exchange the names of two files.
    Exchange {
        /// The one.
        from: PathBuf,
        /// The other.
        to: PathBuf,
    },
    /// Give a file a second name.
    Link {
        /// Its name.
        from: PathBuf,
        /// The further name.
        to: PathBuf,
    },
    /// Make a symbolic link.
    Symlink {
        /// Where.
        path: PathBuf,
    },
    /// Execute a file that exists; interpreters of scripts are told as a further one.
    Execute {
        /// The file, or the link through which it was started.
        path: PathBuf,
    },
    /// Connect to a peer, or send it a datagram.
    Connect {
        /// The peer.
        peer: NetworkPeer,
    },
}
