//! Writing an MLflow database back, so that nobody who came over is held here.
//!
//! Everything is written into a new file beside the one that is named, which takes its name when all of it was read again
//! and compared: whatever cuts it short, what has the name is whole.

mod evaluations;
mod files;
mod limits;
mod registry;
mod traces;
mod tracking;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::future::Future;
use std::path::{Path, PathBuf};

use entities::{ObjectId, SearchQuery};
use store::{Page, PageRequest, Store, StoreError, View};
use store_sql::sql::{Connection, SqlError, Values};

use crate::compare::{Side, compare};
use crate::import::Target;
use crate::locations::Locations;
use crate::mlflow::{FernetKey, SqliteFile};
use crate::places::Places;
use crate::{MigrateError, Progress, Report, Source};

/// The tables of MLflow 3.17.2 in SQLite, and the version of its schema.
const SCHEMA: &str = include_str!("reverse/schema.sql");

/// Rows of a listing that are held at once.
const ROWS_AT_ONCE: usize = 1000;

/// Where an MLflow database is to be written.
#[derive(Debug)]
pub struct ReverseOptions {
    /// The file of the database, which must not be there.
    pub database: PathBuf,
    /// The folder of artifacts, which must not be there or be empty.
    pub artifacts: PathBuf,
    /// The key with which MLflow's server seals secrets of webhooks.
    pub webhook_key: Option<FernetKey>,
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReverseReport {
    /// How many there are of each thing, by its noun.
    pub counts: BTreeMap<&'static str, u64>,
    /// Bytes of files.
    pub bytes: u64,
    /// What is written, and is more than MLflow takes itself, each as a sentence.
    pub beyond_limits: Vec<String>,
    /// What MLflow has no place for, or holds otherwise, each as a sentence.
    pub not_held: Vec<String>,
    /// What stays here, and how many there are.
    pub left_behind: BTreeMap<&'static str, u64>,
    /// Rows and files that were read again and compared.
    pub compared: u64,
    /// What is not the same there as here, each as a sentence.
    pub differences: Vec<String>,
}

impl ReverseReport {
    fn count(&mut self, noun: &'static str, more: u64) {
        *self.counts.entry(noun).or_default() += more;
    }
}

/// Writes all that a store holds into a new MLflow database and a folder of artifacts, and compares it with the store.
///
/// *Errors*: `NotEmpty` if something is there; `WriteDatabase` and `WriteFile`; those of the store and the objects. What
/// was written until then is removed by the next call.
///
/// *Cost*: memory for a page of rows, all points of a run, and the names of all runs and traces; every file is read twice.
pub async fn write_back(
    target: &Target,
    options: ReverseOptions,
    on_progress: &dyn Fn(Progress),
) -> Result<ReverseReport, MigrateError> {
    let ReverseOptions {
        database,
        artifacts,
        webhook_key,
    } = options;
    if database.symlink_metadata().is_ok() {
        return Err(MigrateError::NotEmpty {
            path: database.display().to_string(),
        });
    }
    let files = files::Folder::open(&artifacts)?;
    let partial = beside(&database)?;
    remove_if_there(&partial)?;
    let name = partial.display().to_string();
    let file = SqliteFile::create(&partial, SCHEMA).map_err(write_fault(&name, "its tables"))?;
    let mut writer = Writer {
        target,
        database: &file,
        name: &name,
        key: webhook_key.as_ref(),
        on_progress,
        report: ReverseReport::default(),
        allowed: BTreeSet::new(),
    };
    writer.write_experiments().await?;
    writer.write_runs().await?;
    writer.write_models().await?;
    writer.write_registered().await?;
    writer.write_traces().await?;
    writer.write_links_of_traces().await?;
    writer.write_datasets().await?;
    writer.write_scorers().await?;
    writer.write_webhooks().await?;
    writer.count_left_behind().await?;
    let Writer {
        mut report,
        allowed,
        ..
    } = writer;
    let strays = file.finish().map_err(write_fault(&name, "its tables"))?;
    report.differences.extend(strays);
    files.write(target, on_progress, &mut report).await?;
    verify(
        &partial,
        webhook_key.as_ref(),
        target,
        &allowed,
        on_progress,
        &mut report,
    )
    .await?;
    files.verify(target, &mut report).await?;
    // What has the name is whole: the files are durable before the database is given it.
    files.make_durable()?;
    put_in_place(&partial, &database)?;
    files.finish()?;
    Ok(report)
}

/// Reads what was written as a source, and compares it with the store.
async fn verify(
    path: &Path,
    key: Option<&FernetKey>,
    target: &Target,
    allowed: &BTreeSet<String>,
    on_progress: &dyn Fn(Progress),
    report: &mut ReverseReport,
) -> Result<(), MigrateError> {
    let source = Source::of_database(path)?;
    let outline = source.outline(key)?;
    let locations = Locations {
        folder: source.folder(),
        served: None,
        is_unmoved: true,
    };
    let places = Places::new(&outline, locations)?;
    let versions = outline.registered.iter().flat_map(|found| &found.versions);
    let scorers = outline.scorers.iter();
    for (noun, there) in [
        ("experiments", outline.experiments.len()),
        ("runs", outline.runs.len()),
        ("logged models", outline.models.len()),
        ("registered models", outline.registered.len()),
        (
            "versions",
            versions.filter(|version| !version.is_deleted).count(),
        ),
        ("traces", outline.traces.len()),
        ("evaluation datasets", outline.datasets.len()),
        (
            "scorer versions",
            scorers.map(|scorer| scorer.versions.len()).sum(),
        ),
        ("webhooks", outline.webhooks.len()),
    ] {
        let written = report.counts.get(noun).copied().unwrap_or_default();
        report.compared += 1;
        if written != there as u64 {
            let difference = format!("{written} {noun} were written, and {there} are there");
            report.differences.push(difference);
        }
    }
    let mut compared = Report::default();
    let side = Side::WrittenBack;
    compare(
        &source,
        &outline,
        &places,
        target,
        side,
        on_progress,
        &mut compared,
    )
    .await?;
    report.compared += compared.compared;
    let unreadable = outline.unreadable.into_iter().chain(compared.unreadable);
    report.differences.extend(unreadable);
    let differences = compared.differences.into_iter();
    let unexpected = differences.filter(|difference| !allowed.contains(difference));
    report.differences.extend(unexpected);
    Ok(())
}

struct Writer<'a> {
    target: &'a Target,
    database: &'a dyn Connection,
    /// The file, as it is called in messages.
    name: &'a str,
    key: Option<&'a FernetKey>,
    on_progress: &'a dyn Fn(Progress),
    report: ReverseReport,
    /// Differences that follow from what MLflow has no place for.
    allowed: BTreeSet<String>,
}

