//! Links in Markdown: a file that is linked to exists, and so does its heading.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Complaint, TextFile};

/// All links of a page that lead nowhere; other files have none.
pub(super) fn check(file: &TextFile, root: &Path) -> Vec<Complaint> {
    if !file.has_extension("md") {
        return Vec::new();
    }
    let complaints = links_of(&file.text).into_iter().filter_map(|link| {
        let message = fault_of(link.target, file, root)?;
        Some(Complaint {
            path: file.path.clone(),
            line: Some(link.line),
            message,
        })
    });
    complaints.collect()
}

#[derive(Debug, PartialEq, Eq)]
struct Link<'a> {
    line: usize,
    target: &'a str,
}

/// What is wrong with a link's target; pages of the web are not looked at.
fn fault_of(target: &str, file: &TextFile, root: &Path) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, heading) = match target.split_once('#') {
        Some((path, heading)) => (path, Some(heading)),
        None => (target, None),
    };
    let page = if path.is_empty() {
        root.join(&file.path)
    } else {
        let folder = Path::new(&file.path).parent().unwrap_or(Path::new(""));
        root.join(folder).join(path)
    };
    if !page.exists() {
        return Some(format!("the link `{target}` leads to no file"));
    }
    let heading = heading?;
    (!has_heading(&page, heading)).then(|| format!("the link `{target}` leads to no heading"))
}

fn has_heading(page: &PathBuf, heading: &str) -> bool {
    let text = fs::read_to_string(page).unwrap_or_default();
    prose_lines(&text)
        .filter_map(|(_, line)| line.strip_prefix('#'))
        .any(|title| anchor_of(title.trim_start_matches('#').trim()) == heading)
}

/// The anchor that forges make of a heading: lower case, spaces to hyphens, punctuation left out.
fn anchor_of(title: &str) -> String {
    let lower = title.to_lowercase();
    let kept = lower
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Inline links `[text](target)`, outside of code.
fn links_of(text: &str) -> Vec<Link<'_>> {
    let mut links = Vec::new();
    for (line, content) in prose_lines(text) {
        // Every second part stands in backticks; a link's own text may, its target may not.
        let mut rest = content;
        while let Some((before, after)) = rest.split_once("](") {
            let is_code = before.matches('`').count() % 2 == 1;
            let Some((target, remainder)) = after.split_once(')') else {
                break;
            };
            if !is_code {
                links.push(Link { line, target });
            }
            rest = if is_code { after } else { remainder };
        }
    }
    links
}

/// Lines outside of fenced blocks, numbered from 1.
fn prose_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut is_fenced = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        if line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
            return None;
        }
        (!is_fenced).then_some((index + 1, line))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_in_prose_and_not_in_code() {
        let text =
            "See [a](b.md) and [`c`](d.md#e).\n```\n[no](link.md)\n```\nNor `[this](one.md)`.\n";
        let targets: Vec<_> = links_of(text).iter().map(|link| link.target).collect();
        assert_eq!(targets, ["b.md", "d.md#e"]);
    }

    #[test]
    fn a_link_to_a_file_or_heading_that_is_not_there_is_named() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("docs")).unwrap();
        fs::write(
            root.path().join("docs/other.md"),
            "# The `run` command, in short\n",
        )
        .unwrap();
        let page = |target: &str| TextFile {
            path: "docs/page.md".to_owned(),
            text: format!("\n[x]({target})\n"),
        };
        let is_good = |target: &str| check(&page(target), root.path()).is_empty();
        assert!(is_good("other.md"));
        assert!(is_good("other.md#the-run-command-in-short"));
        assert!(is_good("https://example.org/nothing"));
        assert!(!is_good("missing.md"));
        assert!(!is_good("other.md#another"));
        let complaint = check(&page("../missing.md"), root.path()).remove(0);
        assert_eq!(
            complaint.to_string(),
            "docs/page.md:2: the link `../missing.md` leads to no file"
        );
    }
}
