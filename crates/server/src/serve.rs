//! The table of paths, and the loop that serves them.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::get;
use axum::serve::Listener as Accept;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::{App, Server};
use crate::figures;
use crate::guard::guard;
use crate::leftovers;
use crate::limits::limit;
use crate::sign_on::sign_on;
use crate::{Scope, ServerOptions};
use crate::{artifacts, description, mlflow, otlp};

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
    // Whoever has the token of a run needs to know nothing of the server, and of the ledger no more than of that run.
    let tells_figures = options.operation.exposes_figures && matches!(options.scope, Scope::Team);
    let app: App = Arc::new(Server::new(options));
    let (mut calls, mut calls_v3) = (mlflow::calls(), mlflow::calls_v3());
    if app.accounts.is_some() {
        calls = calls.merge(mlflow::access_calls());
        calls_v3 = calls_v3.merge(mlflow::access_calls_v3());
    }
    let page_to_sign_up = if app.accounts.is_some() {
        mlflow::signup_calls()
    } else {
        Router::new()
    };
    let proxy = Router::new()
        .nest("/api/2.0/mlflow-artifacts", proxy.clone())
        .nest("/ajax-api/2.0/mlflow-artifacts", proxy);
    let table = Router::new()
        .nest("/api/2.0/mlflow", calls.clone())
        .nest("/ajax-api/2.0/mlflow", calls.merge(mlflow::page_calls()))
        .nest("/api/3.0/mlflow", calls_v3.clone())
        .nest(
            "/ajax-api/3.0/mlflow",
            calls_v3.merge(mlflow::page_calls_v3()),
        )
        .merge(proxy.clone())
        .merge(mlflow::server_calls())
        .merge(page_to_sign_up)
        .merge(mlflow::slashless_calls())
        .merge(otlp::calls())
        .merge(description::calls())
        .route("/get-artifact", get(artifacts::get_of_run))
        .route(
            "/model-versions/get-artifact",
            get(artifacts::get_of_version),
        );
    let table = match prefix.as_str() {
        "" => table,
        // As MLflow answers its proxy in both places.
        prefix => Router::new()
            .nest(prefix, table)
            .route(&format!("{prefix}/"), get(mlflow::at_root))
            .merge(proxy),
    };
    let table = if tells_figures {
        table.route(figures::PATH, get(figures::tell_all))
    } else {
        table
    };
    table
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(Arc::clone(&app), sign_on))
        // Around the one that judges a request by its body, which it reads.
        .layer(from_fn_with_state(Arc::clone(&app), limit))
        .layer(from_fn_with_state(Arc::clone(&app), guard))
        .layer(from_fn_with_state(Arc::clone(&app), figures::count))
        // Around all that may refuse a request by its head.
        .layer(from_fn(leftovers::clear))
        .with_state(app)
}

/// Serves until `shutdown`, then answers what was asked until then, within half a minute.
pub async fn serve(
    mut listener: TcpListener,
    options: ServerOptions,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let idle_limit = options.operation.idle_limit;
    let router = router(options);
    let connections = TaskTracker::new();
    let closing = CancellationToken::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let (stream, _) = tokio::select! {
            // It waits a second where there are too many, and tries again.
            accepted = Accept::accept(&mut listener) => accepted,
            () = &mut shutdown => break,
        };
        prepare(&stream, idle_limit);
        connections.spawn(answer(stream, router.clone(), idle_limit, closing.clone()));
    }
    drop(listener);
    closing.cancel();
    connections.close();
    let closed = tokio::time::timeout(CLOSING_TIME, connections.wait());
    if closed.await.is_err() {
        tracing::warn!("connections that are still open are left");
    }
    Ok(())
}

/// Sets what the system is to do with a connection.
fn prepare(stream: &TcpStream, idle_limit: Option<Duration>) {
    // Without it the second half of an answer waits for the acknowledgement of the first, up to 40 ms.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps its delays");
    }
    let Some(limit) = idle_limit else { return };
    // The system alone knows whether a client takes what it is sent: what was written is in its buffers.
    let limit_ms = u32::try_from(limit.as_millis()).unwrap_or(u32::MAX);
    if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(stream, limit_ms) {
        tracing::debug!(%error, "a connection has no limit for what is sent");
    }
}

/// Answers on one connection until the client leaves it, or it is asked to end.
async fn answer(
    stream: TcpStream,
    router: Router,
    idle_limit: Option<Duration>,
    closing: CancellationToken,
) {
    let service = TowerToHyperService::new(router);
    let mut protocol = http1::Builder::new();
    // Between two requests too, or connections that nobody uses would add up.
    protocol
        .timer(TokioTimer::new())
        .header_read_timeout(idle_limit);
    let mut connection = pin!(protocol.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
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
