//! `reproof server`

mod access_options;
mod mlflow_options;

use std::io::ErrorKind;
use std::process::ExitCode;
use std::sync::Arc;

use access::Accounts;
use entities::Clock as _;
use server::{ArtifactOptions, OperationOptions, Scope, ServerOptions, WebOptions};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracking::TakingOver;
use webhooks::Deliverer;

use crate::arguments::{HOST, ServerArguments};
use crate::context::Context;
use crate::database::NewStore;
use crate::delivering::Delivering;
use crate::destinations::keep_at;
use crate::error::CommandError;
use crate::output::{Output, safe};
use crate::project::cannot_write;
use crate::system::SystemClock;
use crate::taking_over::TakingOverMeanwhile;

use self::mlflow_options::Place;

pub(crate) async fn run(
    arguments: ServerArguments,
    output: &Output,
) -> Result<ExitCode, CommandError> {
    mlflow_options::check_others(&arguments, output)?;
    let artifacts = mlflow_options::artifacts(&arguments, output)?;
    let Place { root, postgres } = mlflow_options::place(&arguments, output)?;
    let web = mlflow_options::web(&arguments, output);
    let operation = mlflow_options::operation(&arguments, SystemClock.now());
    let access = access_options::settings(&arguments, output)?;
    let destination = mlflow_options::destination(&arguments)?;
    let ServerArguments { host, port, .. } = arguments;
    let host = if host.is_empty() { HOST } else { &host };
    let listener = listen(host, port).await?;
    let new = NewStore {
        postgres: postgres.as_deref(),
        artifact_root: artifacts.root.as_deref(),
    };
    let context = if let Some(root) = &root {
        let root = root.canonicalize().map_err(|error| {
            CommandError::usage("E0022", format!("cannot serve {}: {error}", root.display()))
        })?;
        Context::open_or_create_in(&root, new, output).await?
    } else {
        mlflow_options::warn_of_mlflow(output)?;
        Context::open_or_create_found(new, output).await?
    };
    if let Some(destination) = destination {
        keep_at(destination, &context)?;
        let kept = context.bench.cas.distant().next();
        let place = kept.map_or("", |kept| kept.place());
        output.say(&format!("artifacts are kept at {}", safe(place)));
    } else {
        for place in context.bench.cas.distant() {
            output.say(&format!(
                "artifacts at {} are read; new ones are kept in the store, since no `--artifacts-destination` names another place",
                safe(place.place())
            ));
        }
    }
    let address = listener.local_addr().map_err(|error| {
        CommandError::system("E0018", format!("cannot tell the address: {error}"))
    })?;
    let url = format!("http://{address}{}", web.prefix);
    let accounts = match access {
        None => {
            access_options::warn_of_users(&context, output).await?;
            None
        }
        Some(settings) => Some(access_options::accounts(&context, settings, output).await?),
    };
    if !address.ip().is_loopback() && accounts.is_some() {
        output.warn(
            "passwords and tokens go over the network as they are: put a proxy with TLS before it",
        );
    } else if !address.ip().is_loopback() {
        output.warn("whoever can reach this address can read and change everything: nobody is asked who they are");
    }
    // Before anybody knows that it is there, and may end it.
    let asked_to_end = end_signal()?;
    if output.is_json {
        output.json(&serde_json::json!({ "url": url, "root": context.bench.project.root }));
    } else {
        output.line(&format!(
            "serving {} at {url}",
            context.bench.project.root.display()
        ));
        output.line(&format!(
            "in Python: mlflow.set_tracking_uri(\"{url}\")    (Ctrl-C ends)"
        ));
    }
    let how = How {
        web,
        artifacts,
        operation,
        accounts,
    };
    serve(&context, listener, how, asked_to_end, output).await?;
    Ok(ExitCode::SUCCESS)
}

async fn listen(host: &str, port: u16) -> Result<TcpListener, CommandError> {
    TcpListener::bind((host, port)).await.map_err(|error| {
        let told = format!("cannot listen on {}:{port}: {error}", safe(host));
        let refused = CommandError::system("E0018", told);
        match error.kind() {
            ErrorKind::AddrInUse | ErrorKind::PermissionDenied => {
                refused.hint("`--port 0` takes a free port")
            }
            _ => refused,
        }
    })
}

fn cannot(error: &std::io::Error) -> CommandError {
    CommandError::system("E0018", format!("the server failed: {error}"))
}

/// Ends with Ctrl-C or SIGTERM, which end nothing else from now on.
fn end_signal() -> Result<impl Future<Output = ()> + Send + 'static, CommandError> {
    let mut terminated = signal(SignalKind::terminate()).map_err(|error| cannot(&error))?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(|error| cannot(&error))?;
    Ok(async move {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
    })
}

/// What a server is to do, by its options.
struct How {
    web: WebOptions,
    artifacts: ArtifactOptions,
    operation: OperationOptions,
    accounts: Option<Accounts>,
}

fn open_taking_over(
    context: &Context,
    artifacts: &ArtifactOptions,
) -> Result<Arc<TakingOver>, CommandError> {
    let notes = context.project().taking_over();
    let opened = TakingOver::open(
        context.bench.tracking.clone(),
        artifacts.locations.clone(),
        &notes,
        context.bench.caller.clone(),
    );
    opened
        .map(Arc::new)
        .map_err(|error| cannot_write(&notes, &error))
}

/// Answers until it is asked to end, then what was asked until then.
async fn serve(
    context: &Context,
    listener: TcpListener,
    how: How,
    asked_to_end: impl Future<Output = ()> + Send + 'static,
    output: &Output,
) -> Result<(), CommandError> {
    let How {
        web,
        mut artifacts,
        operation,
        accounts,
    } = how;
    // Also where nothing may be looked at now: what was noted before is settled, or stays noted.
    let taking_over = open_taking_over(context, &artifacts)?;
    artifacts.taking_over = Some(Arc::clone(&taking_over));
    let webhooks = context.webhooks()?;
    let options = ServerOptions {
        tracking: context.bench.tracking.clone(),
        registry: context.registry.clone(),
        traces: context.traces.clone(),
        datasets: context.datasets.clone(),
        webhooks: Some(webhooks.clone()),
        accounts,
        random: Arc::clone(&context.bench.random),
        web,
        artifacts,
        operation,
        scope: Scope::Team,
        user: context.bench.user.clone(),
    };
    let meanwhile = context.work_meanwhile();
    let taking_over = TakingOverMeanwhile::start(taking_over);
    let delivering = Delivering::start(Deliverer::new(webhooks, context.bench.caller.clone()));
    let served = server::serve(listener, options, asked_to_end)
        .await
        .map_err(|error| cannot(&error));
    delivering.stop().await;
    taking_over.stop().await;
    meanwhile.stop().await;
    context.publish_or_warn(output).await;
    served
}
