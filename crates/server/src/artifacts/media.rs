//! What a file is called and said to be when it is sent.

use std::fmt::Write as _;

/// What MLflow sends as text, whatever else it may be, so that no browser runs it.
const TEXTS: [&str; 27] = [
    "txt",
    "log",
    "err",
    "cfg",
    "conf",
    "cnf",
    "cf",
    "ini",
    "properties",
    "prop",
    "hocon",
    "toml",
    "yaml",
    "yml",
    "xml",
    "json",
    "js",
    "py",
    "py3",
    "csv",
    "tsv",
    "md",
    "rst",
    "ipynb",
    "MLmodel",
    "MLproject",
    "mlproject",
];

/// Types of other files that are looked at where they are.
const TYPES: [(&str, &str); 16] = [
    ("bmp", "image/bmp"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("tif", "image/tiff"),
    ("wav", "audio/x-wav"),
    ("webp", "image/webp"),
    ("zip", "application/zip"),
];

/// The type of a file by its name.
pub(super) fn media_type(name: &str) -> &'static str {
    let extension = name
        .rsplit_once('.')
        .map_or(name, |(_, extension)| extension);
    if TEXTS.contains(&extension) {
        return "text/plain";
    }
    let lower = extension.to_ascii_lowercase();
    TYPES
        .iter()
        .find(|(known, _)| *known == lower)
        .map_or("application/octet-stream", |(_, media_type)| media_type)
}

/// A Content-Disposition that has a browser save the file and never show it.
///
/// *Source*: RFC 6266 and RFC 8187; the plain name has an underscore for what cannot stand in it.
pub(super) fn attachment(name: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_graphic() && !"\"\\%;".contains(letter);
    let plain: String = name
        .chars()
        .map(|letter| {
            if is_plain(letter) || letter == ' ' {
                letter
            } else {
                '_'
            }
        })
        .collect();
    let mut header = format!("attachment; filename=\"{plain}\"");
    if plain != name {
        header.push_str("; filename*=UTF-8''");
        for byte in name.bytes() {
            if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
                header.push(char::from(byte));
            } else {
                // Writing to a string cannot fail.
                let _ = write!(header, "%{byte:02X}");
            }
        }
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_plain_and_what_is_unknown_is_bytes() {
        for (name, media) in [
            ("MLmodel", "text/plain"),
            ("metrics.json", "text/plain"),
            ("evil.js", "text/plain"),
            ("plot.PNG", "image/png"),
            ("model.pkl", "application/octet-stream"),
            ("archive.tar.gz", "application/gzip"),
            ("noname", "application/octet-stream"),
        ] {
            assert_eq!(media_type(name), media, "{name}");
        }
    }

    #[test]
    fn no_name_breaks_out_of_the_header() {
        assert_eq!(attachment("a b.csv"), "attachment; filename=\"a b.csv\"");
        assert_eq!(
            attachment("ü.csv"),
            "attachment; filename=\"_.csv\"; filename*=UTF-8''%C3%BC.csv"
        );
        let attack = attachment("a\"; x=y\r\nSet-Cookie: z\0.html");
        assert!(!attack.contains(['\r', '\n', '\0']), "{attack:?}");
        assert_eq!(attack.matches('"').count(), 2);
        assert!(attack.is_ascii());
    }
}
