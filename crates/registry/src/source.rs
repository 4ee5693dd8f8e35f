//! Where a version comes from: what its source names, and that it names nothing else.
//!
//! *Source*: `_create_model_version` and the checks that it calls in `mlflow/server/handlers.py`.

use entities::{LoggedModel, ModelId, ModelVersionDetail, Run, RunId, VersionNumber, python};
use percent_encoding::percent_decode_str;

use crate::validation::is_latest;
use crate::{Registry, RegistryError};

/// What a prompt has for a source, since its text is a tag.
const PROMPT_SOURCES: [&str; 2] = ["dummy-source", "prompt-template"];

/// A source that was understood.
pub(crate) struct Resolved {
    /// As it is kept.
    pub(crate) source: String,
    /// Where the files are, if not there.
    pub(crate) files_uri: Option<String>,
    pub(crate) run: Option<RunId>,
    pub(crate) logged_model: Option<ModelId>,
}

/// What a request says of where a version comes from.
pub(crate) struct Origin<'a> {
    pub(crate) source: &'a str,
    /// None where the request does not say, empty where it says nothing.
    pub(crate) run: Option<&'a str>,
    pub(crate) logged_model: Option<&'a str>,
}

/// A URI in its parts.
struct Uri<'a> {
    scheme: &'a str,
    authority: &'a str,
    path: &'a str,
}

impl<'a> Uri<'a> {
    fn split(text: &'a str) -> Self {
        let is_scheme = |scheme: &str| {
            scheme.starts_with(|first: char| first.is_ascii_alphabetic())
                && scheme.chars().all(|letter| {
                    letter.is_ascii_alphanumeric() || matches!(letter, '+' | '-' | '.')
                })
        };
        let (scheme, rest) = match text.split_once(':') {
            Some((scheme, rest)) if is_scheme(scheme) => (scheme, rest),
            _ => ("", text),
        };
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
            None => ("", rest),
        };
        let path = &path[..path.find(['?', '#']).unwrap_or(path.len())];
        Self {
            scheme,
            authority,
            path,
        }
    }

    fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    /// Whether it names a file of the machine that reads it.
    fn is_local(&self) -> bool {
        let is_here = self.authority.is_empty() || self.authority == "localhost";
        self.scheme.is_empty() || self.is("file") && is_here
    }

    /// Names of the path, decoded until nothing is left to decode.
    fn names(&self) -> Vec<String> {
        let names = self.path.split('/').filter(|name| !name.is_empty());
        names.map(decode_whole).collect()
    }
}

/// Undoes percent-encoding as often as it was done: `%252e` is a dot too.
fn decode_whole(text: &str) -> String {
    let mut text = text.to_owned();
    loop {
        let decoded = percent_decode_str(&text).decode_utf8_lossy().into_owned();
        if decoded == text {
            return text;
        }
        text = decoded;
    }
}

/// What stands in a `models:/` URI.
enum Named<'a> {
    LoggedModel(&'a str),
    Version(&'a str, VersionNumber),
    /// The latest version of all, or of a stage.
    Latest(&'a str, Option<&'a str>),
    Alias(&'a str, &'a str),
}

fn parse_models_uri(path: &str) -> Option<Named<'_>> {
    let path = path.strip_prefix('/')?;
    let mut parts = path.trim_start_matches('/').split('/');
    let (name, suffix) = (parts.next()?, parts.next());
    if name.trim().is_empty() || parts.next().is_some() {
        return None;
    }
    let Some(suffix) = suffix else {
        return Some(match name.rsplit_once('@') {
            Some((_, alias)) if alias.trim().is_empty() => return None,
            Some((name, alias)) => Named::Alias(name, alias),
            None => Named::LoggedModel(name),
        });
    };
    if suffix.trim().is_empty() {
        return None;
    }
    if suffix.bytes().all(|digit| digit.is_ascii_digit()) {
        let number = suffix.parse().ok().and_then(VersionNumber::new)?;
        return Some(Named::Version(name, number));
    }
    let stage = (!is_latest(suffix)).then_some(suffix);
    Some(Named::Latest(name, stage))
}

