//! `reproof model`

mod promote;
mod register;
mod show;

use std::path::Path;
use std::process::ExitCode;

use entities::{EntryKind, ModelVersionDetail};
use provenance::FileMap;
use registry::RegistryError;
use store::PageRequest;

use crate::arguments::ModelCommand;
use crate::context::Context;
use crate::error::CommandError;
use crate::faults::{executor_fault, objects_fault, registry_fault};
use crate::output::{Output, local_time, safe, size, table, table_text};

pub(crate) async fn run(command: ModelCommand, output: &Output) -> Result<ExitCode, CommandError> {
    match command {
        ModelCommand::List { filter, limit } => list(filter.as_deref(), limit, output).await,
        ModelCommand::Show { model } => show::run(&model, output).await,
        ModelCommand::Register {
            name,
            run,
            path,
            description,
            tags,
        } => {
            let request = register::Request {
                name,
                run,
                path,
                description,
                tags,
            };
            register::run(request, output).await
        }
        ModelCommand::Alias {
            model,
            alias,
            delete,
        } => set_alias(&model, &alias, delete, output).await,
        ModelCommand::Stage {
            model,
            stage,
            archive,
        } => set_stage(&model, &stage, archive, output).await,
        ModelCommand::Promote {
            model,
            alias,
            reason,
        } => promote::run(&model, &alias, reason, output).await,
        ModelCommand::Download { model, directory } => download(&model, &directory, output).await,
    }
}

/// Finds the version that `NAME/VERSION`, `NAME@ALIAS` or `NAME` (the latest) names.
async fn find_version(
    context: &Context,
    reference: &str,
) -> Result<ModelVersionDetail, CommandError> {
    let registry = &context.registry;
    let found = if let Some((name, version)) = reference.rsplit_once('/') {
        registry.get_version(name, version).await
    } else if let Some((name, alias)) = reference.rsplit_once('@') {
        registry.get_by_alias(name, alias).await
    } else {
        registry.get_by_alias(reference, "latest").await
    };
    found.map_err(registry_fault)
}

/// `NAME/VERSION`, by which a version can be named again.
fn name_of(detail: &ModelVersionDetail) -> String {
    format!("{}/{}", detail.version.name, detail.version.version)
}

