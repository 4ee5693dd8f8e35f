//! Lists of the files of a distribution: `RECORD` of wheels, `installed-files.txt` of older installs.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// One file of a distribution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recorded {
    /// Path in the folder of packages.
    pub(super) path: PathBuf,
    /// The SHA-256 that the list gives, where it does.
    pub(super) sha256: Option<[u8; 32]>,
}

/// Files of the metadata that tell how, when or where something was installed, and not what.
const OF_THE_INSTALLER: &[&str] = &[
    "RECORD",
    "INSTALLER",
    "REQUESTED",
    "direct_url.json",
    "provenance_url.json",
    "uv_cache.json",
    "uv_build.json",
];

/// Reads a `RECORD`: comma-separated values of path, digest and size, in the form of Python's `csv`.
///
/// Paths that lead out of the folder are left out: scripts (`../../../bin/x`) hold the path of the environment.
pub(super) fn parse_record(bytes: &[u8]) -> Vec<Recorded> {
    let mut files: Vec<_> = rows(bytes)
        .into_iter()
        .filter_map(|row| {
            let mut fields = row.into_iter();
            let path = inner_path(&fields.next()?)?;
            let sha256 = fields.next().and_then(|digest| parse_digest(&digest));
            Some(Recorded { path, sha256 })
        })
        .collect();
    sort(&mut files);
    files
}

/// Reads an `installed-files.txt`: a path in a line, relative to the folder of the metadata.
pub(super) fn parse_installed_files(bytes: &[u8], metadata: &OsStr) -> Vec<Recorded> {
    let lines = bytes
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty());
    let mut files: Vec<_> = lines
        .filter_map(|line| {
            let path = resolve(&Path::new(metadata).join(OsStr::from_bytes(line)))?;
            let path = inner_path(path.as_os_str().as_bytes())?;
            Some(Recorded { path, sha256: None })
        })
        .collect();
    sort(&mut files);
    files
}

/// Sorts by the bytes of the paths, each path once.
pub(super) fn sort(files: &mut Vec<Recorded>) {
    files.sort_by(|one, other| {
        one.path
            .as_os_str()
            .as_bytes()
            .cmp(other.path.as_os_str().as_bytes())
    });
    files.dedup_by(|one, other| one.path == other.path);
}

/// Takes out `..` by the names alone; none where it leads out.
fn resolve(path: &Path) -> Option<PathBuf> {
    let mut resolved = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => resolved.push(name),
            Component::CurDir => {}
            Component::ParentDir if resolved.pop() => {}
            _ => return None,
        }
    }
    Some(resolved)
}

/// A path that stays in the folder and belongs to what was installed.
fn inner_path(bytes: &[u8]) -> Option<PathBuf> {
    let path = Path::new(OsStr::from_bytes(bytes));
    let is_plain = path
        .components()
        .all(|component| matches!(component, Component::Normal(_)));
    let is_whole = !bytes.is_empty() && !bytes.contains(&0) && !bytes.ends_with(b"/");
    (is_plain && is_whole && is_content(path)).then(|| path.components().collect())
}

/// Whether a file is the same wherever and by whomever it is installed.
pub(super) fn is_content(path: &Path) -> bool {
    if path.extension() == Some(OsStr::new("pyc")) {
        return false;
    }
    let is_metadata = is_in_metadata(path);
    let is_of_installer = path
        .file_name()
        .and_then(OsStr::to_str)
        .is_some_and(|name| OF_THE_INSTALLER.contains(&name));
    !(is_metadata && is_of_installer)
}

/// Whether a path is that of metadata: `x-1.0.dist-info/METADATA`.
pub(super) fn is_in_metadata(path: &Path) -> bool {
    let first = path
        .components()
        .next()
        .map(|component| component.as_os_str().as_bytes())
        .unwrap_or_default();
    [&b".dist-info"[..], b".egg-info", b"EGG-INFO"]
        .iter()
        .any(|end| first.ends_with(end))
}

fn parse_digest(digest: &[u8]) -> Option<[u8; 32]> {
    let digits = digest.strip_prefix(b"sha256=")?;
    let digits = std::str::from_utf8(digits).ok()?.trim_end_matches('=');
    URL_SAFE_NO_PAD.decode(digits).ok()?.try_into().ok()
}

