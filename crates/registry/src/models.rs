//! Registered models and their aliases.

use std::collections::BTreeMap;

use entities::{
    Caller, Change, ModelVersionDetail, RegisteredModel, RegisteredModelDetail, ResourceKind,
    SearchKind, VersionNumber, is_prompt,
};
use store::{Page, PageRequest, StoreError};

use crate::registry::{Writing, model_subject, parse_query, version_subject};
use crate::validation::{
    check_alias, check_alias_is_free, check_name, check_page, check_tag, check_tag_key, check_tags,
    is_latest, parse_version,
};
use crate::{Registry, RegistryError};

/// Results in one page of a search for registered models.
pub const LARGEST_MODEL_PAGE: usize = 1000;

/// A registered model to be created.
#[derive(Clone, Debug, Default)]
pub struct NewRegisteredModel {
    /// Its name.
    pub name: String,
    /// What somebody says of it.
    pub description: Option<String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

impl Registry {
    /// Registers a name.
    pub async fn create_model(
        &self,
        caller: &Caller,
        new: NewRegisteredModel,
    ) -> Result<RegisteredModelDetail, RegistryError> {
        let NewRegisteredModel {
            name,
            description,
            tags,
        } = new;
        check_name(&name, "name")?;
        check_tags(&tags)?;
        let at = self.now();
        let model = RegisteredModel {
            name,
            description,
            created_at: at,
            updated_at: at,
            tags,
        };
        let writing = model_writing(caller, &model.name, "registered_model.created");
        let change = Change::RegisteredModelCreated {
            model: model.clone(),
        };
        let kind = if is_prompt(&model.tags) {
            ResourceKind::Prompt
        } else {
            ResourceKind::RegisteredModel
        };
        let owning = caller.owning(kind, model.name.as_str());
        let changes = [change].into_iter().chain(owning).collect();
        match self.commit(writing, changes).await {
            Err(RegistryError::Store(StoreError::RegisteredModelNameTaken { name })) => {
                Err(self.name_taken(name, is_prompt(&model.tags)).await)
            }
            Err(error) => Err(error),
            Ok(()) => Ok(RegisteredModelDetail {
                model,
                aliases: BTreeMap::new(),
                latest: Vec::new(),
            }),
        }
    }

    async fn name_taken(&self, name: String, is_new_prompt: bool) -> RegistryError {
        let old = self.store().find_registered_model(&name).await;
        RegistryError::NameTaken {
            is_old_prompt: match old {
                Ok(Some(old)) => old.model.is_prompt(),
                _ => is_new_prompt,
            },
            name,
            is_new_prompt,
        }
    }

    /// Gets a registered model with its aliases and latest versions.
    pub async fn get_model(&self, name: &str) -> Result<RegisteredModelDetail, RegistryError> {
        check_name(name, "name")?;
        self.store()
            .find_registered_model(name)
            .await?
            .ok_or_else(|| RegistryError::NoModel {
                name: name.to_owned(),
            })
    }

    /// Renames a registered model with all its versions.
    pub async fn rename_model(
        &self,
        caller: &Caller,
        name: &str,
        new_name: &str,
    ) -> Result<RegisteredModelDetail, RegistryError> {
        check_name(new_name, "new_name")?;
        check_name(name, "name")?;
        let writing = Writing {
            caller,
            kind: "registered_model.renamed",
            subjects: vec![model_subject(name), model_subject(new_name)],
            reason: None,
        };
        let change = Change::RegisteredModelRenamed {
            name: name.to_owned(),
            new_name: new_name.to_owned(),
            at: self.now(),
        };
        match self.commit(writing, vec![change]).await {
            Err(RegistryError::Store(StoreError::RegisteredModelNameTaken { name: taken })) => {
                let renamed = self.get_model(name).await?;
                Err(self.name_taken(taken, renamed.model.is_prompt()).await)
            }
            Err(error) => Err(error),
            Ok(()) => self.get_model(new_name).await,
        }
    }

    /// Describes a registered model.
    pub async fn describe_model(
        &self,
        caller: &Caller,
        name: &str,
        description: Option<String>,
    ) -> Result<RegisteredModelDetail, RegistryError> {
        check_name(name, "name")?;
        let writing = model_writing(caller, name, "registered_model.described");
        let change = Change::RegisteredModelDescribed {
            name: name.to_owned(),
            description,
            at: self.now(),
        };
        self.commit(writing, vec![change]).await?;
        self.get_model(name).await
    }

    /// Deletes a registered model with all its versions; the ledger keeps what they were.
    pub async fn delete_model(&self, caller: &Caller, name: &str) -> Result<(), RegistryError> {
        check_name(name, "name")?;
        let writing = model_writing(caller, name, "registered_model.deleted");
        let change = Change::RegisteredModelDeleted {
            name: name.to_owned(),
        };
        self.commit(writing, vec![change]).await
    }

    /// Searches by MLflow's grammar. Without an order: by name. Prompts only where the filter asks for them.
    pub async fn search_models(
        &self,
        filter: &str,
        order_by: &[&str],
        page: &PageRequest,
    ) -> Result<Page<RegisteredModelDetail>, RegistryError> {
        check_page(page, LARGEST_MODEL_PAGE)?;
        let (query, prompts) = parse_query(filter, order_by, SearchKind::RegisteredModels)?;
        Ok(self
            .store()
            .search_registered_models(&query, prompts, page)
            .await?)
    }

