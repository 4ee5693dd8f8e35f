//! Versions of registered models.

use std::collections::BTreeMap;

use entities::{
    Caller, Change, Comparison, Condition, Field, LoggedModel, ModelVersion, ModelVersionDetail,
    Operator, SearchKind, SearchQuery, Stage, VersionNumber, is_prompt,
};
use store::{Page, PageRequest, Prompts};

use crate::registry::{Writing, model_subject, parse_query, version_subject};
use crate::source::{Origin, Resolved};
use crate::validation::{
    check_name, check_page, check_tag, check_tag_key, check_tags, parse_version,
};
use crate::{Registry, RegistryError};

/// Results in one page of a search for versions.
pub const LARGEST_VERSION_PAGE: usize = 200_000;

/// The tag in which MLflow keeps of which versions a logged model is one.
const VERSIONS_TAG: &str = "mlflow.modelVersions";

/// How often a number that somebody else took first is asked for again.
const ATTEMPTS: usize = 10;

/// A version to be registered.
#[derive(Clone, Debug, Default)]
pub struct NewModelVersion {
    /// Name of the registered model.
    pub name: String,
    /// The URI of its files, or of the logged model or version that it is.
    pub source: String,
    /// The run that made it; none where the request does not say, empty where it says that there is none.
    pub run: Option<String>,
    /// The logged model that it is, likewise.
    pub logged_model: Option<String>,
    /// A link of the client's to the run.
    pub run_link: Option<String>,
    /// What somebody says of it.
    pub description: Option<String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Whether its files are not all on record yet, so that the version cannot be tied to them.
    pub lacks_files: bool,
}

