//! Where the artifacts of a run, a logged model, a version or a trace are: on record, or in a folder that clients write
//! to by themselves.

use std::sync::Arc;

use entities::{Artifact, ArtifactEntry, LoggedModel, ModelVersion, Run, Trace, proxied_path};
use locations::{Entry, Found, Location, LocationError, Walk};
use tracking::TrackingError;

use super::LARGEST_ARCHIVE;
use crate::app::App;
use crate::error::RequestError;
use crate::spans;

/// Where some artifacts are.
pub(crate) struct Place {
    /// What clients are told of it.
    pub(crate) uri: String,
    /// The folder in which they are on record.
    folder: String,
    /// Where clients write them, as far as the server may look there.
    location: Option<Arc<dyn Location>>,
    /// Whether they are on record as they were written, not taken over.
    is_proxied: bool,
    /// The folder in all of that which is meant; empty where it is all.
    inside: String,
}

/// What stands at a path.
pub(super) enum Standing {
    /// A file that is on record.
    Kept(Artifact),
    /// A file where clients write.
    Located(Box<dyn locations::Located>),
    Folder,
    Nothing,
}

/// What lies in a folder.
pub(super) enum Listed {
    Kept(Vec<ArtifactEntry>),
    Located(Vec<Entry>),
}

/// All files below a folder.
pub(super) enum Files {
    /// On record; paths below the root of all artifacts, and what they begin with.
    Kept(Vec<Artifact>, String),
    /// Where clients write; paths below the location, and what they begin with.
    Located(Arc<dyn Location>, Walk, String),
}

impl Place {
    fn new(app: &App, uri: String, folder: String) -> Self {
        let is_proxied = proxied_path(&uri).is_some();
        let location = if is_proxied {
            None
        } else {
            app.locations.find(&uri)
        };
        Self {
            uri,
            folder,
            location,
            is_proxied,
            inside: String::new(),
        }
    }

    pub(crate) fn of_run(app: &App, run: &Run) -> Self {
        Self::new(app, run.artifact_uri.clone(), run.artifact_folder())
    }

    pub(crate) fn of_model(app: &App, model: &LoggedModel) -> Self {
        Self::new(app, model.artifact_uri.clone(), model.artifact_folder())
    }

    /// The files of a version: those of its own run or logged model, whatever its source says.
    pub(crate) async fn of_version(
        app: &App,
        version: &ModelVersion,
    ) -> Result<Self, RequestError> {
        let found = app.registry.place_of(version).await?;
        let Some(found) = found else {
            return Err(RequestError::KeptElsewhere {
                uri: version.download_uri().to_owned(),
            });
        };
        Ok(Self {
            inside: found.inside,
            ..Self::new(app, found.uri, found.folder)
        })
    }

    /// The files of a trace. Where they are is a tag, which clients may set: outside of the record it must be the folder
    /// that MLflow gives a trace of that experiment.
    pub(crate) async fn of_trace(
        app: &App,
        trace: &Trace,
        uri: &str,
    ) -> Result<Self, RequestError> {
        let elsewhere = || RequestError::KeptElsewhere {
            uri: uri.to_owned(),
        };
        if let Some(folder) = proxied_path(uri) {
            return Ok(Self::new(app, uri.to_owned(), folder.to_owned()));
        }
        let experiment = app.tracking.get_experiment(&trace.experiment).await?;
        let location = experiment.artifact_location.trim_end_matches('/');
        if uri != format!("{location}/traces/{}/artifacts", trace.id) {
            return Err(elsewhere());
        }
        let folder = format!("{}/traces/{}/artifacts", trace.experiment, trace.id);
        Ok(Self::new(app, uri.to_owned(), folder))
    }

    fn inside(&self, path: &str) -> String {
        join(&self.inside, path)
    }

    fn on_record(&self, path: &str) -> String {
        join(&self.folder, &self.inside(path))
    }

