//! Requests about the registry.

use access::{Action, Need};
use entities::{ANY_RESOURCE, PROMPT_TAG, Resource, ResourceKind, proxied_path};
use percent_encoding::percent_decode_str;

use super::{Judge, Needs, refused};
use crate::error::RequestError;
use crate::sign_on::needs::{inner_needs, registered_kind, registered_needs, versions_of};
use crate::sign_on::rules::Rule;
use crate::wire::missing;

impl Judge<'_> {
    /// What stands under a name of the registry; what is not there counts as a registered model.
    async fn kind_of(&self, name: &str) -> Result<Option<ResourceKind>, RequestError> {
        let found = self.store().find_registered_model(name).await;
        let found = found.map_err(registry::RegistryError::from)?;
        Ok(found.map(|detail| registered_kind(detail.model.is_prompt())))
    }

    pub(super) async fn of_registry(&self, rule: Rule) -> Needs {
        if rule == Rule::CreateRegistered {
            return self.create_registered();
        }
        let names = self.asked.all("name");
        if names.is_empty() {
            return Err(missing("name"));
        }
        let mut needs = Vec::new();
        let mut new_names = self.asked.all("new_name");
        new_names.extend(names.clone());
        if new_names.iter().any(|name| name == ANY_RESOURCE) {
            // What was said of all of them would be said of it, and the other way round.
            return refused();
        }
        for name in names {
            let found = self.kind_of(&name).await?;
            needs.extend(self.of_registered(rule, &name, found)?);
        }
        if rule == Rule::CreateVersion {
            needs.extend(self.origin_of_version().await?);
        }
        Ok(needs)
    }

    fn create_registered(&self) -> Needs {
        // It is made what its tags say; who denied either denied it.
        let names = self.asked.all("name");
        if names.iter().any(|name| name == ANY_RESOURCE) {
            return refused();
        }
        let kinds = [ResourceKind::RegisteredModel, ResourceKind::Prompt];
        let is_prompt = self.tags_name(PROMPT_TAG)?;
        let kinds = kinds
            .into_iter()
            .filter(|kind| is_prompt || *kind == ResourceKind::RegisteredModel);
        Ok(kinds
            .flat_map(|kind| {
                let named = names.iter();
                named.map(move |name| Need::new(Action::Unless, Resource::new(kind, name.clone())))
            })
            .collect())
    }

    fn tags_name(&self, key: &str) -> Result<bool, RequestError> {
        let keys = self.asked.all_at(&["tags[]", "key"])?;
        Ok(keys.iter().any(|found| found == key))
    }

    fn of_registered(&self, rule: Rule, name: &str, found: Option<ResourceKind>) -> Needs {
        let kind = found.unwrap_or(ResourceKind::RegisteredModel);
        let one = Resource::new(kind, name);
        let version = |action| Need::any(action, versions_of(kind)).or(action, one.clone());
        Ok(match rule {
            Rule::Registered(Action::Read) => registered_needs(kind, name),
            Rule::Registered(action) => vec![Need::new(action, one)],
            Rule::TagRegistered => {
                // It would be another kind of thing, of which other things were said.
                let is_mark = self.asked.all("key").iter().any(|key| key == PROMPT_TAG);
                let action = if is_mark {
                    Action::Manage
                } else {
                    Action::Update
                };
                vec![Need::new(action, one)]
            }
            Rule::DeleteRegistered => vec![
                Need::new(Action::Delete, one.clone()),
                version(Action::Delete),
            ],
            Rule::Alias(action) => vec![Need::new(action, one.clone()), version(Action::Read)],
            // A version of what is not there is refused, as by MLflow.
            Rule::Version(_) | Rule::CreateVersion if found.is_none() => return refused(),
            Rule::Version(Action::Read) => registered_needs(kind, name),
            Rule::Version(action) => vec![Need::new(Action::Read, one.clone()), version(action)],
            Rule::CreateVersion => vec![
                Need::new(Action::Update, one),
                Need::any(Action::Unless, versions_of(kind)),
                Need::any(
                    Action::Unless,
                    versions_of(if self.tags_name(PROMPT_TAG)? {
                        ResourceKind::Prompt
                    } else {
                        kind
                    }),
                ),
            ],
            _ => return refused(),
        })
    }

    /// To read what a version is made from.
    async fn origin_of_version(&self) -> Needs {
        let mut needs = self.runs_of(self.asked.all("run_id"), Action::Read).await?;
        for model in self.asked.all("model_id") {
            needs.extend(self.model(&model, Action::Read).await?);
        }
        for source in self.asked.all("source") {
            needs.extend(self.source(&source).await?);
        }
        Ok(needs)
    }

    /// A logged model by its id, or a registered model by its name.
    async fn model_by_name(&self, name: &str) -> Needs {
        if let Some(experiment) = self.experiment_of_model(name).await? {
            let kind = ResourceKind::LoggedModel;
            return Ok(inner_needs(kind, Action::Read, &experiment));
        }
        let kind = self.kind_of(name).await?;
        let kind = kind.unwrap_or(ResourceKind::RegisteredModel);
        Ok(registered_needs(kind, name))
    }

    async fn source(&self, source: &str) -> Needs {
        let decoded = percent_decode_str(source).decode_utf8_lossy().into_owned();
        let mut needs = Vec::new();
        for source in [source, decoded.as_str()] {
            let Some((scheme, rest)) = source.split_once(':') else {
                continue;
            };
            let rest = rest.trim_start_matches('/');
            let first = rest.split(['/', '@', '?', '#']).next().unwrap_or_default();
            match scheme.to_ascii_lowercase().as_str() {
                "runs" => needs.extend(self.runs_of(vec![first.to_owned()], Action::Read).await?),
                "models" => needs.extend(self.model_by_name(first).await?),
                "mlflow-artifacts" => {
                    if let Some(path) = proxied_path(source) {
                        needs.extend(self.artifact(path, Action::Read).await?);
                    }
                }
                _ => {}
            }
        }
        Ok(needs)
    }
}
