//! The difference of two versions of one file as a patch.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;

use entities::RecordedPath;

/// Files larger than this are named as different and not compared line by line.
pub const LARGEST_PATCH_BYTES: usize = 8 << 20;

/// Writes a unified patch that `git apply` and `patch -p1` take; none where both are equal.
///
/// `None` for a version says that the file is not there.
/// Of files that are no UTF-8 text, or too large, one line says that they differ.
///
/// *Determinism*: no time limit, so equal inputs give equal patches.
pub fn unified_patch(
    path: &RecordedPath,
    old: Option<&[u8]>,
    new: Option<&[u8]>,
) -> Option<String> {
    if old == new {
        return None;
    }
    let name = |prefix: &str, version: Option<&[u8]>| match version {
        Some(_) => quoted(prefix, path),
        None => "/dev/null".to_owned(),
    };
    let (old_name, new_name) = (name("a/", old), name("b/", new));
    let mut patch = format!("diff --git {} {}\n", quoted("a/", path), quoted("b/", path));
    match (old, new) {
        (None, Some(_)) => patch.push_str("new file mode 100644\n"),
        (Some(_), None) => patch.push_str("deleted file mode 100644\n"),
        _ => {}
    }
    let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
    match (text_of(old), text_of(new)) {
        // An empty file that comes or goes has no lines to show.
        (Some(""), Some("")) => {}
        (Some(old), Some(new)) => {
            let difference = similar::TextDiff::from_lines(old, new);
            let mut hunks = difference.unified_diff();
            let _ = write!(
                patch,
                "{}",
                hunks.context_radius(3).header(&old_name, &new_name)
            );
        }
        _ => {
            let why = if old.len().max(new.len()) > LARGEST_PATCH_BYTES {
                "Large files"
            } else {
                "Binary files"
            };
            let _ = writeln!(patch, "{why} {old_name} and {new_name} differ");
        }
    }
    Some(patch)
}

fn text_of(bytes: &[u8]) -> Option<&str> {
    if bytes.len() > LARGEST_PATCH_BYTES || bytes.contains(&0) {
        return None;
    }
    std::str::from_utf8(bytes).ok()
}

/// A path as git writes it: plain, or in quotes with octal escapes where it holds anything out of the ordinary.
fn quoted(prefix: &str, path: &RecordedPath) -> String {
    let path = path.to_path();
    let bytes = path.as_os_str().as_bytes();
    let is_plain = |byte: &u8| (0x20..0x7f).contains(byte) && !matches!(byte, b'"' | b'\\');
    if bytes.iter().all(is_plain) {
        return format!("{prefix}{}", String::from_utf8_lossy(bytes));
    }
    let mut text = format!("\"{prefix}");
    for byte in bytes {
        match byte {
            b'"' | b'\\' => {
                text.push('\\');
                text.push(char::from(*byte));
            }
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            plain if is_plain(plain) => text.push(char::from(*plain)),
            other => {
                let _ = write!(text, "\\{other:03o}");
            }
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(old: &[u8], new: &[u8]) -> Option<String> {
        unified_patch(&RecordedPath::new("a.py"), Some(old), Some(new))
    }

    #[test]
    fn a_changed_line_is_shown_with_its_surroundings() {
        let found = patch(
            b"1\n2\n3\n4\n5\nlr = 0.1\n7\n",
            b"1\n2\n3\n4\n5\nlr = 0.2\n7\n",
        )
        .unwrap();
        let expected = "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -3,5 +3,5 @@\n 3\n 4\n 5\n-lr = 0.1\n+lr = 0.2\n 7\n";
        assert_eq!(found, expected);
    }

    #[test]
    fn equal_versions_have_no_patch() {
        assert_eq!(patch(b"a\n", b"a\n"), None);
        assert_eq!(unified_patch(&RecordedPath::new("a"), None, None), None);
    }

    #[test]
    fn a_missing_newline_at_the_end_is_said() {
        let found = patch(b"a\n", b"a").unwrap();
        assert!(
            found.ends_with("-a\n+a\n\\ No newline at end of file\n"),
            "{found}"
        );
    }

    #[test]
    fn a_file_that_comes_or_goes_stands_against_nothing() {
        let path = RecordedPath::new("n.py");
        let added = unified_patch(&path, None, Some(b"x\n")).unwrap();
        assert!(
            added.contains("new file mode 100644\n--- /dev/null\n+++ b/n.py\n@@ -0,0 +1 @@\n+x\n"),
            "{added}"
        );
        let removed = unified_patch(&path, Some(b"x\n"), None).unwrap();
        assert!(
            removed.contains(
                "deleted file mode 100644\n--- a/n.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n"
            ),
            "{removed}"
        );
        let empty = unified_patch(&path, None, Some(b"")).unwrap();
        assert_eq!(empty, "diff --git a/n.py b/n.py\nnew file mode 100644\n");
    }

    #[test]
    fn what_is_no_text_is_named_as_such() {
        for bytes in [&b"\0"[..], b"\xff\xfe"] {
            let found = patch(b"a\n", bytes).unwrap();
            assert!(
                found.ends_with("Binary files a/a.py and b/a.py differ\n"),
                "{found}"
            );
        }
        let large = vec![b'a'; LARGEST_PATCH_BYTES + 1];
        assert!(patch(b"a\n", &large).unwrap().contains("Large files"));
    }

    #[test]
    fn odd_names_are_quoted_as_git_does() {
        use std::os::unix::ffi::OsStrExt as _;
        let path = RecordedPath::new(std::ffi::OsStr::from_bytes(b"a \"b\\\n\xff.py"));
        let found = unified_patch(&path, Some(b"a"), Some(b"b")).unwrap();
        assert!(found.contains(r#"--- "a/a \"b\\\n\377.py""#), "{found}");
    }

    #[test]
    fn thousands_of_changed_lines_stay_quick() {
        let lines = |salt: u32| {
            let numbers = (0..20_000_u32).map(|line| (line.wrapping_mul(salt) % 997).to_string());
            numbers.collect::<Vec<_>>().join("\n")
        };
        let found = patch(lines(31).as_bytes(), lines(37).as_bytes()).unwrap();
        assert!(found.len() > 20_000);
    }
}