impl Writer<'_> {
    /// Writes a row; tells whether it was new.
    fn write(
        &self,
        table: &'static str,
        sql: &str,
        values: impl Values,
    ) -> Result<bool, MigrateError> {
        let written = self.database.change(sql, values);
        Ok(written.map_err(write_fault(self.name, table))? > 0)
    }

    /// Writes pairs of something that has an id.
    fn write_pairs<'p>(
        &self,
        table: &'static str,
        sql: &str,
        owner: &[&dyn store_sql::sql::ToValue],
        pairs: impl IntoIterator<Item = (&'p String, &'p String)>,
    ) -> Result<(), MigrateError> {
        for (key, value) in pairs {
            let mut values = owner.to_vec();
            values.push(key);
            values.push(value);
            self.write(table, sql, values.as_slice())?;
        }
        Ok(())
    }

    /// Notes what MLflow has no place for; with it, a difference is expected.
    fn note(&mut self, sentence: String, difference: String) {
        self.report.not_held.push(sentence);
        self.allowed.insert(difference);
    }

    fn tell(&self, what: &'static str, done: usize, total: usize) {
        (self.on_progress)(Progress {
            what,
            done: done as u64,
            total: total as u64,
        });
    }

    fn store(&self) -> &dyn Store {
        self.target.store.as_ref()
    }

    /// Counts what MLflow has no tables for or none that it would understand, and what is taken over in neither direction.
    async fn count_left_behind(&mut self) -> Result<(), MigrateError> {
        let (query, store) = (SearchQuery::default(), self.store());
        let issues = all(async |page| store.search_issues(None, &query, false, &page).await);
        let experiments =
            all(async |page| store.search_experiments(&query, View::All, &page).await);
        let mut label_schemas = 0;
        for experiment in experiments.await? {
            label_schemas += store.list_label_schemas(&experiment.id).await?.len();
        }
        let counts = [
            ("issues", issues.await?.len()),
            ("label schemas", label_schemas),
            ("users", self.store().list_users().await?.len()),
            ("roles", self.store().list_roles().await?.len()),
            ("access tokens", self.store().list_tokens().await?.len()),
            ("manifests", self.store().list_manifests().await?.len()),
        ];
        for (noun, count) in counts {
            if count > 0 {
                self.report.left_behind.insert(noun, count as u64);
            }
        }
        Ok(())
    }
}

