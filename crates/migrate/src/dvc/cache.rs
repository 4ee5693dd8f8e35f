//! DVC's cache: files named by the MD5 of their content, and folders as lists of such.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use locations::{FolderRoot, Found, Located, Location, Root as _};
use serde::Deserialize;

use super::declared::{Kept, Out, digits_of, is_folder, is_md5, joined};
use super::digests::{Digests, Era};

pub(super) const NOT_THERE: &str = "it is not in DVC's cache; `dvc fetch` brings it, and where the cache is elsewhere, `--cache FOLDER` names it";
pub(super) const DAMAGED: &str = "what DVC's cache has under its name has another MD5";
const NO_LIST: &str = "what DVC's cache has under its name is no list of files";
const LEADS_OUT: &str = "its path leads out of the folder that it is listed in";
const NO_NAME: &str = "the list that names it has no MD5 of it";
const OUTSIDE: &str = "DVC's settings put the cache outside of the repository, where nothing is read unless `--cache FOLDER` names it";
const ELSEWHERE: &str = "DVC does not keep it by its MD5";

/// Longest list of a folder that is read.
const LONGEST_LIST_BYTES: u64 = 256 << 20;

/// Longest settings that are read.
const LONGEST_SETTINGS_BYTES: u64 = 1 << 20;

/// Where DVC 3 has contents, below its cache; what was there before stands right in it.
const NOW: &str = "files/md5/";

/// A cache.
///
/// What was looked at is remembered, since experiments share most of their files.
pub(super) struct Cache {
    place: Result<Arc<dyn Location>, &'static str>,
    verdicts: Mutex<BTreeMap<String, Verdict>>,
}

/// Where a content is whose MD5 was checked, or why it is not there.
type Verdict = Result<Era, &'static str>;

/// A content of the cache whose MD5 was checked.
#[derive(Clone)]
pub(crate) struct CachedFile {
    place: Arc<dyn Location>,
    md5: String,
    era: Era,
}

/// A file of an output: its path in the project, and the name in the cache or why there is none.
pub(super) type Listing = Vec<(String, Result<String, &'static str>)>;

/// A line of the list of a folder.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Listed {
    #[serde(default)]
    md5: Option<String>,
    relpath: String,
}

impl Cache {
    /// The cache of a project: the folder that was named for it, the one that its settings name, or that below `.dvc`.
    /// Settings are believed only as far as they stay in the repository, whose folder has no links in it.
    pub(super) fn of(repository: &Path, project: &str, named: Option<&Path>) -> Self {
        let place = match named {
            Some(named) => named
                .canonicalize()
                .ok()
                .and_then(|named| location(&named, ""))
                .ok_or(NOT_THERE),
            None => in_settings(repository, project),
        };
        Self {
            place,
            verdicts: Mutex::default(),
        }
    }

    /// The files of an output. Only the lists of folders are read for it.
    pub(super) fn expand(&self, out: &Out) -> Listing {
        let path = &out.path;
        let alone = |found| vec![(path.clone(), found)];
        match &out.kept {
            Kept::Elsewhere | Kept::Git => alone(Err(ELSEWHERE)),
            Kept::Each(files) => listing(path, files.clone()),
            Kept::Cache(md5) if is_folder(md5) => match self.read_list(md5) {
                Ok(files) => listing(path, files),
                Err(why) => alone(Err(why)),
            },
            Kept::Cache(md5) => alone(Ok(md5.clone())),
        }
    }

    /// What has that MD5; it is read to see that it has.
    pub(super) fn find(&self, md5: &str) -> Result<CachedFile, &'static str> {
        let place = self.place.as_ref().map_err(|why| *why)?;
        let known = self.lock().get(md5).copied();
        let verdict = known.unwrap_or_else(|| {
            let found = look_at(place.as_ref(), md5);
            self.lock().insert(md5.to_owned(), found);
            found
        });
        verdict.map(|era| CachedFile {
            place: Arc::clone(place),
            md5: md5.to_owned(),
            era,
        })
    }

    fn read_list(&self, md5: &str) -> Result<Vec<Listed>, &'static str> {
        let found = self.find(md5)?;
        let bytes = found.read(LONGEST_LIST_BYTES).map_err(|_| NO_LIST)?;
        let bytes = bytes.ok_or(NO_LIST)?;
        serde_json::from_slice(&bytes).map_err(|_| NO_LIST)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Verdict>> {
        self.verdicts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CachedFile {
    /// What names its content.
    pub(crate) fn md5(&self) -> &str {
        &self.md5
    }

    /// The whole content; none where it is longer.
    pub(super) fn read(&self, longest_bytes: u64) -> io::Result<Option<Vec<u8>>> {
        let mut reader = self.open()?;
        if reader.size_bytes() > longest_bytes {
            return Ok(None);
        }
        let mut content = Vec::new();
        reader.read_to_end(&mut content)?;
        Ok(Some(content))
    }

    /// A reader that fails at the end if the content has another MD5 now.
    pub(crate) fn open(&self) -> io::Result<Checked> {
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        let opened = open(self.place.as_ref(), &path_of(&self.md5, self.era));
        let opened = opened.ok_or_else(gone)?;
        let size_bytes = opened.size_bytes();
        let reader = opened.read(0, size_bytes).map_err(io::Error::other)?;
        Ok(Checked {
            reader,
            size_bytes,
            digests: Some(Digests::new(self.era)),
            md5: self.md5.clone(),
        })
    }
}

impl fmt::Debug for CachedFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.md5)
    }
}

