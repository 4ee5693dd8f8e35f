//! `reproof server`

use std::process::ExitCode;
use std::sync::Arc;

use server::{AllowedHosts, Scope, ServerOptions};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use webhooks::Deliverer;

use crate::arguments::ServerArguments;
use crate::context::Context;
use crate::delivering::Delivering;
use crate::error::CommandError;
use crate::output::Output;

pub(crate) async fn run(
    arguments: ServerArguments,
    output: &Output,
) -> Result<ExitCode, CommandError> {
    if let Some(root) = &arguments.root {
        std::env::set_current_dir(root).map_err(|error| {
            CommandError::usage("E0022", format!("cannot serve {}: {error}", root.display()))
        })?;
    }
    let context = Context::open_or_create(output).await?;
    let address = std::net::SocketAddr::new(arguments.host, arguments.port);
    let listener = TcpListener::bind(address).await.map_err(|error| {
        CommandError::system("E0018", format!("cannot listen on {address}: {error}"))
            .hint("`--port 0` takes a free port")
    })?;
    let address = listener.local_addr().map_err(|error| {
        CommandError::system("E0018", format!("cannot tell the address: {error}"))
    })?;
    let url = format!("http://{address}");
    if !address.ip().is_loopback() {
        output.warn("whoever can reach this address can read and change everything: nobody is asked who they are");
    }
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
    serve(&context, listener, arguments.allowed_hosts, output).await?;
    Ok(ExitCode::SUCCESS)
}

/// Answers until Ctrl-C or SIGTERM, then what was asked until then.
async fn serve(
    context: &Context,
    listener: TcpListener,
    allowed_hosts: Vec<String>,
    output: &Output,
) -> Result<(), CommandError> {
    let cannot = |error: std::io::Error| {
        CommandError::system("E0018", format!("the server failed: {error}"))
    };
    let mut terminated = signal(SignalKind::terminate()).map_err(cannot)?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(cannot)?;
    let asked_to_end = async move {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
    };
    let webhooks = context.webhooks()?;
    let options = ServerOptions {
        tracking: context.bench.tracking.clone(),
        registry: context.registry.clone(),
        traces: context.traces.clone(),
        webhooks: Some(webhooks.clone()),
        random: Arc::clone(&context.bench.random),
        allowed_hosts: AllowedHosts::new(allowed_hosts),
        scope: Scope::Team,
        user: context.bench.user.clone(),
    };
    let publishing = context.publish_meanwhile();
    let delivering = Delivering::start(Deliverer::new(webhooks, context.bench.caller.clone()));
    let served = server::serve(listener, options, asked_to_end)
        .await
        .map_err(cannot);
    delivering.stop().await;
    if let Some(publishing) = publishing {
        publishing.stop().await;
    }
    context.publish_or_warn(output).await;
    served
}