impl Registry {
    /// Registers a version, with its files as they are now unless some of them are still to come.
    pub async fn create_version(
        &self,
        caller: &Caller,
        new: NewModelVersion,
    ) -> Result<ModelVersionDetail, RegistryError> {
        let NewModelVersion {
            name,
            source,
            run,
            logged_model,
            run_link,
            description,
            tags,
            lacks_files,
        } = new;
        let origin = Origin {
            source: &source,
            run: run.as_deref(),
            logged_model: logged_model.as_deref(),
        };
        let resolved = self.resolve_source(origin, is_prompt(&tags)).await?;
        check_name(&name, "name")?;
        check_tags(&tags)?;
        let Resolved {
            source,
            files_uri,
            run,
            logged_model,
        } = resolved;
        let at = self.now();
        let mut version = ModelVersion {
            name,
            version: VersionNumber::FIRST,
            description,
            stage: Stage::None,
            source,
            files_uri,
            run,
            logged_model,
            run_link,
            files: None,
            created_at: at,
            updated_at: at,
            tags,
        };
        self.get_model(&version.name).await?;
        if !lacks_files {
            version.files = self.keep_files(&version).await?;
        }
        let _turn = self.lock_creating_version().await;
        for _ in 0..ATTEMPTS {
            version.version = self.next_version(&version.name).await?;
            match self.commit_version(caller, &version).await {
                // Another process was faster.
                Err(RegistryError::Crowded { .. }) => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    return Ok(ModelVersionDetail {
                        version,
                        aliases: Vec::new(),
                    });
                }
            }
        }
        Err(RegistryError::Crowded { name: version.name })
    }

    async fn next_version(&self, name: &str) -> Result<VersionNumber, RegistryError> {
        self.store()
            .next_version(name)
            .await?
            .ok_or_else(|| RegistryError::NoModel {
                name: name.to_owned(),
            })
    }

    async fn commit_version(
        &self,
        caller: &Caller,
        version: &ModelVersion,
    ) -> Result<(), RegistryError> {
        let mut subjects = vec![
            version_subject(&version.name, version.version),
            model_subject(&version.name),
        ];
        subjects.extend(version.run.iter().map(|run| format!("run:{run}")));
        subjects.extend(version.logged_model.iter().map(|id| format!("model:{id}")));
        let mut changes = vec![Change::ModelVersionCreated {
            version: version.clone(),
        }];
        if let Some(id) = &version.logged_model {
            let found = self.store().find_model(id).await?;
            changes.extend(found.map(|found| name_version(&found.model, version)));
        }
        let writing = Writing {
            caller,
            kind: "model_version.created",
            subjects,
            reason: None,
        };
        self.commit(writing, changes).await
    }

    /// Gets a version; a deleted one is not found.
    pub async fn get_version(
        &self,
        name: &str,
        version: &str,
    ) -> Result<ModelVersionDetail, RegistryError> {
        check_name(name, "name")?;
        let version = parse_version(name, version)?;
        self.get_numbered(name, version).await
    }

    /// The latest version of each stage that is asked for, or of all, by number.
    pub async fn latest_versions(
        &self,
        name: &str,
        stages: &[&str],
    ) -> Result<Vec<ModelVersionDetail>, RegistryError> {
        let model = self.get_model(name).await?;
        let wanted: Vec<Stage> = match stages {
            [] => Stage::ALL.to_vec(),
            stages => stages
                .iter()
                .map(|word| parse_stage(word))
                .collect::<Result<_, _>>()?,
        };
        let mut latest = Vec::new();
        for version in model.latest {
            if wanted.contains(&version.stage) {
                latest.push(self.get_numbered(name, version.version).await?);
            }
        }
        Ok(latest)
    }

    /// Describes a version.
    pub async fn describe_version(
        &self,
        caller: &Caller,
        name: &str,
        version: &str,
        description: Option<String>,
    ) -> Result<ModelVersionDetail, RegistryError> {
        let version = self.get_version(name, version).await?.version.version;
        let writing = version_writing(caller, name, version, "model_version.described");
        let change = Change::ModelVersionDescribed {
            name: name.to_owned(),
            version,
            description,
            at: self.now(),
        };
        self.commit(writing, vec![change]).await?;
        self.get_numbered(name, version).await
    }

    /// Moves a version to a stage; with `archives_others` those that stand in it are archived.
    pub async fn set_stage(
        &self,
        caller: &Caller,
        name: &str,
        version: &str,
        stage: &str,
        archives_others: bool,
    ) -> Result<ModelVersionDetail, RegistryError> {
        let word = stage;
        let stage = parse_stage(word)?;
        if archives_others && !stage.is_active() {
            return Err(RegistryError::NotAnActiveStage {
                word: word.to_owned(),
            });
        }
        let version = self.get_version(name, version).await?.version.version;
        let archived = if archives_others {
            self.list_in_stage(name, stage, version).await?
        } else {
            Vec::new()
        };
        let mut subjects = vec![version_subject(name, version), model_subject(name)];
        let others = archived.iter().map(|other| version_subject(name, *other));
        subjects.extend(others);
        let writing = Writing {
            caller,
            kind: "model_version.staged",
            subjects,
            reason: None,
        };
        let change = Change::ModelVersionStageSet {
            name: name.to_owned(),
            version,
            stage,
            archived,
            at: self.now(),
        };
        self.commit(writing, vec![change]).await?;
        self.get_numbered(name, version).await
    }

    /// All versions in a stage but one.
    async fn list_in_stage(
        &self,
        name: &str,
        stage: Stage,
        but: VersionNumber,
    ) -> Result<Vec<VersionNumber>, RegistryError> {
        let versions = self.list_versions(name).await?.into_iter();
        Ok(versions
            .map(|found| found.version)
            .filter(|found| found.stage == stage && found.version != but)
            .map(|found| found.version)
            .collect())
    }

    /// Lists the versions of a registered model or prompt, the first first.
    pub async fn list_versions(
        &self,
        name: &str,
    ) -> Result<Vec<ModelVersionDetail>, RegistryError> {
        // Not in MLflow's grammar, since a name may hold what would have to be quoted there.
        let query = SearchQuery {
            conditions: vec![Condition {
                field: Field::Attribute("name".to_owned()),
                comparison: Comparison::Text(Operator::Equal, name.to_owned()),
            }],
            order_by: Vec::new(),
        };
        let mut page = PageRequest::first(LARGEST_VERSION_PAGE);
        let mut versions = Vec::new();
        loop {
            let searching = self
                .store()
                .search_model_versions(&query, Prompts::Included, &page);
            let found = searching.await?;
            versions.extend(found.items);
            match found.next {
                Some(next) => page.token = Some(next),
                None => break,
            }
        }
        versions.sort_by_key(|found| found.version.version);
        Ok(versions)
    }

    /// Deletes a version with the aliases that point at it. Its number is not given again.
    pub async fn delete_version(
        &self,
        caller: &Caller,
        name: &str,
        version: &str,
    ) -> Result<(), RegistryError> {
        let version = self.get_version(name, version).await?.version.version;
        let writing = version_writing(caller, name, version, "model_version.deleted");
        let change = Change::ModelVersionDeleted {
            name: name.to_owned(),
            version,
            at: self.now(),
        };
        self.commit(writing, vec![change]).await
    }

    /// Searches by MLflow's grammar. Without an order: the last changed first. Prompts only where the filter asks.
    pub async fn search_versions(
        &self,
        filter: &str,
        order_by: &[&str],
        page: &PageRequest,
    ) -> Result<Page<ModelVersionDetail>, RegistryError> {
        const LAST_CHANGED: [&str; 1] = ["last_updated_timestamp DESC"];
        check_page(page, LARGEST_VERSION_PAGE)?;
        let order_by = if order_by.is_empty() {
            &LAST_CHANGED
        } else {
            order_by
        };
        let (query, prompts) = parse_query(filter, order_by, SearchKind::ModelVersions)?;
        Ok(self
            .store()
            .search_model_versions(&query, prompts, page)
            .await?)
    }

    /// Sets a tag.
    pub async fn set_version_tag(
        &self,
        caller: &Caller,
        name: &str,
        version: &str,
        (key, value): (&str, &str),
    ) -> Result<(), RegistryError> {
        check_name(name, "name")?;
        check_tag(key, value)?;
        let version = parse_version(name, version)?;
        let writing = version_writing(caller, name, version, "model_version.tagged");
        let change = Change::ModelVersionTagsSet {
            name: name.to_owned(),
            version,
            tags: BTreeMap::from([(key.to_owned(), value.to_owned())]),
        };
        let committed = self.commit(writing, vec![change]).await;
        committed.map_err(|error| error.about_version(version))
    }

    /// Deletes a tag; without one, nothing happens.
    pub async fn delete_version_tag(
        &self,
        caller: &Caller,
        name: &str,
        version: &str,
        key: &str,
    ) -> Result<(), RegistryError> {
        check_tag_key(key)?;
        let found = self.get_version(name, version).await?.version;
        if !found.tags.contains_key(key) {
            return Ok(());
        }
        let writing = version_writing(caller, name, found.version, "model_version.untagged");
        let change = Change::ModelVersionTagDeleted {
            name: name.to_owned(),
            version: found.version,
            key: key.to_owned(),
        };
        self.commit(writing, vec![change]).await
    }
}

fn parse_stage(word: &str) -> Result<Stage, RegistryError> {
    Stage::find(word).ok_or_else(|| RegistryError::InvalidStage {
        word: word.to_owned(),
    })
}

/// Names a version in the tag of the logged model that it is, as MLflow does.
fn name_version(model: &LoggedModel, version: &ModelVersion) -> Change {
    let named = model.tags.get(VERSIONS_TAG);
    let named = named.and_then(|text| serde_json::from_str::<Vec<serde_json::Value>>(text).ok());
    let mut named = named.unwrap_or_default();
    named.push(serde_json::json!({
        "name": version.name,
        "version": version.version.to_string(),
    }));
    let text = serde_json::Value::from(named).to_string();
    Change::ModelTagsSet {
        model: model.id.clone(),
        tags: BTreeMap::from([(VERSIONS_TAG.to_owned(), text)]),
        at: version.created_at,
    }
}

fn version_writing<'a>(
    caller: &'a Caller,
    name: &str,
    version: VersionNumber,
    kind: &'static str,
) -> Writing<'a> {
    Writing {
        caller,
        kind,
        subjects: vec![version_subject(name, version), model_subject(name)],
        reason: None,
    }
}
