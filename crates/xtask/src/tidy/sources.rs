//! What each text file must keep to: its length, no `unsafe`, no test ignored, nothing of one machine.

use super::{Complaint, TextFile};

/// Past this a file holds several things; it is split by noun long before.
const LINES_MAX: usize = 800;

/// The one room that may call the kernel by hand.
const UNSAFE_ROOM: &str = "crates/capture/";

/// What comes after the keyword where it opens something, and not where a text speaks of it.
const AFTER_UNSAFE: [&str; 6] = ["{", "fn ", "impl ", "impl<", "extern ", "trait "];

/// Paths of one machine, and hosts that a mirror or another index would replace.
/// Each is cut in two, so that this file does not hold what it looks for.
const MACHINE: [(&str, &str); 8] = [
    ("/wo", "rk/"),
    ("/ro", "ot/"),
    ("/tmp/", "bash_jobs"),
    ("/opt/", "wheels"),
    ("py", "pi.org"),
    ("python", "hosted.org"),
    ("index.", "crates.io"),
    ("proxy.", "golang.org"),
];

/// Names of files that tools write.
const GENERATED: [&str; 2] = ["Cargo.lock", "docs/openapi.json"];

/// All complaints about one file.
pub(super) fn check(file: &TextFile) -> Vec<Complaint> {
    let is_generated = GENERATED.contains(&file.path.as_str()) || file.path.contains("/golden/");
    if is_generated {
        return Vec::new();
    }
    let mut complaints = Vec::new();
    complaints.extend(check_length(file));
    complaints.extend(check_unsafe(file));
    complaints.extend(check_machine(file));
    complaints.extend(check_ignored(file));
    complaints
}

fn check_length(file: &TextFile) -> Option<Complaint> {
    let lines = file.text.lines().count();
    (lines > LINES_MAX).then(|| Complaint {
        path: file.path.clone(),
        line: None,
        message: format!("has {lines} lines; the limit is {LINES_MAX}"),
    })
}

fn check_unsafe(file: &TextFile) -> Vec<Complaint> {
    if !file.has_extension("rs") || file.path.starts_with(UNSAFE_ROOM) {
        return Vec::new();
    }
    let message = format!("unsafe code stands in {UNSAFE_ROOM} only");
    complain_of_lines(file, &message, opens_unsafe)
}

fn check_machine(file: &TextFile) -> Vec<Complaint> {
    let found = MACHINE.iter().flat_map(|(start, end)| {
        let pattern = format!("{start}{end}");
        let message = format!("`{pattern}` belongs to one machine or one mirror");
        complain_of_lines(file, &message, |line| line.contains(&pattern))
    });
    found.collect()
}

/// A test that lacks something says so and passes; one that shows what is wrong today asserts it.
fn check_ignored(file: &TextFile) -> Vec<Complaint> {
    if !file.has_extension("rs") {
        return Vec::new();
    }
    complain_of_lines(file, "a test is never ignored", |line| {
        let line = line.trim_start();
        line.starts_with("#[ignore]") || line.starts_with("#[ignore =")
    })
}

/// Whether the keyword stands outside of a comment and opens something.
fn opens_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    let keyword = "unsafe ";
    code.match_indices(keyword).any(|(at, _)| {
        let is_word =
            !code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_');
        let rest = code[at + keyword.len()..].trim_start();
        is_word && AFTER_UNSAFE.iter().any(|opening| rest.starts_with(opening))
    })
}

fn complain_of_lines(
    file: &TextFile,
    message: &str,
    is_wrong: impl Fn(&str) -> bool,
) -> Vec<Complaint> {
    let wrong = file
        .text
        .lines()
        .enumerate()
        .filter(|(_, line)| is_wrong(line));
    wrong
        .map(|(index, _)| Complaint {
            path: file.path.clone(),
            line: Some(index + 1),
            message: message.to_owned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> TextFile {
        TextFile {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn a_file_of_the_limit_passes_and_one_line_more_does_not() {
        assert_eq!(check(&file("a.rs", &"x\n".repeat(800))), []);
        let complaints = check(&file("a.rs", &"x\n".repeat(801)));
        assert_eq!(complaints.len(), 1);
        assert!(complaints[0].message.contains("801"));
        assert_eq!(check(&file("Cargo.lock", &"x\n".repeat(801))), []);
    }

    #[test]
    fn unsafe_code_is_found_outside_of_its_room_only() {
        let keyword = "unsafe";
        for opening in [
            "{ f() }",
            "fn f() {}",
            "impl Send for A {}",
            "extern \"C\" {}",
        ] {
            let text = format!("fn g() {{}}\n{keyword} {opening}\n");
            let complaints = check(&file("crates/cas/src/lib.rs", &text));
            assert_eq!(complaints.len(), 1, "{opening}");
            assert_eq!(complaints[0].line, Some(2));
            assert_eq!(check(&file("crates/capture/src/lib.rs", &text)), []);
        }
    }

    #[test]
    fn words_about_unsafe_code_are_no_unsafe_code() {
        let keyword = "unsafe";
        for text in [
            format!("// {keyword} {{ is not here }}"),
            format!("{keyword}_code = 1"),
            format!("let not_{keyword} = \"{keyword} to use\";"),
        ] {
            assert_eq!(check(&file("a.rs", &text)), [], "{text}");
        }
    }

    #[test]
    fn paths_of_one_machine_are_found_in_any_file() {
        let text = format!("fine\nsee {}{}\n", "/ro", "ot/project");
        let complaints = check(&file("docs/page.md", &text));
        assert_eq!(complaints.len(), 1);
        assert_eq!(
            complaints[0].to_string().split(": ").next(),
            Some("docs/page.md:2")
        );
    }

    #[test]
    fn an_ignored_test_is_found() {
        let text = format!("#[test]\n    #[{}]\nfn f() {{}}\n", "ignore");
        let complaints = check(&file("a.rs", &text));
        assert_eq!(complaints.len(), 1);
        assert_eq!(complaints[0].line, Some(2));
    }
}