impl Registry {
    /// Says what a request for a version names.
    pub(crate) async fn resolve_source(
        &self,
        origin: Origin<'_>,
        is_prompt: bool,
    ) -> Result<Resolved, RegistryError> {
        let given = |id: Option<&str>| id.filter(|id| !id.is_empty()).map(str::to_owned);
        let (run, logged_model) = (given(origin.run), given(origin.logged_model));
        let mut resolved = Resolved {
            source: origin.source.to_owned(),
            files_uri: None,
            run: run.as_deref().map(parse_run).transpose()?,
            logged_model: logged_model.as_deref().map(parse_model).transpose()?,
        };
        if is_prompt {
            if PROMPT_SOURCES.contains(&origin.source) {
                return Ok(resolved);
            }
            return Err(RegistryError::InvalidPromptSource {
                source_uri: origin.source.to_owned(),
            });
        }
        let uri = Uri::split(origin.source);
        if uri.is("models") {
            let field = "model_id";
            let named = parse_models_uri(uri.path).filter(|_| uri.authority.is_empty());
            let named = named.ok_or_else(|| foreign(origin.source, field))?;
            if let Some(version) = self.find_named(&named).await? {
                take_over(&mut resolved, &origin, version)?;
                return Ok(resolved);
            }
        }
        match resolved.logged_model.clone() {
            Some(id) => self.check_source_model(&mut resolved, &id).await?,
            None => self.check_source_run(&resolved).await?,
        }
        Ok(resolved)
    }

    /// The version that a source names; none where it names a logged model.
    async fn find_named(
        &self,
        named: &Named<'_>,
    ) -> Result<Option<ModelVersionDetail>, RegistryError> {
        let version = match named {
            Named::LoggedModel(_) => return Ok(None),
            Named::Version(name, version) => {
                self.get_model(name).await?;
                self.get_numbered(name, *version).await?
            }
            Named::Alias(name, alias) => self.get_by_alias(name, alias).await?,
            Named::Latest(name, None) => self.get_by_alias(name, "latest").await?,
            Named::Latest(name, Some(stage)) => {
                let mut latest = self.latest_versions(name, &[stage]).await?;
                latest.pop().ok_or_else(|| RegistryError::NoLatest {
                    name: (*name).to_owned(),
                })?
            }
        };
        Ok(Some(version))
    }

    /// Checks a source against the logged model that the version is said to be.
    async fn check_source_model(
        &self,
        resolved: &mut Resolved,
        id: &ModelId,
    ) -> Result<(), RegistryError> {
        let source = resolved.source.clone();
        let uri = Uri::split(&source);
        let found = self.store().find_model(id).await?.map(|found| found.model);
        let is_within = |model: &LoggedModel| is_within(&uri, &Uri::split(&model.artifact_uri));
        if uri.is_local() {
            return match &found {
                Some(model) if is_local_and_plain(&uri) && is_within(model) => {
                    note_model(resolved, model);
                    Ok(())
                }
                _ => Err(local(&source, "model_id")),
            };
        }
        check_is_absolute(&source, &uri)?;
        let named = match parse_models_uri(uri.path) {
            Some(Named::LoggedModel(named)) if uri.is("models") => Some(named),
            _ => None,
        };
        let is_it = named.is_some_and(|named| named == id.as_str());
        let is_other = named.is_some() && !is_it
            || uri.is("runs")
            || is_artifact(&uri) && !found.as_ref().is_some_and(is_within);
        if is_other {
            return Err(foreign(&source, "model_id"));
        }
        let Some(model) = found else {
            return Err(RegistryError::NoLoggedModel { id: id.clone() });
        };
        if is_it {
            resolved.files_uri = Some(model.artifact_uri.clone());
        }
        note_model(resolved, &model);
        Ok(())
    }

