//! The pages behind error codes, in the binary so that help works offline.

/// Code and page, in the order of the codes.
pub(crate) const PAGES: [(&str, &str); 35] = [
    ("E0001", include_str!("explain/E0001.md")),
    ("E0002", include_str!("explain/E0002.md")),
    ("E0003", include_str!("explain/E0003.md")),
    ("E0004", include_str!("explain/E0004.md")),
    ("E0005", include_str!("explain/E0005.md")),
    ("E0006", include_str!("explain/E0006.md")),
    ("E0007", include_str!("explain/E0007.md")),
    ("E0008", include_str!("explain/E0008.md")),
    ("E0009", include_str!("explain/E0009.md")),
    ("E0010", include_str!("explain/E0010.md")),
    ("E0011", include_str!("explain/E0011.md")),
    ("E0012", include_str!("explain/E0012.md")),
    ("E0013", include_str!("explain/E0013.md")),
    ("E0014", include_str!("explain/E0014.md")),
    ("E0015", include_str!("explain/E0015.md")),
    ("E0016", include_str!("explain/E0016.md")),
    ("E0017", include_str!("explain/E0017.md")),
    ("E0018", include_str!("explain/E0018.md")),
    ("E0019", include_str!("explain/E0019.md")),
    ("E0020", include_str!("explain/E0020.md")),
    ("E0021", include_str!("explain/E0021.md")),
    ("E0022", include_str!("explain/E0022.md")),
    ("E0023", include_str!("explain/E0023.md")),
    ("E0024", include_str!("explain/E0024.md")),
    ("E0025", include_str!("explain/E0025.md")),
    ("E0026", include_str!("explain/E0026.md")),
    ("E0027", include_str!("explain/E0027.md")),
    ("E0028", include_str!("explain/E0028.md")),
    ("E0029", include_str!("explain/E0029.md")),
    ("E0030", include_str!("explain/E0030.md")),
    ("E0031", include_str!("explain/E0031.md")),
    ("E0032", include_str!("explain/E0032.md")),
    ("E0033", include_str!("explain/E0033.md")),
    ("E0034", include_str!("explain/E0034.md")),
    ("E0035", include_str!("explain/E0035.md")),
];

/// Finds the page of a code, in whatever case it is written.
pub(crate) fn find(code: &str) -> Option<&'static str> {
    PAGES
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(code))
        .map(|(_, page)| *page)
}

/// First line of a page without its mark.
pub(crate) fn title(page: &'static str) -> &'static str {
    page.lines()
        .next()
        .unwrap_or_default()
        .trim_start_matches("# ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_begins_with_its_code() {
        for (code, page) in PAGES {
            assert!(title(page).starts_with(&format!("{code}: ")), "{code}");
            assert_eq!(find(&code.to_lowercase()), Some(page));
        }
    }

    #[test]
    fn every_code_that_help_and_documentation_name_has_a_page() {
        use clap::CommandFactory as _;

        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut texts = vec![("README.md".to_owned(), root.join("README.md"))];
        for entry in std::fs::read_dir(root.join("docs")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                texts.push((path.display().to_string(), path));
            }
        }
        let mut texts: Vec<_> = texts
            .into_iter()
            .map(|(name, path)| (name, std::fs::read_to_string(path).unwrap()))
            .collect();
        let mut waiting = vec![crate::arguments::Arguments::command()];
        while let Some(mut command) = waiting.pop() {
            texts.push((
                format!("help of {}", command.get_name()),
                command.render_long_help().to_string(),
            ));
            waiting.extend(command.get_subcommands().cloned());
        }
        assert!(
            texts
                .iter()
                .any(|(name, text)| name == "help of explain" && !codes_in(text).is_empty()),
            "an example of a code is in the help of explain"
        );
        for (name, text) in &texts {
            for code in codes_in(text) {
                assert!(find(code).is_some(), "{name} names {code}");
            }
        }
    }

    /// Words such as `E0005`.
    fn codes_in(text: &str) -> Vec<&str> {
        text.split(|letter: char| !letter.is_alphanumeric())
            .filter(|word| {
                word.strip_prefix('E')
                    .is_some_and(|digits| digits.len() == 4 && digits.parse::<u16>().is_ok())
            })
            .collect()
    }

    #[test]
    fn every_code_that_is_used_has_a_page_and_every_page_is_used() {
        let mut used = std::collections::BTreeSet::new();
        let mut waiting = vec![std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src")];
        while let Some(folder) = waiting.pop() {
            for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
                let path = entry.path();
                if path.is_dir() {
                    waiting.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs")
                    && !path.ends_with("explain.rs")
                {
                    let source = std::fs::read_to_string(path).unwrap();
                    used.extend(
                        source
                            .match_indices("\"E0")
                            .map(|(at, _)| source[at + 1..at + 6].to_owned()),
                    );
                }
            }
        }
        let pages: std::collections::BTreeSet<_> =
            PAGES.iter().map(|(code, _)| (*code).to_owned()).collect();
        assert_eq!(used, pages);
    }
}
