//! Paths in URIs of folders.

use percent_encoding::percent_decode_str;

/// The components of the path that a URI of a local folder names, as MLflow's clients read it; none where it is of
/// another kind, relative, or not plain.
///
/// Clients decode the path once, also where it has no scheme (`local_file_uri_to_path` of MLflow 3.17.2), so that what
/// they wrote to `/data/a%20b` stands in `/data/a b`.
pub(crate) fn components_of(uri: &str) -> Option<Vec<String>> {
    let path = match uri.strip_prefix("file:") {
        Some(rest) => {
            if rest.contains(['?', '#', ';']) {
                return None;
            }
            match rest.strip_prefix("//") {
                Some(rest) => rest.strip_prefix("localhost").unwrap_or(rest),
                None => rest,
            }
        }
        None => uri,
    };
    let decoded = percent_decode_str(path).decode_utf8().ok()?;
    if !decoded.starts_with('/') {
        return None;
    }
    let components: Vec<String> = decoded
        .split('/')
        .filter(|component| !component.is_empty())
        .map(str::to_owned)
        .collect();
    let is_plain = |component: &String| {
        !matches!(component.as_str(), "." | "..") && !component.contains(['\0', '\\'])
    };
    components.iter().all(is_plain).then_some(components)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_take_for_a_folder_is_read_as_they_read_it() {
        for (uri, path) in [
            ("/data/a", Some("data/a")),
            ("/data//a/", Some("data/a")),
            ("file:///data/a", Some("data/a")),
            ("file:/data/a", Some("data/a")),
            ("file://localhost/data/a", Some("data/a")),
            ("/data/a%20b", Some("data/a b")),
            ("file:///data/%C3%BC", Some("data/ü")),
            ("/data/50%", Some("data/50%")),
            ("file://host/data", None),
            ("file:data", None),
            ("./data", None),
            ("data", None),
            ("", None),
            ("s3://bucket/data", None),
            ("C:/data", None),
            ("/data/../etc", None),
            ("/data/%2e%2e/etc", None),
            ("/data/..%2Fetc", None),
            ("file:///data/%2E%2E/etc", None),
            ("file:///data/a?x=/../..", None),
            ("file:///data/a#b", None),
            ("/data/./a", None),
            ("/data/a%00", None),
            ("/data\\..\\etc", None),
            ("/data/%5C..", None),
            ("/data/%FF", None),
            // Decoded once, as clients do: then it is an odd name, and no way out.
            ("/data/%252e%252e/etc", Some("data/%2e%2e/etc")),
        ] {
            let found = components_of(uri).map(|components| components.join("/"));
            assert_eq!(found.as_deref(), path, "{uri}");
        }
    }
}
