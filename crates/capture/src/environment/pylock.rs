//! An environment as a `pylock.toml` (PEP 751).
//!
//! It says what is installed, not where it came from: an installer keeps no digest of the wheel that it unpacked, so
//! none is claimed. What is known instead stands in the table of this tool: the tags of the wheel, and the digest
//! over the installed files.

use std::fmt::Write as _;

use entities::{Distribution, Interpreter};

use super::distribution::Facts;
use super::origin::{Origin, OriginKind};

/// Writes the lock file; the same environment gives the same text, wherever it is installed.
pub(super) fn write(
    interpreter: &Interpreter,
    distributions: &[(&Distribution, &Facts)],
) -> String {
    let mut text = String::from("lock-version = \"1.0\"\n");
    let version = interpreter.version.trim_end_matches('+');
    line(&mut text, "requires-python", &format!("=={version}"));
    line(&mut text, "created-by", "reproof");
    for (distribution, facts) in distributions {
        text.push_str("\n[[packages]]\n");
        line(&mut text, "name", &distribution.name);
        line(&mut text, "version", &distribution.version);
        if let Some(origin) = &facts.origin {
            write_origin(&mut text, origin);
        }
        text.push_str("\n[packages.tool.reproof]\n");
        line(
            &mut text,
            "content-sha256",
            &distribution.content_digest.to_string(),
        );
        let tags: Vec<_> = facts.wheel_tags.iter().map(|tag| quote(tag)).collect();
        let _ = writeln!(text, "wheel-tags = [{}]", tags.join(", "));
    }
    text
}

fn write_origin(text: &mut String, origin: &Origin) {
    let table = match &origin.kind {
        OriginKind::Vcs { .. } => "vcs",
        OriginKind::Archive { .. } => "archive",
        OriginKind::Directory { .. } => "directory",
    };
    let _ = writeln!(text, "\n[packages.{table}]");
    match &origin.kind {
        OriginKind::Vcs { system, commit } => {
            line(text, "type", system);
            line(text, "url", &origin.url);
            line(text, "commit-id", commit);
        }
        OriginKind::Archive { sha256 } => {
            line(text, "url", &origin.url);
            if let Some(sha256) = sha256 {
                let _ = writeln!(text, "hashes = {{ sha256 = {} }}", quote(sha256));
            }
        }
        OriginKind::Directory { is_editable } => {
            line(
                text,
                "path",
                origin.url.strip_prefix("file://").unwrap_or(&origin.url),
            );
            let _ = writeln!(text, "editable = {is_editable}");
        }
    }
    if let Some(subdirectory) = &origin.subdirectory {
        line(text, "subdirectory", subdirectory);
    }
}

fn line(text: &mut String, key: &str, value: &str) {
    let _ = writeln!(text, "{key} = {}", quote(value));
}

/// A basic string of TOML.
fn quote(value: &str) -> String {
    let mut quoted = String::from("\"");
    for character in value.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            other if other.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", other as u32);
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use entities::{ObjectId, RecordedPath, Sha256Digest};

    use super::*;

    fn interpreter() -> Interpreter {
        Interpreter {
            implementation: "CPython".into(),
            version: "3.11.7+".into(),
            build: String::new(),
            path: RecordedPath::new("/v/bin/python"),
            binary: RecordedPath::new("/usr/bin/python3.11"),
            object: ObjectId::of(b""),
            prefix: RecordedPath::new("/v"),
            base_prefix: RecordedPath::new("/usr"),
        }
    }

    #[test]
    fn each_distribution_has_its_table() {
        let facts = |origin| Facts {
            name: "x".into(),
            version: "1".into(),
            content_digest: Sha256Digest::of(b""),
            origin,
            wheel_tags: vec!["py3-none-any".into()],
            modified: Vec::new(),
        };
        let distribution = |name: &str| Distribution {
            name: name.into(),
            version: "1".into(),
            content_digest: Sha256Digest::of(b""),
            is_imported: false,
            direct_url: None,
            modified_files: Vec::new(),
        };
        let origin = |text: &str| Origin::parse(text.as_bytes());
        let vcs = facts(origin(
            r#"{"url": "https://h/x", "vcs_info": {"vcs": "git", "commit_id": "abc"}}"#,
        ));
        let (plain, named) = (facts(None), distribution("evil\"\n[x]"));
        let text = write(
            &interpreter(),
            &[(&named, &plain), (&distribution("b"), &vcs)],
        );
        let empty = Sha256Digest::of(b"");
        let expected = format!(
            "lock-version = \"1.0\"\nrequires-python = \"==3.11.7\"\ncreated-by = \"reproof\"\n\n\
            [[packages]]\nname = \"evil\\\"\\u000A[x]\"\nversion = \"1\"\n\n\
            [packages.tool.reproof]\ncontent-sha256 = \"{empty}\"\nwheel-tags = [\"py3-none-any\"]\n\n\
            [[packages]]\nname = \"b\"\nversion = \"1\"\n\n\
            [packages.vcs]\ntype = \"git\"\nurl = \"https://h/x\"\ncommit-id = \"abc\"\n\n\
            [packages.tool.reproof]\ncontent-sha256 = \"{empty}\"\nwheel-tags = [\"py3-none-any\"]\n"
        );
        assert_eq!(text, expected);
    }
}
