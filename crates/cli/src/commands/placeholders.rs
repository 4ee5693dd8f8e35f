//! Words of a command that look as if they named a param, and name none.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;

/// Lists the `{name}` in a command that name no param, each once.
///
/// Braces are no mark of Reproof alone: shells, awk, JSON, git and languages have them too. What may be theirs is left
/// out, since a warning that is wrong on a command that is right teaches to overlook the others.
pub(super) fn unknown_placeholders(
    command: &[OsString],
    params: &[(String, String)],
) -> BTreeSet<String> {
    // `{print}` is a program of awk, which may stand in a word of its own or inside a shell's.
    let words: Vec<_> = command.iter().map(|word| word.to_string_lossy()).collect();
    let is_awk = |word: &str| {
        word.split_whitespace().any(|part| {
            Path::new(part)
                .file_name()
                .is_some_and(|name| name.to_string_lossy().ends_with("awk"))
        })
    };
    if words.iter().any(|word| is_awk(word)) {
        return BTreeSet::new();
    }
    words
        .iter()
        .filter(|word| !is_code(word))
        .flat_map(|word| names_in_braces(word))
        .filter(|name| !params.iter().any(|(key, _)| key == name))
        .map(ToOwned::to_owned)
        .collect()
}

/// Whether a word is a program or data of its own, in which braces mean something else.
fn is_code(word: &str) -> bool {
    word.contains(['"', '\'', '`', '(', '\n'])
}

/// The names that stand alone in braces; `${name}`, `@{name}` and `{{name}}` are of shells, git and templates.
fn names_in_braces(word: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for (at, _) in word.match_indices('{') {
        let inside = &word[at + 1..];
        let Some(length) = inside.find('}') else {
            break;
        };
        let name = &inside[..length];
        let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.'));
        let is_others =
            word[..at].ends_with(['$', '@', '{']) || inside[length + 1..].starts_with('}');
        // `{a..b}` is a shell's range.
        if is_name && !is_others && !name.contains("..") {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown(command: &[&str]) -> Vec<String> {
        let command: Vec<_> = command.iter().map(OsString::from).collect();
        let params = [("lr".to_owned(), "0.1".to_owned())];
        unknown_placeholders(&command, &params)
            .into_iter()
            .collect()
    }

    #[test]
    fn a_name_in_braces_that_is_no_param_is_found_wherever_it_stands_in_a_word() {
        assert_eq!(unknown(&["train", "--lr", "{lrr}"]), ["lrr"]);
        assert_eq!(
            unknown(&["train", "--out=out/{lr}-{seed}.txt", "{seed}"]),
            ["seed"]
        );
        assert_eq!(unknown(&["sh", "-c", "train --lr {lrr}"]), ["lrr"]);
        assert!(unknown(&["train", "{lr}"]).is_empty());
    }

    #[test]
    fn braces_of_others_are_left_alone() {
        for command in [
            ["awk", "{print}"],
            ["/usr/bin/gawk", "{print $1}"],
            ["sh", "mawk {print} file"],
            ["echo", "{\"lr\": 1}"],
            ["echo", "{}"],
            ["echo", "{1,2}"],
            ["echo", "{a,b}"],
            ["echo", "{a..f}"],
            ["echo", "${HOME}"],
            ["git", "main@{upstream}"],
            ["echo", "{{name}}"],
            ["python", "print(f'{rate}')"],
            ["sed", "s/a{2}/b/"],
            ["find", "{unclosed"],
        ] {
            assert!(unknown(&command).is_empty(), "{command:?}");
        }
    }
}