/// What reads a content and checks it.
pub(crate) struct Checked {
    reader: Box<dyn Read + Send>,
    size_bytes: u64,
    /// None once the end was read.
    digests: Option<Digests>,
    md5: String,
}

impl Checked {
    pub(crate) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = self.reader.read(buffer)?;
        if count > 0 {
            if let Some(digests) = &mut self.digests {
                digests.update(&buffer[..count]);
            }
        } else if let Some(digests) = self.digests.take()
            && !digests.is(digits_of(&self.md5))
        {
            return Err(io::Error::new(io::ErrorKind::InvalidData, DAMAGED));
        }
        Ok(count)
    }
}

/// Reads what the cache has under a name.
fn look_at(place: &dyn Location, md5: &str) -> Verdict {
    let mut verdict = Err(NOT_THERE);
    for era in [Era::Now, Era::Before] {
        let Some(opened) = open(place, &path_of(md5, era)) else {
            continue;
        };
        let size_bytes = opened.size_bytes();
        let read = opened.read(0, size_bytes).map_err(io::Error::other);
        let read = read.and_then(|mut reader| {
            let mut digests = Digests::new(era);
            let mut buffer = vec![0; 256 << 10];
            loop {
                match reader.read(&mut buffer)? {
                    0 => return Ok(digests.is(digits_of(md5))),
                    count => digests.update(&buffer[..count]),
                }
            }
        });
        match read {
            Ok(true) => return Ok(era),
            Ok(false) => verdict = Err(DAMAGED),
            Err(_) => {}
        }
    }
    verdict
}

/// Opens a file; none where there is none, or only a link that leads out.
fn open(place: &dyn Location, path: &str) -> Option<Box<dyn Located>> {
    match place.open(path) {
        Ok(Found::File(opened)) => Some(opened),
        _ => None,
    }
}

fn path_of(md5: &str, era: Era) -> String {
    let (first, rest) = md5.split_at(2);
    let above = match era {
        Era::Now => NOW,
        Era::Before => "",
    };
    format!("{above}{first}/{rest}")
}

fn listing(folder: &str, files: Vec<Listed>) -> Listing {
    let files = files.into_iter().map(|Listed { md5, relpath }| {
        let inside = joined("", &relpath).filter(|path| !path.is_empty() && *path == relpath);
        let Some(inside) = inside else {
            return (format!("{folder}: {relpath}"), Err(LEADS_OUT));
        };
        let md5 = md5.filter(|md5| is_md5(md5) && !is_folder(md5));
        (format!("{folder}/{inside}"), md5.ok_or(NO_NAME))
    });
    files.collect()
}

/// The cache that the settings of a project name, or the one that they need not name.
fn in_settings(repository: &Path, project: &str) -> Result<Arc<dyn Location>, &'static str> {
    let settings = joined(project, ".dvc").ok_or(NOT_THERE)?;
    let folder = location(repository, &settings).ok_or(NOT_THERE)?;
    let named = ["config.local", "config"]
        .iter()
        .filter_map(|name| read_settings(folder.as_ref(), name))
        .find_map(|text| folder_in(&text));
    // A relative one begins at the settings.
    let cache = match named {
        None => joined(&settings, "cache"),
        Some(named) => match Path::new(&named).strip_prefix(repository) {
            Ok(inside) => inside.to_str().and_then(|inside| joined("", inside)),
            Err(_) if named.starts_with('~') => None,
            Err(_) => joined(&settings, &named),
        },
    };
    location(repository, &cache.ok_or(OUTSIDE)?).ok_or(NOT_THERE)
}

fn read_settings(folder: &dyn Location, name: &str) -> Option<String> {
    let opened = open(folder, name)?;
    let size_bytes = opened.size_bytes();
    (size_bytes <= LONGEST_SETTINGS_BYTES).then_some(())?;
    let mut text = String::new();
    let mut reader = opened.read(0, size_bytes).ok()?;
    reader.read_to_string(&mut text).ok()?;
    Some(text)
}

/// A folder below another, in which and to which no link is followed that leads out of it.
fn location(above: &Path, inside: &str) -> Option<Arc<dyn Location>> {
    // A path is decoded there as one in a URI.
    let above = above.to_str()?.replace('%', "%25");
    let inside = inside.replace('%', "%25");
    FolderRoot::new(&above)?.find(&format!("{above}/{inside}"))
}

/// The folder that settings name for the cache.
///
/// *Source*: ConfigObj, which DVC reads them with: a value may have quotes, and without them ends before a `#`.
fn folder_in(settings: &str) -> Option<String> {
    let mut is_of_cache = false;
    for line in settings.lines().map(str::trim) {
        if line.starts_with('[') {
            is_of_cache = line == "[cache]";
        } else if let Some((key, value)) = line.split_once('=')
            && is_of_cache
            && key.trim() == "dir"
        {
            let value = value.trim();
            let quoted = ['"', '\''].iter().find_map(|quote| {
                let (inside, _) = value.strip_prefix(*quote)?.split_once(*quote)?;
                Some(inside)
            });
            let plain = || value.split('#').next().unwrap_or_default().trim_end();
            return Some(quoted.unwrap_or_else(plain).to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests;