    /// What stands at a path. Where the folder that clients wrote to has gone, what was taken over from it.
    pub(super) async fn find(&self, app: &App, path: &str) -> Result<Standing, RequestError> {
        if let Some(location) = &self.location {
            let looked_for = self.inside(path);
            let (found, is_there) = blocking(location, move |location| {
                let found = location.open(&looked_for)?;
                let is_there = !matches!(found, Found::Nothing) || location.list("")?.is_some();
                Ok((found, is_there))
            })
            .await?;
            match found {
                Found::File(file) => return Ok(Standing::Located(file)),
                Found::Folder => return Ok(Standing::Folder),
                Found::Nothing if is_there => return Ok(Standing::Nothing),
                Found::Nothing => {}
            }
        }
        let on_record = self.on_record(path);
        if let Some(artifact) = app.tracking.find_artifact(&on_record).await? {
            return Ok(Standing::Kept(artifact));
        }
        if !app.tracking.list_artifacts(&on_record).await?.is_empty() {
            return Ok(Standing::Folder);
        }
        self.check_known()?;
        Ok(Standing::Nothing)
    }

    /// What lies right in a folder, as `find`.
    pub(super) async fn list(&self, app: &App, folder: &str) -> Result<Listed, RequestError> {
        if let Some(location) = &self.location {
            let looked_for = self.inside(folder);
            let listed = blocking(location, move |location| {
                Ok(match location.list(&looked_for)? {
                    Some(entries) => Some(entries),
                    None => location.list("")?.map(|_| Vec::new()),
                })
            });
            if let Some(entries) = listed.await? {
                return Ok(Listed::Located(entries));
            }
        }
        let entries = app.tracking.list_artifacts(&self.on_record(folder)).await?;
        if entries.is_empty() {
            self.check_known()?;
        }
        Ok(Listed::Kept(entries))
    }

    /// All files below a folder, as `find`.
    pub(super) async fn walk(&self, app: &App, folder: &str) -> Result<Files, RequestError> {
        if let Some(location) = &self.location {
            let (looked_for, prefix) = (self.inside(folder), self.inside(folder));
            let walked = blocking(location, move |location| {
                Ok(match location.walk(&looked_for, LARGEST_ARCHIVE)? {
                    Some(walk) => Some(walk),
                    None => location.list("")?.map(|_| Walk::default()),
                })
            });
            if let Some(walk) = walked.await? {
                return Ok(Files::Located(Arc::clone(location), walk, prefix));
            }
        }
        let on_record = self.on_record(folder);
        let files = app.tracking.list_artifacts_below(&on_record).await?;
        if files.is_empty() {
            self.check_known()?;
        }
        Ok(Files::Kept(files, on_record))
    }

    /// Where a file is written to: on record under this path, or at a location.
    pub(super) fn target(&self, path: &str) -> Result<Target, RequestError> {
        if self.is_proxied {
            return Ok(Target::Kept(self.on_record(path)));
        }
        self.check_known()?;
        let location = self.location.clone();
        let location = location.ok_or_else(|| RequestError::KeptElsewhere {
            uri: self.uri.clone(),
        })?;
        Ok(Target::Located(location, self.inside(path)))
    }

    /// Where nothing is on record, there may be something where the server may not look.
    fn check_known(&self) -> Result<(), RequestError> {
        if self.is_proxied || self.location.is_some() {
            return Ok(());
        }
        Err(RequestError::KeptElsewhere {
            uri: self.uri.clone(),
        })
    }
}

/// Where a file is written to.
pub(super) enum Target {
    Kept(String),
    Located(Arc<dyn Location>, String),
}

pub(super) async fn blocking<T: Send + 'static>(
    location: &Arc<dyn Location>,
    work: impl FnOnce(&dyn Location) -> Result<T, LocationError> + Send + 'static,
) -> Result<T, RequestError> {
    let location = Arc::clone(location);
    let done = spans::on_thread("artifact.look", move || work(location.as_ref())).await;
    let done = done.map_err(|_| RequestError::BrokenOff {
        what: "looking at artifacts that clients wrote",
    })?;
    Ok(done.map_err(TrackingError::from)?)
}

fn join(folder: &str, path: &str) -> String {
    match (folder, path) {
        ("", path) => path.to_owned(),
        (folder, "") => folder.to_owned(),
        (folder, path) => format!("{folder}/{path}"),
    }
}