/// All items of a listing.
async fn all<T, F>(fetch: impl Fn(PageRequest) -> F) -> Result<Vec<T>, MigrateError>
where
    F: Future<Output = Result<Page<T>, StoreError>>,
{
    let mut page = PageRequest::first(ROWS_AT_ONCE);
    let mut found = Vec::new();
    loop {
        let part = fetch(page.clone()).await?;
        found.extend(part.items);
        match part.next {
            Some(next) => page.token = Some(next),
            None => return Ok(found),
        }
    }
}

/// An id that MLflow draws; the same for the same thing, so that two databases of one store are alike.
fn id_of(parts: &[&str]) -> String {
    let digest = ObjectId::of(parts.join("\u{0}").as_bytes());
    hex::encode(&digest.as_bytes()[..16])
}

/// Where a file is written before it has its name.
fn beside(path: &Path) -> Result<PathBuf, MigrateError> {
    let name = path.file_name().ok_or_else(|| MigrateError::NotEmpty {
        path: path.display().to_string(),
    })?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(".reproof-partial");
    Ok(path.with_file_name(hidden))
}

fn remove_if_there(path: &Path) -> Result<(), MigrateError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(file_write_fault(path)(error))
        }
        _ => Ok(()),
    }
}

/// Makes a file durable, and gives it its name, which nothing else must have got meanwhile.
fn put_in_place(partial: &Path, path: &Path) -> Result<(), MigrateError> {
    let sync = |path: &Path| File::open(path).and_then(|file| file.sync_all());
    sync(partial).map_err(file_write_fault(partial))?;
    match std::fs::hard_link(partial, path) {
        Ok(()) => remove_if_there(partial)?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(MigrateError::NotEmpty {
                path: path.display().to_string(),
            });
        }
        // A file system without links.
        Err(_) => std::fs::rename(partial, path).map_err(file_write_fault(path))?,
    }
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    let folder = folder.unwrap_or(Path::new("."));
    sync(folder).map_err(file_write_fault(folder))
}

fn file_write_fault(path: &Path) -> impl Fn(std::io::Error) -> MigrateError + use<> {
    let path = path.display().to_string();
    move |source| MigrateError::WriteFile {
        path: path.clone(),
        source,
    }
}

fn write_fault(name: &str, what: &'static str) -> impl Fn(SqlError) -> MigrateError + use<> {
    let path = name.to_owned();
    move |source| MigrateError::WriteDatabase {
        path: path.clone(),
        what,
        source: Box::new(source),
    }
}
