//! What a place where clients write artifacts must be able to do.

use std::fmt;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

/// The roots below which a server may read what clients wrote, and write for them.
#[derive(Clone, Debug, Default)]
pub struct Locations {
    roots: Vec<Arc<dyn Root>>,
}

impl Locations {
    /// Those below these roots, and nothing else.
    pub fn new(roots: Vec<Arc<dyn Root>>) -> Self {
        Self { roots }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }

    /// The location that a URI names; none where it is not below a root.
    pub fn find(&self, uri: &str) -> Option<Arc<dyn Location>> {
        self.roots.iter().find_map(|root| root.find(uri))
    }
}

/// What whoever runs a server named.
pub trait Root: fmt::Debug + Send + Sync {
    /// The location that a URI names; none where it is not below this root, or is not plain.
    fn find(&self, uri: &str) -> Option<Arc<dyn Location>>;
}

/// The folder of artifacts of a run, a logged model or a trace. All calls may block.
///
/// Paths are relative, with slashes, and hold no empty, `.` or `..` component; the empty path is the location itself.
pub trait Location: fmt::Debug + Send + Sync {
    /// What lies right in a folder, by name; none where there is no such folder.
    fn list(&self, folder: &str) -> Result<Option<Vec<Entry>>, LocationError>;

    /// All files below a folder, by path; none where there is no such folder.
    ///
    /// *Errors*: `TooMany` where there are more than `most`, folders and what is passed over included.
    fn walk(&self, folder: &str, most: usize) -> Result<Option<Walk>, LocationError>;

    /// Opens what stands at a path.
    fn open(&self, path: &str) -> Result<Found, LocationError>;

    /// Writes a file, whole or not at all; one that was there is replaced.
    fn write(&self, path: &str, content: &mut (dyn Read + Send)) -> Result<(), LocationError>;

    /// Whether what stands here is to be kept beside the record as well. Not so where reading it costs money.
    fn is_taken_over(&self) -> bool;
}

/// One line of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name in the folder.
    pub name: String,
    /// Its size; none of a folder.
    pub size_bytes: Option<u64>,
}

/// The files below a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    /// Their paths below the location.
    pub files: Vec<FoundFile>,
    /// What is there and is none of them: links that lead out or to folders, names that are not text, pipes,
    /// folders that may not be read.
    pub passed_over: Vec<String>,
}

/// A file that a walk found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundFile {
    /// Its path below the location.
    pub path: String,
    /// Its size.
    pub size_bytes: u64,
    /// Changes with its content.
    pub tag: String,
}

/// What stands at a path.
#[derive(Debug)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// A folder.
    Folder,
    /// A file.
    File(Box<dyn Located>),
}

/// A file that is open.
pub trait Located: fmt::Debug + Send {
    /// Its size.
    fn size_bytes(&self) -> u64;

    /// Changes with its content; letters, digits and `-`.
    fn tag(&self) -> &str;

    /// Reads `length` bytes from `offset` on, which lie inside. It fails where there are fewer after all.
    fn read(
        self: Box<Self>,
        offset: u64,
        length: u64,
    ) -> Result<Box<dyn Read + Send>, LocationError>;
}

/// Why a location could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LocationError {
    /// A link leads out of it.
    #[error("`{path}` leads out of the artifacts that it is among")]
    Outside {
        /// The path below the location.
        path: String,
    },
    /// A file is to be written where a folder is, or below a file.
    #[error("`{path}` cannot be written: a folder stands there, or a file above it")]
    InTheWay {
        /// The path below the location.
        path: String,
    },
    /// There are more files and folders than are wanted.
    #[error("there are more than {limit} files and folders")]
    TooMany {
        /// How many are taken.
        limit: usize,
    },
    /// The root is not there, as where a disk is not mounted.
    #[error("the folder of artifacts {} cannot be opened", root.display())]
    Root {
        /// The root.
        root: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The system refused.
    #[error("cannot {action} `{path}`")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The path below the location.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An object store refused, or could not be asked.
    #[error("{message}")]
    Remote {
        /// What was tried, where, and what may help; without anything secret.
        message: String,
    },
}

/// A reader that gives so many bytes, or fails.
pub fn exactly<R: Read>(reader: R, length: u64) -> impl Read + use<R> {
    Exactly {
        reader,
        left: length,
    }
}

struct Exactly<R> {
    reader: R,
    left: u64,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        if most == 0 {
            return Ok(0);
        }
        let length = self.reader.read(&mut buffer[..most])?;
        if length == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("{} bytes are missing at the end", self.left),
            ));
        }
        self.left -= length as u64;
        Ok(length)
    }
}