    /// Sets a tag.
    pub async fn set_model_tag(
        &self,
        caller: &Caller,
        name: &str,
        key: &str,
        value: &str,
    ) -> Result<(), RegistryError> {
        check_name(name, "name")?;
        check_tag(key, value)?;
        let writing = model_writing(caller, name, "registered_model.tagged");
        let change = Change::RegisteredModelTagsSet {
            name: name.to_owned(),
            tags: BTreeMap::from([(key.to_owned(), value.to_owned())]),
        };
        self.commit(writing, vec![change]).await
    }

    /// Deletes a tag; without one, nothing happens.
    pub async fn delete_model_tag(
        &self,
        caller: &Caller,
        name: &str,
        key: &str,
    ) -> Result<(), RegistryError> {
        check_name(name, "name")?;
        check_tag_key(key)?;
        if !self.get_model(name).await?.model.tags.contains_key(key) {
            return Ok(());
        }
        let writing = model_writing(caller, name, "registered_model.untagged");
        let change = Change::RegisteredModelTagDeleted {
            name: name.to_owned(),
            key: key.to_owned(),
        };
        self.commit(writing, vec![change]).await
    }

    /// Makes an alias point at a version.
    pub async fn set_alias(
        &self,
        caller: &Caller,
        name: &str,
        alias: &str,
        version: &str,
    ) -> Result<(), RegistryError> {
        self.point_alias(caller, name, alias, version, ("alias.set", None))
            .await
    }

    /// Puts a version into use: makes an alias point at it, by the word of somebody who has looked at the evidence.
    pub async fn promote(
        &self,
        caller: &Caller,
        (name, version): (&str, VersionNumber),
        alias: &str,
        reason: Option<String>,
    ) -> Result<(), RegistryError> {
        let kind = ("model_version.promoted", reason);
        self.point_alias(caller, name, alias, &version.to_string(), kind)
            .await
    }

    async fn point_alias(
        &self,
        caller: &Caller,
        name: &str,
        alias: &str,
        version: &str,
        (kind, reason): (&'static str, Option<String>),
    ) -> Result<(), RegistryError> {
        check_name(name, "name")?;
        check_alias(alias)?;
        check_alias_is_free(alias)?;
        let version = parse_version(name, version)?;
        let mut subjects = vec![model_subject(name), version_subject(name, version)];
        // Whoever asks about the version that had it must find that it was taken away.
        let old = self.store().find_alias(name, alias).await?;
        subjects.extend(old.map(|old| version_subject(name, old)));
        let writing = Writing {
            caller,
            kind,
            subjects,
            reason,
        };
        let change = Change::AliasSet {
            name: name.to_owned(),
            alias: alias.to_owned(),
            version,
        };
        let committed = self.commit(writing, vec![change]).await;
        committed.map_err(|error| error.about_version(version))
    }

    /// Deletes an alias; without one, nothing happens.
    pub async fn delete_alias(
        &self,
        caller: &Caller,
        name: &str,
        alias: &str,
    ) -> Result<(), RegistryError> {
        check_name(name, "name")?;
        check_alias(alias)?;
        self.get_model(name).await?;
        let Some(version) = self.store().find_alias(name, alias).await? else {
            return Ok(());
        };
        let writing = Writing {
            caller,
            kind: "alias.deleted",
            subjects: vec![model_subject(name), version_subject(name, version)],
            reason: None,
        };
        let change = Change::AliasDeleted {
            name: name.to_owned(),
            alias: alias.to_owned(),
        };
        self.commit(writing, vec![change]).await
    }

    /// Gets the version that an alias points at; `latest` is the one with the highest number.
    pub async fn get_by_alias(
        &self,
        name: &str,
        alias: &str,
    ) -> Result<ModelVersionDetail, RegistryError> {
        check_name(name, "name")?;
        check_alias(alias)?;
        let model = self.get_model(name).await?;
        if is_latest(alias) {
            let numbers = model.latest.iter().map(|version| version.version);
            let latest = numbers.max().ok_or_else(|| RegistryError::NoLatest {
                name: name.to_owned(),
            })?;
            return self.get_numbered(name, latest).await;
        }
        match model.aliases.get(alias) {
            Some(version) => self.get_numbered(name, *version).await,
            None => Err(RegistryError::NoAlias {
                alias: alias.to_owned(),
            }),
        }
    }

    pub(crate) async fn get_numbered(
        &self,
        name: &str,
        version: VersionNumber,
    ) -> Result<ModelVersionDetail, RegistryError> {
        self.store()
            .find_model_version(name, version)
            .await?
            .ok_or_else(|| RegistryError::NoVersion {
                name: name.to_owned(),
                version: version.to_string(),
            })
    }
}

fn model_writing<'a>(caller: &'a Caller, name: &str, kind: &'static str) -> Writing<'a> {
    Writing {
        caller,
        kind,
        subjects: vec![model_subject(name)],
        reason: None,
    }
}