    /// Checks a source against the run that the version is said to come from.
    async fn check_source_run(&self, resolved: &Resolved) -> Result<(), RegistryError> {
        let source = &resolved.source;
        let uri = Uri::split(source);
        let run = match &resolved.run {
            Some(run) => self.store().find_run(run).await?,
            None => None,
        };
        let is_within = |run: &Run| is_within(&uri, &Uri::split(&run.artifact_uri));
        if uri.is_local() {
            let is_of_run = run.as_ref().is_some_and(is_within);
            return if is_local_and_plain(&uri) && is_of_run {
                Ok(())
            } else {
                Err(local(source, "run_id"))
            };
        }
        check_is_absolute(source, &uri)?;
        if uri.is("runs") {
            let names = uri.names();
            let named = names.first();
            let is_it = uri.authority.is_empty()
                && named.map(String::as_str) == resolved.run.as_ref().map(RunId::as_str);
            return if is_it {
                Ok(())
            } else {
                Err(foreign(source, "run_id"))
            };
        }
        if uri.is("models") {
            return Err(foreign(source, "model_id"));
        }
        if is_artifact(&uri) && !run.as_ref().is_some_and(is_within) {
            return Err(foreign(source, "run_id"));
        }
        Ok(())
    }
}

/// Takes over from the version that is a source what it was made from.
fn take_over(
    resolved: &mut Resolved,
    origin: &Origin<'_>,
    of: ModelVersionDetail,
) -> Result<(), RegistryError> {
    let version = of.version;
    if entities::is_prompt(&version.tags) {
        return Err(RegistryError::PromptSource {
            source_uri: origin.source.to_owned(),
        });
    }
    let is_same = |given: Option<&str>, known: Option<&str>| {
        given.is_none_or(|given| given == known.unwrap_or_default())
    };
    let run = version.run.as_ref().map(RunId::as_str);
    let model = version.logged_model.as_ref().map(ModelId::as_str);
    if !is_same(origin.run, run) || !is_same(origin.logged_model, model) {
        return Err(RegistryError::OtherOrigin {
            source_uri: origin.source.to_owned(),
        });
    }
    resolved.source = format!("models:/{}/{}", version.name, version.version);
    resolved.files_uri = Some(version.download_uri().to_owned());
    resolved.run = version.run;
    resolved.logged_model = version.logged_model;
    Ok(())
}

/// A version that is a logged model comes from its run, where none is named.
fn note_model(resolved: &mut Resolved, model: &LoggedModel) {
    if resolved.run.is_none() {
        resolved.run.clone_from(&model.source_run);
    }
}

fn parse_run(text: &str) -> Result<RunId, RegistryError> {
    text.parse().map_err(|_| RegistryError::InvalidValue {
        field: "run_id",
        value: python::json(text),
        reason: "it is no id of a run".to_owned(),
    })
}

fn parse_model(text: &str) -> Result<ModelId, RegistryError> {
    text.parse().map_err(|_| RegistryError::InvalidValue {
        field: "model_id",
        value: python::json(text),
        reason: "it is no id of a logged model".to_owned(),
    })
}

fn foreign(source: &str, field: &'static str) -> RegistryError {
    RegistryError::ForeignSource {
        source_uri: source.to_owned(),
        field,
    }
}

fn local(source: &str, field: &'static str) -> RegistryError {
    RegistryError::LocalSource {
        source_uri: source.to_owned(),
        field,
    }
}

/// Whether artifacts of an MLflow server are meant.
fn is_artifact(uri: &Uri<'_>) -> bool {
    const ROUTE: [&str; 4] = ["api", "2.0", "mlflow-artifacts", "artifacts"];
    let is_web = uri.is("http") || uri.is("https");
    uri.is("mlflow-artifacts") || is_web && uri.names().windows(4).any(|names| names == ROUTE)
}

fn is_within(uri: &Uri<'_>, root: &Uri<'_>) -> bool {
    let is_same_place = if uri.is_local() {
        root.is_local()
    } else {
        uri.is(root.scheme) && uri.authority.eq_ignore_ascii_case(root.authority)
    };
    let root = root.names();
    is_same_place && !root.is_empty() && uri.names().starts_with(&root)
}

