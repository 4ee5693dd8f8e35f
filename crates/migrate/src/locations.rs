//! Where the artifacts of a source are, and where they will be.

use std::path::{Path, PathBuf};

use std::sync::Arc;

use percent_encoding::percent_decode_str;

use crate::mlflow::MlflowClient;

/// Root of all artifacts that are kept here.
pub(crate) const ROOT: &str = "mlflow-artifacts:/";

/// Where the files of a source are.
#[derive(Clone, Debug)]
pub(crate) struct Locations {
    /// What relative paths start from.
    pub(crate) folder: PathBuf,
    /// Where the server that had the source kept what it served as `mlflow-artifacts:/`, if that is known.
    pub(crate) served: Option<Served>,
    /// Whether everything stays at the location that it has.
    pub(crate) is_unmoved: bool,
}

/// What gives files that are at `mlflow-artifacts:/`.
#[derive(Clone, Debug)]
pub(crate) enum Served {
    /// The folder in which the server keeps them.
    Folder(PathBuf),
    /// The server.
    Server(Arc<MlflowClient>),
}

/// Where files are taken from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A folder.
    Folder(PathBuf),
    /// The event files right in a folder.
    EventFiles(PathBuf),
    /// A path that the server serves.
    Served(String),
}

/// Where artifacts of a location go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// Into this store, from a folder; none where it is not known where that is.
    Here {
        /// The folder.
        from: Option<Origin>,
        /// The new location.
        uri: String,
    },
    /// They stay where they are: in an object store, which clients read themselves.
    Elsewhere,
}

impl Destination {
    /// The location that takes the place of `old`.
    pub(crate) fn uri<'a>(&'a self, old: &'a str) -> &'a str {
        match self {
            Self::Here { uri, .. } => uri,
            Self::Elsewhere => old,
        }
    }
}

impl Locations {
    /// The folder of a location in the file system.
    pub(crate) fn local_folder(&self, uri: &str) -> Option<PathBuf> {
        local_path(uri).map(|path| self.folder.join(path))
    }

    /// Where artifacts at a location go; `own` is the location that they get if it must be another.
    pub(crate) fn destination(&self, uri: &str, own: impl FnOnce() -> String) -> Destination {
        if self.is_unmoved {
            return Destination::Elsewhere;
        }
        if let Some(path) = served_path(uri) {
            let from = self.served.as_ref();
            return Destination::Here {
                from: from.map(|served| match served {
                    Served::Folder(folder) => Origin::Folder(below(folder, &path)),
                    Served::Server(_) => Origin::Served(plain(&path)),
                }),
                uri: format!("{ROOT}{path}"),
            };
        }
        match local_path(uri) {
            Some(path) => Destination::Here {
                from: Some(Origin::Folder(self.folder.join(path))),
                uri: own(),
            },
            None => Destination::Elsewhere,
        }
    }
}

/// A path below a folder, none of whose names leads out of it.
fn below(folder: &Path, path: &str) -> PathBuf {
    names_of(path).fold(folder.to_owned(), |folder, name| folder.join(name))
}

/// The same path, none of whose names leads out of where it begins.
fn plain(path: &str) -> String {
    names_of(path).collect::<Vec<_>>().join("/")
}

fn names_of(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter(|name| !matches!(*name, "" | "." | ".."))
}

/// The path of a location that MLflow's server serves itself.
fn served_path(uri: &str) -> Option<String> {
    let rest = uri.strip_prefix("mlflow-artifacts:")?;
    let path = match rest.strip_prefix("//") {
        Some(rest) => rest.split_once('/').map_or("", |(_, path)| path),
        None => rest,
    };
    Some(path.trim_matches('/').to_owned())
}

/// Whether a location is in the file system.
pub(crate) fn is_local(uri: &str) -> bool {
    local_path(uri).is_some()
}

/// The path of a location in the file system, relative or absolute.
pub(crate) fn local_path(uri: &str) -> Option<PathBuf> {
    let decoded = |path: &str| {
        let text = percent_decode_str(path).decode_utf8_lossy().into_owned();
        PathBuf::from(text)
    };
    match uri.split_once(':') {
        Some(("file", rest)) => {
            let path = match rest.strip_prefix("//") {
                Some(rest) => rest.strip_prefix("localhost").unwrap_or(rest),
                None => rest,
            };
            Some(decoded(path))
        }
        Some((scheme, _))
            if scheme.len() > 1
                && scheme
                    .bytes()
                    .all(|letter| letter.is_ascii_alphanumeric() || b"+-.".contains(&letter)) =>
        {
            None
        }
        _ => Some(PathBuf::from(uri)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_served_local_or_elsewhere() {
        let locations = Locations {
            folder: "/srv".into(),
            served: Some(Served::Folder("/data".into())),
            is_unmoved: false,
        };
        let of = |uri: &str| match locations.destination(uri, || "own".to_owned()) {
            Destination::Here { from, uri } => {
                let Some(Origin::Folder(from)) = from else {
                    panic!("it comes from a folder");
                };
                format!("{} → {uri}", from.display())
            }
            Destination::Elsewhere => "elsewhere".to_owned(),
        };
        for (uri, expected) in [
            ("mlflow-artifacts:/0/a", "/data/0/a → mlflow-artifacts:/0/a"),
            (
                "mlflow-artifacts://host:80/0/a/",
                "/data/0/a → mlflow-artifacts:/0/a",
            ),
            (
                "mlflow-artifacts:/../../etc",
                "/data/etc → mlflow-artifacts:/../../etc",
            ),
            ("/abs/mlruns/0", "/abs/mlruns/0 → own"),
            ("./mlruns/0", "/srv/./mlruns/0 → own"),
            ("mlruns/0", "/srv/mlruns/0 → own"),
            ("file:///abs/a%20b", "/abs/a b → own"),
            ("file:/abs/a", "/abs/a → own"),
            ("file://localhost/abs", "/abs → own"),
            ("s3://bucket/a", "elsewhere"),
            ("dbfs:/a", "elsewhere"),
        ] {
            assert_eq!(of(uri), expected, "{uri}");
        }
    }
}