async fn list(
    filter: Option<&str>,
    limit: usize,
    output: &Output,
) -> Result<ExitCode, CommandError> {
    let context = Context::open(output).await?;
    let page = PageRequest::first(limit.min(registry::LARGEST_MODEL_PAGE));
    let found = context
        .registry
        .search_models(filter.unwrap_or_default(), &[], &page)
        .await
        .map_err(registry_fault)?;
    if output.is_json {
        let models: Vec<_> = found.items.iter().map(show::model_json).collect();
        output.json(&serde_json::json!({ "models": models }));
        return Ok(ExitCode::SUCCESS);
    }
    if found.items.is_empty() {
        output.say("no registered model is found; `reproof model register NAME RUN` registers one");
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = table(&["name", "latest", "aliases", "changed", "description"]);
    for detail in &found.items {
        let latest = detail.latest.iter().map(|version| version.version).max();
        let aliases: Vec<_> = detail
            .aliases
            .iter()
            .map(|(alias, version)| format!("{} → {version}", safe(alias)))
            .collect();
        table.add_row([
            safe(&detail.model.name),
            latest.map_or_else(|| "–".to_owned(), |version| version.to_string()),
            aliases.join(", "),
            local_time(detail.model.updated_at),
            detail
                .model
                .description
                .as_deref()
                .map(safe)
                .unwrap_or_default(),
        ]);
    }
    output.line(&table_text(&table));
    if found.next.is_some() {
        output.say("there are more; `--limit N` shows more");
    }
    Ok(ExitCode::SUCCESS)
}

async fn set_alias(
    reference: &str,
    alias: &str,
    delete: bool,
    output: &Output,
) -> Result<ExitCode, CommandError> {
    let context = Context::open_to_write(output).await?;
    let caller = &context.bench.caller;
    if delete {
        let name = reference.split(['/', '@']).next().unwrap_or(reference);
        let model = context.registry.get_model(name).await;
        if !model.map_err(registry_fault)?.aliases.contains_key(alias) {
            let missing = RegistryError::NoAlias {
                alias: alias.to_owned(),
            };
            return Err(registry_fault(missing));
        }
        let deleting = context.registry.delete_alias(caller, name, alias);
        deleting.await.map_err(registry_fault)?;
        context.publish_or_warn(output).await;
        answer(
            output,
            &format!("alias `{}` of {} is deleted", safe(alias), safe(name)),
        );
        return Ok(ExitCode::SUCCESS);
    }
    let detail = find_version(&context, reference).await?;
    let version = detail.version.version.to_string();
    let name = &detail.version.name;
    let setting = context.registry.set_alias(caller, name, alias, &version);
    setting.await.map_err(registry_fault)?;
    context.publish_or_warn(output).await;
    answer(
        output,
        &format!("`{}@{}` is version {version}", safe(name), safe(alias)),
    );
    Ok(ExitCode::SUCCESS)
}

async fn set_stage(
    reference: &str,
    stage: &str,
    archives_others: bool,
    output: &Output,
) -> Result<ExitCode, CommandError> {
    let context = Context::open_to_write(output).await?;
    let version = find_version(&context, reference).await?.version;
    let number = version.version.to_string();
    let staged = context
        .registry
        .set_stage(
            &context.bench.caller,
            &version.name,
            &number,
            stage,
            archives_others,
        )
        .await
        .map_err(registry_fault)?;
    context.publish_or_warn(output).await;
    answer(
        output,
        &format!(
            "{} stands in {}",
            safe(&name_of(&staged)),
            staged.version.stage.as_str()
        ),
    );
    Ok(ExitCode::SUCCESS)
}

async fn download(
    reference: &str,
    directory: &Path,
    output: &Output,
) -> Result<ExitCode, CommandError> {
    let context = Context::open(output).await?;
    let detail = find_version(&context, reference).await?;
    let version = &detail.version;
    let Some(files) = version.files else {
        return Err(registry_fault(RegistryError::NoFiles {
            name: version.name.clone(),
            version: version.version,
            uri: version.download_uri().to_owned(),
        }));
    };
    let list = executor::flatten_tree(&context.bench.cas, &files).map_err(executor_fault)?;
    write_files(&context, &list, directory)?;
    let bytes: u64 = list.values().map(|fact| fact.size_bytes).sum();
    if output.is_json {
        output.json(&serde_json::json!({
            "name": version.name,
            "version": version.version,
            "directory": directory,
            "files": list,
        }));
    } else {
        output.line(&format!(
            "wrote {} files, {}, of {} to {}",
            list.len(),
            size(bytes),
            safe(&name_of(&detail)),
            directory.display()
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes files into a directory that is new or empty.
fn write_files(context: &Context, files: &FileMap, directory: &Path) -> Result<(), CommandError> {
    let cannot = |path: &Path, error: &std::io::Error| {
        CommandError::system("E0018", format!("cannot write {}: {error}", path.display()))
    };
    std::fs::create_dir_all(directory).map_err(|error| cannot(directory, &error))?;
    let mut there = std::fs::read_dir(directory).map_err(|error| cannot(directory, &error))?;
    if there.next().is_some() {
        return Err(CommandError::usage(
            "E0016",
            format!("{} is there and not empty", directory.display()),
        ));
    }
    for (path, fact) in files {
        let path = directory.join(path.to_path());
        let folder = path.parent().unwrap_or(directory);
        std::fs::create_dir_all(folder).map_err(|error| cannot(folder, &error))?;
        context
            .bench
            .cas
            .checkout_file(&fact.object, &path, fact.kind == EntryKind::Executable)
            .map_err(objects_fault)?;
    }
    Ok(())
}

/// Says what was done.
fn answer(output: &Output, text: &str) {
    if output.is_json {
        output.json(&serde_json::json!({ "done": text }));
    } else {
        output.line(text);
    }
}