/// Refuses a path that could lead elsewhere than it says, however often it was encoded.
fn check_is_absolute(source: &str, uri: &Uri<'_>) -> Result<(), RegistryError> {
    let decoded = decode_whole(&source.replace('+', " "));
    let is_odd = |name: &str| matches!(name, "." | "..") || name.contains(['\0', '\\']);
    let leads_away = decoded.split('/').any(is_odd) || uri.names().iter().any(|name| is_odd(name));
    if leads_away || !uri.path.starts_with('/') {
        return Err(RegistryError::RelativeSource {
            source_uri: source.to_owned(),
        });
    }
    Ok(())
}

fn is_local_and_plain(uri: &Uri<'_>) -> bool {
    let is_odd = |name: &String| matches!(name.as_str(), "." | "..") || name.contains('\0');
    uri.path.starts_with('/') && !uri.names().iter().any(is_odd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_is_read_in_its_parts() {
        for (text, scheme, authority, path) in [
            (
                "mlflow-artifacts:/0/a/artifacts/m",
                "mlflow-artifacts",
                "",
                "/0/a/artifacts/m",
            ),
            ("s3://bucket/a?x#y", "s3", "bucket", "/a"),
            ("models:/m@champion", "models", "", "/m@champion"),
            ("/etc", "", "", "/etc"),
            ("a b:c", "", "", "a b:c"),
            ("", "", "", ""),
        ] {
            let uri = Uri::split(text);
            assert_eq!(
                (uri.scheme, uri.authority, uri.path),
                (scheme, authority, path),
                "{text}"
            );
        }
    }

    #[test]
    fn no_path_leads_away() {
        for source in [
            "mlflow-artifacts:/0/../../etc",
            "mlflow-artifacts://host:80/..%2f..%2fetc",
            "mlflow-artifacts:/0/%252e%252e/x",
            "s3:/my_bucket/models/path/../../other/path",
            "http://host/api/2.0/mlflow-artifacts/artifacts%00",
            "s3://bucket",
            "s3:bucket/a",
            "s3://bucket/./a",
            "s3://bucket/a\\..\\b",
        ] {
            let checked = check_is_absolute(source, &Uri::split(source));
            assert!(checked.is_err(), "{source} was taken");
        }
        for source in [
            "s3://bucket/a/b",
            "mlflow-artifacts:/0/a/artifacts/m",
            "s3://bucket/a//b/",
        ] {
            check_is_absolute(source, &Uri::split(source)).unwrap();
        }
    }

    #[test]
    fn what_is_within_is_told_by_whole_names() {
        let is_within = |uri: &str, root: &str| is_within(&Uri::split(uri), &Uri::split(root));
        let root = "mlflow-artifacts:/0/a/artifacts";
        assert!(is_within("mlflow-artifacts:/0/a/artifacts/m", root));
        assert!(is_within("mlflow-artifacts:/0/a/artifacts", root));
        assert!(!is_within("mlflow-artifacts:/0/a/artifacts2/m", root));
        assert!(!is_within("mlflow-artifacts://other/0/a/artifacts/m", root));
        assert!(!is_within("s3:/0/a/artifacts/m", root));
        assert!(is_within("/data/a/m", "file:///data/a"));
        assert!(!is_within("/data/a", "mlflow-artifacts:/"));
    }

    #[test]
    fn a_models_uri_names_what_mlflow_says() {
        assert!(matches!(
            parse_models_uri("/m-1"),
            Some(Named::LoggedModel("m-1"))
        ));
        assert!(matches!(
            parse_models_uri("/m/3"),
            Some(Named::Version("m", _))
        ));
        assert!(matches!(
            parse_models_uri("/m/Latest"),
            Some(Named::Latest("m", None))
        ));
        assert!(matches!(
            parse_models_uri("/m/Production"),
            Some(Named::Latest("m", Some("Production")))
        ));
        assert!(matches!(
            parse_models_uri("/a@b@c"),
            Some(Named::Alias("a@b", "c"))
        ));
        for path in ["", "/", "m", "/m/", "/m/1/2", "/m@", "/ /1", "/m/0"] {
            assert!(parse_models_uri(path).is_none(), "{path}");
        }
    }
}
