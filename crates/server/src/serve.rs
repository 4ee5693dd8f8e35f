//! The table of paths, and the loop that serves them.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::get;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::ServerOptions;
use crate::app::{App, Server};
use crate::guard::guard;
use crate::sign_on::sign_on;
use crate::{artifacts, mlflow, otlp};

/// How long requests that are under way at the end may take: about what a gigabyte needs on a slow disk.
const CLOSING_TIME: Duration = Duration::from_secs(30);

/// All that is answered, for a server of one's own or for tests.
pub fn router(options: ServerOptions) -> Router {
    let prefix = options.web.prefix.clone();
    let proxy = if options.artifacts.is_proxy_closed {
        artifacts::closed_calls()
    } else {
        artifacts::calls()
    };
    let app: App = Arc::new(Server::new(options));
    let (mut calls, mut calls_v3) = (mlflow::calls(), mlflow::calls_v3());
    if app.accounts.is_some() {
        calls = calls.merge(mlflow::access_calls());
        calls_v3 = calls_v3.merge(mlflow::access_calls_v3());
    }
    let pages = mlflow::page_calls();
    let proxy = Router::new()
        .nest("/api/2.0/mlflow-artifacts", proxy.clone())
        .nest("/ajax-api/2.0/mlflow-artifacts", proxy);
    let table = Router::new()
        .nest("/api/2.0/mlflow", calls.clone())
        .nest("/ajax-api/2.0/mlflow", calls.merge(pages.clone()))
        .nest("/api/3.0/mlflow", calls_v3.clone())
        .nest("/ajax-api/3.0/mlflow", calls_v3.merge(pages))
        .merge(proxy.clone())
        .merge(mlflow::server_calls())
        .merge(mlflow::slashless_calls())
        .merge(otlp::calls())
        .route("/get-artifact", get(artifacts::get_of_run));
    let table = match prefix.as_str() {
        "" => table,
        // As MLflow answers its proxy in both places.
        prefix => Router::new()
            .nest(prefix, table)
            .route(&format!("{prefix}/"), get(mlflow::at_root))
            .merge(proxy),
    };
    table
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(Arc::clone(&app), sign_on))
        .layer(from_fn_with_state(Arc::clone(&app), guard))
        .with_state(app)
}

/// Serves until `shutdown`, then answers what was asked until then, within half a minute.
pub async fn serve(
    listener: TcpListener,
    options: ServerOptions,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    // Without it the second half of an answer waits for the acknowledgement of the first, up to 40 ms.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its delays");
        }
    });
    let (closing, closes) = oneshot::channel();
    let asked_to_end = async move {
        shutdown.await;
        // Nobody listens any more where serving has ended by itself.
        let _ = closing.send(());
    };
    let serving = axum::serve(listener, router(options)).with_graceful_shutdown(asked_to_end);
    tokio::select! {
        served = serving.into_future() => served,
        () = closing_time(closes) => {
            tracing::warn!("connections that are still open are left");
            Ok(())
        }
    }
}

async fn closing_time(closes: oneshot::Receiver<()>) {
    match closes.await {
        Ok(()) => tokio::time::sleep(CLOSING_TIME).await,
        Err(_) => std::future::pending().await,
    }
}

/// MLflow's page for what is not there: its clients tell an old server by it.
async fn not_found() -> Response {
    let page = "<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n<h1>Not Found</h1>\n<p>The requested URL was not found on the server. If you entered the URL manually please check your spelling and try again.</p>\n";
    (StatusCode::NOT_FOUND, utf8(page)).into_response()
}

async fn method_not_allowed() -> Response {
    let page = "<!doctype html>\n<html lang=en>\n<title>405 Method Not Allowed</title>\n<h1>Method Not Allowed</h1>\n<p>The method is not allowed for the requested URL.</p>\n";
    (StatusCode::METHOD_NOT_ALLOWED, utf8(page)).into_response()
}

fn utf8(page: &'static str) -> Response {
    let mut response = Html(page).into_response();
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, html);
    response
}