/// Splits comma-separated values; a quoted field may hold commas, line ends and doubled quotes.
fn rows(bytes: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let mut rows = Vec::new();
    let mut row: Vec<Vec<u8>> = Vec::new();
    let mut field = Vec::new();
    let mut is_quoted = false;
    let mut bytes = bytes.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' if is_quoted && bytes.next_if_eq(&b'"').is_some() => field.push(b'"'),
            b'"' if is_quoted || field.is_empty() => is_quoted = !is_quoted,
            other if is_quoted => field.push(other),
            b',' => row.push(std::mem::take(&mut field)),
            b'\n' | b'\r' => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            other => field.push(other),
        }
    }
    row.push(field);
    rows.push(row);
    rows.retain(|row| row.iter().any(|field| !field.is_empty()));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(record: &[u8]) -> Vec<String> {
        parse_record(record)
            .iter()
            .map(|file| file.path.to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn a_record_is_read_in_the_form_of_python_s_csv() {
        let digest = "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";
        let record = format!(
            "b.py,{digest},0\r\n\"a,\"\"b\"\"\nc.py\",,\n\nx-1.dist-info/METADATA,{digest},1\nlast.py"
        );
        let files = parse_record(record.as_bytes());
        let names: Vec<_> = files
            .iter()
            .map(|file| file.path.to_str().unwrap())
            .collect();
        assert_eq!(
            names,
            ["a,\"b\"\nc.py", "b.py", "last.py", "x-1.dist-info/METADATA"]
        );
        assert_eq!(hex::encode(files[1].sha256.unwrap())[..8], *"e3b0c442");
        assert_eq!(files[0].sha256, None);
    }

    #[test]
    fn paths_that_lead_out_are_not_followed() {
        let record = b"../../../bin/x,,\n/etc/shadow,,\na/../../x,,\n..,,\n./a,,\na/./b,,\na//b,,\na/..,,\n\"\",,\n,x\na\0b,,\n";
        // Rust reads `a/./b` and `a//b` as `a/b`; so does the kernel.
        assert_eq!(paths(record), ["a/b"]);
        assert_eq!(
            parse_installed_files(b"../../x\n/etc/x\n", OsStr::new("p.egg-info")),
            []
        );
    }

    #[test]
    fn what_the_installer_adds_is_left_out_in_the_metadata_only() {
        let record =
            b"p-1.dist-info/RECORD,,\np-1.dist-info/INSTALLER,,\np-1.dist-info/direct_url.json,,\n\
            p/RECORD,,\np/__pycache__/a.cpython-311.pyc,,\np-1.dist-info/WHEEL,,\n";
        assert_eq!(paths(record), ["p-1.dist-info/WHEEL", "p/RECORD"]);
    }

    #[test]
    fn digests_of_other_kinds_are_no_digests() {
        for digest in [
            "md5=x",
            "sha256=",
            "sha256=%%%",
            "sha256=AAAA",
            "sha512=47DE",
            "",
        ] {
            assert_eq!(parse_digest(digest.as_bytes()), None, "{digest}");
        }
    }

    #[test]
    fn installed_files_are_relative_to_the_metadata() {
        let files = parse_installed_files(
            b"../p/__init__.py\nPKG-INFO\n../p/x.pyc\n",
            OsStr::new("p.egg-info"),
        );
        let names: Vec<_> = files
            .iter()
            .map(|file| file.path.to_str().unwrap())
            .collect();
        assert_eq!(names, ["p.egg-info/PKG-INFO", "p/__init__.py"]);
    }

    #[test]
    fn any_bytes_are_survived() {
        for bytes in [
            &b"\""[..],
            b"\"\"\"",
            b",,,,",
            b"\xff\xfe,\xff",
            b"\n\n\r",
            b"a\"b,c",
        ] {
            parse_record(bytes);
        }
        assert_eq!(
            parse_record(b"\xff.py,,")[0].path.as_os_str().as_bytes(),
            b"\xff.py"
        );
    }
}
