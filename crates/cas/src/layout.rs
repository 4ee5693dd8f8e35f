//! The folders of a store, and the file that says which version made them.
//!
//! | path below `objects` | is |
//! |---|---|
//! | `format` | `reproof objects 1` and a line break |
//! | `packs/` | the packs |
//! | `recent/` | what was stored again on which day; see `pins` |
//! | `lock`, `maintenance` | see `locks` |

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::{CasError, Damage};

/// The version of the folders; a store with a larger one is refused.
const FORMAT_VERSION: u32 = 1;
const FORMAT_PREFIX: &str = "reproof objects ";

/// Where the parts of a store are.
pub(crate) struct Folders {
    pub(crate) format: PathBuf,
    pub(crate) packs: PathBuf,
    pub(crate) recent: PathBuf,
}

impl Folders {
    fn below(objects: &Path) -> Self {
        Self {
            format: objects.join("format"),
            packs: objects.join("packs"),
            recent: objects.join("recent"),
        }
    }
}

/// Looks where everything is, makes nothing, and refuses what is newer.
pub(crate) fn find(objects: &Path) -> Result<Folders, CasError> {
    let folders = Folders::below(objects);
    let text = fs::read(&folders.format).map_err(CasError::io("read", &folders.format))?;
    check_format(&folders.format, &text)?;
    Ok(folders)
}

/// Makes what is missing, and refuses what is newer.
pub(crate) fn prepare(objects: &Path, temporary: &Path) -> Result<Folders, CasError> {
    let folders = Folders::below(objects);
    let format = &folders.format;
    match fs::read(format) {
        Ok(text) => check_format(format, &text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make(&folders.packs)?;
            make(&folders.recent)?;
            make(temporary)?;
            write_format(objects, temporary, format)?;
        }
        Err(error) => return Err(CasError::io("read", format)(error)),
    }
    for folder in [&folders.packs, &folders.recent, temporary] {
        if !folder.is_dir() {
            make(folder)?;
        }
    }
    Ok(folders)
}

pub(crate) fn sync_folder(folder: &Path) -> Result<(), CasError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(CasError::io("sync", folder))
}

fn make(folder: &Path) -> Result<(), CasError> {
    fs::create_dir_all(folder).map_err(CasError::io("make", folder))
}

/// Written last, so that a store that has it has all its folders.
fn write_format(objects: &Path, temporary: &Path, format: &Path) -> Result<(), CasError> {
    let mut file = tempfile::Builder::new()
        .prefix("cas-format-")
        .suffix(".tmp")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666))
        .tempfile_in(temporary)
        .map_err(CasError::io("make a file in", temporary))?;
    let written =
        writeln!(file, "{FORMAT_PREFIX}{FORMAT_VERSION}").and_then(|()| file.as_file().sync_all());
    written.map_err(CasError::io("write", file.path()))?;
    file.persist(format)
        .map_err(|fault| CasError::io("rename", format)(fault.error))?;
    sync_folder(objects)?;
    match objects.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_folder(parent),
        _ => Ok(()),
    }
}

/// Checks what the file says, which is nothing but the version.
pub(crate) fn check_format(path: &Path, text: &[u8]) -> Result<(), CasError> {
    let version = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.strip_prefix(FORMAT_PREFIX)?.strip_suffix('\n'))
        .and_then(|digits| digits.parse::<u32>().ok());
    match version {
        Some(FORMAT_VERSION) => Ok(()),
        Some(found) if found > FORMAT_VERSION => Err(CasError::Newer {
            path: path.to_owned(),
            found,
            supported: FORMAT_VERSION,
        }),
        _ => Err(CasError::Damaged {
            path: path.to_owned(),
            offset: 0,
            object: None,
            damage: Damage::Header,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_version_is_taken_and_a_later_one_is_told_from_damage() {
        let check = |text: &[u8]| check_format(Path::new("format"), text);
        check(b"reproof objects 1\n").unwrap();
        let newer = check(b"reproof objects 2\n").unwrap_err();
        assert!(
            matches!(
                newer,
                CasError::Newer {
                    found: 2,
                    supported: 1,
                    ..
                }
            ),
            "{newer}"
        );
        for text in [
            &b""[..],
            b"reproof objects 1",
            b"reproof objects 0\n",
            b"reproof objects +\n",
            b"\xff",
        ] {
            let error = check(text).unwrap_err();
            assert!(matches!(error, CasError::Damaged { .. }), "{error}");
        }
    }
}
